"""A method's score: its figures beside their nulls, what fooled it, and how it prints."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import comb
from typing import Any, NamedTuple

import numpy as np

from planted.core.plant import Plant
from planted.errors import VerdictError
from planted.eval.methods.locate import Mask, Scores
from planted.eval.methods.measure import NEGATIVE_CONTROLS, PERCENTILE, Cell, Settings, Subject

LEVEL = 0.95  # of the intervals, over redraws
SHOWN = 3  # components that a failure names
ENOUGH = 20  # random networks: fewer do not reach their own 95th percentile
WRONG = {"locate": "components that compute no score", "edges": "links outside the circuit"}
RIGHT = {"locate": "does", "edges": "is in it"}
MOST = 0.5  # a detector is above the threshold on the plant in more than this share of redraws

Row = dict[str, Any]


class Failure(NamedTuple):
    """Units that scored high and compute no score.

    Attributes:
        kind: "twin" or "plant".
        model: Name of the network.
        tier: Its tier.
        reason: What went wrong.
        components: The highest of them: key, mean score, and what the compile map says it writes.
    """

    kind: str
    model: str
    tier: str
    reason: str
    components: tuple[tuple[str, float, str], ...]

    def __str__(self) -> str:
        components = "".join(
            f"\n    {value:8.3f}  {key} writes {what}" for key, value, what in self.components
        )
        return f"{self.kind} {self.model} ({self.tier}): {self.reason}{components}"


class Failures(tuple[Failure, ...]):
    """Failures, twins first; prints one below the other."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "No failures."

    __str__ = __repr__


@dataclass(frozen=True, repr=False)
class Scoreboard:
    """A method's score beside its nulls; prints as a table.

    Attributes:
        task: "locate" or "edges".
        runtime: What the method was handed.
        settings: How much was asked for.
        n_redraws: How many redraws there were time for.
        subject: The method: its name, calls and seconds.
        cells: The figures of each plant and tier, one a redraw.
    """

    task: str
    runtime: str
    settings: Settings
    n_redraws: int
    subject: Subject
    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        """Refuses figures that do not stand beside their nulls."""
        for cell in self.cells:
            missing = [
                null
                for null in NEGATIVE_CONTROLS
                if len(cell.nulls.get(null, ())) != self.n_redraws
            ]
            if cell.twin is not None and not (
                cell.twin_yours or (cell.twin_largest and cell.fresh_largest)
            ):
                missing.append("twin")
            if not cell.exact:
                missing.append("exact")
            if missing:
                raise VerdictError(
                    f"A score without its nulls is not printed: {', '.join(missing)} missing for "
                    f"{cell.plant.name} ({cell.plant.tier})."
                )

    @property
    def rows(self) -> list[Row]:
        """Plain data: a row for each model, metric and tier, tier "mean" first.

        `yours`, `random`, `matched_rank`, `re_init`, `exact` are means over redraws, `..._lo` and
        `..._hi` the ends of the interval; `twin` and `power` are the shares of redraws in which
        the twin, and the plant itself, were above the threshold, None without a twin. Where there
        is something to find on the twin (edges), `twin` is the figure of its scores against the
        plant's truth, and `power` that of its own truth.
        """
        found = []
        for model, cells in self._models():
            for metric in cells[0].exact[0]._fields:
                for tier, some in (("mean", cells), *((c.plant.tier, [c]) for c in cells)):
                    row: Row = {"model": model, "tier": tier, "metric": metric}
                    columns = {"yours": [c.yours for c in some]}
                    columns |= {null: [c.nulls[null] for c in some] for null in NEGATIVE_CONTROLS}
                    columns["exact"] = [c.exact for c in some]
                    for column, values in columns.items():
                        row |= _interval(column.replace("-", "_"), values, metric)
                    row |= _twin(some, metric)
                    found.append(row)
        return found

    @property
    def twins(self) -> list[Row]:
        """Plain data: a row for each plant with a twin and each tier, with what can be claimed."""
        return [
            {
                "model": cell.plant.name,
                "twin": cell.twin.name,
                "tier": cell.plant.tier,
                "plant_largest": float(np.mean(cell.largest)),
                "twin_largest": float(np.mean(cell.twin_largest)),
                "threshold": cell.threshold,
                "plant_above": cell.share_above(cell.largest),
                "twin_above": cell.share_above(cell.twin_largest),
                "claim": claim(cell),
            }
            for cell in self.cells
            if cell.twin is not None and cell.twin_largest
        ]

    def failures(self) -> Failures:
        """Twins that fooled the method, then plants where other units outrank what it looks for."""
        found = []
        for cell in self.cells:
            if cell.twin is not None and is_fooled(cell):
                mean = np.mean(cell.twin_scores, axis=0)
                among = np.ones_like(mean, bool) if not cell.twin_yours else cell.truth
                reason = _why_fooled(cell, self.n_redraws)
                found.append(self._failure("twin", cell.twin, reason, mean, among))
        for cell in self.cells:
            mean, truth = np.mean(cell.scores, axis=0), cell.truth
            least = mean[truth].min()
            wrong = ~truth & (mean >= least)
            if wrong.any():
                reason = (
                    f"{wrong.sum()} of {(~truth).sum()} {WRONG[self.task]} are at or above the "
                    f"lowest that {RIGHT[self.task]} ({least:.3f})"
                )
                found.append(self._failure("plant", cell.plant, reason, mean, wrong))
        return Failures(found)

    def _failure(self, kind: str, plant: Plant, reason: str, mean: Scores, among: Mask) -> Failure:
        """A failure with the highest of the units `among`, the first in order where scores tie."""
        order = np.argsort(np.where(among, -mean, np.inf), axis=None, kind="stable")
        components = []
        for place in order[: min(SHOWN, int(among.sum()))]:
            key, what = self.subject.task.what(plant, int(place))
            components.append((key, float(mean.flat[place]), what))
        return Failure(kind, plant.name, plant.tier, reason, tuple(components))

    def to_json(self) -> str:
        """Everything but the seconds, so that the same request gives the same bytes."""
        content = {
            "method": self.subject.name,
            "task": self.task,
            "runtime": self.runtime,
            "settings": self.settings._asdict(),
            "redraws": self.n_redraws,
            "calls": dict(self.subject.calls),
            "rows": self.rows,
            "twins": self.twins,
            "failures": [failure._asdict() for failure in self.failures()],
        }
        return json.dumps(content, indent=1)

    def __str__(self) -> str:
        from planted.eval.methods import table

        return table.as_text(self)

    __repr__ = __str__

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from planted.eval.methods import table

        return table.as_rich(self)

    def _models(self) -> Iterator[tuple[str, list[Cell]]]:
        for name in dict.fromkeys(cell.plant.name for cell in self.cells):
            yield name, [cell for cell in self.cells if cell.plant.name == name]


