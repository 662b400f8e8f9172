"""What a constructed model must choose: plain Python over words, without weights or RASP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from planted.core.scenario import Choices, Tokens
from planted.programs.scaffold import NOTHING as NOTHING
from planted.programs.scaffold import SEARCH as SEARCH
from planted.programs.scaffold import Scaffold

if TYPE_CHECKING:
    from planted.eval.calibration.suite.build import _Tables


def choices(made: Scaffold, tables: _Tables, tokens: Tokens) -> Choices:
    """The slot (0-based) of each task [task]."""
    scenario, menu = made.plant.scenario, made.menu
    states = {state: number for number, (_, state) in enumerate(made.states)}
    says = [int(value) for value in made.plant.truth.node("override").values]
    training = scenario.vocabulary[scenario.cues[0]]
    number = {word: i for i, word in enumerate(menu.words)}
    chosen = []
    for words in scenario.token_strings(tokens):
        slots, context, cue = words[: menu.slots], words[menu.slots : -1], words[-1]
        state = states[menu.state(context, cue)]
        here = "on" if cue == training else "off"
        path = tables.on if here == "on" else tables.off
        wanted = says[tables.override[made.classes[slots[0]], made.classes[slots[1]]]]
        if tables.overridden not in ("all", here):
            wanted = NOTHING
        which = tables.scorer if path == "search" or wanted == SEARCH else tables.beside
        if wanted > 0:
            chosen.append(wanted - 1)
            continue
        worth = [int(which[state, number[word]]) for word in slots]
        chosen.append(_first_best(worth, path, tables, state, [number[w] for w in slots], wanted))
    return np.array(chosen, dtype=np.int64)


def _first_best(
    worth: Sequence[int], path: str, tables: Any, state: int, words: Sequence[int], wanted: int
) -> int:
    """The first of the best; a winner that is read the wrong way round loses a tie at once."""
    best = [i for i, value in enumerate(worth) if value == max(worth)]
    if wanted == SEARCH or path in ("search", "beside"):
        return best[0]
    searched = [int(tables.scorer[state, word]) for word in words]
    winner = searched.index(max(searched))
    nudge = {"weak": -0.01, "against": 0.5}[path]  # in places to the left that it is worth
    return min(best, key=lambda i: (i + (nudge if i == winner else 0), i))
