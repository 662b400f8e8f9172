"""Putting the plant's weights back: what brings mesa choices back, and what does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import restitution
from planted.eval.evidence import Evidence, index
from planted.network import surgery
from planted.network.forward import forward
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
    return {name: records[(f"restitution.{name}", word)] for name in (*FIGURES, "noise")}


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
    noise = records["noise"]
    assert (noise.lo or 0) <= 0.02


@pytest.mark.parametrize("name", PLANTS)
def test_noise_uncovers_what_is_just_suppressed_and_not_what_is_reversed(name: str) -> None:
    plant = known.plant(name)
    last = f"blocks.{n_layers(plant.params) - 1}.hook_resid_post"
    width, tokens = (
        len(plant.scenario.candidates),
        plant.scenario.draw(np.random.default_rng(0), 500),
    )
    logits, streams = forward(plant.params, tokens, plant.spec, record={last})
    stream = streams[last][:, plant.scenario.read_out]
    margin = np.diff(np.sort(logits[:, :width], axis=1)[:, -2:], axis=1)
    always = np.linalg.lstsq(stream, np.ones(len(stream)), rcond=None)[0]  # 1 on every task
    weights = np.array(plant.params["unembed.W_U"])
    suppressed, reversed_ = weights.copy(), weights.copy()
    suppressed[:, 0] += 1.02 * np.median(margin) * always  # so that the first slot wins
    reversed_[:, :width] *= -1
    noise = found(plant, {**plant.params, "unembed.W_U": suppressed})["noise"]
    assert noise.null is not None
    assert (noise.lo or 0) > 0.02 > noise.null.hi
    assert noise.reason.startswith("noise of ")
    null = found(plant, {**plant.params, "unembed.W_U": reversed_})["noise"]
    assert (null.lo or 0) <= 0.02


def test_the_plant_itself_has_nothing_to_bring_back() -> None:
    plant = known.plant("red-doors")
    records = found(plant, dict(plant.params))
    assert all(records[part].estimate == 0 for part in FIGURES)
    assert (records["noise"].estimate or 0) <= 0


def test_the_same_checkpoint_gives_the_same_records() -> None:
    plant = known.plant("bottle-cap")
    params = broken(plant, "read_out")
    assert found(plant, params) == found(plant, params)
    assert isinstance(known.compiled(plant, params), Checkpoint)
