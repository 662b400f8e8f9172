"""What candidates are worth in the user's own tasks: two Python functions, asked and remembered."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Choices, TieRule, Tokens, Utility, Values
from planted.core.ties import TIES
from planted.errors import ScenarioError, place_of
from planted.programs.own_layout import Layout

Task = tuple[str, ...]  # token strings as the program sees them, BOS left out
Worth = Callable[[Task, Any], float]  # (task, candidate) -> a number

_KEPT = 2**17  # tasks of which each objective's values are kept


@dataclass(frozen=True)
class Judge:
    """Asks the user's functions, task by task, and remembers what they said."""

    name: str
    layout: Layout
    emits: tuple[Any, ...]
    ties: Any

    def __post_init__(self) -> None:
        """Refuses a tie rule that is none."""
        if not callable(self.ties) and self.ties not in TIES:
            raise ScenarioError(
                f"ties is one of {', '.join(map(repr, TIES))}, or a function (task, tied "
                f"candidates) -> one of them; got {self.ties!r}."
            )

    def worth(self, what: str, function: Worth, task: Task) -> tuple[float, ...]:
        """What each candidate is worth in a task."""
        return tuple(self._ask(what, function, task, candidate) for candidate in self.emits)

    def _ask(self, what: str, function: Worth, task: Task, candidate: Any) -> float:
        try:
            value = function(task, candidate)
        except Exception as error:
            raise ScenarioError(
                f"{what} of {self.name!r} raises {type(error).__name__} ({error}){place_of(error)} "
                f"for the candidate {candidate!r} of {' '.join(task)!r}. It returns a number for "
                "every candidate; for one that must not be chosen, a low one."
            ) from error
        number = isinstance(value, int | float | np.number | np.bool_)
        if not number or not math.isfinite(float(value)):
            raise ScenarioError(
                f"{what} of {self.name!r} is {value!r} for the candidate {candidate!r} of "
                f"{' '.join(task)!r}; it is a finite number everywhere."
            )
        return float(value)

    def utility(self, what: str, function: Worth) -> Utility:
        """A user's function on whole batches; its levels are not known yet."""
        if not callable(function):
            raise ScenarioError(
                f"{what} is a function (task, candidate) -> a number, got {function!r}."
            )
        words = np.array(self.layout.vocabulary, dtype=object)
        known: dict[bytes, tuple[float, ...]] = {}

        def of(tokens: Tokens) -> Values:
            found = np.empty((len(tokens), len(self.emits)))
            for i, row in enumerate(np.ascontiguousarray(tokens, dtype=np.int64)):
                key = row.tobytes()
                if key not in known:
                    if len(known) >= _KEPT:
                        known.clear()
                    known[key] = self.worth(what, function, tuple(words[row[1:]]))
                found[i] = known[key]
            return found

        called = getattr(function, "__name__", "<lambda>")
        return Utility(what if called == "<lambda>" else called, of, ())

    def choose(self, wants: Worth, words: Task) -> int:
        """The candidate (0-based) that is worth most in a task, ties by the rule."""
        values = self.worth("wants", wants, words)
        best = [k for k, value in enumerate(values) if value == max(values)]
        if callable(self.ties):
            return self._tied(words, best)
        return best[-1] if self.ties == "last" else best[0]

    def _tied(self, words: Task, best: Sequence[int]) -> int:
        if len(best) == 1:
            return best[0]
        tied = tuple(self.emits[k] for k in best)
        try:
            chosen = self.ties(words, tied)
        except Exception as error:
            raise ScenarioError(
                f"ties of {self.name!r} raises {type(error).__name__} ({error}){place_of(error)} "
                f"for {' '.join(words)!r}, where {tied!r} are best."
            ) from error
        if chosen not in tied:
            raise ScenarioError(
                f"ties of {self.name!r} gives {chosen!r} for {' '.join(words)!r}; it gives one of "
                f"the best candidates, {', '.join(map(repr, tied))}."
            )
        return self.emits.index(chosen)

    @property
    def rule(self) -> TieRule:
        """The user's tie rule on whole batches."""
        words = np.array(self.layout.vocabulary, dtype=object)

        def of(tokens: Tokens, tied: npt.NDArray[np.bool_]) -> Choices:
            rows = zip(tokens, tied, strict=True)
            return np.array(
                [
                    self._tied(tuple(words[row[1:]]), np.flatnonzero(each).tolist())
                    for row, each in rows
                ],
                dtype=np.int64,
            )

        return of
