"""The hall that joins the rooms: plant -> fine-tune -> evaluate -> report, in one folder.

Every arrow of the flow is files, so that a run can be opened, checked and continued at any of them;
the same request again resumes, another one in the same folder is refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from planted import library, store
from planted.errors import PlantedError, RunFolderError, need
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import beside_nulls, contexts_of
from planted.eval.evaluate import evaluate as evidence_on
from planted.eval.evidence import Evidence, Records, index
from planted.eval.reading import reading, sentence
from planted.eval.verdict import Verdict, decide
from planted.finetune.recipe import ARMS, CONTROLS, NULLS, Recipe, Settings
from planted.finetune.trainer import checkpoint_path, training_rows
from planted.model import Model
from planted.plant import Plant
from planted.worker import evidence_path

SCHEMA = 1
NULL_SEEDS = 3  # of each network that verdicts are held against
Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class Seed:
    """One checkpoint of a run, judged.

    Attributes:
        recipe: Name of the recipe.
        seed: Training seed.
        verdict: Its verdict.
        reading: Its graded reading, per context.
        records: Its evidence by (name, context), nulls beside it.
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
            name if context == "all" else f"{name}[{context}]": record
            for (name, context), record in self.records.items()
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
    seeds: tuple[Seed, ...]
    nulls: tuple[Seed, ...]

    def __getitem__(self, at: int) -> Seed:
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


# --- the whole flow -----------------------------------------------------------------------------


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
    given = [recipes] if isinstance(recipes, Recipe | str) else list(recipes)
    wanted = [Recipe(item) if isinstance(item, str) else item for item in given]
    folder = Path(out)
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
    store.write_json(folder / "timings.json", timings)
    return open_run(folder)


def plant_into(
    folder: Path,
    name: str,
    recipes: Sequence[Recipe],
    tier: str = "tempered",
    parameters: Mapping[str, Any] | None = None,
) -> Plant:
    """Writes the request and the plant into a run folder, or finds them there.

    Raises:
        RunFolderError: If the folder belongs to another request or version.
    """
    twice = [r for r, n in Counter(recipe.name for recipe in recipes).items() if n > 1]
    if twice:
        raise PlantedError(f"Recipe {twice[0]!r} is asked for twice in one run.")
    if not recipes:
        raise PlantedError("A run needs at least one recipe.")
    plant = library.get(name, tier, parameters)
    if plant.mechanism == "table":
        raise PlantedError(
            f"{plant.name} is a twin: it has no planted objective whose fate could be judged. Run "
            "a plant that searches, as 'red-doors'."
        )
    request = _request(plant, recipes)
    found = folder / "run.json"
    if found.exists():
        _same_request(folder, store.read_json(found), request)
    elif folder.exists() and any(folder.iterdir()):
        raise RunFolderError(
            f"{folder} is not empty and holds no run. Choose another --out, or empty it."
        )
    store.save_plant(folder / "plant", plant, "plant")
    store.write_json(found, request)
    return plant


