"""Neurons in another order are put back, and nothing else is moved."""

from __future__ import annotations

import numpy as np
import pytest

from planted import library
from planted.core.spec import Params, n_layers
from planted.network import surgery
from planted.network.alignment import in_order_of

PLANTS = ("red-doors-small", "crumbs", "bottle-cap")


def same(a: Params, b: Params) -> bool:
    return set(a) == set(b) and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("tier", ["exact", "tempered"])
@pytest.mark.parametrize("name", PLANTS)
def test_a_permutation_is_undone(name: str, tier: str) -> None:
    plant = library.get(name, tier).params
    for seed in (0, 1):
        permuted = surgery.permute_neurons(plant, seed)
        assert not same(permuted, plant)
        assert same(in_order_of(permuted, plant), plant)
    assert same(in_order_of(plant, plant), plant)


def test_a_permutation_is_undone_beside_factors_and_other_outputs() -> None:
    """By inputs alone: what a neuron does may have been edited, and the size of what it reads."""
    plant = library.get("crumbs", "tempered").params
    rng, edited = np.random.default_rng(3), dict(plant)
    for layer in range(n_layers(plant)):
        at = f"blocks.{layer}.mlp."
        factor = rng.uniform(0.5, 2, len(plant[at + "b_in"])).astype(np.float32)
        edited[at + "W_in"] = plant[at + "W_in"] * factor
        edited[at + "b_in"] = plant[at + "b_in"] * factor
        edited[at + "W_out"] = (
            plant[at + "W_out"] / factor[:, None] + rng.normal(size=plant[at + "W_out"].shape)
        ).astype(np.float32)  # fmt: skip
    permuted = surgery.permute_neurons(edited, 5)
    assert same(in_order_of(permuted, plant), edited)


def test_what_was_trained_or_never_was_the_plant_stays_as_it_is() -> None:
    """All inputs a little different; half of them; and none the plant's at all."""
    plant = library.get("red-doors-small", "tempered").params
    rng = np.random.default_rng(0)

    def noisy(share: float, size: float) -> dict[str, np.ndarray]:
        made = dict(plant)
        for name in (n for n in plant if n.endswith("mlp.W_in")):
            noise = rng.normal(size=plant[name].shape) * size
            moved = rng.random(plant[name].shape[1]) < share
            made[name] = np.where(moved, plant[name] + noise, plant[name]).astype(np.float32)
        return made

    for params in (noisy(1, 1e-3), noisy(0.5, 1e-2), noisy(1, 100)):
        assert same(in_order_of(params, plant), params)


def test_what_is_left_of_the_plant_in_another_order_is_found() -> None:
    """A quarter of the neurons was trained, and then all were permuted: the others are put back."""
    plant = library.get("red-doors-small", "tempered").params
    name, rng = "blocks.1.mlp.W_in", np.random.default_rng(1)
    moved = np.flatnonzero(rng.random(plant[name].shape[1]) < 0.25)
    trained = dict(plant)
    trained[name] = plant[name].copy()
    trained[name][:, moved] += rng.normal(size=(len(plant[name]), len(moved))).astype(np.float32)
    back = in_order_of(surgery.permute_neurons(trained, 2), plant)
    in_place = (back[name] == plant[name]).all(axis=0).sum()  # of twins it does not matter which
    assert in_place == plant[name].shape[1] - len(moved)
    assert sorted(map(tuple, back[name].T)) == sorted(map(tuple, trained[name].T))
