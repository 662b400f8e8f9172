"""Items -> Tracr's craft blocks: heads and MLPs as matrices over named directions.

The matrices are those of `tracr.craft.chamber`, made from tables at once instead of entry by entry;
`tests/planted/test_compile.py` compares them with the stock compiler's. What Tracr has no block for
is marked as such below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler import private_tracr
from planted.compiler.items import Item
from planted.compiler.stairs import Stairs
from planted.core.semantics import NOTHING

Matrix = npt.NDArray[np.float64]
COLD = 100.0  # Tracr's softmax_coldness
TRACR_BOS = "compiler_bos"


class Blocks:
    """Makes the blocks of one program.

    Attributes:
        directions: id of an item -> its directions, by code (one if it is numerical).
    """

    def __init__(
        self,
        items: Sequence[Item],
        stairs: Mapping[int, Stairs],
        sharpness: float = 1.0,
        own_bos: bool = False,
    ) -> None:
        """Names the directions.

        Args:
            items: The program; labelled.
            stairs: id of an item -> how it reads its number.
            sharpness: Factor on every query, 1 in Tracr.
            own_bos: Whether each count has its own neuron that clears BOS: Tracr has one name for
                it, so that two counts in a layer would subtract each other's.
        """
        self._tracr = private_tracr.module
        self._bases = self._tracr("craft.bases")
        self._stairs, self._sharpness, self._own_bos = stairs, sharpness, own_bos
        named = self._bases.BasisDirection
        self.directions: dict[int, list[Any]] = {
            id(item): [named(item.label)]
            if item.numerical
            else [named(item.label, value) for value in item.direction_values()]
            for item in items
            if item.op != "select"
        }
        self.bos, self.one = named("tokens", TRACR_BOS), named("one")

    def of(self, item: Item) -> Any:
        """The block of an item; None of an input or a selector."""
        if item.op == "map":
            inner = item.reads[0]
            return self._read_number(item, inner) if inner.numerical else self._map(item, inner)
        if item.op == "linear":
            return self._linear(item)
        if item.op == "sequence_map":
            first, second = item.reads
            return self._map(item, first) if first is second else self._pairs(item)
        if item.op == "aggregate":
            return self._moved(item)
        if item.op == "width":
            return self._width(item)
        return None

    def _own(self, item: Item) -> list[Any]:
        return self.directions[id(item)]

    def _space(self, *directions: Any) -> Any:
        return self._bases.VectorSpaceWithBasis(list(directions))

    def _linear_map(self, rows: Sequence[Any], columns: Sequence[Any], matrix: Matrix) -> Any:
        """A linear map between the spaces of some directions, which Tracr keeps sorted."""
        start, end = self._space(*rows), self._space(*columns)
        row = [start.index_by_direction[direction] for direction in rows]
        column = [end.index_by_direction[direction] for direction in columns]
        placed = np.zeros(matrix.shape)
        placed[np.ix_(row, column)] = matrix
        return self._tracr("craft.vectorspace_fns").Linear(start, end, placed)

    def _mlp(
        self,
        rows: Sequence[Any],
        hidden: Sequence[Any],
        columns: Sequence[Any],
        first: Matrix,
        second: Matrix,
    ) -> Any:
        return self._tracr("craft.transformers").MLP(
            self._linear_map(rows, hidden, first), self._linear_map(hidden, columns, second)
        )

    def _map(self, item: Item, inner: Item) -> Any:
        """A function of a category."""
        table = item.table if item.op == "map" else np.diag(item.table)
        rows, columns = self._own(inner), self._own(item)
        codes = table[: len(rows)]
        if item.numerical:
            numbers = item.numbers[np.maximum(codes, 0)] * (codes >= 0)
            first = numbers[:, None]
            if (numbers >= 0).all():
                return self._mlp(rows, columns, columns, first, np.eye(1))
            named = self._bases.BasisDirection  # not in Tracr, whose ReLU clips negative numbers
            hidden = [named(f"_hidden_{item.label}_", sign) for sign in (1, -1)]
            second = np.array([[1.0], [-1.0]])
            return self._mlp(rows, hidden, columns, np.hstack([first, -first]), second)
        first = _one_hot(codes, len(columns))
        if item.of_nothing == NOTHING or item.op != "map":
            return self._mlp(rows, columns, columns, first, np.eye(len(columns)))
        # not in Tracr: a neuron for nothing, 1 where there is neither a value nor BOS
        empty = self._bases.BasisDirection(f"_hidden_{item.label}_nothing")
        first = np.pad(first, ((0, 2), (0, 1)))
        first[:, -1] = [*[-1] * len(rows), -1, 1]
        bos = [] if self.bos in rows else [self.bos]
        if not bos:
            first = np.delete(first, len(rows), axis=0)
        second = np.vstack([np.eye(len(columns)), np.eye(len(columns))[item.of_nothing]])
        rows = [*rows, *bos, self.one]
        return self._mlp(rows, [*columns, empty], columns, first, second)

    def _read_number(self, item: Item, inner: Item) -> Any:
        return self._steps(item, self._own(inner)[0])

    def _steps(self, item: Item, read: Any) -> Any:
        """The stairs of an item, as an MLP."""
        stairs, named = self._stairs[id(item)], self._bases.BasisDirection
        name, columns = f"_hidden_{item.label}_", self._own(item)
        n = len(stairs.numbers)
        hidden = [named(f"{name}start")]
        hidden += [named(name, (k, part)) for k in range(1, n) for part in (0, 1)]
        first, e = np.zeros((2, len(hidden))), stairs.exactness
        first[1, 0] = 1  # rows: the number, one
        for k in range(1, n):
            middle = (stairs.numbers[k - 1] + stairs.numbers[k]) / 2
            first[:, 2 * k - 1] = e, 1 - e * middle
            first[:, 2 * k] = e, -e * middle
        said = self._rows(item, stairs.codes)
        second = np.zeros((len(hidden), len(columns)))
        second[0] = said[0]
        second[1::2], second[2::2] = said[1:] - said[:-1], said[:-1] - said[1:]
        made = self._mlp([read, self.one], hidden, columns, first, second)
        if not item.clean:
            return made
        # not in Tracr: BOS holds the number 0, and what the stairs make of it
        return self._with(
            made, named(f"{name}bos"), columns, -self._rows(item, [stairs.of_zero])[0]
        )

    def _with(self, made: Any, neuron: Any, columns: Sequence[Any], written: Matrix) -> Any:
        """An MLP with one neuron more, which writes at BOS."""
        clear = self._mlp([self.bos], [neuron], columns, np.eye(1), written[None, :])
        return self._tracr("craft.transformers").MLP.combine_in_parallel([made, clear])

    def _rows(self, item: Item, codes: Sequence[int]) -> Matrix:
        """What some codes are in the item's directions, [code, direction]."""
        at = np.array(codes, dtype=np.int64)
        if item.numerical:
            return (item.numbers[np.maximum(at, 0)] * (at >= 0))[:, None]
        return _one_hot(at, len(item.values))

    def _linear(self, item: Item) -> Any:
        """A weighted sum of two numbers."""
        named, name = self._bases.BasisDirection, f"_hidden_{item.label}_"
        x, y = (self._own(read)[0] for read in item.reads)
        hidden = [named(f"{name}{which}", sign) for which in "xy" for sign in (1, -1)]
        first = np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])
        a, b = item.factors
        second = np.array([[a], [-a], [b], [-b]])
        if x == y:  # not in Tracr
            return self._mlp([x], hidden, self._own(item), first.sum(axis=0)[None, :], second)
        return self._mlp([x, y], hidden, self._own(item), first, second)

    def _pairs(self, item: Item) -> Any:
        """A function of two categories: a neuron for each pair."""
        first_item, second_item = item.reads
        x, y = self._own(first_item), self._own(second_item)
        pairs = item.pairs
        if pairs is None:
            grid = np.indices(item.table.shape)
            pairs = grid.reshape(2, -1).T
        named, name = self._bases.BasisDirection, f"_hidden_{item.label}_"
        hidden = [
            named(name, (x[i].name, x[i].value, y[j].name, y[j].value)) for i, j in pairs.tolist()
        ]
        n = np.arange(len(hidden))
        first = np.zeros((len(x) + len(y) + 1, len(hidden)))
        first[pairs[:, 0], n] = 1
        first[len(x) + pairs[:, 1], n] = 1
        first[-1] = -1
        second = _one_hot(item.table[pairs[:, 0], pairs[:, 1]], len(item.values))
        return self._mlp([*x, *y, self.one], hidden, self._own(item), first, second)

    def _attention(self, selector: Item, bos_score: float) -> Any:
        """Which key each query attends to, BOS at a score of its own."""
        keys, queries = (self._own(read) for read in selector.reads)
        query_space = self._bases.join_vector_spaces(
            self._space(*queries), self._space(self.bos), self._space(self.one)
        )
        key_space = self._bases.join_vector_spaces(self._space(*keys), self._space(self.bos))
        matrix = np.zeros((query_space.num_dims, key_space.num_dims))
        row = [query_space.index_by_direction[direction] for direction in queries]
        column = [key_space.index_by_direction[direction] for direction in keys]
        matrix[np.ix_(row, column)] = COLD * (selector.table.T == 1)
        at = query_space.index_by_direction[self.one], key_space.index_by_direction[self.bos]
        matrix[at] = bos_score * COLD
        made = self._tracr("craft.vectorspace_fns").ScalarBilinear
        return made(query_space, key_space, matrix * self._sharpness)

    def _head(self, w_qk: Any, rows: Sequence[Any], columns: Sequence[Any], ov: Matrix) -> Any:
        head = self._tracr("craft.transformers").AttentionHead
        return head(w_qk, self._linear_map(rows, columns, ov))

    def _moved(self, item: Item) -> Any:
        """A head that brings values, or their mean; where it selects nothing, it attends to BOS."""
        selector, moved = item.reads
        rows, columns = self._own(moved), self._own(item)
        ov = np.eye(len(rows))
        if self.bos not in rows:
            rows, ov = [*rows, self.bos], np.vstack([ov, np.zeros((1, len(columns)))])
        return self._head(self._attention(selector, 0.5), rows, columns, ov)

    def _width(self, item: Item) -> Any:
        """A head that attends to BOS besides, and an MLP that reads the width from BOS's share."""
        named = self._bases.BasisDirection
        share, columns = named(f"{item.label}_selector_width_attn_output"), self._own(item)
        score = self._stairs[id(item)].bos_score
        head = self._head(self._attention(item.reads[0], score), [self.bos], [share], np.eye(1))
        steps = self._steps(item, share)
        name = f"_hidden_{item.label}_bos" if self._own_bos else "_hidden_clean_bos_"
        written = np.append(np.zeros(len(columns)), -1.0)
        if not item.numerical:
            written[0] = -1.0  # the code of no width
        made = self._with(steps, named(name), [*columns, share], written)
        return self._tracr("craft.transformers").SeriesWithResiduals([head, made])


def _one_hot(codes: npt.NDArray[np.int64], n: int) -> Matrix:
    """A row a code; a row of zeros for nothing."""
    rows = np.zeros((len(codes), n))
    held = np.flatnonzero(codes >= 0)
    rows[held, codes[held]] = 1
    return rows
