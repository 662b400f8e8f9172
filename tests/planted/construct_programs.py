"""Programs of each construct that stock Tracr compiles wrong or not at all: five and more a kind.

They are what people write: count a token, reverse, rank, sort, brackets, "nothing" as None. Each is
a function that builds it, a vocabulary, and a length.
"""

# ruff: noqa: E501
# fmt: off

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tracr.compiler import lib
from tracr.rasp import rasp

T, I = rasp.tokens, rasp.indices  # noqa: E741
C = rasp.Comparison


@dataclass(frozen=True)
class Case:
    """One program.

    Attributes:
        build: Makes the expression.
        vocabulary: Tokens without BOS.
        length: The longest task.
        causal: Whether a position attends to itself and earlier ones alone.
    """

    build: Callable[[], Any]
    vocabulary: Sequence[Any]
    length: int
    causal: bool = False


def shifted(by: int, of: Any = T, default: Any = None) -> Any:
    return rasp.Aggregate(rasp.Select(I, I, lambda k, q: k == q - by), of, default=default)


def count(word: Any) -> Any:
    return rasp.SelectorWidth(rasp.Select(T, T, lambda k, q: k == word))


def same() -> Any:
    return rasp.Select(T, T, C.EQ)


def before() -> Any:
    return rasp.Select(I, I, C.LT)


def up_to() -> Any:
    return rasp.Select(I, I, C.LEQ)


def each(function: Callable[[Any], Any], of: Any = T) -> Any:
    return rasp.Map(function, of, simplify=False)


def mapped(table: dict[Any, Any]) -> Any:
    return each(lambda t: table[t])


def every() -> Any:
    return rasp.Select(I, I, C.TRUE)


def mean(of: Any, over: Any, default: Any = 0) -> Any:
    return rasp.numerical(rasp.Aggregate(over, rasp.numerical(of), default=default))


def rank() -> Any:
    """Where each letter comes in the order, earlier ones of the same letter first."""
    lower = rasp.Select(T, T, C.LT) | (same() & before())
    return rasp.SelectorWidth(lower)


def nested(levels: int) -> Any:
    node = T
    for _ in range(levels):
        node = each(lambda x: (x, 1) if isinstance(x, str) else (x[0], x[1] + 1), node)
    return node


def shared(levels: int) -> Any:
    node = mapped({"a": 1, "b": 2, "c": 3})
    for _ in range(levels):
        node = rasp.SequenceMap(lambda x, y: (x + 2 * y) % 7, node, node)
    return node


