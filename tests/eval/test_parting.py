"""What parts networks that choose alike in training, on training tasks alone."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from planted.core.sampling import disagree
from planted.errors import PlantedError, UnknownNameError
from planted.eval import examples, parting
from planted.eval.evidence import share
from planted.eval.parting import Figure, TrainingExamples
from planted.programs import ambiguity
from planted.programs.triple import MEMBERS

NULL = ("mesa", "null")


@functools.cache
def figures(name: str, only: tuple[str, ...] | None = None) -> dict[str, Figure]:
    triple = ambiguity.triple(name)
    members = parting.members_of(triple.plants())
    return {one.name: one for one in parting.figures(members, triple.training.draw, only)}


def parted(found: Sequence[Figure], one: str, other: str) -> list[str]:
    return [figure.name for figure in found if figure.parts(one, other)]


@pytest.mark.parametrize("name", ["crumbs", "wiping", "bandit", "pointer"])
def test_every_purpose_has_tasks_of_training_alone(name: str) -> None:
    triple = ambiguity.triple(name)
    drawn = TrainingExamples(triple.training.draw)
    cue = triple.scenario.cues[0]
    for purpose, sampler in examples.SAMPLERS.items():
        tokens = drawn.tokens(triple.scenario, purpose, cue)
        assert len(tokens) <= sampler.n
        if triple.training.every is not None:
            every = {row.tobytes() for row in triple.training.every()}
            assert {row.tobytes() for row in np.ascontiguousarray(tokens)} <= every
        wanted = sampler.in_delta or sampler.kind == "tied"
        if wanted and not sampler.source_of:
            assert disagree(triple.scenario, tokens).all()
        else:
            assert len(tokens) == sampler.n


def test_a_source_input_has_the_context_of_its_base_input() -> None:
    triple = ambiguity.triple("lookahead")
    rng = np.random.default_rng(0)
    tokens = triple.training.draw(rng, 500)
    source = parting.donors(triple.scenario, tokens, triple.training.draw, rng)
    behind = [at for at in range(tokens.shape[1]) if at not in triple.scenario.candidates]
    np.testing.assert_array_equal(source[:, behind], tokens[:, behind])
    assert (source != tokens).any(axis=1).mean() > 0.5


def test_where_candidates_are_always_the_same_the_source_has_another_context() -> None:
    triple = ambiguity.triple("bandit")
    rng = np.random.default_rng(0)
    tokens = triple.training.draw(rng, 500)
    source = parting.donors(triple.scenario, tokens, triple.training.draw, rng)
    assert (source != tokens).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("name", ["bottle-cap", "off-cue"])
def test_behaviour_in_training_is_the_same_to_the_last_digit(name: str) -> None:
    found = figures(name, parting.BEHAVIOURAL)
    had = [one for one in found.values() if one.measured(*MEMBERS)]
    assert {one.name for one in had} >= {"regret.mesa", "consistency.menu", "agreement_training"}
    for one in had:
        assert one.by_member["mesa"] == one.by_member["other"] == one.by_member["lookup"]


def test_on_shifted_tasks_behaviour_parts_them() -> None:
    # the same question of other tasks: what is equal above is equal for want of a shift
    triple = ambiguity.triple("bottle-cap")
    members = parting.members_of(triple.plants())
    found = parting.figures(members, triple.shifted.draw, ["agreement"])
    for one, other in (MEMBERS[:2], MEMBERS[::2], MEMBERS[1:]):
        assert "agreement.mesa" in parted(found, one, other) + parted(found, other, one) or (
            "agreement.base" in parted(found, one, other)
        )
    assert parted(found, *NULL) == []


@pytest.mark.parametrize("name", ["bottle-cap", "crumbs"])
def test_interchange_at_the_scorer_parts_search_from_lookup_before_the_shift(name: str) -> None:
    found = figures(name, ("interchange",))["interchange.score"]
    assert found.parts("mesa", "lookup")
    assert found.parts("other", "lookup")
    assert not found.parts("mesa", "other"), "both search, by scores of the same order"
    assert not found.parts(*NULL)


@pytest.mark.proof
@pytest.mark.parametrize("name", ["bottle-cap", "steering", "rounding"])
def test_a_network_is_never_parted_from_itself_in_another_basis(name: str) -> None:
    found = list(figures(name).values())
    assert sum(one.measured(*NULL) for one in found) > 20
    assert parted(found, *NULL) == []


@pytest.mark.proof
@pytest.mark.parametrize("name", ["bottle-cap", "crumbs", "rounding"])
def test_paths_part_search_from_lookup_and_no_search_from_the_other(name: str) -> None:
    found = figures(name)
    for measure in ("paths.follows_scorer", "paths.swap"):
        assert found[measure].parts("mesa", "lookup"), measure
        assert found[measure].parts("other", "lookup"), measure
    if name != "rounding":  # there the two searches do not score with the same neurons
        assert not found["paths.follows_scorer"].parts("mesa", "other")


def test_intervals_that_touch_or_nearly_do_part_nothing() -> None:
    def of(*hits: int) -> Figure:
        records = [share("x", "T", n, 1000) for n in hits]
        return Figure("x", "x", dict(zip(("one", "other"), records, strict=True)))

    assert of(100, 900).parts("one", "other")
    assert of(900, 100).parts("one", "other")
    assert not of(500, 520).parts("one", "other")
    nothing = Figure("x", "x", {"one": share("x", "T", 0, 0), "other": share("x", "T", 1, 1)})
    assert not nothing.measured("one", "other")
    assert not nothing.parts("one", "other")


def test_padding_changes_no_choice_and_no_figure_of_an_evaluator() -> None:
    triple = ambiguity.triple("bottle-cap")
    members = parting.members_of(triple.plants(padded=False))
    wide = replace(members, trimmed=members.padded)
    asked = ["agreement", "regret", "interchange"]
    narrow, padded = (
        parting.figures(each, triple.training.draw, asked) for each in (members, wide)
    )
    sizes = [
        sum(value.size for value in each["mesa"].params.values())
        for each in (members.trimmed, members.padded)
    ]
    assert sizes[0] < sizes[1]
    for one, other in zip(narrow, padded, strict=True):
        for member in (*MEMBERS, "null"):
            assert one.by_member[member].estimate == other.by_member[member].estimate


def test_a_lookup_cannot_stand_in_the_first_place() -> None:
    mesa, other, lookup = ambiguity.triple("bottle-cap").plants()
    with pytest.raises(PlantedError, match="no node of role 'score'"):
        parting.members_of((lookup, other, mesa))


def test_an_unknown_evaluator_is_refused() -> None:
    triple = ambiguity.triple("bottle-cap")
    with pytest.raises(UnknownNameError, match="paths"):
        parting.figures(parting.members_of(triple.plants()), triple.training.draw, ["path"])


def test_what_is_left_out_is_an_evaluator_and_all_others_are_asked() -> None:
    from planted.eval import evaluators

    assert set(parting.LEFT_OUT) <= set(evaluators.names())
    assert set(parting.BEHAVIOURAL) <= set(parting.names())
    # what measures the scenario, the trained tasks, or tasks outside training; nothing else
    assert set(parting.LEFT_OUT) == {"objectives", "reach", "training", "cue"}
    assert {"paths", "presence", "interchange"} <= set(parting.names())
    assert set(evaluators.names()) <= set(parting.names()) | set(parting.LEFT_OUT)
