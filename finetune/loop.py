"""The jitted training loop: all seeds of a group and all steps of a chunk in one program.

`lax.map` over seeds and `scan` over steps give each seed the same bits as running it alone. The
signal decides what a step is; the loop knows parameters as one vector, because one kernel for the
optimiser is faster than one for each tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np

from planted.core.plant import Plant
from planted.core.spec import Params, Spec
from planted.errors import PlantedError, need
from planted.finetune import lora, signals
from planted.finetune.masks import Mask, trainable
from planted.finetune.optimisers import optimiser, rates
from planted.finetune.settings import Settings
from planted.finetune.signals import Batch, Signal, Tree
from planted.network.forward import forward

Layout = tuple[tuple[str, tuple[int, ...]], ...]  # parameter names and shapes, sorted


@dataclass(frozen=True)
class Job:
    """What all seeds of a recipe have in common.

    Attributes:
        layout: Where each parameter of the network is in the vector of all.
        free: Where each trained tensor is in the vector that training moves: `layout`, or that of
            the factors of low-rank updates.
        spec: How to run the network.
        settings: What training does.
        signal: What a step is.
        mask: 1 where an entry of the vector is trained, else 0: float32 [entry].
        trained: Which entries of each parameter the recipe trains.
    """

    layout: Layout
    free: Layout
    spec: Spec
    settings: Settings
    signal: Signal
    mask: Any
    trained: Mask

    def first(self, weights: Params, seed: int) -> dict[str, Any]:
        """The trained tensors before the first step: the weights, or factors of an update of 0."""
        return lora.start(self.free, seed) if self.settings.lora else dict(weights)

    def network(self, weights: Params, found: Params) -> dict[str, Any]:
        """All parameters of the network.

        Args:
            weights: Those that training started from.
            found: The trained tensors.
        """
        return lora.merged(weights, found) if self.settings.lora else dict(found)


class Outcome(NamedTuple):
    """What a chunk of steps came to, seed by seed.

    Attributes:
        vectors: Trained tensors after the last step, float32 [seed, entry].
        states: The signal's state after the last step, one pytree of numpy arrays a seed.
        gradients: Gradient at the last step, 0 where frozen, [seed, entry]; None if the signal has
            none.
        log: The signal's scalars, averaged over the steps: name -> [seed].
        losses: Loss at each step, [seed, step].
    """

    vectors: Any
    states: list[Tree]
    gradients: Any
    log: dict[str, Any]
    losses: Any


def job_of(plant: Plant, settings: Settings) -> Job:
    """The job of training a plant by these settings.

    Raises:
        PlantedError: If jax and optax are not installed, the signal is not there, or two settings
            exclude each other.
        UnknownNameError: If a part of the network to train does not exist.
    """
    for module in ("jax", "optax"):
        need(module, "fine-tune")
    if settings.lora and settings.weight_anchor:
        raise PlantedError(
            "weight_anchor pulls on the network's weights, which lora leaves alone: set one of "
            "them to 0. kl_anchor works with both."
        )
    layout = tuple((name, plant.params[name].shape) for name in sorted(plant.params))
    trained = trainable(settings.train, plant)
    if settings.lora:
        free = lora.factors(plant, trained, settings.lora)
        mask = np.ones(sum(int(np.prod(shape)) for _, shape in free), np.float32)
    else:
        free, mask = layout, flat(trained).astype(np.float32)
    return Job(layout, free, plant.spec, settings, signals.get(settings.signal), mask, trained)


def flat(params: Params) -> Any:
    """All parameters as one vector, by sorted name."""
    return np.concatenate([np.asarray(params[name]).ravel() for name in sorted(params)])


def unflat(vector: Any, layout: Layout) -> dict[str, Any]:
    """The parameters in a vector made by `flat`; of numpy or jax."""
    out, at = {}, 0
    for name, shape in layout:
        size = int(np.prod(shape))
        out[name] = vector[at : at + size].reshape(shape)
        at += size
    return out


def first_state(job: Job, found: Params, seed: int) -> Tree:
    """The signal's state before the first step, a pytree of numpy arrays.

    Args:
        job: What is trained.
        found: The trained tensors before the first step.
        seed: Training seed.

    Raises:
        PlantedError: If it holds something that cannot be written to a file.
    """
    import jax
    import jax.numpy as jnp

    vector = jnp.asarray(flat(found))
    start = vector if job.settings.weight_anchor else None
    rule = optimiser(job.settings, job.mask, job.settings.learning_rate, start)
    state = job.signal.init(vector, rule, _key(seed, 0))

    def as_array(value: Any) -> Any:
        try:
            return np.array(jnp.asarray(value))
        except TypeError as error:
            raise PlantedError(
                f"The state of the signal {job.settings.signal!r} holds a leaf of type "
                f"{getattr(value, 'dtype', type(value).__name__)}; it is a pytree of numeric "
                f"arrays, without random keys ({error})."
            ) from None

    return jax.tree.map(as_array, state)


def advance(
    job: Job,
    starts: Any,
    vectors: Any,
    states: Sequence[Tree],
    batches: Batch,
    seeds: Sequence[int],
    done: int,
) -> Outcome:
    """Trains some seeds for a chunk of steps.

    Args:
        job: What they have in common.
        starts: All parameters of the networks that training started from, float32
            [seed, parameter].
        vectors: Trained tensors, float32 [seed, entry].
        states: The signal's state of each seed.
        batches: Tokens int32 [seed, step, task, pos], values float32 [seed, step, task, candidate].
        seeds: Their numbers.
        done: Steps that each of them has behind it.

    Raises:
        PlantedError: If the signal returns what it should not, or changes frozen parameters.
    """
    import jax

    signal: Any = job.signal
    run = _program(job.layout, job.free, job.spec, _compiled_in(job.settings), signal)
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    numbers = np.asarray(seeds, np.uint32)
    rate = rates(job.settings, done, batches.tokens.shape[1])
    scalars = {name: np.float32(getattr(job.settings, name)) for name in TRACED}
    # Copies: numpy's view of a jax buffer must never be written to.
    after, state, gradients, log, losses = jax.tree.map(
        np.array,
        run(starts, vectors, stacked, batches, numbers, np.uint32(done), job.mask, rate, scalars),
    )
    if ((after != vectors) & (job.mask == 0) & np.isfinite(after)).any():
        raise PlantedError(
            f"The signal {job.settings.signal!r} changed parameters that this recipe does not "
            "train. Change parameters by the optimiser's updates alone."
        )
    split = [jax.tree.map(lambda leaf, i=i: leaf[i], state) for i in range(len(seeds))]
    return Outcome(after, split, gradients, log, losses)


def _key(seed: Any, step: Any) -> Any:
    """The random key of a seed's step, counted from 1; step 0 is the initial state."""
    import jax

    return jax.random.fold_in(jax.random.key(seed), step)


