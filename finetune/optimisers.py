"""The optimisers: what makes an update of a gradient, from optax."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planted.errors import need

if TYPE_CHECKING:
    import optax

    from planted.finetune.settings import Settings


def optimiser(settings: Settings, mask: Any, rate: Any) -> optax.GradientTransformation:
    """Masks the gradient, clips its norm, and scales it by Adam's rule or by momentum.

    Adam is that of Kingma and Ba (2015, algorithm 1), with `eps` outside the root; sgd adds
    `momentum` times the update before (Polyak's heavy ball). Frozen parameters do not count in the
    norm that is clipped.

    Args:
        settings: The recipe's optimizer, momentum, eps and clip.
        mask: Pytree like the parameters, 1 where a parameter is trained and 0 where it is not. It
            and the rate may be traced, so that another one does not compile the program again.
        rate: Learning rate, a scalar.

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

    def scaled(updates: Any, _: Any = None) -> Any:
        return jax.tree.map(lambda update, keep: -(rate * keep * update), updates, mask)

    if settings.optimizer == "adam":
        rule = optax.scale_by_adam(eps=settings.eps)
    else:
        rule = optax.trace(decay=settings.momentum)
    chain: optax.GradientTransformation = optax.named_chain(
        ("mask", optax.stateless(masked)),
        ("clip", optax.clip_by_global_norm(settings.clip)),
        (settings.optimizer, rule),
        ("rate", optax.stateless(scaled)),
    )
    return chain
