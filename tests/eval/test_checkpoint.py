"""Each task is run once, and passes that go on from a stream are those from the tasks."""

from __future__ import annotations

import numpy as np
import pytest

from planted.eval import checkpoint as module
from planted.eval.checkpoint import Checkpoint, _once
from planted.network.forward import Stream, forward
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
        each, place = _once(tokens)
        assert isinstance(each, np.ndarray)
        np.testing.assert_array_equal(each[place], tokens)
        fits = size**positions < 2**63  # else two tasks could have one number, and all are run
        assert len(each) == (len(np.unique(tokens, axis=0)) if fits else len(tokens))
    assert _once(tokens[:0])[1] == slice(None)


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
