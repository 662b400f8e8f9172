"""The optimisers: what makes an update of a gradient, from optax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from planted.errors import need

if TYPE_CHECKING:
    import optax

    from planted.finetune.settings import Settings


def optimiser(
    settings: Settings, mask: Any, rate: Any, start: Any = None
) -> optax.GradientTransformation:
    """Masks the gradient, clips its norm, and scales it by Adam's rule or by momentum.

    Adam is that of Kingma and Ba (2015, algorithm 1), with `eps` outside the root; sgd adds
    `momentum` times the update before (Polyak's heavy ball). Frozen parameters do not count in the
    norm that is clipped.

    Args:
        settings: The recipe's optimizer, momentum, eps and clip.
        mask: Pytree like the parameters, 1 where a parameter is trained and 0 where it is not. It
            and the rate may be traced, so that another one does not compile the program again.
        rate: Learning rate, a scalar.
        start: Pytree like the parameters: where `settings.weight_anchor` pulls them, which adds its
            weight times (parameters - start) to the gradient. None if nothing pulls.

    Returns:
        A transformation whose state is a dict by the names of its parts, and whose updates are
        added to the parameters.

    Raises:
        PlantedError: If optax is not installed.
    """
    need("optax", "fine-tune")
    import jax
    import optax

    def masked(updates: Any, _: Any = None) -> Any:
        return jax.tree.map(lambda update, keep: update * keep, updates, mask)

    def anchored(updates: Any, params: Any) -> Any:
        pull = settings.weight_anchor
        return jax.tree.map(lambda u, p, origin: u + pull * (p - origin), updates, params, start)

    def scaled(updates: Any, _: Any = None) -> Any:
        return jax.tree.map(lambda update, keep: -(rate * keep * update), updates, mask)

    if settings.optimizer == "adam":
        rule = optax.scale_by_adam(eps=settings.eps)
    else:
        rule = optax.trace(decay=settings.momentum)
    anchor = optax.identity() if start is None else optax.stateless(anchored)
    chain: optax.GradientTransformation = optax.named_chain(
        ("anchor", anchor),
        ("mask", optax.stateless(masked)),
        ("clip", optax.clip_by_global_norm(settings.clip)),
        (settings.optimizer, rule),
        ("rate", optax.stateless(scaled)),
    )
    return chain


def rates(settings: Settings, done: int, steps: int) -> Any:
    """The learning rate of some steps, float32 [step].

    It rises linearly from 0 over `warm_up` steps; then it stays, or falls to 0 at the last step
    along half a cosine (Loshchilov and Hutter 2017, without restarts).

    Args:
        settings: The recipe's learning_rate, warm_up, schedule and steps.
        done: Steps before these.
        steps: How many.
    """
    import optax

    top, rise = settings.learning_rate, settings.warm_up
    low = 0.0 if rise else top
    if settings.schedule == "cosine":
        length = max(settings.steps, rise + 1)
        schedule = optax.schedules.warmup_cosine_decay_schedule(low, top, rise, length)
    else:
        schedule = optax.schedules.warmup_constant_schedule(low, top, rise)
    return np.asarray(schedule(np.arange(done + 1, done + steps + 1)), np.float32) * np.ones(
        steps, np.float32
    )
