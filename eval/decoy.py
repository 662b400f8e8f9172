"""A third objective, which nobody planted and nobody rewards: the mesa-objective's levels swapped.

It takes as many levels on the same features, so that a network which holds the mesa-objective's
scores has no more of it than one which does not.
"""

from __future__ import annotations

from itertools import islice, permutations
from math import factorial

import numpy as np
import numpy.typing as npt

from planted.core.objectives import correlation
from planted.core.scenario import Scenario, Tokens, Utility, Values
from planted.errors import PlantedError

_TASKS = 2000  # of D_ref, on which objectives are compared
_MOST = 120  # orders of the levels that are looked at


def decoy(scenario: Scenario) -> Utility:
    """The mesa-objective with its levels in another order: u_c of the theory (C, N5).

    Of up to 120 orders it is the one whose correlations with u_m and with U come nearest to that of
    u_m with U, so that a network which follows U is as far from it as from u_m.

    Raises:
        PlantedError: If the mesa-objective has one level.
    """
    levels = np.array(sorted(scenario.mesa.levels), dtype=np.float64)
    if len(levels) < 2:
        raise PlantedError(
            f"The mesa-objective of {scenario.name!r} has {len(levels)} level: no other objective "
            "has the same levels in another order."
        )
    tokens = scenario.draw(np.random.default_rng(0xDEC0), _TASKS)
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    wanted = correlation(mesa, base)

    def far(order: npt.NDArray[np.int64]) -> float:
        found = _ordered(mesa, levels, order)
        return max(abs(correlation(found, other) - wanted) for other in (mesa, base))

    order = min(_orders(len(levels)), key=far)

    def of(tokens: Tokens) -> Values:
        return _ordered(scenario.mesa.of(tokens), levels, order)

    return Utility(f"levels of {scenario.mesa.formula} in another order", of, tuple(levels))


def _orders(n: int) -> list[npt.NDArray[np.int64]]:
    """Orders of n levels other than their own: all, or some that are drawn."""
    if factorial(min(n, 6)) <= _MOST:
        found = [np.array(order) for order in islice(permutations(range(n)), 1, None)]
        return found[:_MOST]
    rng = np.random.default_rng(0x0DE5)
    return [rng.permutation(n) for _ in range(_MOST)]


def _ordered(values: Values, levels: Values, order: npt.NDArray[np.int64]) -> Values:
    """Values [task, candidate] with each level replaced by the one that takes its place."""
    after = np.clip(np.searchsorted(levels, values), 1, len(levels) - 1)
    nearer = np.abs(values - levels[after - 1]) <= np.abs(values - levels[after])
    return np.asarray(levels[order[np.where(nearer, after - 1, after)]])
