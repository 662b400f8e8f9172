"""A signal from a loss: one step down its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Signal, Tree

    Loss = Callable[[Apply, Tree, Batch, Any], Any]


def by_gradient(name: str, loss: Loss) -> Signal:
    """The signal that descends the gradient of a loss.

    Args:
        name: What it is called in errors.
        loss: `loss(apply, params, batch, key)` -> scalar, differentiable in `params`; arguments as
            for `planted.finetune.signals.Signal.update`.

    Returns:
        A signal whose state is the optimiser's, and whose log holds the loss and its gradient.

    Example:
        Soft labels: cross-entropy to the softmax of what the candidates are worth.

        >>> def soft(apply, params, batch, key):
        ...     import jax
        ...     wanted = jax.nn.softmax(batch.values)
        ...     logits = apply(params, batch.tokens)[:, : wanted.shape[1]]
        ...     return -(wanted * jax.nn.log_softmax(logits)).sum(axis=1).mean()
        >>> by_gradient("soft-labels", soft)
        <signal soft-labels>
    """
    return _ByGradient(name, loss)


@dataclass(frozen=True, repr=False)
class _ByGradient:
    name: str
    loss: Loss

    def __repr__(self) -> str:
        return f"<signal {self.name}>"

    def init(self, params: Tree, optimiser: Any, key: Any) -> Tree:
        return optimiser.init(params)

    def update(
        self, params: Tree, batch: Batch, key: Any, state: Tree, optimiser: Any, apply: Apply
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        import jax
        import optax

        loss, gradient = jax.value_and_grad(lambda p: self.loss(apply, p, batch, key))(params)
        updates, state = optimiser.update(gradient, state, params)
        log = {"loss": loss, "gradient": gradient}
        return optax.apply_updates(params, updates), state, log