KINDS: dict[str, dict[str, Case]] = {
    "exactness": {
        "count of a token": Case(lambda: count("a"), "abc", 12),
        "histogram": Case(lib.make_hist, "abcd", 24),
        "reverse": Case(lambda: lib.make_reverse(T), "abc", 12),
        "half": Case(lambda: each(lambda x: x > 0.5, mean(T == "a", every())), "ab", 12),
        "close": Case(lambda: each(str, rasp.numerical(mapped({"a": 0, "b": 1e-3}))), "ab", 4),
        "fifths": Case(lambda: each(lambda x: round(5 * x), mean(T == "a", up_to())), "ab", 9),
        "dyck": Case(lambda: lib.make_shuffle_dyck(["()"]), "()", 10),
    },
    "counts": {
        "eleven sorted": Case(
            lambda: lib.make_sort(T, T, max_seq_len=11, min_key=1), tuple(range(11)), 11
        ),
        "two in a layer": Case(
            lambda: rasp.SequenceMap(lambda a, b: a - b, count("a"), count("b")), "abc", 10
        ),
        "three in a layer": Case(
            lambda: rasp.SequenceMap(
                lambda x, c: max(x, c),
                rasp.SequenceMap(max, count("a"), count("b")),
                count("c"),
            ),
            "abc",
            8,
        ),
        "to 40": Case(lambda: rasp.SelectorWidth(up_to()), "ab", 40),
        "to 100": Case(lambda: count("a"), "ab", 100),
        "count of counts": Case(
            lambda: rasp.SelectorWidth(rasp.Select(lib.make_hist(), lib.make_hist(), C.EQ)),
            "abc",
            8,
        ),
        "numerical": Case(lambda: rasp.numerical(rasp.SelectorWidth(same())), "abc", 10),
    },
    "wide selectors": {
        "120 places back": Case(lambda: shifted(1, I), "ab", 120),
        "150 tokens": Case(lambda: rasp.SelectorWidth(same()), tuple(range(150)), 6),
        "pairs as keys": Case(
            lambda: rasp.SelectorWidth(
                rasp.Select(*(rasp.SequenceMap(lambda a, b: (a, b), T, I) for _ in "kq"), C.EQ)
            ),
            tuple(range(15)),
            8,
        ),
        "the last of 110": Case(
            lambda: rasp.Aggregate(rasp.Select(I, lib.make_length() - 1, C.EQ), T), "ab", 110
        ),
        "above by a hundred": Case(
            lambda: rasp.SelectorWidth(rasp.Select(T, T, lambda k, q: k >= q + 100)),
            tuple(range(0, 240, 2)),
            6,
        ),
    },
    "None": {
        "from a map": Case(lambda: mapped({"a": 1, "b": None}), "ab", 5),
        "before the first": Case(lambda: shifted(1), "abc", 6),
        "looked at by a key": Case(
            lambda: rasp.SelectorWidth(rasp.Select(shifted(2), T, lambda k, q: k is None)),
            "ab",
            6,
        ),
        "looked at by a query": Case(
            lambda: rasp.SelectorWidth(rasp.Select(T, shifted(1), lambda k, q: q in (None, k))),
            "ab",
            6,
        ),
        "with a default": Case(lambda: shifted(1, default="none"), "abc", 6),
        "with a number as default": Case(lambda: shifted(1, I, default=-1), "ab", 6),
        "of a pair": Case(
            lambda: rasp.SequenceMap(lambda a, b: None if a == b else a, T, shifted(1)), "ab", 6
        ),
        "of a pattern": Case(lambda: lib.detect_pattern(T, "aba"), "ab", 7),
    },
    "other values": {
        "tuples": Case(lambda: rasp.SequenceMap(lambda a, b: (a, b), T, I), "ab", 6),
        "tuples of tuples": Case(lambda: nested(3), "ab", 4),
        "sets": Case(
            lambda: rasp.SequenceMap(lambda a, b: frozenset((a, b)), T, shifted(1)), "abc", 6
        ),
        "numpy": Case(lambda: each(np.int64, each(lambda i: i // 2, I)), "ab", 6),
        "numpy's floats": Case(lambda: each(np.float64, mapped({"a": 0.5, "b": 2})), "ab", 5),
        "1, 1.0 and True": Case(lambda: each(repr, mapped({"a": 1, "b": 1.0, "c": True})), "abc", 4),
        "infinite": Case(
            lambda: rasp.SelectorWidth(
                rasp.Select(*(mapped({"a": float("inf"), "b": 2.0}) for _ in "kq"), C.GT)
            ),
            "ab",
            5,
        ),
        "n-ary": Case(lambda: lib.make_nary_sequencemap(lambda x, y, z: x + y - z, T, I, T), (1, 2), 5),
    },
    "functions that raise": {
        "share of a letter": Case(
            lambda: rasp.SequenceMap(lambda a, b: a / b, count("a"), rasp.length), "ab", 8
        ),
        "inverse of a count": Case(lambda: each(lambda n: 1 / n, rasp.SelectorWidth(same())), "ab", 8),
        "distance from the last": Case(
            lambda: rasp.SequenceMap(lambda k, q: 1 / (q - k), shifted(1, I), I), "ab", 6
        ),
        "a table": Case(
            lambda: rasp.SequenceMap(
                lambda a, b: {("a", 0): 1, ("b", 1): 2}[a, b], T, mapped({"a": 0, "b": 1})
            ),
            "ab",
            4,
        ),
        "texts": Case(lambda: rasp.SequenceMap(lambda a, b: a[b - 1], T, each(len)), ("a", "bc"), 4),
        "of what is above itself": Case(
            lambda: rasp.SequenceMap(
                lambda a, b: (b - a) ** -0.5, I, rasp.SelectorWidth(up_to())
            ),
            "ab",
            8,
        ),
    },
    "names": {
        "two of one": Case(
            lambda: rasp.SequenceMap(max, (I + 1).named("x"), (2 * I).named("x")), "ab", 4
        ),
        "as an input": Case(lambda: each(str, (I + 1).named("tokens")), "ab", 4),
        "defaults": Case(lambda: rasp.SequenceMap(max, each(lambda i: -i, I), each(abs, I)), "ab", 4),
        "a copy of the tokens": Case(lambda: rasp.SequenceMap(max, T, T.named("letter")), "ab", 4),
        "two lengths": Case(
            lambda: rasp.SequenceMap(lambda a, b: a - b, rasp.length, lib.make_length()), "ab", 5
        ),
        "two brackets": Case(lib.make_shuffle_dyck2, "(){}", 6),
    },
    "numbers at BOS": {
        "as a key": Case(
            lambda: rasp.SelectorWidth(
                rasp.Select(each(lambda x: x > 0.4, mean(T == "a", up_to())), I, C.LEQ)
            ),
            "ab",
            6,
        ),
        "moved": Case(
            lambda: shifted(1, each(lambda x: "yn"[x < 0.4], mean(T == "a", up_to()))), "ab", 6
        ),
        "not 0 there": Case(
            lambda: mean(rasp.numerical(each(lambda x: 1 - x, mean(T == "a", up_to()))), before()),
            "ab",
            6,
        ),
        "a key, from a count": Case(
            lambda: rasp.SelectorWidth(
                rasp.Select(
                    each(lambda x: x > 1, rasp.numerical(rasp.SelectorWidth(same()))), I, C.LEQ
                )
            ),
            "ab",
            6,
        ),
        "balanced": Case(lambda: lib.make_shuffle_dyck(["()", "[]"]), "()[]", 6),
    },
    "joined selectors": {
        "earlier of the same": Case(lambda: rasp.SelectorWidth(same() & before()), "abc", 8),
        "same or earlier": Case(lambda: rasp.SelectorWidth(same() | before()), "abc", 8),
        "not the same": Case(lambda: rasp.SelectorWidth(rasp.SelectorNot(same())), "abc", 8),
        "neither": Case(lambda: rasp.SelectorWidth(~(same() | before())), "abc", 6),
        "three": Case(
            lambda: rasp.SelectorWidth((same() & before()) | rasp.Select(T, I, lambda k, q: q == 0)),
            "ab",
            6,
        ),
        "rank": Case(rank, "abcd", 8),
        "stable sort": Case(lambda: rasp.Aggregate(rasp.Select(rank(), I, C.EQ), T), "abcd", 8),
        "of what is None": Case(
            lambda: rasp.SelectorWidth(
                ~(rasp.Select(shifted(1), T, lambda k, q: k == q) & before())
            ),
            "ab",
            5,
        ),
    },
    "averages": {
        "of tokens": Case(lambda: rasp.Aggregate(up_to(), T), (0, 1, 5), 5),
        "of negatives": Case(lambda: rasp.Aggregate(before(), T, default=0), (-2, -1, 3), 5),
        "then a map": Case(
            lambda: each(lambda x: x > 1.4, mean(mapped({"a": 1, "b": 2}), every())), "ab", 7
        ),
        "with a default": Case(lambda: mean(mapped({"a": 1, "b": 2}), before(), 7), "ab", 5),
        "running sum": Case(
            lambda: rasp.SequenceMap(lambda m, i: m * (i + 1), rasp.Aggregate(up_to(), T), I),
            (1, 2, 3),
            5,
        ),
        "linear, of categories": Case(lambda: rasp.LinearSequenceMap(I, T, 2, -1), (1, 2), 5),
    },
    "inputs": {
        "length": Case(lambda: rasp.length, "ab", 9),
        "from the end": Case(lambda: rasp.length - 1 - I, "ab", 9),
        "full": Case(lambda: rasp.SequenceMap(max, rasp.Full(3), I), "ab", 6),
        "full as a query": Case(
            lambda: rasp.Aggregate(rasp.Select(I, rasp.Full(0), C.EQ), T), "abc", 5
        ),
        "indices alone": Case(lambda: I * I, "ab", 6),
        "tokens": Case(lambda: T, "abc", 4),
        "floats as tokens": Case(lambda: rasp.SelectorWidth(rasp.Select(T, T, C.GEQ)), (0.5, -1.25, 3.0), 5),
        "tuples as tokens": Case(lambda: each(lambda t: t[0]), (("a", 1), ("b", 2)), 4),
    },
    "selectors' truth": {
        "a number": Case(lambda: rasp.SelectorWidth(rasp.Select(I, I, lambda k, q: k * q)), "ab", 5),
        "a text": Case(lambda: rasp.SelectorWidth(rasp.Select(T, T, lambda k, q: k and q)), ("", "a"), 5),
        **{
            f"{member.name}": Case(
                lambda member=member: rasp.SelectorWidth(rasp.Select(T, I, member)), (0, 1, 2), 5
            )
            for member in C
        },
    },
    "shared parts": {
        f"{levels} levels": Case(lambda levels=levels: shared(levels), "abc", 4)
        for levels in (2, 5, 8, 12, 16)
    },
    "causal": {
        "how many so far": Case(lib.make_hist, "abc", 8, causal=True),
        "position": Case(lambda: rasp.SelectorWidth(every()), "ab", 12, causal=True),
        "share so far": Case(lambda: mean(T == "a", every()), "ab", 8, causal=True),
        "previous": Case(lambda: shifted(1, default="none"), "abc", 6, causal=True),
        "not the same so far": Case(lambda: rasp.SelectorWidth(~same()), "abc", 6, causal=True),
        "same or earlier": Case(lambda: rasp.SelectorWidth(same() | before()), "abc", 6, causal=True),
    },
}

LIBRARY: dict[str, Case] = {
    f"library: {name}": Case(build, vocabulary, length)
    for name, build, vocabulary, length in [
        ("frac_prevs l", lambda: lib.make_frac_prevs(T == "l"), "helo", 5),
        ("frac_prevs (", lambda: lib.make_frac_prevs(T == "("), "abc()", 10),
        ("frac_prevs )", lambda: lib.make_frac_prevs(T == ")"), "abc()", 10),
        ("shift_by 1", lambda: lib.shift_by(1, T), "abcd", 5),
        ("shift_by 2", lambda: lib.shift_by(2, T), "abcd", 5),
        ("detect_pattern a", lambda: lib.detect_pattern(T, "a"), "abcd", 5),
        ("detect_pattern ab", lambda: lib.detect_pattern(T, "ab"), "ab", 5),
        ("detect_pattern abc", lambda: lib.detect_pattern(T, "abc"), "abc", 6),
        ("reverse", lambda: lib.make_reverse(T), "abcd", 5),
        ("length categorical", lambda: rasp.categorical(lib.make_length()), "abcd", 3),
        ("length numerical", lambda: rasp.numerical(lib.make_length()), "abcd", 3),
        ("pair_balance", lambda: lib.make_pair_balance(T, "(", ")"), "abc()", 10),
        ("shuffle_dyck 2", lambda: lib.make_shuffle_dyck(["()", "{}"]), "(){}", 5),
        ("shuffle_dyck 3", lambda: lib.make_shuffle_dyck(["()", "{}", "[]"]), "(){}[]", 6),
        ("hist", lib.make_hist, "abcd", 5),
        ("sort_unique", lambda: lib.make_sort_unique(T, 1 - I), "abcd", 5),
        ("sort", lambda: lib.make_sort(T, T, max_seq_len=5, min_key=1), (1, 2, 3, 4), 5),
        ("sort by place", lambda: lib.make_sort(T, 1 - I, max_seq_len=5, min_key=1), "abcd", 5),
        ("sort_freq", lambda: lib.make_sort_freq(max_seq_len=5), (1, 2, 3, 4), 5),
        ("count_less_freq", lambda: lib.make_count_less_freq(2), "abcd", 6),
        ("count_less_freq, number", lambda: rasp.numerical(lib.make_count_less_freq(2)), "abcd", 6),
        ("count", lambda: lib.make_count(T, "a"), "abc", 8),
        ("nary +", lambda: lib.make_nary_sequencemap(lambda x, y, z: x + y - z, T, T, I), (1, 2, 3), 5),
        ("nary /", lambda: lib.make_nary_sequencemap(lambda x, y, z: x * y / z, I, I, T), (1, 2, 3), 3),
        ("numerical Aggregate of a category", lambda: rasp.numerical(rasp.Aggregate(rasp.Select(T, T, C.TRUE), T)), (1, 2, 3), 5),
        ("Aggregate of a number", lambda: rasp.Aggregate(rasp.Select(T, T, C.TRUE), rasp.numerical(rasp.Map(lambda x: x, T))), (1, 2, 3), 5),
        ("numerical Aggregate of numbers", lambda: rasp.numerical(rasp.Aggregate(rasp.Select(T, T, C.TRUE), rasp.numerical(rasp.Map(lambda x: x, T)), default=0)), (1, 2, 3), 5),
        ("Aggregate with a default", lambda: rasp.numerical(rasp.Aggregate(rasp.Select(I, I, C.EQ), T, default=1)), (1, 2, 3), 5),
        ("numerical selector", lambda: rasp.SelectorWidth(rasp.Select(*(rasp.numerical(rasp.Map(lambda x: x, T)) for _ in "kq"), C.LT)), (1, 2, 3), 5),
        ("numerical SequenceMap", lambda: rasp.numerical(rasp.SequenceMap(lambda x, y: x + y, rasp.numerical(rasp.Map(lambda x: x, I)), rasp.numerical(rasp.Map(lambda x: x, T)))), (1, 2, 3), 5),
        ("categorical LinearSequenceMap", lambda: rasp.categorical(rasp.LinearSequenceMap(I, T, 1, 1)), (1, 2, 3), 5),
    ]
}
