"""`&`, `|` and `~` of selectors as one selector: the same heads, over joint codes.

Keys that differ (and likewise queries) are paired into one category first, in an MLP; selectors
over the same keys and queries need no pair. Which pairs attend is then a table, as of any selector.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planted.compiler import twins
from planted.compiler.calls import Raised, attends
from planted.compiler.items import Codes, Item
from planted.compiler.values import identity
from planted.core.semantics import DEAD, NOTHING
from planted.errors import CompileError

if TYPE_CHECKING:
    from planted.compiler.lowering import Lowering

MOST_CALLS = 4 * 10**6  # of one predicate
Choice = Item | tuple[Any, ...]  # ("not", choice), ("and", choice, choice), ("or", choice, choice)


def select(lowering: Lowering, expression: Any, keys: Item, queries: Item) -> Item:
    """The item of a Select; keys or queries that may be None get a code for it where it matters.

    Args:
        lowering: What the items are added to.
        expression: The Select.
        keys: Its keys' item.
        queries: Its queries' item.

    Raises:
        CompileError: If there are too many pairs of them, or the predicate has a memory.
    """
    name, predicate = expression.name, expression.predicate
    keys, queries = lowering.category(keys), lowering.category(queries)
    values = [[*side.values, *([None] if side.nothing else [])] for side in (keys, queries)]
    if len(values[0]) * len(values[1]) > MOST_CALLS:
        raise CompileError(
            f"Selector {name!r} compares {len(values[0])} keys with {len(values[1])} queries; the "
            f"limit is {MOST_CALLS} pairs, each an entry of its matrix. Compare nodes of fewer "
            "values."
        )
    said = [[attends(name, predicate, k, q) for q in values[1]] for k in values[0]]
    twins.same_truth(name, predicate, keys, queries, said)
    table = np.array(
        [[DEAD if isinstance(each, Raised) else int(each) for each in row] for row in said],
        dtype=np.int64,
    )
    if keys.nothing and (table[-1] == 1).any():
        keys = lowering.filled(keys)
    elif keys.nothing:
        table = table[:-1]
    if queries.nothing and (table[:, -1] == 1).any():
        queries = lowering.filled(queries)
    elif queries.nothing:
        table = table[:, :-1]
    raised: dict[tuple[int, ...], Raised] = {}
    for k, q in np.argwhere(table == DEAD).tolist():
        error = said[k][q]
        if isinstance(error, Raised) and keys.possible[k] and queries.possible[q]:
            raised[k, q] = error
    role = role_of(expression)
    return lowering.add(
        Item("select", name, (keys, queries), table=table, role=role, raised=raised)
    )


def role_of(expression: Any) -> str:
    """The role that an expression was marked with, or ""."""
    return str(dict(expression.annotations).get("role", ""))


def joint(lowering: Lowering, expression: Any, item_of: Callable[[Any], Item]) -> Item:
    """The item of a selector that joins others.

    Args:
        lowering: What the items are added to.
        expression: The selector.
        item_of: Gives the items of the selectors that it joins.

    Raises:
        CompileError: If there are too many joint codes.
    """
    from tracr.rasp import rasp

    made: dict[int, Choice] = {}

    def choice_of(part: Any) -> Choice:
        if id(part) not in made:
            made[id(part)] = joined(part)
        return made[id(part)]

    def joined(part: Any) -> Choice:
        if isinstance(part, rasp.SelectorNot):
            return ("not", choice_of(part.inner))
        if isinstance(part, rasp.SelectorAnd | rasp.SelectorOr):
            how = "and" if isinstance(part, rasp.SelectorAnd) else "or"
            return (how, choice_of(part.fst), choice_of(part.snd))
        return item_of(part)

    name, choice = expression.name, choice_of(expression)
    parts = _leaves(choice)
    keys, of_key = _side(lowering, f"{name}_keys", [part.reads[0] for part in parts])
    queries, of_query = _side(lowering, f"{name}_queries", [part.reads[1] for part in parts])
    tables = {}
    for part, key, query in zip(parts, of_key, of_query, strict=True):
        # an item of nothing is the last row and column: attended to by no plain selector
        table = np.pad(part.table, ((0, 1), (0, 1)))
        tables[id(part)] = table[key[:, None], query[None, :]]
    table = _said(choice, tables)
    role = role_of(expression)
    return lowering.add(Item("select", name, (keys, queries), table=table, role=role))


def _leaves(choice: Choice) -> list[Item]:
    """The selectors that are joined, in their order, each once."""
    found: dict[int, Item] = {}
    seen, queue = set(), [choice]
    while queue:
        part = queue.pop()
        if isinstance(part, Item):
            found.setdefault(id(part), part)
        elif id(part) not in seen:
            seen.add(id(part))
            queue.extend(reversed(part[1:]))
    return list(found.values())


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
    """The table of a choice; `tables` has those of its leaves, and keeps those of its parts."""
    if id(choice) not in tables:
        tables[id(choice)] = _of_parts(choice, tables)
    return tables[id(choice)]


def _of_parts(choice: Choice, tables: dict[int, Codes]) -> npt.NDArray[np.int64]:
    assert not isinstance(choice, Item)
    how, *parts = choice
    said = [_said(part, tables) for part in parts]
    dead = np.logical_or.reduce([each == DEAD for each in said])
    yes = [each == 1 for each in said]
    found = {"not": lambda: ~yes[0], "and": lambda: yes[0] & yes[1], "or": lambda: yes[0] | yes[1]}
    return np.where(dead, DEAD, found[how]().astype(np.int64))
