"""A function's results on all inputs as an item: its values, its table, what can occur."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from planted.compiler.averages import refuse_lost
from planted.compiler.calls import Raised
from planted.compiler.items import Bools, Codes, Item
from planted.compiler.values import Raw, identity, is_number, ordered, shown
from planted.core.semantics import DEAD, NOTHING
from planted.errors import CompileError

MOST_PAIRS = 20_000  # of inputs to one SequenceMap: each is a neuron


def tabulated(
    name: str,
    op: str,
    reads: tuple[Item, ...],
    results: Sequence[Raw],
    occurs: Bools,
    foreseen: Bools,
    numerical: bool,
    of_nothing: bool = False,
) -> Item:
    """An item of results. Long because each line needs what those before it found.

    Args:
        name: Its name.
        op: "map" or "sequence_map".
        reads: What the function reads.
        results: By code, or by pair of codes row by row: a value, None, or what was raised.
        occurs: Which of the inputs can occur, in the shape of the table.
        foreseen: Which of them Tracr expects.
        numerical: Whether it is to be held as a number: it is a category where that cannot be.
        of_nothing: Whether that can be where it reads nothing, which is 0 then.

    Raises:
        CompileError: If it has no value for any input.
    """
    asked = (occurs | foreseen).ravel()
    live = [
        value
        for value, ask in zip(results, asked.tolist(), strict=True)
        if ask and value is not None and not isinstance(value, Raised)
    ]
    if not live:
        refuse_valueless(name, reads, results, asked)
    empty = any(
        value is None and there
        for value, there in zip(results, occurs.ravel().tolist(), strict=True)
    )
    numerical = numerical and not empty and all(map(is_number, live))
    numerical = numerical and (of_nothing or not any(read.nothing for read in reads))
    values, twins = _numbers(live) if numerical else (ordered(live), {})
    code = {identity(value): i for i, value in enumerate(values)}
    code |= {identity(twin): i for i, others in twins.items() for twin in others}
    table = np.array(
        [
            DEAD
            if isinstance(value, Raised)
            else NOTHING
            if value is None or not ask
            else code[identity(value)]
            for value, ask in zip(results, asked.tolist(), strict=True)
        ],
        dtype=np.int64,
    ).reshape(occurs.shape)
    raised = {
        tuple(map(int, np.unravel_index(i, occurs.shape))): value
        for i, value in enumerate(results)
        if isinstance(value, Raised) and occurs.ravel()[i]
    }
    return Item(
        *(op, name, reads, values, table),
        possible=_reached(table, occurs, len(values)),
        foreseen=_reached(table, foreseen, len(values)),
        numerical=numerical,
        nothing=empty or any(read.nothing for read in reads),
        raised=raised,
        twins=twins,
        told=tuple(results) if numerical else (),
    )


def refuse_other_sums(total: Item, first: float, second: float) -> None:
    """Refuses a sum that is not what two numbers of float32 come to.

    Args:
        total: The sum, by its function.
        first: Factor of the first number.
        second: Of the second.

    Raises:
        CompileError: If an integer is too large for a float, wraps around as numpy's do, or what is
            summed is so much larger than the sum that float32 loses it.
    """
    one, other = total.reads
    try:
        parts = [
            [float(factor) * float(value) for value in read.values]
            for factor, read in ((first, one), (second, other))
        ]
    except OverflowError:
        raise CompileError(
            f"Node {total.name!r} adds numbers that no float holds. Scale them down."
        ) from None
    for (i, a), (j, b) in itertools.product(enumerate(parts[0]), enumerate(parts[1])):
        if (code := int(total.table[i, j])) < 0:
            continue
        said, sizes = float(total.values[code]), [abs(a), abs(b)]
        if abs(said - (a + b)) > 1e-6 * max(1.0, *sizes):
            raise CompileError(
                f"Node {total.name!r} is {said:g} for {one.values[i]!r} and {other.values[j]!r}, "
                f"where the sum of {a:g} and {b:g} is {a + b:g}: integers of numpy wrap around, "
                "and others are rounded from 2**53 on. Use smaller numbers, of Python."
            )
        refuse_lost(total.name, sizes, [said] if said else [])


def _reached(table: Codes, inputs: Bools, n: int) -> Bools:
    found = np.zeros(n, dtype=np.bool_)
    codes = table[inputs]
    found[codes[codes >= 0]] = True
    return found


def _numbers(live: Sequence[Raw]) -> tuple[tuple[Raw, ...], dict[int, list[Raw]]]:
    """Values with different numbers, in order; and by code the others of the same number."""
    by_number: dict[float, list[Raw]] = {}
    for value in ordered(live):
        by_number.setdefault(float(value), []).append(value)
    known = [by_number[number] for number in sorted(by_number)]
    return tuple(each[0] for each in known), {
        code: each[1:] for code, each in enumerate(known) if len(each) > 1
    }


def refuse_valueless(
    name: str, reads: Sequence[Item], results: Sequence[Raw], asked: Bools
) -> None:
    """Refuses a function that has no value anywhere.

    Raises:
        CompileError: Always.
    """
    read = " and ".join(repr(each.name) for each in reads)
    raised = [value for value in results if isinstance(value, Raised)]
    if raised:
        raise CompileError(
            f"Node {name!r} has no value for any value of {read}: it {raised[0].what} for the "
            f"first. {raised[0].after}"
        )
    raise CompileError(
        f"Node {name!r} is None for every value of {read}, so that nothing can be read from it."
    )


def refuse_size(name: str, first: Item, second: Item, found: Codes | None, most: int) -> None:
    """Refuses too many pairs.

    Raises:
        CompileError: Always.
    """
    pairs = len(first.values) * len(second.values)
    can = "" if found is None or not len(found) else f", of which {len(found)} can occur"
    wide = first if len(first.values) >= len(second.values) else second
    raise CompileError(
        f"Node {name!r} reads {pairs} combinations of values ({len(first.values)} of "
        f"{first.name!r}, {len(second.values)} of {second.name!r}){can}; the limit is {most}, one "
        f"neuron each. Read nodes of fewer values: {wide.name!r} can be {shown(wide.values, 3)}. "
        "Fold what the next step does not need, as with min(x, 9) or x % n."
    )
