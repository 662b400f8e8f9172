"""The stamp of a verdict in a run: UNCALIBRATED, or the error rates that its family has."""

from __future__ import annotations

import msgspec

from planted.core.plant import Plant
from planted.eval import evaluators
from planted.eval.calibration import gate
from planted.eval.calibration.digest import validation_digest
from planted.eval.verdict.rule import Verdict


def stamped(verdict: Verdict, plant: Plant) -> Verdict:
    """The verdict with the stamp that the gate of this release gives on a plant."""
    known = gate.shipped()
    family = plant.name.partition("@")[0]
    if known is None or plant.origin or family not in known.families:
        return verdict
    given = gate.stamp(
        known, family, validation_digest(plant), verdict.thresholds, evaluators.versions()
    )
    return msgspec.structs.replace(verdict, stamp=given)
