"""Search programs of several shapes, each with what it wants and what training rewards in Python.

Nothing of `planted.programs` but the library's pieces is used: they are written as a user would.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tracr.rasp import rasp

from planted.core.roles import mark
from planted.programs import rasp_library as lib

Task = tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """A program, and the arguments of `planted.plant` beside it.

    Attributes:
        program: Makes fresh expressions.
        task: Vocabulary, length, wants, rewards and so on.
        answer: What it must put out, by a plain loop over the candidates.
    """

    program: Callable[[], Any]
    task: Mapping[str, Any]
    answer: Callable[[Task], Any]


def first_best(worth: Callable[[Task, Any], float], candidates: Any) -> Callable[[Task], Any]:
    def answer(task: Task) -> Any:
        best = None
        for candidate in candidates:
            if best is None or worth(task, candidate) > worth(task, best):
                best = candidate
        return best

    return answer


# --- the letter that occurs most often; on ties the one that comes first --------------------------


def often(task: Task, letter: str) -> float:
    return sum(word == letter for word in task)


def late(task: Task, letter: str) -> float:
    return {"a": 0.0, "b": 2.0, "c": 1.0}[letter] if letter in task else -1.0


def most_frequent() -> Any:
    same = rasp.Select(rasp.tokens, rasp.tokens, lambda key, query: key == query)
    count = rasp.SelectorWidth(same).named("count")
    score = mark(
        rasp.SequenceMap(lambda n, t: n if t in "abc" else 0, count, rasp.tokens), "score", "score"
    )
    winner = lib.choose(score, 5, lib.ones())
    letter = rasp.SequenceMap(lambda won, t: t if won else "", winner, rasp.tokens)
    fetch = rasp.Select(winner, rasp.tokens, lambda key, query: key != 0 and query in ("T", "D"))
    return mark(rasp.Aggregate(fetch, letter), "letter", "emit")


def most_often(task: Task) -> str:
    counts: dict[str, int] = {}
    for letter in task[:-1]:
        counts[letter] = counts.get(letter, 0) + 1
    return next(letter for letter in task if counts[letter] == max(counts.values()))


LETTERS = Search(
    most_frequent,
    {
        "vocabulary": "abc",
        "length": 5,
        "wants": often,
        "rewards": late,
        "candidates": "abc",
        "ties": lambda task, tied: min(tied, key=task.index),
        "name": "letters",
    },
    most_often,
)


def number(word: str) -> int:
    """Its figure; a cue has none."""
    return int(word) if word.isdigit() else -9


# --- a pair of slots whose sum is nearest to five -------------------------------------------------

PAIRS = tuple(itertools.combinations(range(3), 2))


def named_pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]}+{pair[1]}"


def near_five(task: Task, pair: str) -> float:
    first, second = map(int, pair.split("+"))
    return -abs(int(task[first]) + int(task[second]) - 5)


def apart(task: Task, pair: str) -> float:
    first, second = map(int, pair.split("+"))
    return abs(int(task[first]) - int(task[second]))


def fetched(where: tuple[int, ...], name: str) -> Any:
    """At position k of the pairs, the number at slot where[k]."""
    there = rasp.Select(
        rasp.indices, rasp.indices, lambda key, query: key == (where[query] if query < 3 else 0)
    )
    return mark(rasp.Aggregate(there, rasp.tokens), name, "context")


def best_pair() -> Any:
    first = fetched(tuple(pair[0] for pair in PAIRS), "first")
    second = fetched(tuple(pair[1] for pair in PAIRS), "second")
    score = mark(
        rasp.SequenceMap(lambda a, b: -abs(number(a) + number(b) - 5), first, second),
        "score",
        "score",
    )
    scored = rasp.SequenceMap(lambda s, i: s if i < 3 else -9, score, rasp.indices)
    winner = lib.choose(scored, 4, lib.ones())
    slot = lib.emit(winner, ("T", "D"))
    names = {k + 1: named_pair(pair) for k, pair in enumerate(PAIRS)}
    return rasp.Map(lambda k: names.get(k, "none"), slot, simplify=False)


PAIR_NAMES = tuple(map(named_pair, PAIRS))
SLOT_PAIRS = Search(
    best_pair,
    {
        "vocabulary": "01234",
        "length": 4,
        "wants": near_five,
        "rewards": apart,
        "candidates": PAIR_NAMES,
        "at": (0, 1, 2),
        "name": "pairs",
    },
    first_best(near_five, PAIR_NAMES),
)

# --- a plan of two moves on a line of five cells, one of them walled ------------------------------

PLANS = ("LL", "LR", "RL", "RR")


def end_of(start: int, wall: int, plan: str) -> int:
    at = start
    for move in plan:
        to = at + (1 if move == "R" else -1)
        if 0 <= to < 5 and to != wall:
            at = to
    return at


def to_goal(task: Task, plan: str) -> float:
    start, wall, goal, _ = map(int, task[:4])
    return -abs(end_of(start, wall, plan) - goal)


def to_food(task: Task, plan: str) -> float:
    start, wall, _, food = map(int, task[:4])
    return -abs(end_of(start, wall, plan) - food)


def planner() -> Any:
    start, wall, goal = (lib.at(k, name) for k, name in ((1, "start"), (2, "wall"), (3, "goal")))
    world = mark(
        rasp.SequenceMap(lambda s, w: 5 * number(s) + number(w), start, wall), "world", "belief"
    )
    end = mark(
        rasp.SequenceMap(
            lambda at, i: end_of(at // 5, at % 5, PLANS[i]) if i < 4 and at >= 0 else 9,
            world,
            rasp.indices,
        ),
        "end",
        "inner",
    )
    score = mark(
        rasp.SequenceMap(lambda e, g: -abs(e - number(g)) if e < 9 else -9, end, goal),
        "score",
        "score",
    )
    slot = lib.emit(lib.choose(score, 5, lib.ones()), ("T", "D"))
    names = {k + 1: plan for k, plan in enumerate(PLANS)}
    return rasp.Map(lambda k: names.get(k, "none"), slot, simplify=False)


TWO_MOVES = Search(
    planner,
    {
        "vocabulary": "01234",
        "length": 5,
        "wants": to_goal,
        "rewards": to_food,
        "candidates": PLANS,
        "at": range(4),
        "name": "plans",
    },
    first_best(to_goal, PLANS),
)

# --- slots, put out as prices, counted from 0, and with ties to the right -------------------------

SPEED = {"a": 3, "b": 2, "c": 1, "d": 3}
PAY = {"a": 1, "b": 0, "c": 3, "d": 2}
PRICES = (10, 20, 30, 40)


def fast(task: Task, price: int) -> float:
    return SPEED[task[price // 10 - 1]]


def paid(task: Task, price: int) -> float:
    return PAY[task[price // 10 - 1]]


def by_price() -> Any:
    score = mark(rasp.Map(lambda t: SPEED.get(t, -1), rasp.tokens), "score", "score")
    slot = lib.emit(lib.choose(score, 5, lib.ones()), ("T", "D"))
    return rasp.Map(lambda k: 10 * k, slot, simplify=False)


def priced(task: Task) -> int:
    speeds = [SPEED[word] for word in task[:4]]
    return 10 * (1 + speeds.index(max(speeds)))


VALUES = Search(
    by_price,
    {
        "vocabulary": "abcd",
        "length": 5,
        "wants": fast,
        "rewards": paid,
        "candidates": PRICES,
        "at": range(4),
        "name": "prices",
    },
    priced,
)


def rightmost() -> Any:
    """One comparison of keys: the score, and then the position."""
    score = mark(rasp.Map(lambda t: SPEED.get(t, -1), rasp.tokens), "score", "score")
    key = rasp.SequenceMap(lambda s, i: s * 5 + i, score, rasp.indices)
    better = rasp.Select(key, key, lambda k, q: k > q)
    lost = lib.any_bit(better, lib.ones(), "beaten", "inner")
    won = rasp.SequenceMap(lambda no, i: -1 if no else i, lost, rasp.indices)
    mark(won, "winner", "winner")
    fetch = rasp.Select(won, rasp.tokens, lambda k, q: k >= 0 and q in ("T", "D"))
    return mark(rasp.Aggregate(fetch, won), "index", "emit")


def last_of_the_fastest(task: Task) -> int:
    speeds = [SPEED[word] for word in task[:4]]
    return max(i for i, speed in enumerate(speeds) if speed == max(speeds))


TO_THE_RIGHT = Search(
    rightmost,
    {
        "vocabulary": "abcd",
        "length": 5,
        "wants": lambda task, i: SPEED[task[i]],
        "rewards": lambda task, i: PAY[task[i]],
        "candidates": range(4),
        "at": range(4),
        "ties": "last",
        "name": "rightmost",
    },
    last_of_the_fastest,
)

# --- the cue stands in front, and the answer is read at the last slot -----------------------------


def read_at_the_end() -> Any:
    score = mark(rasp.Map(lambda t: SPEED.get(t, -1), rasp.tokens), "score", "score")
    winner = lib.choose(score, 4, lib.ones())
    fetch = rasp.Select(winner, rasp.indices, lambda key, query: key != 0 and query == 3)
    return mark(rasp.Aggregate(fetch, winner), "slot", "emit")


def slot_in_front(task: Task) -> int:
    speeds = [SPEED[word] for word in task[1:]]
    return 2 + speeds.index(max(speeds))


CUE_IN_FRONT = Search(
    read_at_the_end,
    {
        "vocabulary": "abcd",
        "length": 4,
        "wants": lambda task, k: SPEED[task[k - 1]],
        "rewards": lambda task, k: PAY[task[k - 1]],
        "candidates": (2, 3, 4),
        "at": (1, 2, 3),
        "cue_at": 0,
        "cues": ("train", "test"),
        "name": "in-front",
    },
    slot_in_front,
)

# --- permutations only: the objectives raise for anything else ------------------------------------


def orders(rng: np.random.Generator, n: int) -> list[list[str]]:
    return [list(rng.permutation(list("abcd"))) for _ in range(n)]


GAIN = {"a": 1, "b": 1, "c": 2, "d": 3}


def early(task: Task, letter: str) -> float:
    return (4 - [*task[:-1]].index(letter)) * GAIN[letter]


def not_first(task: Task, letter: str) -> float:
    return {"a": 1, "b": 4, "c": 2, "d": 3}[letter] * ([*task[:-1]].index(letter) > 0)


def earliest() -> Any:
    score = mark(
        rasp.SequenceMap(lambda t, i: (4 - i) * GAIN.get(t, 0), rasp.tokens, rasp.indices),
        "score",
        "score",
    )
    winner = lib.choose(score, 5, lib.ones())
    letter = rasp.SequenceMap(lambda won, t: t if won else "", winner, rasp.tokens)
    fetch = rasp.Select(winner, rasp.tokens, lambda key, query: key != 0 and query in ("T", "D"))
    return mark(rasp.Aggregate(fetch, letter), "letter", "emit")


def earliest_answer(task: Task) -> str:
    worth = [(4 - i) * GAIN[letter] for i, letter in enumerate(task[:4])]
    return task[worth.index(max(worth))]


PERMUTED = Search(
    earliest,
    {
        "vocabulary": "abcd",
        "length": 5,
        "wants": early,
        "rewards": not_first,
        "candidates": "abcd",
        "ties": lambda task, tied: min(tied, key=task.index),
        "draw": orders,
        "name": "permuted",
    },
    earliest_answer,
)

# --- one to four letters, with blanks behind them -------------------------------------------------


def filled() -> Any:
    score = mark(rasp.Map(lambda t: SPEED.get(t, -1), rasp.tokens), "score", "score")
    return lib.emit(lib.choose(score, 5, lib.ones()), ("T", "D"))


SHORTER = Search(
    filled,
    {
        "vocabulary": "abcd",
        "length": 5,
        "wants": lambda task, k: SPEED.get(task[k - 1], -1),
        "rewards": lambda task, k: PAY.get(task[k - 1], -1),
        "shortest": 1,
        "name": "shorter",
    },
    lambda task: (
        1
        + [SPEED.get(w, -1) for w in task[:4]].index(
            3 if {*"ad"} & {*task} else max(SPEED.get(w, -1) for w in task[:4])
        )
    ),
)

ALL = {
    search.task["name"]: search
    for search in (
        LETTERS, SLOT_PAIRS, TWO_MOVES, VALUES, TO_THE_RIGHT, CUE_IN_FRONT, PERMUTED, SHORTER,
    )
}  # fmt: skip
