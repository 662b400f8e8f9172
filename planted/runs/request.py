"""What a run folder was asked for, in `run.json`; a request grows, its plant stays.

More seeds, another recipe or more negative controls are added to what a folder holds already.
Another plant, tier or other parameters are another run, and refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, RunFolderError
from planted.finetune.recipes import ARMS, Recipe, slug_of
from planted.finetune.settings import Settings
from planted.runs import plants
from planted.runs.cell import Cell, Network
from planted.runs.findings import Finding

SCHEMA = 2
CONTROL_SEEDS = 3  # seeds of each negative control, and of sham fine-tuning, unless asked otherwise
LEAST_CONTROLS = 2  # one network does not say how far they scatter


class Asked(msgspec.Struct, frozen=True):
    """A recipe of a run.

    Attributes:
        name: Its name in the run: the recipe's own, or its slug where another recipe of the run
            has that name.
        recipe: The recipe, with its seeds.
    """

    name: str
    recipe: Recipe

    @property
    def key(self) -> tuple[str, Any]:
        """What makes it the same recipe, whatever the number of its seeds."""
        return self.recipe.base, self.recipe.settings

    @property
    def is_control(self) -> bool:
        """Whether it is trained beside the plant, and not a question about it."""
        return self.recipe.base in ARMS


class Request(msgspec.Struct, frozen=True):
    """Everything that the bytes of a run depend on.

    Attributes:
        plant: The plant.
        origin: "" for a catalogue plant, "module:function", or "object".
        recipes: What was asked for.
        controls: Negative controls and sham fine-tuning.
        findings: What was known before training.
    """

    plant: Plant
    origin: str
    recipes: tuple[Asked, ...]
    controls: tuple[Asked, ...]
    findings: tuple[Finding, ...] = ()

    def networks(self, folder: Path) -> list[Network]:
        """Every network of the run in a run folder, the recipes' first."""
        digest = artefact.plant_digest(self.plant)
        return [
            network
            for asked in (*self.recipes, *self.controls)
            for network in networks_of(asked, digest, folder)
        ]

    def to_json(self) -> dict[str, Any]:
        """What `run.json` holds."""
        plant = self.plant
        return {
            "schema": SCHEMA,
            "plant": plant.name,
            "tier": plant.tier,
            "parameters": dict(plant.scenario.parameters),
            "origin": self.origin,
            "plant_sha256": artefact.plant_digest(plant),
            "recipes": [_listed(asked) for asked in self.recipes],
            "controls": [_listed(asked) for asked in self.controls],
            "findings": [msgspec.to_builtins(finding) for finding in self.findings],
            "versions": environment.versions(),
        }


def networks_of(asked: Asked, plant_digest: str, folder: Path) -> list[Network]:
    """The networks of one recipe in a run folder, a seed each."""
    slug = slug_of(asked.name)
    found = []
    for seed in range(asked.recipe.seeds):
        cell = Cell(plant_digest, asked.recipe.settings, seed)
        place = folder / "cells" / cell.folder_name(slug)
        found.append(Network(asked.name, asked.recipe, cell, place))
    return found


def _listed(asked: Asked) -> dict[str, Any]:
    return {
        "name": asked.name,
        "recipe": asked.recipe.base,
        "seeds": asked.recipe.seeds,
        "settings": msgspec.to_builtins(asked.recipe.settings),
    }


def _recipe_from(item: Mapping[str, Any]) -> Recipe:
    """A recipe from what a run folder says of it."""
    base, name = item["recipe"], item["name"]
    settings = msgspec.convert(item["settings"], Settings)
    own = None if name in ARMS or name == base else name
    return Recipe(base, name=own, seeds=item["seeds"], settings=settings)


# --- from what the user gave ----------------------------------------------------------------------


