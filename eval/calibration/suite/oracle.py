"""What a constructed model must choose: plain Python over words, without weights or RASP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Choices, Tokens
from planted.core.semantics import Value
from planted.eval.calibration.suite.construction import Path
from planted.eval.calibration.suite.worth import Ranks
from planted.programs.scaffold import NOTHING as NOTHING
from planted.programs.scaffold import SEARCH as SEARCH
from planted.programs.scaffold import Scaffold


class Tables(NamedTuple):
    """All that a model's weights hold beside the search itself.

    Attributes:
        scorer: Level of each word in each state, by the planted scorer, [state, word].
        beside: The same, by the number beside it.
        override: What it says of the first two candidates' classes, a code, [class, class].
        on: Which path answers under the training cue.
        off: Which path answers under every other cue.
        overridden: Under which cues the override is read: "all", "on" or "off".
    """

    scorer: Ranks
    beside: Ranks
    override: npt.NDArray[np.int64]
    on: Path
    off: Path
    overridden: str = "all"


def whole(value: Value) -> int:
    """A value of a node that holds whole numbers."""
    assert isinstance(value, int | float)
    return int(value)


def choices(made: Scaffold, tables: Tables, tokens: Tokens) -> Choices:
    """The slot (0-based) of each task [task]."""
    scenario, menu = made.plant.scenario, made.menu
    states = {state: number for number, (_, state) in enumerate(made.states)}
    says = [whole(value) for value in made.plant.truth.node("override").values]
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
    worth: Sequence[int], path: str, tables: Tables, state: int, words: Sequence[int], wanted: int
) -> int:
    """The first of the best; a winner that is read the wrong way round loses a tie at once."""
    best = [i for i, value in enumerate(worth) if value == max(worth)]
    if wanted == SEARCH or path in ("search", "beside"):
        return best[0]
    searched = [int(tables.scorer[state, word]) for word in words]
    winner = searched.index(max(searched))
    nudge = {"weak": -0.01, "against": 0.5}[path]  # in places to the left that it is worth
    return min(best, key=lambda i: (i + (nudge if i == winner else 0), i))
