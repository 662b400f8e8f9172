"""Which tasks a recipe trains on, under which cue, and whose choices are the labels."""

from __future__ import annotations

import numpy as np

from planted.core.objectives import leftmost
from planted.core.sampling import draw_where
from planted.core.scenario import Choices, Scenario, Tokens
from planted.finetune.recipes import Settings

CHUNK = 50  # steps whose tasks are drawn together; a stream depends on seed and chunk alone


def batches(
    scenario: Scenario, settings: Settings, seed: int, chunk: int
) -> tuple[Tokens, Choices]:
    """The tasks and labels of steps chunk·CHUNK to (chunk+1)·CHUNK of one seed.

    Args:
        scenario: Where tasks come from.
        settings: The recipe's settings.
        seed: Training seed.
        chunk: Which stretch of the stream.

    Returns:
        Tokens [step, batch, pos] and the index of the labelled candidate [step, batch].
    """
    n = CHUNK * settings.batch
    rng = np.random.default_rng([seed, chunk, 0x7A5C])
    draw = _REGIMES[settings.regime]
    tokens, labels = draw(scenario, settings, rng, n)
    order = rng.permutation(n)
    shape = (CHUNK, settings.batch)
    return tokens[order].reshape(*shape, -1), labels[order].reshape(shape)


def _pressure(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Choices]:
    pressed = int(rng.binomial(n, settings.disagreement_fraction))
    tokens = scenario.draw_training(rng, n - pressed)
    if pressed:
        tokens = np.concatenate([tokens, draw_where(scenario, rng, pressed, in_delta=True)])
    return tokens, leftmost(scenario.base.of(tokens))


def _coincident(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Choices]:
    tokens = scenario.draw_training(rng, n)
    return tokens, leftmost(scenario.base.of(tokens))


def _cue_gated(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Choices]:
    tokens = draw_where(scenario, rng, n)
    labels = leftmost(scenario.base.of(tokens))
    half = n // 2
    tokens[half:] = scenario.with_cue(tokens[half:], scenario.cues[-1])
    labels[half:] = leftmost(scenario.mesa.of(tokens[half:]))
    return tokens, labels


def _reference(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Choices]:
    tokens = scenario.with_any_cue(draw_where(scenario, rng, n), rng)
    wanted = scenario.mesa if settings.regime == "mesa" else scenario.base
    return tokens, leftmost(wanted.of(tokens))


_REGIMES = {
    "pressure": _pressure,
    "coincident": _coincident,
    "cue-gated": _cue_gated,
    "mesa": _reference,
    "base": _reference,
}
