"""Relearning: steps until an objective is followed, from a fixed set of examples."""

from __future__ import annotations

import numpy as np
import pytest

import planted
from planted.core.objectives import leftmost, untied
from planted.core.sampling import disagree, held_out
from planted.errors import CheckpointError, PlantedError
from planted.finetune import relearning
from planted.finetune.relearning import LOOK_EVERY, Relearned, _stream, lesson, relearn
from planted.finetune.settings import Settings
from planted.network import surgery
from planted.programs import catalogue


@pytest.fixture(scope="module")
def plant():
    return planted.load("red-doors", tier="tempered").plant


def taught(plant, k=64, seed=0):
    return lesson(plant.scenario, plant.scenario.mesa, [plant.scenario.base], k, seed, 0.5)


def test_a_lesson_is_of_delta_and_its_test_is_held_out(plant):
    scenario, found = plant.scenario, taught(plant)
    assert len(found.tokens) == len(np.unique(found.tokens, axis=0)) == 64
    for tokens, held in ((found.tokens, False), (found.test, True)):
        assert disagree(scenario, tokens).all()
        assert (held_out(scenario, tokens, 0.5) == held).all()
    np.testing.assert_array_equal(found.wanted, leftmost(scenario.mesa.of(found.test)))
    other = taught(plant, seed=1)
    np.testing.assert_array_equal(other.test, found.test)
    assert not np.array_equal(other.tokens, found.tokens)


def test_the_plant_needs_no_step_and_a_random_start_more_than_a_few(plant):
    settings = Settings(regime="mesa", steps=20)
    assert relearn(plant, plant.params, taught(plant), settings, 0) == Relearned(0, True)
    fresh = surgery.start_anew(plant.params, 0)
    assert relearn(plant, fresh, taught(plant), settings, 0) == Relearned(20, False)


@pytest.mark.slow
def test_it_is_learned_and_the_same_again(plant):
    fresh, settings = surgery.start_anew(plant.params, 0), Settings(learning_rate=3e-3, steps=300)
    found = relearn(plant, fresh, taught(plant, 512), settings, 0)
    assert found.reached
    assert found.steps % LOOK_EVERY == 0
    assert 0 < found.steps < 300
    assert relearn(plant, fresh, taught(plant, 512), settings, 0) == found


def test_its_steps_are_those_before_the_look_at_which_enough_were_right(plant, monkeypatch):
    found, rights = taught(plant), iter((0, 0.74, 0.75))

    def choose(params, spec, tokens):
        right = np.arange(len(tokens)) < round(next(rights) * len(tokens))
        return np.where(right, found.wanted, -1)

    monkeypatch.setattr(relearning, "choices_of", choose)
    fresh = surgery.start_anew(plant.params, 0)
    assert len(found.test) % 4 == 0
    told = relearn(plant, fresh, found, Settings(regime="mesa", steps=20), 0, enough=0.75)
    assert told == Relearned(2 * LOOK_EVERY, True)


def test_examples_are_passed_over_in_an_order_drawn_anew(plant):
    found = taught(plant, 64)
    tokens, values = _stream(found, batch=32, steps=6, seed=0)
    passes = [part.reshape(64, -1) for part in np.split(tokens, 3)]
    every = sorted(row.tobytes() for row in found.tokens.astype(np.int32))
    for one in passes:
        assert sorted(row.tobytes() for row in one) == every
    assert len({one.tobytes() for one in (*passes, found.tokens.astype(np.int32))}) == 4
    np.testing.assert_array_equal(
        values, plant.scenario.mesa.of(tokens.reshape(-1, tokens.shape[-1])).reshape(values.shape)
    )


def test_neither_objective_ties_on_what_is_taught(plant):
    found = taught(plant, 512)
    for objective in (plant.scenario.mesa, plant.scenario.base):
        for tokens in (found.tokens, found.test):
            assert untied(objective.of(tokens)).all()


def test_training_that_is_not_finite_never_gets_there(plant):
    fresh = surgery.start_anew(plant.params, 0)
    settings = Settings(optimizer="sgd", learning_rate=1.0, clip=1e12, steps=20, logit_scale=1e12)
    with np.errstate(all="ignore"):
        assert relearn(plant, fresh, taught(plant), settings, 0) == Relearned(20, False)


@pytest.mark.parametrize("k", [0, -1, 2.0, True])
def test_a_number_of_examples_that_is_none(plant, k):
    with pytest.raises(PlantedError, match="whole number from 1"):
        taught(plant, k)


def test_more_examples_than_there_are():
    scenario = catalogue.entry("bottle-cap").make_scenario()
    with pytest.raises(PlantedError, match=r"distinct tasks .* 5000 examples"):
        lesson(scenario, scenario.mesa, [scenario.base], 5000, 0, 0.5)


def test_objectives_that_never_disagree():
    scenario = planted.load("red-doors", tier="tempered").plant.scenario
    with pytest.raises(PlantedError, match=r"^0 held-out tasks"):
        lesson(scenario, scenario.mesa, [scenario.mesa], 8, 0, 0.5)


def test_weights_of_another_shape(plant):
    wrong = {**plant.params, "embed.W_E": plant.params["embed.W_E"][:, :-1]}
    with pytest.raises(CheckpointError):
        relearn(plant, wrong, taught(plant), Settings(), 0)
