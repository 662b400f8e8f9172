"""The kinds of candidate that tables are over: the pairs of values that the objectives give it.

Where a score reads its context (a cue, a belief, a pointer), the token at a slot does not say what
the candidate is worth; the pair (u_m, u_b) does, in every scenario.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Types:
    """The candidate types of a scenario that occur in some tasks.

    Attributes:
        scenario: Whose.
        mesa: u_m of each type, [type].
        base: u_b of each type, [type].
    """

    scenario: Scenario
    mesa: Floats
    base: Floats

    def __len__(self) -> int:
        """How many there are."""
        return len(self.mesa)

    def of(self, tokens: Tokens) -> Ints:
        """Type of each candidate, [task, candidate].

        Raises:
            PlantedError: If a candidate is of none of these types.
        """
        mesa, base = self.scenario.mesa.of(tokens), self.scenario.base.of(tokens)
        known = {pair: i for i, pair in enumerate(zip(self.mesa, self.base, strict=True))}
        pairs, inverse = distinct([mesa.ravel(), base.ravel()])
        try:
            ids = np.array([known[(m, b)] for m, b in pairs], dtype=np.int64)
        except KeyError as error:
            raise PlantedError(
                f"A candidate of {self.scenario.name!r} has the values (u_m, u_b) = {error}, which "
                "no task has that the types were taken from. Draw more tasks."
            ) from None
        return ids[inverse].reshape(mesa.shape)


def types_in(scenario: Scenario, *batches: Tokens) -> Types:
    """The types that occur in these tasks, by u_m and then u_b."""
    mesa, base = (
        np.concatenate([utility.of(tokens).ravel() for tokens in batches])
        for utility in (scenario.mesa, scenario.base)
    )
    found, _ = distinct([mesa, base])
    return Types(scenario, found[:, 0], found[:, 1])


def distinct(columns: Sequence[npt.NDArray[Any]]) -> tuple[Floats, Ints]:
    """The different rows of a table and which of them each row is: `numpy.unique` by rows, faster.

    Args:
        columns: The table's columns, each [row], without NaN.

    Returns:
        The different rows in ascending order, by the first column, then the next,
        [different, column]; the place of each row among them, [row].
    """
    code = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        values, place = np.unique(column, return_inverse=True)
        code = code * len(values) + place
        code = np.unique(code, return_inverse=True)[1]  # renumbered, so that it stays small
    first = np.unique(code, return_index=True)[1]
    return np.column_stack(
        [np.asarray(column, dtype=np.float64)[first] for column in columns]
    ), code
