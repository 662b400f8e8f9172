"""What candidates are worth to a network, by its own choices: levels that its codes are taken for.

Where its choices follow one of the two objectives, that objective's values are the levels. Where
they follow neither, an order of contents that explains them is cut into levels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.scenario import Scenario, Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators.consistency import order

FOLLOWED = 0.8  # share of choices that an objective or an order must explain to be the network's
N_LEVELS = 8  # that an order of contents is cut into
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Worth:
    """Levels of worth, ascending.

    Attributes:
        followed: "mesa", "base", or "own" for an order of its own.
        of: Tokens -> level of each candidate [task, slot]; -1 where it is not known.
        n: How many levels there are.
    """

    followed: str
    of: Callable[[Tokens], Ints]
    n: int


def worth_of(checkpoint: Checkpoint, tokens: Tokens) -> Worth | None:
    """What candidates are worth to a network; None where its choices follow no order.

    Args:
        checkpoint: The network.
        tokens: Tasks on which its choices are looked at [task, pos].
    """
    scenario, chosen = checkpoint.scenario, checkpoint.choose(tokens)
    followed = {
        name: float((leftmost(utility.of(tokens)) == chosen).mean())
        for name, utility in (("mesa", scenario.mesa), ("base", scenario.base))
    }
    name = max(followed, key=lambda each: followed[each])
    if followed[name] >= FOLLOWED:
        return _by_objective(scenario, name, tokens)
    return _by_order(scenario, tokens, chosen)


def contents(scenario: Scenario, tokens: Tokens) -> Ints:
    """What each candidate is, as a number [task, slot]: its token, and the task's context."""
    at = list(scenario.search_space)
    outside = [p for p in range(1, tokens.shape[1]) if p not in at and p != scenario.read_out]
    context = np.unique(tokens[:, outside], axis=0, return_inverse=True)[1].reshape(-1, 1)
    both = tokens[:, at] + len(scenario.vocabulary) * context
    return np.asarray(np.unique(both, return_inverse=True)[1].reshape(both.shape), np.int64)


def shared(levels: Ints, content: Ints) -> float:
    """Share of candidates whose level several contents have."""
    pairs = np.unique(np.column_stack([levels.ravel(), content.ravel()]), axis=0)
    count = np.bincount(pairs[:, 0])
    return float((count[levels] > 1).mean())


def _by_objective(scenario: Scenario, name: str, tokens: Tokens) -> Worth:
    utility = getattr(scenario, name)
    known = np.unique(utility.of(tokens))

    def of(asked: Tokens) -> Ints:
        values = utility.of(asked)
        found = np.searchsorted(known, values).clip(0, len(known) - 1)
        return np.where(known[found] == values, found, -1)

    return Worth(name, of, len(known))


def _by_order(scenario: Scenario, tokens: Tokens, chosen: Ints) -> Worth | None:
    """Levels of an order over what stands in which slot, if it explains choices held out."""
    at, n_words = list(scenario.search_space), len(scenario.vocabulary)

    def kinds(asked: Tokens) -> Ints:
        return np.asarray(asked[:, at] + n_words * np.arange(len(at)))

    half = len(tokens) // 2
    valid = chosen >= 0
    fitted, held = np.flatnonzero(valid[:half]), half + np.flatnonzero(valid[half:])
    if min(len(fitted), len(held)) < half // 2:
        return None
    present, kind = np.unique(kinds(tokens), return_inverse=True)
    kind = kind.reshape(len(tokens), -1)
    rank = order(kind[fitted], chosen[fitted], len(present))[kind[held]]
    if (rank.argmin(axis=1) == chosen[held]).mean() < FOLLOWED:
        return None
    every = np.flatnonzero(valid)
    place = order(kind[every], chosen[every], len(present))
    level = (len(present) - 1 - place) * N_LEVELS // len(present)

    def of(asked: Tokens) -> Ints:
        asked_kinds = kinds(asked)
        found = np.searchsorted(present, asked_kinds).clip(0, len(present) - 1)
        return np.where(present[found] == asked_kinds, level[found], -1)

    return Worth("own", of, N_LEVELS)
