"""Interventions: functions that replace the value of a hook point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Array, Edit


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
    return lambda value: second(first(value))
