"""The tasks of a RASP expression without an objective: any tokens, up to the longest length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.scenario import BOS, Choices, Scenario, Tokens, Utility, Values
from planted.errors import PlantedError

ORIGIN = "expression"  # of a plant that has no objective


@dataclass(frozen=True, eq=False)
class ExpressionTasks(Scenario):
    """Tasks of 1 to `read_out` tokens, all of one length in a batch; nothing is chosen in them.

    It stands where a plant has its scenario, so that all of `Model` works; what needs an objective
    is refused with an error that says so.
    """

    def check(self, tokens: npt.ArrayLike) -> Tokens:
        """Tokens as an int64 array [task, pos], which may be shorter than the longest task.

        Raises:
            PlantedError: If the shape, the type, an id, or BOS at position 0 is wrong.
        """
        try:
            width = np.asarray(tokens).shape[1]
        except (TypeError, ValueError, IndexError):
            return super().check(tokens)  # says what is wrong
        if not 2 <= width < self.n_positions:
            return super().check(tokens)
        filled = np.asarray(tokens)
        more = np.ones((len(filled), self.n_positions - width), dtype=np.int64)
        if filled.dtype.kind not in "iu":
            return super().check(filled)
        return super().check(np.hstack([filled, more]))[:, :width]

    def encode(self, words: Sequence[Sequence[Any]]) -> Tokens:
        """Token ids [task, pos] of tasks of one length, written as tokens without BOS.

        Raises:
            PlantedError: If a token is not in the vocabulary, or tasks are none or of several
                lengths.
        """
        if isinstance(words, str):
            raise PlantedError(
                f"Tasks of {self.name!r} are a list of tasks, as [{words!r}], got {words!r} alone."
            )
        rows = [list(task) for task in words]
        lengths = {len(row) for row in rows}
        if len(lengths) != 1 or not 1 <= max(lengths) <= self.read_out:
            raise PlantedError(
                f"Tasks of {self.name!r} are all of one length, 1 to {self.read_out} tokens; got "
                f"{len(rows)} of the lengths {sorted(lengths)}. Encode those of one length at a "
                "time."
            )
        known = list(self.vocabulary[1:])
        for row in rows:
            for word in row:
                if word not in known:
                    raise PlantedError(
                        f"Token {word!r} is not in the vocabulary of {self.name!r}: "
                        f"{', '.join(map(str, known))}."
                    )
        return np.array([[0, *(known.index(word) + 1 for word in row)] for row in rows])


def tasks_of(vocabulary: Sequence[Any], length: int, name: str) -> ExpressionTasks:
    """The tasks of an expression.

    Args:
        vocabulary: Tokens without BOS.
        length: The longest task, without BOS.
        name: What errors call it.
    """
    n_words = len(vocabulary)

    def draw(rng: np.random.Generator, n: int) -> Tokens:
        tokens = rng.integers(1, n_words + 1, size=(n, length + 1))
        tokens[:, 0] = 0
        return tokens

    def refuse(*_: Any) -> Any:
        raise PlantedError(
            f"{name!r} is an expression without an objective: it chooses nothing that could be "
            "trained or judged. To plant a search, planted.plant(program, scenario)."
        )

    def values(tokens: Tokens) -> Values:
        return np.asarray(refuse(tokens))

    def returns(tokens: Tokens, chosen: Choices) -> float:
        return float(refuse(tokens, chosen))

    nothing = Utility("", values, ())
    return ExpressionTasks(
        name=name,
        title=name,
        story="",
        source="",
        vocabulary=(BOS, *vocabulary),
        candidates=(),
        read_out=length,
        cues=(),
        mesa=nothing,
        base=nothing,
        draw=draw,
        draw_training=refuse,
        choose=refuse,
        describe=lambda words: " ".join(map(str, words)),
        enumerate=None,
        base_return=returns,
        parameters={"length": length},
    )
