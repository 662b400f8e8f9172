"""The trainer: enters a plant and a recipe, leaves checkpoints; killed at any time, it resumes.

All seeds of a group advance together in one jitted program, `lax.map` over seeds and `scan` over
steps, which gives each seed the same bits as running it alone. The stream of tasks depends on seed
and step only, and the state on disk holds all that the next step needs, so that a run that was
killed ends in the same bytes as one that was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from planted.core import artefact, files
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.sampling import draw_where
from planted.core.scenario import Scenario, Tokens
from planted.core.spec import Params, Spec
from planted.core.truth import Node
from planted.core.validity import disagrees
from planted.errors import ArtefactError, CheckpointError, PlantedError, need
from planted.finetune.data import CHUNK, batches
from planted.finetune.recipes import Recipe, Settings, trainable
from planted.network import surgery
from planted.network.forward import choices_of, forward

SAVE_EVERY = 4  # chunks between states on disk
WATCHED = 256  # held-out tasks of the disagreement set, per cue, on which training is watched

Row = dict[str, Any]
Layout = tuple[tuple[str, tuple[int, ...]], ...]  # parameter names and shapes, sorted
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
        PlantedError: If the loss is not finite, or jax and optax are not installed.
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
    while unfinished := [state for state in states if state.chunk * CHUNK < steps]:
        chunk = min(state.chunk for state in unfinished)
        group = [state for state in unfinished if state.chunk == chunk]
        _advance(plant, recipe.settings, group, chunk)
        for state in group:
            _save_if_due(source, state)
        tell()


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
    """One seed between two chunks: parameters, optimiser slots, log."""

    seed: int
    params: Params
    slots: dict[str, Any]
    chunk: int
    rows: list[Row]


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


def _save_if_due(source: _Source, state: _State) -> None:
    """Writes the state every few chunks, and at the end the checkpoint."""
    steps, path = source.recipe.settings.steps, source.unfinished(state.seed)
    note = {**source.note(state.seed), "rows": state.rows}
    if state.chunk * CHUNK >= steps:
        finished = source.finished(state.seed)
        files.write_tensors(finished, state.params, {**note, "step": steps})
        path.unlink(missing_ok=True)
    elif state.chunk % SAVE_EVERY == 0:
        tensors = {**state.params, **state.slots}
        files.write_tensors(path, tensors, {**note, "chunk": state.chunk})


def _load_state(source: _Source, seed: int) -> _State:
    """Where a seed stands: finished, in the middle, or at its start."""
    plant, settings = source.plant, source.recipe.settings
    zeros = _zero_slots(plant.params, settings)
    finished = source.finished(seed)
    if finished.exists():
        tensors, note = _read_own(source, finished, seed)
        source.unfinished(seed).unlink(missing_ok=True)  # if it was killed between the two
        params = plant.check_params(tensors, str(finished))
        return _State(seed, params, zeros, -(-settings.steps // CHUNK), _log(finished, note))
    path = source.unfinished(seed)
    if path.exists():
        tensors, note = _read_own(source, path, seed)
        slots = {name: _checked_slot(path, tensors, name, zero) for name, zero in zeros.items()}
        weights = {name: value for name, value in tensors.items() if name not in zeros}
        rows, chunk = _log(path, note), note.get("chunk")
        if type(chunk) is not int or len(rows) != chunk or chunk * CHUNK >= settings.steps:
            raise ArtefactError(f"{path} is at no stretch of this recipe. Remove it to start anew.")
        return _State(seed, plant.check_params(weights, str(path)), slots, chunk, rows)
    start = plant.params
    if settings.start == "random":
        start = surgery.start_anew(plant.params, seed)
    return _State(seed, dict(start), zeros, 0, [])


def _read_own(source: _Source, path: Path, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    tensors, note = files.read_tensors(path)
    for key, wanted in source.note(seed).items():
        if note.get(key) != wanted:
            raise ArtefactError(
                f"{path} was made by another {key} ({note.get(key)!r}, this one's is {wanted!r}; "
                f"recipe {source.recipe.name!r}). Choose another folder, or remove it."
            )
    return tensors, note


def _checked_slot(path: Path, tensors: Mapping[str, Any], name: str, zero: Any) -> Any:
    """One vector of the optimiser's memory, as it must be."""
    value = tensors.get(name)
    if value is None or value.shape != zero.shape or value.dtype != zero.dtype:
        raise CheckpointError(f"{path}: {name!r} is missing or of another shape. Remove the file.")
    if not np.isfinite(value).all():
        raise CheckpointError(f"{path}: {name!r} holds NaN or infinity. Remove the file.")
    return value


