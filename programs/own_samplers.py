"""Where the user's own tasks come from: uniform, or a sampler that writes them as words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from planted.core.objectives import leftmost
from planted.core.scenario import BOS, Scenario, Tokens
from planted.core.ties import picked
from planted.errors import ScenarioError, place_of
from planted.programs.own_layout import Layout
from planted.programs.tasks import LIST_ALL

Draw = Callable[[np.random.Generator, int], Iterable[Sequence[str]]]

_TRIES = 200


@dataclass(frozen=True)
class Source:
    """Samplers of tasks, uniform or the user's."""

    name: str
    layout: Layout
    shortest: int
    given: Draw | None
    reads: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Refuses a shortest task that is longer than a task is."""
        if self.shortest > self.layout.n_content:
            raise ScenarioError(
                f"shortest is {self.shortest}, but a task has {self.layout.n_content} tokens "
                "besides the cue."
            )
        object.__setattr__(self, "reads", self.layout.ids)

    def draw(self, rng: np.random.Generator, n: int) -> Tokens:
        """Tasks of D_ref under the training cue, [task, pos]."""
        if self.given is not None:
            return self.reading("draw", self.given)(rng, n)
        return self._assembled(*self._uniform(rng, n))

    def _uniform(self, rng: np.random.Generator, n: int) -> tuple[Any, Any]:
        size = self.layout.n_content
        content = rng.integers(1, len(self.layout.words) + 1, size=(n, size))
        lengths = np.full(n, size)
        if self.shortest < size:
            lengths = rng.integers(self.shortest, size + 1, size=n)
        return content, lengths

    def _assembled(self, content: Any, lengths: Any) -> Tokens:
        layout = self.layout
        tokens = np.zeros((len(content), layout.n_content + bool(layout.cues) + 1), dtype=np.int64)
        short = np.arange(layout.n_content)[None] >= np.asarray(lengths)[:, None]
        fill = self.reads[layout.blank] if layout.blank else 0
        tokens[:, list(layout.content)] = np.where(short, fill, content)
        if layout.cues:
            tokens[:, layout.cue_at] = self.reads[layout.cues[0]]
        return tokens

    def reading(self, what: str, given: Draw) -> Callable[[np.random.Generator, int], Tokens]:
        """A sampler of the user's, read as token ids under the training cue."""

        def draw(rng: np.random.Generator, n: int) -> Tokens:
            try:
                tasks = list(given(rng, n))
            except Exception as error:
                raise ScenarioError(
                    f"{what} of {self.name!r} raises {type(error).__name__} ({error})"
                    f"{place_of(error)}. It takes (rng, n) and returns n tasks, lists of words."
                ) from error
            if len(tasks) != n:
                raise ScenarioError(
                    f"{what} of {self.name!r} returns {len(tasks)} tasks where {n} are asked for."
                )
            return self._read(what, tasks)

        return draw

    def _read(self, what: str, tasks: Sequence[Any]) -> Tokens:
        """Tasks written as words, with or without the cue, as token ids under the training cue."""
        layout, size = self.layout, self.layout.n_content
        content, lengths = np.ones((len(tasks), size), dtype=np.int64), np.zeros(len(tasks), int)
        for i, task in enumerate(tasks):
            words = [str(word) for word in task]
            if layout.cues and len(words) == size + 1:
                del words[layout.cue_at - 1]
            unknown = [w for w in words if w not in self.reads or w in (BOS, *layout.cues)]
            short = len(words) < size and not layout.blank
            if unknown or short or not 0 < len(words) <= size:
                wrong = f"{unknown[0]!r} is no word" if unknown else f"it has {len(words)} words"
                many = f"up to {size}" if layout.blank else f"{size}"
                more = "" if layout.blank else "; with blank='_' a task may be shorter"
                raise ScenarioError(
                    f"{what} of {self.name!r} gives {list(task)!r}: {wrong}. A task is {many} of "
                    f"the words {', '.join(layout.words)}, and the cue may stand among them{more}."
                )
            content[i, : len(words)] = [self.reads[word] for word in words]
            lengths[i] = len(words)
        return self._assembled(content, lengths)

    def agreeing(self, scenario: Scenario, rng: np.random.Generator, n: int) -> Tokens:
        """Tasks of D_ref on which both objectives pick the same candidate.

        Raises:
            ScenarioError: If hardly any are such.
        """
        kept, have, drawn = [self.draw(rng, 0)] if not self.given else [], 0, 0
        for _ in range(_TRIES):
            if have >= n and kept:
                return np.concatenate(kept)[:n]
            tokens = self.draw(rng, max(64, 2 * (n - have)))
            mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
            kept.append(tokens[picked(scenario, tokens, mesa) == leftmost(base)])
            have, drawn = have + len(kept[-1]), drawn + len(tokens)
        raise ScenarioError(
            f"Only {have} of {drawn} tasks of {self.name!r} are such that both objectives pick the "
            "same candidate, so that training cannot hold them alone. Pass draw_training."
        )

    def listed(self, given: Any) -> Callable[[], Tokens] | None:
        """Every task under every cue: the user's list, or all combinations where they are few."""
        if given is not None:
            return lambda: self._under_every_cue(self._read("enumerate", list(given())))
        n_words, sizes = len(self.layout.words), range(self.shortest, self.layout.n_content + 1)
        if self.given or sum(n_words**m for m in sizes) * max(1, len(self.layout.cues)) > LIST_ALL:
            return None
        return self._combinations

    def _combinations(self) -> Tokens:
        size, parts = self.layout.n_content, []
        for m in range(self.shortest, size + 1):
            rows = np.array(
                list(itertools.product(range(1, len(self.layout.words) + 1), repeat=m)), dtype=int
            )
            content = np.hstack([rows, np.ones((len(rows), size - m), int)])
            parts.append(self._assembled(content, np.full(len(rows), m)))
        return self._under_every_cue(np.concatenate(parts))

    def _under_every_cue(self, tokens: Tokens) -> Tokens:
        parts = []
        for cue in self.layout.cues:
            changed = tokens.copy()
            changed[:, self.layout.cue_at] = self.reads[cue]
            parts.append(changed)
        return np.concatenate(parts) if parts else tokens
