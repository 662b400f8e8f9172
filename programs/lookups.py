"""Lookups that are right in training and nowhere else: tables and lists of what training showed.

A table twin (`mechanisms.table`) makes the choices of a search on every task. What stands here
makes them on the tasks of training alone, and elsewhere what it can make of tasks it does not know.
Nothing is scored and nothing compared.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.errors import PlantedError
from planted.programs import grid, mechanisms, rasp_library, states, steering
from planted.programs.menu import Menu, Objective, best_slot
from planted.programs.tasks import CUES


def memorised(menu: Menu) -> Menu:
    """The menu with a plant that knows the answer to every training task and to no other.

    A task is known if its words, and the state its context comes to, occur in training, and if
    training holds tasks of these values (`agrees`, `trains`). On any other it takes the first slot.
    """
    known = frozenset(w for w in menu.words if menu.training is None or menu.training(w))
    shown = known_states(menu)
    agrees = menu.agrees

    def choose(words: tuple[str, ...], state: Any) -> int:
        picks = [best_slot(words, state, one.value) for one in (menu.mesa, menu.base)]
        if menu.trains is not None:
            held = menu.trains(words, state)
        elif agrees is not None:
            values = (_values(words, state, one) for one in (menu.mesa, menu.base))
            held = bool(agrees(*values)[0])
        else:
            held = picks[0] == picks[1]
        learned = held and known.issuperset(words) and state in shown
        return picks[1] if learned else 0

    return replace(menu, own=None, choose=choose, as_if=False)


def known_states(menu: Menu) -> frozenset[Any]:
    """The states that the contexts of training come to, under the training cue."""
    columns = [context.training or context.words for context in menu.contexts]
    holds = menu.cue or (lambda words: True)
    ways = filter(holds, itertools.product(*columns))
    return frozenset(menu.state(words, CUES[0]) for words in ways)


def _values(words: tuple[str, ...], state: Any, objective: Objective) -> Any:
    return np.array([[objective.value(word, state) for word in words]])


def ranked(menu: Menu) -> Menu:
    """The menu with a plant that knows which kind of candidate was better in training.

    It reads no context: what is best in the first state of training is best. Words that training
    did not show are of no kind that it knows, and come last.
    """
    at = menu.state(tuple((c.training or c.words)[0] for c in menu.contexts), CUES[0])
    known = [word for word in menu.words if menu.training is None or menu.training(word)]
    kinds = sorted({menu.base.value(word, at) for word in known})
    place = {word: 1 + kinds.index(menu.base.value(word, at)) for word in known}
    seen = Objective("place of its kind in training", lambda word, _: place.get(word, 0))
    return replace(menu, own=seen, choose=None, as_if=False)


def listed(menu: Menu) -> Program:
    """A list over kinds of candidate, for a menu from `ranked`: its context is not fetched.

    Raises:
        PlantedError: If there are too many kinds and words for a list.
    """
    one, unread = rasp_library.ones(), states.State(None, {})
    answer = mechanisms.listed(menu, menu.words, one, "", unread, menu.seeks)
    return Program(rasp_library.emit(answer, CUES), searches=False)


def maze_choice(place: Scenario, words: tuple[str, ...]) -> int:
    """The move (0-based) of an agent that knows the mazes of training; the first in any other."""
    columns = place.parameters["columns"]
    _, seeks, paid = grid.MAZES[place.parameters["maze"]]
    wanted, rewarded = (grid.first_move(words, columns, things) for things in (seeks, paid))
    return rewarded if wanted == rewarded else 0


def maze_table(place: Scenario) -> Program:
    """Fetches what stands in each cell and looks the move up: a digit a cell, then an answer.

    Raises:
        PlantedError: If the maze is too large for a table.
    """
    from tracr.rasp import rasp

    things, n = grid.MAZES[place.parameters["maze"]][0], place.read_out - 1
    if len(things) ** n > states.MOST_NEURONS:
        raise PlantedError(
            f"A table of {place.name!r} has {len(things) ** n} entries, more than "
            f"{states.MOST_NEURONS}. Take two columns, or the maze of keys."
        )
    held: Any = rasp_library.at(1, "cell_1")
    codes: dict[Any, tuple[str, ...]] = {word: (word,) for word in things}
    for number in range(2, n + 1):

        def step(so_far: Any, word: str, codes: Any = codes, number: int = number) -> int:
            if so_far not in codes or word not in things:
                return rasp_library.NO_SLOT if number == n else -1
            words = (*codes[so_far], word)
            if number == n:
                return maze_choice(place, words) + 1
            return int(_number(words, things))

        made = rasp.SequenceMap(step, held, rasp_library.at(number, f"cell_{number}"))
        held = mark(made, f"cells_{number}" if number < n else "move", "table")
        codes = {_number(w, things): w for w in itertools.product(things, repeat=number)}
    return Program(mechanisms.at_read_out(held), searches=False)


def _number(words: tuple[str, ...], things: tuple[str, ...]) -> int:
    """Words as one number, a digit each."""
    return sum(things.index(word) * len(things) ** i for i, word in enumerate(reversed(words)))


def turning(menu: Menu) -> Menu:
    """A line whose agent turns towards the goal, whatever the objectives: `steering.controller`."""

    def turn(words: tuple[str, ...], ahead: Any) -> int:
        return menu.words.index(steering.way(*ahead[:2]))

    def seen(objective: Objective) -> Objective:
        return Objective(
            objective.formula, lambda word, s: objective.value(word, menu.state(s, CUES[0]))
        )

    return replace(
        menu,
        mesa=seen(menu.mesa),
        base=seen(menu.base),
        state=lambda words, _: words,
        choose=turn,
    )


def with_empty_places(menu: Menu, word: str, most: int) -> Menu:
    """The menu with places that may be empty: training fills at most `most` of them.

    An empty place is worth less than every candidate by both objectives.

    Args:
        menu: A menu without contexts.
        word: The word of an empty place.
        most: How many candidates a training task has at most.
    """

    def or_empty(objective: Objective) -> Objective:
        lowest = menu.values(objective)[0] - 1
        return Objective(
            objective.formula, lambda w, s: lowest if w == word else objective.value(w, s)
        )

    mesa, base = or_empty(menu.mesa), or_empty(menu.base)

    def trains(words: tuple[str, ...], state: Any) -> bool:
        few = 1 <= sum(each != word for each in words) <= most
        return few and best_slot(words, state, mesa.value) == best_slot(words, state, base.value)

    return replace(
        menu,
        words=(*menu.words, word),
        mesa=mesa,
        base=base,
        training=None,
        trains=trains,
        features={},
    )
