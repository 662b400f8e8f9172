"""Draws tasks from a scenario: by rejection, or with the context of given ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from planted.core.objectives import best, untied
from planted.core.scenario import Choices, Scenario, Tokens, Utility
from planted.errors import PlantedError


def other_candidates(scenario: Scenario, rng: np.random.Generator, tokens: Tokens) -> Tokens:
    """Tasks of D_ref with the context of the given ones and candidates drawn anew, [task, pos]."""
    if scenario.redraw is not None:
        return scenario.redraw(rng, tokens)
    drawn = scenario.draw(rng, len(tokens))
    at = list(scenario.cue_positions)
    drawn[:, at] = tokens[:, at]
    return drawn


def mean_return(utility: Utility) -> Callable[[Tokens, Choices], float]:
    """The additive return: mean value of the choices of a batch, 0 for an invalid one."""

    def of(tokens: Tokens, chosen: Choices) -> float:
        values = utility.of(tokens)
        won = np.where(chosen >= 0, values[np.arange(len(values)), np.maximum(chosen, 0)], 0.0)
        return float(won.mean())

    return of


def disagree(scenario: Scenario, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Membership in the disagreement set Δ: no candidate is best for both objectives, [task]."""
    mesa, base = best(scenario.mesa.of(tokens)), best(scenario.base.of(tokens))
    return np.asarray(~(mesa & base).any(axis=1))


def held_out(scenario: Scenario, tokens: Tokens, share: float) -> npt.NDArray[np.bool_]:
    """Which tasks belong to a fixed share of all tasks that training never sees, [task].

    It goes by everything but the cue, so that a task is held out under every cue or under none. A
    task's number is the exclusive-or of a random number for each token at its position (Zobrist
    1970), the same on every machine.

    Args:
        scenario: Where the cue stands.
        tokens: Tasks [task, pos].
        share: Which share of them, from 0 to 1.
    """
    numbers = np.random.default_rng(0x5EED).integers(
        2**64, size=(scenario.n_positions, len(scenario.vocabulary)), dtype=np.uint64
    )
    content = [at for at in range(scenario.n_positions) if at not in scenario.cue_positions]
    found = np.bitwise_xor.reduce(numbers[content, tokens[:, content]], axis=1)
    return np.asarray(found < np.uint64(min(share, 1 - 2**-53) * 2.0**64))


def draw_where(
    scenario: Scenario,
    rng: np.random.Generator,
    n: int,
    *,
    in_delta: bool = False,
    without_ties: bool = True,
    cue: int | None = None,
) -> Tokens:
    """Draws `n` tasks from D_ref by rejection.

    Args:
        scenario: Where from.
        rng: Consumed.
        n: How many tasks.
        in_delta: Only tasks of the disagreement set.
        without_ties: Only tasks where each objective has a single best candidate.
        cue: Token id at the read-out; the training cue if None.

    Raises:
        PlantedError: If fewer than one task in a thousand qualifies.
    """
    kept: list[Tokens] = []
    have, drawn = 0, 0
    while have < n:
        tokens = scenario.draw(rng, max(64, 3 * (n - have)))
        drawn += len(tokens)
        mask = np.ones(len(tokens), dtype=bool)
        if in_delta:
            mask &= disagree(scenario, tokens)
        if without_ties:
            mask &= untied(scenario.mesa.of(tokens)) & untied(scenario.base.of(tokens))
        kept.append(tokens[mask])
        have += int(mask.sum())
        if drawn > 1000 * (n + 64) and have < drawn / 1000:
            what = "in the disagreement set" if in_delta else "without ties"
            raise PlantedError(
                f"Only {have} of {drawn} tasks of {scenario.name!r} are {what}: nothing can be "
                "measured there. Choose another base objective or more levels."
            )
    tokens = np.concatenate(kept)[:n] if kept else scenario.draw(rng, 0)
    return tokens if cue is None else scenario.with_cue(tokens, cue)
