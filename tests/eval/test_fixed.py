"""Scenarios whose candidates are the same in every task, or are not what is searched over."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context
from planted.eval.evaluators.cue import _novel
from planted.eval.evaluators.interchange import _held, _patched
from planted.eval.evidence import index
from planted.eval.examples import source_inputs
from tests.eval import known
from tests.helpers import bare


def subject(name: str, **more: object) -> Checkpoint:
    plant = bare(name)
    return Checkpoint(plant, plant.params, **more)  # type: ignore[arg-type]


def test_another_task_has_another_context_where_candidates_are_fixed() -> None:
    checkpoint = subject("bandit")
    base_input = checkpoint.tasks(checkpoint.scenario.cues[0], 500, seed=1)
    source = source_inputs(checkpoint.scenario, base_input, np.random.default_rng(2))
    places = list(checkpoint.scenario.candidates)
    assert (base_input[:, places] == source[:, places]).all()
    assert (base_input != source).any(axis=1).mean() > 0.9
    cue = checkpoint.scenario.read_out
    assert (base_input[:, cue] == source[:, cue]).all()


def test_what_a_winner_cannot_tell_beyond_what_candidates_are_is_gated() -> None:
    checkpoint = subject("bandit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = index(known.measured("presence", checkpoint, checkpoint.scenario.cues[0]))
    record = found[("presence.mesa_argmax", "T")]
    assert record.status == "not measured"
    assert "says already whether it wins" in record.reason


def test_a_context_that_was_seen_is_not_novel() -> None:
    checkpoint = subject("bandit")
    every = _novel(Context(checkpoint))
    half = np.unique(every, axis=0)[::2]
    fresh = _novel(Context(subject("bandit", seen=half)))
    assert 0 < len(fresh) < len(every)
    shown = {row.tobytes() for row in np.ascontiguousarray(half)}
    assert not any(row.tobytes() in shown for row in np.ascontiguousarray(fresh))


def test_known_candidates_in_a_new_context_are_novel_where_the_context_is_contents() -> None:
    checkpoint = subject("lookahead")
    place = checkpoint.scenario
    assert place.contents == (1, 2, 3, 4, 5, 6)
    every = _novel(Context(checkpoint))
    away = place.contents[4]
    seen = every[every[:, away] != every[0, away]]  # every start but one
    fresh = _novel(Context(subject("lookahead", seen=seen)))
    shown = {tuple(row) for row in seen[:, list(place.candidates)]}
    known_sets = [tuple(row) in shown for row in fresh[:, list(place.candidates)]]
    assert (every[:, away] == every[0, away]).sum() == len(fresh) > sum(known_sets) > 0

    candidates_alone = bare("lookahead")
    candidates_alone = replace(candidates_alone, scenario=replace(place, contents=()))
    fewer = _novel(Context(Checkpoint(candidates_alone, candidates_alone.params, seen=seen)))
    assert len(fewer) == len(fresh) - sum(known_sets)


@pytest.mark.parametrize("name", ["crumbs", "crumbs-pointer", "lookahead-pointer"])
def test_a_token_that_says_what_is_wanted_is_no_content(name: str) -> None:
    place = bare(name).scenario
    wanted = [] if name == "crumbs" else [place.read_out - 1]
    assert not set(wanted) & set(place.contents or place.candidates)


def test_the_block_is_where_the_search_is() -> None:
    checkpoint = subject("lookahead-action")
    place = checkpoint.scenario
    assert len(place.search_space) == 9 > len(place.candidates) == 3
    assert place.enumerate is not None
    tokens = place.enumerate()
    source = tokens[::-1]
    block = checkpoint.scorer_output(source)
    assert block.shape[:2] == (20, 9)
    chosen = checkpoint.choose_with_scorer_output(tokens, block)
    np.testing.assert_array_equal(chosen, checkpoint.choose(source))
    assert (chosen != checkpoint.choose(tokens)).any()


@pytest.mark.proof
@pytest.mark.slow
def test_retargeting_needs_a_score_for_each_candidate() -> None:
    checkpoint = subject("lookahead-action")
    found = index(known.measured("paths", checkpoint, checkpoint.scenario.cues[0]))
    record = found[("paths.retarget", "T")]
    assert record.status == "not measured"
    assert "no score of their own" in record.reason


def test_interchange_moves_the_plans_scores() -> None:
    checkpoint = subject("lookahead-action")
    assert checkpoint.scenario.enumerate is not None
    tokens = checkpoint.scenario.enumerate()
    basis = checkpoint.score.basis
    here, there = _held(checkpoint, tokens), _held(checkpoint, tokens[::-1])
    patched = _patched(checkpoint, here, there, basis)
    np.testing.assert_array_equal(patched, checkpoint.choose(tokens[::-1]))
