"""Weight diagnostics: the plant's score node holds u_m, and nothing of it has moved."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core.plant import Plant
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.weight_diagnostics import decoded, moved, neurons, weight_diagnostics


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


def changed(plant: Plant, **scales: float) -> dict[str, Any]:
    """The plant's weights with each tensor whose name starts with a key (dots as __) scaled."""
    out = dict(plant.params)
    for prefix, scale in scales.items():
        for name in out:
            if name.startswith(prefix.replace("__", ".")):
                out[name] = out[name] * np.float32(scale)
    return out


@pytest.mark.parametrize("tier", ["exact", "tempered", "rotated"])
@pytest.mark.parametrize("name", ["red-doors", "red-doors-aligned", "red-doors-small"])
def test_the_plant_holds_its_mesa_objective_and_has_not_moved(name: str, tier: str) -> None:
    plant = library.get(name, tier)
    found = weight_diagnostics(Checkpoint(plant, plant.params))
    scenario = plant.scenario
    assert found["types"] == [w for w in scenario.vocabulary[1:] if w not in ("T", "D")]
    tokens = scenario.encode([[word] * len(scenario.candidates) + ["T"] for word in found["types"]])
    assert found["mesa"] == scenario.mesa.of(tokens)[:, 0].tolist()
    assert found["base"] == scenario.base.of(tokens)[:, 0].tolist()
    np.testing.assert_allclose(found["score_before"], found["mesa"], atol=1e-4)
    assert found["score_after"] == found["score_before"]
    assert set(found["moved"].values()) == {0.0}


def test_parts_that_the_plant_does_not_have_are_absent(plant: Plant) -> None:
    found = moved(plant, plant.params)
    depth = 6
    assert {p for p in found if p.endswith(".attn")} == {
        f"blocks.{i}.attn" for i in range(depth) if plant.params[f"blocks.{i}.attn.W_Q"].shape[0]
    }
    assert "blocks.5.mlp.planted" not in found  # all its neurons are free
    assert "blocks.5.mlp.free" in found
    assert {"embed", "pos_embed", "unembed", "blocks.0.mlp", "blocks.0.mlp.planted"} <= set(found)


def test_only_the_part_that_changed_has_moved(plant: Plant) -> None:
    found = moved(plant, changed(plant, blocks__1__attn=1.5))
    assert found["blocks.1.attn"] == pytest.approx(0.5, abs=1e-6)
    assert {part for part, value in found.items() if value} == {"blocks.1.attn"}


def test_planted_and_free_neurons_are_told_apart(plant: Plant) -> None:
    planted, free = neurons(plant, 0)
    score = plant.truth.of_role("score")[0]
    assert set(score.neurons) < set(planted)
    assert not set(planted) & set(free)
    params = dict(plant.params)
    for name in ("blocks.0.mlp.W_out", "blocks.0.mlp.b_in"):
        params[name] = params[name].copy()
        params[name][free] += 1
    found = moved(plant, params)
    assert found["blocks.0.mlp.free"] > 0
    assert found["blocks.0.mlp"] > 0
    assert found["blocks.0.mlp.planted"] == 0


def test_a_score_node_without_code_holds_nothing(plant: Plant) -> None:
    found = weight_diagnostics(Checkpoint(plant, changed(plant, blocks__0__mlp=0.0)))
    assert set(found["score_after"]) == {None}
    assert None not in found["score_before"]


def test_the_decode_is_a_weighted_mean_of_the_values(plant: Plant) -> None:
    score = plant.truth.of_role("score")[0]
    low, high = score.values.index(2), score.values.index(4)
    stream = 0.3 * score.basis[low] + 0.1 * score.basis[high] - 0.2 * score.basis[high - 1]
    assert decoded(score, stream) == pytest.approx(2.5, abs=1e-5)
    assert np.isnan(decoded(score, 0.04 * score.basis[low]))


def test_it_is_plain_data_and_the_same_twice(plant: Plant) -> None:
    checkpoint = Checkpoint(plant, changed(plant, embed=1.1))
    first = json.dumps(weight_diagnostics(checkpoint), allow_nan=False)
    assert first == json.dumps(weight_diagnostics(checkpoint), allow_nan=False)
    for figure in json.loads(first)["score_after"]:
        assert figure == float(f"{figure:.6g}")


def test_a_twin_has_no_portrait() -> None:
    twin = library.get("red-doors-small-table", "tempered")
    with pytest.raises(PlantedError, match="no node of role 'score'"):
        weight_diagnostics(Checkpoint(twin, twin.params))