# Numbers that the program takes as arguments: another value does not compile it again.
TRACED = ("momentum", "eps", "clip", "logit_scale", "weight_anchor", "kl_anchor")


def _compiled_in(settings: Settings) -> Settings:
    """What of the settings is a constant of the program; the rest does not compile it again."""
    constants = {name: getattr(settings, name) for name in ("optimizer", "signal", "lora")}
    switches = {
        name: float(bool(getattr(settings, name))) for name in ("weight_anchor", "kl_anchor")
    }
    return msgspec.structs.replace(Settings(), **constants, **switches)


@lru_cache(maxsize=16)
def _program(
    layout: Layout, free: Layout, spec: Spec, settings: Settings, signal: Any
) -> Callable[..., tuple[Any, ...]]:
    """The jitted chunk: all seeds, all steps.

    Long because it is one traced program: its functions share what they close over.
    """
    import jax
    import jax.numpy as jnp

    split, split_free = _splitter(layout), _splitter(free)

    def one_seed(more: Any, start: Any, vector: Any, state: Tree, batches: Batch, seed: Any) -> Any:
        done, mask, rate, numbers = more
        own = msgspec.structs.replace(settings, **numbers)
        weights = split(start)

        def apply(found: Any, tokens: Any) -> Any:
            trained = split_free(found)
            network = lora.merged(weights, trained) if settings.lora else trained
            return forward(network, tokens, spec, xp=jnp)[0] * own.logit_scale

        def divergence(found: Any, tokens: Any) -> Any:
            before = jax.nn.log_softmax(forward(weights, tokens, spec, xp=jnp)[0] * own.logit_scale)
            now = jax.nn.log_softmax(apply(found, tokens))
            return own.kl_anchor * (jnp.exp(before) * (before - now)).sum(axis=-1).mean()

        def update(vector: Any, state: Tree, task: Any) -> Any:
            batch, number, step_rate = task
            rule = optimiser(own, mask, step_rate, start if settings.weight_anchor else None)
            if settings.kl_anchor:
                pull = jax.grad(lambda found: divergence(found, batch.tokens))
                rule = _with_gradient(rule, pull)
            return signal.update(vector, batch, _key(seed, number), state, rule, apply)

        def step(carry: Any, task: Any) -> Any:
            vector, state, _ = carry
            vector, state, log = update(vector, state, task)
            scalars = {name: value for name, value in log.items() if name != "gradient"}
            return (vector, state, log.get("gradient")), scalars

        steps = done + 1 + jnp.arange(len(batches.tokens), dtype=jnp.uint32)
        tasks = (batches, steps, rate)
        first = jax.tree.map(lambda leaf: leaf[0], tasks)
        shapes = jax.eval_shape(update, vector, state, first)
        _check_update(settings.signal, vector, state, shapes)
        none = jnp.zeros_like(vector) if "gradient" in shapes[2] else None
        (vector, state, gradient), log = jax.lax.scan(step, (vector, state, none), tasks)
        gradient = None if gradient is None else gradient * mask
        means = {name: value.mean() for name, value in log.items()}
        return vector, state, gradient, means, log["loss"]

    @jax.jit
    def run(
        starts: Any, vectors: Any, states: Any, batches: Batch, seeds: Any, done: Any, mask: Any,
        rate: Any, numbers: Any,
    ) -> Any:  # fmt: skip
        more = (done, mask, rate, numbers)
        each = (starts, vectors, states, batches, seeds)
        return jax.lax.map(lambda one: one_seed(more, *one), each)

    compiled: Callable[..., tuple[Any, ...]] = run
    return compiled


