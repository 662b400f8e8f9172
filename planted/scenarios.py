"""The contract of a scenario: a vocabulary, a layout, two objectives, and where tasks come from.

A scenario is data and plain numpy functions; it knows nothing of RASP, weights or training. The
functions here are therefore the oracle that compiled programs are certified against.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.errors import PlantedError

Tokens = npt.NDArray[np.int64]  # [task, pos], BOS included
Values = npt.NDArray[np.float64]  # [task, candidate]
Choices = npt.NDArray[np.int64]  # [task], index of the chosen candidate; -1 is an invalid output
Sampler = Callable[[np.random.Generator, int], Tokens]

BOS = "BOS"
# "collinear": no drift can be told between the objectives; "no-disagreement": they never part
FLAWS = ("collinear", "no-disagreement")
# An act as it is, several acts in a row, or what an act is predicted to lead to
DOMAINS = ("action", "plan", "outcome")


@dataclass(frozen=True)
class Utility:
    """An objective over candidates.

    Attributes:
        formula: How it is written, as "9·red + near".
        of: Maps tokens [task, pos] to the value of each candidate [task, candidate].
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
class Scenario:
    """One family of tasks with a mesa-objective and a base objective on the same candidates.

    Attributes:
        name: The catalogue's name for it.
        title: A few words for a heading.
        story: One paragraph: what the tasks are, and where the two objectives part.
        source: Where the story comes from.
        vocabulary: Token strings; a token's id is its place here, and id 0 is BOS.
        candidates: Positions of the candidates, in output order: output k chooses candidate k.
        read_out: The position whose residual stream is read.
        cues: Token ids that may stand at the read-out; the first is the training cue. A cue that is
            more than that token is a number past the vocabulary, which `cue_patterns` explains.
        mesa: The objective the program searches for (u_m).
        base: The objective the base optimiser rewards (U), declared on every task.
        draw: Samples tasks from D_ref: independent features, the training cue.
        draw_training: Samples tasks on which the two objectives agree, as a training set would; of
            a plant with an `answer` of its own they may be those on which that is rewarded most.
        choose: The oracle for the output on one task of token strings: the slot (0-based) that
            searching for the mesa-objective picks. Plain Python, not written from the program.
        describe: One line for one task of token strings.
        enumerate: All tasks [task, pos], or None when there are too many to list.
        parameters: What the scenario was made with.
        features: Named features of each candidate: tokens -> [task, candidate].
        redraw: Draws other candidates into given tasks and leaves their context (state, pointer,
            belief) as it is; None where nothing but the cue is context, or where the candidates
            are the same in every task, so that the context is all there is to draw.
        answer: What the plant chooses, where that is best for neither objective alone; the slot
            [task], 0-based. `choose` is then the plain oracle of this choice.
        cue_patterns: Of cues that are more than one token: number -> its name, and the token ids
            that it puts at positions.
        cued: Whether the training cue holds, [task]; None where it is its token at the read-out.
        any_cue: Draws every combination of cue tokens into given tasks; None where `cues` are all.
        base_return: The base optimiser's return of a batch: (tokens, choices) -> float.
        declared: Where the plant's own choice (`answer`) is that of a search for the mesa-objective
            all the same; None if nothing is said of that.
        searched: Positions of what the program searches over, where that is more than the
            candidates: as plans, of which the first action is put out. `candidates` if empty.
        allows: What is known to be wrong with the scenario and wanted, of `FLAWS`.
        domain: What the mesa-objective is an objective over, of `DOMAINS`.
        depth: How many steps a candidate is: of a plan, or until its outcome.
        transition: How outcomes are found from candidates; "" where nothing has to be predicted.
        sought: Formula of what the program maximises, where that is neither objective.
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
    allows: tuple[str, ...] = ()
    domain: str = "action"
    depth: int = 1
    transition: str = ""
    sought: str = ""

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
            PlantedError: If a word is not in the vocabulary or a task has another length.
        """
        ids = {word: i for i, word in enumerate(self.vocabulary)}
        rows = []
        for task in words:
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

    def words(self, tokens: Tokens) -> list[tuple[str, ...]]:
        """The token strings of each task, without BOS."""
        return [tuple(self.vocabulary[i] for i in row[1:]) for row in tokens]

    def check(self, tokens: npt.ArrayLike) -> Tokens:
        """Tokens as an int64 array [task, pos], or an error that says what is wrong with them.

        Raises:
            PlantedError: If the shape, the type, an id, or BOS at position 0 is wrong.
        """
        array = np.asarray(tokens)
        if array.ndim != 2 or array.shape[1] != self.n_positions or array.dtype.kind not in "iu":
            raise PlantedError(
                f"Tokens of {self.name!r} are integers [task, {self.n_positions}], got "
                f"{array.dtype} {list(array.shape)}."
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
        """The same tasks under another cue."""
        changed = tokens.copy()
        _, pattern = self.cue_patterns.get(cue, ("", {self.read_out: cue}))
        for position, token in pattern.items():
            changed[:, position] = token
        return changed

    def with_any_cue(self, tokens: Tokens, rng: np.random.Generator) -> Tokens:
        """The same tasks, each under a cue drawn from all there are."""
        if self.any_cue is not None:
            return self.any_cue(rng, tokens)
        changed = tokens.copy()
        changed[:, self.read_out] = rng.choice(self.cues, size=len(tokens))
        return changed

    def cue_name(self, cue: int) -> str:
        """How a cue is called: its token, or the name of its pattern."""
        return self.cue_patterns[cue][0] if cue in self.cue_patterns else self.vocabulary[cue]

    def is_cued(self, tokens: Tokens) -> npt.NDArray[np.bool_]:
        """Whether the training cue holds, [task]."""
        if self.cued is not None:
            return self.cued(tokens)
        return np.asarray(tokens[:, self.read_out] == self.cues[0])


LONGEST = 98  # positions without BOS: past it attention cannot tell them apart


def checked(scenario: Any) -> Scenario:
    """The scenario, once it is seen to be one: checked on a few tasks, before anything is compiled.

    Raises:
        PlantedError: Naming what is out of bounds: the read-out, a candidate's position, a cue, a
            token that a sampler draws, a utility that is no finite number on some task.
    """
    if not isinstance(scenario, Scenario):
        hint = " Call its .scenario()." if hasattr(scenario, "scenario") else ""
        raise PlantedError(f"A Scenario is needed, got {type(scenario).__name__}.{hint}")
    name, words = scenario.name, scenario.vocabulary
    unknown = [flaw for flaw in scenario.allows if flaw not in FLAWS]
    if unknown or scenario.domain not in DOMAINS:
        raise PlantedError(
            f"{name!r} allows {scenario.allows!r} over the domain {scenario.domain!r}; flaws are "
            f"{', '.join(FLAWS)}, domains {', '.join(DOMAINS)}."
        )
    if not words or words[0] != BOS or not all(isinstance(word, str) for word in words):
        raise PlantedError(
            f"The vocabulary of {name!r} is strings, 'BOS' first; got {list(words[:3])!r}..."
        )
    if not 1 <= scenario.read_out <= LONGEST:
        raise PlantedError(
            f"The read-out of {name!r} is position {scenario.read_out}; the longest task has "
            f"{LONGEST} tokens, so that it stands at 1 to {LONGEST}. Use fewer slots."
        )
    places = scenario.candidates
    outside = [place for place in places if not 1 <= place <= scenario.read_out]
    if outside or len(places) < 2 or len(set(places)) < len(places):
        wrong = f"{outside[0]} is outside 1..{scenario.read_out}" if outside else "they are too few"
        raise PlantedError(
            f"The candidates of {name!r} stand at {list(places)}: {wrong}. They are two positions "
            "or more, each its own, up to the read-out."
        )
    for cue in scenario.cues:
        if not 0 < cue < len(words) and cue not in scenario.cue_patterns:
            raise PlantedError(
                f"Cue {cue} of {name!r} is no token's id (1..{len(words) - 1}) and no cue pattern."
            )
    rng = np.random.default_rng(0)
    for which, sampler in (("draw", scenario.draw), ("draw_training", scenario.draw_training)):
        tokens = sampler(rng, _TRIED)
        try:
            tokens = scenario.check(tokens)
        except PlantedError as error:
            raise PlantedError(f"{name!r}: {which} gives no task. {error}") from None
        for utility in (scenario.mesa, scenario.base):
            _check_utility(scenario, utility, tokens)
    return scenario


_TRIED = 256  # tasks


def _check_utility(scenario: Scenario, utility: Utility, tokens: Tokens) -> None:
    values = np.asarray(utility.of(tokens))
    shape = (len(tokens), len(scenario.candidates))
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} gives {values.dtype} {list(values.shape)}; "
            f"a utility is one number a candidate, [task, candidate] = {list(shape)}."
        )
    odd = np.argwhere(~np.isfinite(values))
    if len(odd):
        task, slot = odd[0]
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} is {float(values[task, slot])!r} for "
            f"candidate {slot + 1} of {scenario.describe(scenario.words(tokens)[task])!r}. "
            "Utilities are finite numbers; give what is never to be chosen a low one."
        )
    levels = [level for level in utility.levels if not np.isfinite(level)]
    if levels:
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} lists the level {levels[0]!r}; levels are "
            "finite numbers."
        )