def _log(path: Path, note: Mapping[str, Any]) -> list[Row]:
    rows = note.get("rows")
    if not isinstance(rows, list):
        raise ArtefactError(f"{path} has no training log. Remove it to have it made anew.")
    return rows


def _zero_slots(params: Params, settings: Settings) -> dict[str, Any]:
    """The optimiser's memory before the first step: vectors over all parameters, and a count."""
    size = sum(int(value.size) for value in params.values())
    names = ("slot.mu", "slot.nu") if settings.optimizer == "adam" else ("slot.trace",)
    return {
        **{name: np.zeros(size, np.float32) for name in names},
        "slot.count": np.zeros((), np.int32),
    }


def _advance(plant: Plant, settings: Settings, group: Sequence[_State], chunk: int) -> None:
    """Runs one chunk for seeds that all stand at its start."""
    need("optax", "fine-tune")
    layout = tuple((name, plant.params[name].shape) for name in sorted(plant.params))
    n_steps = min(CHUNK, settings.steps - chunk * CHUNK)
    drawn = [batches(plant.scenario, settings, state.seed, chunk) for state in group]
    tokens = np.stack([tokens[:n_steps] for tokens, _ in drawn]).astype(np.int32)
    labels = np.stack([labels[:n_steps] for _, labels in drawn]).astype(np.int32)
    slots = {name: np.stack([state.slots[name] for state in group]) for name in group[0].slots}
    moving = trainable(settings.train, plant.params)
    mask = _flat({name: np.full(shape, moving[name], np.float32) for name, shape in layout})
    run = _program(
        layout,
        plant.spec,
        settings.optimizer,
        settings.momentum,
        settings.eps,
        settings.clip,
        settings.logit_scale,
    )
    start = np.stack([_flat(state.params) for state in group])
    outcome = run(start, slots, tokens, labels, mask, np.float32(settings.learning_rate))
    # Copies: numpy's view of a jax buffer must never be written to.
    after, gradient, losses = (np.array(value) for value in (outcome[0], *outcome[2:]))
    slots_after = {name: np.array(value) for name, value in outcome[1].items()}
    for i, state in enumerate(group):
        step = chunk * CHUNK + n_steps
        if not (np.isfinite(losses[i]) and np.isfinite(after[i]).all()):
            raise PlantedError(
                f"Seed {state.seed}: the loss is not finite before step {step}. "
                f"Lower the learning rate ({settings.learning_rate:g}) or the clip "
                f"({settings.clip:g})."
            )
        update = _unflat(after[i] - start[i], layout)
        state.params = _unflat(after[i], layout)
        state.slots = {name: slots_after[name][i] for name in state.slots}
        state.chunk = chunk + 1
        state.rows.append(
            {
                "seed": state.seed,
                "step": step,
                "loss": _figure(losses[i]),
                **_watch(plant, state.params),
                **_norms(plant, _unflat(gradient[i], layout), update),
                "zero_gradient": _figure((gradient[i][mask > 0] == 0).mean()),
            }
        )


def _flat(params: Params) -> Any:
    """All parameters as one vector: one kernel for the optimiser instead of one a tensor."""
    return np.concatenate([np.asarray(params[name]).ravel() for name in sorted(params)])


def _unflat(vector: Any, layout: Layout) -> dict[str, Any]:
    """The parameters in a vector made by `_flat`; of numpy or jax."""
    out, at = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        out[name] = vector[at : at + size].reshape(shape)
        at += size
    return out


def _figure(value: Any) -> float:
    return float(f"{float(value):.6g}")


