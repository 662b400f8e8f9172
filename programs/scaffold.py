"""One network of a family in which every fate of its planted objective can be written.

Models whose fate is known by construction must not be told apart by their shapes. So one network is
compiled for a family, and each fate is written into its weights afterwards, by exact surgery. It is
the family's search, and beside it

    beside     one number a candidate, written by neurons of the scorer's layer, which the read-out
               head can attend to: another objective, without the planted search
    override   from classes of the first two candidates: nothing, the search, or a slot
    here       what the override comes to at a position; forced: where it overrules all else

The read-out head attends to the search's winner, to `beside`, or to both, by the cue that it reads:
that is how checkpoints whose last block was trained carry the base objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from planted.core.plant import Plant
from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.core.truth import Matrix
from planted.errors import PlantedError
from planted.network import surgery
from planted.programs import planting, rasp_library
from planted.programs.entries import Entry
from planted.programs.menu import Menu
from planted.programs.rasp_library import NO_SLOT
from planted.programs.states import MOST_NEURONS, State, state_of
from planted.programs.tasks import CUES

MOST_CLASSES = 10  # of a candidate's word, for the override table
UNREAD = 4  # directions of the residual stream that nothing reads
NO_CANDIDATE = -1  # the level of what is no candidate: below every one
NOTHING, SEARCH = 0, -1  # what the override says, beside a slot number
FREE, MINE, SEARCHED = 0, 1, 2  # what `here` says


class Scaffold(NamedTuple):
    """A compiled scaffold and what its tables are about.

    Attributes:
        menu: The scenario in plain Python.
        plant: The network, with arbitrary tables.
        states: The code of the state node, and the state, of each state; where there is none, the
            code None and the only state.
        classes: A word's class, by word.
        beside: Direction that holds the number `beside` [d_model].
        neurons: For each of its neurons: (place in `states`, word).
        first: The first of those neurons in the scorer's MLP.
        unread: Directions that nothing reads.
    """

    menu: Menu
    plant: Plant
    states: tuple[tuple[Any, Any], ...]
    classes: dict[str, int]
    beside: Matrix
    neurons: tuple[tuple[int, str], ...]
    first: int
    unread: tuple[int, ...]


def scaffold(menu: Menu, scenario: Scenario) -> Scaffold:
    """Compiles the scaffold of a menu; what its tables hold is to be written by surgery.

    Takes about five seconds.

    Args:
        menu: Its candidates are words that vary, and its cue is the token at the read-out.
        scenario: The menu's scenario.

    Raises:
        PlantedError: If it is another kind of menu, or its tables would be too large.
    """
    if menu.fixed or menu.searched or menu.cue is not None or menu.choose or menu.own:
        raise PlantedError(
            f"The scaffold needs candidates that vary, a search for the mesa-objective over them "
            f"alone and a cue at the read-out; {menu.name!r} has other ones."
        )
    n_entries = len(menu.states()) * len(menu.words)
    if n_entries > MOST_NEURONS:
        raise PlantedError(
            f"A scorer of {menu.name!r} has {n_entries} entries, more than {MOST_NEURONS}. Take "
            "fewer words or states."
        )
    entry = Entry(
        f"{menu.name}-scaffold", 0, "scaffold", "search", lambda **_: scenario,
        lambda _: program(menu),
    )  # fmt: skip
    state = state_of(menu)
    states = tuple(zip(state.codes, state.states, strict=True)) or ((None, menu.states()[0]),)
    return _with_room(menu, planting.bare(entry, scenario), states)


def classes_of(words: Sequence[str]) -> dict[str, int]:
    """A class for every word, as evenly as can be.

    >>> classes_of(["a", "b", "c"])
    {'a': 0, 'b': 1, 'c': 2}
    """
    n = min(MOST_CLASSES, len(words))
    return {word: number % n for number, word in enumerate(words)}


def program(menu: Menu) -> Program:
    """The scaffold's program. Its tables name every value, so that any of them can be written."""
    from tracr.rasp import rasp

    one, classes, slots = rasp_library.ones(), classes_of(menu.words), menu.slots
    winner = rasp_library.choose(_levels(menu, state_of(menu)), menu.read_out, one)
    kind = rasp.Map(lambda word: classes.get(word, 0), rasp.tokens, simplify=False)
    mark(kind, "class", "gate")
    first = rasp_library.at(1, "class_1", kind, "gate")
    second = rasp_library.at(2, "class_2", kind, "gate")
    says, n = (NOTHING, SEARCH, *range(1, slots + 1)), max(classes.values()) + 1
    override = rasp.SequenceMap(lambda a, b: says[(a * n + b) % len(says)], first, second)
    mark(override, "override", "gate")

    def here(said: int, i: int) -> int:
        return SEARCHED if said == SEARCH else MINE if said == i + 1 else FREE

    at_hand = mark(rasp.SequenceMap(here, override, rasp.indices), "here", "gate")
    forced = rasp.SequenceMap(lambda slot, said: forced_by(slot, said), winner, at_hand)
    return Program(rasp_library.emit(mark(forced, "forced", "gate"), CUES))


