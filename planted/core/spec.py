"""The architecture as data: parameters by name, and what a forward pass needs besides them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

Params = Mapping[str, Any]  # name -> array, as in the module docstring


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a forward pass needs besides the parameters.

    Attributes:
        attn_scale: Factor on query-key products: 1 / sqrt(Tracr's padded key size).
        read_out: Position whose residual stream is unembedded.
        outputs: Labels of the output columns; the first `n_choices` choose a candidate, in order,
            and another one winning is an invalid output.
        n_choices: Number of candidates.
        logit_scale: Factor on the read-out; part of a recipe, 1 for a plant.
        everywhere: Whether every position is unembedded, so that logits are [task, pos, output];
            `read_out` is then the last position of the longest input.
        causal: Whether a position attends to itself and earlier ones alone.
    """

    attn_scale: float
    read_out: int
    outputs: tuple[str, ...]
    n_choices: int
    logit_scale: float = 1.0
    everywhere: bool = False
    causal: bool = False

    @property
    def unembedded(self) -> int | slice:
        """The positions that are unembedded: an index into [task, pos]."""
        return slice(None) if self.everywhere else self.read_out

    @property
    def needed(self) -> int:
        """The position that a task must reach: the read-out, or the first token's."""
        return 1 if self.everywhere else self.read_out

    def as_data(self) -> dict[str, Any]:
        """The fields by name; a flag only where it holds: manifests keep their bytes."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        for flag in ("everywhere", "causal"):
            if not data[flag]:
                del data[flag]
        return data


def n_layers(params: Params) -> int:
    """Number of blocks."""
    depth = 0
    while (
        f"blocks.{depth}.mlp.b_out" in params
    ):  # a forward pass asks: looking at all names is slow
        depth += 1
    return depth or 1 + max(int(name.split(".")[1]) for name in params if name[:7] == "blocks.")


def heads_per_layer(params: Params) -> tuple[int, ...]:
    """Number of heads of each block."""
    return tuple(
        int(params[f"blocks.{layer}.attn.W_Q"].shape[0]) for layer in range(n_layers(params))
    )


def choices(logits: Any, spec: Spec) -> Any:
    """Index of the chosen candidate, [task]; -1 where another column wins or one is no number."""
    values = np.asarray(logits)
    top = values.argmax(axis=-1)
    chosen = (top < spec.n_choices) & np.isfinite(values).all(axis=-1)
    return np.where(chosen, top, -1).astype(np.int64)
