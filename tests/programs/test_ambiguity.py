"""Triples: three mechanisms with the same choices in training, which part under a named shift."""

from __future__ import annotations

import functools
import itertools
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from planted import library
from planted.compiler import certify
from planted.compiler.expressions import verify
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import UnknownNameError
from planted.network import surgery
from planted.network.forward import choices_of
from planted.programs import ambiguity
from planted.programs.triple import MEMBERS
from tests.programs.ambiguous import ORACLES, Oracle

NAMES = ambiguity.names()
LISTED = [each.name for each in ambiguity.triples() if each.training.every]
LEAST = 0.05  # of shifted tasks, on which each pair chooses otherwise


@functools.cache
def plants(name: str) -> dict[str, Plant]:
    return dict(zip(MEMBERS, ambiguity.triple(name).plants(), strict=True))


@functools.cache
def training(name: str) -> Tokens:
    """Every training task, or 4000 of them."""
    tasks = ambiguity.triple(name).training
    return tasks.every() if tasks.every else tasks.draw(np.random.default_rng(0), 4000)


def by_oracle(name: str, member: str, tokens: Tokens) -> npt.NDArray[np.int64]:
    choose = getattr(ORACLES[name], member)
    words = ambiguity.triple(name).scenario.token_strings(tokens)
    return np.array([choose(task) for task in words])


def chosen(name: str, member: str, tokens: Tokens) -> npt.NDArray[np.int64]:
    plant = plants(name)[member]
    return np.asarray(choices_of(plant.params, plant.spec, tokens))


def test_there_are_ten_triples_at_least_with_shifts_of_several_kinds() -> None:
    assert len(NAMES) >= 10
    assert set(NAMES) == set(ORACLES)
    assert len({each.shift for each in ambiguity.triples()}) >= 8
    for each in ambiguity.triples():
        assert each.entries[2].mechanism not in {e.mechanism for e in each.entries[:2]}
        assert bool(each.because) == (each.training.every is None), each.name


@pytest.mark.parametrize("name", NAMES)
def test_all_three_choose_alike_in_training(name: str) -> None:
    tokens = training(name)
    expected = by_oracle(name, "mesa", tokens)
    for member in MEMBERS:
        np.testing.assert_array_equal(by_oracle(name, member, tokens), expected)
        np.testing.assert_array_equal(chosen(name, member, tokens), expected)
    assert len(np.unique(expected)) == len(ambiguity.triple(name).scenario.candidates)


@pytest.mark.parametrize("name", NAMES)
def test_training_tasks_are_those_of_training(name: str) -> None:
    each, oracle = ambiguity.triple(name), ORACLES[name]
    drawn = each.training.draw(np.random.default_rng(1), 1000)
    assert len(drawn) == 1000
    assert trained(oracle, each.scenario.token_strings(drawn)).all()


@pytest.mark.parametrize("name", LISTED)
def test_every_training_task_is_listed(name: str) -> None:
    each = ambiguity.triple(name)
    assert each.scenario.enumerate is not None
    everything = each.scenario.enumerate()
    held = everything[trained(ORACLES[name], each.scenario.token_strings(everything))]
    listed = training(name)
    assert {row.tobytes() for row in held} == {row.tobytes() for row in listed}
    assert len(held) == len(listed)


def trained(oracle: Oracle, tasks: list[tuple[str, ...]]) -> npt.NDArray[np.bool_]:
    return np.array([oracle.trained(words) for words in tasks])


@pytest.mark.parametrize("name", NAMES)
def test_each_pair_parts_under_the_shift(name: str) -> None:
    each = ambiguity.triple(name)
    tokens = each.shifted.draw(np.random.default_rng(2), 500)
    assert len(tokens) == 500
    held = trained(ORACLES[name], each.scenario.token_strings(tokens))
    found = {member: chosen(name, member, tokens) for member in MEMBERS}
    for member, choices in found.items():
        np.testing.assert_array_equal(choices, by_oracle(name, member, tokens))
    for one, other in itertools.combinations(MEMBERS, 2):
        assert (found[one] != found[other]).mean() > LEAST, (one, other)
        # off training alone: a task of training among the shifted ones parts nobody
        assert (found[one] == found[other])[held].all()


@pytest.mark.parametrize("name", NAMES)
def test_members_have_common_shapes_and_lookups_no_score(name: str) -> None:
    found = plants(name)
    first = found["mesa"]
    assert first.truth.of_role("score")
    assert found["other"].truth.of_role("score")
    assert not found["lookup"].truth.of_role("score")
    for plant in found.values():
        assert surgery.shapes(plant.params) == surgery.shapes(first.params)
        assert plant.spec == first.spec


@pytest.mark.parametrize("name", ["bottle-cap", "wiping", "steering"])
def test_a_member_does_what_its_program_says(name: str) -> None:
    for plant in plants(name).values():
        held_to_its_program(plant)


@pytest.mark.proof
@pytest.mark.parametrize("name", NAMES)
def test_every_member_does_what_its_program_says(name: str) -> None:
    for plant in plants(name).values():
        held_to_its_program(plant)


def held_to_its_program(plant: Plant) -> None:
    """Outputs and nodes against the scenario's oracle and Tracr's interpreter, under any cue."""
    rng = np.random.default_rng(3)
    place = plant.scenario
    tokens = place.with_any_cue(place.draw(rng, 1000), rng)
    certify.require_exact(plant, certify.certify(plant, tokens))
    assert plant.program is not None
    assert verify(plant, plant.program(place).output, place.token_strings(tokens[:20])) > 0


@pytest.mark.proof
def test_a_triple_can_be_had_in_another_tier() -> None:
    models = library.matched(ambiguity.triple("bottle-cap").plants(), "tempered")
    tokens = training("bottle-cap")
    for model in models:
        assert model.plant.tier == "tempered"
        np.testing.assert_array_equal(
            choices_of(model.plant.params, model.plant.spec, tokens),
            by_oracle("bottle-cap", "mesa", tokens),
        )


def test_an_unknown_triple_is_refused_with_the_near_names() -> None:
    with pytest.raises(UnknownNameError, match="bottle-cap"):
        ambiguity.triple("bottle-caps")


def test_listing_triples_loads_nothing_heavy() -> None:
    code = (
        "import sys; from planted.programs import ambiguity; assert ambiguity.triples();"
        "print(sorted({'tracr', 'jax', 'haiku', 'scipy', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
