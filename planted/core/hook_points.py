"""Names of places in the network, after TransformerLens, and the one way to intervene there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from planted.errors import PlantedError

Array = Any  # numpy.ndarray or jax.Array
Edit = Callable[[Array], Array]

_BLOCK = (
    "hook_resid_pre",
    "attn.hook_q",
    "attn.hook_k",
    "attn.hook_v",
    "attn.hook_attn_scores",
    "attn.hook_pattern",
    "attn.hook_z",
    "attn.hook_result",
    "hook_attn_out",
    "hook_resid_mid",
    "hook_mlp_in",
    "mlp.hook_pre",
    "mlp.hook_post",
    "hook_mlp_out",
    "hook_resid_post",
)


def hook_point_names(n_layers: int) -> tuple[str, ...]:
    """Every hook point of a network with `n_layers` blocks, in the order of the forward pass."""
    blocks = tuple(f"blocks.{i}.{name}" for i in range(n_layers) for name in _BLOCK)
    return ("hook_embed", "hook_pos_embed", *blocks)


def check_hook_points(names: Iterable[str], n_layers: int) -> None:
    """Refuses names that are not hook points.

    Raises:
        PlantedError: Naming the first unknown hook point and the form of a right one.
    """
    known = set(hook_point_names(n_layers))
    for name in names:
        if name not in known:
            raise PlantedError(
                f"Unknown hook point {name!r}. They are named as in TransformerLens: 'hook_embed', "
                f"'blocks.0.hook_mlp_out' ... 'blocks.{n_layers - 1}.attn.hook_result'."
            )


def components(heads_per_layer: Iterable[int]) -> tuple[str, ...]:
    """The writing units: every head and every MLP.

    Args:
        heads_per_layer: Number of heads of each block.

    Returns:
        Names as "blocks.2.attn.hook_result.0" (head 0) and "blocks.2.hook_mlp_out".
    """
    names: list[str] = []
    for layer, n_heads in enumerate(heads_per_layer):
        names += [f"blocks.{layer}.attn.hook_result.{head}" for head in range(n_heads)]
        names.append(f"blocks.{layer}.hook_mlp_out")
    return tuple(names)