def is_fooled(cell: Cell) -> bool:
    """Whether the twin is taken for the plant.

    Where there is nothing to find on it: whether it is above the threshold in more redraws than
    chance allows (binomial, 5 %). There, a redraw is above the 95th percentile one time in twenty;
    too few random networks to have one say nothing. Where it has a circuit of its own: whether its
    scores fit the plant's circuit as well as the plant's own do, signed and absolute, in more than
    one redraw of twenty.
    """
    if cell.twin_yours:
        best = [max(m.auroc, m.auroc_absolute) for m in cell.yours]
        twins = [max(m.auroc, m.auroc_absolute) for m in cell.twin_yours]
        return float(np.mean(np.array(twins) >= np.array(best))) > 1 - LEVEL
    if len(cell.fresh_largest) < ENOUGH:
        return False
    n, above, rate = (
        len(cell.twin_largest),
        cell.times_above(cell.twin_largest),
        1 - PERCENTILE / 100,
    )
    chance = sum(comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(above, n + 1))
    return chance < 1 - LEVEL


def _why_fooled(cell: Cell, n_redraws: int) -> str:
    if cell.twin_yours:
        twin, plant = (np.mean([m.auroc for m in each]) for each in (cell.twin_yours, cell.yours))
        return (
            f"its scores fit the circuit of {cell.plant.name}, which it does not have, as well as "
            f"the plant's own: AUROC {twin:.2f} and {plant:.2f}"
        )
    return (
        f"it has no score node, and the largest score is above {cell.threshold:.3f}, "
        f"the {PERCENTILE}th percentile on {len(cell.fresh_largest)} random networks, "
        f"in {cell.times_above(cell.twin_largest)} of {n_redraws} redraws"
    )


def _twin(cells: Sequence[Cell], metric: str) -> Row:
    """The twin's column of a row: shares above the threshold, or figures against other truth."""
    beside = [cell for cell in cells if cell.twin is not None]
    if beside and beside[0].twin_yours:
        columns = [[getattr(m, metric) for c in beside for m in c.twin_yours]]
        columns.append([getattr(m, metric) for c in beside for m in c.twin_exact])
    else:
        columns = [[c.share_above(c.twin_largest) for c in beside]]
        columns.append([c.share_above(c.largest) for c in beside])
    return {"twin": _mean(columns[0]), "power": _mean(columns[1])}


def claim(cell: Cell) -> str:
    """What a method's largest scores on a plant, its twin and random networks allow to say."""
    if len(cell.fresh_largest) < ENOUGH:
        return f"undecided: {ENOUGH} random networks at least"
    if is_fooled(cell):
        return "fooled by the twin"
    if cell.share_above(cell.largest) <= MOST:
        return "not a detector"
    return "tells them apart"


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(np.mean(found)) if found else None


def _interval(column: str, values: Sequence[Sequence[Any]], metric: str) -> Row:
    """Mean over tiers in each redraw, then mean and percentiles over redraws.

    Args:
        column: Name of the figure.
        values: Its metrics, [tier][redraw].
        metric: Which of them.
    """
    redraws = np.mean([[getattr(m, metric) for m in tier] for tier in values], axis=0)
    lo, hi = np.quantile(redraws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {column: float(redraws.mean()), f"{column}_lo": float(lo), f"{column}_hi": float(hi)}
