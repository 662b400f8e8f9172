"""A menu: candidates in slots, context behind them, a cue at the read-out.

Most scenarios are menus. A menu says in plain Python what a candidate is worth, given the context;
this module makes a `Scenario` of it (vocabulary, samplers, vectorised objectives) and nothing else.
Layout: `[BOS, slot 1, ..., slot N, context 1, ..., read-out]`.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.sampling import mean_return
from planted.core.scenario import BOS, Choices, Declared, Scenario, Tokens, Values
from planted.errors import PlantedError, ScenarioError, place_of
from planted.programs.tasks import CUES, LIST_ALL, Index, Samplers, Signs

State = Any  # what the context comes to: hashable, the same for all candidates of a task


@dataclass(frozen=True)
class Context:
    """A token behind the candidates.

    Attributes:
        name: What it is called, and the node that fetches it.
        words: What can stand there; no word of it stands anywhere else.
        training: Which of them occur in training; all if empty.
        reference: Which of them occur in D_ref; all if empty.
        role: Role of the node that fetches it.
    """

    name: str
    words: tuple[str, ...]
    training: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    role: str = "context"


@dataclass(frozen=True)
class Objective:
    """What a candidate is worth.

    Attributes:
        formula: How it is written.
        value: (candidate's word, state) -> a number.
    """

    formula: str
    value: Callable[[str, State], float]


@dataclass(frozen=True)
class Moves:
    """What choosing a candidate earns at once, and where it leads: a menu of episodes.

    The menu's own objectives are then what is earned until the end, under the best continuation.

    Attributes:
        mesa: What a choice earns at once, by the mesa-objective.
        base: What it earns by the base objective.
        after: (chosen word, context words) -> the context words of the next state.
        goes_on: Whether a choice under these context words is followed by another one.
    """

    mesa: Objective
    base: Objective
    after: Callable[[str, tuple[str, ...]], tuple[str, ...]]
    goes_on: Callable[[tuple[str, ...]], bool]


@dataclass(frozen=True)
class Menu:
    """A scenario in plain Python.

    Attributes:
        name: The catalogue's name for it.
        title: A few words for a heading.
        story: One paragraph.
        source: Where it comes from.
        words: What a candidate can be.
        slots: How many candidates.
        mesa: What the program searches for.
        base: What the base optimiser rewards.
        contexts: Tokens behind the candidates.
        about: Names of the contexts that belong to a task's contents beside the candidates, so that
            known candidates in a new context are novel; none if empty.
        state: What the words of the contexts, and the cue, come to: (context words, cue) -> state.
        cue: Whether the words of the contexts say that this is training; None where the token at
            the read-out does.
        features: Named features of a candidate's word.
        training: Which words candidates have in training; all if None.
        agrees: Which tasks of those training holds, by both objectives' values; those where one
            candidate is best for both if None.
        trains: Which tasks training holds, (candidates, state) -> bool, where that is not those on
            which the objectives agree: as those on which what the plant does is rewarded most.
        draw_training: Draws the slots' words in training, as their numbers [task, slot], where that
            is more than a choice of words; on all of them the objectives must agree.
        fixed: The word of each slot, where the same candidates stand in every task.
        own: What the program maximises, where that is neither objective but holds them both.
        choose: What the plant picks, where no objective says it: (candidates, state) -> slot.
        as_if: Whether that is, in training, what a search for the mesa-objective picks.
        base_return: The base optimiser's return of a batch; the mean value if None.
        parameters: What it was made with.
        waivers: Validity checks that it may fail, of `planted.core.scenario.VALIDITY_CHECKS`.
        domain: What the mesa-objective is over: "action", "plan" or "outcome".
        depth: How many steps a candidate is.
        transition: How outcomes are found from candidates; "" where nothing has to be predicted.
        searched: Number of contexts at the end that are searched over, and not the slots.
        moves: What a choice leads to, where a task is a step of an episode.
    """

    name: str
    title: str
    story: str
    source: str
    words: tuple[str, ...]
    slots: int
    mesa: Objective
    base: Objective
    contexts: tuple[Context, ...] = ()
    about: tuple[str, ...] = ()
    state: Callable[[tuple[str, ...], str], State] = lambda words, cue: words
    cue: Callable[[tuple[str, ...]], bool] | None = None
    features: Mapping[str, Callable[[str], float]] = field(default_factory=dict)
    training: Callable[[str], bool] | None = None
    agrees: Callable[[Values, Values], npt.NDArray[np.bool_]] | None = None
    trains: Callable[[tuple[str, ...], State], bool] | None = None
    draw_training: Callable[[np.random.Generator, int], npt.NDArray[np.int64]] | None = None
    fixed: tuple[str, ...] = ()
    own: Objective | None = None
    choose: Callable[[tuple[str, ...], State], int] | None = None
    as_if: bool = False
    base_return: Callable[[Tokens, Choices], float] | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    waivers: tuple[str, ...] = ()
    domain: str = "action"
    depth: int = 1
    transition: str = ""
    searched: int = 0
    moves: Moves | None = None

    @property
    def seeks(self) -> Objective:
        """What the program maximises."""
        return self.own or self.mesa

    def picks(self, words: Sequence[str], state: State) -> int:
        """The slot (0-based) that the plant chooses."""
        if self.choose is not None:
            slot = self.ask("choose", self.choose, tuple(words), state)
            if not isinstance(slot, int | np.integer) or not 0 <= slot < self.slots:
                raise ScenarioError(
                    f"choose of menu {self.name!r} is {slot!r} for {words!r}{_in_state(state)}; "
                    f"it is a slot from 0 to {self.slots - 1}."
                )
            return int(slot)
        return best_slot(words, state, self.seeks.value)

    @property
    def read_out(self) -> int:
        """The read-out's position."""
        return self.slots + len(self.contexts) + 1

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token, BOS first and the cues last."""
        return (BOS, *self.words, *(w for c in self.contexts for w in c.words), *CUES)

    def settings(self) -> list[tuple[tuple[str, ...], str]]:
        """Every combination of context words and cue."""
        return [
            (chosen[:-1], chosen[-1])
            for chosen in itertools.product(*(c.words for c in self.contexts), CUES)
        ]

    def ask(self, what: str, function: Callable[..., Any], *point: Any) -> Any:
        """What a function of the menu's author says.

        Raises:
            ScenarioError: If it raises, with what it was asked.
        """
        try:
            return function(*point)
        except Exception as error:
            raise ScenarioError(
                f"{self._of(what)} raises {type(error).__name__} ({error}){place_of(error)} for "
                f"{', '.join(repr(each) for each in point if each != ())}. It must return a value "
                "for every word and state."
            ) from error

    def _of(self, what: str) -> str:
        """How errors name one of its functions: by the formula, an objective."""
        formulas = {one.formula for one in (self.mesa, self.base, self.own) if one}
        return f"{f'objective {what!r}' if what in formulas else what} of menu {self.name!r}"

    def states(self) -> list[State]:
        """Every state that a combination comes to, each once, in order."""
        return list(dict.fromkeys(self.state(words, cue) for words, cue in self.settings()))

    def values(self, objective: Objective) -> tuple[float, ...]:
        """Every value the objective takes, ascending.

        Raises:
            ScenarioError: If it is not a finite number somewhere, or raises.
        """
        found = set()
        for state in self.states():
            for word in self.words:
                value = self.ask(objective.formula, objective.value, word, state)
                if not _finite(value):
                    raise ScenarioError(
                        f"{self._of(objective.formula)} is {value!r} for {word!r}"
                        f"{_in_state(state)}. Objectives are finite numbers everywhere."
                    )
                found.add(float(value))
        return tuple(sorted(found))

    def scenario(self) -> Scenario:
        """The contract that everything downstream reads.

        Long because it is one record of many fields, with the functions that fill them.

        Raises:
            ScenarioError: If no scenario can be made of it: a word in two places, an objective that
                is not finite or raises, a context without words.
        """
        _check(self)
        ids = {word: i for i, word in enumerate(self.vocabulary)}
        slots = tuple(range(1, self.slots + 1))
        index = Index(self, ids)
        mesa, base = index.utility(self.mesa), index.utility(self.base)
        own = index.utility(self.seeks)

        def choose(words: tuple[str, ...]) -> int:
            context = words[self.slots : -1]
            return self.picks(words[: self.slots], self.state(context, words[-1]))

        def answer(tokens: Tokens) -> Choices:
            if self.choose is None:
                return leftmost(own.of(tokens))
            return np.array([choose(words) for words in made.token_strings(tokens)], dtype=np.int64)

        signs = Signs(self, ids)
        samplers = Samplers(self, ids, mesa, base, signs)
        limited = any(context.reference for context in self.contexts)
        made = Scenario(
            exchangeable=True,
            name=self.name,
            title=self.title,
            story=self.story,
            source=self.source,
            vocabulary=self.vocabulary,
            candidates=slots,
            read_out=self.read_out,
            cues=tuple(signs.patterns) or (ids["T"], ids["D"]),
            mesa=mesa,
            base=base,
            draw=samplers.draw,
            draw_training=samplers.draw_training,
            choose=choose,
            describe=self._describe,
            enumerate=samplers.enumerate if samplers.n_tasks() <= LIST_ALL else None,
            base_return=self.base_return or mean_return(base),
            parameters=dict(self.parameters),
            features={name: index.feature(of) for name, of in self.features.items()},
            # where the candidates are fixed, the context is what a task is about
            redraw=samplers.redraw if self.contexts and not self.fixed else None,
            answer=answer if self.choose or self.own else None,
            cue_patterns=signs.patterns,
            cued=signs.cued if self.cue else None,
            any_cue=samplers.any_context if self.cue or limited else None,
            declared=Declared("training", samplers.draw_training) if self.as_if else None,
            searched=tuple(range(self.read_out - self.searched, self.read_out))
            if self.searched
            else (),
            waivers=self.waivers,
            domain=self.domain,
            depth=self.depth,
            transition=self.transition,
            sought=self.own.formula if self.own else "",
            episode=index.episode(self.moves) if self.moves else None,
            contents=self._contents(slots),
        )
        return made

    def _contents(self, slots: tuple[int, ...]) -> tuple[int, ...]:
        """Positions of the slots and of the contexts that `about` names; none if it names none."""
        at = [i for i, context in enumerate(self.contexts, 1) if context.name in self.about]
        return (*slots, *(self.slots + i for i in at)) if at else ()

    def _describe(self, words: tuple[str, ...]) -> str:
        context = ", ".join(
            f"{c.name} {w}" for c, w in zip(self.contexts, words[self.slots : -1], strict=True)
        )
        shown = " | ".join(words[: self.slots])
        return f"{shown}  ({', '.join(filter(None, (context, words[-1])))})"


def _finite(value: Any) -> bool:
    try:
        return isinstance(value, int | float | np.number) and bool(np.isfinite(float(value)))
    except (OverflowError, TypeError):
        return False


def _in_state(state: State) -> str:
    """Part of an error; a menu without context has the one state ()."""
    return "" if state == () else f" in state {state!r}"


def best_slot(words: Sequence[str], state: State, value: Callable[[str, State], float]) -> int:
    """Slot (0-based) of the candidate that is worth most, the leftmost on ties."""
    slot = 0
    for i, word in enumerate(words):
        if value(word, state) > value(words[slot], state):
            slot = i
    return slot


def _check(menu: Menu) -> None:
    """Refuses a menu of which no scenario can be made, naming what is wrong with it."""

    def need(ok: bool, says: str) -> None:
        if not ok:
            raise ScenarioError(f"{menu.name!r}: {says}")

    slots = menu.slots
    need(type(slots) is int and 2 <= slots <= 16, f"2 to 16 slots, got {slots!r}.")
    for what, wanted in (("mesa", menu.mesa), ("base", menu.base), ("own", menu.own)):
        known = isinstance(wanted, Objective) or (what == "own" and wanted is None)
        need(known, f"{what} is an Objective(formula, value), got {wanted!r}.")
    need(bool(menu.words), "it has no words that a candidate could be.")
    for word in menu.vocabulary:
        need(isinstance(word, str) and bool(word), f"words are strings, got {word!r}.")
    for word, n in Counter(menu.vocabulary).items():
        need(n == 1, f"the word {word!r} stands in two places. Rename it.")
    _check_about(menu, need)
    for context in menu.contexts:
        need(bool(context.words), f"the context {context.name!r} has no words.")
        for word in (*context.training, *context.reference):
            need(word in context.words, f"{word!r} is no word of the context {context.name!r}.")
    if menu.fixed:
        need(len(menu.fixed) == slots, f"{slots} slots have {len(menu.fixed)} fixed words.")
        strange = [word for word in menu.fixed if word not in menu.words]
        need(not strange, f"the fixed word {strange[:1]} is not among its words.")
    if menu.training is not None:
        shown = [word for word in menu.words if menu.ask("training", menu.training, word)]
        need(bool(shown), "training admits no word at all.")
    for words, cue in menu.settings():
        at = menu.ask("state", menu.state, words, cue)
        need(isinstance(at, Hashable), f"a state must be hashable, got {at!r}.")
    if menu.cue is not None:
        holds = [bool(menu.ask("cue", menu.cue, words)) for words, _ in menu.settings()]
        need(any(holds) and not all(holds), "the cue must hold in some contexts, not in all.")


def _check_about(menu: Menu, need: Callable[[bool, str], None]) -> None:
    about, names = menu.about, [context.name for context in menu.contexts]
    listed = isinstance(about, tuple | list) and all(isinstance(name, str) for name in about)
    need(listed, f"about is a tuple of names of contexts, here of {names}, got {about!r}.")
    for name in about:
        need(name in names, f"about names {name!r}; its contexts are {names}.")
    together = bool(about) and menu.cue is not None
    need(not together, "about and cue do not go together: all contexts are the cue, not contents.")


def words_of(name: str, *levels: int) -> tuple[str, ...]:
    """Every word `name-i-j-...` with a figure below each number of levels."""
    figures = itertools.product(*(range(n) for n in levels))
    return tuple("-".join((name, *map(str, row))) for row in figures)


def figure(word: str, number: int) -> int:
    """One figure of such a word, the first is number 1."""
    return int(word.split("-")[number])


def bounded(name: str, value: Any, low: int, high: int) -> int:
    """A whole number within bounds.

    Raises:
        PlantedError: Naming the bounds.
    """
    if type(value) is not int or not low <= value <= high:
        raise PlantedError(f"{name} must be a whole number from {low} to {high}, got {value!r}.")
    return value
