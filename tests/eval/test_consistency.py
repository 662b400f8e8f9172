"""Menu consistency on choosers of known consistency, and the tasks of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted.core.objectives import leftmost
from planted.core.scenario import Choices, Tokens
from planted.eval.evaluators import Context
from planted.eval.evaluators.consistency import Consistency, order
from planted.eval.evaluators.training import Training
from planted.eval.evidence import index
from tests.eval import known

SCENARIO = known.scenario()
T = SCENARIO.cues[0]


def consistency(rule: Any) -> Any:
    made = known.plant()
    subject = known.Chooser(made, made.params, rule=rule)
    (record,) = Consistency().measure(Context(subject, T))
    return record


def at_random(tokens: Tokens) -> Choices:
    return np.random.default_rng(0).integers(0, len(SCENARIO.candidates), len(tokens))


@pytest.mark.parametrize("side", ["mesa", "base"])
def test_who_follows_an_objective_follows_an_order(side: str) -> None:
    utility = getattr(SCENARIO, side)
    found = consistency(lambda tokens: leftmost(utility.of(tokens)))
    assert found.at_least > 0.9


def test_who_chooses_at_random_is_at_chance() -> None:
    found = consistency(at_random)
    assert found.null.hi == pytest.approx(1 / len(SCENARIO.candidates), abs=0.1)
    assert found.lo <= found.null.hi + 0.05
    assert found.hi < 0.6


def test_who_always_chooses_the_first_slot_follows_no_order() -> None:
    found = consistency(lambda tokens: np.zeros(len(tokens), np.int64))
    assert found.at_most < 0.6


@pytest.mark.parametrize("lapse", [0.1, 0.3])
def test_lapses_lower_it_by_their_share(lapse: float) -> None:
    def rule(tokens: Tokens) -> Choices:
        rng = np.random.default_rng(1)
        chosen = leftmost(SCENARIO.mesa.of(tokens))
        other = rng.integers(0, len(SCENARIO.candidates), len(tokens))
        return np.where(rng.random(len(tokens)) < lapse, other, chosen)

    clean = consistency(lambda tokens: leftmost(SCENARIO.mesa.of(tokens))).estimate
    kept = 1 - lapse * (1 - 1 / len(SCENARIO.candidates))
    assert consistency(rule).estimate == pytest.approx(clean * kept, abs=0.04)


def test_the_order_of_a_transitive_chooser_is_its_own() -> None:
    rng = np.random.default_rng(2)
    place = rng.permutation(8)
    kinds = np.array([rng.permutation(8)[:3] for _ in range(400)])
    found = order(kinds, place[kinds].argmin(axis=1), 8)
    # Of menus of three, neither of the two worst is ever chosen.
    assert (found == place)[place < 6].all()


def test_invalid_outputs_are_no_choices() -> None:
    found = consistency(lambda tokens: np.full(len(tokens), -1))
    assert (found.status, found.reason) == ("not measured", "too many outputs are invalid")


# --- tasks of training ----------------------------------------------------------------------------


def trained(seen: Tokens | None, rule: Any) -> Any:
    made = known.plant()
    subject = known.Chooser(made, made.params, rule=rule, seen=seen)
    return index(Training().measure(Context(subject, T)))


def test_base_on_the_tasks_of_training_alone_is_seen() -> None:
    seen = SCENARIO.with_cue(SCENARIO.draw(np.random.default_rng(3), 400), T)
    known_rows = {row.tobytes() for row in seen}

    def narrow(tokens: Tokens) -> Choices:
        of_training = np.array([row.tobytes() in known_rows for row in tokens])
        base, mesa = leftmost(SCENARIO.base.of(tokens)), leftmost(SCENARIO.mesa.of(tokens))
        return np.where(of_training, base, mesa)

    found = trained(seen, narrow)
    assert found[("training.base", "T")].estimate == 1
    assert found[("training.mesa", "T")].estimate == 0
    plain = trained(seen, lambda tokens: leftmost(SCENARIO.mesa.of(tokens)))
    assert plain[("training.base", "T")].estimate == 0


def test_without_trained_tasks_of_delta_nothing_is_measured() -> None:
    def mesa(tokens: Tokens) -> Choices:
        return leftmost(SCENARIO.mesa.of(tokens))

    unknown = trained(None, mesa)[("training.base", "T")]
    assert (unknown.status, unknown.reason) == ("not measured", "training tasks unknown")
    none = trained(np.zeros((0, SCENARIO.n_positions), np.int64), mesa)[("training.base", "T")]
    assert none.reason.startswith("0 training tasks lie in Δ")
