"""Twins: the same choices by another mechanism, everywhere or on the tasks that are declared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planted import library
from planted.compiler import certify
from planted.core.objectives import leftmost
from planted.core.scenario import Declared
from planted.core.spec import choices
from planted.errors import CertificateError, PlantedError
from planted.network import surgery
from planted.network.forward import forward
from planted.programs import catalogue
from planted.programs.entries import Entry
from tests import helpers

ENTRIES = catalogue.ENTRIES
TWINS = [name for name, entry in ENTRIES.items() if entry.twin_of]
NO_SEARCH = ("decision list", "decoy search", "table", "heuristics", "controller")


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_chooses_what_the_plant_it_is_a_twin_of_chooses(name: str) -> None:
    entry = catalogue.entry(name)
    original = catalogue.entry(entry.twin_of)
    place, other = entry.make_scenario(), original.make_scenario()
    assert place.vocabulary == other.vocabulary
    assert place.candidates == other.candidates
    assert entry.family == original.family
    assert entry.mechanism != original.mechanism
    rng = np.random.default_rng(0)
    everywhere = place.with_any_cue(place.draw(rng, 2000), rng)
    training = place.draw_training(rng, 2000)
    if entry.twin_on == "training":
        assert (oracle(entry, everywhere) != oracle(original, everywhere)).mean() > 0.1
    for tokens in [training] if entry.twin_on == "training" else [training, everywhere]:
        np.testing.assert_array_equal(oracle(entry, tokens), oracle(original, tokens))


def oracle(entry: Entry, tokens: np.ndarray) -> np.ndarray:
    """What the plain oracle of an entry says, task for task."""
    place = entry.make_scenario()
    return np.array([place.choose(words) for words in place.token_strings(tokens)])


def test_every_scenario_has_two_twins_that_do_not_search() -> None:
    families = {e.family for e in ENTRIES.values()}
    assert families == {catalogue.entry(e.twin_of).family for e in ENTRIES.values() if e.twin_of}
    for family in families:
        ways = {e.mechanism for e in ENTRIES.values() if e.family == family and e.twin_of}
        assert len(ways & set(NO_SEARCH)) >= 2, family


@pytest.mark.parametrize(
    ("name", "differs"), [("steering-controller", "steering"), ("heuristics", "its mesa-objective")]
)
def test_what_is_equal_on_declared_tasks_alone_is_certified_there(name: str, differs: str) -> None:
    plant = helpers.bare(name)
    found = certify.certify(plant, certify.inputs_of(plant, 500)[0])
    assert found["declared"] == {"name": "training", "n": certify.LEAST_INPUTS, "mismatches": 0}
    place = plant.scenario
    rng = np.random.default_rng(0)
    tokens = place.with_any_cue(place.draw(rng, 500), rng)
    assert (plant.expected_choices(tokens) != leftmost(place.mesa.of(tokens))).mean() > 0.1, differs
    wider = replace(plant, scenario=replace(place, declared=Declared("everything", place.draw)))
    with pytest.raises(CertificateError, match=r"outputs on tasks of 'everything' differ from"):
        certify.certify(wider, tokens)


@pytest.mark.proof
@pytest.mark.parametrize(
    "names", [("bandit.small", "bandit-table.small"), ("grid-doors.small", "grid-doors-table"),
              ("steering.small", "steering-controller.small")]
)  # fmt: skip
def test_matched_plants_have_the_same_shapes_and_still_choose_alike(names: tuple[str, ...]) -> None:
    plants = [model.plant for model in library.matched(names)]
    assert [plant.name for plant in plants] == [f"{name}@1" for name in names]
    first, second = plants
    assert surgery.shapes(first.params) == surgery.shapes(second.params)
    assert first.spec.attn_scale == second.spec.attn_scale
    assert first.spec.outputs == second.spec.outputs
    assert first.mechanism != second.mechanism
    tokens = first.scenario.draw_training(np.random.default_rng(0), 300)
    chosen = [choices(forward(p.params, tokens, p.spec)[0], p.spec) for p in plants]
    np.testing.assert_array_equal(*chosen)
    for plant in plants:
        assert plant.certificate["mismatches"] == 0
        own = library.build(plant.name, only="exact")["exact"]
        held = [sum(int((v != 0).sum()) for v in p.params.values()) for p in (plant, own)]
        assert held[0] == held[1], "padding adds zeros and nothing else"


def test_plants_of_different_scenarios_are_not_matched() -> None:
    with pytest.raises(PlantedError, match=r"'crumbs' and 'wiping' have other words"):
        library.matched(["wiping", "crumbs"])
    with pytest.raises(PlantedError, match=r"only plants of one scenario, of the same size"):
        library.matched(["crumbs", "crumbs.small"])
    with pytest.raises(PlantedError, match="Name at least one plant"):
        library.matched([])
    with pytest.raises(
        PlantedError, match=r"names is a list of texts, as \['crumbs'\]; got 'crumbs' alone"
    ):
        library.matched("crumbs")
