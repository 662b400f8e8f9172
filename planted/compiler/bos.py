"""What stands at BOS, where a program has no values: nothing may, where it would be read.

BOS holds the number 0, of which a staircase makes a value like of any other number. Where a
selector's keys, or what a head moves, would hold it, the staircase takes it back at BOS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from planted.compiler.items import Item
from planted.compiler.stairs import Stairs


def keep_clear(items: Sequence[Item], stairs: Mapping[int, Stairs]) -> None:
    """Marks, in place, the stairs that must take back what they write at BOS."""
    for item in items:
        if item.op == "select":
            read = item.reads[0]
        elif item.op == "aggregate":
            read = item.reads[1]
        else:
            continue
        while (origin := _written(read, stairs, {})) is not None:
            origin.clean = True


def _written(
    item: Item, stairs: Mapping[int, Stairs], known: dict[int, Item | None]
) -> Item | None:
    """The item because of which this one has a value at BOS; None if it has none there."""
    if id(item) in known:
        return known[id(item)]

    def of(read: Item) -> Item | None:
        return _written(read, stairs, known)

    found = None
    if item.op == "map" and item.reads[0].numerical:
        found = of(item.reads[0])
        if found is None and not item.clean and _made_of_zero(item, stairs[id(item)]):
            found = item
    elif item.op == "map":
        found = of(item.reads[0])
    elif item.op in ("sequence_map", "linear"):
        live = [origin for origin in map(of, item.reads) if origin is not None]
        if live and (item.op == "linear" or len(live) == 2):  # a category needs both sides
            found = live[0]
    elif item.op in ("aggregate", "width"):
        found = of(item.reads[0].reads[1])
    known[id(item)] = found
    return found


def _made_of_zero(item: Item, stairs: Stairs) -> bool:
    code = stairs.of_zero
    return code >= 0 and (not item.numerical or float(item.values[code]) != 0)
