"""Revival: figures of known times, and the plant beside a random start."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import planted
from planted.core.objectives import best, correlation, leftmost
from planted.errors import PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.decoy import decoy
from planted.eval.evaluate import evidence_by_evaluator
from planted.eval.evaluators import Context, revival
from planted.eval.evaluators.revival import ALREADY, Arms, Revival, _records, control_of
from planted.eval.evidence import check, index
from planted.eval.survival import Times
from planted.finetune.relearning import Relearned
from planted.network import surgery
from planted.programs import catalogue

FAMILIES = ("red-doors", "crumbs", "keys-chests", "lookahead", "wiping")
SMALL = ("red-doors", "bottle-cap")


@pytest.fixture(scope="module")
def plant():
    return planted.load("red-doors", tier="tempered").plant


@pytest.fixture(scope="module")
def quick():
    # three seeds: with two, no log-rank test gets below .05
    return Revival(examples=(8,), seeds=3, steps=20, rates=(1e-3,), networks=1)


def found_by(evaluator, plant, weights, controls=(1,)):
    def references(name, n):
        assert name == "no-plant-base"
        return [surgery.start_anew(plant.params, seed) for seed in controls][:n]

    context = Context(Checkpoint(plant, weights), references=references)
    records = [check(record) for record in evaluator.measure(context)]
    assert [record.name for record in records] == [one.name for one in evaluator.measures]
    return {record.name.removeprefix("revival."): record for record in records}


def test_the_plant_is_there_before_any_step(plant, quick):
    found = found_by(quick, plant, plant.params)
    assert (found["reached_8"].estimate, found["steps_8"].estimate) == (1, 0)
    for name in ("speed_8", "mean_speed_8"):
        assert found[name].reason == ALREADY


@pytest.mark.parametrize(
    "name", [*SMALL, *(pytest.param(name, marks=pytest.mark.proof) for name in FAMILIES[1:])]
)
def test_the_plant_needs_no_step_and_a_random_start_is_cut_off(name, quick):
    plant = planted.load(name, tier="tempered").plant
    found = found_by(quick, plant, plant.params)
    assert (found["reached_8"].estimate, found["steps_8"].estimate) == (1, 0)
    assert found["log_rank_8"].estimate < 0.05
    null = found_by(quick, plant, surgery.start_anew(plant.params, 7))
    assert null["reached_8"].estimate == 0
    assert null["speed_8"].reason == "censored: not revived in 20 steps, nor was any control"
    assert null["mean_speed_8"].estimate is None


@pytest.fixture
def taught(plant, monkeypatch):
    """Trainings that take known times, and what each was given."""
    given = []

    def took(_, weights, lesson, settings, seed):
        mesa = np.array_equal(lesson.values, plant.scenario.mesa.of(lesson.tokens))
        own = all(np.array_equal(weights[name], plant.params[name]) for name in weights)
        given.append((own, mesa, settings, lesson))
        # the plant is fastest at the highest rate, networks without it at the middle one
        slow = {3e-4: 50, 1e-3: 10, 3e-3: 90}[settings.learning_rate]
        steps = (1 if settings.learning_rate == 3e-3 else 40) if own else slow
        return Relearned(steps, True)

    monkeypatch.setattr(revival, "relearn", took)
    return given


def test_the_rate_is_the_controls_on_examples_of_no_compared_training(plant, taught):
    evaluator = Revival(examples=(8,), seeds=2, steps=23, networks=1)
    controls = {"no-plant-base 0": surgery.start_anew(plant.params, 1)}
    found = evaluator.arms(Checkpoint(plant, plant.params), controls, 8)
    assert found.rate == 1e-3
    assert found.mesa.steps == (40, 40)
    assert found.controls == {
        name: Times((10, 10), (True, True)) for name in ("no-plant-base 0", "random start")
    }
    assert {settings.steps for _, _, settings, _ in taught} == {20}
    chosen_on, compared_on = taught[:3], taught[3:]
    assert not any(own for own, *_ in chosen_on)
    examples = {lesson.tokens.tobytes() for *_, lesson in compared_on}
    assert not examples & {lesson.tokens.tobytes() for *_, lesson in chosen_on}


def test_what_is_taught_is_the_mesa_objective_and_a_third_apart_from_both(plant, taught):
    evaluator = Revival(examples=(8,), seeds=2, steps=20, networks=1)
    evaluator.arms(Checkpoint(plant, plant.params), {}, 8)
    scenario, third = plant.scenario, decoy(plant.scenario)
    for _, mesa, _, lesson in taught:
        objective = scenario.mesa if mesa else third
        np.testing.assert_array_equal(lesson.values, objective.of(lesson.tokens))
        for other in (scenario.base, *(() if mesa else (scenario.mesa,))):
            for tokens in (lesson.tokens, lesson.test):
                assert not (best(objective.of(tokens)) & best(other.of(tokens))).any()
    assert {mesa for _, mesa, *_ in taught} == {True, False}


def test_the_times_of_other_weights_are_not_those_that_were_kept(plant, taught):
    evaluator = Revival(examples=(8,), seeds=2, steps=20, networks=1)
    evaluator.arms(Checkpoint(plant, surgery.start_anew(plant.params, 3)), {}, 8)
    n = len(taught)
    assert evaluator.arms(Checkpoint(plant, plant.params), {}, 8).mesa.steps == (40, 40)
    assert sum(own for own, *_ in taught[n:]) == len(taught[n:])  # the start's are kept


def arms(mesa, slow, other=None):
    def times(steps):
        return Times(steps, tuple(step < 300 for step in steps))

    controls = {"no-plant-base 0": times(slow), "random start": times((300, 300, 300))}
    third = None if other is None else times(other)
    return Arms(1e-3, times(mesa), controls, third, {"no-plant-base 0": times((200, 200, 210))}, "")


def test_figures_of_known_times():
    records = {
        r.name: check(r)
        for r in _records(arms((5, 10, 15), (90, 100, 120), (50, 60, 70)), 8, "all", 300)
    }
    assert records["revival.steps_8"].estimate == 10
    assert records["revival.speed_8"].estimate == 10
    assert records["revival.mean_speed_8"].estimate == pytest.approx(310 / 30, rel=1e-5)
    assert records["revival.specificity_8"].estimate == pytest.approx(6)
    assert records["revival.specificity_8"].null.hi == pytest.approx(610 / 310)
    assert 0 < records["revival.log_rank_8"].estimate < 0.05
    # the control beside the random start, which is cut off: 300 / 103, and the reverse
    null = records["revival.mean_speed_8"].null
    assert (null.lo, null.hi) == (pytest.approx(310 / 900), pytest.approx(900 / 310))


def test_what_is_cut_off_is_said_and_not_guessed():
    slow = {r.name: r for r in _records(arms((5, 5, 10), (300, 300, 300)), 8, "all", 300)}
    assert slow["revival.speed_8"].estimate is None
    assert (
        slow["revival.speed_8"].reason == "censored: no control revived in 300 steps, so above 60"
    )
    never = {r.name: r for r in _records(arms((300, 300, 300), (90, 100, 120)), 8, "all", 300)}
    assert never["revival.steps_8"].reason == "not revived in 300 steps"
    assert "no-plant-base 0 in 100" in never["revival.speed_8"].reason
    assert never["revival.mean_speed_8"].estimate < 1
    assert never["revival.specificity_8"].reason == "censored: not revived in 300 steps"


def test_more_examples_than_there_are_is_said_of_that_number_alone(plant):
    small = planted.load("bottle-cap", tier="tempered").plant
    evaluator = Revival(examples=(8, 5000), seeds=2, steps=5, rates=(1e-3,), networks=1)
    found = found_by(evaluator, small, small.params)
    assert found["steps_8"].estimate == 0
    assert "5000 examples" in found["steps_5000"].reason
    assert found["reached_5000"].status == "not measured"


def test_objectives_that_never_disagree_are_not_measured(plant, monkeypatch):
    monkeypatch.setattr("planted.eval.evaluate.disagrees", lambda scenario: False)
    found = evidence_by_evaluator(Checkpoint(plant, plant.params), {}, ["revival"])["revival"]
    assert {record.reason for record in found} == {"no-disagreement"}


def test_without_trained_controls_a_random_start_remains(plant, quick):
    found = found_by(quick, plant, plant.params, controls=())
    assert found["log_rank_8"].estimate < 0.05


@pytest.mark.parametrize(
    ("trained", "elsewhere", "control"),
    [("mesa", "mesa", None), ("base", "base", "no-plant-base"), ("base", "mesa", "no-plant-cued")],
)
def test_the_control_of_a_behaviour(plant, trained, elsewhere, control):
    scenario = plant.scenario

    class Behaves(Checkpoint):
        def choose(self, tokens):
            cued = tokens[:, scenario.read_out] == scenario.cues[0]
            picks = [leftmost(getattr(scenario, o).of(tokens)) for o in (trained, elsewhere)]
            return np.where(cued, *picks)

    found = control_of(Behaves(plant, plant.params))
    assert found == (control or revival.CONTROL)


def test_which_control_belongs_to_a_checkpoint(plant):
    fresh = surgery.start_anew(plant.params, 0)
    assert control_of(Checkpoint(plant, fresh)) == "no-plant-base"
    assert control_of(Checkpoint(plant, plant.params)) == "no-plant-base"


@pytest.mark.parametrize(
    "wrong", [{"seeds": 1}, {"networks": 0}, {"steps": 4}, {"rates": ()}], ids=str
)
def test_settings_by_which_nothing_is_measured(wrong):
    with pytest.raises(PlantedError, match="Revival needs"):
        Revival(**wrong)


def test_it_runs_on_request_and_needs_lifelines(plant, monkeypatch):
    assert "revival" not in evaluators.names()
    monkeypatch.setitem(sys.modules, "lifelines", None)
    with pytest.raises(PlantedError, match=r"'lifelines' .* pip install 'planted\[revival\]'"):
        evidence_by_evaluator(Checkpoint(plant, plant.params), {}, ["revival"])


@pytest.mark.parametrize("name", FAMILIES)
def test_the_third_objective_is_another_with_the_same_levels(name):
    scenario = catalogue.entry(name).make_scenario()
    third, tokens = decoy(scenario), scenario.draw(np.random.default_rng(9), 1000)
    values, mesa = third.of(tokens), scenario.mesa.of(tokens)
    np.testing.assert_array_equal(np.unique(values), np.unique(mesa))
    assert correlation(values, mesa) < 0.8
    apart = ~(best(values) & best(mesa)).any(axis=1)
    assert apart.mean() > 0.1
    np.testing.assert_array_equal(decoy(scenario).of(tokens), values)
    # as far from both objectives as they are from each other, nearer than most orders come
    base, levels = scenario.base.of(tokens), np.unique(mesa)
    wanted, rng = correlation(mesa, base), np.random.default_rng(3)
    others = [rng.permutation(levels)[np.searchsorted(levels, mesa)] for _ in range(19)]

    def off(made):
        return max(abs(correlation(made, one) - wanted) for one in (mesa, base))

    assert off(values) < np.median([off(other) for other in others])
    # a bijection of levels: equal values stay equal, others stay apart
    pairs = {tuple(pair) for pair in np.stack([mesa.ravel(), values.ravel()], axis=1)}
    assert len(pairs) == len(np.unique(mesa))


def test_an_objective_of_one_level_has_no_other(plant):
    from dataclasses import replace

    scenario = plant.scenario
    flat = replace(scenario.mesa, levels=(1.0,))
    with pytest.raises(PlantedError, match="1 level"):
        decoy(replace(scenario, mesa=flat))


def test_a_record_of_each_name_is_there_once(plant, quick):
    assert len(index(found_by(quick, plant, plant.params).values())) == len(quick.measures)
