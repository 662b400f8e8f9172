"""One process of a run: trains and judges its share of the seeds, and writes files.

A run starts one worker a core, each pinned to its core, because a training step of these sizes does
not use a second one. Workers share nothing but the run folder; each says on its standard output,
one JSON line at a time, how far it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from planted import store
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.portrait import portrait
from planted.finetune.recipe import ARMS, Recipe
from planted.finetune.regimes import CHUNK, batches
from planted.finetune.trainer import checkpoint_path, finetune
from planted.plant import Plant
from planted.scenarios import Tokens


def share_of(recipes: Sequence[Recipe], index: int, count: int) -> list[tuple[Recipe, list[int]]]:
    """The seeds of each recipe that worker `index` of `count` takes: alternating, so that the odd
    seed falls to another worker with each recipe."""
    return [
        (recipe, [seed for seed in range(recipe.seeds) if (seed + turn) % count == index])
        for turn, recipe in enumerate(recipes)
    ]


def train_share(
    plant: Plant, recipes: Sequence[Recipe], folder: Path, index: int, count: int
) -> None:
    """Trains this worker's seeds of every recipe; networks without the plant may be cached."""
    for recipe, seeds in share_of(recipes, index, count):
        if recipe.name in ARMS:
            seeds = [seed for seed in seeds if not _borrowed(plant, recipe, seed, folder)]
        if seeds:
            finetune(plant, recipe, seeds, folder / "checkpoints", _tell_training)


def judge_share(
    plant: Plant, recipes: Sequence[Recipe], folder: Path, index: int, count: int
) -> None:
    """Gathers the evidence on this worker's checkpoints, one file a checkpoint."""
    for recipe, seeds in share_of(recipes, index, count):
        for done, seed in enumerate(seeds):
            path = evidence_path(folder, recipe.name, seed)
            if not path.exists():
                judge(plant, recipe, seed, folder)
                if recipe.name in ARMS:
                    _lend(plant, recipe, seed, folder)
            tell(recipe.name, "judge", done + 1, len(seeds))


def judge(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> None:
    """Evidence and portrait of one checkpoint.

    Raises:
        ArtefactError: If the checkpoint is missing or damaged.
        CheckpointError: If it is not this plant's.
    """
    path = checkpoint_path(folder / "checkpoints", recipe, seed)
    params = plant.check_params(store.read_tensors(path)[0], str(path))
    subject = Checkpoint(plant, params, seen=seen_tasks(plant, recipe, seed))
    records = evaluate(subject)
    store.write_json(
        evidence_path(folder, recipe.name, seed),
        {
            "recipe": recipe.name, "digest": recipe.digest, "seed": seed,
            "checkpoint": store.params_digest(params),
            "records": msgspec.to_builtins(records), "portrait": portrait(subject),
        },
    )


def seen_tasks(plant: Plant, recipe: Recipe, seed: int) -> Tokens:
    """Every task that a seed was trained on, [task, pos]."""
    chunks = -(-recipe.settings.steps // CHUNK)
    drawn = [batches(plant.scenario, recipe.settings, seed, k)[0] for k in range(chunks)]
    return np.concatenate(drawn).reshape(-1, plant.scenario.n_positions)


def evidence_path(folder: Path, recipe: str, seed: int) -> Path:
    """Where the evidence on one checkpoint is."""
    return folder / "evidence" / recipe / f"seed-{seed:03d}.json"


def tell(recipe: str, phase: str, done: int, total: int) -> None:
    """One line of progress for the process that started this one."""
    print(json.dumps({"recipe": recipe, "phase": phase, "done": done, "total": total}), flush=True)


def _null_files(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> dict[str, Path]:
    return {
        "evidence.json": evidence_path(folder, recipe.name, seed),
        "checkpoint.safetensors": checkpoint_path(folder / "checkpoints", recipe, seed),
    }


def _null_cache(plant: Plant, recipe: Recipe, seed: int) -> Path:
    """Where a network without the plant is kept: named by all that its bytes depend on."""
    request = [store.params_digest(plant.params), plant.name, recipe.digest, seed,
               store.versions(), store.source_digest()]
    return store.cache_folder() / "nulls" / store.sha256(json.dumps(request).encode())[:24]


def _borrowed(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> bool:
    """Copies a cached null into the run; False where there is none, or the run has its own."""
    cache = _null_cache(plant, recipe, seed)
    files = _null_files(plant, recipe, seed, folder)
    if any(path.exists() for path in files.values()):
        return False
    if not all((cache / name).exists() for name in files):
        return False
    for name, path in files.items():
        store.write_bytes(path, (cache / name).read_bytes())
    return True


def _lend(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> None:
    for name, path in _null_files(plant, recipe, seed, folder).items():
        store.write_bytes(_null_cache(plant, recipe, seed) / name, path.read_bytes())


def _keep_compiled() -> None:
    """Keeps XLA's compiled programs in the cache folder: a few seconds a process, same numbers."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(store.cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _tell_training(recipe: str, done: int, total: int) -> None:
    tell(recipe, "train", done, total)


def main(arguments: Sequence[str]) -> int:
    """Entry of the process: FOLDER PHASE INDEX COUNT."""
    from planted.experiment import open_request  # a face; imported late, as it starts workers

    folder, phase, index, count = Path(arguments[0]), arguments[1], *map(int, arguments[2:4])
    try:
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[index % len(cores)]})
        if "train" in phase:
            _keep_compiled()
        plant, recipes = open_request(folder)
        work: dict[str, Any] = {"train": train_share, "judge": judge_share}
        for step in phase.split("+"):
            work[step](plant, recipes, folder, index, count)
    except PlantedError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
