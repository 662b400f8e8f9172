"""Putting the plant's weights back: what brings mesa choices back, and what does not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from planted.core.plant import Plant
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import restitution
from planted.eval.evidence import Evidence, index
from planted.network import surgery
from tests.eval import known

PLANTS = ["red-doors", "bottle-cap"]
FIGURES = ("scorer", "read_out", "rest")


def broken(plant: Plant, part: str) -> dict[str, Any]:
    """The plant with random weights in one part: what is left of it is elsewhere intact."""
    names = restitution.parts_of(plant)[part]
    other = surgery.start_anew(plant.params, 3)
    return {**plant.params, **{name: other[name] for name in names}}


def found(plant: Plant, params: dict[str, Any]) -> dict[str, Evidence]:
    subject = known.compiled(plant, params)
    cue = plant.scenario.cues[0]
    records = index(known.measured("restitution", subject, cue))
    word = plant.scenario.cue_name(cue)
    return {name: records[(f"restitution.{name}", word)] for name in FIGURES}


@pytest.mark.parametrize("name", PLANTS)
def test_every_parameter_is_in_one_part(name: str) -> None:
    plant = known.plant(name)
    parts = restitution.parts_of(plant)
    listed = [each for names in parts.values() for each in names]
    assert sorted(listed) == sorted(plant.params)
    assert all(parts.values())
    score = plant.truth.of_role("score")[0]
    assert f"blocks.{score.layer}.mlp.W_in" in parts["scorer"]
    assert "unembed.W_U" in parts["read_out"]


@pytest.mark.parametrize("name", PLANTS)
@pytest.mark.parametrize("part", FIGURES)
def test_the_part_that_was_changed_brings_the_choices_back(name: str, part: str) -> None:
    plant = known.plant(name)
    records = found(plant, broken(plant, part))
    for other in FIGURES:
        one = records[other]
        assert one.null is not None
        assert one.lo is not None
        assert one.estimate is not None
        if other == part:
            assert one.lo > one.null.hi
            assert one.estimate > 0.4
        else:
            assert one.estimate < 0.35


def test_no_part_brings_back_what_a_network_never_had() -> None:
    plant = known.plant("red-doors")
    records = found(plant, known.random_start("no-plant-base"))
    assert all(abs(records[part].estimate or 0) < 0.3 for part in FIGURES)


def test_the_plant_itself_has_nothing_to_bring_back() -> None:
    plant = known.plant("red-doors")
    records = found(plant, dict(plant.params))
    assert all(records[part].estimate == 0 for part in FIGURES)


def test_the_same_checkpoint_gives_the_same_records() -> None:
    plant = known.plant("bottle-cap")
    params = broken(plant, "read_out")
    assert found(plant, params) == found(plant, params)
    assert isinstance(known.compiled(plant, params), Checkpoint)


def test_a_plant_without_a_score_has_no_scorer_to_put_back() -> None:
    plant = known.plant("red-doors")
    nodes = {
        name: replace(node, role="" if node.role == "score" else node.role)
        for name, node in plant.truth.nodes.items()
    }
    bare = replace(plant, truth=replace(plant.truth, nodes=nodes))
    scorer = found(bare, dict(bare.params))["scorer"]
    assert scorer.status == "not measured"
    assert scorer.reason == "the plant's program computes no score"
