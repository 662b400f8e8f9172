"""In which order two networks with the same weights have their residual dimensions.

Colour refinement (Weisfeiler and Leman 1968): a dimension's colour is what is embedded in it, and
then, round by round, what heads and neurons read from it and write to it, by the colours of the
other dimensions. Dimensions that stay alike are told apart one by one, and the order that comes out
is held against all weights.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from planted.core.spec import Params, n_layers
from planted.errors import PlantedError

_DIGITS = 3  # of a weight: Tracr's are 1, 100 and their like, and differ by more
_ATOL = 1e-3


def matching(wanted: Params, found: Params) -> list[int]:
    """For each residual dimension of one network, the same one of another.

    Args:
        wanted: Parameters of the one.
        found: Of the other; their vocabulary and positions are in the same order.

    Returns:
        Place i holds the dimension of `found` that is dimension i of `wanted`.

    Raises:
        PlantedError: If they are not the same weights in another order.
    """
    one, other = _Graph(wanted), _Graph(found)
    if (one.width, one.depth) != (other.width, other.depth):
        raise _differ(f"{other.width} dimensions in {other.depth} blocks")
    mine, theirs = one.start(), other.start()
    for step in range(one.width + 1):
        mine, theirs = _refined(one, other, mine, theirs)
        if Counter(mine) != Counter(theirs):
            raise _differ("dimensions that nothing of the program's is like")
        alike = [colour for colour, n in Counter(mine).items() if n > 1]
        if not alike:
            break
        for colours in (mine, theirs):  # any of them: they are alike
            colours[colours.index(min(alike))] = -1 - step
    where = [theirs.index(colour) for colour in mine]
    if not _same(one, other, where):
        raise _differ("other weights")
    return where


def _differ(what: str) -> PlantedError:
    return PlantedError(
        f"The weights are not those of this program: they have {what}. Is it another program, "
        "vocabulary, length or exactness, or has it been trained?"
    )


class _Graph:
    """What each head and neuron reads and writes, as (kind, dimension, dimension, weight)."""

    def __init__(self, params: Params) -> None:
        self.width, self.depth = params["embed.W_E"].shape[1], n_layers(params)
        self.embedded = np.vstack([params["embed.W_E"], params["pos_embed.W_pos"]])
        self.units: list[dict[str, Any]] = []
        for layer in range(self.depth):
            at = f"blocks.{layer}."
            scale = 1 / np.sqrt(max(1, params[at + "attn.W_Q"].shape[2]))
            for head in range(params[at + "attn.W_Q"].shape[0]):
                q, k, v, o = (params[f"{at}attn.W_{part}"][head] for part in "QKVO")
                unit = {f"{layer} qk": (q @ k.T) * scale, f"{layer} ov": v @ o}
                self._add(unit)
            into, out = params[at + "mlp.W_in"], params[at + "mlp.W_out"]
            for j in range(into.shape[1]):
                bias = np.round(float(params[at + "mlp.b_in"][j]), _DIGITS)
                self._add({f"{layer} in {bias}": into[:, j], f"{layer} out": out[j]})

    def _add(self, unit: dict[str, Any]) -> None:
        if any(np.abs(value).max(initial=0) > _ATOL for value in unit.values()):
            self.units.append(
                {kind: np.round(value, _DIGITS) + 0.0 for kind, value in unit.items()}
            )

    def start(self) -> list[Any]:
        """The first colour of each dimension."""
        return [np.round(column, _DIGITS).tobytes() for column in self.embedded.T]

    def next(self, colours: list[int]) -> list[tuple[Any, ...]]:
        """What each dimension looks like, by the colours of the others."""
        seen: list[list[Any]] = [[] for _ in range(self.width)]
        for unit in self.units:
            entries: list[tuple[str, tuple[int, ...], float]] = [
                (kind, tuple(map(int, index)), float(value[tuple(index)]))
                for kind, value in unit.items()
                for index in np.argwhere(np.abs(value) > _ATOL)
            ]
            own = tuple(sorted((kind, tuple(colours[i] for i in at), w) for kind, at, w in entries))
            whole = hash(own)  # of numbers and tuples of texts: the same within one process
            for kind, at, weight in entries:
                for side, i in enumerate(at):
                    seen[i].append((whole, kind, side, tuple(colours[j] for j in at), weight))
        return [(colours[i], tuple(sorted(each))) for i, each in enumerate(seen)]


def _refined(
    one: _Graph, other: _Graph, mine: list[Any], theirs: list[Any]
) -> tuple[list[int], list[int]]:
    """Colours of both, refined together until no more are told apart."""
    mine, theirs = _numbered(mine, theirs)
    while True:
        finer = _numbered(one.next(mine), other.next(theirs))
        if len(set(finer[0])) == len(set(mine)) and len(set(finer[1])) == len(set(theirs)):
            return finer
        mine, theirs = finer


def _numbered(mine: Iterable[Any], theirs: Iterable[Any]) -> tuple[list[int], list[int]]:
    """The same numbers for the same colours of both."""
    numbers: dict[Any, int] = defaultdict(lambda: len(numbers))
    return [numbers[colour] for colour in mine], [numbers[colour] for colour in theirs]


def _same(one: _Graph, other: _Graph, where: list[int]) -> bool:
    """Whether all weights are the same once the other's dimensions are put in this order."""
    if not np.allclose(one.embedded, other.embedded[:, where], atol=_ATOL):
        return False

    def listed(graph: _Graph, order: list[int]) -> Counter[Any]:
        found: Counter[Any] = Counter()
        for unit in graph.units:
            content = []
            for kind, value in unit.items():
                placed = value[np.ix_(order, order)] if value.ndim == 2 else value[order]
                content.append((kind, placed.astype(np.float32).tobytes()))
            found[tuple(content)] += 1
        return found

    return listed(one, list(range(one.width))) == listed(other, where)
