"""Hard labels: cross-entropy of the best candidate, which says nothing about the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planted.finetune.signals.gradient import by_gradient

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Tree


def _cross_entropy(apply: Apply, params: Tree, batch: Batch, key: Any) -> Any:
    import optax

    logits = apply(params, batch.tokens)
    labels = batch.values.argmax(axis=-1)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


hard_labels = by_gradient("hard-labels", _cross_entropy)
