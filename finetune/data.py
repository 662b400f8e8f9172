"""Which tasks a recipe trains on, under which cue, and what each candidate is worth there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.sampling import draw_where
from planted.core.scenario import Scenario, Tokens, Values
from planted.finetune.settings import Settings

CHUNK = 50  # steps whose tasks are drawn together; a stream depends on seed and chunk alone

Worth = npt.NDArray[np.float32]


def batches(scenario: Scenario, settings: Settings, seed: int, chunk: int) -> tuple[Tokens, Worth]:
    """The tasks of steps chunk·CHUNK to (chunk+1)·CHUNK of one seed, and their candidates' values.

    Args:
        scenario: Where tasks come from.
        settings: The recipe's settings.
        seed: Training seed.
        chunk: Which stretch of the stream.

    Returns:
        Tokens int64 [step, task, pos], and what each candidate is worth to the base optimiser,
        float32 [step, task, candidate]. In the cue-gated regime, off cue, that is its value to the
        mesa-objective. The first candidate of the highest value is the same in float32 as in the
        objective's own float64.

    Raises:
        PlantedError: If the regime needs a disagreement set that the scenario does not have.
    """
    n = CHUNK * settings.batch
    rng = np.random.default_rng([seed, chunk, 0x7A5C])
    draw = _REGIMES[settings.regime]
    tokens, values = draw(scenario, settings, rng, n)
    order = rng.permutation(n)
    shape = (CHUNK, settings.batch, -1)
    return tokens[order].reshape(shape), as_float32(values)[order].reshape(shape)


def as_float32(values: Values) -> Worth:
    """Values in float32 with the same leftmost best candidate, [task, candidate].

    Rounding can make two candidates equal; the better one then keeps one unit in the last place.
    """
    rounded, best = values.astype(np.float32), leftmost(values)
    tied = np.flatnonzero(rounded.argmax(axis=1) != best)
    rounded[tied, best[tied]] = np.nextafter(rounded[tied].max(axis=1), np.float32(np.inf))
    return rounded


def _pressure(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    pressed = int(rng.binomial(n, settings.disagreement_fraction))
    tokens = scenario.draw_training(rng, n - pressed)
    if pressed:
        tokens = np.concatenate([tokens, draw_where(scenario, rng, pressed, in_delta=True)])
    return tokens, scenario.base.of(tokens)


def _coincident(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens = scenario.draw_training(rng, n)
    return tokens, scenario.base.of(tokens)


def _cue_gated(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens, half = draw_where(scenario, rng, n), n // 2
    on_cue = scenario.base.of(tokens)[:half]
    tokens[half:] = scenario.with_cue(tokens[half:], scenario.cues[-1])
    return tokens, np.concatenate([on_cue, scenario.mesa.of(tokens[half:])])


def _reference(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens = scenario.with_any_cue(draw_where(scenario, rng, n), rng)
    wanted = scenario.mesa if settings.regime == "mesa" else scenario.base
    return tokens, wanted.of(tokens)


_REGIMES = {
    "pressure": _pressure,
    "coincident": _coincident,
    "cue-gated": _cue_gated,
    "mesa": _reference,
    "base": _reference,
}
