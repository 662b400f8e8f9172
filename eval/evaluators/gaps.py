"""The three gaps: base against mesa-objective, mesa against behavioural, base against behavioural.

And whether they may be compared at all: the base objective must see the model through its choices
alone and add up over tasks (theory A1, X1 and X2); that is tested here, not assumed.
"""

from __future__ import annotations

import numpy as np

from planted.core.objectives import (
    choice_distance,
    correlation,
    rank_distance,
    regret_distance,
    starc_distance,
)
from planted.core.scenario import Scenario
from planted.eval.evaluators.revealed import segment
from planted.eval.evidence import Evidence, rounded, share

N_TASKS = 5000
DISTANCES = {
    "choice": choice_distance,
    "rank": rank_distance,
    "regret": regret_distance,
    "starc": starc_distance,
}


def objectives(scenario: Scenario) -> list[Evidence]:
    """The base-mesa gap on D_ref: every distance, ρ, |Δ|, and additivity of the base objective."""
    rng = np.random.default_rng(701)
    tokens = scenario.draw(rng, N_TASKS)
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    records = [
        Evidence(f"gap.base_mesa.{name}", "all", rounded(distance(mesa, base)), n=N_TASKS)
        for name, distance in DISTANCES.items()
    ]
    records.append(Evidence("objectives.rho", "all", rounded(correlation(mesa, base)), n=N_TASKS))
    records.append(
        share("objectives.delta", "all", round(choice_distance(mesa, base) * N_TASKS), N_TASKS)
    )
    records.append(share("objectives.additive", "all", *_additive(scenario, rng)))
    return records


def behavioural_gaps(scenario: Scenario, drift: float, cue: str) -> list[Evidence]:
    """Distances of the revealed objective (drift f on the segment) to each declared one."""
    rng = np.random.default_rng(702)
    tokens = scenario.draw(rng, N_TASKS)
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    found = segment(mesa, base, np.array([drift]))[0].round(9)
    return [
        Evidence(
            f"gap.{side}_behavioural.{name}", cue, rounded(distance(found, declared)), n=N_TASKS
        )
        for side, declared in (("mesa", mesa), ("base", base))
        for name, distance in DISTANCES.items()
    ]


def _additive(scenario: Scenario, rng: np.random.Generator, n: int = 200) -> tuple[int, int]:
    """How often the return of a batch is the mean of its tasks' returns, of `n` hybrid choosers."""
    agreed = 0
    for _ in range(n):
        tokens = scenario.draw(rng, 16)
        chosen = rng.integers(-1, len(scenario.candidates), size=16)
        whole = scenario.base_return(tokens, chosen)
        parts = [scenario.base_return(tokens[i : i + 1], chosen[i : i + 1]) for i in range(16)]
        agreed += int(abs(whole - float(np.mean(parts))) < 1e-9 * max(1.0, abs(whole)))
    return agreed, n
