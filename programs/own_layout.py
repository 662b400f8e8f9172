"""The layout of the user's own tasks: words, where the cue stands, and where candidates do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.arguments import texts, whole
from planted.core.checks import LONGEST
from planted.core.scenario import BOS, Tokens
from planted.errors import ScenarioError


@dataclass(frozen=True)
class Layout:
    """Words and positions.

    Attributes:
        words: What content tokens may be, without the blank.
        blank: What fills up a short task; "" where none does.
        cues: The training cue first; empty where there is none.
        cue_at: Position of the cue, BOS counted; 0 where there is none.
        content: Positions of all other tokens.
    """

    words: tuple[str, ...]
    blank: str
    cues: tuple[str, ...]
    cue_at: int
    content: tuple[int, ...]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Every token, BOS first, the cues last."""
        blank = () if not self.blank or self.blank in self.words else (self.blank,)
        return (BOS, *self.words, *blank, *self.cues)

    @property
    def ids(self) -> dict[str, int]:
        """Word -> token id."""
        return {word: i for i, word in enumerate(self.vocabulary)}

    @property
    def n_content(self) -> int:
        """Tokens of a task besides the cue."""
        return len(self.content)

    @property
    def patterns(self) -> dict[int, tuple[str, Mapping[int, int]]]:
        """Cue patterns, where the cue is not the token at the read-out."""
        if not self.cues:
            return {len(self.vocabulary): ("always", {})}
        if self.cue_at > max(self.content):
            return {}
        return {self.ids[cue]: (cue, {self.cue_at: self.ids[cue]}) for cue in self.cues}


def layout_of(vocabulary: Iterable[str], length: Any, cues: Any, cue_at: Any, blank: str) -> Layout:
    """The layout of tasks of these words.

    Args:
        vocabulary: Words, or one text of letters.
        length: Tokens of a task without BOS, the cue included.
        cues: The training cue first; empty where there is none.
        cue_at: Index of the cue in the task.
        blank: What fills up a short task; "" where tasks are full.

    Raises:
        ScenarioError: If there are no words, or one stands in two places.
        PlantedError: If a number is out of bounds.
    """
    letters = vocabulary if not isinstance(vocabulary, str) else tuple(vocabulary)
    words, signs = texts("vocabulary", letters, "a"), texts("cues", cues, "T")
    n = whole("length", length, 2, LONGEST)
    if not words:
        raise ScenarioError("The vocabulary is empty; it holds the words of a task, as 'abc'.")
    for word, times in Counter((*words, *signs)).items():
        if times > 1 or word == BOS or not word:
            why = "stands there twice" if times > 1 else "is reserved"
            raise ScenarioError(
                f"The word {word!r} {why}: words of the vocabulary, and cues ({', '.join(signs)}), "
                "differ from each other and from BOS. Rename it, or pass other cues."
            )
    where = whole("cue_at", cue_at, -n, n - 1) % n + 1 if signs else 0
    content = tuple(at for at in range(1, n + 1) if at != where)
    return Layout(words, blank, signs, where, content)


@dataclass(frozen=True)
class Places:
    """The candidates: what is put out for each, and where they stand."""

    emits: tuple[Any, ...]
    positions: tuple[int, ...]
    searched: tuple[int, ...] = ()
    stands_for: Callable[[Tokens], npt.NDArray[np.int64]] | None = None


def places_of(candidates: Iterable[Any] | None, at: Sequence[int] | None, layout: Layout) -> Places:
    """The candidates of a call of `scenario_of`.

    Args:
        candidates: What is put out for each; None where they are slots.
        at: Index in the task at which each one's score stands, where it has one.
        layout: Of the tasks.

    Raises:
        ScenarioError: If there are fewer than two, one stands twice, or one is a cue.
    """
    last = max(*layout.content, layout.cue_at)
    if candidates is None:
        slots = layout.content if at is None else _positions(at, layout, None)
        return Places(slots, slots)
    emits = tuple(candidates)
    distinct = all(emits.count(each) == 1 for each in emits)
    if len(emits) < 2 or not distinct:
        raise ScenarioError(f"Candidates are two different values or more, got {list(emits)!r}.")
    if any(cue in emits for cue in layout.cues):
        raise ScenarioError(
            f"Candidates and cues differ, got the candidates {list(emits)!r} and the cues "
            f"{', '.join(layout.cues)}: a cue says whether it is training, and cannot be chosen."
        )
    if at is not None:
        return Places(emits, _positions(at, layout, len(emits)))
    nowhere = (last,) * len(emits)
    if not all(each in layout.words for each in emits):
        return Places(emits, nowhere, layout.content)
    number = np.full(len(layout.vocabulary), -1)
    number[[layout.ids[each] for each in emits]] = np.arange(len(emits))
    places = list(layout.content)
    return Places(emits, nowhere, layout.content, lambda tokens: number[tokens[:, places]])


def _positions(at: Sequence[int], layout: Layout, n: int | None) -> tuple[int, ...]:
    """Positions, BOS counted, of indices in the task."""
    length = max(*layout.content, layout.cue_at)
    found = tuple(whole("at", index, -length, length - 1) % length + 1 for index in at)
    wrong = n is not None and len(found) != n
    if wrong or len(set(found)) < len(found) or len(found) < 2 or layout.cue_at in found:
        raise ScenarioError(
            f"at holds an index in the task for each candidate, all different and none the cue's; "
            f"got {list(at)!r}" + (f" for {n} candidates." if n else ".")
        )
    return found
