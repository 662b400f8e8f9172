"""The flow, joined: plant -> fine-tune -> evaluate -> report, in one folder.

The same request again resumes; a larger one adds to what is there; every network is a cell
(`planted.runs.cell`) that is trained once on this machine.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.errors import ArtefactError, PlantedError, RunFolderError
from planted.eval import measures
from planted.eval.calibration.shipped import Table
from planted.finetune import signals, tiers
from planted.finetune.behaviour import demands
from planted.finetune.data import batches
from planted.finetune.masks import trainable
from planted.finetune.recipes import NEGATIVE_CONTROLS, Recipe
from planted.runs import networks, nulls, plants
from planted.runs import request as requests
from planted.runs.executor import Executor
from planted.runs.findings import Finding, about_scenario, about_trust, findings_of
from planted.runs.folder import open_run as open_run
from planted.runs.folder import settle as settle
from planted.runs.measuring import measure as measure
from planted.runs.own import evaluate as evaluate
from planted.runs.page import report as report
from planted.runs.progress import Progress
from planted.runs.request import LEAST_CONTROLS, Request
from planted.runs.request import check_asked as check_asked
from planted.runs.request import run_folder as run_folder
from planted.runs.results import Run as Run
from planted.runs.work import PHASES, require


def run(
    plant: Any = None,
    recipes: Recipe | str | Sequence[Recipe | str] | None = None,
    *,
    out: str | Path,
    tier: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    controls: int | Sequence[Recipe] | None = None,
    anyway: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **unknown: Any,
) -> Run:
    """Plants, fine-tunes, evaluates and reports; resumes a run, or adds networks to it.

    Takes about ten seconds of one core for each network of red-doors. Besides the networks asked
    for, a run has some that their figures are compared with: three negative controls and sham
    fine-tuning. Where records of these are shipped for the plant, 2 seeds of each are trained and
    compared with them; if these lie outside the range of the shipped ones, or none are shipped, all
    are trained (`run.nulls` says which). Networks that were trained on this machine before are
    copied from the cache.

    Args:
        plant: A catalogue name, as "red-doors", "module:function", or a model from `planted.plant`;
            None continues the run in `out`.
        recipes: One or several recipes or their names. If None: "pressure", or nothing more where
            `out` holds a run.
        out: The run folder. More seeds, other recipes and more controls are added to a run that it
            holds; a run of another plant is refused.
        tier: The tier that training starts from. If None: "tempered" for a name or a model in tier
            "exact"; for any other model its own tier.
        parameters: Scenario parameters other than the defaults, for a catalogue plant.
        controls: Number of seeds of each negative control and of sham fine-tuning, all trained
            here; if None, as in the folder, or 2 beside shipped records, or 8 where none are
            shipped. Or their recipes, as `[Recipe("no-plant-base", steps=100), Recipe("sham")]`.
        anyway: Train even if it is known beforehand that every verdict will be "inconclusive".
        executor: Runs the jobs, as `dask.distributed.Client().get_executor()`; processes on this
            machine if None.
        progress: Called with {"done", "total", "phase", "recipe", "seed", "next", "left_s"} as
            networks are finished.
        **unknown: Nothing; a wrong name is refused.

    Raises:
        PlantedError: For a wrong request, a missing package, or one that can only end in
            "inconclusive" (`forecast`), unless `anyway`.
        RunFolderError: If the folder holds a run of another plant, or cannot be written.

    Example:
        One seed beside its controls, about a minute on two cores.

        >>> import tempfile
        >>> import planted
        >>> recipe = planted.Recipe("read-out", seeds=1)
        >>> run = planted.run("red-doors", recipe, out=tempfile.mkdtemp())
        >>> run.verdicts
        {'read-out': {'dormant': 1}}
        >>> run[0].outcome.status, run[0].label.fate
        ('reached', 'dormant')
        >>> planted.open_run(run.folder).verdicts == run.verdicts
        True
    """
    _refuse_unknown(unknown)
    folder = requests.run_folder(out)
    require("train", "report")
    timings: dict[str, float] = {}

    def timed(phase: str, started: float) -> float:
        now = time.perf_counter()
        timings[phase] = round(now - started, 2)
        return now

    now = time.perf_counter()
    if plant is None and recipes is None and controls is None:
        requests.refuse_idle(folder, tier, parameters)
        request = requests.read_request(folder)
        requests.refuse_other_versions(folder)
    else:
        request = plant_into(
            folder, plant, recipes, tier, parameters, controls=controls, anyway=anyway
        )
    now = timed("plant", now)
    request = networks.make(folder, request, executor=executor, progress=progress)
    now = timed("finetune and evaluate", now)
    settle(folder, request.plant)
    now = timed("judge", now)
    report(folder, request.plant)
    timed("report", now)
    _add_timings(folder / "timings.json", timings)
    return open_run(folder, request.plant)


def _add_timings(path: Path, timings: Mapping[str, float]) -> None:
    """Adds a row, one a call: a resumed run has several. Rows that cannot be read are given up."""
    rows: Any = []
    if path.exists():
        with suppress(ArtefactError):
            rows = files.read_json(path)
    files.write_json(path, [*(rows if isinstance(rows, list) else []), timings])


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in ("seeds", *Recipe("pressure").settings.__struct_fields__):
            raise PlantedError(
                f"{name!r} belongs to a recipe: planted.run(..., planted.Recipe('pressure', "
                f"{name}={given[name]!r}))."
            )
        raise PlantedError(
            f"planted.run has no argument {name!r}; it has plant, recipes, out, tier, parameters, "
            "controls, anyway, executor, progress."
        )


def forecast(
    plant: Any,
    recipes: Recipe | str | Sequence[Recipe | str] = "pressure",
    *,
    tier: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    controls: int | Sequence[Recipe] | None = None,
) -> list[Finding]:
    """Findings about a run before training: which verdicts it cannot give, and why.

    Takes well under a second for a plant that is shipped or in the cache; any other is planted
    first, which takes a minute or more in tier "tempered". Nothing is trained.

    Args:
        plant: As for `run`.
        recipes: As for `run`.
        tier: As for `run`.
        parameters: As for `run`.
        controls: As for `run`.

    Returns:
        The findings. `finding.blocking` is True where the only possible verdict is "inconclusive".
        Empty if nothing is known that limits the verdicts.

    Raises:
        PlantedError: For a wrong request.

    Example:
        >>> import planted
        >>> found = planted.forecast("red-doors-aligned", "coincident")
        >>> found[0].name, found[0].blocking
        ('no-disagreement', True)
    """
    made = plants.start_of(plant, tier, parameters)
    trust, wanted = library.trust(made), requests.recipes_of(recipes)
    if controls is None:
        beside = [asked.counted for asked in nulls.usual(made, trust)[0]]
    else:
        beside = requests.controls_of(controls)
    return findings_of(made, wanted, beside, trust, LEAST_CONTROLS)


def plant_into(
    folder: Path,
    plant: Any,
    recipes: Recipe | str | Sequence[Recipe | str] | None = None,
    tier: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    *,
    controls: int | Sequence[Recipe] | None = None,
    anyway: bool = False,
) -> Request:
    """Writes the request and the plant into a run folder, or adds to the request that is there.

    A request that cannot work is refused before it takes the folder.

    Args:
        folder: The run folder.
        plant: As for `run`; the folder's own if None.
        recipes: As for `run`.
        tier: As for `run`.
        parameters: As for `run`.
        controls: As for `run`.
        anyway: As for `run`.

    Raises:
        PlantedError: For a wrong request, a missing package, or one that can only end in
            "inconclusive", unless `anyway`.
        RunFolderError: If the folder belongs to another plant or version, or cannot be used.
    """
    require("train")
    asked = requests.recipes_of("pressure" if recipes is None else recipes)
    own_controls = None if controls is None else requests.controls_of(controls)
    _import_plugins(tier, [*asked, *(own_controls or ())])
    before: Request | None = None
    begun = (folder / "run.json").exists()
    if begun and recipes is None:
        asked = []
    if plant is None:
        requests.refuse_idle(folder, tier, parameters)
    if plant is None or (begun and not tier and not parameters and requests.of_object(folder)):
        before = requests.read_request(folder, plant)
        made = before.plant
    else:
        scenario = None if anyway else plants.scenario_of(plant, parameters)
        if scenario is not None:  # said before compiling and tempering, which may take minutes
            _refuse_early(plant, scenario, asked)
        made = plants.start_of(plant, tier, parameters)
    if begun:
        requests.refuse_other_plant(folder, made)
        requests.refuse_other_versions(folder)
        before = requests.read_request(folder, made)
    elif requests.is_foreign(folder, made):
        raise RunFolderError(f"{folder} is not empty and holds no run. Choose another folder.")
    _check_trainable(made, asked)
    every, trust = requests.grown(before.recipes if before else (), asked), library.trust(made)
    beside, table = (before.controls if before else ()), None
    if own_controls is None and before is None:
        beside, table = nulls.usual(made, trust)
    beside = requests.grown(beside, own_controls or ())
    counted = [each.counted for each in beside]
    found = findings_of(made, [a.recipe for a in every], counted, trust, LEAST_CONTROLS)
    _refuse_blocked(found, anyway)
    _warn_of_few(beside)
    origin = before.origin if before else made.origin
    request = Request(made, origin, every, beside, tuple(found))
    return _written(folder, request, table)


def _written(folder: Path, request: Request, table: Table | None) -> Request:
    """The request, once it is in the folder with the shipped controls that it uses."""
    if obstacle := files.write_obstacle(folder):
        raise RunFolderError(obstacle)
    requests.write_request(folder, request, table)
    return request


def _import_plugins(tier: str | None, recipes: Iterable[Recipe]) -> None:
    """Imports what other packages bring to a run: a broken one is said before minutes of work."""
    if tier is not None:
        tiers.check(tier)
        tiers.get(tier)
    for recipe in recipes:
        signals.get(recipe.settings.signal)
    measures.all_measures()


def _warn_of_few(controls: Iterable[requests.Asked]) -> None:
    """Warns where seeds suffice for the recipes' verdicts, but not for those on the controls."""
    seeds = {a.counted.seeds for a in controls if a.recipe.base in NEGATIVE_CONTROLS}
    if LEAST_CONTROLS in seeds:
        warnings.warn(
            f"With {LEAST_CONTROLS} seeds of a negative control, the verdict on that control can "
            f"only be inconclusive: it is compared with its other seeds, and {LEAST_CONTROLS} are "
            f"needed. Use --controls {LEAST_CONTROLS + 1} (controls={LEAST_CONTROLS + 1}) or more.",
            stacklevel=4,
        )


