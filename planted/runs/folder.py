"""The run folder: what was asked for, and what was found, opened and checked.

    RUN/run.json (the request, versions)   plant/{plant.json,plant.safetensors}   timings.json
        checkpoints/RECIPE/seed-KKK/step-NNNNNN.safetensors   evidence/RECIPE/seed-KKK.json
        training.jsonl   evidence.jsonl   verdicts.json   report.html

A folder belongs to one request. The same request again resumes, another one is refused; what was
altered, or made by other versions, is named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, RunFolderError, VerdictError
from planted.eval.evidence import Evidence, Records, index
from planted.eval.verdict.rule import Verdict
from planted.finetune.recipes import ARMS, SHAM, Recipe, Settings, slug_of
from planted.finetune.trainer import read_checkpoint
from planted.programs import catalogue

SCHEMA = 1
CONTROL_SEEDS = 3  # of each network that verdicts are held against


@dataclass(frozen=True)
class CheckpointResult:
    """One checkpoint of a run, judged.

    Attributes:
        recipe: Name of the recipe.
        seed: Training seed.
        verdict: Its verdict.
        reading: Its graded reading, per cue.
        records: Its evidence by (name, cue), nulls beside it.
    """

    recipe: str
    seed: int
    verdict: Verdict
    reading: dict[str, Any]
    records: Records

    @property
    def evidence(self) -> dict[str, Evidence]:
        """Its evidence by name; "name[T]" where it was measured under a cue."""
        return {
            name if cue == "all" else f"{name}[{cue}]": record
            for (name, cue), record in self.records.items()
        }


@dataclass(frozen=True)
class Run:
    """A run folder, opened.

    Attributes:
        folder: Where it is.
        plant: The planted model it started from.
        seeds: Every judged checkpoint, by recipe and seed.
        nulls: Networks without the plant, judged by the same rule.
    """

    folder: Path
    plant: Plant
    seeds: tuple[CheckpointResult, ...]
    nulls: tuple[CheckpointResult, ...]

    def __getitem__(self, at: int) -> CheckpointResult:
        """The checkpoint at this place."""
        return self.seeds[at]

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def verdicts(self) -> dict[str, dict[str, int]]:
        """Recipe -> how many of its seeds got each verdict."""
        found: dict[str, Counter[str]] = {}
        for seed in self.seeds:
            found.setdefault(seed.recipe, Counter())[seed.verdict.name] += 1
        return {recipe: dict(counts.most_common()) for recipe, counts in found.items()}


def open_run(folder: str | Path) -> Run:
    """A finished run, read from its folder.

    Raises:
        ArtefactError: If a file is missing or damaged.
    """
    folder = Path(folder)
    plant, recipes = open_request(folder)
    for path in (folder / "evidence.jsonl", folder / "verdicts.json"):
        if not path.exists():
            every = [(recipe, seed) for recipe in recipes for seed in range(recipe.seeds)]
            done = sum(evidence_path(folder, r.name, seed).exists() for r, seed in every)
            raise RunFolderError(
                f"{path} is missing: {done} of {len(every)} networks are judged so far, and "
                "verdicts come when all are. Let the run end, or repeat the command that began it; "
                f"if all are trained: planted evaluate {folder}"
            )
    found: dict[tuple[str, int], list[Evidence]] = {}
    seeds: list[CheckpointResult] = []
    nulls: list[CheckpointResult] = []
    try:
        for row in files.read_lines(folder / "evidence.jsonl"):
            key = (row.pop("recipe"), row.pop("seed"))
            found.setdefault(key, []).append(msgspec.convert(row, Evidence))
        for entry in files.read_json(folder / "verdicts.json"):
            key = (entry["recipe"], entry["seed"])
            verdict = msgspec.convert({k: entry[k] for k in Verdict.__struct_fields__}, Verdict)
            made = CheckpointResult(*key, verdict, entry["reading"], index(found[key]))
            (nulls if entry["null"] else seeds).append(made)
        expected = {(r.name, k) for r in recipes if r.name not in SHAM for k in range(r.seeds)}
        if {(seed.recipe, seed.seed) for seed in (*seeds, *nulls)} != expected:
            raise VerdictError("not every checkpoint has a verdict")
    except (KeyError, TypeError, AttributeError, VerdictError, msgspec.ValidationError) as error:
        raise ArtefactError(
            f"The records in {folder} are damaged ({error!r}). Run: planted evaluate {folder}"
        ) from None
    return Run(folder, plant, tuple(seeds), tuple(nulls))


def open_request(folder: Path) -> tuple[Plant, list[Recipe]]:
    """The plant and the recipes (the nulls' last) of a run folder.

    Raises:
        RunFolderError: If it holds no run.
        ArtefactError: If a file is damaged, or the plant is not the one that was asked for.
    """
    path = folder / "run.json"
    if not path.exists():
        raise RunFolderError(
            f"{folder} holds no run (no run.json). Start one with: planted run NAME --out {folder}"
        )
    request = files.read_json(path)
    try:
        if request["schema"] != SCHEMA:
            raise RunFolderError(
                f"{path} has schema {request['schema']!r}, this version reads {SCHEMA}. Use the "
                f"version of planted that made it ({request['versions']['planted']})."
            )
        name, tier, digest = request["plant"], request["tier"], request["plant_sha256"]
        scenario = catalogue.entry(name).make_scenario(request["parameters"])
        recipes = [
            Recipe(
                item["base"],
                name=item["name"],
                seeds=item["seeds"],
                settings=msgspec.convert(item["settings"], Settings),
            )
            for item in [*request["recipes"], *request["nulls"]]
        ]
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ArtefactError(f"{path} is not a request ({error!r}).") from None
    plant = artefact.load_plant(folder / "plant", "plant", scenario)
    if (plant.name, plant.tier, artefact.params_digest(plant.params)) != (name, tier, digest):
        raise ArtefactError(
            f"{folder / 'plant'} holds {plant.name} ({plant.tier}) with other weights than "
            f"{path} asks for. Repeat the request that made the folder."
        )
    return plant, recipes


def judged(folder: Path, plant: Plant, recipe: Recipe, seed: int) -> list[Evidence]:
    """The evidence on a checkpoint, if it is on this recipe and on the checkpoint that is there.

    Raises:
        ArtefactError: If it is missing or damaged, or is on other weights.
    """
    path = evidence_path(folder, recipe.name, seed)
    entry = files.read_json(path)
    try:
        made_for, weights, stated = entry["digest"], entry["checkpoint"], entry.pop("sha256")
        if stated != files.digest_of(entry):
            raise ArtefactError(f"{path} was altered. Remove it and evaluate again.")
        records = msgspec.convert(entry["records"], list[Evidence])
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise ArtefactError(
            f"{path} holds no evidence ({error!r}). Remove it and evaluate again."
        ) from None
    params, _ = read_checkpoint(seed_folder(folder, recipe.name, seed), plant, recipe, seed)
    if made_for != recipe.digest or weights != artefact.params_digest(params):
        raise ArtefactError(
            f"{path} is evidence on another checkpoint. Remove it and evaluate again."
        )
    return records


def seed_folder(folder: Path, recipe: str, seed: int) -> Path:
    """The folder of one seed's checkpoints in a run."""
    return folder / "checkpoints" / slug_of(recipe) / f"seed-{seed:03d}"


def evidence_path(folder: Path, recipe: str, seed: int) -> Path:
    """Where the evidence on one checkpoint is."""
    return folder / "evidence" / slug_of(recipe) / f"seed-{seed:03d}.json"


def request_of(plant: Plant, recipes: Sequence[Recipe]) -> dict[str, Any]:
    """What `run.json` holds: everything that the bytes of a run depend on."""

    def listed(recipe: Recipe) -> dict[str, Any]:
        return {
            "name": recipe.name,
            "base": recipe.base,
            "seeds": recipe.seeds,
            "settings": msgspec.to_builtins(recipe.settings),
        }

    return {
        "schema": SCHEMA,
        "plant": plant.name,
        "tier": plant.tier,
        "parameters": dict(plant.scenario.parameters),
        "plant_sha256": artefact.params_digest(plant.params),
        "recipes": [listed(recipe) for recipe in recipes],
        "nulls": [listed(Recipe(name, seeds=CONTROL_SEEDS)) for name in ARMS],
        "versions": environment.versions(),
    }


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


def same_request(folder: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    """Refuses to go on in the folder of another request, and says what differs.

    Raises:
        RunFolderError: If the two differ.
    """
    for key in sorted({*found, *wanted} if isinstance(found, dict) else wanted):
        have = found.get(key) if isinstance(found, dict) else None
        if have != wanted.get(key):
            where, own, other = _difference(key, have, wanted.get(key))
            raise RunFolderError(
                f"{folder} was made by another request: its {where} is {_short(own)}, this one's "
                f"is {_short(other)}. Repeat that request to resume it, or choose another "
                "folder."
            )


def _difference(where: str, own: Any, other: Any) -> tuple[str, Any, Any]:
    """The first place where two pieces of plain data differ, and what stands there."""
    if isinstance(own, dict) and isinstance(other, dict):
        for key in sorted({*own, *other}):
            if own.get(key) != other.get(key):
                return _difference(f"{where}.{key}", own.get(key), other.get(key))
    if isinstance(own, list) and isinstance(other, list) and len(own) == len(other):
        for at, (a, b) in enumerate(zip(own, other, strict=True)):
            if a != b:
                return _difference(f"{where}[{at}]", a, b)
    if where == "recipes" and isinstance(own, list) and isinstance(other, list):
        return "list of recipes", _named(own), _named(other)
    return where, own, other


def _named(recipes: Any) -> list[str]:
    return [f"{item.get('name')} × {item.get('seeds')} seeds" for item in recipes]


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 160 else text[:157] + "..."


def same_versions(folder: Path) -> None:
    """Refuses to go on with other versions: the seeds of one run would not be comparable.

    Raises:
        RunFolderError: If the run was begun with other versions than are installed.
    """
    request, here = files.read_json(folder / "run.json"), environment.versions()
    found = request.get("versions") if isinstance(request, dict) else None
    if found != here:
        raise RunFolderError(
            f"{folder} was begun with {_short(found)}, this is {_short(here)}: results would not "
            "be comparable bit by bit. Install those versions, or choose another folder."
        )
