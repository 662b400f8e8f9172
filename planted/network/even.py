"""The same network with blocks of one shape, as stock architectures have them."""

from __future__ import annotations

from typing import Any

from planted.core.spec import Params, n_layers
from planted.network.surgery import filled_up, shapes


def uniform(params: Params) -> dict[str, Any]:
    """The same network with as many heads, of one size, and as many neurons in every block.

    What is appended is zero, comes after the others, and writes nothing.
    """
    have = shapes(params)
    heads, size, neurons = (
        max(have[f"blocks.{i}.{part}"][axis] for i in range(n_layers(params)))
        for part, axis in (("attn.b_Q", 0), ("attn.b_Q", 1), ("mlp.b_in", 0))
    )
    width = have["embed.W_E"][1]
    to = {
        **{f"attn.W_{x}": (heads, width, size) for x in "QKV"},
        **{f"attn.b_{x}": (heads, size) for x in "QKV"},
        "attn.W_O": (heads, size, width),
        **{"mlp.W_in": (width, neurons), "mlp.b_in": (neurons,), "mlp.W_out": (neurons, width)},
    }
    return {
        name: filled_up(value, to.get(".".join(name.split(".")[2:]), value.shape))
        for name, value in params.items()
    }
