"""Each task is run once, and passes that go on from a stream are those from the tasks."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from planted.eval import checkpoint as module
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint, _numbers, _once
from planted.eval.evaluate import evaluate
from planted.network.forward import Stream, choices_of, forward
from tests import helpers
from tests.eval import known


def test_each_different_task_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    subject, ran = known.checkpoint(), []

    def counted(params, tokens, *args, **more):
        ran.append(len(tokens))
        return forward(params, tokens, *args, **more)

    few = subject.tasks(subject.scenario.cues[0], 40, 1)
    many = few[np.random.default_rng(0).integers(0, 40, 900)]
    monkeypatch.setattr(module, "forward", counted)
    site = "blocks.1.hook_resid_post"
    read = subject.read(many, site)
    assert sum(ran) <= 40
    held = forward(subject.params, many, subject.plant.spec, record=[site])[1][site]
    np.testing.assert_allclose(read, held, atol=1e-5)
    np.testing.assert_array_equal(subject.choose(many), subject.logits(many).argmax(axis=1))
    ran.clear()
    subject.read(few, site)
    assert sum(ran) == len(few), "tasks that are all different are run as they are"


def test_tasks_are_different_where_any_token_is() -> None:
    rng = np.random.default_rng(0)
    for positions, size in ((3, 2), (7, 32), (10, 8), (25, 67)):
        few = rng.integers(0, size, (30, positions))
        tokens = few[rng.integers(0, 30, 400)]
        each, place = _once(tokens, size)
        assert isinstance(each, np.ndarray)
        if size**positions < 2**63:
            np.testing.assert_array_equal(each[place], tokens)
            assert len(each) == len(np.unique(tokens, axis=0))
        else:  # two tasks could have one number, and all are run
            assert each is tokens
            assert place is None
    assert _once(tokens[:0], size)[1] is None


def test_choices_of_tasks_are_remembered_until_other_weights_are_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    subject, ran = known.checkpoint(), []

    def counted(params, spec, tokens):
        ran.append(len(tokens))
        return choices_of(params, spec, tokens)

    monkeypatch.setattr(module, "choices_of", counted)
    cue = subject.scenario.cues[0]
    tokens = subject.tasks(cue, 60, 1)
    first = subject.choose(tokens[:40])
    np.testing.assert_array_equal(subject.choose(tokens)[:40], first)
    assert ran == [40, 20]
    np.testing.assert_array_equal(subject.choose(tokens), subject.logits(tokens).argmax(axis=1))
    turned = {name: -value if "W_U" in name else value for name, value in subject.params.items()}
    other = Checkpoint(subject.plant, turned)
    assert (other.choose(tokens) != subject.choose(tokens)).any()
    assert subject.choose(tokens[:0]).shape == (0,)


@pytest.mark.parametrize("name", ["red-doors", "wiping", "crumbs"])
def test_choices_from_the_stream_are_those_from_the_tasks(name: str) -> None:
    plant = helpers.bare(name)
    subject = Checkpoint(plant, plant.params)
    cue = plant.scenario.cues[0]
    tokens, source = subject.tasks(cue, 200, 1), subject.tasks(cue, 200, 2)
    for layer in (subject.score.layer, subject.comparator.layer):
        here, there = subject.before(layer, tokens), subject.before(layer, source)
        assert isinstance(here, Stream) is bool(layer)
        np.testing.assert_array_equal(subject.choose(here), subject.choose(tokens))
    output = subject.comparator_output(there)
    np.testing.assert_allclose(output, subject.comparator_output(source), atol=1e-5)
    np.testing.assert_array_equal(
        subject.choose_with_comparator_output(here, output),
        subject.choose_with_comparator_output(tokens, output),
    )
    assert (subject.choose(here) != subject.choose(there)).any()


def test_streams_before_the_scorer_are_remembered_and_forgotten_when_they_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant, ran = helpers.bare("wiping"), []
    subject = Checkpoint(plant, plant.params)
    layer = subject.score.layer
    assert layer

    def counted(params, tokens, *args, **more):
        ran.append(len(tokens))
        return forward(params, tokens, *args, **more)

    tokens = subject.tasks(subject.scenario.cues[0], 90, 1)
    name = f"blocks.{layer}.hook_resid_pre"
    expected = forward(subject.params, tokens, plant.spec, record=[name])[1][name]
    monkeypatch.setattr(module, "forward", counted)
    monkeypatch.setattr(module, "_REMEMBERED", 60 * 4 * expected[0].size)  # room for 60 tasks
    first = subject.before(layer, tokens[:40])
    again = subject.before(layer, tokens[10:60])
    assert ran == [40, 20]
    whole = subject.before(layer, tokens)  # more than there is room for
    assert ran == [40, 20, 90]
    for run, part in ((first, slice(0, 40)), (again, slice(10, 60)), (whole, slice(0, 90))):
        assert isinstance(run, Stream)
        np.testing.assert_allclose(run.held, expected[part], atol=1e-4)
    later = subject.before(layer + 1, tokens[::-1])
    assert ran == [40, 20, 90, 90]
    assert isinstance(later, Stream)
    np.testing.assert_array_equal(subject.choose(later), subject.choose(tokens)[::-1])


def test_streams_are_run_a_stretch_at_a_time_and_kept_when_others_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = helpers.bare("wiping")
    subject = Checkpoint(plant, plant.params)
    layer, tokens = subject.score.layer, subject.tasks(subject.scenario.cues[0], 90, 1)
    names = [f"blocks.{at}.hook_resid_pre" for at in (layer, layer + 1)]
    expected = forward(subject.params, tokens, plant.spec, record=names)[1]
    monkeypatch.setattr(module, "CHUNK", 16)
    monkeypatch.setattr(module, "_REMEMBERED", 60 * 4 * expected[names[0]][0].size)
    first = subject.before(layer, tokens[:50])
    other = subject.before(layer, tokens[40:])  # of which ten are known, and for forty is no room
    for run, part in ((first, slice(0, 50)), (other, slice(40, 90))):
        assert isinstance(run, Stream)
        np.testing.assert_allclose(run.held, expected[names[0]][part], atol=1e-4)
    later = subject.before(layer + 1, tokens)
    assert isinstance(later, Stream)
    np.testing.assert_allclose(later.held, expected[names[1]], atol=1e-4)


def test_tasks_without_a_number_are_run_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = helpers.bare("wiping")
    subject = Checkpoint(plant, plant.params)
    layer, tokens = subject.score.layer, subject.tasks(subject.scenario.cues[0], 40, 1)
    chosen, known = subject.choose(tokens), subject.before(layer, tokens)
    monkeypatch.setattr(module, "_numbers", lambda tokens, size: None)
    unknown = subject.before(layer, tokens)
    assert isinstance(known, Stream)
    assert isinstance(unknown, Stream)
    np.testing.assert_allclose(unknown.held, known.held, atol=1e-4)
    np.testing.assert_array_equal(subject.choose(tokens), chosen)


def test_tasks_of_any_type_of_integer_have_numbers_of_their_own() -> None:
    tokens = np.zeros((4, 12), np.int64)
    tokens[:, -1] = 31
    tokens[1, 0] = tokens[3, 0] = 1
    for kind in (np.int64, np.uint64, np.int32, np.uint8):
        numbers = _numbers(tokens.astype(kind), 32)
        assert numbers is not None
        assert numbers.dtype == np.int64
        assert len(set(numbers.tolist())) == 2


@pytest.mark.parametrize("token", [-1, 10_000])
def test_what_is_remembered_answers_for_no_task_that_there_is_not(token: int) -> None:
    subject = known.checkpoint()
    tokens = subject.tasks(subject.scenario.cues[0], 20, 1).copy()
    subject.choose(tokens)
    tokens[3, 1] = token
    assert _numbers(tokens, subject._size) is None
    if token > 0:
        with pytest.raises(IndexError):
            subject.choose(tokens)


def test_a_change_in_place_of_the_callers_weights_changes_no_checkpoint() -> None:
    before = known.checkpoint()
    given = {name: value.copy() for name, value in before.params.items()}
    subject = Checkpoint(before.plant, given)
    tokens = subject.tasks(subject.scenario.cues[0], 50, 1)
    given["unembed.W_U"] *= -1
    np.testing.assert_array_equal(subject.choose(tokens), before.choose(tokens))
    assert (Checkpoint(before.plant, given).choose(tokens) != subject.choose(tokens)).any()


def test_what_is_remembered_is_not_copied() -> None:
    plant = helpers.bare("wiping")
    subject = Checkpoint(plant, plant.params)
    fresh = len(pickle.dumps(subject))
    tokens = subject.tasks(subject.scenario.cues[0], 50, 1)
    subject.before(subject.score.layer, tokens)
    assert len(pickle.dumps(subject)) == fresh
    for other in (copy.deepcopy(subject), replace(subject, seen=tokens)):
        np.testing.assert_array_equal(other.choose(tokens), subject.choose(tokens))


def test_of_no_tasks_there_is_nothing() -> None:
    plant = helpers.bare("wiping")
    subject = Checkpoint(plant, plant.params)
    layer = subject.score.layer
    none = subject.tasks(subject.scenario.cues[0], 5, 1)[:0]
    for at in (layer, layer + 1):
        run = subject.before(at, none)
        assert isinstance(run, Stream)
        assert run.held.shape == (0, none.shape[1], plant.params["embed.W_E"].shape[1])
        assert subject.choose(run).shape == (0,)
    assert len(subject.choose_with_scorer_output(none, subject.scorer_output(none))) == 0


def test_figures_read_off_values_are_the_same_whatever_was_run_before() -> None:
    """The products of other batches are rounded otherwise: not those that presence reads."""
    plant, rng = helpers.bare("lookahead.small"), np.random.default_rng(5)
    noisy = {
        name: (value + 0.05 * np.std(value) * rng.normal(size=value.shape)).astype(np.float32)
        for name, value in plant.params.items()
        if value.size
    }
    params = {**plant.params, **noisy}
    trust = dict.fromkeys(evaluators.names(), "")
    whole = evaluate(Checkpoint(plant, params), trust)
    alone = evaluate(Checkpoint(plant, params), trust, ["presence"])
    assert alone
    assert [record for record in whole if record.name.startswith("presence.")] == alone
    assert any(record.estimate is not None for record in alone)
