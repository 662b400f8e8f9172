"""The three gaps, and whether the objectives may be compared."""

from __future__ import annotations

import numpy as np
import pytest

from planted.core.objectives import choice_distance, correlation
from planted.core.scenario import Choices, Tokens
from planted.eval.evaluators.revealed import behavioural_gaps
from planted.eval.evidence import Evidence, Records, index
from planted.eval.examples import Examples
from tests.eval import known

# What is left between an objective and itself: a task whose candidates are all alike has no order,
# and counts as half a disagreement of ranks.
SAME = {"choice": 1e-6, "rank": 0.01, "regret": 1e-6, "starc": 1e-6}


def found(**changes: object) -> Records:
    made = known.with_scenario(known.plant(), **changes)
    return index(known.measured("objectives", known.compiled(made)))


def behavioural(drift: float) -> list[Evidence]:
    place = known.scenario()
    tokens = Examples().tokens(place, "gaps to the behavioural objective")
    return behavioural_gaps(place, drift, "T", tokens)


def value(records: Records, name: str, cue: str = "all") -> float:
    estimate = records[(name, cue)].estimate
    assert estimate is not None
    return estimate


def test_the_gap_between_the_objectives_is_their_distance_on_d_ref() -> None:
    place, records = known.scenario(), found()
    tokens = place.draw(np.random.default_rng(5), 20_000)
    mesa, base = place.mesa.of(tokens), place.base.of(tokens)
    assert value(records, "objectives.rho") == pytest.approx(correlation(mesa, base), abs=0.03)
    apart = choice_distance(mesa, base)
    delta = records[("objectives.delta", "all")]
    assert delta.lo is not None
    assert delta.hi is not None
    assert delta.lo - 0.01 <= apart <= delta.hi + 0.01
    assert value(records, "gap.base_mesa.choice") == pytest.approx(
        value(records, "objectives.delta")
    )
    starc = value(records, "gap.base_mesa.starc")
    assert starc == pytest.approx(np.sqrt((1 - value(records, "objectives.rho")) / 2), abs=1e-5)


def test_objectives_that_are_one_have_no_gap_and_no_disagreement() -> None:
    records = found(base=known.scenario().mesa)
    for name, left in SAME.items():
        assert value(records, f"gap.base_mesa.{name}") == pytest.approx(0, abs=left)
    assert value(records, "objectives.delta") == 0
    assert value(records, "objectives.rho") == pytest.approx(1)


def test_a_return_that_adds_up_over_tasks_is_additive() -> None:
    record = found()[("objectives.additive", "all")]
    assert record.estimate == 1
    assert record.at_least is not None
    assert record.at_least > 0.95


def test_a_reward_for_diversity_of_a_batch_is_not_additive() -> None:
    def diversity(tokens: Tokens, chosen: Choices) -> float:
        return len(np.unique(chosen)) / 4

    record = found(base_return=diversity)[("objectives.additive", "all")]
    assert record.at_most is not None
    assert record.at_most < 0.05


def test_a_small_bonus_for_the_batch_is_seen_too() -> None:
    place = known.scenario()

    def nearly(tokens: Tokens, chosen: Choices) -> float:
        return place.base_return(tokens, chosen) + 1e-3 * float(np.std(chosen))

    assert value(found(base_return=nearly), "objectives.additive") < 0.5


@pytest.mark.parametrize(("drift", "near", "far"), [(0.0, "mesa", "base"), (1.0, "base", "mesa")])
def test_behaviour_at_an_end_of_the_segment_has_no_gap_to_that_objective(
    drift: float, near: str, far: str
) -> None:
    records = index(behavioural(drift))
    for name, left in SAME.items():
        assert value(records, f"gap.{near}_behavioural.{name}", "T") == pytest.approx(0, abs=left)
        assert value(records, f"gap.{far}_behavioural.{name}", "T") > 0.1


def test_the_gap_to_the_mesa_objective_grows_with_drift() -> None:
    gaps = [
        value(index(behavioural(f)), "gap.mesa_behavioural.starc", "T")
        for f in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert gaps == sorted(gaps)
    assert gaps[-1] == pytest.approx(
        value(found(), "gap.base_mesa.starc"), abs=0.01
    )  # other draws of D_ref
