"""Hard labels, told to networks with perturbed weights: a gradient where the network's own is 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planted.finetune.signals.evolution import moved_by

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Array, Batch, Tree


@dataclass(frozen=True, repr=False)
class SmoothedLabels:
    """The gradient of the expected cross-entropy under Gaussian noise on the trained weights.

    Comparisons of scores saturate: the loss is flat in the score until two candidates change
    places, and its gradient is 0. The expectation E[loss(w + σ·noise)] is not flat, and its
    gradient is the expectation of the perturbed networks' gradients (Duchi, Bartlett and Wainwright
    2012, Randomized smoothing for stochastic optimization, lemma 9). It is estimated from
    antithetic pairs, on the same tasks, at the choices' hard labels. Only parameters that the
    optimiser moves are perturbed; the network that is kept is the unperturbed one.

    Each pair has a standard deviation of its own. How much noise a program bears depends on how
    many weights it sums, and noise at which every output is invalid has a gradient of 0 again: of a
    geometric row of deviations, those that say something decide the mean.

    Attributes:
        sigmas: Standard deviation of each pair of perturbations, in units of the weights.
    """

    sigmas: tuple[float, ...] = (0.1, 0.05, 0.025, 0.0125)

    def __repr__(self) -> str:
        return "<signal smoothed-labels>"

    def init(self, params: Tree, optimiser: Any, key: Any) -> Tree:
        """The optimiser's state, and 1 where it moves parameters, else 0."""
        state = optimiser.init(params)
        return {"optimiser": state, "free": moved_by(optimiser, state, params)}

    def update(
        self, params: Tree, batch: Batch, key: Any, state: Tree, optimiser: Any, apply: Apply
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        """One step; the log holds the perturbed networks' mean loss, and the mean gradient."""
        import jax
        import jax.numpy as jnp
        import optax
        from jax.flatten_util import ravel_pytree

        start, tree = ravel_pytree(params)
        free, _ = ravel_pytree(state["free"])
        noise = jax.random.normal(key, (len(self.sigmas), len(start)), start.dtype) * free
        noise *= jnp.asarray(self.sigmas, start.dtype)[:, None]
        labels = batch.values.argmax(axis=-1)

        def loss(vector: Array) -> Array:
            logits = apply(tree(vector), batch.tokens)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        def perturbed(step: Array) -> tuple[Array, Array]:
            found: tuple[Array, Array] = jax.value_and_grad(loss)(start + step)
            return found

        losses, gradients = jax.lax.map(perturbed, jnp.concatenate([noise, -noise]))
        gradient = tree(gradients.mean(axis=0))
        updates, inner = optimiser.update(gradient, state["optimiser"], params)
        log = {"loss": losses.mean(), "gradient": gradient, "spread": losses.std()}
        return optax.apply_updates(params, updates), {**state, "optimiser": inner}, log


smoothed_labels = SmoothedLabels()
