"""A signal from a loss: one step down its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Signal, Tree

    Loss = Callable[[Apply, Tree, Batch, Any], Any]


def by_gradient(name: str, loss: Loss, defaults: Mapping[str, Any] | None = None) -> Signal:
    """The signal that descends the gradient of a loss.

    Args:
        name: What it is called in errors.
        loss: `loss(apply, params, batch, key)` -> scalar, differentiable in `params`; arguments as
            for `planted.finetune.signals.Signal.update`. It may also return a pair: the scalar, and
            a dict of further scalars for the training log.
        defaults: Settings that a recipe takes with this signal where its user gave none.

    Returns:
        A signal whose state is the optimiser's, and whose log holds the loss and its gradient.

    Example:
        Labels that say how much each candidate is worth.

        >>> def graded(apply, params, batch, key):
        ...     import jax
        ...     wanted = jax.nn.softmax(batch.values)
        ...     logits = apply(params, batch.tokens)[:, : wanted.shape[1]]
        ...     return -(wanted * jax.nn.log_softmax(logits)).sum(axis=1).mean()
        >>> by_gradient("graded-labels", graded)
        <signal graded-labels>
    """
    return _ByGradient(name, loss, dict(defaults or {}))


@dataclass(frozen=True, repr=False)
class _ByGradient:
    name: str
    loss: Loss
    defaults: Mapping[str, Any] = field(hash=False)

    def __repr__(self) -> str:
        return f"<signal {self.name}>"

    def init(self, params: Tree, optimiser: Any, key: Any) -> Tree:
        return optimiser.init(params)

    def update(
        self, params: Tree, batch: Batch, key: Any, state: Tree, optimiser: Any, apply: Apply
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        def loss_of(params: Tree) -> tuple[Any, Mapping[str, Any]]:
            found = self.loss(apply, params, batch, key)
            return found if isinstance(found, tuple) else (found, {})

        return descend(loss_of, params, state, optimiser)


def descend(
    loss_of: Callable[[Tree], tuple[Any, Mapping[str, Any]]],
    params: Tree,
    state: Tree,
    optimiser: Any,
) -> tuple[Tree, Tree, dict[str, Any]]:
    """One step of the optimiser down the gradient of a loss.

    Args:
        loss_of: Parameters -> (scalar, further scalars).
        params: Where the gradient is taken.
        state: The optimiser's.
        optimiser: Of optax.

    Returns:
        Parameters and state after the step, and a log with "loss", "gradient" and the scalars.
    """
    import jax
    import optax

    (loss, more), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
    updates, state = optimiser.update(gradient, state, params)
    log = {"loss": loss, "gradient": gradient, **more}
    return optax.apply_updates(params, updates), state, log