def _refuse_blocked(findings: Iterable[Finding], anyway: bool) -> None:
    """Refuses a run that can only end in "inconclusive"; warns of what limits the verdicts."""
    blocking = [finding for finding in findings if finding.blocking]
    if blocking and not anyway:
        reasons = [f"{one.says}; {one.why} ({one.name})." for one in blocking]
        lines = [
            "This run cannot give a verdict:",
            *(each if len(reasons) == 1 else f"  {each}" for each in reasons),
            "Every verdict of this run would be inconclusive. To train all the same: --anyway "
            "(anyway=True).",
        ]
        raise PlantedError((" " if len(reasons) == 1 else "\n").join(lines))
    for finding in findings:
        warnings.warn(str(finding), stacklevel=4)


def _refuse_early(plant: Any, scenario: Scenario, recipes: Sequence[Recipe]) -> None:
    """Refuses a named plant before it is compiled and tempered, where that is known by then."""
    _refuse_twin(str(plant), plants.is_twin(plant, scenario))
    for early in (
        about_scenario(scenario, recipes),
        about_trust(plants.trust(plant, scenario)),  # often for the same reason
    ):
        _refuse_blocked([finding for finding in early if finding.blocking], anyway=False)
    _check_drawable(scenario, recipes)


def _check_trainable(plant: Plant, recipes: Sequence[Recipe]) -> None:
    """Refuses what no training could begin with, or no verdict could be given on."""
    _refuse_twin(plant.name, not plant.truth.of_role("score"))
    for recipe in recipes:
        trainable(recipe.settings.train, plant)
    _check_drawable(plant.scenario, recipes)


