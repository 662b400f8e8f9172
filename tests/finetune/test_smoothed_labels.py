"""Smoothed labels on losses of one or two weights, whose gradients are known."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from planted.finetune.signals import Batch
from planted.finetune.signals.smoothed_labels import SmoothedLabels

BATCH: Any = Batch(np.zeros((3, 2), np.int32), np.array([[1, 0]] * 3, np.float32))


def log_of(weights: dict[str, float], logit: Any, key: int = 0, **how: Any) -> Any:
    """What one step logs, where the first logit is a function of the weights and the second 0."""
    params = {name: jnp.asarray([value]) for name, value in weights.items()}
    still = {name: name == "still" for name in params}
    optimiser = optax.chain(optax.sgd(1.0), optax.masked(optax.set_to_zero(), still))
    signal = SmoothedLabels(**how)

    def apply(tree: Any, tokens: Any) -> Any:
        first = jnp.broadcast_to(logit(tree), (len(tokens),))
        return jnp.stack([first, jnp.zeros(len(tokens))], axis=1)

    state = signal.init(params, optimiser, jax.random.key(0))
    given = (params, BATCH, jax.random.key(key), state, optimiser, apply)
    return signal.update(*given)[2]


def relu(tree: Any) -> Any:
    return jax.nn.relu(tree["moved"])


def test_where_the_loss_is_flat_there_is_a_gradient_towards_the_label() -> None:
    found = [float(log_of({"moved": -0.02}, relu, key)["gradient"]["moved"][0]) for key in range(8)]
    assert max(found) <= 0
    assert np.mean(found) < -0.01
    # the twin: noise that never leaves the flat part
    tiny = log_of({"moved": -0.02}, relu, sigmas=(1e-4,))
    assert float(tiny["gradient"]["moved"][0]) == 0


@pytest.mark.parametrize("key", range(3))
def test_pairs_are_antithetic(key: int) -> None:
    """At the middle of an even loss the two gradients of a pair cancel."""
    log = log_of({"moved": 0.0}, lambda tree: tree["moved"] ** 2, key, sigmas=(0.5,))
    assert float(log["gradient"]["moved"][0]) == pytest.approx(0, abs=1e-7)
    assert float(log["loss"]) < np.log(2)


def test_what_is_not_trained_is_not_perturbed() -> None:
    weights = {"moved": 0.0, "still": 0.3}
    log = log_of(weights, lambda tree: tree["still"])
    assert float(log["loss"]) == pytest.approx(float(np.log1p(np.exp(-0.3))), abs=1e-6)
    assert float(log["spread"]) == pytest.approx(0, abs=1e-7)
    assert float(log_of(weights, lambda tree: tree["moved"])["spread"]) > 0
