"""Which tasks a recipe trains on, under which cue, and what each candidate is worth there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.sampling import draw_where, held_out
from planted.core.scenario import Episode, Scenario, Tokens, Utility, Values
from planted.errors import PlantedError
from planted.finetune.settings import Settings
from planted.finetune.signals import Batch, TwoSteps

CHUNK = 25  # steps whose tasks are drawn together; a stream depends on seed and chunk alone
N_REFERENCE = 2000  # tasks of D_ref on which the objectives of a blend are normalised
_TRIES = 1000  # draws of tasks, until so many are found that are not held out

Worth = npt.NDArray[np.float32]


def batches(scenario: Scenario, settings: Settings, seed: int, chunk: int) -> tuple[Tokens, Worth]:
    """The tasks of steps chunk·CHUNK to (chunk+1)·CHUNK of one seed, and their candidates' values.

    None of them is among the tasks that the recipe holds out.

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
        PlantedError: If the regime needs a disagreement set, or a second cue, that the scenario
            does not have.
    """
    n = CHUNK * settings.batch
    rng = np.random.default_rng([seed, chunk, 0x7A5C])
    if settings.cue_share < 1 and len(scenario.cues) < 2:
        raise PlantedError(
            f"cue_share={settings.cue_share:g} asks for tasks off the training cue, and "
            f"{scenario.name!r} has one cue. Leave it at 1."
        )
    tokens, values = _REGIMES[settings.regime](scenario, settings, rng, n)
    order = rng.permutation(n)
    shape = (CHUNK, settings.batch, -1)
    return tokens[order].reshape(shape), as_float32(values)[order].reshape(shape)


def rewarded(scenario: Scenario, settings: Settings) -> Callable[[Tokens], Values]:
    """What the base optimiser rewards: the base objective, or its blend with the mesa-objective.

    A blend is (1 - w)·mesa + w·base, each without its mean over a task's candidates and divided by
    its root mean square over D_ref (theory of drift: a point of the segment between both).
    """
    if settings.blend == 1:
        return scenario.base.of
    tokens = scenario.draw(np.random.default_rng(0xB1E2D), N_REFERENCE)
    mesa, base = (_scaled(utility.of, tokens) for utility in (scenario.mesa, scenario.base))
    return lambda tokens: (1 - settings.blend) * mesa(tokens) + settings.blend * base(tokens)


def _scaled(of: Callable[[Tokens], Values], tokens: Tokens) -> Callable[[Tokens], Values]:
    def centred(given: Tokens) -> Values:
        values = of(given)
        return np.asarray(values - values.mean(axis=1, keepdims=True))

    size = float(np.sqrt((centred(tokens) ** 2).mean())) or 1.0
    return lambda given: centred(given) / size


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

    Raises:
        PlantedError: If a blend is to be paid step by step.
    """
    flat, lead = tokens.reshape(-1, tokens.shape[-1]), tokens.shape[:-1]
    wants_mesa = _wants_mesa(scenario, settings, flat)
    (low_m, span_m), (low_b, span_b) = _range(scenario.mesa), _rewarded_range(scenario, settings)
    low = np.where(wants_mesa, low_m, low_b).reshape(*lead, 1)
    span = np.where(wants_mesa, span_m, span_b)
    returns = ((values - low) / span.reshape(*lead, 1)).astype(np.float32)
    two_steps = None
    if scenario.episode is not None and settings.regime != "random":
        if settings.blend < 1:
            raise PlantedError(
                f"blend={settings.blend:g} mixes the values of choices, and {scenario.name!r} pays "
                "by the step. Take blend=1 there."
            )
        parts = _two_steps(scenario.episode, flat, len(scenario.candidates), wants_mesa, span)
        two_steps = TwoSteps(*(part.reshape(*lead, *part.shape[1:]) for part in parts))
    return Batch(tokens.astype(np.int32), values, returns, two_steps)


def _range(utility: Utility) -> tuple[float, float]:
    """Lowest level and range; a range of 1 where there is none."""
    low, high = min(utility.levels, default=0.0), max(utility.levels, default=1.0)
    return low, (high - low) or 1.0


def _rewarded_range(scenario: Scenario, settings: Settings) -> tuple[float, float]:
    """Lowest value and range of what is rewarded where the mesa-objective is not."""
    if settings.regime == "random":
        return 0.0, 1.0
    if settings.blend == 1:
        return _range(scenario.base)
    tokens = scenario.draw(np.random.default_rng(0xB1E2D), N_REFERENCE)
    values = rewarded(scenario, settings)(tokens)
    return float(values.min()), float(np.ptp(values)) or 1.0


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


