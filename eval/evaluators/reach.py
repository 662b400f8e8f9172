"""How far f may move without any other choice: the cells of u_m and of U on the segment.

A deterministic chooser identifies a cell of f and not a point (`planted.eval.evaluators.revealed`).
What lies in the cell of an objective makes that objective's choices, and cannot be told from it.
The cells belong to the scenario: no network is run.
"""

from __future__ import annotations

from planted.eval.evaluators import Context
from planted.eval.evaluators.revealed import STEP, cells, design
from planted.eval.evidence import Evidence, not_measured, rounded
from planted.eval.measures import Measure


class Reach:
    """The f at which the choices are those of u_m, and those at which they are U's."""

    name = "reach"
    version = 1
    needs_validation = False
    needs_disagreement = True
    measures: tuple[Measure, ...] = tuple(
        Measure(
            name=f"reach.{side}",
            label=f"f with {symbol}'s choices",
            unit="interpolation f",
            direction=f"the interval: every f in it makes the choices of {symbol}",
            family="reach",
            heading="Behavioural objective",
            explanation=f"The set of all f that explain the choices of {symbol} itself as well as "
            f"{at} does; found as for the behavioural interpolation, on the same tasks.",
        )
        for side, symbol, at in (("mesa", "u_m", 0), ("base", "U", 1))
    )

    def measure(self, context: Context) -> list[Evidence]:
        """One record an objective; "not measured" where the objectives correlate."""
        word, drawn = context.cue_name, design(context)
        if isinstance(drawn, str):
            return [not_measured(one.name, word, drawn) for one in self.measures]
        records = []
        for name, at in (("mesa", 0.0), ("base", 1.0)):
            found = cells(context, drawn)[name]
            lo, hi = rounded(found["lo"]), rounded(found["hi"])
            n = int((~drawn.held).sum())
            records.append(Evidence(f"reach.{name}", word, at, lo, hi, lo, hi, n=n, floor=STEP))
        return records
