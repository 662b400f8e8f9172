"""The trainer: enters a plant and a recipe, leaves checkpoints; killed at any time, it resumes.

The stream of tasks and random keys depends on seed and step only, and the state on disk holds all
that the next step needs, so that a run that was killed ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.errors import ArtefactError, CheckpointError, PlantedError
from planted.finetune import loop, watch
from planted.finetune.data import CHUNK, batch_of, batches
from planted.finetune.masks import trainable
from planted.finetune.recipes import Recipe
from planted.finetune.signals import Tree
from planted.finetune.watch import Row
from planted.network import surgery

SAVE_EVERY = 4  # chunks between states on disk

Progress = Callable[[str, int, int], None]  # recipe name, steps done, steps to do


def checkpoint_path(folder: Path, recipe: Recipe) -> Path:
    """Where the last checkpoint of a seed is, in the seed's own folder."""
    return folder / f"step-{recipe.settings.steps:06d}.safetensors"


def finetune(
    plant: Plant,
    recipe: Recipe,
    folders: Mapping[int, Path],
    progress: Progress | None = None,
) -> None:
    """Trains some seeds of a recipe and writes their checkpoints.

    Each seed has a folder of its own, which holds `step-NNNNNN.safetensors` at the end and
    `state.safetensors` before; the note of both holds the training rows (`training_rows`). Seeds
    that are finished are left alone.

    Args:
        plant: The tempered (or any) tier.
        recipe: What to do.
        folders: Seed -> its folder; which seeds are trained together changes no byte.
        progress: Called at the start and after each chunk.

    Raises:
        PlantedError: If a seed diverged, after the others are finished and saved; or jax and optax
            are not installed.
        ArtefactError: If the folder holds a damaged file, or one of another plant or recipe.
        CheckpointError: If what it holds is not this plant's weights.
        RunFolderError: If the folder cannot be written.
    """
    steps = recipe.settings.steps
    source = _Source(plant, recipe, folders, artefact.params_digest(plant.params))
    states = [_load_state(source, seed) for seed in folders]

    def tell() -> None:
        if progress:
            done = sum(min(state.chunk * CHUNK, steps) for state in states)
            progress(recipe.name, done, steps * len(states))

    tell()
    job = None
    while unfinished := [s for s in states if s.chunk * CHUNK < steps and not s.diverged]:
        job = job or loop.job_of(plant, recipe.settings)
        chunk = min(state.chunk for state in unfinished)
        group = [state for state in unfinished if state.chunk == chunk]
        _advance(plant, job, group, chunk)
        for state in group:
            _save_if_due(source, state)
        tell()
    _report_diverged(recipe, states)


def training_rows(path: Path) -> list[Row]:
    """The training log in a checkpoint's note.

    Raises:
        ArtefactError: If the checkpoint is missing or damaged, or has no log.
    """
    return _log(path, files.read_tensors(path)[1])


def read_checkpoint(
    folder: Path, plant: Plant, recipe: Recipe, seed: int
) -> tuple[Params, list[Row]]:
    """Weights and training log of a finished seed, which must be this recipe's from this plant.

    Raises:
        ArtefactError: If it is missing, damaged, or of another plant, recipe or seed.
        CheckpointError: If it has not the plant's shapes, or holds NaN.
    """
    path = checkpoint_path(folder, recipe)
    source = _Source(plant, recipe, {seed: folder}, artefact.params_digest(plant.params))
    tensors, note = _read_own(source, path, seed)
    return plant.check_params(tensors, str(path)), _log(path, note)


@dataclass
class _State:
    """One seed between two chunks: parameters, the signal's state, log; where it diverged."""

    seed: int
    params: Params
    memory: Tree
    chunk: int
    rows: list[Row]
    diverged: int = 0  # the step


@dataclass(frozen=True)
class _Source:
    """What all states of a call have in common."""

    plant: Plant
    recipe: Recipe
    folders: Mapping[int, Path]
    start: str  # digest of the plant's weights

    def note(self, seed: int) -> dict[str, Any]:
        """What a file must say to be continued."""
        return {
            "plant": self.plant.name,
            "tier": self.plant.tier,
            "start": self.start,
            "recipe": self.recipe.digest,
            "seed": seed,
        }

    def unfinished(self, seed: int) -> Path:
        """Where the state of a seed is while it trains."""
        return self.folders[seed] / "state.safetensors"

    def finished(self, seed: int) -> Path:
        """Where its checkpoint is when it is done."""
        return checkpoint_path(self.folders[seed], self.recipe)


def _advance(plant: Plant, job: loop.Job, group: Sequence[_State], chunk: int) -> None:
    """Runs one chunk for seeds that all stand at its start."""
    settings, done = job.settings, chunk * CHUNK
    n_steps = min(CHUNK, settings.steps - done)
    drawn = [batches(plant.scenario, settings, state.seed, chunk) for state in group]
    tokens = np.stack([tokens[:n_steps] for tokens, _ in drawn])
    values = np.stack([values[:n_steps] for _, values in drawn])
    before = np.stack([loop.flat(state.params) for state in group])
    outcome = loop.advance(
        job,
        before,
        [state.memory for state in group],
        batch_of(plant.scenario, settings, tokens, values),
        [state.seed for state in group],
        done,
    )
    mask = trainable(settings.train, plant.params)
    for i, state in enumerate(group):
        state.diverged = _diverged_at(outcome, i, done)
        if state.diverged:
            continue
        update = loop.unflat(outcome.vectors[i] - before[i], job.layout)
        gradient = None
        if outcome.gradients is not None:
            gradient = loop.unflat(outcome.gradients[i], job.layout)
        state.params = loop.unflat(outcome.vectors[i], job.layout)
        state.memory = outcome.states[i]
        state.chunk = chunk + 1
        state.rows.append(
            {
                **{name: watch.figure(value[i]) for name, value in outcome.log.items()},
                "seed": state.seed,
                "step": done + n_steps,
                **watch.agreement(plant, state.params),
                **watch.gradient_row(plant, gradient, mask),
                "update": watch.node_norms(plant, update),
            }
        )


