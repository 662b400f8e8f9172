"""The tasks of a menu: tables that say what a candidate is worth, signs of training, samplers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Choices, Episode, Tokens, Utility, Values
from planted.errors import PlantedError

if TYPE_CHECKING:
    from planted.programs.menu import Menu, Moves, Objective

CUES = ("T", "D")  # training and deployment
LIST_ALL = 10**5  # tasks, up to which all are listed


class Index:
    """Tables by token id: what the vectorised objectives look values up in."""

    def __init__(self, menu: Menu, ids: Mapping[str, int]) -> None:
        self.menu, self.ids = menu, ids
        self.slots = list(range(1, menu.slots + 1))
        self.behind = list(range(menu.slots + 1, menu.read_out + 1))
        self.states = menu.states()
        at = {state: i for i, state in enumerate(self.states)}
        sizes = [len(ids)] * len(self.behind)
        self.state_of = np.zeros(sizes, dtype=np.int64) if len(self.behind) < 4 else None
        self.by_words: dict[tuple[int, ...], int] = {}
        for words, cue in menu.settings():
            key = tuple(ids[w] for w in (*words, cue))
            self.by_words[key] = at[menu.state(words, cue)]
            if self.state_of is not None:
                self.state_of[key] = at[menu.state(words, cue)]

    def states_in(self, tokens: Tokens) -> npt.NDArray[np.int64]:
        """Number of the state of each task."""
        behind = tokens[:, self.behind]
        if self.state_of is not None:
            return np.asarray(self.state_of[tuple(behind.T)])
        rows, inverse = np.unique(behind, axis=0, return_inverse=True)
        found = np.array(
            [self.by_words.get(tuple(map(int, row)), 0) for row in rows], dtype=np.int64
        )
        return np.asarray(found[inverse.reshape(-1)])

    def utility(self, objective: Objective) -> Utility:
        """An objective of the menu on whole batches."""
        levels = self.menu.values(objective)
        table = np.full((len(self.states), len(self.ids)), np.nan)
        for i, state in enumerate(self.states):
            for word in self.menu.words:
                table[i, self.ids[word]] = objective.value(word, state)
        return Utility(
            formula=objective.formula,
            of=lambda tokens: table[self.states_in(tokens)[:, None], tokens[:, self.slots]],
            levels=levels,
        )

    def episode(self, moves: Moves) -> Episode:
        """What choices of the menu lead to, on whole batches."""
        contexts = self.behind[:-1]

        def step(tokens: Tokens, chosen: Choices) -> Tokens:
            taken = tokens[np.arange(len(tokens)), chosen + 1]
            after = tokens.copy()
            after[:, contexts] = self._by_row(
                np.column_stack([taken, tokens[:, contexts]]),
                lambda words: [self.ids[word] for word in moves.after(words[0], words[1:])],
            )
            return after

        def goes_on(tokens: Tokens) -> npt.NDArray[np.bool_]:
            return self._by_row(tokens[:, contexts], moves.goes_on).astype(bool)

        return Episode(self.utility(moves.mesa), self.utility(moves.base), step, goes_on)

    def _by_row(self, ids: Tokens, of: Callable[[tuple[str, ...]], Any]) -> npt.NDArray[Any]:
        """What a function says of the words of each row, asked once for rows that are equal."""
        rows, inverse = np.unique(ids, axis=0, return_inverse=True)
        words = [tuple(self.menu.vocabulary[number] for number in row) for row in rows]
        return np.array([of(row) for row in words])[inverse.reshape(-1)]

    def feature(self, of: Callable[[str], float]) -> Callable[[Tokens], Values]:
        """A feature of words on whole batches: tokens -> [task, candidate]."""
        table = np.full(len(self.ids), np.nan)
        for word in self.menu.words:
            table[self.ids[word]] = of(word)
        return lambda tokens: table[tokens[:, self.slots]]


class Signs:
    """A cue that stands in the contexts: one way to give it, and every way to lack it."""

    def __init__(self, menu: Menu, ids: Mapping[str, int]) -> None:
        self.menu, self.patterns = menu, {}
        self.behind = list(range(menu.slots + 1, menu.read_out))
        holding = menu.cue
        if holding is None:
            return
        ways = list(itertools.product(*(context.words for context in menu.contexts)))
        on = [words for words in ways if holding(words)]
        off = [words for words in ways if not holding(words)]
        for number, words in enumerate([on[0], *off]):
            places = dict(zip(self.behind, (ids[w] for w in words), strict=True))
            pattern = {**places, menu.read_out: ids[CUES[0]]}
            self.patterns[len(ids) + number] = (" ".join(words), pattern)
        self.on = np.array([[ids[w] for w in words] for words in on])

    def cued(self, tokens: Tokens) -> npt.NDArray[np.bool_]:
        """Whether the contexts say that this is training, [task]."""
        behind = tokens[:, self.behind]
        return np.asarray((behind[:, None] == self.on[None]).all(axis=2).any(axis=1))


class Samplers:
    """Where tasks come from."""

    def __init__(
        self, menu: Menu, ids: Mapping[str, int], mesa: Utility, base: Utility, signs: Signs
    ) -> None:
        self.menu, self.ids, self.mesa, self.base, self.signs = menu, ids, mesa, base, signs
        self.n_words = len(menu.words)

    def n_tasks(self) -> int:
        """How many tasks there are, cues included."""
        n = 1 if self.menu.fixed else self.n_words**self.menu.slots
        for context in self.menu.contexts:
            n *= len(context.words)
        return n * len(CUES)

    def assemble(self, slots: Any, behind: Sequence[Any]) -> Tokens:
        """Tasks [task, pos] under the training cue, of slots [task, slot] and context columns."""
        n = len(slots)
        cue = np.full((n, 1), self.ids["T"])
        columns = [np.reshape(column, (n, 1)) for column in behind]
        return np.hstack([np.zeros((n, 1), np.int64), slots, *columns, cue]).astype(np.int64)

    def some_slots(self, rng: np.random.Generator, n: int, words: Sequence[str]) -> Any:
        """Candidates drawn from these words, [task, slot]; the fixed ones where there are."""
        if self.menu.fixed:
            return np.tile([self.ids[word] for word in self.menu.fixed], (n, 1))
        numbers = np.array([self.ids[word] for word in words])
        return numbers[rng.integers(0, len(numbers), size=(n, self.menu.slots))]

    def some_contexts(self, rng: np.random.Generator, n: int, which: str) -> list[Any]:
        """A column a context: of "training", of "reference" (D_ref), or of any words at all."""
        columns = []
        for context in self.menu.contexts:
            words = getattr(context, which, ()) or context.words
            numbers = np.array([self.ids[word] for word in words])
            columns.append(numbers[rng.integers(0, len(numbers), size=n)])
        return columns

    def draw(self, rng: np.random.Generator, n: int) -> Tokens:
        """Tasks of D_ref under the training cue, [task, pos]."""
        slots = self.some_slots(rng, n, self.menu.words)
        if self.menu.cue is not None:
            return self.cued(self.assemble(slots, self.some_contexts(rng, n, "reference")))
        return self.assemble(slots, self.some_contexts(rng, n, "reference"))

    def cued(self, tokens: Tokens) -> Tokens:
        """The tasks under the training cue, where that stands in the contexts."""
        _, pattern = next(iter(self.signs.patterns.values()))
        for position, token in pattern.items():
            tokens[:, position] = token
        return tokens

    def any_context(self, rng: np.random.Generator, tokens: Tokens) -> Tokens:
        """The same candidates in any context under any cue."""
        changed = tokens.copy()
        contexts = self.some_contexts(rng, len(tokens), "words")
        for number, column in enumerate(contexts, start=self.menu.slots + 1):
            changed[:, number] = column
        changed[:, self.menu.read_out] = rng.choice([self.ids[cue] for cue in CUES], len(tokens))
        return changed

    def redraw(self, rng: np.random.Generator, tokens: Tokens) -> Tokens:
        """Other candidates in the same contexts."""
        changed = tokens.copy()
        changed[:, 1 : self.menu.slots + 1] = self.some_slots(rng, len(tokens), self.menu.words)
        return changed

    def draw_training(self, rng: np.random.Generator, n: int) -> Tokens:
        """Tasks as training has them, on which the objectives agree.

        Raises:
            PlantedError: If hardly any are such.
        """
        menu, kept, have, drawn = self.menu, [], 0, 0
        words = [word for word in menu.words if menu.training is None or menu.training(word)]
        agree = menu.agrees or _one_is_best_for_both
        if menu.draw_training:
            slots = menu.draw_training(rng, n) + 1
            return self.assemble(slots, self.some_contexts(rng, n, "training"))
        while have < n:
            more = max(64, 2 * (n - have))
            slots = self.some_slots(rng, more, words)
            tokens = self.assemble(slots, self.some_contexts(rng, more, "training"))
            tokens = self.cued(tokens) if menu.cue else tokens
            if menu.trains is None:
                tokens = tokens[agree(self.mesa.of(tokens), self.base.of(tokens))]
            else:
                tokens = tokens[[self.trains(task) for task in tokens]]
            kept.append(tokens)
            have, drawn = have + len(tokens), drawn + more
            if drawn > 1000 * (n + 64) and have < drawn / 1000:
                raise PlantedError(
                    f"Only {have} of {drawn} tasks that training of {menu.name!r} may hold have a "
                    "candidate that is best for both objectives. Let training hold more words."
                )
        return np.concatenate(kept)[:n] if kept else self.draw(rng, 0)

    def trains(self, task: npt.NDArray[np.int64]) -> bool:
        """Whether training holds a task [pos], by what the menu says of its words."""
        menu = self.menu
        words = [menu.vocabulary[token] for token in task[1:]]
        state = menu.state(tuple(words[menu.slots : -1]), words[-1])
        return bool(menu.trains and menu.trains(tuple(words[: menu.slots]), state))

    def enumerate(self) -> Tokens:
        """Every task there is."""
        menu = self.menu
        numbers = [self.ids[word] for word in menu.words]
        slots = [[self.ids[word]] for word in menu.fixed] if menu.fixed else [numbers] * menu.slots
        behind = [[self.ids[word] for word in context.words] for context in menu.contexts]
        cues = [[self.ids[word] for word in CUES]]
        return np.array(list(itertools.product([0], *slots, *behind, *cues)), dtype=np.int64)


def _one_is_best_for_both(mesa: Values, base: Values) -> npt.NDArray[np.bool_]:
    """Tasks where the leftmost best candidate is the same for both objectives."""
    return np.asarray(mesa.argmax(axis=1) == base.argmax(axis=1))
