"""What runs take from the other rooms, in one place: plants, recipes, evaluators, trust."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from planted import library
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.errors import PlantedError, unknown
from planted.eval.calibration.validation import EVALUATORS as VALIDATED
from planted.eval.calibration.validation import Standing, standing_of
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.evidence import Evidence
from planted.finetune.recipes import ARMS, NAMED, Recipe, Settings
from planted.network.model import Model
from planted.programs import catalogue

OBJECT = "object"  # origin of a plant that was given as a Python object

# --- plants ---


def resolve(
    given: Any, tier: str = "tempered", parameters: Mapping[str, Any] | None = None
) -> tuple[Plant, str]:
    """The plant that a user named or gave, and its origin.

    Args:
        given: A catalogue name, "module:function" (which returns a Model or a Plant), a Model or a
            Plant.
        tier: Of a catalogue plant.
        parameters: Of a catalogue plant.

    Returns:
        The plant; and "" for a catalogue plant, "module:function", or "object".

    Raises:
        PlantedError: If it is none of these, or cannot be had.
    """
    if isinstance(given, Model | Plant):
        return (given.plant if isinstance(given, Model) else given), OBJECT
    if not isinstance(given, str):
        raise PlantedError(
            "A plant is a catalogue name as 'red-doors', 'module:function', or what planted.plant "
            f"returned; got {given!r}."
        )
    if not given.strip():
        raise PlantedError("The name of the plant is empty. `planted list` shows the plants.")
    module, colon, name = given.partition(":")
    if not colon:
        return library.get(given, tier, parameters), ""
    try:
        made = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise PlantedError(f"Cannot find the plant {given!r}: {error}.") from None
    if not isinstance(made, Model | Plant):
        raise PlantedError(
            f"{given!r} must return what planted.plant returns, got {type(made).__name__}."
        )
    return (made.plant if isinstance(made, Model) else made), given


def scenario_of(origin: str, name: str, parameters: Mapping[str, Any]) -> Scenario:
    """The scenario of a plant that a run folder names, by its origin.

    Raises:
        PlantedError: If the plant was given as an object, which only the user can give again.
    """
    if origin == OBJECT:
        raise PlantedError(
            f"{name} was given as a Python object; give it again: planted.open_run(folder, plant)."
        )
    if origin:
        return resolve(origin)[0].scenario
    return catalogue.entry(name).make_scenario(dict(parameters))


# --- recipes ---


def slug(recipe: Recipe) -> str:
    """A name for folders and tables that tells a changed recipe from its base."""
    found = getattr(recipe, "slug", None)
    if isinstance(found, str):
        return found
    base = {**NAMED, **ARMS}.get(recipe.name)
    own = msgspec.structs.asdict(recipe.settings)
    changed = {k: v for k, v in own.items() if base is not None and getattr(base, k) != v}
    parts = [recipe.name, *(f"{k.replace('_', '-')}-{v}" for k, v in sorted(changed.items()))]
    return re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(parts))


def recipe_from(name: str, seeds: int, settings: Mapping[str, Any]) -> Recipe:
    """A recipe from what a run folder says of it."""
    return Recipe(name, seeds=seeds, settings=msgspec.convert(settings, Settings))


def changed(recipe: Recipe, **changes: Any) -> Recipe:
    """A recipe with other settings or another number of seeds.

    Raises:
        PlantedError: As for `Recipe`.
    """
    seeds = changes.pop("seeds", recipe.seeds)
    return Recipe(recipe.name, seeds=seeds, settings=recipe.settings, **changes)


def load_recipes(path: Path) -> list[Recipe]:
    """The recipes in a TOML file: a table a recipe, `[NAME]` with settings.

    Raises:
        PlantedError: If it cannot be read, or a setting is wrong.
    """
    try:
        tables = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise PlantedError(f"Cannot read recipes from {path}: {error}.") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise PlantedError(f"{path}: {name!r} must be a table of settings, as [pressure].")
    return [Recipe(table.pop("base", name), **table) for name, table in tables.items()]


# --- evaluators ---

_FAMILY = {  # the first part of a record's name -> the evaluator that makes it
    "objectives": "objectives",
    "agreement": "behaviour",
    "valid": "behaviour",
    "regret": "behaviour",
    "behavioural_objective": "behavioural-objective",
    "gap": "behavioural-objective",
    "paths": "paths",
    "presence": "presence",
    "cue": "cue",
}
VERSIONS = dict.fromkeys(
    ("objectives", "behaviour", "behavioural-objective", "paths", "presence", "interchange", "cue"),
    1,
)


def evaluators() -> dict[str, str]:
    """Evaluator -> its version, in the order of the records."""
    return {name: str(version) for name, version in VERSIONS.items()}


def trust_of(plant: Plant) -> dict[str, str]:
    """Evaluator -> why its figures on this plant's checkpoints are not trusted; "" where they are.

    Evaluators that need no validation are left out.
    """
    return standing_of(plant.name)


def evidence_by_evaluator(
    checkpoint: Checkpoint, trust: Standing, only: Iterable[str]
) -> dict[str, list[Evidence]]:
    """The records of some evaluators on a checkpoint: evaluator -> records."""
    wanted = list(only)
    for name in wanted:
        if name not in VERSIONS:
            raise unknown("evaluator", name, VERSIONS)
    known = dict.fromkeys(VALIDATED, "") | dict(trust)
    found: dict[str, list[Evidence]] = {name: [] for name in wanted}
    for record in evaluate(checkpoint, known):
        name = _FAMILY.get(record.name.split(".")[0], "interchange")
        if record.name.startswith("gap.base_mesa"):
            name = "objectives"
        if name in found:
            found[name].append(record)
    return found
