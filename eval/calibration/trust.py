"""On which plants an evaluator may be believed, keyed by the digest of what it was validated on."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import msgspec

from planted.core import environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError
from planted.eval.calibration.digest import validation_digest as validation_digest
from planted.eval.calibration.validation import EVALUATORS, ValidationResult
from planted.eval.verdict.thresholds import default

SCHEMA = 1
HOW = (
    "Validate it: planted.eval.calibration.validation.validate reads its validation models (plant, "
    "base, mux, gate), planted.eval.calibration.trust.remember keeps the result."
)


def trust_of(plant: Plant) -> dict[str, str]:
    """Evaluator -> why it is not trusted on this plant; "" where it is.

    Looked up by `validation_digest`: in the table that is shipped, then among what `remember` kept
    in the user's cache folder. A plant with other parameters, of another size, or whose scenario
    has other objectives is another plant here, whatever it is called.

    Raises:
        ScenarioError: If the scenario's parameters are no plain data.
        ArtefactError: If the installed table was altered.
    """
    digest = validation_digest(plant)
    measured_with, shipped = _shipped()
    if digest in shipped:
        if measured_with != default().label:
            return _told({}, f"never validated with these thresholds, but with {measured_with}")
        return _told(shipped[digest]["evaluators"])
    path = _path(digest)
    if path.exists():
        return _remembered(path, digest)
    named = plant.name.partition("@")[0].partition(".")[0]
    if any(each["plant"].partition("@")[0] == named for each in shipped.values()):
        stated = ", ".join(f"{k}={v!r}" for k, v in plant.scenario.parameters.items())
        return _told(
            {},
            f"never validated with this program and these parameters: {plant.name} with {stated}",
        )
    return _told(
        {},
        f"never validated: no validation models (plant, base, mux, gate) of {plant.name} were read",
    )


def trust_by_name(plant: str) -> dict[str, str]:
    """What the shipped table says of a catalogue plant, before it is compiled.

    Args:
        plant: Its name and version, as "red-doors@1"; with the catalogue's own parameters.

    Returns:
        As `trust_of`; empty if the table does not tell.
    """
    measured_with, shipped = _shipped()
    told = next((each for each in shipped.values() if each["plant"] == plant), None)
    current = measured_with == default().label
    return _told(told["evaluators"]) if told is not None and current else {}


def is_known(plant: Plant) -> bool:
    """Whether a plant's validation models were read, by the release or in the user's cache."""
    digest = validation_digest(plant)
    if digest in _shipped()[1]:
        return True
    kept = _remembered(_path(digest), digest) if _path(digest).exists() else {"": "never validated"}
    return not any(why.startswith("never validated") for why in kept.values())


def _told(evaluators: Mapping[str, str], otherwise: str = "never validated") -> dict[str, str]:
    return {name: evaluators.get(name, otherwise) for name in EVALUATORS}


@functools.cache
def _shipped() -> tuple[str, dict[str, Any]]:
    """The thresholds that the table was measured with, and the table."""
    path = Path(str(resources("planted.eval.calibration") / "trust.json"))
    content = files.read_json(path)
    try:
        if content["schema"] != SCHEMA or content["sha256"] != files.digest_of(content["trust"]):
            raise ValueError("it was altered, or is of another schema")
        found: dict[str, Any] = content["trust"]
        measured_with = str(content["thresholds"])
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{path} holds no table of trust ({error}). Install planted again."
        ) from None
    return measured_with, found


def write_shipped(path: Path, trust: Mapping[str, Mapping[str, Any]], measured_with: str) -> None:
    """Writes the table that is shipped.

    Args:
        path: Where.
        trust: Digest -> {"plant": name, "evaluators": {evaluator: reason}, "weights": digest of the
            weights that were read, or None}.
        measured_with: Label of the thresholds that the demands were derived from.

    Raises:
        RunFolderError: If the file cannot be written.
    """
    files.write_json(
        path,
        {
            "schema": SCHEMA,
            "thresholds": measured_with,
            "trust": trust,
            "sha256": files.digest_of(trust),
        },
    )


def remember(plant: Plant, result: ValidationResult) -> Path:
    """Keeps a validation in the user's cache folder, where `trust_of` finds it.

    It holds for this version of planted and these thresholds; other code validates again.

    Args:
        plant: The plant whose checkpoints are to be judged.
        result: How its validation models were read.

    Returns:
        The file.

    Raises:
        PlantedError: If the plant is not among the networks that were read.
        RunFolderError: If the cache folder cannot be written.
    """
    names = {row.plant for row in result.rows}
    if plant.name not in names:
        raise PlantedError(
            f"The validation measured {', '.join(sorted(names)) or 'no network'}, but not "
            f"{plant.name}: include it among the validation models."
        )
    digest = validation_digest(plant)
    content = {
        "schema": SCHEMA,
        "digest": digest,
        "plant": plant.name,
        "evaluators": result.trust,
        "rows": msgspec.to_builtins(result.rows),
        "made_by": _code(),
    }
    files.write_json(_path(digest), {**content, "sha256": files.digest_of(content)})
    return _path(digest)


def _path(digest: str) -> Path:
    return environment.cache_folder() / "trust" / f"{digest}.json"


def _code() -> list[str]:
    return [environment.source_digest(), default().label]


def _remembered(path: Path, digest: str) -> dict[str, str]:
    """What a kept validation says; nothing is trusted by a damaged one, or one of other code."""
    try:
        content = files.read_json(path)
        stated = content.pop("sha256")
        if stated != files.digest_of(content) or content["digest"] != digest:
            raise ValueError("it was altered")
        if content["made_by"] != _code():
            return _told({}, "never validated with this version of planted and its thresholds")
        return _told(msgspec.convert(content["evaluators"], dict[str, str]))
    except (ArtefactError, KeyError, TypeError, ValueError, AttributeError) as error:
        return _told({}, f"never validated: {path} is damaged ({error}); remove it")


def refusal(why: str) -> str:
    """The reason that a record gives which was not measured for want of trust."""
    return f"{why}. {HOW}"
