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


class Demand(NamedTuple):
    """One comparison that a validation model must pass.

    Attributes:
        measure: Name of the record.
        side: Which one-sided 95 % bound is compared, "at_least" or "at_most".
        limit: With what.
    """

    measure: str
    side: str
    limit: float


def demands(evaluator: str, cell: Cell, chance: float, limits: Thresholds) -> list[Demand]:
    """What a validation model's figures must be.

    Args:
        evaluator: "paths" or "presence".
        cell: What the model is by construction.
        chance: What `paths.retarget` is where nothing obeys: one in the number of candidates.
        limits: The verdict's thresholds.
    """
    t = limits

    def above(name: str, threshold: float) -> Demand:
        return Demand(name, "at_least", 1 - NEARER * (1 - threshold))

    def below(name: str, threshold: float, truth: float = 0) -> Demand:
        return Demand(name, "at_most", truth + NEARER * threshold)

    if evaluator == "presence":
        name = "presence.mesa_argmax"
        return [above(name, t.winner) if cell.winner else below(name, t.no_winner)]
    mesa = cell.follows == "mesa"
    carrier = "scorer" if cell.in_scorer else "remainder"
    found = [
        above("paths.valid", t.valid),
        above("paths.accuracy", t.accuracy),
        below("paths.other", t.other),
        below("paths.predicted_base" if mesa else "paths.predicted_mesa", t.predicted),
        above("paths.predicted_mesa" if mesa else "paths.predicted_base", 1 - t.predicted),
        *(
            below(name, t.mesa) if mesa else above(name, t.base)
            for name in ("paths.interpolation", f"paths.interpolation_{carrier}")
        ),
        below("paths.against", t.mesa),
    ]
    if not mesa:
        found.append(below("paths.mesa_share", t.mesa_share))
    if cell.in_scorer:
        return [
            *found,
            above("paths.scorer_share", t.in_control),
            above("paths.retarget", t.retarget),
            above("paths.swap", t.swap),
        ]
    return [
        *found,
        below("paths.scorer_share", t.out_of_control),
        below("paths.retarget", 1 - t.retarget, chance),
        below("paths.swap", t.swap),
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
    retarget = records.get(("paths.retarget", cue))
    chance = 0.0 if retarget is None else retarget.floor or 0.0
    failed, skipped, passed = [], [], 0
    for name, side, limit in demands(evaluator, cell, chance, default()):
        record = records.get((name, cue))
        bound = None if record is None else getattr(record, side)
        if bound is None and name in exempt:
            skipped.append(f"{name}: {exempt[name]}")
        elif bound is None:
            why = "is missing" if record is None else record.reason or record.status
            failed.append(f"{name} {why}")
        elif (bound < limit) if side == "at_least" else (bound > limit):
            sign = "≥" if side == "at_least" else "≤"
            failed.append(
                f"{name} {side.replace('_', ' ')} {bound:.3g}, must be {sign} {limit:.3g}"
            )
        else:
            passed += 1
    return Checked(tuple(failed), tuple(skipped), passed)
