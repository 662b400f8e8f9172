"""Each task is run once, and passes that go on from a stream are those from the tasks."""

from __future__ import annotations

import numpy as np
import pytest

from planted.eval import checkpoint as module
from planted.eval.checkpoint import Checkpoint, _once
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
