"""What a run folder was asked for, in `run.json`; a request grows, its plant stays.

More seeds, another recipe or more negative controls are added to what a folder holds already.
Another plant, tier or other parameters are another run, and refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, RunFolderError, unknown
from planted.eval.calibration import shipped
from planted.eval.calibration.shipped import Table
from planted.finetune.recipes import ARMS, SHAM, Recipe, slug_of
from planted.finetune.settings import Settings
from planted.runs import plants
from planted.runs.asked import CONTROL_SEEDS as CONTROL_SEEDS
from planted.runs.asked import LEAST_CONTROLS as LEAST_CONTROLS
from planted.runs.asked import Asked as Asked
from planted.runs.asked import Shipped as Shipped
from planted.runs.asked import controls_of as controls_of
from planted.runs.asked import grown as grown
from planted.runs.asked import recipes_of as recipes_of
from planted.runs.cell import Cell, Network
from planted.runs.findings import Finding

SCHEMA = 3
AGAIN = "Remove it and repeat the command that made the folder: it finds every network again."
# What a run leaves in its folder beside the plant and `run.json`.
RECORDS = (
    "training.jsonl",
    "evidence.jsonl",
    "verdicts.json",
    "nulls.json",
    "report.html",
    "timings.json",
)
CONTROLS = "controls.jsonl"  # the shipped records that the run uses, copied
OWN_FILES = ("cells", CONTROLS, *RECORDS)


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
    for seed in asked.seeds:
        cell = Cell(plant_digest, asked.recipe.settings, seed)
        place = folder / "cells" / cell.folder_name(slug)
        found.append(Network(asked.name, asked.recipe, cell, place))
    return found


def _listed(asked: Asked) -> dict[str, Any]:
    listed = {
        "name": asked.name,
        "recipe": asked.recipe.base,
        "seeds": asked.recipe.seeds,
        "settings": msgspec.to_builtins(asked.recipe.settings),
    }
    if asked.is_control:
        shipped = msgspec.to_builtins(asked.shipped)
        listed |= {"first": asked.first, "shipped": shipped, "why": asked.why}
    return listed


def _asked_from(item: Mapping[str, Any]) -> Asked:
    """What a run folder says of a recipe; older ones know of no shipped controls."""
    first = msgspec.convert(item.get("first", 0), int)
    shipped = msgspec.convert(item.get("shipped"), Shipped | None)
    return Asked(item["name"], _recipe_from(item), first, shipped, str(item.get("why", "")))


def _recipe_from(item: Mapping[str, Any]) -> Recipe:
    """A recipe from what a run folder says of it."""
    base, name = item["recipe"], item["name"]
    settings = msgspec.convert(item["settings"], Settings)
    automatic = Recipe(base, seeds=item["seeds"], settings=settings)
    if name in (automatic.name, *ARMS):
        return automatic
    return Recipe(base, name=name, seeds=item["seeds"], settings=settings)


def write_request(folder: Path, request: Request, table: Table | None = None) -> None:
    """Writes the plant and shipped controls, then `run.json`, which says that all is there."""
    artefact.save_plant(folder / "plant", request.plant, "plant")
    if table is not None:
        shipped.write(folder / CONTROLS, table)
    files.write_signed(folder / "run.json", request.to_json())


def recipes_in(folder: Path) -> list[Recipe]:
    """The recipes that a run folder asks for; none where it holds no run.

    Raises:
        RunFolderError: If it holds one of another schema.
        ArtefactError: If a file is damaged.
    """
    if not (folder / "run.json").exists():
        return []
    raw = read_raw(folder)
    with _as_request(folder):
        return [asked.recipe for asked in _asked_in(raw, "recipes")]


@contextmanager
def _as_request(folder: Path) -> Iterator[None]:
    """Names the file where what was read from it is no request."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, PlantedError):
            raise
        path = folder / "run.json"
        raise ArtefactError(f"{path} is not a request ({error!r}). {AGAIN}") from None


def _asked_in(raw: Mapping[str, Any], key: str) -> tuple[Asked, ...]:
    return tuple(_asked_from(item) for item in raw[key])


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
    with _as_request(folder):
        name, tier, digest = raw["plant"], raw["tier"], raw["plant_sha256"]
        origin, _ = str(raw["origin"]), dict(raw["parameters"])
        recipes, controls = _asked_in(raw, "recipes"), _asked_in(raw, "controls")
        findings = tuple(msgspec.convert(raw["findings"], list[Finding]))
        if not isinstance(name, str) or not recipes:
            raise TypeError("plant or recipes")
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
        if (folder / "cells").exists():
            raise RunFolderError(
                f"{path} is missing. Repeat the command that made the folder: it finds every "
                "network again."
            )
        above = next((at for at in folder.absolute().parents if (at / path.name).exists()), None)
        if above is not None:
            raise RunFolderError(
                f"{folder} is a folder inside the run {above}, and holds no run.json. Name the run."
            )
        raise RunFolderError(
            f"{folder} holds no run (no run.json). Start one with: planted run NAME --out {folder}"
        )
    try:
        raw = files.read_json(path)
    except ArtefactError:
        raise ArtefactError(f"{path} is no readable JSON. {AGAIN}") from None
    if not isinstance(raw, dict) or type(raw.get("schema")) is not int:
        raise ArtefactError(f"{path} is not a request (it names no schema). {AGAIN}")
    if raw["schema"] != SCHEMA:
        age = "an older" if raw["schema"] < SCHEMA else "a newer"
        made = raw.get("versions")
        version = made.get("planted", "unknown") if isinstance(made, dict) else "unknown"
        raise RunFolderError(
            f"{folder} was made by {age} planted (version {version}): {path.name} has schema "
            f"{raw['schema']}, this version reads {SCHEMA}. Open it with that version, or choose "
            "another folder."
        )
    try:
        return files.read_signed(path)
    except ArtefactError:
        raise ArtefactError(
            f"{path} was altered: its content is not what its own SHA-256 says. {AGAIN}"
        ) from None


