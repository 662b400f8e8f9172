"""The tasks of each purpose: as declared, drawn once, shared, and not to be written to."""

from __future__ import annotations

import numpy as np
import pytest

from planted.core.objectives import untied
from planted.core.sampling import disagree, draw_where
from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError, UnknownNameError
from planted.eval.evaluators import Context
from planted.eval.examples import SAMPLERS, Examples, Sampler, source_inputs, untied_tasks
from tests.eval import known


def has_ties(place: Scenario, tokens: Tokens) -> np.ndarray:  # type: ignore[type-arg]
    return ~(untied(place.mesa.of(tokens)) & untied(place.base.of(tokens)))


def test_no_two_purposes_have_the_same_seed() -> None:
    seeds = [one.seed for one in SAMPLERS.values() if not one.after]
    assert len(set(seeds)) == len(seeds)
    assert all(purpose == one.purpose for purpose, one in SAMPLERS.items())


@pytest.mark.parametrize("purpose", SAMPLERS)
def test_the_tasks_are_as_declared(purpose: str) -> None:
    place, sampler = known.scenario(), SAMPLERS[purpose]
    cue = place.cues[1]
    tokens = Examples().tokens(place, purpose, cue)
    assert (tokens[:, place.read_out] == cue).all()
    assert len(tokens) == sampler.n or sampler.kind == "tied"
    assert 0 < len(tokens) <= sampler.n
    ties = has_ties(place, tokens)
    if sampler.kind == "tied":
        assert ties.all()
        assert disagree(place, tokens).all()
    elif sampler.kind == "untied":
        assert not ties.any()
    elif sampler.kind == "any":
        assert ties.any()
    if sampler.in_delta:
        assert disagree(place, tokens).all()
    if sampler.kind == "training":
        assert not disagree(place, tokens).any()


def test_a_purpose_is_a_seed_and_the_cue() -> None:
    """The very tasks that explicit draws give: figures of earlier releases stay."""
    place = known.scenario()
    for cue in place.cues:
        rng = np.random.default_rng([101, cue])
        want = draw_where(place, rng, 1000, in_delta=True, cue=cue)
        found = Examples().tokens(place, "disputed tasks", cue)
        np.testing.assert_array_equal(found, want)
        np.testing.assert_array_equal(untied_tasks(place, cue, 1000, 101, in_delta=True), want)
        source = source_inputs(
            place,
            Examples().tokens(place, "path pairs, base input", cue),
            np.random.default_rng([202, cue]),
        )
        found = Examples().tokens(place, "path pairs, source input", cue)
        np.testing.assert_array_equal(found, source)
    other = Examples().tokens(place, "disputed tasks", place.cues[1])
    first = Examples().tokens(place, "disputed tasks", place.cues[0])
    assert (first[:, :-1] != other[:, :-1]).any()


def test_tasks_are_drawn_once_for_all_evaluators_and_anew_for_another_scenario() -> None:
    calls: list[int] = []
    place = known.scenario()

    def draw(rng: np.random.Generator, n: int) -> Tokens:
        calls.append(n)
        return place.draw(rng, n)

    subject = known.compiled(known.with_scenario(known.plant(), draw=draw))
    drawn = Examples()
    one, two = (Context(subject, place.cues[0], drawn) for _ in range(2))
    assert one.examples("disputed tasks") is two.examples("disputed tasks")
    count = len(calls)
    assert count
    Context(subject, place.cues[1], drawn).examples("disputed tasks")  # another cue
    assert len(calls) > count
    again = known.with_scenario(known.plant(), draw=draw)
    Context(known.compiled(again), place.cues[0], drawn).examples("disputed tasks")
    assert len(calls) > 2 * count


def test_the_generator_goes_on_where_drawing_stopped_however_often_it_is_asked() -> None:
    place, drawn = known.scenario(), Examples()
    rng = np.random.default_rng([103, place.cues[0]])
    place.draw(rng, 2000)
    want = rng.random(3)
    for _ in range(2):
        found = drawn.rng_after(place, "regret", place.cues[0]).random(3)
        np.testing.assert_array_equal(found, want)


def test_shared_tasks_cannot_be_written_to() -> None:
    tokens = Examples().tokens(known.scenario(), "disputed tasks")
    with pytest.raises(ValueError, match="read-only"):
        tokens[0, 0] = 1


def test_a_sampler_of_your_own() -> None:
    context = Context(known.checkpoint(), known.scenario().cues[1])
    tokens = context.examples(Sampler("my tasks", 50, 9001, in_delta=True))
    assert tokens.shape == (50, known.scenario().n_positions)
    assert disagree(known.scenario(), tokens).all()


def test_an_unknown_purpose_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"'disputed task'.*'disputed tasks'"):
        Examples().tokens(known.scenario(), "disputed task")


def test_a_scenario_without_disagreement_has_no_disputed_tasks() -> None:
    with pytest.raises(PlantedError, match="are in the disagreement set"):
        Examples().tokens(known.scenario("red-doors-aligned"), "disputed tasks")
