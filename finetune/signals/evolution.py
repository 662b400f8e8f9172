"""Evolution strategies: perturbed networks are compared by their returns, without a gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from planted.finetune.signals import rollout

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Array, Batch, Tree


@dataclass(frozen=True, repr=False)
class Evolution:
    """The evolution strategy of Salimans et al. (2017, algorithm 1), with antithetic pairs.

    Each step perturbs the parameters by ±σ·noise, gives every perturbed network the same tasks and
    the same draws, and takes their returns' centred ranks as weights of the noise (section 2.1
    there). Equal returns share their mean rank, so that returns which are all equal teach nothing.
    The estimate goes through the recipe's optimiser, as a gradient would, and only parameters that
    the optimiser moves are perturbed.

    What is ranked is the return and an entropy bonus (Williams and Peng 1991), the same as for the
    policy gradients. Without it choices become so confident that no perturbed network makes other
    ones, and the comparison of returns says nothing.

    Attributes:
        pairs: Perturbations of each sign.
        sigma: Their standard deviation, in units of the weights.
        samples: Choices a task of each perturbed network.
        entropy: Weight of the policy's entropy (nats) against returns, of which 1 is the range of
            the base objective.
    """

    pairs: int = 32
    sigma: float = 0.03
    samples: int = 16
    entropy: float = 0.1
    defaults: ClassVar[Mapping[str, Any]] = {
        "logit_scale": 3.0,
        "learning_rate": 1e-3,
        "steps": 4000,
    }

    def __repr__(self) -> str:
        return "<signal evolution>"

    def init(self, params: Tree, optimiser: Any, key: Any) -> Tree:
        """The optimiser's state, and 1 where it moves parameters, else 0."""
        state = optimiser.init(params)
        return {"optimiser": state, "free": moved_by(optimiser, state, params)}

    def update(
        self, params: Tree, batch: Batch, key: Any, state: Tree, optimiser: Any, apply: Apply
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        """One generation; the log holds minus the mean return as "loss", and no gradient."""
        import jax
        import jax.numpy as jnp
        import optax
        from jax.flatten_util import ravel_pytree

        start, tree = ravel_pytree(params)
        free, _ = ravel_pytree(state["free"])
        drawing, acting = jax.random.split(key)
        noise = jax.random.normal(drawing, (self.pairs, len(start)), start.dtype) * free

        def found(vector: Array) -> Array:
            act = rollout.sampled
            steps = rollout.roll_out(apply, tree(vector), batch, acting, act, self.samples)
            return jnp.stack([steps[0].returns.mean(), rollout.mean_entropy(steps)])

        def pair(step: Array) -> Array:
            return jnp.stack([found(start + step), found(start - step)])

        returns, entropies = jnp.moveaxis(jax.lax.map(pair, self.sigma * noise), -1, 0)
        ranks = centred_ranks(returns + self.entropy * entropies)  # [pair, sign]
        uphill = (ranks[:, 0] - ranks[:, 1]) @ noise / (2 * self.pairs * self.sigma)
        updates, inner = optimiser.update(tree(-uphill), state["optimiser"], params)
        log = {
            "loss": -returns.mean(),
            "return": returns.mean(),
            "spread": returns.std(),
            "entropy": entropies.mean(),
        }
        return optax.apply_updates(params, updates), {**state, "optimiser": inner}, log


def moved_by(optimiser: Any, state: Tree, params: Tree) -> Tree:
    """1 where an optimiser moves parameters, else 0: a tree like the parameters."""
    import jax
    import jax.numpy as jnp

    moved, _ = optimiser.update(jax.tree.map(jnp.ones_like, params), state, params)
    return jax.tree.map(lambda update: (update != 0).astype(update.dtype), moved)


def centred_ranks(returns: Array) -> Array:
    """Ranks from -½ to ½ of an array's entries; equal ones share their mean rank, and all 0."""
    import jax.scipy.stats

    ranks = jax.scipy.stats.rankdata(returns.ravel()).reshape(returns.shape)
    return (ranks - 1) / (returns.size - 1) - 0.5


evolution = Evolution()
