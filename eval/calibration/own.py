"""Trust earned on the spot: the evaluators' validation on a plant's own validation models."""

from __future__ import annotations

import contextlib
import logging

from planted.core.plant import Plant
from planted.errors import PlantedError, RunFolderError
from planted.eval.calibration import trust
from planted.eval.calibration.validation import EVALUATORS, validate
from planted.programs.validation import ROLES, validation_models


def trust_of(exact: Plant) -> dict[str, str]:
    """Evaluator -> why it is not trusted on a plant; "" where it is.

    What is known of this program and these parameters is taken: from the release, or from an
    earlier call, kept in the cache folder. Otherwise the plant's validation models are made and
    read.

    Args:
        exact: The plant in tier "exact".
    """
    if trust.is_known(exact):
        return trust.trust_of(exact)
    logging.getLogger(__name__).info(
        "validating the evaluators on your plant (once, one to two minutes)"
    )
    made = validation_models(exact)
    missing = [f"{role} ({made.reasons[role]})" for role in ROLES if role in made.reasons]
    if missing:
        return untrusted(f"no validation models: {'; '.join(missing)}")
    try:
        result = validate({role: made.models[role] for role in ROLES})
    except PlantedError as error:
        return untrusted(str(error))
    with contextlib.suppress(RunFolderError):  # it is only kept to save time
        trust.remember(exact, result)
    return result.trust


def untrusted(why: str) -> dict[str, str]:
    """What is said of every evaluator on a plant that cannot be validated."""
    return dict.fromkeys(EVALUATORS, f"never validated: {why}")
