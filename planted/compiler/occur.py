"""Which values can occur together: at one position, of several items.

What an item holds at a position is a function of what stands there (token, index) and of what its
heads bring, its *atoms*. Over the atoms, the combinations of two items are enumerated. Of a head it
is known what a query can fetch, and where it must find something.
"""

from __future__ import annotations

import numpy as np

from planted.compiler.items import Bools, Codes, Item
from planted.core.semantics import NOTHING

MOST_POINTS = 300_000  # combinations of atoms that are enumerated


def atoms(item: Item) -> dict[int, Item]:
    """What the item's value at a position is a function of, by id."""
    if item.op in ("map", "sequence_map", "linear"):
        found: dict[int, Item] = {}
        for read in item.reads:
            found |= atoms_of(read)
        return found
    return {id(item): item}


def atoms_of(item: Item) -> dict[int, Item]:
    """The same, kept on the item: an expression's parts may be shared many times."""
    known = item.__dict__.get("_atoms")
    if known is None:
        known = item.__dict__["_atoms"] = atoms(item)
    return dict(known)


def together(*items: Item) -> Codes | None:
    """The codes [combination, item] that can occur at one position; None if they are too many."""
    wanted: dict[int, Item] = {}
    for item in items:
        wanted |= atoms_of(item)
    for atom in list(wanted.values()):
        if atom.op == "aggregate":
            more = wanted | atoms_of(atom.reads[0].reads[1])
            if _size(more) <= MOST_POINTS:
                wanted = more
    if _size(wanted) > MOST_POINTS:
        return None
    grids = np.meshgrid(*(_can_be(atom) for atom in wanted.values()), indexing="ij")
    known: dict[int, Codes] = {key: grid.ravel() for key, grid in zip(wanted, grids, strict=True)}
    points = len(next(iter(known.values())))
    kept = np.ones(points, dtype=np.bool_)
    for atom in wanted.values():
        if atom.op == "aggregate" and set(atoms_of(atom.reads[0].reads[1])) <= set(wanted):
            kept &= _fetched(atom, known)
    found = np.stack([_codes(item, known) for item in items], axis=1)[kept]
    return np.unique(found[(found >= NOTHING).all(axis=1)], axis=0)  # a DEAD one does not occur


def _size(wanted: dict[int, Item]) -> int:
    size = 1
    for atom in wanted.values():
        size *= max(1, int(atom.possible.sum()) + atom.nothing)
    return size


def _can_be(atom: Item) -> Codes:
    codes = np.flatnonzero(atom.possible).astype(np.int64)
    return np.append(codes, NOTHING) if atom.nothing or not len(codes) else codes


def _codes(item: Item, known: dict[int, Codes]) -> Codes:
    """An item's codes at every point; NOTHING where it holds none, less where it is undefined."""
    if id(item) not in known:
        read = [_codes(each, known) for each in item.reads]
        undefined = np.minimum.reduce(read)
        if item.op == "map":
            found = np.where(read[0] >= 0, item.table[np.maximum(read[0], 0)], item.of_nothing)
        else:
            found = item.table[np.maximum(read[0], 0), np.maximum(read[1], 0)]
            found = np.where(undefined >= 0, found, NOTHING)
        known[id(item)] = np.where(undefined < NOTHING, undefined, found)
    return known[id(item)]


def _fetched(aggregate: Item, known: dict[int, Codes]) -> Bools:
    """At which points a head can bring what it brings there, given who asks."""
    selector, moved = aggregate.reads
    keys, queries = selector.reads
    table = selector.table == 1
    asked = _codes(queries, known)
    brought = known[id(aggregate)]
    if moved.numerical or aggregate.numerical:  # a mean: all that is known is whether there is one
        return np.ones(len(brought), dtype=np.bool_)
    pairs = together(keys, moved) if _size(atoms_of(keys) | atoms_of(moved)) < 10**4 else None
    allowed = np.ones((table.shape[1], len(aggregate.values) + 1), dtype=np.bool_)
    if pairs is not None:
        allowed[:, :-1] = False
        for key, value in pairs[(pairs >= 0).all(axis=1)]:
            allowed[table[key], value] = True
        if moved.nothing:
            allowed[:, -1] = True
    can = np.where(asked >= 0, allowed[np.maximum(asked, 0), brought], brought == NOTHING)
    if not moved.nothing:
        can &= ~((brought == NOTHING) & must_select(selector, asked, known))
    return can


def must_select(selector: Item, asked: Codes, known: dict[int, Codes]) -> Bools:
    """At which points something is selected in every task: a place up to the asker's own."""
    keys, _ = selector.reads
    place = next((item for item in atoms_of(keys).values() if item.op == "indices"), None)
    if place is None or len(atoms_of(keys)) > 1 or id(place) not in known:
        return np.zeros(len(asked), dtype=np.bool_)
    at = _codes(keys, {id(place): np.arange(len(place.values))})  # key code by place
    table = np.where((at >= 0)[:, None], selector.table[np.maximum(at, 0)] == 1, False)
    up_to = np.logical_or.accumulate(table, axis=0)  # [place, query]
    return np.where(asked >= 0, up_to[known[id(place)], np.maximum(asked, 0)], False)


def selects_itself(selector: Item) -> bool:
    """Whether every position selects itself at least, so that it never selects nothing."""
    keys, queries = selector.reads
    pairs = together(keys, queries)
    if pairs is None or not len(pairs) or (pairs < 0).any():
        return False
    return bool((selector.table[pairs[:, 0], pairs[:, 1]] == 1).all())


def always_selects(selector: Item) -> bool:
    """Whether every position selects something in every task."""
    if selects_itself(selector):
        return True
    queries = selector.reads[1]
    wanted = atoms_of(queries) | {
        key: item for key, item in atoms_of(selector.reads[0]).items() if item.op == "indices"
    }
    if _size(wanted) > MOST_POINTS:
        return False
    grids = np.meshgrid(*(_can_be(atom) for atom in wanted.values()), indexing="ij")
    known = {key: grid.ravel() for key, grid in zip(wanted, grids, strict=True)}
    asked = _codes(queries, known)
    return bool((asked != NOTHING).all() and must_select(selector, asked, known)[asked >= 0].all())