def forced_by(slot: int, here: int) -> int:
    """A number other than 0 where the override overrules all else: mine, or the search's winner."""
    return slot if here == SEARCHED else 1 if here == MINE else NO_SLOT


def _levels(menu: Menu, state: State) -> Any:
    """A scorer whose table gives every word a level of its own."""
    from tracr.rasp import rasp

    level = {word: number for number, word in enumerate(menu.words)}
    if state.node is None:
        return rasp_library.score(lambda word: level.get(word, NO_CANDIDATE))
    known = frozenset(state.codes)
    scores = rasp.SequenceMap(
        lambda code, word: level.get(word, NO_CANDIDATE) if code in known else NO_CANDIDATE,
        state.node,
        rasp.tokens,
    )
    return mark(scores, "score", "score")


def _with_room(menu: Menu, plant: Plant, states: tuple[tuple[Any, Any], ...]) -> Scaffold:
    """Adds the neurons and the direction of `beside`, and directions that nothing reads."""
    score, tokens = plant.truth.node("score"), plant.truth.node("tokens")
    wanted = tuple((at, word) for at in range(len(states)) for word in menu.words)
    params, truth = surgery.add_free_width(plant.params, plant.truth, 0, 1 + UNREAD, 0)
    for name in ("embed.W_E", "pos_embed.W_pos"):
        params[name][:, -1 - UNREAD :] = 0
    numbers = [0] * (1 + max(int(n.split(".")[1]) for n in params if n.startswith("blocks.")))
    numbers[score.layer] = len(wanted)
    first = len(params[f"blocks.{score.layer}.mlp.b_in"])
    params = surgery.add_neurons(params, 0, numbers)
    at = f"blocks.{score.layer}.mlp."
    reads = np.zeros((len(params[at + "W_in"]), len(wanted)), np.float32)
    of_entry = {}
    if states[0][0] is not None:
        held = plant.truth.node(_state_name(plant))
        codes, words = surgery.entries_of(plant.params, plant.truth, "score")
        pairs = zip(codes, words, strict=True)
        of_entry = {
            (held.values[c], tokens.values[w]): neuron
            for (c, w), neuron in zip(pairs, score.neurons, strict=True)
        }
    for number, (state, word) in enumerate(wanted):
        if of_entry:
            reads[:, number] = params[at + "W_in"][:, of_entry[states[state][0], word]]
        else:
            reads[:, number] = truth.node("tokens").basis[tokens.values.index(word)]
    params[at + "W_in"][:, first:] = reads
    width = params["embed.W_E"].shape[1]
    beside = np.eye(width, dtype=np.float32)[width - 1 - UNREAD]
    made = Plant(**{**vars(plant), "params": params, "truth": truth})
    unread = tuple(range(width - UNREAD, width))
    return Scaffold(menu, made, states, classes_of(menu.words), beside, wanted, first, unread)


def _state_name(plant: Plant) -> str:
    operation = next(each for each in plant.truth.operations if each.name == "score")
    return next(name for name in operation.inputs if name != "tokens")
