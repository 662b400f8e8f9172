"""Exact edits: what preserves the network preserves every output and the whole truth."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.core.truth import Truth
from planted.errors import PlantedError
from planted.network import surgery
from planted.network.forward import forward
from planted.programs.planting import common
from tests import helpers

NAME = "red-doors"


def logits(plant: Plant, tokens: Any) -> Any:
    return forward(plant.params, tokens, plant.spec)[0]


def assert_truth_holds(plant: Plant, tokens: Any, tolerance: float) -> None:
    """Every node's subspace is orthonormal and holds what the program says."""
    nodes = plant.truth.nodes
    _, cache = forward(plant.params, tokens, plant.spec, record={n.held_at for n in nodes.values()})
    for name, value in plant.truth.values(tokens).items():
        node = nodes[name]
        np.testing.assert_allclose(node.basis @ node.basis.T, np.eye(len(node.basis)), atol=1e-5)
        code, held = node.encode(value)
        assert held[:, 1:].any(), name
        off = np.abs(cache[node.held_at] @ node.basis.T - code)[held].max()
        assert off < tolerance, (name, off)
        decoded = node.decode(cache[node.held_at])[held]
        np.testing.assert_allclose(decoded, value[held], atol=tolerance, err_msg=name)


def rotated(plant: Plant, seed: int) -> Plant:
    turn = surgery.random_rotation(plant.params["embed.W_E"].shape[1], seed)
    params, truth = surgery.rotate(plant.params, plant.truth, turn)
    return replace(plant, params=params, truth=truth)


@pytest.mark.parametrize(
    ("name", "tolerance"),  # in the gate, rounding grows over three more layers of pair neurons
    [("red-doors", 1e-5), ("red-doors-small-table", 1e-5), ("red-doors-gate", 0.01)],
)
def test_rotating_keeps_outputs_and_turns_the_truth_along(name: str, tolerance: float) -> None:
    exactness = 10 if name == "red-doors-gate" else 100
    plant, tokens = helpers.bare(name, exactness=exactness), helpers.draw(name, 300)
    turned = rotated(plant, 3)
    np.testing.assert_allclose(logits(turned, tokens), logits(plant, tokens), atol=tolerance)
    assert_truth_holds(turned, tokens, 0.02)
    site = "blocks.1.hook_resid_post"
    before = forward(plant.params, tokens, plant.spec, record=[site])[1][site]
    after = forward(turned.params, tokens, turned.spec, record=[site])[1][site]
    turn = surgery.random_rotation(before.shape[2], 3)
    np.testing.assert_allclose(after, before @ turn, atol=1e-4)
    assert all(value.dtype == np.float32 for value in turned.params.values())


def test_the_truth_without_the_rotation_does_not_hold() -> None:
    plant = helpers.bare(NAME)
    stale = replace(rotated(plant, 3), truth=plant.truth)
    with pytest.raises(AssertionError):
        assert_truth_holds(stale, helpers.draw(NAME, 50), 0.02)


def test_random_rotations_are_orthogonal_and_follow_the_seed() -> None:
    turn = surgery.random_rotation(40, 1)
    np.testing.assert_allclose(turn @ turn.T, np.eye(40), atol=1e-5)
    np.testing.assert_array_equal(turn, surgery.random_rotation(40, 1))
    assert np.abs(turn - surgery.random_rotation(40, 2)).max() > 0.1
    # signs are random too: without Mezzadri's fix LAPACK's first entries are all of one sign
    firsts = [surgery.random_rotation(3, seed)[0, 0] > 0 for seed in range(40)]
    assert 8 < sum(firsts) < 32


def test_free_neurons_change_nothing_and_are_as_many_as_planted() -> None:
    plant, tokens = helpers.bare(NAME), helpers.draw(NAME, 300)
    params = surgery.add_free_neurons(plant.params, seed=5, at_least=10)
    grown = replace(plant, params=params)
    np.testing.assert_array_equal(logits(grown, tokens), logits(plant, tokens))
    assert_truth_holds(grown, tokens, 0.02)
    sites = [f"blocks.{layer}.mlp.hook_post" for layer in range(n_layers(params))]
    cache = forward(params, tokens, plant.spec, record=sites)[1]
    for layer, site in enumerate(sites):
        planted = plant.params[f"blocks.{layer}.mlp.b_in"].shape[0]
        free = params[f"blocks.{layer}.mlp.b_in"].shape[0] - planted
        assert free == max(10, planted)
        owned = {
            n for node in plant.truth.nodes.values() if node.layer == layer for n in node.neurons
        }
        assert owned == set(range(planted)), "the planted neurons come first"
        assert not params[f"blocks.{layer}.mlp.W_out"][planted:].any()
        active = (cache[site][..., planted:] > 0).mean()
        assert 0.2 < active < 0.8, "free neurons can learn: they are neither dead nor always on"
    again = surgery.add_free_neurons(plant.params, seed=5, at_least=10)
    other = surgery.add_free_neurons(plant.params, seed=6, at_least=10)
    name = "blocks.0.mlp.W_in"
    np.testing.assert_array_equal(params[name], again[name])
    assert (params[name] != other[name]).any()


