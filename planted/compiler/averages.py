"""Aggregates that average: which means there are, and how a mean becomes a value again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planted.compiler import occur
from planted.compiler.items import Item
from planted.compiler.values import Raw, identity, ordered, shown
from planted.errors import CompileError

if TYPE_CHECKING:
    from planted.compiler.lowering import Lowering

MOST_MEANS = 20_000
CLOSE = 1e-9  # means that differ by less are one, summed in another order


def raw_means(name: str, values: Sequence[Raw], length: int) -> list[Raw]:
    """What the interpreter can make of 1 to `length` of the values: one itself, or a mean.

    Every sum is found, in every order, as the interpreter sums: from the left.

    Raises:
        CompileError: If there are more than `MOST_MEANS` of them.
    """
    sums: set[Any] = {0}
    means: dict[float, Raw] = {float(value): value for value in reversed(ordered(values))}
    for n in range(1, length + 1):
        sums = {total + value for total in sums for value in values}
        if n > 1:
            for total in sums:
                means.setdefault(float(total / n), total / n)
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
    return found


def shares(length: int) -> set[float]:
    """Every average of zeros and ones over 1 to `length` positions."""
    return {k / n for n in range(1, length + 1) for k in range(n + 1)}


def carried(name: str, selector: Item, moved: Item, length: int, role: str) -> Item:
    """A numerical aggregate of a number, 0 where nothing is selected.

    Of zeros and ones Tracr foresees 0 and 1/n alone.
    """
    expected = {value for value, there in zip(moved.values, moved.foreseen, strict=True) if there}
    if expected <= {0, 1}:
        foreseen = {float(v) / n for v in expected for n in range(1, length + 1)}
        possible = {0.0, *(shares(length) if 0 in expected else {1.0})}
    else:
        means = raw_means(name, moved.values, length)
        foreseen = possible = {0.0, *map(float, means)}
    values = tuple(sorted(foreseen | possible))
    return Item(
        *("aggregate", name, (selector, moved), values),
        possible=np.array([value in possible for value in values]),
        foreseen=np.array([value in foreseen for value in values]),
        numerical=True,
        over=length,
        role=role,
    )


def averaged(
    lowering: Lowering,
    name: str,
    selector: Item,
    moved: Item,
    means: Sequence[Raw],
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
    return lowering.each(
        name, lambda value: back.get(value, default), mean, numerical, role, whole=True
    )
