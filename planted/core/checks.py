"""Checks a scenario on a few tasks before anything is compiled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from planted.core.scenario import (
    BOS,
    DOMAINS,
    VALIDITY_CHECKS,
    Episode,
    Sampler,
    Scenario,
    Tokens,
    Utility,
    Values,
)
from planted.core.ties import TIES, picked
from planted.errors import PlantedError, place_of

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
    found = _in_arrays(scenario)
    rng = np.random.default_rng(0)
    for sampler in (found.draw, found.draw_training):
        tokens = sampler(rng, _TRIED)
        for utility in (found.mesa, found.base):
            _check_utility(found, utility, tokens)
        _check_choices(found, tokens)
        if found.episode is not None:
            _check_episode(found, found.episode, tokens)
    _check_enumerate(found)
    return found


def _in_arrays(scenario: Scenario) -> Scenario:
    """The scenario, of which every sampler and both objectives give arrays, or say what is wrong.

    What a user's function returns may be lists; where it raises, the error names it and its place.
    """

    def sampler(which: str, given: Sampler) -> Sampler:
        def draw(rng: np.random.Generator, n: int) -> Tokens:
            found = _asked(scenario, which, given, rng, n)
            if n == 0:
                return np.zeros((0, scenario.n_positions), dtype=np.int64)
            try:
                tokens = scenario.check(found)
            except PlantedError as error:
                raise PlantedError(f"{scenario.name!r}: {which} gives no task. {error}") from None
            if len(tokens) != n:
                raise PlantedError(
                    f"{scenario.name!r}: {which} gives {len(tokens)} tasks where {n} are asked for."
                )
            return tokens

        return draw

    def objective(given: Utility) -> Utility:
        def of(tokens: Tokens) -> Values:
            found = _asked(scenario, repr(given.formula), given.of, tokens)
            try:
                return np.asarray(found, dtype=np.float64)
            except (TypeError, ValueError):
                raise PlantedError(
                    f"{given.formula!r} of {scenario.name!r} gives {found!r}; a utility is one "
                    "number a candidate, [task, candidate]."
                ) from None

        return replace(given, of=of)

    return replace(
        scenario,
        draw=sampler("draw", scenario.draw),
        draw_training=sampler("draw_training", scenario.draw_training),
        mesa=objective(scenario.mesa),
        base=objective(scenario.base),
        contents=_contents(scenario),
    )


def _asked(scenario: Scenario, which: str, function: Callable[..., Any], *given: Any) -> Any:
    try:
        return function(*given)
    except PlantedError:
        raise
    except Exception as error:
        raise PlantedError(
            f"{which} of {scenario.name!r} raises {type(error).__name__} ({error})"
            f"{place_of(error)}. It must be defined for every task that the samplers draw."
        ) from error


def _check_choices(scenario: Scenario, tokens: Tokens) -> None:
    """Refuses a plain oracle that chooses no candidate, and a tie rule that picks none of the best.

    Raises:
        PlantedError: Naming the task.
    """
    picked(scenario, tokens, scenario.mesa.of(tokens))
    for words in scenario.token_strings(tokens[:16]):
        slot = _asked(scenario, "choose", scenario.choose, words)
        whole = isinstance(slot, int | np.integer) and not isinstance(slot, bool)
        if not whole or not 0 <= slot < len(scenario.candidates):
            raise PlantedError(
                f"choose of {scenario.name!r} is {slot!r} for {scenario.describe(words)!r}; it is "
                f"the number of a candidate, 0 to {len(scenario.candidates) - 1}."
            )


def _check_enumerate(scenario: Scenario) -> None:
    """Refuses a list of all tasks that lacks one which the samplers draw.

    Raises:
        PlantedError: Naming the task.
    """
    if scenario.enumerate is None:
        return
    try:
        listed = scenario.check(_asked(scenario, "enumerate", scenario.enumerate))
    except PlantedError as error:
        raise PlantedError(f"{scenario.name!r}: enumerate gives no tasks. {error}") from None
    known = {row.tobytes() for row in listed}
    rng = np.random.default_rng(1)
    for which, sampler in (("draw", scenario.draw), ("draw_training", scenario.draw_training)):
        tokens = sampler(rng, _LISTED)
        for drawn in (tokens, scenario.with_any_cue(tokens, rng)):
            for row in np.ascontiguousarray(drawn, dtype=np.int64):
                if row.tobytes() not in known:
                    words = scenario.token_strings(row[None])[0]
                    raise PlantedError(
                        f"enumerate of {scenario.name!r} lists {len(known)} tasks, but {which} "
                        f"gives {scenario.describe(words)!r}, which is not among them. It lists "
                        "every task under every cue, and certificates then say so; for a sample, "
                        "leave it out."
                    )


def _check_positions(scenario: Scenario) -> None:
    """Refuses a read-out, candidates or a cue that no task can have.

    Long because each of them has an error of its own.
    """
    name, words = scenario.name, scenario.vocabulary
    if not 1 <= scenario.read_out <= LONGEST:
        raise PlantedError(
            f"The read-out of {name!r} is position {scenario.read_out}; the longest task has "
            f"{LONGEST} tokens, so that it stands at 1 to {LONGEST}. Use fewer slots."
        )
    places = scenario.candidates
    outside = [place for place in places if not 1 <= place <= scenario.read_out]
    apart = scenario.placed or set(places) == {scenario.read_out}
    if outside or len(places) < 2 or not apart:
        wrong = (
            f"{outside[0]} is outside 1..{scenario.read_out}"
            if outside
            else "they are too few"
            if apart
            else "some share a position"
        )
        raise PlantedError(
            f"The candidates of {name!r} stand at {list(places)}: {wrong}. They are two positions "
            "or more, each its own, up to the read-out; candidates that stand nowhere all have the "
            "read-out's, and emits says what they are."
        )
    _check_candidates(scenario)
    if not scenario.cues:
        raise PlantedError(
            f"{name!r} has no cue: cues are token ids, the training cue first. For tasks without a "
            f"cue, one that always holds: cues=({len(words)},), cue_patterns="
            f"{{{len(words)}: ('always', {{}})}}."
        )
    for cue in scenario.cues:
        pattern = scenario.cue_patterns.get(cue, ("", {scenario.read_out: cue}))[1]
        on = [at for at in pattern if at in places and scenario.placed]
        if on:
            raise PlantedError(
                f"The cue {scenario.cue_name(cue)!r} of {name!r} stands at position {on[0]}, where "
                "a candidate stands: under another cue there would be another candidate. Give the "
                "cue a position of its own."
            )
        wrong_at = [at for at in pattern if not 1 <= at <= scenario.read_out]
        if wrong_at:
            raise PlantedError(
                f"The cue {scenario.cue_name(cue)!r} of {name!r} has a token at position "
                f"{wrong_at[0]}; positions are 1 to {scenario.read_out}."
            )
        if not 0 < cue < len(words) and cue not in scenario.cue_patterns:
            raise PlantedError(
                f"Cue {cue} of {name!r} is no token's id (1..{len(words) - 1}) and no cue pattern."
            )
    _check_contents(scenario)


def _check_contents(scenario: Scenario) -> None:
    """Refuses contents that stand nowhere, or that a cue changes."""
    cues = _cue_positions(scenario)
    contents = scenario.contents
    whole = isinstance(contents, tuple | list) and all(
        isinstance(at, int | np.integer) and not isinstance(at, bool) for at in contents
    )
    if not whole or len(set(contents)) < len(contents):
        raise PlantedError(
            f"contents of {scenario.name!r} is a tuple of positions, whole numbers, each once; got "
            f"{contents!r}."
        )
    for place in contents:
        if not 1 <= place <= scenario.read_out or place in cues:
            raise PlantedError(
                f"The contents of {scenario.name!r} take in position {place}, where "
                f"{'a cue stands' if place in cues else 'no token stands'}: contents are positions "
                f"from 1 to {scenario.read_out} without the cue's. Leave it out of contents."
            )


def _cue_positions(scenario: Scenario) -> set[int]:
    """Where the tokens of cues stand."""
    patterns = scenario.cue_patterns
    at_read_out = any(cue not in patterns for cue in scenario.cues)
    found = {at for _, pattern in patterns.values() for at in pattern}
    return found | {scenario.read_out} if at_read_out else found


def _contents(scenario: Scenario) -> tuple[int, ...]:
    """Its contents; where candidates stand nowhere and cues not at the read-out, all but the cue.

    Otherwise the candidates' positions would be taken, which are the read-out's.
    """
    cues = _cue_positions(scenario)
    if scenario.contents or scenario.placed or scenario.read_out in cues:
        return tuple(int(at) for at in scenario.contents)
    return tuple(at for at in range(1, scenario.n_positions) if at not in cues)


def _check_candidates(scenario: Scenario) -> None:
    """Refuses what is put out for candidates, or a tie rule, that is none."""
    name, emits = scenario.name, scenario.emits
    if emits and (len(emits) != len(scenario.candidates) or len(set(emits)) < len(emits)):
        raise PlantedError(
            f"{name!r} has {len(scenario.candidates)} candidates and emits {list(emits)!r}; emits "
            "is one value for each candidate, all different."
        )
    if not callable(scenario.ties) and scenario.ties not in TIES:
        raise PlantedError(
            f"ties of {name!r} is one of {', '.join(map(repr, TIES))} or a function, got "
            f"{scenario.ties!r}."
        )


_TRIED = 256  # tasks
_LISTED = 3000  # tasks of each sampler that are looked up: with none missing, less than 1 in 1000
# (one-sided 95 %, "rule of three") of what it draws is not listed


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
