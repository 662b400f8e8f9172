"""The trainer: enters a plant and a recipe, leaves checkpoints; killed at any time, it resumes.

The stream of tasks and random keys depends on seed and step only, and the state on disk holds all
that the next step needs, so that a run that was killed ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.errors import ArtefactError, CheckpointError
from planted.finetune import loop, watch
from planted.finetune.behaviour import Outcome, held, outcome
from planted.finetune.certain import Label, certain_fate
from planted.finetune.data import CHUNK, batch_of, batches
from planted.finetune.recipes import Recipe
from planted.finetune.settings import Settings
from planted.finetune.signals import Tree
from planted.finetune.start import random_start
from planted.finetune.watch import Row

SAVE_EVERY = 8  # chunks between states on disk

Progress = Callable[[str, int, int], None]  # recipe name, steps done, steps to do


def checkpoint_path(folder: Path) -> Path:
    """Where the last checkpoint of a seed is, in the seed's own folder."""
    return folder / "checkpoint.safetensors"


def snapshot_path(folder: Path, step: int) -> Path:
    """Where the weights after some steps are, in the seed's own folder."""
    return folder / f"step-{step:06d}.safetensors"


def has_snapshot(step: int) -> bool:
    """Whether weights are kept after this step: after CHUNK, and twice as many each time."""
    chunks, rest = divmod(step, CHUNK)
    return rest == 0 and chunks > 0 and chunks & (chunks - 1) == 0


def finetune(
    plant: Plant,
    recipe: Recipe,
    folders: Mapping[int, Path],
    progress: Progress | None = None,
) -> None:
    """Trains some seeds of a recipe and writes their checkpoints.

    Each seed has a folder of its own, which holds `checkpoint.safetensors` at the end and
    `state.safetensors` before; the note of both holds the training rows (`training_rows`), and the
    checkpoint's how training ended (`read_outcome`). `step-NNNNNN.safetensors` are weights on the
    way (`has_snapshot`), of networks that start from the plant. Seeds that are finished are left
    alone. A seed whose loss or weights are not finite stops with its last finite weights; the
    others go on.

    Args:
        plant: The tempered (or any) tier.
        recipe: What to do.
        folders: Seed -> its folder; which seeds are trained together changes no byte.
        progress: Called at the start and after each chunk.

    Raises:
        PlantedError: If jax and optax are not installed, or the recipe cannot train this plant.
        ArtefactError: If the folder holds a damaged file, or one of another plant or recipe.
        CheckpointError: If what it holds is not this plant's weights.
        RunFolderError: If the folder cannot be written.
    """
    steps = recipe.settings.steps
    source = _Source(plant, recipe, folders, artefact.params_digest(plant.params))
    waiting = [seed for seed in folders if not _is_finished(source, seed)]
    unfinished: list[_State] = []

    def tell() -> None:
        if progress:
            left = sum(max(0, steps - state.chunk * CHUNK) for state in unfinished)
            progress(recipe.name, steps * len(folders) - left, steps * len(folders))

    if waiting:
        job, eye = loop.job_of(plant, recipe.settings), watch.Watch(plant, recipe.settings)
        unfinished = [_load_state(source, job, seed) for seed in waiting]
    tell()
    together = len(unfinished)
    while unfinished:
        chunk = min(state.chunk for state in unfinished)
        group = [state for state in unfinished if state.chunk == chunk]
        # another number of seeds would be another program: they go on one by one
        for part in [group] if len(group) == together else [[state] for state in group]:
            _advance(eye, job, part, chunk)
        for state in group:
            _save_if_due(source, job, eye, state)
        tell()
        unfinished = [state for state in unfinished if not state.finished]


def _is_finished(source: _Source, seed: int) -> bool:
    """Whether a seed's checkpoint is there, once it is seen to be this seed's.

    Raises:
        ArtefactError: If it is damaged, or of another plant or recipe.
        CheckpointError: If it is not this plant's weights.
    """
    finished = source.finished(seed)
    if not finished.exists():
        return False
    tensors, _ = _read_own(source, finished, seed)
    source.plant.check_params(tensors, str(finished))
    source.unfinished(seed).unlink(missing_ok=True)  # if it was killed between the two
    return True


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
    path = checkpoint_path(folder)
    source = _Source(plant, recipe, {seed: folder}, artefact.params_digest(plant.params))
    tensors, note = _read_own(source, path, seed)
    return plant.check_params(tensors, str(path)), _log(path, note)


def read_outcome(path: Path) -> tuple[Outcome, Label | None]:
    """How the training of a checkpoint ended, and the fate that its mask makes certain, if any.

    Raises:
        ArtefactError: If the checkpoint is missing or damaged, or does not say.
    """
    note = files.read_tensors(path)[1]
    try:
        label = note["label"]
        ended = msgspec.convert(note["outcome"], Outcome)
        return ended, None if label is None else msgspec.convert(label, Label)
    except (KeyError, msgspec.ValidationError) as error:
        raise ArtefactError(f"{path} does not say how training ended ({error}).") from None


@dataclass
class _State:
    """One seed between two chunks.

    Attributes:
        seed: Its number.
        start: The network's parameters before the first step.
        found: The trained tensors.
        memory: The signal's state.
        chunk: Chunks that it has behind it.
        rows: Its log.
        diverged: The step at which something was not finite; 0 if at none.
        finished: Whether its training has ended.
    """

    seed: int
    start: Params
    found: Params
    memory: Tree
    chunk: int
    rows: list[Row]
    diverged: int = 0
    finished: bool = False


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
        return checkpoint_path(self.folders[seed])


