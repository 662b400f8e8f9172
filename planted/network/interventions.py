"""Interventions: functions that replace the value of a hook point, in every runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Array, Edit, head_axis, of_head, split
from planted.errors import PlantedError


def overwrite(
    basis: npt.NDArray[np.floating[Any]],
    content: npt.NDArray[np.floating[Any]],
    where: npt.NDArray[np.bool_],
) -> Edit:
    """The intervention: replaces what a subspace holds and leaves the rest of the hook point alone.

    Args:
        basis: Orthonormal rows [dim, d_model] that span the subspace.
        content: Coordinates to write, [task, pos, dim].
        where: Positions to write at, [task, pos].

    Returns:
        A function of a residual-stream hook point [task, pos, d_model].
    """

    def edit(value: Array) -> Array:
        change = (content.astype(value.dtype) - value @ basis.T) @ basis
        return value + change * where[..., None]

    return edit


def compose(edits: Iterable[Mapping[str, Edit]]) -> dict[str, Edit]:
    """One set of edits that applies several in turn, also at the same hook point."""
    merged: dict[str, Edit] = {}
    for group in edits:
        for name, edit in group.items():
            if name in merged:
                merged[name] = _then(merged[name], edit)
            else:
                merged[name] = edit
    return merged


def _then(first: Edit, second: Edit) -> Edit:
    def edit(value: Array) -> Array:
        return edited("the hook point", second, edited("the hook point", first, value))

    return edit


def edited(name: str, edit: Edit, value: Array) -> Array:
    """What an edit makes of a value: what it returns or, where that is None, what it left there.

    Args:
        name: The hook point, for the error.
        edit: The edit. It may change its argument, which nothing else may then hold.
        value: What stands at the hook point.

    Returns:
        In the type of number that stands there.

    Raises:
        PlantedError: If it returns something of another shape, or no tensor where torch runs.
    """
    made = edit(value)
    if made is None:
        return value
    if type(value).__module__ == "torch" and type(made).__module__ == "numpy":
        raise PlantedError(
            f"The edit of {name!r} returned an array of numpy where torch runs: return a tensor, "
            "as by torch.from_numpy."
        )
    if getattr(made, "shape", None) != value.shape:
        raise PlantedError(
            f"The edit of {name!r} returned {_described(made)}; what stands there is "
            f"{list(value.shape)}, and an edit returns as much, or None to leave it as it is."
        )
    if made.dtype != value.dtype:
        return made.astype(value.dtype) if hasattr(made, "astype") else made.to(value.dtype)
    return made


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    return repr(value) if shape is None else f"shape {list(shape)}"


def by_hook_point(
    edits: Mapping[str, Edit], concatenate: Callable[..., Array]
) -> Mapping[str, Edit]:
    """The same edits, those of single heads as edits of their hook point; several act in turn.

    Args:
        edits: Hook point, or a head of one as "blocks.1.attn.hook_z.0", -> edit.
        concatenate: The runtime's: `numpy.concatenate` or another of its kind.

    Raises:
        PlantedError: If one of them is no function.
    """
    for name, edit in edits.items():
        if not callable(edit):
            raise PlantedError(f"The edit of {name!r} is a function of its value, got {edit!r}.")
    if not any(split(name)[1] is not None for name in edits):
        return edits
    return compose(
        {split(name)[0]: _at_head(name, edit, concatenate)} for name, edit in edits.items()
    )


def _at_head(name: str, edit: Edit, concatenate: Callable[..., Array]) -> Edit:
    """An edit of one head as an edit of all heads; one of all heads as it is."""
    point, head = split(name)
    if head is None:
        return edit
    axis = head_axis(point) or 0

    def whole(value: Array) -> Array:
        own = edited(name, edit, of_head(value, point, head))
        before = value[(slice(None),) * axis + (slice(0, head),)]
        after = value[(slice(None),) * axis + (slice(head + 1, None),)]
        put = own[(slice(None),) * axis + (None,)]
        return concatenate([before, put, after], axis=axis)

    return whole
