"""Whether anything can be measured on a scenario: the one test for each such fact.

Every room that needs to know whether the objectives disagree, correlate too much or are comparable
asks here, before a program is compiled or a network is trained.
"""

from __future__ import annotations

import numpy as np

from planted.core.objectives import MAX_RHO, correlation, untied
from planted.core.sampling import disagree
from planted.core.scenario import Scenario, Tokens
from planted.errors import ScenarioError

LEAST_DISAGREEMENT = 0.002  # of D_ref: with less, too few tasks tell the objectives apart
LEAST_ADDITIVE = 0.95  # of batches whose return must be the mean of its tasks' returns
N_TASKS = 4000  # of D_ref that are looked at; the same ones every time
N_BATCHES = 200


def disagreement(scenario: Scenario) -> float:
    """Share of D_ref that lies in the disagreement set Δ and has no ties, from 0 to 1."""
    tokens = _tasks(scenario)
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    return float((disagree(scenario, tokens) & untied(mesa) & untied(base)).mean())


def disagrees(scenario: Scenario) -> bool:
    """Whether choices can tell the two objectives apart: `disagreement` is at least .002."""
    return disagreement(scenario) >= LEAST_DISAGREEMENT


def rho(scenario: Scenario) -> float:
    """Correlation of the two normalised objectives on D_ref, from -1 to 1."""
    tokens = _tasks(scenario)
    return correlation(scenario.mesa.of(tokens), scenario.base.of(tokens))


def additive(scenario: Scenario) -> float:
    """Share of random batches whose base return is the mean of its tasks' returns, from 0 to 1.

    Distances between the objectives are defined where it is 1: the base objective then is a sum
    over tasks of what each choice is worth.
    """
    rng = np.random.default_rng(0)
    agreed = 0
    for _ in range(N_BATCHES):
        tokens = scenario.draw(rng, 16)
        chosen = rng.integers(-1, len(scenario.candidates), size=16)
        whole = scenario.base_return(tokens, chosen)
        parts = [scenario.base_return(tokens[i : i + 1], chosen[i : i + 1]) for i in range(16)]
        agreed += int(abs(whole - float(np.mean(parts))) < 1e-9 * max(1.0, abs(whole)))
    return agreed / N_BATCHES


def failed_checks(scenario: Scenario) -> dict[str, str]:
    """Validity checks that a scenario fails: check -> what was found.

    Returns:
        Keys of `planted.core.scenario.VALIDITY_CHECKS`; empty where choices can tell the
        objectives apart and a drift between them has a size.
    """
    found = {}
    if (correlated := rho(scenario)) > MAX_RHO:
        found["collinear"] = (
            f"the objectives correlate at ρ = {correlated:.2f}, more than {MAX_RHO}, so that no "
            "drift between them can be told"
        )
    if (apart := disagreement(scenario)) < LEAST_DISAGREEMENT:
        share = f"{apart:.2%} of" if apart else "none of"
        found["no-disagreement"] = (
            f"the objectives disagree on {share} {N_TASKS} tasks, so that no choice can tell "
            "which of them is followed"
        )
    return found


def _tasks(scenario: Scenario) -> Tokens:
    return scenario.draw(np.random.default_rng(0), N_TASKS)


def refuse_invalid(scenario: Scenario) -> None:
    """Refuses a scenario on which nothing could be measured, unless it says that it is so.

    Raises:
        ScenarioError: With the value, the limit and the way out.
    """
    for check, says in failed_checks(scenario).items():
        if check not in scenario.waivers:
            raise ScenarioError(
                f"{scenario.name!r} with parameters {dict(scenario.parameters)}: {says}. Take "
                "other parameters or objectives; if this is what you want, as for an aligned "
                f"plant, say so with waivers=({check!r},) on the scenario."
            )