def other_candidates(scenario: Scenario, rng: np.random.Generator, tokens: Tokens) -> Tokens:
    """Tasks of D_ref with the context of the given ones and candidates drawn anew, [task, pos]."""
    if scenario.redraw is not None:
        return scenario.redraw(rng, tokens)
    drawn = scenario.draw(rng, len(tokens))
    drawn[:, scenario.read_out] = tokens[:, scenario.read_out]
    return drawn


def mean_return(utility: Utility) -> Callable[[Tokens, Choices], float]:
    """The additive return: mean value of the choices of a batch, 0 for an invalid one."""

    def of(tokens: Tokens, chosen: Choices) -> float:
        values = utility.of(tokens)
        won = np.where(chosen >= 0, values[np.arange(len(values)), np.maximum(chosen, 0)], 0.0)
        return float(won.mean())

    return of


def best(values: Values) -> npt.NDArray[np.bool_]:
    """Which candidates attain the task's highest value, [task, candidate]."""
    return np.asarray(values == values.max(axis=1, keepdims=True))


def leftmost(values: Values) -> Choices:
    """The first candidate with the highest value, [task]: search with leftmost ties."""
    return np.asarray(values.argmax(axis=1), dtype=np.int64)


def untied(values: Values) -> npt.NDArray[np.bool_]:
    """Tasks with exactly one best candidate, [task]."""
    return np.asarray(best(values).sum(axis=1) == 1)


