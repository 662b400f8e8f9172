"""Checks arguments of public calls, all in one way.

Each check returns the value, or raises an error that says which argument it was, what was given,
what was expected and, for names, which known ones are near.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping
from typing import Any

from planted.errors import PlantedError, unknown


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """A whole number within bounds; numpy's integers count, True and 2.0 do not.

    Args:
        name: The argument's name.
        value: What was given.
        least: Smallest value that is allowed.
        most: Largest value that is allowed; None for no bound.

    Raises:
        PlantedError: If it is no whole number, or out of bounds.
    """
    bounds = f"at least {least}" if most is None else f"from {least} to {most}"
    wrong = PlantedError(f"{name} must be a whole number, {bounds}, got {value!r}.")
    if isinstance(value, bool):
        raise wrong
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise wrong from None
    if number < least or (most is not None and number > most):
        raise wrong
    return number


def one_of(name: str, value: object, known: Iterable[str]) -> str:
    """One of some names.

    Raises:
        UnknownNameError: If it is a text and none of them; near ones are named.
        PlantedError: If it is no text.
    """
    names = list(known)
    if not isinstance(value, str):
        raise PlantedError(f"{name} is one of {', '.join(map(repr, names))}, got {value!r}.")
    if value not in names:
        raise unknown(name, value, names)
    return value


def text(name: str, value: object, example: str) -> str:
    """A text that is not empty.

    Args:
        name: The argument's name.
        value: What was given.
        example: A right value, for the error.

    Raises:
        PlantedError: If it is none, or empty.
    """
    if not isinstance(value, str) or not value:
        raise PlantedError(f"{name} is a text, as {example!r}, got {value!r}.")
    return value


def plain_name(name: str, value: object, example: str) -> str:
    """A name that can be part of a file's name: letters, digits, ".", "_", "-".

    Args:
        name: The argument's name.
        value: What was given.
        example: A right value, for the error.

    Raises:
        PlantedError: If it is no text, or holds another character or begins with a dot or a hyphen.
    """
    if not isinstance(value, str) or not re.fullmatch(r"\w[\w.-]*", value):
        raise PlantedError(
            f"{name} is letters, digits, '.', '_' and '-', as {example!r}, got {value!r}."
        )
    return value


def texts(name: str, value: object, example: str) -> tuple[str, ...]:
    """Several texts: a list or another iterable of them, and not one text alone.

    Raises:
        PlantedError: If it is no iterable, one text alone, or holds something else.
    """
    if isinstance(value, str):
        raise PlantedError(f"{name} is a list of texts, as [{example!r}]; got {value!r} alone.")
    found = tuple(value) if isinstance(value, Iterable) else (None,)
    if not all(isinstance(each, str) for each in found):
        raise PlantedError(f"{name} is a list of texts, as [{example!r}], got {value!r}.")
    return found


def mapping(name: str, value: object, of: str) -> Mapping[str, Any]:
    """A mapping whose keys are texts.

    Args:
        name: The argument's name.
        value: What was given.
        of: What it maps, as "node names to values [task, pos]".

    Raises:
        PlantedError: If it is no mapping, or a key is no text.
    """
    if not isinstance(value, Mapping):
        raise PlantedError(f"{name} is a mapping of {of}, got {value!r}.")
    for key in value:
        if not isinstance(key, str):
            raise PlantedError(f"{name} is a mapping of {of}; it has the key {key!r}.")
    return value
