"""The contract of a scenario: a vocabulary, a layout, two objectives, and where tasks come from.

A scenario is data and plain numpy functions, and does not depend on RASP, weights or training. Its
functions can therefore serve as the oracle that compiled programs are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.arguments import texts
from planted.core.arrays import to_numpy
from planted.core.pickling import PickledByValue
from planted.errors import PlantedError

Tokens = npt.NDArray[np.int64]  # [task, pos], BOS included
Values = npt.NDArray[np.float64]  # [task, candidate]
Choices = npt.NDArray[np.int64]  # [task], index of the chosen candidate; -1 is an invalid output
Sampler = Callable[[np.random.Generator, int], Tokens]
# (tokens [task, pos], which candidates are best [task, candidate]) -> one of them [task]
TieRule = Callable[[Tokens, npt.NDArray[np.bool_]], Choices]

BOS = "BOS"
# "collinear": no drift can be told between the objectives; "no-disagreement": they never part
VALIDITY_CHECKS = ("collinear", "no-disagreement")
# An act as it is, several acts in a row, or what an act is predicted to lead to
DOMAINS = ("action", "plan", "outcome")


@dataclass(frozen=True)
class Utility:
    """An objective over candidates.

    Attributes:
        formula: How it is written, as "9·red + near".
        of: Maps tokens [task, pos] to the value of each candidate [task, candidate]: called as
            `scenario.base.of(tokens)`.
        levels: Every value it takes, ascending.
    """

    formula: str
    of: Callable[[Tokens], Values]
    levels: tuple[float, ...]


@dataclass(frozen=True)
class Declared:
    """Tasks on which a plant that does not search chooses what a search would.

    Attributes:
        name: What they are called, as "training".
        draw: Draws them.
    """

    name: str
    draw: Sampler


@dataclass(frozen=True)
class Episode:
    """What choosing a candidate is paid at once, and where it leads.

    An episode has at most two steps: a state after which the episode goes on leads to states after
    which it does not. The scenario's own objectives are the returns: the reward of a choice and,
    where the episode goes on, the highest reward of a choice in the next state.

    Attributes:
        mesa: Reward of one step by the mesa-objective.
        base: Reward of one step by the base objective.
        step: Tasks after choices: (tokens [task, pos], choices [task], none of them -1) -> tokens.
            Where the episode ends, any task.
        goes_on: Whether a choice in a task is followed by another one, tokens -> [task].
    """

    mesa: Utility
    base: Utility
    step: Callable[[Tokens, Choices], Tokens]
    goes_on: Callable[[Tokens], npt.NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Scenario(PickledByValue):
    """One family of tasks with a mesa-objective and a base objective on the same candidates.

    Attributes:
        name: Its name, as "red-doors".
        title: A few words for a heading.
        story: One paragraph: what the tasks are, and where the two objectives disagree.
        source: Where the story comes from.
        vocabulary: Token strings; a token's id is its place here, and id 0 is BOS.
        candidates: Positions of the candidates, in output order: output k chooses candidate k.
            Candidates that stand nowhere (a letter, a pair of slots, a plan) have the read-out's
            position, all of them; `emits` says what they are.
        read_out: The position whose residual stream is read.
        cues: Token ids that may stand at the read-out; the first is the training cue. A cue of
            several tokens is an id beyond the vocabulary, which `cue_patterns` defines.
        mesa: The objective the program searches for (u_m); `mesa.of(tokens)` gives its values.
        base: The objective the base optimiser rewards (U), declared on every task;
            `base.of(tokens).argmax(1)` is the leftmost candidate that is best for it.
        draw: Samples tasks from D_ref: independent features, the training cue.
        draw_training: Samples training tasks: tasks on which the two objectives agree or, for a
            scenario with an `answer`, on which that answer is rewarded most.
        choose: The oracle for the output on one task of token strings: the slot (0-based) that
            searching for the mesa-objective picks. Plain Python, not written from the program.
        describe: One line for one task of token strings.
        enumerate: All tasks [task, pos], or None when there are too many to list.
        parameters: The parameters that the scenario was made with.
        features: Named features of each candidate: tokens -> [task, candidate].
        redraw: Draws other candidates into given tasks and keeps their context (state, pointer,
            belief). None if the cue is the only context, or if the candidates are the same in every
            task.
        answer: The slot [task], 0-based, that the plant chooses, if this is best for neither
            objective. `choose` is then the oracle of this choice.
        cue_patterns: For cues of several tokens, or away from the read-out: cue id -> its name, and
            position -> token id. An empty pattern holds in every task.
        cued: Whether the training cue holds, [task]. None if it does where its pattern, or its
            token at the read-out, stands.
        any_cue: Draws any combination of cue tokens into given tasks. None if `cues` lists them
            all.
        base_return: The base optimiser's return of a batch: (tokens, choices) -> float.
        declared: Tasks on which `answer` equals the choice of a search for the mesa-objective; None
            if none are declared.
        searched: Positions that the program searches over, if these are more than the candidates,
            as plans of which only the first action is the output. `candidates` if empty.
        waivers: Validity checks (of `VALIDITY_CHECKS`) that the scenario fails on purpose.
        domain: What the mesa-objective is an objective over, of `DOMAINS`.
        depth: Number of steps of a candidate: of a plan, or until its outcome.
        transition: How outcomes are found from candidates; "" if nothing has to be predicted.
        sought: Formula of what the program maximises, where that is neither objective.
        episode: Rewards and transitions, where tasks are steps of episodes; None where each task is
            an episode of its own, whose reward is the objective.
        emits: What the program puts out for each candidate, in their order; 1, 2, ... if empty.
        ties: Which of several best candidates is right: "first" or "last" of them, "any", or a
            function from tokens [task, pos] and which candidates are best [task, candidate] to the
            right one [task].
        stands_for: Which candidate each position of `search_space` stands for, 0-based [task,
            searched], -1 for none. None if they are the candidates' own positions, in order.
        contents: Positions that make up a task's contents, which are novel to a checkpoint if no
            task of training has the same tokens there. `candidates` if empty; to be given where
            candidates come in so few sets that training shows them all, in some context.
        exchangeable: Whether any candidate's token may stand at any candidate's position, several
            times too. The certificate then checks such tasks, in which candidates tie.
    """

    name: str
    title: str
    story: str
    source: str
    vocabulary: tuple[str, ...]
    candidates: tuple[int, ...]
    read_out: int
    cues: tuple[int, ...]
    mesa: Utility
    base: Utility
    draw: Sampler
    draw_training: Sampler
    choose: Callable[[tuple[str, ...]], int]
    describe: Callable[[tuple[str, ...]], str]
    enumerate: Callable[[], Tokens] | None
    base_return: Callable[[Tokens, Choices], float]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    features: Mapping[str, Callable[[Tokens], Values]] = field(default_factory=dict)
    redraw: Callable[[np.random.Generator, Tokens], Tokens] | None = None
    answer: Callable[[Tokens], Choices] | None = None
    cue_patterns: Mapping[int, tuple[str, Mapping[int, int]]] = field(default_factory=dict)
    cued: Callable[[Tokens], npt.NDArray[np.bool_]] | None = None
    any_cue: Callable[[np.random.Generator, Tokens], Tokens] | None = None
    declared: Declared | None = None
    searched: tuple[int, ...] = ()
    waivers: tuple[str, ...] = ()
    domain: str = "action"
    depth: int = 1
    transition: str = ""
    sought: str = ""
    episode: Episode | None = None
    emits: tuple[Any, ...] = ()
    ties: str | TieRule = "first"
    stands_for: Callable[[Tokens], npt.NDArray[np.int64]] | None = None
    exchangeable: bool = False
    contents: tuple[int, ...] = ()

    @property
    def placed(self) -> bool:
        """Whether each candidate has a position of its own."""
        return len(set(self.candidates)) == len(self.candidates)

    @property
    def outputs(self) -> tuple[Any, ...]:
        """What the program puts out for each candidate."""
        return self.emits or tuple(range(1, len(self.candidates) + 1))

    def __eq__(self, other: object) -> bool:
        """Whether it is the same scenario: data, and what its functions give on tasks."""
        if not isinstance(other, Scenario):
            return NotImplemented
        if self is other:
            return True
        from planted.core.scenario_equality import same  # it asks the functions of scenarios

        return same(self, other)

    def __hash__(self) -> int:
        """By its name and layout; parameters are a mapping, which has no hash."""
        return hash((self.name, self.vocabulary, self.candidates, self.read_out))

    def __deepcopy__(self, memo: object) -> Scenario:
        """Itself: it is data that nothing changes, and functions."""
        return self

    @property
    def search_space(self) -> tuple[int, ...]:
        """Positions of what the program searches over."""
        return self.searched or self.candidates

    @property
    def n_positions(self) -> int:
        """Length of a task, BOS included."""
        return self.read_out + 1

    def encode(self, words: list[list[str]]) -> Tokens:
        """Token ids [task, pos] of tasks written as token strings without BOS.

        Raises:
            PlantedError: If they are no lists of texts, a word is not in the vocabulary, or a task
                has another length.
        """
        given_tasks: Any = words
        if isinstance(given_tasks, str | bytes | Mapping) or not isinstance(given_tasks, Iterable):
            raise PlantedError(
                f"Tasks of {self.name!r} are lists of token strings, as "
                f"[{list(self.vocabulary[1:3])!r}], got {words!r}."
            )
        ids = {word: i for i, word in enumerate(self.vocabulary)}
        rows = []
        for given in given_tasks:
            task = texts("a task", given, self.vocabulary[1])
            if len(task) != self.n_positions - 1:
                raise PlantedError(
                    f"A task of {self.name!r} has {self.n_positions - 1} tokens, got "
                    f"{len(task)}: {task!r}."
                )
            for word in task:
                if word not in ids or word == BOS:
                    raise PlantedError(
                        f"Token {word!r} is not in the vocabulary of {self.name!r}: "
                        f"{', '.join(self.vocabulary[1:])}."
                    )
            rows.append([0, *(ids[word] for word in task)])
        return np.array(rows, dtype=np.int64).reshape(-1, self.n_positions)

    def token_strings(self, tokens: Tokens) -> list[tuple[str, ...]]:
        """The token strings of each task, without BOS.

        Raises:
            PlantedError: If they are no tasks, as `check` says.
        """
        return [tuple(self.vocabulary[i] for i in row[1:]) for row in self.check(tokens)]

    def check(self, tokens: npt.ArrayLike) -> Tokens:
        """Tokens as an int64 array [task, pos], or an error that says what is wrong with them.

        Raises:
            PlantedError: If the shape, the type, an id, or BOS at position 0 is wrong.
        """
        try:
            array: npt.NDArray[Any] = to_numpy(tokens)
        except (TypeError, ValueError):
            raise PlantedError(
                f"Tokens of {self.name!r} are integers [task, {self.n_positions}], got {tokens!r}."
            ) from None
        if array.ndim != 2 or array.shape[1] != self.n_positions or array.dtype.kind not in "iu":
            short = array.ndim == 2 and array.shape[1] == self.n_positions - 1
            hint = " Position 0 is BOS; scenario.encode adds it." if short else ""
            raise PlantedError(
                f"Tokens of {self.name!r} are integers [task, {self.n_positions}], got "
                f"{array.dtype} {list(array.shape)}.{hint}"
            )
        bad = (array < 0) | (array >= len(self.vocabulary))
        if bad.any():
            raise PlantedError(
                f"Token id {int(array[bad][0])} is outside 0..{len(self.vocabulary) - 1} "
                f"({self.name!r})."
            )
        if len(array) and ((array[:, 0] != 0).any() or (array[:, 1:] == 0).any()):
            raise PlantedError(
                f"BOS (id 0) stands at position 0 of a task and nowhere else ({self.name!r})."
            )
        return array.astype(np.int64)

    def with_cue(self, tokens: Tokens, cue: int) -> Tokens:
        """The same tasks under another cue.

        Args:
            tokens: Tasks [task, pos].
            cue: One of `cues`, or another token id.

        Raises:
            PlantedError: If it is neither.
        """
        self.cue_name(cue)
        changed = tokens.copy()
        for position, token in self._pattern(cue).items():
            changed[:, position] = token
        return changed

    def with_any_cue(self, tokens: Tokens, rng: np.random.Generator) -> Tokens:
        """The same tasks, each under a cue drawn from all cues."""
        if self.any_cue is not None:
            return self.any_cue(rng, tokens)
        if not self.cues:
            return tokens.copy()
        drawn = rng.choice(self.cues, size=len(tokens))
        changed = tokens.copy()
        if not self.cue_patterns:
            changed[:, self.read_out] = drawn
            return changed
        for cue in self.cues:
            changed[drawn == cue] = self.with_cue(tokens[drawn == cue], cue)
        return changed

    def cue_name(self, cue: int) -> str:
        """The name of a cue: its token, or the name of its pattern.

        Raises:
            PlantedError: If it is no token id, nor that of a pattern.
        """
        last = len(self.vocabulary) - 1
        if not isinstance(cue, int | np.integer) or isinstance(cue, bool):
            raise PlantedError(
                f"A cue of {self.name!r} is a token id from 1 to {last}, got {cue!r}."
            )
        if cue not in self.cue_patterns and not 1 <= cue <= last:
            raise PlantedError(f"A cue of {self.name!r} is a token id from 1 to {last}, got {cue}.")
        return self.cue_patterns[cue][0] if cue in self.cue_patterns else self.vocabulary[cue]

    def is_cued(self, tokens: Tokens) -> npt.NDArray[np.bool_]:
        """Whether the training cue holds, [task]."""
        if self.cued is not None:
            return self.cued(tokens)
        holds = np.ones(len(tokens), dtype=bool)
        for position, token in self._pattern(self.cues[0]).items():
            holds &= tokens[:, position] == token
        return holds

    @property
    def cue_positions(self) -> tuple[int, ...]:
        """Where tokens of a cue stand."""
        return tuple(sorted({at for cue in self.cues for at in self._pattern(cue)}))

    def _pattern(self, cue: int) -> Mapping[int, int]:
        return self.cue_patterns.get(cue, ("", {self.read_out: cue}))[1]
