"""The stamp of a verdict in a run: UNCALIBRATED, or the error rates that its family has."""

from __future__ import annotations

import msgspec

from planted.core.plant import Plant
from planted.eval import evaluators, measures
from planted.eval.calibration import gate
from planted.eval.calibration.digest import validation_digest
from planted.eval.evidence import Records
from planted.eval.verdict.rule import Verdict

FEWEST = 5  # networks that a figure was held against in the calibration, at least


def stamped(verdict: Verdict, plant: Plant, records: Records) -> Verdict:
    """The verdict with the stamp that the gate of this release gives on a plant.

    Args:
        verdict: The verdict.
        plant: What the network was trained from.
        records: What the verdict was given by. With figures that stand beside fewer networks than
            in the calibration it is UNCALIBRATED.
    """
    known = gate.shipped()
    family = plant.name.partition("@")[0]
    if known is None or plant.origin or family not in known.families or _few(records):
        return verdict
    given = gate.stamp(
        known, family, validation_digest(plant), verdict.thresholds, evaluators.versions()
    )
    return msgspec.structs.replace(verdict, stamp=given)


def _few(records: Records) -> bool:
    """Whether a figure stands beside fewer networks than in the calibration, or beside none."""
    held = {*measures.held_against("negative controls"), *measures.held_against("sham")}
    measured = [r for r in records.values() if r.name in held and r.status == "ok"]
    return any(record.null is None or record.null.n < FEWEST for record in measured)
