"""The hall that joins the rooms: plant -> fine-tune -> evaluate -> report, in one folder.

Every arrow of the flow is files, so that a run can be opened, checked and continued at any of them;
the same request again resumes, another one in the same folder is refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from planted import library
from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, RunFolderError
from planted.eval.calibration.validation import ValidationResult
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import beside_negative_controls, cues_of
from planted.eval.evaluate import evaluate as evidence_on
from planted.eval.evidence import Evidence, Records, index
from planted.eval.reading import reading, sentence
from planted.eval.verdict.rule import decide
from planted.finetune.data import batches
from planted.finetune.masks import trainable
from planted.finetune.recipes import ARMS, NEGATIVE_CONTROLS, SHAM, Recipe
from planted.finetune.trainer import read_checkpoint
from planted.network.model import Model
from planted.runs.folder import (
    CheckpointResult,
    Run,
    evidence_path,
    is_foreign,
    judged,
    request_of,
    same_request,
    seed_folder,
)
from planted.runs.folder import open_request as open_request
from planted.runs.folder import open_run as open_run
from planted.runs.worker import Progress, require
from planted.runs.worker import work as work


def run(
    name: str,
    recipes: Recipe | str | Sequence[Recipe | str] = "pressure",
    *,
    out: str | Path,
    tier: str = "tempered",
    parameters: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Plants, fine-tunes, evaluates and reports; resumes what is there.

    Args:
        name: Name of the plant, as "red-doors".
        recipes: One or several recipes or their names.
        out: The run folder.
        tier: Where training starts.
        parameters: Scenario parameters other than the defaults.
        progress: Called with {"recipe", "phase", "done", "total", "worker"} as the work goes on.

    Raises:
        PlantedError: For a wrong request, or a missing package.
        RunFolderError: If the folder holds another request, or cannot be written.
    """
    wanted = _recipes(recipes)
    folder = Path(out)
    require("train", "report")
    timings: dict[str, float] = {}
    for phase, step in (
        ("plant", lambda: plant_into(folder, name, wanted, tier, parameters)),
        ("finetune and evaluate", lambda: work(folder, "train+judge", progress)),
        ("judge", lambda: settle(folder)),
        ("report", lambda: report(folder)),
    ):
        started = time.perf_counter()
        step()
        timings[phase] = round(time.perf_counter() - started, 2)
    earlier = folder / "timings.json"  # one row a call: a resumed run has several
    rows = files.read_json(earlier) if earlier.exists() else []
    files.write_json(earlier, [*(rows if isinstance(rows, list) else []), timings])
    return open_run(folder)


def _recipes(given: Any) -> list[Recipe]:
    """Recipes from recipes and names.

    Raises:
        PlantedError: If something else is among them.
    """
    items = [given] if isinstance(given, Recipe | str) else given
    if not isinstance(items, list | tuple) or not all(isinstance(x, Recipe | str) for x in items):
        raise PlantedError(
            f"Recipes are planted.Recipe objects or their names, as 'pressure'; got {given!r}."
        )
    return [Recipe(item) if isinstance(item, str) else item for item in items]


def plant_into(
    folder: Path,
    name: str,
    recipes: Sequence[Recipe],
    tier: str = "tempered",
    parameters: Mapping[str, Any] | None = None,
) -> Plant:
    """Writes the request and the plant into a run folder, or finds them there.

    A request that cannot work is refused before it takes the folder.

    Raises:
        PlantedError: For a wrong request, or a missing package.
        RunFolderError: If the folder belongs to another request or version, or cannot be used.
    """
    require("train")
    plant = library.get(name, tier, parameters)
    _check_request(plant, recipes)
    request = request_of(plant, recipes)
    found = folder / "run.json"
    if found.exists():
        same_request(folder, files.read_json(found), request)
    elif is_foreign(folder):
        raise RunFolderError(f"{folder} is not empty and holds no run. Choose another folder.")
    artefact.save_plant(folder / "plant", plant, "plant")
    files.write_json(found, request)
    return plant


def _check_request(plant: Plant, recipes: Sequence[Recipe]) -> None:
    """Refuses what no training could begin with, or no verdict could be given on."""
    if not recipes:
        raise PlantedError("A run needs at least one recipe.")
    names = [recipe.name for recipe in recipes]
    for recipe in recipes:
        name = recipe.name
        if recipe.base in ARMS:
            raise PlantedError(f"Recipe {name!r} is part of every run; it is not asked for.")
        if names.count(name) > 1:
            raise PlantedError(f"Recipe {name!r} is asked for twice in one run.")
    if not plant.truth.of_role("score"):
        raise PlantedError(
            f"{plant.name} is a twin: it has no planted objective whose fate could be judged. Run "
            "a plant that searches, as 'red-doors'."
        )
    for recipe in recipes:
        trainable(recipe.settings.train, plant.params)
        batches(plant.scenario, msgspec.structs.replace(recipe.settings, batch=1), 0, 0)


