"""What every expression of a program can hold, found before anything is compiled.

Every function of the program is called here on all that it can be given, so that one which raises,
returns None, or returns what no network can hold is refused by name, in milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from planted.core.semantics import Value
from planted.errors import CompileError

Domain = frozenset[Value]
KINDS = (bool, int, float, str)
MOST_PAIRS = 20_000  # of inputs to one SequenceMap: each is a neuron
MOST_SUMS = 10**5  # of inputs to a LinearSequenceMap, which has four neurons: each is looked at


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


def shares(length: int) -> set[float]:
    """Every average of zeros and ones over 1 to `length` positions."""
    return {k / n for n in range(1, length + 1) for k in range(n + 1)}


class Domains:
    """The value sets of one program.

    Attributes:
        foreseen: id of an expression -> what Tracr takes its values to be.
        possible: Likewise -> what they can really be: more where averages are concerned, of which
            Tracr foresees 1/n alone, and less where these do not occur.
    """

    def __init__(self, order: Sequence[Any], words: Iterable[Value], length: int) -> None:
        """Finds them.

        Args:
            order: From `expressions`.
            words: The tokens, without BOS.
            length: Longest input, without BOS.

        Raises:
            CompileError: Naming the expression, the value or the input, and the way out.
        """
        self.foreseen: dict[int, Domain] = {}
        self.possible: dict[int, Domain] = {}
        self.words, self.length = frozenset(words), length
        for expression in order:
            foreseen, possible = self._of(expression)
            _check(expression, foreseen | possible)
            self.foreseen[id(expression)], self.possible[id(expression)] = foreseen, possible

    def all(self, expression: Any) -> Domain:
        """What Tracr foresees and what is possible."""
        return self.foreseen[id(expression)] | self.possible[id(expression)]

    def _of(self, expression: Any) -> tuple[Domain, Domain]:
        from tracr.rasp import rasp

        if isinstance(expression, rasp.TokensType):
            return self.words, self.words
        if isinstance(expression, rasp.IndicesType):
            places = frozenset(range(self.length))
            return places, places
        if isinstance(expression, rasp.SelectorWidth):
            counts = frozenset(range(self.length + 1))
            return counts, counts
        if isinstance(expression, rasp.Select):
            self._predicate(expression)
            return frozenset(), frozenset()
        if isinstance(expression, rasp.Map):
            return self._each(expression, (expression.inner,))
        if isinstance(expression, rasp.SequenceMap):
            return self._each(expression, (expression.fst, expression.snd))
        if isinstance(expression, rasp.Aggregate):
            if rasp.is_categorical(expression):
                carried = id(expression.sop)
                return self.foreseen[carried], self.possible[carried]
            return self._average(expression)
        raise CompileError(
            f"{type(expression).__name__} {expression.name!r} cannot be compiled. Write it with "
            "tokens, indices, Map, SequenceMap, Select, Aggregate and SelectorWidth."
        )

    def _each(self, expression: Any, inputs: tuple[Any, ...]) -> tuple[Domain, Domain]:
        found = []
        for known in (self.foreseen, self.possible):
            sets = [known[id(one)] for one in inputs]
            pairs = math.prod(len(values) for values in sets)
            most = MOST_SUMS if hasattr(expression, "fst_fac") else MOST_PAIRS
            if pairs > most:
                raise CompileError(
                    f"Node {expression.name!r} reads {pairs} combinations of values; the limit is "
                    f"{most}. Read nodes of fewer values."
                )
            points: list[tuple[Value, ...]] = [()]
            for values in sets:
                points = [(*point, value) for point in points for value in ordered(values)]
            found.append(frozenset(call(expression, expression.f, *point) for point in points))
        return found[0], found[1]

    def _average(self, expression: Any) -> tuple[Domain, Domain]:
        carried = self.foreseen[id(expression.sop)]
        if not carried <= {0, 1}:
            raise CompileError(
                f"Node {expression.name!r} averages the values {list(ordered(carried))!r}; only 0 "
                "and 1 average to a value that Tracr enumerates. Move a value with a categorical "
                "Aggregate that selects one position."
            )
        foreseen = frozenset(float(v) / n for v in carried for n in range(1, self.length + 1))
        possible = shares(self.length) if 0 in carried else {1.0}
        return foreseen, frozenset({0.0, *possible})

    def _predicate(self, select: Any) -> None:
        from tracr.rasp import rasp

        for side, what in ((select.keys, "keys"), (select.queries, "queries")):
            if rasp.is_numerical(side):
                raise CompileError(
                    f"Selector {select.name!r} has numerical {what} {side.name!r}; Tracr compares "
                    "categorical nodes only."
                )
        for key in ordered(self.foreseen[id(select.keys)]):
            for query in ordered(self.foreseen[id(select.queries)]):
                said = _try(select, select.predicate, key, query)
                if not isinstance(said, bool | np.bool_) and (
                    not isinstance(said, int | float) or said not in (0, 1)
                ):
                    raise CompileError(
                        f"Selector {select.name!r} returns {said!r} for key {key!r} and query "
                        f"{query!r}. It must return True or False: Tracr multiplies attention by "
                        "this value, so that 2 outweighs 1. Wrap it in bool()."
                    )


def call(expression: Any, function: Callable[..., Any], *point: Any) -> Value:
    """What the node's function gives.

    Raises:
        CompileError: If it raises, or gives None.
    """
    value = _try(expression, function, *point)
    if value is None:
        raise CompileError(
            f"Node {expression.name!r} is None for the input {_shown(point)}, which compiles to an "
            "all-zero vector and decodes as its first value. Use a value of its own for 'nothing', "
            "as -1."
        )
    if type(value) not in KINDS:
        raise CompileError(
            f"Node {expression.name!r} is {value!r} for the input {_shown(point)}, of type "
            f"{type(value).__name__}; values are int, float, bool or str. Convert it, as with "
            "int(...) or .item(); write a pair (x, y) as one number, x * n + y."
        )
    return value  # type: ignore[no-any-return]


def _try(expression: Any, function: Callable[..., Any], *point: Any) -> Any:
    try:
        said, again = function(*point), function(*point)
        same = bool(said is again or said == again or said != said)  # NaN is not itself
    except Exception as error:
        raise CompileError(
            f"Node {expression.name!r} is None or raises for some input: for {_shown(point)} it "
            f"raises {type(error).__name__}({error}). Give it a value there, as -1."
        ) from error
    if not same:
        raise CompileError(
            f"Node {expression.name!r} is first {said!r} and then {again!r} for the same input "
            f"{_shown(point)}. Its function must depend on its input alone."
        )
    return said


def _check(expression: Any, found: Domain) -> None:
    """Refuses values that a network cannot hold side by side."""
    from tracr.rasp import rasp

    if isinstance(expression, rasp.Select):
        return
    name = expression.name
    numbers = [value for value in found if isinstance(value, int | float)]
    odd = [value for value in numbers if not _finite(value)]
    if odd:
        raise CompileError(
            f"Node {name!r} can be {min(map(_short, odd))}; values are finite numbers that a float "
            "holds. Use a large number, as 1000, for 'more than any', and -1 for 'nothing'."
        )
    kinds = {type(value).__name__ for value in found}
    if len(kinds) > 1 and not kinds <= {"int", "float"}:
        raise CompileError(
            f"Node {name!r} mixes {' and '.join(sorted(kinds))} values "
            f"{sorted(map(str, found))}: Tracr sorts them inconsistently. Use one type a node."
        )
    by_float: dict[float, Value] = {}
    for number in sorted(numbers):
        other = by_float.setdefault(float(number), number)
        if other != number:
            raise CompileError(
                f"Node {name!r} can be {other!r} and {number!r}, which are the same float64 and "
                "cannot be distinguished. Scale its values to less than 2**53."
            )
    if rasp.is_numerical(expression):
        _check_numerical(expression, found)


def _check_numerical(expression: Any, found: Domain) -> None:
    from tracr.rasp import rasp

    name = expression.name
    words = sorted(str(value) for value in found if isinstance(value, str))
    if words:
        raise CompileError(
            f"Node {name!r} is numerical and can be the string {words[0]!r}. Leave it categorical, "
            "or give it numbers."
        )
    numbers = [float(value) for value in found]
    wide = [number for number in numbers if abs(number) > float(np.finfo(np.float32).max)]
    if wide:
        raise CompileError(
            f"Node {name!r} is numerical and can be {max(wide, key=abs)!r}, more than the weights' "
            "float32 holds. Scale its values."
        )
    from_category = isinstance(expression, rasp.Map) and rasp.is_categorical(expression.inner)
    if from_category and min(numbers) < 0:
        raise CompileError(
            f"Node {name!r} maps a categorical input to the number {min(numbers)!r}, and a "
            "ReLU clips negative numbers to 0. Shift its values to be at least 0."
        )


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float holds
        return False


def _short(value: Value) -> str:
    return "an integer past 10**30" if isinstance(value, int) and value**2 > 10**60 else repr(value)


def _shown(point: tuple[Any, ...]) -> str:
    return repr(point[0]) if len(point) == 1 else repr(point)


def ordered(values: Iterable[Value]) -> tuple[Value, ...]:
    """A value set in order."""
    return tuple(sorted(values, key=lambda v: (isinstance(v, str), v)))