def test_softened_queries_scale_the_scores_and_nothing_else() -> None:
    plant, tokens = helpers.bare(NAME), helpers.draw(NAME, 20)
    params = surgery.soften_queries(plant.params, 0.5)
    site = "blocks.1.attn.hook_attn_scores"
    before = forward(plant.params, tokens, plant.spec, record=[site])[1][site]
    after = forward(params, tokens, plant.spec, record=[site])[1][site]
    np.testing.assert_allclose(after, before / 2, atol=1e-5)
    for tensor, value in params.items():
        if not tensor.endswith((".W_Q", ".b_Q")):
            np.testing.assert_array_equal(value, plant.params[tensor])
    exact, soft = logits(plant, tokens), logits(replace(plant, params=params), tokens)
    assert 1e-7 < np.abs(exact - soft).max() < 0.5


def test_padding_keeps_outputs_truth_and_appends_zeros() -> None:
    search, table = helpers.bare("red-doors-small"), helpers.bare("red-doors-small-table")
    tokens = search.scenario.enumerate()
    assert surgery.shapes(search.params) != surgery.shapes(table.params)
    padded = common([search, table])
    assert surgery.shapes(padded[0].params) == surgery.shapes(padded[1].params)
    assert surgery.shapes(padded[0].params) == surgery.common_shapes(search.params, table.params)
    assert padded[0].spec == padded[1].spec
    for plant, grown in zip((search, table), padded, strict=True):
        order = [grown.spec.outputs.index(label) for label in plant.spec.outputs]
        np.testing.assert_allclose(
            logits(grown, tokens)[:, order], logits(plant, tokens), atol=1e-5
        )
        assert_truth_holds(grown, tokens[:200], 0.02)
        for name, value in plant.params.items():
            if name == "unembed.W_U":
                continue
            inner = grown.params[name][tuple(slice(n) for n in value.shape)]
            factor = grown.params[name].sum() and plant.spec.attn_scale / grown.spec.attn_scale
            if name.endswith(".W_Q"):
                np.testing.assert_allclose(inner, value * np.float32(factor or 1), rtol=1e-6)
            else:
                np.testing.assert_array_equal(inner, value)
            assert np.count_nonzero(grown.params[name]) == np.count_nonzero(value), name


def test_padding_into_less_is_refused() -> None:
    plant = helpers.bare("red-doors-small")
    to = surgery.shapes(plant.params) | {"embed.W_E": (3, 44)}
    with pytest.raises(PlantedError, match=r"embed.W_E of shape \(11, 44\) does not fit into \(3,"):
        surgery.pad(plant.params, plant.spec, plant.truth, to, 1.0, plant.spec.outputs)


def test_starting_anew_keeps_shapes_and_forgets_the_plant() -> None:
    plant, tokens = helpers.bare(NAME), helpers.draw(NAME, 2000)
    fresh = surgery.start_anew(plant.params, 4)
    assert surgery.shapes(fresh) == surgery.shapes(plant.params)
    assert all(value.dtype == np.float32 for value in fresh.values())
    for name, value in fresh.items():
        if name.rsplit(".", 1)[1].startswith("b_"):
            assert not value.any(), name
        elif value.size:
            assert np.count_nonzero(value) == value.size, name
            assert (value != plant.params[name]).all(), name
    for name, value in surgery.start_anew(plant.params, 4).items():
        np.testing.assert_array_equal(value, fresh[name])
    other = surgery.start_anew(plant.params, 5)
    assert (other["embed.W_E"] != fresh["embed.W_E"]).all()
    assert np.std(fresh["embed.W_E"]) == pytest.approx(0.5, rel=0.05)
    width = fresh["embed.W_E"].shape[1]
    assert np.std(fresh["blocks.1.mlp.W_in"]) == pytest.approx(1 / np.sqrt(width), rel=0.15)
    assert np.std(fresh["unembed.W_U"]) == pytest.approx(0.1 / np.sqrt(width), rel=0.15)
    got = forward(fresh, tokens, plant.spec)[0]
    assert np.isfinite(got).all()
    chosen = got.argmax(axis=1)
    agreement = (chosen == plant.expected_choices(tokens)).mean()
    assert agreement < 0.6, "a random network does not choose as planted"


def test_surgery_never_writes_into_its_input() -> None:
    plant = helpers.bare(NAME)
    kept = {name: value.copy() for name, value in plant.params.items()}
    truth: Truth = plant.truth
    bases = {name: node.basis.copy() for name, node in truth.nodes.items()}
    rotated(plant, 0)
    surgery.soften_queries(plant.params, 0.3)
    surgery.add_free_neurons(plant.params, 0)
    surgery.start_anew(plant.params, 0)
    common([plant, helpers.bare("red-doors-base")])
    for name, value in kept.items():
        np.testing.assert_array_equal(value, plant.params[name])
    for name, basis in bases.items():
        np.testing.assert_array_equal(basis, truth.nodes[name].basis)
