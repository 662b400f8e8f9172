"""What tells the objectives of two scenarios apart beyond their values under the training cue."""

from __future__ import annotations

import numpy as np

from planted.core import files
from planted.core.objectives import leftmost
from planted.core.sampling import mean_return
from planted.core.scenario import Scenario, Tokens, Utility, Values
from planted.errors import PlantedError

N_WIDE = 2048  # tasks of D_ref on which a plant of the reader's own is known


def beyond_training_cue(scenario: Scenario, tokens: Tokens) -> dict[str, str]:
    """Digests of what the objectives do that their values under the training cue do not show.

    A scenario whose objectives are the same under every cue, and whose return is the mean of its
    base objective, gives nothing, so that its digests stay what they were without these facts.

    Args:
        scenario: Whose objectives.
        tokens: Tasks [task, pos] under the training cue; they are looked at under every cue.

    Returns:
        "cues" where an objective, or the answer of a plant that is best for neither, depends on the
        cue; "return" where `base_return` is another figure than the mean value of the choices.
    """
    found = {}
    others = [scenario.with_cue(tokens, cue) for cue in scenario.cues[1:]]
    if scenario.any_cue is not None:
        others.append(scenario.any_cue(np.random.default_rng(2), tokens))
    under = [_values(scenario, each) for each in (tokens, *others)]
    if any(each != under[0] for each in under[1:]):
        found["cues"] = files.digest_of(under)
    if returns := _returns(scenario, tokens):
        found["return"] = files.digest_of(returns)
    return found


def over_many_tasks(scenario: Scenario) -> str:
    """A digest of both objectives on 2048 tasks of D_ref under each cue."""
    drawn = scenario.draw(np.random.default_rng(3), N_WIDE)
    under = [_values(scenario, scenario.with_cue(drawn, cue)) for cue in scenario.cues]
    return files.digest_of([drawn.tolist(), under])


def rounded(values: Values) -> Values:
    """Nine decimals and no negative zero, so that the order of a sum changes nothing."""
    return np.ascontiguousarray(np.round(np.asarray(values, dtype=np.float64), 9) + 0.0)


def _values(scenario: Scenario, tokens: Tokens) -> list[str]:
    """Digests of both objectives on tasks, and of the answer where there is one."""
    found = [files.sha256(rounded(each.of(tokens)).tobytes()) for each in _both(scenario)]
    if scenario.answer is not None:
        chosen = np.ascontiguousarray(scenario.answer(tokens), dtype=np.int64)
        found.append(files.sha256(chosen.tobytes()))
    return found


def _both(scenario: Scenario) -> tuple[Utility, Utility]:
    return scenario.mesa, scenario.base


def _returns(scenario: Scenario, tokens: Tokens) -> list[float]:
    """The return of choosing by either objective, batch by batch; [] if it is the mean value."""
    try:
        mean, found, plain = mean_return(scenario.base), [], []
        for utility in _both(scenario):
            chosen = leftmost(utility.of(tokens))
            for at in range(0, len(tokens), 64):
                batch = tokens[at : at + 64], chosen[at : at + 64]
                found.append(round(float(scenario.base_return(*batch)), 9))
                plain.append(round(mean(*batch), 9))
    except PlantedError:
        return []
    return [] if np.allclose(found, plain, rtol=0, atol=1e-8) else found
