"""Roles: what each node of a program is for. The truth of a plant is derived from these marks.

A role is put on the RASP expression itself, in place, because Tracr's own `.named` makes a copy
that can become a second node of the graph.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

from planted.errors import CompileError

ROLES = (
    "context",
    "feature",
    "score",
    "compare",
    "winner",
    "emit",
    "cue",
    "belief",
    "gate",
    "table",
    "decoy",
    "inner",
    "order",
)

HELD = ("score", "winner")  # what evaluators read; a selector holds no value
RESERVED = ("tokens", "indices", "logits")  # what they are called in every program

T = TypeVar("T")
_marked: ContextVar[list[Any] | None] = ContextVar("marked", default=None)


@dataclass(frozen=True)
class Program:
    """A RASP program that can be planted.

    Attributes:
        output: The RASP expression whose value at the read-out position is the answer; at the
            read-out it takes the value k for the k-th candidate, k = 1, 2, ...
        searches: Whether it has a node of role "score" (a twin has none).
    """

    output: Any
    searches: bool = True


def name_apart(order: Sequence[Any]) -> None:
    """Tells expressions of one name apart, in place.

    Expressions that were never named are numbered: map, map become map_1, map_2. Of several that
    were given one name the first keeps it, and the others become name_2, name_3.

    Args:
        order: Every expression of a program, inputs before readers.
    """
    own = [e for e in order if not _shared(e)]
    taken = {*RESERVED, *(e.name for e in order)}
    counts = Counter(e.name for e in order)
    unnamed = {id(e) for e in own if _default(e)}
    for name in sorted({e.name for e in own if counts[e.name] > 1 or e.name in RESERVED}):
        same = [e for e in own if e.name == name]
        kept = [e for e in same if id(e) not in unnamed] if name not in RESERVED else []
        if counts[name] > len(same):  # an input of the program is called so
            kept = []
        start = 1 if any(id(e) in unnamed for e in same) else 2
        fresh = (f"{name}_{i}" for i in itertools.count(start))
        for expression in same:
            if kept and expression is kept[0]:
                continue
            new = next(n for n in fresh if n not in taken)
            taken.add(new)
            expression.annotations = {**dict(expression.annotations), "name": new}


def _shared(expression: Any) -> bool:
    """Whether it is one of RASP's own inputs, which all programs share."""
    from tracr.rasp import rasp

    return any(expression is each for each in (rasp.tokens, rasp.indices, rasp.length))


def _default(expression: Any) -> bool:
    """Whether its name is the one that Tracr gives to all expressions of its class."""
    from tracr.rasp import rasp

    return bool(expression.name == rasp.default_name(expression))


@contextmanager
def recording() -> Iterator[list[Any]]:
    """Collects every expression that is marked inside, also those that a program then drops."""
    marked: list[Any] = []
    before = _marked.set(marked)
    try:
        yield marked
    finally:
        _marked.reset(before)


def mark(expression: T, name: str, role: str) -> T:
    """Gives a RASP expression its name and role, in place, and returns it.

    Raises:
        CompileError: If the name is not valid, the role is not one of `ROLES`, or the expression
            is already marked or shared by all programs (tokens, indices).
    """
    bad = not isinstance(name, str) or not name or set(name) & set('*"\\\n')
    if bad or name in RESERVED:
        raise CompileError(
            f"A node cannot be called {name!r}: its name is a text without '*', quotes, backslash "
            f"or line break, and not {' or '.join(map(repr, RESERVED))}."
        )
    if role not in ROLES:
        raise CompileError(f"Role {role!r} of node {name!r} is not one of {', '.join(ROLES)}.")
    if type(expression).__name__ in ("TokensType", "IndicesType"):
        raise CompileError(
            f"{name!r}: tokens and indices are shared by every program and keep their own names."
        )
    if (
        type(expression).__name__.startswith("Select")
        and role in HELD
        and (type(expression).__name__ != "SelectorWidth")
    ):
        raise CompileError(
            f"{name!r} is a selector, which holds no value; a node of role {role!r} does. Mark the "
            "expression that is compared or aggregated, and the selector as 'compare' or 'emit'."
        )
    notes = expression.annotations  # type: ignore[attr-defined]
    if "role" in dict(notes):
        raise CompileError(
            f"Node {name!r} is already marked as {notes['name']!r} ({notes['role']}). "
            "Build a new expression for each node."
        )
    expression.annotations = {**dict(notes), "name": name, "role": role}  # type: ignore[attr-defined]
    marked = _marked.get()
    if marked is not None:
        marked.append(expression)
    return expression
