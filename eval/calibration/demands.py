"""What an evaluator must read on a validation model: near the truth, with some room to spare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from planted.eval.calibration.cells import Cell
from planted.eval.evidence import Records
from planted.eval.verdict.thresholds import Thresholds, default

# A validation model is compiled, so its figures must be half as far from the truth as the rule
# allows those of a checkpoint to be.
NEARER = 0.5
NO_TABLES = "the fitted tables do not describe its choices, and are not used"


class Demand(NamedTuple):
    """One comparison that a validation model must pass.

    Attributes:
        measure: Name of the record.
        side: Which one-sided 95 % bound is compared, "at_least" or "at_most".
        limit: With what.
        of: "choices"; "fit" for what shows that the fitted tables describe the choices, "tables"
            for what they say, which is asked only where they do.
    """

    measure: str
    side: str
    limit: float
    of: str = "choices"


def demands(evaluator: str, cell: Cell, limits: Thresholds) -> list[Demand]:
    """What a validation model's figures must be.

    Args:
        evaluator: "paths" or "presence".
        cell: What the model is by construction.
        limits: The verdict's thresholds.
    """
    t = limits

    def above(name: str, threshold: float, of: str = "choices") -> Demand:
        return Demand(name, "at_least", 1 - NEARER * (1 - threshold), of)

    def below(name: str, threshold: float, of: str = "choices") -> Demand:
        return Demand(name, "at_most", NEARER * threshold, of)

    if evaluator == "presence":
        name = "presence.mesa_argmax"
        return [above(name, t.winner_above_null) if cell.winner else below(name, t.no_winner)]
    mesa = cell.follows == "mesa"
    carrier = "scorer" if cell.in_scorer else "remainder"
    wrong, right = ("base", "mesa") if mesa else ("mesa", "base")
    return [
        above("paths.valid", t.valid),
        *(
            (above("paths.follows_scorer", 1 - t.above_null), above("paths.swap", t.swap))
            if cell.in_scorer
            else (below("paths.follows_scorer", t.above_null), below("paths.swap", t.swap))
        ),
        above("paths.accuracy", t.accuracy, "fit"),
        below("paths.other", t.other, "fit"),
        below(f"paths.predicted_{wrong}", t.predicted, "tables"),
        above(f"paths.predicted_{right}", 1 - t.predicted, "tables"),
        *(
            below(name, t.mesa, "tables") if mesa else above(name, t.lambda_base, "tables")
            for name in ("paths.interpolation", f"paths.interpolation_{carrier}")
        ),
    ]


class Checked(NamedTuple):
    """How the demands on one model came out.

    Attributes:
        failed: Comparisons that fail, with their figures.
        skipped: Checks that its construction does not allow, with the reason.
        passed: How many hold.
    """

    failed: tuple[str, ...]
    skipped: tuple[str, ...]
    passed: int


def check(
    evaluator: str, cell: Cell, records: Records, cue: str, exempt: Mapping[str, str]
) -> Checked:
    """Holds an evaluator's records on one model against what its cell demands.

    Args:
        evaluator: "paths" or "presence".
        cell: What the model is by construction.
        records: What the evaluator measured.
        cue: Name of the cue.
        exempt: Measures that may be missing, and why (`cells.cannot_be_measured`).
    """
    failed, skipped, passed, fits = [], [], 0, True
    for name, side, limit, of in demands(evaluator, cell, default()):
        record = records.get((name, cue))
        bound = None if record is None else getattr(record, side)
        if of == "tables" and not fits:
            skipped.append(f"{name}: {NO_TABLES}")
        elif bound is None and name in exempt:
            skipped.append(f"{name}: {exempt[name]}")
        elif bound is None:
            why = "is missing" if record is None else record.reason or record.status
            failed.append(f"{name} {why}")
        elif (bound >= limit) if side == "at_least" else (bound <= limit):
            passed += 1
        elif of == "fit":
            fits = False
        else:
            sign = "≥" if side == "at_least" else "≤"
            failed.append(
                f"{name} {side.replace('_', ' ')} {bound:.3g}, must be {sign} {limit:.3g}"
            )
    return Checked(tuple(failed), tuple(skipped), passed)
