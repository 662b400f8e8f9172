"""Calls of a program's own functions: each on all it can be given, before anything is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planted.compiler.values import Raw, identity, supported, text
from planted.errors import CompileError


class Raised:
    """A function raised, or gave what no category can stand for: the input must not occur.

    Attributes:
        what: What it did, to be read after the node's name.
        after: What can be done, in a sentence.
    """

    def __init__(self, what: str, after: str = "Give it a value there, as None or -1.") -> None:
        self.what, self.after = what, after


def said(name: str, function: Callable[..., Any], *point: Raw) -> Raw | Raised:
    """What a node's function gives for an input, or that it raises.

    Raises:
        CompileError: If it gives something else the second time, or what no category can stand for.
    """
    try:
        value, again = function(*point), function(*point)
    except Exception as error:  # of any type: the program's own
        return _raised(error)
    if not supported(value):
        return Raised(
            f"is {_brief(value)}, of type {type(value).__name__},",
            "Values are None, int, float, bool, str, and tuples and frozensets of these: convert "
            "it, as with tuple(...).",
        )
    if identity(value) != identity(again):
        raise CompileError(
            f"Node {name!r} is first {value!r} and then {again!r} for the same input "
            f"{shown(point)}. Its function must depend on its input alone."
        )
    return value


def attends(name: str, predicate: Callable[..., Any], key: Raw, query: Raw) -> bool | Raised:
    """Whether a selector attends, as RASP's interpreter takes it: by the truth of what is said.

    Raises:
        CompileError: If it says something else the second time.
    """
    try:
        value, again = bool(predicate(key, query)), bool(predicate(key, query))
    except Exception as error:
        return _raised(error)
    if value != again:
        raise CompileError(
            f"Selector {name!r} is first {value} and then {again} for the key {text(key)} and the "
            f"query {text(query)}. Its predicate must depend on them alone."
        )
    return value


def shown(point: tuple[Raw, ...]) -> str:
    """An input for a message."""
    return text(point[0]) if len(point) == 1 else text(point)


def _raised(error: Exception) -> Raised:
    if isinstance(error, RecursionError):
        raise CompileError(
            "The program nests too many expressions or selectors: Python's recursion ends "
            f"({error}). Nest fewer, or name and reuse parts."
        )
    return Raised(f"raises {type(error).__name__}({error})")


def _brief(value: Any) -> str:
    found = repr(value)
    return found if len(found) <= 60 else found[:57] + "..."