def _diverged_at(outcome: loop.Outcome, i: int, done: int) -> int:
    """The step at which a seed's loss, or else a weight, was first not finite; 0 if at none."""
    losses = outcome.losses[i]
    if not np.isfinite(losses).all():
        return done + 1 + int(np.flatnonzero(~np.isfinite(losses))[0])
    after = [outcome.vectors[i], *(leaf for _, leaf in _leaves(outcome.states[i]))]
    finite = all(np.isfinite(value).all() for value in after)
    return 0 if finite else done + len(losses)


def _report_diverged(recipe: Recipe, states: Sequence[_State]) -> None:
    """Says which seeds diverged, and where, once the others are saved."""
    lost = [state for state in states if state.diverged]
    if not lost:
        return
    where = "; ".join(f"seed {state.seed} at step {state.diverged}" for state in lost)
    others = ", ".join(str(state.seed) for state in states if not state.diverged)
    raise PlantedError(
        f"Recipe {recipe.name!r} diverged: {where} (the loss, a weight or the optimiser's state is "
        f"not finite). {f'Seeds {others} are finished and saved. ' if others else ''}Lower the "
        f"learning rate ({recipe.settings.learning_rate:g}) or the clip "
        f"({recipe.settings.clip:g})."
    )


def _save_if_due(source: _Source, state: _State) -> None:
    """Writes the state every few chunks, and at the end the checkpoint."""
    if state.diverged:
        return
    steps, path = source.recipe.settings.steps, source.unfinished(state.seed)
    note = {**source.note(state.seed), "rows": state.rows}
    if state.chunk * CHUNK >= steps:
        finished = source.finished(state.seed)
        files.write_tensors(finished, state.params, {**note, "step": steps})
        path.unlink(missing_ok=True)
    elif state.chunk % SAVE_EVERY == 0:
        tensors = {**state.params, **dict(_leaves(state.memory))}
        files.write_tensors(path, tensors, {**note, "chunk": state.chunk})


def _load_state(source: _Source, seed: int) -> _State:
    """Where a seed stands: finished, in the middle, or at its start."""
    plant, settings = source.plant, source.recipe.settings
    finished = source.finished(seed)
    if finished.exists():
        tensors, note = _read_own(source, finished, seed)
        source.unfinished(seed).unlink(missing_ok=True)  # if it was killed between the two
        params = plant.check_params(tensors, str(finished))
        return _State(seed, params, None, -(-settings.steps // CHUNK), _log(finished, note))
    start: Params = dict(plant.params)
    if settings.start == "random":
        start = surgery.start_anew(plant.params, seed)
    memory = loop.first_state(loop.job_of(plant, settings), start, seed)
    path = source.unfinished(seed)
    if not path.exists():
        return _State(seed, start, memory, 0, [])
    tensors, note = _read_own(source, path, seed)
    memory = _restored(path, tensors, memory)
    rows, chunk = _log(path, note), note.get("chunk")
    if type(chunk) is not int or len(rows) != chunk or chunk * CHUNK >= settings.steps:
        raise ArtefactError(
            f"{path}: the saved step is inconsistent with this recipe ({chunk!r} stretches of "
            f"{CHUNK} steps with {len(rows)} rows, of {settings.steps} steps). Remove it to start "
            "anew."
        )
    return _State(seed, plant.check_params(tensors, str(path)), memory, chunk, rows)


def _read_own(source: _Source, path: Path, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, note = files.read_tensors(path)
    for key, wanted in source.note(seed).items():
        if note.get(key) != wanted:
            raise ArtefactError(
                f"{path} was made by another {key} ({note.get(key)!r}, this one's is {wanted!r}; "
                f"recipe {source.recipe.name!r}). Choose another folder, or remove it."
            )
    return tensors, note


def _leaves(memory: Tree) -> list[tuple[str, Any]]:
    """The arrays of a signal's state, by the names under which they are saved."""
    import jax

    paths, _ = jax.tree_util.tree_flatten_with_path(memory)
    return [(f"state{jax.tree_util.keystr(path)}", leaf) for path, leaf in paths]


def _restored(path: Path, tensors: dict[str, Any], like: Tree) -> Tree:
    """The signal's state in a file, taken out of its tensors.

    Args:
        path: The file, for errors.
        tensors: What it holds; those of the state are removed.
        like: A state of the structure, shapes and types that it must have.
    """
    import jax

    values = []
    for name, wanted in _leaves(like):
        value = tensors.pop(name, None)
        if value is None or value.shape != wanted.shape or value.dtype != wanted.dtype:
            raise CheckpointError(
                f"{path}: {name!r} is missing or of another shape. Remove the file."
            )
        if not np.isfinite(value).all():
            raise CheckpointError(f"{path}: {name!r} holds NaN or infinity. Remove the file.")
        values.append(value)
    return jax.tree.unflatten(jax.tree.structure(like), values)


def _log(path: Path, note: Mapping[str, Any]) -> list[Row]:
    rows = note.get("rows")
    if not isinstance(rows, list):
        raise ArtefactError(f"{path} has no training log. Remove it to have it made anew.")
    return rows