def settle(folder: Path) -> Run:
    """Puts nulls beside the evidence, gives the verdicts, and writes the records of the run."""
    plant, recipes = open_request(folder)
    cues = cues_of(plant.scenario)
    arms = [recipe for recipe in recipes if recipe.name in NEGATIVE_CONTROLS]
    own = [recipe for recipe in recipes if recipe.name not in ARMS]
    raw = {
        (recipe.name, seed): judged(folder, plant, recipe, seed)
        for recipe in recipes
        for seed in range(recipe.seeds)
    }
    nulls = {arm.name: [index(raw[(arm.name, seed)]) for seed in range(arm.seeds)] for arm in arms}
    controls = [
        index(raw[(arm.name, seed)])
        for arm in recipes
        if arm.name in SHAM
        for seed in range(arm.seeds)
    ]
    rows, verdicts, training = [], [], []
    for recipe in [*own, *arms]:
        for seed in range(recipe.seeds):
            others = dict(nulls)
            if recipe.name in nulls:  # a null is held against the others of its arm, not itself
                others[recipe.name] = [
                    records for k, records in enumerate(nulls[recipe.name]) if k != seed
                ]
            records = beside_negative_controls(raw[(recipe.name, seed)], others, cues, controls)
            verdict = decide(index(records), cues)
            where = {"recipe": recipe.name, "seed": seed}
            rows += [{**where, **msgspec.to_builtins(record)} for record in records]
            verdicts.append(
                {
                    **where,
                    **msgspec.to_builtins(verdict),
                    "null": recipe.name in nulls,
                    "reading": reading(index(records), cues),
                    "sentence": sentence(index(records), cues),
                }
            )
            _, log = read_checkpoint(seed_folder(folder, recipe.name, seed), plant, recipe, seed)
            training += [{"recipe": recipe.name, **row} for row in log]
    files.write_lines(folder / "training.jsonl", training)
    files.write_lines(folder / "evidence.jsonl", rows)
    files.write_json(folder / "verdicts.json", verdicts)
    return open_run(folder)


def report(folder: Path) -> Path:
    """Writes `report.html`, a pure function of the records in the folder.

    Raises:
        PlantedError: If jinja2 is missing.
    """
    require("report")
    from planted.eval.report.page import RunData, render

    opened = open_run(folder)
    _, recipes = open_request(folder)
    request = files.read_json(folder / "run.json")
    training, diagnostics = _logs(folder, recipes)

    def by_recipe(
        seeds: Iterable[CheckpointResult], value: Callable[[CheckpointResult], Any]
    ) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for seed in seeds:
            out.setdefault(seed.recipe, {})[seed.seed] = value(seed)
        return out

    def verdict_rows(seeds: Iterable[CheckpointResult]) -> dict[str, list[dict[str, Any]]]:
        out: dict[str, list[dict[str, Any]]] = {}
        for seed in seeds:
            row = {"seed": seed.seed, **msgspec.to_builtins(seed.verdict)}
            row["reasons"] = list(seed.verdict.reasons)
            out.setdefault(seed.recipe, []).append(row)
        return out

    page = render(
        RunData(
            plant=opened.plant,
            request=request,
            cues=cues_of(opened.plant.scenario),
            verdicts=verdict_rows(opened.seeds),
            evidence=by_recipe(opened.seeds, _records),
            nulls=by_recipe(opened.nulls, _records),
            null_verdicts=verdict_rows(opened.nulls),
            training={k: v for k, v in training.items() if k not in NEGATIVE_CONTROLS},
            diagnostics=diagnostics,
        )
    )
    path = folder / "report.html"
    files.write_bytes(path, page.encode())
    return path


def _logs(folder: Path, recipes: Sequence[Recipe]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The training rows and the diagnostics of a run, by recipe and seed.

    Raises:
        ArtefactError: If one of them is missing or damaged.
    """
    training: dict[str, dict[int, list[dict[str, Any]]]] = {}
    diagnostics: dict[str, dict[int, Any]] = {}
    try:
        for row in files.read_lines(folder / "training.jsonl"):
            if missing := {"step", "loss", "gradient", "update"} - set(row):
                raise KeyError(min(missing))
            training.setdefault(row["recipe"], {}).setdefault(row["seed"], []).append(row)
        for recipe in recipes:
            for seed in range(recipe.seeds) if recipe.name not in ARMS else ():
                found = files.read_json(evidence_path(folder, recipe.name, seed))[
                    "weight_diagnostics"
                ]
                diagnostics.setdefault(recipe.name, {})[seed] = found
    except (KeyError, TypeError) as error:
        raise ArtefactError(
            f"The records in {folder} are damaged ({error!r}). Run: planted evaluate {folder}"
        ) from None
    return training, diagnostics


def evaluate(
    checkpoint: Any,
    plant: Model | Plant | str,
    *,
    tier: str = "tempered",
    controls: ValidationResult | None = None,
) -> tuple[list[Evidence], dict[str, Any]]:
    """Evidence and reading of weights from the user's own training loop.

    A verdict needs networks without the plant trained to the same behaviour, which only a run has;
    `planted.eval.verdict.decide` gives one from records with nulls beside them.

    Args:
        checkpoint: A torch module made by `Model.module`, a mapping of parameters, or the path of a
            safetensors file.
        plant: The plant it was trained from, or its name.
        tier: Its tier, where a name is given.
        controls: How the validation models of a plant of your own were read
            (`planted.eval.calibration.validation.validate`); without them nothing says by which
            path the choice is made.

    Raises:
        CheckpointError: If it does not have the plant's tensors and shapes, or holds NaN.
    """
    if isinstance(plant, str):
        plant = library.get(plant, tier)
    made = plant.plant if isinstance(plant, Model) else plant
    what = "the checkpoint"
    if isinstance(checkpoint, str | Path):
        what, checkpoint = str(checkpoint), files.read_tensors(Path(checkpoint))[0]
    elif hasattr(checkpoint, "to_params"):
        checkpoint = checkpoint.to_params()
    elif not isinstance(checkpoint, Mapping):
        raise PlantedError(
            f"Cannot read weights from a {type(checkpoint).__name__}: pass a Model.module that was "
            "trained on, a mapping of parameters, or a safetensors path."
        )
    subject = Checkpoint(made, made.check_params(checkpoint, what))
    records = evidence_on(subject, None if controls is None else controls.trust)
    return records, reading(index(records), cues_of(made.scenario))


def _records(seed: CheckpointResult) -> Records:
    return seed.records
