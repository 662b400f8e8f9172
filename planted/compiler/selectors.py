"""`&`, `|` and `~` of selectors as one selector: the same heads, over joint codes.

Keys that differ (and likewise queries) are paired into one category first, in an MLP; selectors
over the same keys and queries need no pair. Which pairs attend is then a table, as of any selector.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planted.compiler.items import Codes, Item
from planted.compiler.values import identity
from planted.core.semantics import DEAD, NOTHING

if TYPE_CHECKING:
    from planted.compiler.lowering import Lowering

Choice = Item | tuple[Any, ...]  # ("not", choice), ("and", choice, choice), ("or", choice, choice)


def joint(lowering: Lowering, name: str, choice: Choice, role: str) -> Item:
    """The selector of a choice among selectors.

    Args:
        lowering: What the items are added to.
        name: Of the expression.
        choice: Its parts, joined.
        role: The expression's role.

    Raises:
        CompileError: If there are too many joint codes.
    """
    parts = _leaves(choice)
    keys, of_key = _side(lowering, f"{name}_keys", [part.reads[0] for part in parts])
    queries, of_query = _side(lowering, f"{name}_queries", [part.reads[1] for part in parts])
    tables = {}
    for part, key, query in zip(parts, of_key, of_query, strict=True):
        # an item of nothing is the last row and column: attended to by no plain selector
        table = np.pad(part.table, ((0, 1), (0, 1)))
        tables[id(part)] = table[key[:, None], query[None, :]]
    table = _said(choice, tables)
    return lowering.add(Item("select", name, (keys, queries), table=table, role=role))


def _leaves(choice: Choice) -> list[Item]:
    if isinstance(choice, Item):
        return [choice]
    return [leaf for part in choice[1:] for leaf in _leaves(part)]


def _side(lowering: Lowering, name: str, items: Sequence[Item]) -> tuple[Item, list[Codes]]:
    """One item for several, and for each of them its code, by the code of the one."""
    every = list({id(item): item for item in items}.values())
    # what one selector sees as nothing, a negation attends to
    sure = {id(item): lowering.filled(item) if item.nothing else item for item in every}
    made, *others = list({id(item): item for item in sure.values()}.values())
    places = {id(made): np.arange(len(made.values))}
    for other in others:
        pair = lowering.both(lowering.fresh(name), lambda a, b: (a, b), made, other)
        back = {identity(value): code for code, value in enumerate(pair.values)}
        first, second = np.zeros((2, len(pair.values)), dtype=np.int64)
        for i, a in enumerate(made.values):
            for j, b in enumerate(other.values):
                code = back.get(identity((a, b)))
                if code is not None:
                    first[code], second[code] = i, j
        places = {key: codes[first] for key, codes in places.items()} | {id(other): second}
        made = pair
    return made, [_as(item, sure[id(item)], places[id(sure[id(item)])]) for item in items]


def _as(item: Item, filled: Item, codes: Codes) -> Codes:
    """Codes of an item from those of its filled twin: the code of None is nothing, the last."""
    return codes if item is filled else np.where(codes < len(item.values), codes, NOTHING)


def _said(choice: Choice, tables: dict[int, Codes]) -> npt.NDArray[np.int64]:
    if isinstance(choice, Item):
        return tables[id(choice)]
    how, *parts = choice
    said = [_said(part, tables) for part in parts]
    dead = np.logical_or.reduce([each == DEAD for each in said])
    yes = [each == 1 for each in said]
    found = {"not": lambda: ~yes[0], "and": lambda: yes[0] & yes[1], "or": lambda: yes[0] | yes[1]}
    return np.where(dead, DEAD, found[how]().astype(np.int64))
