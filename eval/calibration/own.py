"""Trust earned on the spot: the evaluators' validation on a plant's own validation models."""

from __future__ import annotations

import contextlib
from typing import Any

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, RunFolderError
from planted.eval.calibration import validation
from planted.programs.validation import ROLES, validation_models


def trust_of(exact: Plant) -> dict[str, str]:
    """Evaluator -> why it is not trusted on a plant; "" where it is.

    What is known of these very weights is taken: from the release, or from an earlier call, kept in
    the cache folder. Otherwise the plant's validation models are made and read.

    Args:
        exact: The plant in tier "exact".
    """
    shipped = validation._shipped().get(exact.name, {})
    digest = artefact.params_digest(exact.params)
    if shipped.get("weights") == digest:
        return validation.standing_of(exact.name)
    key = files.digest_of([digest, environment.source_digest()])[:24]
    path = environment.cache_folder() / "trust" / f"{key}.json"
    try:
        found: Any = files.read_json(path)
        if set(found) == set(validation.EVALUATORS):
            return dict(found)
    except ArtefactError:
        pass  # nothing is kept, or it is damaged: read again
    found = _validated(exact)
    with contextlib.suppress(RunFolderError):  # it is only kept to save time
        files.write_json(path, found)
    return dict(found)


def _validated(exact: Plant) -> dict[str, str]:
    made = validation_models(exact)
    missing = [f"{role} ({made.reasons[role]})" for role in ROLES if role in made.reasons]
    if missing:
        return dict.fromkeys(validation.EVALUATORS, f"no validation models: {'; '.join(missing)}")
    models = made.models
    read = validation.run(exact, base=models["base"], mux=models["mux"], gate=models["gate"])
    return read.standing
