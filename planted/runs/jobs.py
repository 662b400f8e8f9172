"""What an executor runs: plain functions of a plant, a recipe and folders, which leave files.

A job that was killed leaves nothing that is wrong, and the same job again goes on where it stood.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import ArtefactError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evidence_by_evaluator
from planted.eval.evidence import Evidence
from planted.eval.weight_diagnostics import weight_diagnostics
from planted.finetune.data import CHUNK, batches
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import finetune
from planted.runs import cell as cells
from planted.runs import store
from planted.runs.cell import Cell, Network
from planted.runs.executor import worker_environment


def train_cells(plant: Plant, recipe: Recipe, placed: Sequence[tuple[int, Path]]) -> None:
    """Trains seeds of a recipe, each in its folder, and seals them with `cell.json`.

    Raises:
        PlantedError: If the recipe cannot train this plant, a file is damaged, or one cannot be
            written.
    """
    _keep_compiled()
    here = store.environment_of(recipe.settings.signal)
    for _, folder in placed:
        cells.begin(folder, here)
    finetune(plant, recipe, dict(placed))
    digest = artefact.plant_digest(plant)
    for seed, folder in placed:
        cell = Cell(digest, recipe.settings, seed)
        cells.seal(Network(recipe.name, recipe, cell, folder), plant)


def judge_cell(
    plant: Plant,
    recipe: Recipe,
    seed: int,
    folder: Path,
    trust: Mapping[str, str],
    only: Sequence[str],
) -> None:
    """Writes the evidence of some evaluators on a trained cell, and its weight diagnostics.

    Args:
        plant: What it was trained from.
        recipe: How it was trained.
        seed: Which seed.
        folder: The cell's folder.
        trust: Evaluator -> why it is not trusted; "" where it is.
        only: The evaluators.

    Raises:
        ArtefactError: If the checkpoint is missing or damaged.
        VerdictError: If an evaluator fails; the evidence of those before it is written.
    """
    cell = Cell(artefact.plant_digest(plant), recipe.settings, seed)
    network = Network(recipe.name, recipe, cell, folder)
    params, _ = cells.read_weights(network, plant)
    outcome, _ = cells.ended(network)
    weights = artefact.params_digest(params)
    subject = Checkpoint(plant, params, seen=seen_tasks(plant, recipe, seed, outcome.steps))
    versions = {name: str(evaluators.get(name).version) for name in only}

    def keep(name: str, records: list[Evidence]) -> None:
        why = trust.get(name, "")
        cells.write_evidence(folder, name, versions[name], weights, why, records)

    try:
        cells.read_diagnostics(folder, weights)
    except ArtefactError:
        cells.write_diagnostics(folder, weights, weight_diagnostics(subject))
    evidence_by_evaluator(subject, trust, only, keep)


def seen_tasks(plant: Plant, recipe: Recipe, seed: int, steps: int) -> Tokens:
    """Every task that a seed was trained on in its steps, [task, pos]."""
    chunks = max(1, -(-steps // CHUNK))
    drawn = [batches(plant.scenario, recipe.settings, seed, k)[0] for k in range(chunks)]
    return np.concatenate(drawn).reshape(-1, plant.scenario.n_positions)


def _keep_compiled() -> None:
    """One thread, where JAX can still be told; and XLA's programs kept in the cache folder.

    A process that used JAX before with more threads rounds in another order. The kept programs save
    a few seconds a process and change no number.
    """
    if "jax" not in sys.modules:
        wanted = worker_environment()
        os.environ.update({name: wanted[name] for name in ("JAX_PLATFORMS", "XLA_FLAGS", "NPROC")})
    import jax

    folder = environment.cache_folder() / "xla"
    if files.write_obstacle(folder):
        return
    # a cache that is full by then costs a few seconds, which is no news
    warnings.filterwarnings("ignore", message="Error (writing|reading) persistent compilation")
    settings: dict[str, Any] = {
        "jax_compilation_cache_dir": str(folder),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
