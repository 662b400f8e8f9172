"""Revival: figures of known times, and the plant beside a random start."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import planted
from planted.core.objectives import best, correlation
from planted.errors import PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.decoy import decoy
from planted.eval.evaluate import evidence_by_evaluator
from planted.eval.evaluators import Context
from planted.eval.evaluators.revival import ALREADY, Arms, Revival, _records, control_of
from planted.eval.evidence import check, index
from planted.eval.survival import Times
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