def work(folder: Path, phase: str, progress: Progress | None = None) -> None:
    """Trains ("train"), judges ("judge") or both ("train+judge"), one process a core.

    Raises:
        PlantedError: What a worker reported.
        KeyboardInterrupt: When interrupted; finished work is on disk.
    """
    for module in ("jax", "optax", "scipy") if "train" in phase else ("scipy",):
        need(module, "fine-tune and evaluate")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    count = max(1, min(cores, int(os.environ.get("PLANTED_WORKERS", cores))))
    environment = {
        **os.environ,
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
        + os.environ.get("XLA_FLAGS", ""),
    }
    workers = [
        subprocess.Popen(
            # -P: a folder called planted where the user stands must not shadow this package
            [sys.executable, "-P", "-m", "planted.worker", str(folder), phase, str(i), str(count)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )
        for i in range(count)
    ]
    errors: list[str] = []
    trace: list[str] = []
    lock = threading.Lock()

    def listen(worker: subprocess.Popen[str]) -> None:
        for line in worker.stdout or ():
            said = json.loads(line)
            with lock:
                if "error" in said:
                    errors.append(said["error"])
                elif progress:
                    progress({**said, "worker": worker.pid})

    def drain(worker: subprocess.Popen[str]) -> None:
        text = (worker.stderr.read() if worker.stderr else "").strip()
        if text:
            with lock:
                trace.append(text)

    threads = [threading.Thread(target=f, args=(w,)) for w in workers for f in (listen, drain)]
    for thread in threads:
        thread.start()
    try:
        codes = [worker.wait() for worker in workers]
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
                worker.wait()
        for thread in threads:
            thread.join()
    if errors:
        raise PlantedError(errors[0])
    if any(codes):
        raise RuntimeError("A worker failed:\n" + "\n".join(trace))


def settle(folder: Path) -> Run:
    """Puts nulls beside the evidence, gives the verdicts, and writes the records of the run."""
    plant, recipes = open_request(folder)
    contexts = contexts_of(plant.scenario)
    arms = [recipe for recipe in recipes if recipe.name in NULLS]
    own = [recipe for recipe in recipes if recipe.name not in ARMS]
    raw = {
        (recipe.name, seed): _read_evidence(folder, recipe, seed)
        for recipe in recipes
        for seed in range(recipe.seeds)
    }
    nulls = {
        arm.name: [index(raw[(arm.name, seed)]) for seed in range(arm.seeds)] for arm in arms
    }
    controls = [
        index(raw[(arm.name, seed)])
        for arm in recipes
        if arm.name in CONTROLS
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
            records = beside_nulls(raw[(recipe.name, seed)], others, contexts, controls)
            verdict = decide(index(records), contexts)
            where = {"recipe": recipe.name, "seed": seed}
            rows += [{**where, **msgspec.to_builtins(record)} for record in records]
            verdicts.append(
                {**where, **msgspec.to_builtins(verdict), "null": recipe.name in nulls,
                 "reading": reading(index(records), contexts),
                 "sentence": sentence(index(records), contexts)}
            )
            path = checkpoint_path(folder / "checkpoints", recipe, seed)
            training += [{"recipe": recipe.name, **row} for row in training_rows(path)]
    store.write_lines(folder / "training.jsonl", training)
    store.write_lines(folder / "evidence.jsonl", rows)
    store.write_json(folder / "verdicts.json", verdicts)
    return open_run(folder)


def report(folder: Path) -> Path:
    """Writes `report.html`, a pure function of the records in the folder.

    Raises:
        PlantedError: If jinja2 or matplotlib is missing.
    """
    for module in ("jinja2", "matplotlib"):
        need(module, "write the report")
    from planted.eval.report.page import RunData, render

    opened = open_run(folder)
    _, recipes = open_request(folder)
    request = store.read_json(folder / "run.json")
    training: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for row in store.read_lines(folder / "training.jsonl"):
        training.setdefault(row["recipe"], {}).setdefault(row["seed"], []).append(row)

    def by_recipe(seeds: Iterable[Seed], value: Callable[[Seed], Any]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for seed in seeds:
            out.setdefault(seed.recipe, {})[seed.seed] = value(seed)
        return out

    def verdict_rows(seeds: Iterable[Seed]) -> dict[str, list[dict[str, Any]]]:
        out: dict[str, list[dict[str, Any]]] = {}
        for seed in seeds:
            row = {"seed": seed.seed, **msgspec.to_builtins(seed.verdict)}
            out.setdefault(seed.recipe, []).append(row)
        return out

    portraits = {
        recipe.name: {
            seed: store.read_json(evidence_path(folder, recipe.name, seed))["portrait"]
            for seed in range(recipe.seeds)
        }
        for recipe in recipes
        if recipe.name not in ARMS
    }
    page = render(
        RunData(
            plant=opened.plant, request=request, contexts=contexts_of(opened.plant.scenario),
            verdicts=verdict_rows(opened.seeds), evidence=by_recipe(opened.seeds, _records),
            nulls=by_recipe(opened.nulls, _records), null_verdicts=verdict_rows(opened.nulls),
            training={k: v for k, v in training.items() if k not in NULLS}, portraits=portraits,
        )
    )
    path = folder / "report.html"
    store.write_bytes(path, page.encode())
    return path


# --- opening what is there ----------------------------------------------------------------------


def open_run(folder: str | Path) -> Run:
    """A finished run, read from its folder.

    Raises:
        ArtefactError: If a file is missing or damaged.
    """
    folder = Path(folder)
    plant, _ = open_request(folder)
    found: dict[tuple[str, int], list[Evidence]] = {}
    for row in store.read_lines(folder / "evidence.jsonl"):
        key = (row.pop("recipe"), row.pop("seed"))
        found.setdefault(key, []).append(msgspec.convert(row, Evidence))
    seeds, nulls = [], []
    for entry in store.read_json(folder / "verdicts.json"):
        verdict = Verdict(
            entry["name"], entry["reason"], tuple(entry["reasons"]), entry["stamp"]
        )
        key = (entry["recipe"], entry["seed"])
        made = Seed(*key, verdict, entry["reading"], index(found[key]))
        (nulls if entry["null"] else seeds).append(made)
    return Run(folder, plant, tuple(seeds), tuple(nulls))


def open_request(folder: Path) -> tuple[Plant, list[Recipe]]:
    """The plant and the recipes (the nulls' last) of a run folder.

    Raises:
        RunFolderError: If it holds no run.
        ArtefactError: If a file is damaged.
    """
    if not (folder / "run.json").exists():
        raise RunFolderError(
            f"{folder} holds no run (no run.json). Start one with: planted run NAME --out {folder}"
        )
    request = store.read_json(folder / "run.json")
    try:
        entry_name, parameters = request["plant"].partition("@")[0], request["parameters"]
        recipes = [
            Recipe(
                item["name"], seeds=item["seeds"],
                settings=msgspec.convert(item["settings"], Settings),
            )
            for item in [*request["recipes"], *request["nulls"]]
        ]
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise RunFolderError(f"{folder / 'run.json'} is not a request ({error!r}).") from None
    scenario = library.catalogue.entry(entry_name).make_scenario(parameters)
    return store.load_plant(folder / "plant", "plant", scenario), recipes


def evaluate(
    checkpoint: Any, plant: Model | Plant | str, *, tier: str = "tempered"
) -> tuple[list[Evidence], dict[str, Any]]:
    """Evidence and reading of weights from the user's own training loop.

    A verdict needs networks without the plant trained to the same behaviour, which only a run has;
    `planted.eval.verdict.decide` gives one from records with nulls beside them.

    Args:
        checkpoint: A torch module made by `Model.module`, a mapping of parameters, or the path of a
            safetensors file.
        plant: The plant it was trained from, or its name.
        tier: Its tier, where a name is given.

    Raises:
        CheckpointError: If it does not have the plant's tensors and shapes, or holds NaN.
    """
    if isinstance(plant, str):
        plant = library.get(plant, tier)
    made = plant.plant if isinstance(plant, Model) else plant
    what = "the checkpoint"
    if isinstance(checkpoint, str | Path):
        what, checkpoint = str(checkpoint), store.read_tensors(Path(checkpoint))[0]
    elif hasattr(checkpoint, "to_params"):
        checkpoint = checkpoint.to_params()
    elif not isinstance(checkpoint, Mapping):
        raise PlantedError(
            f"Cannot read weights from a {type(checkpoint).__name__}: pass Model.module trained on, "
            "a mapping of parameters, or a safetensors path."
        )
    subject = Checkpoint(made, made.check_params(checkpoint, what))
    records = evidence_on(subject)
    return records, reading(index(records), contexts_of(made.scenario))


def _records(seed: Seed) -> Records:
    return seed.records


def _request(plant: Plant, recipes: Sequence[Recipe]) -> dict[str, Any]:
    def listed(recipe: Recipe) -> dict[str, Any]:
        return {"name": recipe.name, "seeds": recipe.seeds,
                "settings": msgspec.to_builtins(recipe.settings)}

    return {
        "schema": SCHEMA,
        "plant": plant.name,
        "tier": plant.tier,
        "parameters": dict(plant.scenario.parameters),
        "plant_sha256": store.params_digest(plant.params),
        "recipes": [listed(recipe) for recipe in recipes],
        "nulls": [listed(Recipe(name, seeds=NULL_SEEDS)) for name in ARMS],
        "versions": store.versions(),
    }


def _same_request(folder: Path, found: Any, wanted: Mapping[str, Any]) -> None:
    for key in sorted({*found, *wanted} if isinstance(found, dict) else wanted):
        have = found.get(key) if isinstance(found, dict) else None
        if have != wanted.get(key):
            raise RunFolderError(
                f"{folder} was made by another request: its {key} is {_short(have)}, this one's is "
                f"{_short(wanted.get(key))}. Repeat that request to resume it, or choose another "
                "--out."
            )


def _short(value: Any) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 160 else text[:157] + "..."


def _read_evidence(folder: Path, recipe: Recipe, seed: int) -> list[Evidence]:
    path = evidence_path(folder, recipe.name, seed)
    entry = store.read_json(path)
    if entry.get("digest") != recipe.digest:
        raise RunFolderError(f"{path} was made by other settings. Remove it and evaluate again.")
    return msgspec.convert(entry["records"], list[Evidence])
