"""Aggregates that average: which means there are, and how a mean becomes a value again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planted.compiler import occur, twins
from planted.compiler.items import Item
from planted.compiler.stairs import EPSILON, TOLERANCE
from planted.compiler.values import Raw, identity, ordered, shown
from planted.errors import CompileError

if TYPE_CHECKING:
    from planted.compiler.lowering import Lowering

MOST_MEANS = 20_000
CLOSE = 1e-9  # means that differ by less are one, summed in another order


def raw_means(name: str, values: Sequence[Raw], length: int) -> tuple[list[Raw], list[Raw]]:
    """What the interpreter can make of 1 to `length` of the values: one itself, or a mean.

    Every sum is found, in every order, as the interpreter sums: from the left.

    Returns:
        One value a number, and the means that equal one of the values: 1.0 beside 1.

    Raises:
        CompileError: If there are more than `MOST_MEANS` of them.
    """
    sums: set[Any] = {0}
    means: dict[float, Raw] = {float(value): value for value in reversed(ordered(values))}
    also: dict[float, Raw] = {}
    for n in range(1, length + 1):
        more: set[Any] = set()
        for total in sums:
            more.update(total + value for value in values)
            if len(more) > MOST_MEANS:
                break
        sums = more
        if n > 1:
            for total in sums:
                mean = total / n
                if means.setdefault(float(mean), mean) is not mean:
                    also.setdefault(float(mean), mean)
        if max(len(means), len(sums)) > MOST_MEANS:
            raise CompileError(
                f"Node {name!r} averages up to {length} of {len(values)} values "
                f"({shown(values, 3)}), which gives more than {MOST_MEANS} different means; the "
                "limit is one step of a staircase each. Average fewer values, or 0 and 1."
            )
    found: list[Raw] = []
    for number in sorted(means):
        if found and number - float(found[-1]) < CLOSE * max(1.0, abs(number)):
            single = any(identity(means[number]) == identity(value) for value in values)
            found[-1] = means[number] if single else found[-1]
        else:
            found.append(means[number])
    return found, list(also.values())


def shares(length: int) -> set[float]:
    """Every average of zeros and ones over 1 to `length` positions."""
    return {k / n for n in range(1, length + 1) for k in range(n + 1)}


def carried(name: str, selector: Item, moved: Item, length: int, default: Raw, role: str) -> Item:
    """A numerical aggregate of a number, 0 where nothing is selected.

    Of zeros and ones Tracr foresees 0 and 1/n alone.

    Raises:
        CompileError: If there are too many means, or float32 does not hold the smallest beside the
            largest of what is averaged.
    """
    known = list(zip(moved.values, moved.foreseen, moved.possible, strict=True))
    expected = {value for value, sure, _ in known if sure}
    if expected | {value for value, _, can in known if can} <= {0, 1}:
        possible = {0.0, *(shares(length) if 0 in expected else {1.0})}
    else:
        possible = {0.0, *map(float, raw_means(name, moved.values, length)[0])}
    foreseen = possible
    if expected <= {0, 1}:
        foreseen = {float(v) / n for v in expected for n in range(1, length + 1)}
    values = tuple(sorted(foreseen | possible))
    refuse_lost(name, [abs(float(v)) for v in moved.values], [v for v in possible if v])
    made = Item(
        *("aggregate", name, (selector, moved), values),
        possible=np.array([value in possible for value in values]),
        foreseen=np.array([value in foreseen for value in values]),
        numerical=True,
        over=length,
        role=role,
    )
    twins.add(made, [*twins.every(moved), default])
    return made


def refuse_lost(name: str, sizes: Sequence[float], results: Sequence[float]) -> None:
    """Refuses a sum or mean that float32 loses beside the numbers it is made of.

    Args:
        name: The node.
        sizes: How large what is summed can be.
        results: What can come of it that is not 0; nothing if only 0 can.

    Raises:
        CompileError: Naming both sizes.
    """
    largest, least = max(sizes, default=0.0), min((abs(float(v)) for v in results), default=0.0)
    if 4 * EPSILON * largest > TOLERANCE * max(1.0, least):
        raise CompileError(
            f"Node {name!r} can be {least:.3g}, of numbers up to {largest:.3g}: float32 rounds "
            f"those by {EPSILON * largest:.2g}. Scale them down."
        )


def averaged(
    lowering: Lowering,
    name: str,
    selector: Item,
    moved: Item,
    means: Sequence[Raw],
    also: Sequence[Raw],
    default: Raw,
    numerical: bool,
    role: str,
) -> Item:
    """An aggregate of any numbers and any default, by one head and two maps.

    The head averages the numbers, shifted to 1 and more: 0 is then what it is of nothing.

    Args:
        lowering: What the items are added to.
        name: Of the expression.
        selector: Who is averaged over.
        moved: The numbers.
        means: From `raw_means`.
        also: Likewise.
        default: The expression's default.
        numerical: Whether the result is a number.
        role: The expression's role.
    """
    shift = 1 - min(map(float, moved.values))

    def shifted(value: Raw) -> float:
        return float(value) + shift

    number = lowering.each(
        lowering.fresh(f"{name}_shifted"), shifted, moved, numerical=True, of_nothing=True
    )
    back = {shifted(mean): mean for mean in means}
    sure = default is None and not moved.nothing and occur.always_selects(selector)
    values = (*([] if sure else [0.0]), *sorted(back))
    ones = np.ones(len(values), dtype=np.bool_)
    mean = lowering.add(
        Item(
            *("aggregate", lowering.fresh(f"{name}_mean"), (selector, number), values),
            possible=ones,
            foreseen=ones,
            numerical=True,
            over=lowering.length,
            whole=False,
        )
    )
    made = lowering.each(
        name, lambda value: back.get(value, default), mean, numerical, role, whole=True
    )
    twins.add(made, [*twins.every(moved), *also])
    return made