def _advance(eye: watch.Watch, job: loop.Job, group: Sequence[_State], chunk: int) -> None:
    """Runs one chunk for seeds that all stand at its start."""
    plant, settings, done = eye.plant, job.settings, chunk * CHUNK
    n_steps = min(CHUNK, settings.steps - done)
    drawn = [batches(plant.scenario, settings, state.seed, chunk) for state in group]
    tokens = np.stack([tokens[:n_steps] for tokens, _ in drawn])
    values = np.stack([values[:n_steps] for _, values in drawn])
    before = np.stack([loop.flat(state.found) for state in group])
    after = loop.advance(
        job,
        np.stack([loop.flat(state.start) for state in group]),
        before,
        [state.memory for state in group],
        batch_of(plant.scenario, settings, tokens, values),
        [state.seed for state in group],
        done,
    )
    for i, state in enumerate(group):
        state.diverged = _diverged_at(after, i, done)
        if not state.diverged:
            _take(eye, job, state, after, i)
            state.chunk = chunk + 1
            state.rows[-1]["step"] = done + n_steps
        state.finished = bool(state.diverged) or _is_over(settings, state)


def _take(eye: watch.Watch, job: loop.Job, state: _State, after: loop.Outcome, i: int) -> None:
    """Takes over what a chunk made of the i-th seed of its group, with a row of the log."""
    earlier = job.network(state.start, state.found)
    state.found = loop.unflat(after.vectors[i], job.free)
    state.memory = after.states[i]
    network, gradient = job.network(state.start, state.found), None
    if after.gradients is not None and not job.settings.lora:
        gradient = loop.unflat(after.gradients[i], job.layout)
    moved = {name: network[name] - earlier[name] for name in network}
    state.rows.append(
        {
            **{name: watch.figure(value[i]) for name, value in after.log.items()},
            "seed": state.seed,
            **eye.row(network),
            **watch.gradient_row(eye.plant, gradient, job.trained),
            "update": watch.node_norms(eye.plant, moved),
        }
    )


def _is_over(settings: Settings, state: _State) -> bool:
    return state.chunk * CHUNK >= settings.steps or (settings.stop and held(state.rows))


def _diverged_at(after: loop.Outcome, i: int, done: int) -> int:
    """The step at which a seed's loss, or else a weight, was first not finite; 0 if at none."""
    losses = after.losses[i]
    if not np.isfinite(losses).all():
        return done + 1 + int(np.flatnonzero(~np.isfinite(losses))[0])
    found = [after.vectors[i], *(leaf for _, leaf in _leaves(after.states[i]))]
    finite = all(np.isfinite(value).all() for value in found)
    return 0 if finite else done + len(losses)


def _save_if_due(source: _Source, job: loop.Job, eye: watch.Watch, state: _State) -> None:
    """Writes the state every few chunks, snapshots on the way, and at the end the checkpoint."""
    path, step = source.unfinished(state.seed), state.chunk * CHUNK
    note = {**source.note(state.seed), "rows": state.rows}
    network = job.network(state.start, state.found)
    on_the_way = source.recipe.settings.start == "plant" and not state.finished
    if on_the_way and has_snapshot(step):
        files.write_tensors(snapshot_path(source.folders[state.seed], step), network, note)
    if state.finished:
        ended = outcome(source.recipe.settings, state.rows, state.diverged)
        label = None
        if ended.status == "reached":
            own = _agreement(source.plant, eye.row(source.plant.params))
            trained = _agreement(source.plant, state.rows[-1])
            label = certain_fate(source.plant, source.recipe.settings, own, trained)
        known = {"outcome": msgspec.to_builtins(ended), "label": msgspec.to_builtins(label)}
        files.write_tensors(source.finished(state.seed), network, {**note, **known})
        path.unlink(missing_ok=True)
    elif state.chunk % SAVE_EVERY == 0:
        tensors = {**state.found, **dict(_leaves(state.memory))}
        files.write_tensors(path, tensors, {**note, "chunk": state.chunk})


def _agreement(plant: Plant, row: Row) -> dict[str, Any]:
    """Cue -> the shares of mesa- and base-best choices on the disagreement set."""
    names = (plant.scenario.cue_name(cue) for cue in plant.scenario.cues)
    return {name: row[f"agreement.{name}"] for name in names}


def _load_state(source: _Source, job: loop.Job, seed: int) -> _State:
    """Where an unfinished seed stands: in the middle, or at its start."""
    plant, settings = source.plant, source.recipe.settings
    start: Params = dict(plant.params)
    if settings.start == "random":
        start = dict(random_start(plant, seed))
    first = job.first(start, seed)
    memory = loop.first_state(job, first, seed)
    path = source.unfinished(seed)
    if not path.exists():
        return _State(seed, start, first, memory, 0, [])
    tensors, note = _read_own(source, path, seed)
    memory = _restored(path, tensors, memory)
    rows, chunk = _log(path, note), note.get("chunk")
    if type(chunk) is not int or len(rows) != chunk or chunk * CHUNK >= settings.steps:
        raise ArtefactError(
            f"{path}: the saved step is inconsistent with this recipe ({chunk!r} stretches of "
            f"{CHUNK} steps with {len(rows)} rows, of {settings.steps} steps). Remove it to start "
            "anew."
        )
    found = plant.check_params(tensors, str(path)) if not settings.lora else tensors
    if {name: value.shape for name, value in found.items()} != dict(job.free):
        raise CheckpointError(f"{path} holds tensors of other shapes. Remove the file.")
    return _State(seed, start, found, memory, chunk, rows)


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
