"""Copies of RASP expression graphs: what is compiled is never the user's own expressions."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


def expressions(tip: Any) -> list[Any]:
    """Every expression of the program once, inputs before readers."""
    order: list[Any] = []
    seen: set[int] = set()
    stack = [(tip, False)]
    while stack:
        expression, ready = stack.pop()
        if ready:
            order.append(expression)
        elif id(expression) not in seen:
            seen.add(id(expression))
            stack.append((expression, True))
            stack += [(child, False) for child in reversed(expression.children)]
    return order


def copied(output: Any, replace: Mapping[int, Any] | None = None) -> Any:
    """The same graph of expressions in new objects; the inputs (tokens, indices) stay themselves.

    Each expression is copied once, so that what two readers share they share in the copy too.
    Nothing is written to the originals, not even a name that Tracr would make up on first reading.

    Args:
        output: The expression that is computed last.
        replace: id of an expression -> what its readers read instead, taken as it is.
    """
    made: dict[int, Any] = dict(replace or {})
    for expression in expressions(output):
        if id(expression) not in made:
            made[id(expression)] = _twin(expression, made)
    return made[id(output)]


def rewired(output: Any, replace: Mapping[int, Any]) -> Any:
    """The graph with some expressions replaced: only what depends on them is copied.

    Args:
        output: The expression that is computed last.
        replace: id of an expression -> what its readers read instead.
    """
    made: dict[int, Any] = {}
    for expression in expressions(output):
        if id(expression) in replace:
            made[id(expression)] = replace[id(expression)]
        elif any(made[id(child)] is not child for child in expression.children):
            made[id(expression)] = _twin(expression, made)
        else:
            made[id(expression)] = expression
    return made[id(output)]


def _twin(expression: Any, made: Mapping[int, Any]) -> Any:
    from tracr.rasp import rasp

    if expression is rasp.tokens or expression is rasp.indices or expression is rasp.length:
        return expression
    new = copy.copy(expression)
    new.__dict__.pop("unique_id", None)
    new.annotations = dict(expression.annotations)  # its own, and no longer the original's
    for name, value in vars(expression).items():
        if isinstance(value, rasp.RASPExpr):
            new.__dict__[name] = made[id(value)]
    return new