def recipes_of(given: Any) -> list[Recipe]:
    """Recipes from recipes and names.

    Raises:
        PlantedError: If something else is among them, or one is asked for twice.
    """
    items = [given] if isinstance(given, Recipe | str) else given
    if not isinstance(items, list | tuple) or not all(isinstance(x, Recipe | str) for x in items):
        raise PlantedError(
            f"Recipes are planted.Recipe objects or their names, as 'pressure'; got {given!r}."
        )
    found = [Recipe(item) if isinstance(item, str) else item for item in items]
    if not found:
        raise PlantedError("A run needs at least one recipe.")
    for at, recipe in enumerate(found):
        if recipe.base in ARMS:
            raise PlantedError(
                f"Recipe {recipe.name!r} is a control: it is part of every run. Ask for the number "
                "of control seeds with controls= (--controls)."
            )
        if any((r.base, r.settings) == (recipe.base, recipe.settings) for r in found[:at]):
            raise PlantedError(f"Recipe {recipe.name!r} is asked for twice in one run.")
    return found


def controls_of(given: Any) -> list[Recipe]:
    """Negative controls and sham fine-tuning from a number of seeds, or from their recipes.

    Raises:
        PlantedError: If it is neither.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        if not 1 <= given <= 1000:
            raise PlantedError(f"controls must be from 1 to 1000 seeds each, got {given}.")
        return [Recipe(name, seeds=given) for name in ARMS]
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not all(isinstance(item, Recipe) and item.base in ARMS for item in items):
        raise PlantedError(
            f"controls is a number of seeds, or recipes among {', '.join(ARMS)}; got {given!r}."
        )
    return items


def grown(before: Sequence[Asked], more: Iterable[Recipe]) -> tuple[Asked, ...]:
    """The recipes of a run with more of them; recipes of one name and other settings stand apart.

    A control of other settings takes the place of the one of its name: verdicts are given beside
    one kind of control.
    """
    found = list(before)
    for recipe in more:
        new = Asked(recipe.base if recipe.base in ARMS else recipe.name, recipe)
        same = [at for at, asked in enumerate(found) if asked.key == new.key]
        named = [at for at, asked in enumerate(found) if asked.name == new.name]
        if same:
            old = found[same[0]]
            if old.recipe.seeds < recipe.seeds:
                found[same[0]] = Asked(old.name, recipe)
        elif named and new.is_control:
            found[named[0]] = new
        else:
            found.append(new)
    return tuple(found)


# --- from and to the folder -----------------------------------------------------------------------


def write_request(folder: Path, request: Request) -> None:
    """Writes the plant, then `run.json`, which says that all is there."""
    artefact.save_plant(folder / "plant", request.plant, "plant")
    files.write_json(folder / "run.json", request.to_json())


def read_request(folder: Path, plant: Any = None) -> Request:
    """The request of a run folder.

    Args:
        folder: The run folder.
        plant: The plant, where it was given as a Python object, which no file can hold: in the
            run's own tier, or in any other.

    Raises:
        RunFolderError: If it holds no run, or one of another schema.
        ArtefactError: If a file is damaged, or the plant is not the one that was asked for.
        PlantedError: If the plant must be given and is not.
    """
    raw = read_raw(folder)
    path = folder / "run.json"
    try:
        name, tier, digest = raw["plant"], raw["tier"], raw["plant_sha256"]
        origin, _ = str(raw["origin"]), dict(raw["parameters"])
        recipes, controls = (
            tuple(
                Asked(
                    item["name"],
                    _recipe_from(item),
                )
                for item in raw[key]
            )
            for key in ("recipes", "controls")
        )
        findings = tuple(msgspec.convert(raw["findings"], list[Finding]))
        if not isinstance(name, str) or not recipes:
            raise TypeError("plant or recipes")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, PlantedError):
            raise
        raise ArtefactError(f"{path} is not a request ({error!r}).") from None
    if not isinstance(plant, Plant) or plant.tier != tier:
        plant = plants.reopened(folder, origin, name, plant)
    if (plant.name, plant.tier, artefact.plant_digest(plant)) != (name, tier, digest):
        raise ArtefactError(
            f"{folder / 'plant'} holds {plant.name} ({plant.tier}) with other weights or tasks "
            f"than {path} asks for. Repeat the command that made the folder."
        )
    return Request(plant, origin, recipes, controls, findings)


def read_raw(folder: Path) -> dict[str, Any]:
    """The content of `run.json`.

    Raises:
        RunFolderError: If there is none, or of another schema.
        ArtefactError: If it is damaged.
    """
    path = folder / "run.json"
    if not path.exists():
        above = next((at for at in folder.absolute().parents if (at / path.name).exists()), None)
        if above is not None:
            raise RunFolderError(
                f"{folder} is a folder inside the run {above}, and holds no run.json. Name the run."
            )
        raise RunFolderError(
            f"{folder} holds no run (no run.json). Start one with: planted run NAME --out {folder}"
        )
    raw = files.read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("schema"), int):
        raise ArtefactError(f"{path} is not a request (it names no schema).")
    if raw["schema"] != SCHEMA:
        age = "an older" if raw["schema"] < SCHEMA else "a newer"
        made = raw.get("versions")
        version = made.get("planted", "unknown") if isinstance(made, dict) else "unknown"
        raise RunFolderError(
            f"{folder} was made by {age} planted (version {version}): {path.name} has schema "
            f"{raw['schema']}, this version reads {SCHEMA}. Open it with that version, or choose "
            "another folder."
        )
    return raw


def refuse_other_plant(folder: Path, plant: Plant) -> None:
    """Refuses a folder whose run is of another plant, tier or other parameters, and says which.

    Raises:
        RunFolderError: If the plants differ.
    """
    raw = read_raw(folder)
    here: dict[str, Any] = {
        "plant": plant.name,
        "tier": plant.tier,
        "parameters": dict(plant.scenario.parameters),
    }
    for key, own in here.items():
        found = raw.get(key)
        if found != json.loads(json.dumps(own)):
            if isinstance(own, dict) and isinstance(found, dict):
                parts = {k: (found.get(k), own.get(k)) for k in {*own, *found}}
                key = min(k for k, (there, asked) in parts.items() if there != asked)
                found, own = parts[key]
            raise RunFolderError(
                f"{folder} holds a run of another plant: its {key} is {found!r}, asked for is "
                f"{own!r}. Choose another folder."
            )
    if raw.get("plant_sha256") != artefact.plant_digest(plant):
        raise RunFolderError(
            f"{folder} holds a run of another {plant.name}: its weights, truth or tasks are not "
            "those of the plant of that name here. Choose another folder."
        )


def refuse_other_versions(folder: Path) -> None:
    """Refuses to go on with other versions: the seeds of one run would not be comparable.

    Raises:
        RunFolderError: If the run was begun with other versions than are installed.
    """
    found, here = read_raw(folder).get("versions"), environment.versions()
    if not isinstance(found, dict) or found != here:
        known = found if isinstance(found, dict) else {}
        differ = sorted(k for k in {*known, *here} if known.get(k) != here.get(k))
        named = ", ".join(f"{k} {known.get(k)} (here {here.get(k)})" for k in differ)
        raise RunFolderError(
            f"{folder} was begun with {named}: results would not be comparable bit by bit. Install "
            "those versions, or choose another folder."
        )


def is_foreign(folder: Path) -> bool:
    """Whether a folder without a request holds more than a start that was cut off leaves there.

    Raises:
        RunFolderError: If it cannot be looked into.
    """
    try:
        return any(path.name != "plant" and path.name[0] != "." for path in folder.iterdir())
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunFolderError(
            f"Cannot use {folder} as a run folder: {error.strerror}. Choose another folder."
        ) from None


def run_folder(given: Mapping[str, Any] | Any) -> Path:
    """A run folder from what a user gave.

    Raises:
        RunFolderError: If it is no path, or an empty one.
    """
    if not isinstance(given, str | Path):
        raise RunFolderError(f"out must be the path of a folder, as 'runs/demo'; got {given!r}.")
    if given == "":
        raise RunFolderError(f"out must name a folder, as 'runs/demo'; got {str(given)!r}.")
    return Path(given)
