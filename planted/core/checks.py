"""Checks a scenario on a few tasks before anything is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.core.scenario import (
    BOS,
    DOMAINS,
    VALIDITY_CHECKS,
    Episode,
    Scenario,
    Tokens,
    Utility,
)
from planted.errors import PlantedError

LONGEST = 98  # positions without BOS: past it attention cannot tell them apart


def checked(scenario: Any) -> Scenario:
    """The scenario, once it is seen to be one: checked on a few tasks, before anything is compiled.

    Raises:
        PlantedError: Naming what is out of bounds: the read-out, a candidate's position, a cue, a
            token that a sampler draws, a utility that is no finite number on some task.
    """
    if not isinstance(scenario, Scenario):
        hint = " Call its .scenario()." if hasattr(scenario, "scenario") else ""
        raise PlantedError(f"A Scenario is needed, got {type(scenario).__name__}.{hint}")
    name, words = scenario.name, scenario.vocabulary
    unknown = [flaw for flaw in scenario.waivers if flaw not in VALIDITY_CHECKS]
    if unknown or scenario.domain not in DOMAINS:
        raise PlantedError(
            f"{name!r} waives {scenario.waivers!r} over the domain {scenario.domain!r}; validity "
            f"checks are "
            f"{', '.join(VALIDITY_CHECKS)}, domains {', '.join(DOMAINS)}."
        )
    if not words or words[0] != BOS or not all(isinstance(word, str) for word in words):
        raise PlantedError(
            f"The vocabulary of {name!r} is strings, 'BOS' first; got {list(words[:3])!r}..."
        )
    _check_positions(scenario)
    rng = np.random.default_rng(0)
    for which, sampler in (("draw", scenario.draw), ("draw_training", scenario.draw_training)):
        tokens = sampler(rng, _TRIED)
        try:
            tokens = scenario.check(tokens)
        except PlantedError as error:
            raise PlantedError(f"{name!r}: {which} gives no task. {error}") from None
        for utility in (scenario.mesa, scenario.base):
            _check_utility(scenario, utility, tokens)
        if scenario.episode is not None:
            _check_episode(scenario, scenario.episode, tokens)
    return scenario


def _check_positions(scenario: Scenario) -> None:
    """Refuses a read-out, candidates or a cue that no task can have."""
    name, words = scenario.name, scenario.vocabulary
    if not 1 <= scenario.read_out <= LONGEST:
        raise PlantedError(
            f"The read-out of {name!r} is position {scenario.read_out}; the longest task has "
            f"{LONGEST} tokens, so that it stands at 1 to {LONGEST}. Use fewer slots."
        )
    places = scenario.candidates
    outside = [place for place in places if not 1 <= place <= scenario.read_out]
    if outside or len(places) < 2 or len(set(places)) < len(places):
        wrong = f"{outside[0]} is outside 1..{scenario.read_out}" if outside else "they are too few"
        raise PlantedError(
            f"The candidates of {name!r} stand at {list(places)}: {wrong}. They are two positions "
            "or more, each its own, up to the read-out."
        )
    for cue in scenario.cues:
        if not 0 < cue < len(words) and cue not in scenario.cue_patterns:
            raise PlantedError(
                f"Cue {cue} of {name!r} is no token's id (1..{len(words) - 1}) and no cue pattern."
            )


_TRIED = 256  # tasks


def _check_utility(scenario: Scenario, utility: Utility, tokens: Tokens) -> None:
    values = np.asarray(utility.of(tokens))
    shape = (len(tokens), len(scenario.candidates))
    if values.shape != shape or values.dtype.kind not in "fiub":
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} gives {values.dtype} {list(values.shape)}; "
            f"a utility is one number a candidate, [task, candidate] = {list(shape)}."
        )
    odd = np.argwhere(~np.isfinite(values))
    if len(odd):
        task, slot = odd[0]
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} is {float(values[task, slot])!r} for "
            f"candidate {slot + 1} of {scenario.describe(scenario.token_strings(tokens)[task])!r}. "
            "Utilities are finite numbers; for a candidate that must not be chosen, use a low one."
        )
    levels = [level for level in utility.levels if not np.isfinite(level)]
    if levels:
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} lists the level {levels[0]!r}; levels are "
            "finite numbers."
        )


def _check_episode(scenario: Scenario, episode: Episode, tokens: Tokens) -> None:
    """Refuses an episode of three steps, and objectives that are not its returns."""
    name, goes_on = scenario.name, episode.goes_on(tokens)
    pairs = ((scenario.mesa, episode.mesa), (scenario.base, episode.base))
    returns = []
    for _, reward in pairs:
        _check_utility(scenario, reward, tokens)
        returns.append(np.array(reward.of(tokens), dtype=np.float64))
    for candidate in range(len(scenario.candidates)):
        after = episode.step(tokens, np.full(len(tokens), candidate))
        try:
            after = scenario.check(after)
        except PlantedError as error:
            raise PlantedError(f"{name!r}: episode.step gives no task. {error}") from None
        if episode.goes_on(after[goes_on]).any():
            raise PlantedError(
                f"{name!r}: an episode goes on after its second step. Episodes have two steps at "
                "most: let goes_on be False in every state that a step leads to."
            )
        for found, (_, reward) in zip(returns, pairs, strict=True):
            found[:, candidate] += np.where(goes_on, reward.of(after).max(axis=1), 0.0)
    for found, (utility, reward) in zip(returns, pairs, strict=True):
        odd = np.argwhere(~np.isclose(found, utility.of(tokens)))
        if len(odd):
            task, slot = odd[0]
            said = float(utility.of(tokens)[task, slot])
            raise PlantedError(
                f"{utility.formula!r} of {name!r} is {said:g} for candidate {slot + 1} of "
                f"{scenario.describe(scenario.token_strings(tokens)[task])!r}, where "
                f"{reward.formula!r} comes to {found[task, slot]:g} over the episode. An episode's "
                "objective is the return under the best continuation."
            )