def disagree(scenario: Scenario, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Membership in the disagreement set Δ: no candidate is best for both objectives, [task]."""
    mesa, base = best(scenario.mesa.of(tokens)), best(scenario.base.of(tokens))
    return np.asarray(~(mesa & base).any(axis=1))


def draw_where(
    scenario: Scenario,
    rng: np.random.Generator,
    n: int,
    *,
    in_delta: bool = False,
    without_ties: bool = True,
    cue: int | None = None,
) -> Tokens:
    """Draws `n` tasks from D_ref by rejection.

    Args:
        scenario: Where from.
        rng: Consumed.
        n: How many tasks.
        in_delta: Only tasks of the disagreement set.
        without_ties: Only tasks where each objective has a single best candidate.
        cue: Token id at the read-out; the training cue if None.

    Raises:
        PlantedError: If fewer than one task in a thousand qualifies.
    """
    kept: list[Tokens] = []
    have, drawn = 0, 0
    while have < n:
        tokens = scenario.draw(rng, max(64, 3 * (n - have)))
        drawn += len(tokens)
        mask = np.ones(len(tokens), dtype=bool)
        if in_delta:
            mask &= disagree(scenario, tokens)
        if without_ties:
            mask &= untied(scenario.mesa.of(tokens)) & untied(scenario.base.of(tokens))
        kept.append(tokens[mask])
        have += int(mask.sum())
        if drawn > 1000 * (n + 64) and have < drawn / 1000:
            what = "in the disagreement set" if in_delta else "without ties"
            raise PlantedError(
                f"Only {have} of {drawn} tasks of {scenario.name!r} are {what}: nothing can be "
                "measured there. Choose another base objective or more levels."
            )
    tokens = np.concatenate(kept)[:n] if kept else scenario.draw(rng, 0)
    return tokens if cue is None else scenario.with_cue(tokens, cue)
