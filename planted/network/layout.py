"""How torch names and lays out the parameters of `planted.network.forward`.

A Linear holds [output, input], and all heads of a block in one matrix. Nothing here needs torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planted.core.arrays import to_numpy
from planted.core.spec import Params

_WHOLE = {
    "embed.W_E": "tok_embed.weight",
    "pos_embed.W_pos": "pos.weight",
    "unembed.W_U": "head.weight",
}
_PARTS = {
    **{f"attn.W_{x}": f"attn.{x.lower()}.weight" for x in "QKVO"},
    **{f"attn.b_{x}": f"attn.{x.lower()}.bias" for x in "QKVO"},
    **{f"mlp.W_{x}": f"mlp.fc_{x}.weight" for x in ("in", "out")},
    **{f"mlp.b_{x}": f"mlp.fc_{x}.bias" for x in ("in", "out")},
}
_WRAPPERS = ("_orig_mod.", "module.")  # torch.compile's and DistributedDataParallel's


def torch_name(name: str) -> str:
    """The module's name of a parameter.

    Example:
        >>> torch_name("blocks.2.attn.W_Q"), torch_name("embed.W_E")
        ('layers.2.attn.q.weight', 'tok_embed.weight')
    """
    if name in _WHOLE:
        return _WHOLE[name]
    _, layer, part = name.split(".", 2)
    return f"layers.{layer}.{_PARTS[part]}"


def to_torch(name: str, value: Any) -> Any:
    """A parameter as the module holds it: float32, its own memory.

    Args:
        name: The parameter's name here, as "blocks.0.attn.W_Q".
        value: As `planted.network.forward` takes it.
    """
    part = name.rsplit(".", 1)[1]
    value = to_numpy(value)
    if part in ("W_Q", "W_K", "W_V"):  # [head, d_model, d_head] -> [head * d_head, d_model]
        heads, width, size = value.shape
        value = value.transpose(0, 2, 1).reshape(heads * size, width)
    elif part == "W_O":  # [head, d_head, d_model] -> [d_model, head * d_head]
        heads, size, width = value.shape
        value = value.reshape(heads * size, width).T
    elif part in ("b_Q", "b_K", "b_V"):
        value = value.reshape(-1)
    elif part in ("W_in", "W_out", "W_U"):
        value = value.T
    return np.array(value, dtype=np.float32, order="C")


def from_torch(name: str, value: Any, heads: int = 0, size: int = 0) -> Any:
    """What `to_torch` made, as it was: float32, its own memory.

    Args:
        name: The parameter's name here.
        value: An array or a tensor, as the module holds it.
        heads: Number of heads of its block, for a parameter of attention.
        size: Their size.
    """
    part = name.rsplit(".", 1)[1]
    value = to_numpy(value)
    if part in ("W_Q", "W_K", "W_V"):
        value = value.reshape(heads, size, value.shape[1]).transpose(0, 2, 1)
    elif part == "W_O":
        value = value.T.reshape(heads, size, value.shape[0])
    elif part in ("b_Q", "b_K", "b_V"):
        value = value.reshape(heads, size)
    elif part in ("W_in", "W_out", "W_U"):
        value = value.T
    return np.array(value, dtype=np.float32, order="C")


def is_state_dict(tensors: Mapping[str, Any]) -> bool:
    """Whether a mapping has the names of a module's `state_dict`, wrapped or not."""
    return any(_bare(name) == _WHOLE["embed.W_E"] for name in tensors)


def from_state_dict(tensors: Mapping[str, Any], like: Params) -> dict[str, Any]:
    """Parameters from a module's `state_dict`.

    A tensor whose name or shape is none of the network's is passed on as it is, so that whoever
    checks the parameters names it.

    Args:
        tensors: Name -> array or tensor; the prefixes of torch.compile and of
            DistributedDataParallel are taken off.
        like: Parameters of the network, for the names and for the number and size of heads.
    """
    given = {_bare(name): value for name, value in tensors.items()}
    found = {}
    for name, own in like.items():
        if (theirs := torch_name(name)) not in given:
            continue
        value = given.pop(theirs)
        heads, size = _heads_of(name, like)
        fits = tuple(value.shape) == to_torch(name, own).shape
        found[name] = from_torch(name, value, heads, size) if fits else to_numpy(value)
    return {**found, **given}


def _heads_of(name: str, like: Params) -> tuple[int, int]:
    if ".attn." not in name:
        return 0, 0
    heads, size = like[name.rsplit(".", 1)[0] + ".b_Q"].shape
    return int(heads), int(size)


def _bare(name: str) -> str:
    for prefix in _WRAPPERS:
        name = name.removeprefix(prefix)
    return name
