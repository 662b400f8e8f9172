"""What a node can hold: values told apart by what they are, and put in an order.

1, 1.0 and True are equal in Python and yet not the same: a function can tell them apart. So can it
0.0 and -0.0, or a number of numpy and one of Python. A category has a code for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from planted.core.semantics import Value

Raw = Any  # as the program's functions give it: numpy's numbers too

LARGEST = float(np.finfo(np.float32).max)


def identity(value: Raw) -> tuple[str, Any]:
    """What tells a value apart from every other one, also from those that equal it."""
    kind = type(value).__name__
    if isinstance(value, tuple):
        return kind, tuple(identity(each) for each in value)
    if isinstance(value, frozenset):
        return kind, frozenset(identity(each) for each in value)
    if isinstance(value, float | np.floating):
        return kind, repr(value)
    return kind, value


def supported(value: Raw) -> bool:
    """Whether a category can stand for it."""
    if isinstance(value, tuple | frozenset):
        return type(value) in (tuple, frozenset) and all(supported(each) for each in value)
    numpys = isinstance(value, np.bool_ | np.integer | np.floating)
    return value is None or numpys or type(value) in (bool, int, float, str)


def plain(value: Raw) -> Value:
    """The value in Python's own types."""
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    if isinstance(value, frozenset):
        return frozenset(plain(each) for each in value)
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[no-any-return]


def is_number(value: Raw) -> bool:
    """Whether it is a finite number that float32 holds."""
    if not isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating):
        return False
    return _finite(value) and abs(float(value)) <= LARGEST


def text(value: Raw) -> str:
    """A text of its own for each value, whatever order a set's elements have."""
    if isinstance(value, tuple):
        return f"({', '.join(map(text, value))})"
    if isinstance(value, frozenset):
        return f"{{{', '.join(sorted(map(text, value)))}}}"
    return repr(value)


def distinct(values: Iterable[Raw]) -> list[Raw]:
    """Each value once, by `identity`."""
    return list({identity(value): value for value in values}.values())


def ordered(values: Iterable[Raw]) -> tuple[Raw, ...]:
    """Each value once and in order; the order is the same in every process."""
    known = sorted(distinct(values), key=text)
    try:
        return tuple(sorted(known, key=lambda value: (isinstance(value, str), value)))
    except (TypeError, OverflowError):
        return tuple(sorted(known, key=lambda value: (type(value).__name__, text(value))))


def are_plain(values: Iterable[Raw]) -> bool:
    """Whether Tracr itself can hold the values side by side: of one type, finite, no two equal."""
    known = list(values)
    kinds = {type(value) for value in known}
    if not (kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str})):
        return False
    if str in kinds:
        return True
    return all(map(_finite, known)) and len({float(value) for value in known}) == len(known)


def _finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except OverflowError:  # an int that no float holds
        return False


def same(one: Raw, other: Raw) -> bool:
    """Whether two values are what a program cannot be blamed for mixing up: numbers to 1e-9."""
    if is_number(one) and is_number(other):
        return abs(float(one) - float(other)) < 1e-9 * max(1.0, abs(float(one)))
    return identity(plain(one)) == identity(plain(other))


def shown(values: Iterable[Raw], most: int = 6) -> str:
    """A few values for a message."""
    known = [text(value) for value in values]
    more = f", and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