def of_object(folder: Path) -> bool:
    """Whether the run in a folder was made from a plant that was given as a Python object.

    Raises:
        RunFolderError: As `read_raw`.
        ArtefactError: As `read_raw`.
    """
    return read_raw(folder).get("origin") == plants.OBJECT


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


def refuse_idle(folder: Path, tier: str | None, parameters: Mapping[str, Any] | None) -> None:
    """Refuses a tier or parameters that are asked of a run which has others.

    Raises:
        RunFolderError: Naming the first that differs.
    """
    raw = read_raw(folder)
    here = {"tier": raw.get("tier"), **(raw.get("parameters") or {})}
    for name, asked in {**({} if tier is None else {"tier": tier}), **(parameters or {})}.items():
        if name not in here or here[name] != asked:
            raise RunFolderError(
                f"{folder} holds a run whose {name} is {here.get(name)!r}, asked for is {asked!r}. "
                "A run keeps its plant: leave it out, or choose another folder."
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


def is_foreign(folder: Path, plant: Plant) -> bool:
    """Whether a folder without a request holds more than a run of this plant leaves there.

    Raises:
        RunFolderError: If it cannot be looked into, or holds networks of another plant.
    """
    try:
        found = {path.name for path in folder.iterdir() if path.name[0] != "."}
    except FileNotFoundError:
        return False
    except OSError as error:
        raise RunFolderError(
            f"Cannot use {folder} as a run folder: {error.strerror}. Choose another folder."
        ) from None
    aside = {name for name in found if name.endswith(".damaged")}
    own = found - aside <= {"plant", *OWN_FILES} and (found <= {"plant"} or "plant" in found)
    if own and any(digest != artefact.plant_digest(plant) for digest in _trained_from(folder)):
        raise RunFolderError(
            f"{folder} holds networks of another plant than {plant.name} ({plant.tier}), or of one "
            "with other parameters. Repeat the command that made it, or choose another folder."
        )
    return not own


def _trained_from(folder: Path) -> set[str]:
    """The digests of the plants that networks in a folder were trained from."""
    found = set()
    for path in (folder / "cells").glob("*/cell.json"):
        with suppress(ArtefactError):  # damaged: set aside where it is needed
            found.add(str(files.read_signed(path).get("plant")))
    return found


def check_asked(folder: Path, recipe: str | None, seed: int, plant: Any = None) -> None:
    """Refuses a recipe or a seed that a run does not have, finished or not.

    Raises:
        UnknownNameError: If the run has no recipe or negative control of that name.
        PlantedError: If the recipe has no such seed.
        RunFolderError: If the folder holds no run.
    """
    request = read_request(folder, plant)
    seeds = {
        asked.name: asked.seeds
        for asked in (*request.recipes, *request.controls)
        if asked.recipe.base not in SHAM
    }
    name = next(iter(seeds)) if recipe is None else recipe
    changed = [each for each in seeds if each.startswith(f"{name} ")]
    if name not in seeds and len(changed) == 1:
        name = changed[0]
    if name not in seeds and any(asked.name == name for asked in request.controls):
        raise PlantedError(
            f"{name!r} is sham fine-tuning, which gets no verdict: its figures are what those of "
            "other networks are held against. Explain a recipe or a negative control."
        )
    if name not in seeds:
        raise unknown("recipe of this run", name, seeds)
    if seed not in seeds[name]:
        known = ", ".join(map(str, seeds[name]))
        raise PlantedError(f"No seed {seed} of recipe {name!r} in {folder}. Its seeds are {known}.")


def run_folder(given: Mapping[str, Any] | Any) -> Path:
    """A run folder from what a user gave.

    Raises:
        RunFolderError: If it is no path, an empty one, or holds a character that no path can.
    """
    if "\0" in str(given):
        raise RunFolderError(f"out holds the character NUL, which no path can; got {given!r}.")
    if not isinstance(given, str | Path):
        raise RunFolderError(f"out must be the path of a folder, as 'runs/demo'; got {given!r}.")
    if given == "":
        raise RunFolderError(f"out must name a folder, as 'runs/demo'; got {str(given)!r}.")
    return Path(given)