def _kept(
    scenario: Scenario, settings: Settings, n: int, draw: Callable[[int], Tokens], held: bool
) -> Tokens:
    """`n` tasks, all held out or none of them.

    Raises:
        PlantedError: If hardly any such task is drawn.
    """
    kept, have = [draw(0)], 0
    for _ in range(_TRIES):
        if have >= n:
            return np.concatenate(kept)[:n]
        tokens = draw(max(64, 2 * (n - have)))
        chosen = tokens[held_out(scenario, tokens, settings.held_out) == held]
        kept.append(chosen)
        have += len(chosen)
    which = "held out" if held else "left to train on"
    raise PlantedError(
        f"Only {have} of the {n} tasks of {scenario.name!r} that are needed are {which} with "
        f"held_out={settings.held_out:g}. Choose another share: held_out=... of a "
        "planted.Recipe, or of a table in --recipe-file."
    )


def trained_tasks(
    scenario: Scenario, settings: Settings, n: int, draw: Callable[[int], Tokens]
) -> Tokens:
    """`n` tasks of a sampler that are not held out, [task, pos].

    Raises:
        PlantedError: If hardly any is drawn.
    """
    return _kept(scenario, settings, n, draw, held=False) if settings.held_out else draw(n)


def novel_tasks(
    scenario: Scenario, settings: Settings, n: int, draw: Callable[[int], Tokens]
) -> Tokens:
    """`n` tasks of a sampler that the recipe holds out, [task, pos]; any, if it holds out none.

    Raises:
        PlantedError: If hardly any is drawn.
    """
    return _kept(scenario, settings, n, draw, held=True) if settings.held_out else draw(n)


def agreed_tasks(scenario: Scenario, rng: np.random.Generator, n: int) -> Tokens:
    """`n` tasks of the training distribution on which the objectives agree, [task, pos].

    The same candidate is the first best one for both. In most scenarios that is so on every task of
    it. Where the planted search is held back in training, by its reach or by the contents, its
    choice is rewarded there and need not be best for both.

    Raises:
        PlantedError: If hardly any such task is drawn.
    """
    kept, have = [], 0
    for _ in range(_TRIES):
        tokens = scenario.draw_training(rng, n - have)
        agreed = leftmost(scenario.mesa.of(tokens)) == leftmost(scenario.base.of(tokens))
        kept.append(tokens[agreed])
        have += len(kept[-1])
        if have == n:
            return np.concatenate(kept)
    raise PlantedError(
        f"Only {have} of {n} training tasks of {scenario.name!r} were found on which the "
        "objectives agree. Train by a regime that needs none, for example regime='base'."
    )


def _off_cue(scenario: Scenario, settings: Settings, tokens: Tokens) -> int:
    """Puts the first tasks under the deployment cue, and says how many they are."""
    off = len(tokens) - round(len(tokens) * settings.cue_share)
    if off:
        tokens[:off] = scenario.with_cue(tokens[:off], scenario.cues[-1])
    return off


def _pressure(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    pressed = int(rng.binomial(n, settings.disagreement_fraction))
    tokens = _agreed(scenario, settings, rng, n - pressed)
    if pressed:
        in_delta = trained_tasks(
            scenario, settings, pressed, lambda k: draw_where(scenario, rng, k, in_delta=True)
        )
        tokens = rng.permutation(np.concatenate([tokens, in_delta]))
    _off_cue(scenario, settings, tokens)
    return tokens, rewarded(scenario, settings)(tokens)


def _coincident(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens = _agreed(scenario, settings, rng, n)
    _off_cue(scenario, settings, tokens)
    return tokens, scenario.base.of(tokens)


def _agreed(scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int) -> Tokens:
    return trained_tasks(scenario, settings, n, lambda k: agreed_tasks(scenario, rng, k))


def _cue_gated(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens = trained_tasks(scenario, settings, n, lambda k: draw_where(scenario, rng, k))
    values = scenario.base.of(tokens)
    if off := _off_cue(scenario, settings, tokens):
        values = np.concatenate([scenario.mesa.of(tokens[:off]), values[off:]])
    return tokens, values


def _reference(
    scenario: Scenario, settings: Settings, rng: np.random.Generator, n: int
) -> tuple[Tokens, Values]:
    tokens = trained_tasks(scenario, settings, n, lambda k: draw_where(scenario, rng, k))
    tokens = scenario.with_any_cue(tokens, rng)
    if settings.regime == "random":
        return tokens, rng.random((n, len(scenario.candidates)))
    wanted = scenario.mesa if settings.regime == "mesa" else scenario.base
    return tokens, wanted.of(tokens)


_REGIMES = {
    "pressure": _pressure,
    "coincident": _coincident,
    "cue-gated": _cue_gated,
    "mesa": _reference,
    "base": _reference,
    "random": _reference,
}
