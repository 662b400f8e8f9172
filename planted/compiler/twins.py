"""Equal values of several types, where a network holds them as one: 1, 1.0 and True.

A category has a code for each of them. A number has not, and neither has what a head averages: the
mean of 0 and 2 is 1.0, and 1 where it selects that alone. Such a code has twins, the other values
that it may stand for. A function must say the same of all of them, or what is equal, which then are
twins again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from planted.compiler import calls
from planted.compiler.calls import Raised
from planted.compiler.items import Item, UnreadableNumberError
from planted.compiler.values import Raw, identity, is_number
from planted.errors import CompileError


def carry(made: Item, function: Callable[..., Raw], *, apart: bool) -> None:
    """Adds the twins of a function's results, and refuses one that tells twins apart.

    Args:
        made: A map or sequence_map of the function; changed.
        function: It.
        apart: Whether what is read can be told apart by the category that it is made of, if it is
            made of one: then no twins are handed on.

    Raises:
        UnreadableNumberError: If the function says something else of a twin.
    """
    reads = made.reads
    for codes, values in _inputs(reads):
        out = int(made.table[codes])
        got = calls.said(made.name, function, *values)
        if isinstance(got, Raised) or out < -1:
            continue
        known = None if out < 0 else made.values[out]
        if identity(got) in map(identity, (known, *made.twins.get(out, ()))):
            continue
        of = next(read for code, read in zip(codes, reads, strict=True) if read.twins.get(code))
        by_category = apart and of.numerical and of.op == "map" and not of.reads[0].numerical
        if by_category or known is None or not _equal(got, known):
            first = [read.values[code] for code, read in zip(codes, reads, strict=True)]
            raise UnreadableNumberError(
                f"Node {made.name!r} tells apart {calls.shown(tuple(first))} and "
                f"{calls.shown(values)}, which {of.name!r} holds as one and the same number. Make "
                "it categorical, or its function the same for both.",
                of,
            )
        made.twins[out] = [*made.twins.get(out, []), got]


def same_truth(
    name: str, predicate: Callable[[Raw, Raw], Raw], keys: Item, queries: Item, said: Sequence[Raw]
) -> None:
    """Refuses a selector that tells twins apart.

    Args:
        name: Of the selector.
        predicate: Its predicate.
        keys: What it reads first.
        queries: What it reads second.
        said: Rows of what it says, [key][query].

    Raises:
        CompileError: Naming the two values.
    """
    for (i, j), (key, query) in _inputs((keys, queries)):
        got = calls.attends(name, predicate, key, query)
        if not isinstance(got, Raised) and got != said[i][j]:
            raise CompileError(
                f"Selector {name!r} says {got} of {calls.shown((key, query))} and another thing of "
                f"{calls.shown((keys.values[i], queries.values[j]))}, which are held as one and "
                "the same number. Compare values that are not averages."
            )


def add(made: Item, values: Iterable[Raw]) -> None:
    """Adds values as twins of the equal ones that an item has."""
    for value in values:
        for code, own in enumerate(made.values):
            known = (own, *made.twins.get(code, ()))
            if _equal(value, own) and identity(value) not in map(identity, known):
                made.twins[code] = [*made.twins.get(code, []), value]


def every(item: Item) -> list[Raw]:
    """All values of an item, twins too."""
    return [
        each
        for code, value in enumerate(item.values)
        for each in (value, *item.twins.get(code, ()))
    ]


def _inputs(reads: Sequence[Item]) -> Iterator[tuple[tuple[int, ...], tuple[Raw, ...]]]:
    """Codes and values of every input in which a twin stands for the value of its code."""
    if not any(read.twins for read in reads):
        return
    for codes in itertools.product(*(range(len(read.values)) for read in reads)):
        choices = [
            (read.values[code], *read.twins.get(code, ()))
            for code, read in zip(codes, reads, strict=True)
        ]
        for values in itertools.islice(itertools.product(*choices), 1, None):
            yield codes, values


def _equal(one: Raw, other: Raw) -> bool:
    """Whether they are one number; tuples of equal numbers are looked up as they are."""
    return is_number(one) and is_number(other) and bool(one == other)