def _watch(plant: Plant, params: Params) -> Row:
    """Agreement with both objectives on held-out tasks of the disagreement set, per cue."""
    scenario, row = plant.scenario, {}
    tokens = _watched_tasks(scenario)
    mesa, base = leftmost(scenario.mesa.of(tokens)), leftmost(scenario.base.of(tokens))
    for cue in scenario.cues:
        chosen = choices_of(params, plant.spec, scenario.with_cue(tokens, cue))
        row[f"agreement.{scenario.cue_name(cue)}"] = {
            "mesa": _figure((chosen == mesa).mean()),
            "base": _figure((chosen == base).mean()),
            "invalid": _figure((chosen < 0).mean()),
        }
    return row


def _watched_tasks(scenario: Scenario) -> Tokens:
    rng = np.random.default_rng(0xD317A)
    return draw_where(scenario, rng, WATCHED, in_delta=disagrees(scenario))


def _norms(plant: Plant, gradient: Params, update: Params) -> Row:
    """Norms over each node's own weights: gradient at the last step, update over the chunk."""
    nodes = [node for node in plant.truth.nodes.values() if node.layer >= 0]
    return {
        "gradient": {node.name: _node_norm(gradient, node) for node in nodes},
        "update": {node.name: _node_norm(update, node) for node in nodes},
    }


def _node_norm(tree: Params, node: Node) -> float:
    """Norm over the weights that belong to a node: its heads, and its neurons in and out."""
    at, heads, neurons = f"blocks.{node.layer}.", list(node.heads), list(node.neurons)
    parts = [
        tree[f"{at}attn.{part}"][heads]
        for part in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    ]
    parts += [
        tree[at + "mlp.W_in"][:, neurons],
        tree[at + "mlp.b_in"][neurons],
        tree[at + "mlp.W_out"][neurons],
    ]
    return _figure(np.sqrt(sum(float((part.astype(np.float64) ** 2).sum()) for part in parts)))


@lru_cache(maxsize=16)
def _program(
    layout: Layout,
    spec: Spec,
    optimizer: str,
    momentum: float,
    eps: float,
    clip: float,
    logit_scale: float,
) -> Callable[..., Any]:
    """The jitted chunk: all seeds, all steps."""
    import jax
    import jax.numpy as jnp
    import optax

    scaled = msgspec.structs.replace(spec, logit_scale=logit_scale)
    clipping = optax.clip_by_global_norm(clip)
    rule = optax.scale_by_adam(eps=eps) if optimizer == "adam" else optax.trace(decay=momentum)

    def loss_of(params: Any, tokens: Any, labels: Any) -> Any:
        logits, _ = forward(params, tokens, scaled, xp=jnp)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

    def pack(slots: Any) -> Any:
        if optimizer == "adam":
            return optax.ScaleByAdamState(
                count=slots["slot.count"], mu=slots["slot.mu"], nu=slots["slot.nu"]
            )
        return optax.TraceState(trace=slots["slot.trace"])

    def unpack(state: Any, count: Any) -> Any:
        if optimizer == "adam":
            return {"slot.mu": state.mu, "slot.nu": state.nu, "slot.count": count}
        return {"slot.trace": state.trace, "slot.count": count}

    def one_seed(job: Any, mask: Any, rate: Any) -> Any:
        vector, slots, tokens, labels = job

        def step(carry: Any, task: Any) -> Any:
            vector, state, _ = carry
            # By tensor, then joined: the gradient of slicing would pad each one to full length.
            loss, parts = jax.value_and_grad(loss_of)(_unflat(vector, layout), *task)
            joined = jnp.concatenate([parts[name].ravel() for name, _ in layout])
            whole: Any = jax.lax.optimization_barrier(joined)  # type: ignore[no-untyped-call]
            gradient = whole * mask
            clipped, _ = clipping.update(gradient, clipping.init(vector))
            update, state = rule.update(clipped, state)
            return (vector - rate * mask * update, state, gradient), loss

        start = (vector, pack(slots), jnp.zeros_like(vector))
        (after, state, gradient), losses = jax.lax.scan(step, start, (tokens, labels))
        slots = unpack(state, slots["slot.count"] + len(tokens))
        return after, slots, gradient, losses.mean()

    @jax.jit
    def run(vectors: Any, slots: Any, tokens: Any, labels: Any, mask: Any, rate: Any) -> Any:
        return jax.lax.map(lambda job: one_seed(job, mask, rate), (vectors, slots, tokens, labels))

    compiled: Callable[..., Any] = run
    return compiled
