"""A program taken down to what a transformer has blocks for: items, whose functions are tables.

`planted.compiler.lowering` makes them of RASP expressions. Everything after it (exactness, blocks,
layers, the tabulated program) reads items alone, and calls no function of the user's again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler.calls import Raised
from planted.compiler.values import Raw, are_plain, plain, text
from planted.core.semantics import NOTHING, Operation
from planted.errors import CompileError

Codes = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_CODES = np.zeros(0, dtype=np.int64)


class UnreadableNumberError(CompileError):
    """A number that cannot be read as one; the category that it is made of may be.

    Attributes:
        read: The name of the node that holds it.
        of_category: Whether it is a map of a category.
    """

    def __init__(self, message: str, read: Item) -> None:
        super().__init__(message)
        self.read = read.name
        self.of_category = read.op == "map" and not read.reads[0].numerical


@dataclass(eq=False)
class Item:
    """One node of the lowered program.

    Attributes:
        op: "tokens", "indices", "map", "sequence_map", "linear", "select", "aggregate", "width".
        name: Unique name.
        reads: The items that it reads; keys before queries, a selector before what it moves.
        values: By code, in order; none for a select.
        table: Of a map [input], with one entry more for nothing where that is mapped too; of a
            sequence_map or a linear [first, second]; of a select [key, query], 1 where it attends.
        possible: Whether each value can really occur, [code].
        foreseen: Whether Tracr expects it, [code]; these differ where averages are concerned.
        numerical: Held as one number instead of a direction a value.
        nothing: Whether it can hold no value, as RASP's None.
        default: What a numerical aggregate of nothing is.
        over: The most positions that an aggregate averages.
        factors: Of a linear.
        pairs: Of a sequence_map, the pairs of codes [n, 2] that have a neuron; None for all.
        clean: Whether what its stairs write at BOS is taken back there.
        role: The expression's role, or "".
        whole: Whether the item is an expression of the program, and no help.
        of: The name of the expression that it helps, where another item has it.
        label: Its name in Tracr's graph.
        raised: Codes of inputs that can occur as far as is known, and what the function raises.
        twins: Of a number, by code the other values that are the same number: 1 and True.
        told: Of a number, what each input gives, twins apart, in the order of the table.
    """

    op: str
    name: str
    reads: tuple[Item, ...] = ()
    values: tuple[Raw, ...] = ()
    table: Codes = field(default_factory=lambda: NO_CODES)
    possible: Bools = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    foreseen: Bools = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    numerical: bool = False
    nothing: bool = False
    default: float = 0.0
    over: int = 1
    factors: tuple[float, float] = (0.0, 0.0)
    pairs: Codes | None = None
    clean: bool = False
    role: str = ""
    whole: bool = True
    of: str = ""
    label: str = ""
    raised: dict[tuple[int, ...], Raised] = field(default_factory=dict)
    twins: dict[int, list[Raw]] = field(default_factory=dict)
    told: tuple[Raw, ...] = ()

    @property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The values of a numerical item."""
        return np.array([float(value) for value in self.values], dtype=np.float64)

    @property
    def of_nothing(self) -> int:
        """What a map gives for nothing."""
        known = len(self.reads[0].values)
        return int(self.table[-1]) if len(self.table) > known else NOTHING

    def direction_values(self) -> list[Any]:
        """What its directions are called, by code: the values, where Tracr can tell them apart."""
        if are_plain(self.values):
            return list(self.values)
        return [f"{code:06d} {text(value)}" for code, value in enumerate(self.values)]

    def operation(self) -> Operation:
        """The item as a part of the tabulated program."""
        made = {"linear": "sequence_map"}.get(self.op, self.op)
        return Operation(
            name=self.name,
            op=made,  # type: ignore[arg-type]
            inputs=tuple(item.name for item in self.reads),
            values=tuple(map(plain, self.values)),
            table=tuple(self.table.ravel().tolist()),
            shape=self.table.shape if len(self.table) else (),
            numerical=self.numerical,
            default=self.default if self.op == "aggregate" and self.numerical else None,
        )


def breadth_first(tip: Item) -> list[Item]:
    """Every item once, as Tracr's own search of the graph meets them."""
    order, seen = [tip], {id(tip)}
    for item in order:
        for read in item.reads:
            if id(read) not in seen:
                seen.add(id(read))
                order.append(read)
    return order


def needed(items: Iterable[Item], tip: Item) -> list[Item]:
    """Those of some items on which the tip depends, in their own order."""
    there = {id(item) for item in breadth_first(tip)}
    return [item for item in items if id(item) in there]


def number(items: Sequence[Item]) -> None:
    """Labels items, in the order of `breadth_first`: they do not depend on what came before."""
    count = 0
    for item in items:
        if item.op in ("tokens", "indices"):
            item.label = item.op
        else:
            count += 1
            item.label = f"{item.name}_{count}"