def _with_gradient(rule: Any, pull: Callable[[Any], Any]) -> Any:
    """The optimiser, with another gradient added to each that it is given."""
    import jax
    import optax

    def update(gradient: Any, state: Any, params: Any = None) -> Any:
        if params is None:
            raise PlantedError(
                "kl_anchor needs the parameters: call optimiser.update(gradient, state, params)."
            )
        return rule.update(jax.tree.map(lambda g, p: g + p, gradient, pull(params)), state, params)

    return optax.GradientTransformation(rule.init, update)


def _splitter(layout: Layout) -> Callable[[Any], dict[str, Any]]:
    """`unflat` whose derivative joins the tensors' gradients once.

    That of slicing would pad the gradient of each tensor to the length of all parameters.
    """
    import jax
    import jax.numpy as jnp

    def split(vector: Any) -> dict[str, Any]:
        return unflat(vector, layout)

    def backward(_: None, parts: Mapping[str, Any]) -> tuple[Any]:
        joined = jnp.concatenate([parts[name].ravel() for name, _ in layout])
        return (jax.lax.optimization_barrier(joined),)  # type: ignore[no-untyped-call]

    joining: Any = jax.custom_vjp(split)
    joining.defvjp(lambda vector: (split(vector), None), backward)
    made: Callable[[Any], dict[str, Any]] = joining
    return made


def _check_update(name: str, vector: Any, state: Tree, found: Any) -> None:
    """Refuses what `update` returned if the scan could not go on from it.

    Args:
        name: The signal's.
        vector: Parameters before the step.
        state: State before the step.
        found: Shapes of what it returned.
    """
    import jax

    def like(one: Any, other: Any) -> bool:
        def shapes(tree: Tree) -> list[Any]:
            return [(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)]

        same = str(jax.tree.structure(one)) == str(jax.tree.structure(other))
        return same and shapes(one) == shapes(other)

    def need(ok: bool, expected: str) -> None:
        if not ok:
            raise PlantedError(f"The update of the signal {name!r} must return {expected}.")

    need(isinstance(found, tuple) and len(found) == 3, "(params, state, log)")
    after, memory, log = found
    need(like(after, vector), "parameters of the structure, shapes and types that it was given")
    need(like(memory, state), "a state of the structure, shapes and types that init returned")
    need(isinstance(log, Mapping) and "loss" in log, "a log, a dict with the scalar 'loss'")
    need(like(log.get("gradient", vector), vector), "a gradient like the parameters")
    for key, value in log.items():
        need(key == "gradient" or getattr(value, "shape", None) == (), f"a scalar {key!r}")
