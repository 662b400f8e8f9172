"""Graded labels: the loss conveys how much each candidate is worth, not only which is best."""

import jax
import optax

from planted.finetune.signals import by_gradient

TEMPERATURE = 1.0  # in units of the base objective


def loss(apply, params, batch, key):
    """Cross-entropy of the candidates' logits with softmax(value / temperature)."""
    n_candidates = batch.values.shape[1]
    logits = apply(params, batch.tokens)[:, :n_candidates]
    wanted = jax.nn.softmax(batch.values / TEMPERATURE)
    return optax.softmax_cross_entropy(logits, wanted).mean()


graded_labels = by_gradient("graded-labels", loss)
