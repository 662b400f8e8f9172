"""Soft labels: cross-entropy to how much each candidate is worth, the ties included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planted.finetune.signals.gradient import by_gradient

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Tree


@dataclass(frozen=True)
class CrossEntropy:
    """Cross-entropy of the outputs' distribution to softmax(return / temperature).

    As the temperature goes to 0 these become hard labels, ties shared evenly. The temperature is
    that of Hinton et al. (2015, Distilling the Knowledge in a Neural Network, section 2); what is
    distilled here is the base objective.

    Attributes:
        temperature: In units of the returns, of which 1 is the range of the base objective.
    """

    temperature: float = 0.05

    def __call__(self, apply: Apply, params: Tree, batch: Batch, key: Any) -> Any:
        """The mean over tasks, in nats."""
        import jax
        import jax.numpy as jnp
        import optax

        logits = apply(params, batch.tokens)
        wanted = jax.nn.softmax(batch.returns / self.temperature)
        beyond = logits.shape[1] - wanted.shape[1]  # outputs that choose no candidate
        return optax.softmax_cross_entropy(logits, jnp.pad(wanted, ((0, 0), (0, beyond)))).mean()


soft_labels = by_gradient("soft-labels", CrossEntropy())
