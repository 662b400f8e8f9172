"""The kinds of candidate that tables are over: the pairs of values that the objectives give it.

Where a score reads its context (a cue, a belief, a pointer), the token at a slot does not say what
the candidate is worth; the pair (u_m, u_b) does, in every scenario.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        pairs, inverse = np.unique(_paired(mesa, base), axis=0, return_inverse=True)
        try:
            ids = np.array([known[(m, b)] for m, b in pairs], dtype=np.int64)
        except KeyError as error:
            raise PlantedError(
                f"A candidate of {self.scenario.name!r} has the values (u_m, u_b) = {error}, which "
                "no task has that the types were taken from. Draw more tasks."
            ) from None
        return ids[inverse.reshape(-1)].reshape(mesa.shape)


def types_in(scenario: Scenario, *batches: Tokens) -> Types:
    """The types that occur in these tasks, by u_m and then u_b."""
    pairs = [_paired(scenario.mesa.of(tokens), scenario.base.of(tokens)) for tokens in batches]
    found = np.unique(np.concatenate(pairs), axis=0)
    return Types(scenario, found[:, 0], found[:, 1])


def _paired(mesa: Floats, base: Floats) -> Floats:
    return np.column_stack([mesa.ravel(), base.ravel()])
