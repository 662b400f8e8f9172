"""Which tasks a recipe trains on, under which cue, and what each candidate is worth there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.sampling import draw_where
from planted.core.scenario import Episode, Scenario, Tokens, Utility, Values
from planted.finetune.settings import Settings
from planted.finetune.signals import Batch, TwoSteps

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


def batch_of(scenario: Scenario, settings: Settings, tokens: Tokens, values: Worth) -> Batch:
    """What signals are told of tasks that `batches` drew.

    Returns and rewards are divided by the range of the levels of the objective that is rewarded in
    a task, so that signals with settings in units of the return need none for each scenario. The
    lowest return is 0, and so is the lowest reward of a step.

    Args:
        scenario: Where the tasks come from.
        settings: The recipe's settings.
        tokens: Token ids [..., pos].
        values: What each candidate is worth [..., candidate].

    Returns:
        A batch of arrays with the same leading axes.
    """
    flat, lead = tokens.reshape(-1, tokens.shape[-1]), tokens.shape[:-1]
    wants_mesa = _wants_mesa(scenario, settings, flat)
    (low_m, span_m), (low_b, span_b) = _range(scenario.mesa), _range(scenario.base)
    low = np.where(wants_mesa, low_m, low_b).reshape(*lead, 1)
    span = np.where(wants_mesa, span_m, span_b)
    returns = ((values - low) / span.reshape(*lead, 1)).astype(np.float32)
    two_steps = None
    if scenario.episode is not None:
        parts = _two_steps(scenario.episode, flat, len(scenario.candidates), wants_mesa, span)
        two_steps = TwoSteps(*(part.reshape(*lead, *part.shape[1:]) for part in parts))
    return Batch(tokens.astype(np.int32), values, returns, two_steps)


def _range(utility: Utility) -> tuple[float, float]:
    """Lowest level and range; a range of 1 where there is none."""
    low, high = min(utility.levels, default=0.0), max(utility.levels, default=1.0)
    return low, (high - low) or 1.0


def _wants_mesa(scenario: Scenario, settings: Settings, tokens: Tokens) -> npt.NDArray[np.bool_]:
    """Whether a task's values are those of the mesa-objective, [task]."""
    if settings.regime == "cue-gated":
        return ~scenario.is_cued(tokens)
    return np.full(len(tokens), settings.regime == "mesa")


def _two_steps(
    episode: Episode,
    tokens: Tokens,
    n_candidates: int,
    wants_mesa: npt.NDArray[np.bool_],
    span: Values,
) -> TwoSteps:
    """Rewards and next states of tasks [task, pos]; rewards as shares of `span` [task]."""

    def rewards(tokens: Tokens) -> Worth:
        """[task, ..., candidate] of tokens [task, ..., pos]."""
        rows, each = tokens.reshape(-1, tokens.shape[-1]), (-1, *(1,) * (tokens.ndim - 1))
        mesa, base = (
            (utility.of(rows) - _range(utility)[0]).reshape(*tokens.shape[:-1], n_candidates)
            for utility in (episode.mesa, episode.base)
        )
        wanted = np.where(wants_mesa.reshape(each), mesa, base)
        return (wanted / span.reshape(each)).astype(np.float32)

    every = [np.full(len(tokens), candidate) for candidate in range(n_candidates)]
    after = np.stack([episode.step(tokens, chosen) for chosen in every], axis=1)
    goes_on = episode.goes_on(tokens).astype(np.float32)
    return TwoSteps(rewards(tokens), goes_on, after.astype(np.int32), rewards(after))


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