def _refuse_twin(name: str, is_twin: bool) -> None:
    if is_twin:
        raise PlantedError(
            f"{name} is a twin: it has no planted objective whose fate could be judged. Run a "
            "plant that searches, as 'red-doors'."
        )


def _check_drawable(scenario: Scenario, recipes: Iterable[Recipe]) -> None:
    """Refuses a recipe whose tasks the scenario does not have; nothing is compiled for it."""
    for recipe in recipes:
        demands(scenario, recipe.settings)
        batches(scenario, msgspec.structs.replace(recipe.settings, batch=1), 0, 0)


def resume(
    folder: Path,
    phases: Sequence[str] = PHASES,
    progress: Progress | None = None,
    executor: Executor | None = None,
    plant: Any = None,
) -> Request:
    """Trains or judges what the run in a folder lacks, and mends what is damaged.

    Judging may train too: where shipped controls may not stand beside those trained here.

    Args:
        folder: The run folder.
        phases: "train", "judge" or both.
        progress: As for `run`.
        executor: As for `run`.
        plant: The plant, where it was given as a Python object, as for `open_run`.

    Raises:
        RunFolderError: If it holds no run, or was begun with other versions.
        ArtefactError: If a network is to be judged that is not trained.
        PlantedError: What a job reported.
    """
    request = requests.read_request(folder, plant)
    requests.refuse_other_versions(folder)
    return networks.make(folder, request, phases, executor=executor, progress=progress)
