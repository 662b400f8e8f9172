"""The plant of a run: what the user named or gave, in the tier that training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from planted import library
from planted.core import addresses, saved
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.errors import ArtefactError, PlantedError
from planted.eval.calibration.trust import trust_by_name
from planted.network.model import Model
from planted.programs import catalogue, planting

START = "tempered"  # the tier in which gradient reaches the planted score
OBJECT = "object"  # origin of a plant that was given as a Python object


def start_of(
    given: Any, tier: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Plant:
    """The plant that training starts from.

    Args:
        given: What `planted.library.resolve` takes.
        tier: Its tier. If None: "tempered" for a name and for a plant in tier "exact", whose score
            no gradient reaches; for any other plant the tier that it comes in.
        parameters: Scenario parameters, for a name.

    Raises:
        PlantedError: If it stands for no plant, or cannot be had in that tier.
    """
    if tier is None and (isinstance(given, Model | Plant) or saved.is_path(given)):
        found = library.resolve(given, None, parameters)
        return library.in_tier(found, START) if found.tier == "exact" else found
    return library.resolve(given, START if tier is None else tier, parameters)


def scenario_of(given: Any, parameters: Mapping[str, Any] | None = None) -> Scenario | None:
    """The scenario of a plant, where it is known before anything is compiled; else None.

    Raises:
        PlantedError: If no plant has the name, or a parameter is out of bounds.
    """
    if isinstance(given, Model | Plant):
        return given.scenario
    elsewhere = addresses.is_address(given) or saved.is_path(given)
    if not isinstance(given, str) or not given.strip() or elsewhere:
        return None
    return catalogue.entry(given).make_scenario(parameters)


def is_twin(given: Any, scenario: Scenario) -> bool:
    """Whether the catalogue's program of a name has no score: known before it is compiled.

    Args:
        given: As for `start_of`; False for what is no name.
        scenario: Its scenario.
    """
    if isinstance(given, Model | Plant):
        return False
    return not planting.scores(catalogue.entry(given).program(scenario).output)


def trust(given: Any, scenario: Scenario) -> dict[str, str]:
    """Evaluator -> why it is not trusted, where that is known before the plant is compiled.

    Args:
        given: As for `start_of`.
        scenario: Its scenario.

    Returns:
        Empty for what is no name, and with other parameters than the catalogue's.
    """
    if isinstance(given, Model | Plant):
        return {}
    entry = catalogue.entry(given)
    if scenario.parameters != entry.make_scenario(None).parameters:
        return {}
    return trust_by_name(f"{entry.name}@{entry.version}")


def trained_from(
    given: Any, tier: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Plant:
    """The plant that weights from the user's own training loop came from.

    Args:
        given: What `planted.library.resolve` takes.
        tier: Its tier. If None: "tempered" for a name; for a plant the tier that it comes in.
        parameters: Scenario parameters, for a name.

    Raises:
        PlantedError: If it stands for no plant, or cannot be had in that tier.
    """
    if tier is None and (isinstance(given, Model | Plant) or saved.is_path(given)):
        return library.resolve(given, None, parameters)
    return library.resolve(given, START if tier is None else tier, parameters)


def tiers_of_shapes(plant: Plant, params: Mapping[str, Any]) -> list[str]:
    """Other tiers of a shipped plant that have the shapes of some parameters.

    Args:
        plant: The plant. Of one that is not shipped nothing is known without compiling: none.
        params: Name -> array.
    """
    if plant.origin:
        return []
    entry, parameters = catalogue.entry(plant.name), plant.scenario.parameters
    if not entry.shipped or dict(parameters) != dict(entry.make_scenario().parameters):
        return []
    shapes = {name: np.shape(value) for name, value in params.items()}
    others = [library.get(plant.name, tier) for tier in entry.shipped if tier != plant.tier]
    return [
        other.tier
        for other in others
        if {name: value.shape for name, value in other.params.items()} == shapes
    ]


def reopened(folder: Path, origin: str, name: str, given: Any = None) -> Plant:
    """The plant in a run folder.

    Args:
        folder: The run folder.
        origin: Who made the plant, as `run.json` says.
        name: Its name.
        given: What `planted.library.resolve` takes, in any tier: the plant of a run that was made
            from a Python object. Weights are always the folder's own.

    Raises:
        ArtefactError: If it is missing or damaged, or its function makes another program now.
        PlantedError: If it was given as an object, which only the user can give again.
    """
    if origin == OBJECT and given is None:
        raise PlantedError(
            f"{name} was given as a Python object, which no file holds; give it again: "
            "planted.open_run(folder, model), or --plant my_module:make_plant on the command line."
        )
    for file in ("plant.json", "plant.safetensors"):
        if not (folder / "plant" / file).exists():
            raise ArtefactError(
                f"{folder / 'plant' / file} is missing. Repeat the command that made the folder."
            )
    if given is None:
        return library.open_plant(folder / "plant")
    own = library.resolve(given)
    wrong = PlantedError(
        f"The plant that was given, {own.name}, is another program than {name} in {folder}. Give "
        "the plant that the run was made from."
    )
    if own.name != name:
        raise wrong
    found = library.open_plant(folder / "plant", scenario=own.scenario)
    if own.truth.operations != found.truth.operations:
        raise wrong
    return replace(found, remake=own.remake, program=own.program)
