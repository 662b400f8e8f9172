"""Which of several best candidates is the right one: the tie rule of a scenario, in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from planted.core.objectives import best, leftmost
from planted.errors import PlantedError

if TYPE_CHECKING:
    from planted.core.scenario import Choices, Scenario, Tokens, Values

TIES = ("first", "last", "any")


def picked(scenario: Scenario, tokens: Tokens, values: Values) -> Choices:
    """The candidate that a search for the highest value picks, int [task].

    Args:
        scenario: Whose tie rule.
        tokens: The tasks [task, pos].
        values: What each candidate is worth [task, candidate].

    Raises:
        PlantedError: If the scenario's own rule picks a candidate that is not among the best.

    Example:
        >>> from dataclasses import replace
        >>> from planted.programs import red_doors
        >>> place = red_doors.scenario(objects=3, levels=2)
        >>> tokens = place.draw(np.random.default_rng(0), 1)
        >>> [int(picked(replace(place, ties=rule), tokens, np.array([[1.0, 2.0, 2.0]]))[0])
        ...  for rule in ("first", "last")]
        [1, 2]
    """
    if callable(scenario.ties):
        return _by_rule(scenario, tokens, best(values))
    if scenario.ties == "last":
        return np.asarray(values.shape[1] - 1 - leftmost(values[:, ::-1]), dtype=np.int64)
    return leftmost(values)


def is_right(
    scenario: Scenario, tokens: Tokens, values: Values, chosen: Choices
) -> npt.NDArray[np.bool_]:
    """Whether choices are what a search for the highest value may pick, bool [task].

    Args:
        scenario: Whose tie rule; under "any" each of the best candidates is right.
        tokens: The tasks [task, pos].
        values: What each candidate is worth [task, candidate].
        chosen: The choices [task]; -1, an invalid output, is never right.
    """
    if scenario.ties == "any":
        among = best(values)[np.arange(len(values)), np.maximum(chosen, 0)]
        return np.asarray(among & (chosen >= 0))
    return np.asarray(picked(scenario, tokens, values) == chosen)


def _by_rule(scenario: Scenario, tokens: Tokens, tied: npt.NDArray[np.bool_]) -> Choices:
    assert callable(scenario.ties)
    chosen = np.asarray(scenario.ties(tokens, tied))
    shaped = chosen.shape == (len(tokens),) and chosen.dtype.kind in "iu"
    if not shaped or (chosen < 0).any() or (chosen >= tied.shape[1]).any():
        raise PlantedError(
            f"The tie rule of {scenario.name!r} gives the number of one of the best candidates "
            f"(0 to {tied.shape[1] - 1}) for each of {len(tokens)} tasks, got {chosen.dtype} "
            f"{list(chosen.shape)}."
        )
    if not (right := tied[np.arange(len(tied)), chosen]).all():
        at = int(np.flatnonzero(~right)[0])
        raise PlantedError(
            f"The tie rule of {scenario.name!r} picks candidate {int(chosen[at]) + 1} of "
            f"{scenario.describe(scenario.token_strings(tokens[at : at + 1])[0])!r}, where "
            f"{', '.join(str(k + 1) for k in np.flatnonzero(tied[at]))} are best."
        )
    return chosen.astype(np.int64)
