"""One task as data for the page: what each candidate is, its worth, and what either side picks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost, untied
from planted.core.sampling import disagree
from planted.core.scenario import Scenario, Tokens, Utility

N_DRAWN = 4000  # tasks among which one is chosen
SEED = 7


@dataclass(frozen=True)
class Candidate:
    """One candidate of the task that is shown.

    Attributes:
        slot: Its number, from 1.
        token: Its token string.
        features: Name and value of each feature that the scenario declares.
        mesa: u_m of it.
        base: U of it.
        mesa_share: Where `mesa` lies between the least and the greatest value of u_m, 0 to 100.
        base_share: Where `base` lies between the least and the greatest value of U, 0 to 100.
        picked_by: "mesa", "base", both or neither.
    """

    slot: int
    token: str
    features: tuple[tuple[str, float], ...]
    mesa: float
    base: float
    mesa_share: int
    base_share: int
    picked_by: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """One task to show.

    Attributes:
        line: The scenario's own description of it.
        tokens: Its token strings, without BOS.
        candidates: What can be chosen, in output order.
        differ: Whether it is in the disagreement set.
    """

    line: str
    tokens: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    differ: bool


def sample(scenario: Scenario) -> Task:
    """A task of the disagreement set, if there is one, whose candidates differ most.

    Tasks where each objective has a single best candidate come before others.
    """
    drawn = scenario.draw(np.random.default_rng(SEED), N_DRAWN)
    in_delta = disagree(scenario, drawn)
    mesa, base = scenario.mesa.of(drawn), scenario.base.of(drawn)
    order = np.lexsort(
        (_variety(scenario, drawn, mesa, base), untied(mesa) & untied(base), in_delta)
    )
    best = int(order[-1])
    tokens = drawn[best : best + 1]
    words = scenario.token_strings(tokens)[0]
    return Task(
        line=scenario.describe(words),
        tokens=words,
        candidates=_candidates(scenario, tokens, words),
        differ=bool(in_delta[best]),
    )


def _variety(
    scenario: Scenario, tokens: Tokens, *values: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """How many different things a reader sees in each task, [task]."""
    seen = [tokens[:, list(scenario.candidates)], *values]
    seen += [of(tokens) for of in scenario.features.values()]
    return np.asarray(np.sum([_distinct(found) for found in seen], axis=0))


def _distinct(values: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """How many different values each row has, [row]."""
    ordered = np.sort(values, axis=1)
    return np.asarray(1 + (ordered[:, 1:] != ordered[:, :-1]).sum(axis=1))


def _candidates(
    scenario: Scenario, tokens: Tokens, words: tuple[str, ...]
) -> tuple[Candidate, ...]:
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    features = {name: of(tokens)[0] for name, of in scenario.features.items()}
    picks = {"mesa": int(leftmost(mesa)[0]), "base": int(leftmost(base)[0])}
    return tuple(
        Candidate(
            slot=k + 1,
            token=words[place - 1],
            features=tuple((name, float(found[k])) for name, found in features.items()),
            mesa=float(mesa[0, k]),
            base=float(base[0, k]),
            mesa_share=_share(mesa[0, k], scenario.mesa),
            base_share=_share(base[0, k], scenario.base),
            picked_by=tuple(side for side, slot in picks.items() if slot == k),
        )
        for k, place in enumerate(scenario.candidates)
    )


def _share(value: float, of: Utility) -> int:
    """Where a value lies between the least and the greatest of its objective, 0 to 100."""
    low, high = min(of.levels), max(of.levels)
    return round(100 * (value - low) / (high - low)) if high > low else 100
