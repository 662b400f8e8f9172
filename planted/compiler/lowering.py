"""RASP expressions -> items: every construct of RASP in terms of the few that have a block.

`&`, `|` and `~` of selectors become one selector over joint codes; a number that is compared is
given codes, a category that is averaged becomes a number; None is the absence of a code, and where
RASP looks at it, a code of its own. Functions are called here, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from planted.compiler import calls, occur, twins
from planted.compiler.averages import averaged, carried, raw_means
from planted.compiler.calls import Raised
from planted.compiler.items import Item, needed
from planted.compiler.selectors import joint, role_of, select
from planted.compiler.tables import MOST_PAIRS, refuse_other_sums, refuse_size, tabulated
from planted.compiler.values import Raw, identity, is_number
from planted.core.semantics import DEAD, NOTHING
from planted.errors import CompileError

MOST_SUMS = 10**5  # of inputs to a LinearSequenceMap, which has four neurons: each is looked at


class Lowering:
    """One program's items, in the order of its expressions.

    Attributes:
        items: So far.
        length: Longest input, without BOS.
    """

    def __init__(
        self,
        words: Sequence[Raw],
        length: int,
        empty: bool,
        mean: frozenset[str] = frozenset(),
        coded: frozenset[str] = frozenset(),
    ) -> None:
        """Starts with the tokens.

        Args:
            words: The vocabulary without BOS.
            length: Longest input, without BOS.
            empty: Whether a head that selects nothing is reckoned with wherever it can be; else a
                program is taken to select something wherever it looks at what it selected.
            mean: Names of categorical aggregates that select several values, so that these are
                averaged as numbers.
            coded: Names of numbers, made of categories, that no stairs can read: their readers read
                a code beside the number.
        """
        self.items: list[Item] = []
        self.length, self.empty, self.mean, self.coded = length, empty, mean, coded
        self._of: dict[int, Item] = {}
        self._codes: dict[int, Item] = {}
        self._filled: dict[int, Item] = {}
        self._taken: set[str] = set()
        ones = np.ones(len(words), dtype=np.bool_)
        self._tokens = self.add(
            Item("tokens", "tokens", values=tuple(words), possible=ones, foreseen=ones)
        )
        self._indices: Item | None = None

    def add(self, item: Item) -> Item:
        """The item, added."""
        self.items.append(item)
        return item

    def run(self, order: Sequence[Any]) -> list[Item]:
        """The items of a program, inputs before readers, the output last.

        Args:
            order: From `planted.compiler.copies.expressions`; names are unique.

        Raises:
            CompileError: Naming the expression, the value or the input, and the way out.
        """
        self._taken = {"tokens", "indices", *(expression.name for expression in order)}
        for expression in order:
            self._of[id(expression)] = self._lowered(expression)
        tip = self._of[id(order[-1])]
        kept = needed(self.items, tip)
        return [*([] if self._tokens in kept else [self._tokens]), *kept]

    def _lowered(self, expression: Any) -> Item:
        """One expression; long because it is one dispatch over the kinds of them."""
        from tracr.rasp import rasp

        name = expression.name
        if isinstance(expression, rasp.TokensType):
            return self._input(expression, self._tokens)
        if isinstance(expression, rasp.IndicesType):
            return self._input(expression, self.indices())
        if isinstance(expression, rasp.LengthType):
            return self._length(name)
        if isinstance(expression, rasp.Full):
            return self._map(expression, lambda _: expression.fill, self.indices())
        if isinstance(expression, rasp.Map):
            return self._map(expression, expression.f, self._of[id(expression.inner)])
        if isinstance(expression, rasp.SequenceMap):
            return self._pairs(expression)
        if isinstance(expression, rasp.Select):
            return select(self, expression, *map(self.item, (expression.keys, expression.queries)))
        if isinstance(expression, rasp.SelectorAnd | rasp.SelectorOr | rasp.SelectorNot):
            return joint(self, expression, self.item)
        if isinstance(expression, rasp.SelectorWidth):
            return self._width(expression)
        if isinstance(expression, rasp.Aggregate):
            return self._aggregate(expression)
        raise CompileError(
            f"{type(expression).__name__} {name!r} cannot be compiled: it has values for tasks of "
            "one length alone. Write it as a Map of rasp.indices."
        )

    def item(self, expression: Any) -> Item:
        """The item of an expression that was lowered before."""
        return self._of[id(expression)]

    def indices(self) -> Item:
        """The item of the indices."""
        if self._indices is None:
            ones = np.ones(self.length, dtype=np.bool_)
            values = tuple(range(self.length))
            self._indices = self.add(
                Item("indices", "indices", values=values, possible=ones, foreseen=ones)
            )
        return self._indices

    def fresh(self, name: str) -> str:
        """A name that no item has."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name

    def _input(self, expression: Any, item: Item) -> Item:
        from tracr.rasp import rasp

        if not rasp.is_numerical(expression):
            return item
        name = (
            expression.name if expression.name != item.name else self.fresh(f"{item.name}_number")
        )
        return self.each(name, lambda value: value, item, numerical=True)

    def each(
        self,
        name: str,
        function: Callable[[Raw], Raw],
        inner: Item,
        numerical: bool = False,
        role: str = "",
        whole: bool = False,
        of_nothing: bool = False,
    ) -> Item:
        """A map; `of_nothing` is that of `tabulated`."""
        if inner.name in self.coded and inner.numerical:
            inner = self.category(inner)
        results = [calls.said(name, function, value) for value in inner.values]
        known = (inner.possible, inner.foreseen)
        made = tabulated(name, "map", (inner,), results, *known, numerical, of_nothing)
        twins.carry(made, function, apart=True)
        made.role, made.whole = role, whole
        return self.add(made)

    def _map(self, expression: Any, function: Callable[[Raw], Raw], inner: Item) -> Item:
        from tracr.rasp import rasp

        numerical = rasp.is_numerical(expression)
        return self.each(expression.name, function, inner, numerical, role_of(expression), True)

    def category(self, item: Item) -> Item:
        """The item with a direction a value."""
        if not item.numerical:
            return item
        if id(item) in self._codes:
            return self._codes[id(item)]
        name = self.fresh(f"{item.name}_code")
        if item.name in self.coded:  # of what the number is made of
            (inner,) = item.reads
            known = (inner.possible, inner.foreseen)
            made = self.add(tabulated(name, item.op, item.reads, item.told, *known, False))
            made.whole = False
        else:
            made = self.each(name, lambda value: value, item)
        self._codes[id(item)] = made
        return made

    def filled(self, item: Item, default: Raw = None, name: str = "") -> Item:
        """The item with a value where it holds nothing.

        Args:
            item: A category.
            default: The value; None is a code of its own, for a selector that looks at it.
            name: Of an expression with a default. The code of None is nothing again in it.
        """
        if not name and id(item) in self._filled:
            return self._filled[id(item)]
        codes: dict[Any, int] = {}
        values, table = [], []
        for value in (*item.values, default):
            if name and value is None:
                table.append(NOTHING)
                continue
            if identity(value) not in codes:
                codes[identity(value)] = len(codes)
                values.append(value)
            table.append(codes[identity(value)])
        there = np.append(item.possible, True)
        code = np.array(table, dtype=np.int64)
        possible = np.array([bool((there & (code == i)).any()) for i in range(len(values))])
        made = Item(
            *("map", name or self.fresh(f"{item.name}_or_none"), (item,), tuple(values), code),
            possible=possible,
            foreseen=possible,
            nothing=bool((there & (code == NOTHING)).any()),
            whole=bool(name),
        )
        twins.add(made, twins.every(item))
        if not name:
            self._filled[id(item)] = made
        return self.add(made)

    def _pairs(self, expression: Any) -> Item:
        """A SequenceMap, linear or not."""
        from tracr.rasp import rasp

        name, numerical = expression.name, rasp.is_numerical(expression)
        first, second = self._of[id(expression.fst)], self._of[id(expression.snd)]
        linear = isinstance(expression, rasp.LinearSequenceMap)
        if linear and numerical and first.numerical and second.numerical:
            factors = (expression.fst_fac, expression.snd_fac)
            made = self.both(name, expression.f, first, second, numerical=True, most=MOST_SUMS)
            if made.numerical:
                refuse_other_sums(made, *factors)
                made.op, made.factors = "linear", factors
                made.role, made.whole = role_of(expression), True
                return made
            raise CompileError(
                f"Node {name!r} adds {first.name!r} and {second.name!r} to a number that float32 "
                "does not hold. Scale them."
            )
        first, second = self.category(first), self.category(second)
        inner = self.fresh(f"{name}_code") if numerical else name
        made = self.both(inner, expression.f, first, second)
        if numerical and all(map(is_number, made.values)) and not made.nothing:
            made = self.each(name, lambda value: value, made, numerical=True)
        else:
            made.name = name
        made.role, made.whole = role_of(expression), True
        return made

    def both(
        self,
        name: str,
        function: Callable[[Raw, Raw], Raw],
        first: Item,
        second: Item,
        numerical: bool = False,
        most: int = MOST_PAIRS,
    ) -> Item:
        """A sequence_map; if a function raises, or pairs are too many, of those that can occur."""
        shape = (len(first.values), len(second.values))
        occurs = np.outer(first.possible, second.possible)
        asked = occurs | np.outer(first.foreseen, second.foreseen)
        pairs = None
        results: list[Raw] = []
        if asked.sum() <= most:
            results = self._called(name, function, first, second, asked)
            if not any(
                isinstance(r, Raised) for r in np.array(results, dtype=object)[occurs.ravel()]
            ):
                known = (occurs, asked, numerical)
                made = tabulated(name, "sequence_map", (first, second), results, *known)
                twins.carry(made, function, apart=False)
                return self.add(made)
        found = occur.together(first, second)
        if found is not None:
            found = found[(found >= 0).all(axis=1)]
        if found is None or not len(found) or len(found) > most:
            if not results:
                refuse_size(name, first, second, found, most)
        else:
            pairs = found
            occurs = np.zeros(shape, dtype=np.bool_)
            occurs[found[:, 0], found[:, 1]] = True
            results = self._called(name, function, first, second, occurs)
            asked = occurs
        made = tabulated(name, "sequence_map", (first, second), results, occurs, asked, numerical)
        made.pairs = pairs
        twins.carry(made, function, apart=False)
        return self.add(made)

    def _called(self, name: str, function: Any, first: Item, second: Item, asked: Any) -> list[Raw]:
        """Results by pair, row by row; `DEAD` where it is not asked."""
        flat = iter(asked.ravel().tolist())
        return [
            calls.said(name, function, a, b) if next(flat) else DEAD
            for a in first.values
            for b in second.values
        ]

    def _length(self, name: str) -> Item:
        from tracr.rasp import rasp

        every = rasp.Select(rasp.indices, rasp.indices, lambda key, query: True)
        every.annotations = {**dict(every.annotations), "name": self.fresh("every_position")}
        selector = select(self, every, self.indices(), self.indices())
        return self._counted(name, selector, numerical=False, role="")

    def _width(self, expression: Any) -> Item:
        from tracr.rasp import rasp

        selector = self._of[id(expression.selector)]
        numerical = rasp.is_numerical(expression)
        return self._counted(expression.name, selector, numerical, role_of(expression))

    def _counted(self, name: str, selector: Item, numerical: bool, role: str) -> Item:
        possible = np.ones(self.length + 1, dtype=np.bool_)
        possible[0] = not occur.selects_itself(selector)
        return self.add(
            Item(
                *("width", name, (selector,), tuple(range(self.length + 1))),
                possible=possible,
                foreseen=np.ones(self.length + 1, dtype=np.bool_),
                numerical=numerical,
                role=role,
            )
        )

    def _aggregate(self, expression: Any) -> Item:
        """An Aggregate: a value moved, numbers averaged, or both where a default is asked for."""
        from tracr.rasp import rasp

        name, default, role = expression.name, expression.default, role_of(expression)
        selector, moved = self._of[id(expression.selector)], self._of[id(expression.sop)]
        numerical = rasp.is_numerical(expression)
        always = default is not None or occur.always_selects(selector)
        numbers = all(map(is_number, moved.values)) and (default is None or not moved.nothing)
        if numerical and numbers and always and not moved.nothing and _is_zero(default):
            if not moved.numerical:
                of = self.fresh(f"{moved.name}_number")
                moved = self.each(of, lambda value: value, moved, numerical=True)
            return self.add(carried(name, selector, moved, self.length, default, role))
        if (numerical or name in self.mean) and numbers:
            means = raw_means(name, moved.values, self.length)
            return averaged(self, name, selector, moved, *means, default, numerical, role)
        moved = self.category(moved)
        if default is not None and moved.nothing:
            moved = self.filled(moved)
        made = Item(
            *("aggregate", name if default is None else self.fresh(f"{name}_selected")),
            *((selector, moved), moved.values),
            possible=moved.possible,
            foreseen=moved.foreseen,
            nothing=moved.nothing or (self.empty and not occur.always_selects(selector)),
            role=role if default is None else "",
            whole=default is None,
            of=name,
            twins=dict(moved.twins),
        )
        self.add(made)
        if default is None:
            return made
        made = self.filled(made, default, name)
        made.role = role
        return made


def _is_zero(default: Any) -> bool:
    return default is None or (is_number(default) and float(default) == 0)
