"""Names of places in the network, after TransformerLens, and the one way to intervene there."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from planted.core.arguments import texts
from planted.errors import PlantedError, UnknownNameError

Array = Any  # numpy.ndarray, jax.Array or torch.Tensor
# Returns what stands there instead; None where it changed its argument in place, or nothing.
Edit = Callable[[Array], Array | None]

# With the axis of the heads, where there is one.
_BLOCK = {
    "hook_resid_pre": None,
    "attn.hook_q": 2,
    "attn.hook_k": 2,
    "attn.hook_v": 2,
    "attn.hook_attn_scores": 1,
    "attn.hook_pattern": 1,
    "attn.hook_z": 2,
    "attn.hook_result": 2,
    "hook_attn_out": None,
    "hook_resid_mid": None,
    "hook_mlp_in": None,
    "mlp.hook_pre": None,
    "mlp.hook_post": None,
    "hook_mlp_out": None,
    "hook_resid_post": None,
}


@functools.cache
def hook_point_names(n_layers: int) -> tuple[str, ...]:
    """Every hook point of a network with `n_layers` blocks, in the order of the forward pass."""
    blocks = tuple(f"blocks.{i}.{name}" for i in range(n_layers) for name in _BLOCK)
    return ("hook_embed", "hook_pos_embed", *blocks)


def split(name: str) -> tuple[str, int | None]:
    """The hook point, and the head that a name picks out of it (None where it names no head).

    Example:
        >>> split("blocks.1.attn.hook_result.0"), split("blocks.1.hook_mlp_out")
        (('blocks.1.attn.hook_result', 0), ('blocks.1.hook_mlp_out', None))
    """
    point, _, head = name.rpartition(".")
    if head.isdecimal() and head.isascii() and head_axis(point) is not None:
        return point, int(head)
    return name, None


def head_axis(point: str) -> int | None:
    """The axis of a hook point's value along which its heads lie; None where it has none."""
    return _BLOCK.get(point.split(".", 2)[-1])


def of_head(value: Array, point: str, head: int | None) -> Array:
    """One head's part of a hook point's value, without the axis of the heads; all of it if None."""
    if head is None:
        return value
    return value[(slice(None),) * (head_axis(point) or 0) + (head,)]


def check_hook_points(names: Iterable[str], heads: Sequence[int]) -> None:
    """Refuses names that are not hook points.

    Args:
        names: Hook points, or heads of them, as "blocks.1.attn.hook_result.0".
        heads: Number of heads of each block.

    Raises:
        UnknownNameError: Naming the first unknown hook point, the near one and the form of a right
            one.
        PlantedError: If its block has no such head.
    """
    known = set(hook_point_names(len(heads)))
    for name in names:
        point, head = split(name)
        if point not in known:
            raise UnknownNameError(
                f"Unknown hook point {name!r}.{_near(name, heads)} They are named as in "
                "TransformerLens: 'hook_embed', 'blocks.0.hook_mlp_out' ... "
                f"'blocks.{len(heads) - 1}.attn.hook_result'."
            )
        if head is not None and head >= (there := heads[int(point.split(".")[1])]):
            has = f"heads 0 to {there - 1}" if there else "no heads"
            raise PlantedError(f"Unknown hook point {name!r}: its block has {has}.")


def _near(name: str, heads: Sequence[int]) -> str:
    """The hook point that a name is nearest to, as a question; "" if it is near none."""
    known = dict.fromkeys((*hook_point_names(len(heads)), *components(heads)))
    # lower, and "hook_mlp_out" would be near that of some block, which would be a guess
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    return f" Did you mean {found[0]!r}?" if found else ""


def selected(names: Any, heads: Sequence[int]) -> tuple[str, ...]:
    """The hook points that are asked for.

    Args:
        names: None for all of them; one name; several; or a function from a name to whether it is
            wanted, as TransformerLens's `names_filter`.
        heads: Number of heads of each block.

    Raises:
        PlantedError: If a name is not a hook point, or `names` is none of these.
    """
    every = hook_point_names(len(heads))
    if names is None:
        return every
    if callable(names):
        return tuple(name for name in every if names(name))
    found = (names,) if isinstance(names, str) else texts("names", names, "blocks.0.hook_mlp_out")
    check_hook_points(found, heads)
    return found


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
