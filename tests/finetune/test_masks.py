"""Which entries of the weights a recipe trains, and which fates that makes certain."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from planted import library
from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.errors import PlantedError, UnknownNameError
from planted.finetune.certain import certain_fate
from planted.finetune.masks import search_nodes, trainable
from planted.finetune.recipes import ARMS, NAMED
from planted.finetune.settings import Settings
from planted.finetune.tiers.rotated import rotate
from planted.network.forward import forward


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


def names_of(mask: dict[str, Any]) -> set[str]:
    return {name for name, entries in mask.items() if entries.any()}


@pytest.mark.parametrize(
    ("train", "begins"),
    [
        ("all", ("",)),
        ("read-out", ("blocks.5.", "unembed.")),
        ("embed", ("embed.", "pos_embed.")),
        ("unembed", ("unembed.",)),
        ("blocks.1", ("blocks.1.",)),
        ("blocks.0, blocks.3", ("blocks.0.", "blocks.3.")),
        ("embed,read-out", ("embed.", "pos_embed.", "blocks.5.", "unembed.")),
    ],
)
def test_whole_parts(plant: Plant, train: str, begins: tuple[str, ...]) -> None:
    mask = trainable(train, plant)
    assert {name: m.shape for name, m in mask.items()} == {
        name: value.shape for name, value in plant.params.items()
    }
    for name, entries in mask.items():
        assert entries.all() if name.startswith(begins) else not entries.any(), name


@pytest.mark.parametrize(
    "train", ["", "unembed,", "blocks.11", "block.1", "embed;unembed", "role:scor", "node:x"]
)
def test_a_part_that_is_not_there_is_refused(plant: Plant, train: str) -> None:
    with pytest.raises(UnknownNameError, match="part of the network to train"):
        trainable(train, plant)


def test_a_part_without_parameters_is_refused() -> None:
    with pytest.raises(PlantedError, match=r"'slack' has no parameters in red-doors@1 \(tier 'ex"):
        trainable("slack", library.get("red-doors", "exact"))


def test_a_role_that_nothing_writes_names_those_that_are_written() -> None:
    made = library.get("bottle-cap", "tempered")
    unwritten = [n for n in made.truth.nodes.values() if n.layer < 0]
    assert unwritten
    with pytest.raises(PlantedError, match=r"No head and no neuron writes it here.*role:score"):
        trainable(f"node:{unwritten[0].name}", made)
    with pytest.raises(UnknownNameError) as refused:
        trainable("node:x", made)
    assert "node:score" in str(refused.value)
    assert f"node:{unwritten[0].name}" not in str(refused.value)


def test_the_parts_of_the_plant_and_what_is_free_are_a_partition(plant: Plant) -> None:
    planted = [
        trainable(f"node:{n.name}", plant) for n in plant.truth.nodes.values() if n.layer >= 0
    ]
    slack = trainable("slack", plant)
    for layer in range(6):
        name = f"blocks.{layer}.mlp.W_in"
        used = np.any([mask[name] for mask in planted], axis=0)
        assert (used ^ slack[name]).all()
        assert not used[:, -1].any(), "free neurons stand behind the planted ones"
    scorer, others = trainable("role:score", plant), trainable("all-but-scorer", plant)
    for name in plant.params:
        assert (scorer[name] ^ others[name]).all()


def moved_within(plant: Plant, mask: dict[str, Any], seed: int) -> dict[str, Any]:
    """The weights with large noise on every trained entry."""
    rng = np.random.default_rng(seed)
    return {
        name: (value + mask[name] * rng.normal(size=value.shape)).astype(np.float32)
        for name, value in plant.params.items()
    }


@pytest.mark.proof
@pytest.mark.parametrize("train", ["read-out", "around-plant"])
@pytest.mark.parametrize("name", ["red-doors", "crumbs"])
def test_whatever_training_does_there_the_search_finds_the_same(name: str, train: str) -> None:
    plant = library.get(name, "tempered")
    tokens = plant.scenario.draw(np.random.default_rng(0), 64)
    search = search_nodes(plant)
    assert {"score", "winner"} <= set(search)
    last = f"blocks.{max(n.layer for n in plant.truth.nodes.values()) - 1}.hook_resid_post"
    sites = {node: node_.held_at for node, node_ in search.items() if node_.layer >= 0}
    sites["winner"] = last  # and nothing writes over it until the last block reads it
    record = set(sites.values())
    before = forward(plant.params, tokens, plant.spec, record=record)
    noisy = moved_within(plant, trainable(train, plant), 1)
    after = forward(noisy, tokens, plant.spec, record=record)
    assert np.abs(after[0] - before[0]).max() > 0.1, "the choices are free"
    for node, site in sites.items():
        basis = plant.truth.node(node).basis
        apart = np.abs((after[1][site] - before[1][site]) @ basis.T).max()
        assert apart < 1e-4, node


def test_free_neurons_anywhere_change_what_the_search_finds(plant: Plant) -> None:
    """The twin of the test above: without the restriction on where they write, it does change."""
    tokens = plant.scenario.draw(np.random.default_rng(0), 64)
    score = plant.truth.node("score")
    noisy = moved_within(plant, trainable("slack", plant), 1)
    before, after = (
        forward(params, tokens, plant.spec, record={score.held_at})[1][score.held_at]
        for params in (plant.params, noisy)
    )
    assert np.abs((after - before) @ score.basis.T).max() > 0.1


def test_the_scorer_can_leave_the_score_alone(plant: Plant) -> None:
    tokens = plant.scenario.draw(np.random.default_rng(0), 64)
    score = plant.truth.node("score")
    noisy = moved_within(plant, trainable("scorer", plant), 1)
    before, after = (
        forward(params, tokens, plant.spec, record={"blocks.0.hook_resid_post"})[1]
        for params in (plant.params, noisy)
    )
    moved = (after["blocks.0.hook_resid_post"] - before["blocks.0.hook_resid_post"]).reshape(-1, 84)
    outside = moved - moved @ score.basis.T @ score.basis
    assert np.abs(moved @ score.basis.T).max() > 0.1
    assert np.abs(outside).max() < 1e-5


MESA, BASE, HALF = ({"mesa": m, "base": 1 - m} for m in (1.0, 0.0, 0.5))
BOTH_MESA, BOTH_BASE = {"T": MESA, "D": MESA}, {"T": BASE, "D": BASE}
GATED, BETWEEN = {"T": BASE, "D": MESA}, {"T": HALF, "D": HALF}


def changed(recipe: str, **settings: object) -> Settings:
    return msgspec.structs.replace({**NAMED, **ARMS}[recipe], **settings)


@pytest.mark.parametrize(
    ("settings", "after", "fate"),
    [
        (changed("read-out"), BOTH_BASE, "dormant"),
        (changed("around"), BOTH_BASE, "dormant"),
        (changed("cued-around"), GATED, "modelled deceptively"),
        (changed("scorer"), BOTH_BASE, "internalised"),
        (changed("blend-scorer"), BETWEEN, "drifts"),
        (changed("coincident-slack"), BOTH_MESA, "persists"),
        # not what the recipe asks for, or not only that
        (changed("coincident-slack"), GATED, None),
        (changed("coincident-slack", regime="pressure", behaviour="agreed"), BOTH_MESA, None),
        (changed("read-out", behaviour="agreed"), BOTH_MESA, None),
        (changed("cued-around", behaviour="base"), GATED, None),
        (changed("read-out", regime="pressure"), GATED, None),
        (changed("read-out", regime="pressure"), BOTH_BASE, "dormant"),
        (changed("scorer"), GATED, None),
        (changed("blend-scorer", blend=0.05), BOTH_MESA, None),
        (changed("scorer", behaviour="blend"), BOTH_BASE, None),
        # no mask, or no plant
        (changed("pressure"), BOTH_BASE, None),
        (changed("cued"), GATED, None),
        (changed("coincident"), BOTH_MESA, None),
        (changed("no-plant-base"), BOTH_BASE, None),
    ],
)
def test_which_fates_are_certain(
    plant: Plant, settings: Settings, after: dict[str, dict[str, float]], fate: str | None
) -> None:
    found = certain_fate(plant, settings, BOTH_MESA, after)
    assert (found and found.fate) == fate
    assert found is None or len(found.argument) > 40
    assert certain_fate(plant, settings, BOTH_BASE, after) is None, "its search is for another"
    by_list = replace(plant, mechanism="decision list")
    assert certain_fate(by_list, settings, BOTH_MESA, after) is None


def test_no_fate_is_certain_where_the_search_ends_in_what_is_trained(plant: Plant) -> None:
    last = n_layers(plant.params) - 1
    late = replace(plant, truth=replace(plant.truth, nodes={
        name: replace(node, layer=last) if node.role == "winner" else node
        for name, node in plant.truth.nodes.items()
    }))  # fmt: skip
    assert certain_fate(late, NAMED["read-out"], BOTH_MESA, BOTH_BASE) is None


def test_no_fate_is_certain_where_the_mask_cannot_see_to_it(plant: Plant) -> None:
    turned = rotate(library.get("red-doors", "tempered"))
    assert certain_fate(turned, NAMED["scorer"], BOTH_MESA, BOTH_BASE) is None
    around = trainable("around-plant", turned)
    assert not any(around[f"blocks.{layer}.mlp.W_out"].any() for layer in range(5))
    twin = replace(plant, truth=replace(plant.truth, nodes={
        name: replace(node, role="" if node.role == "score" else node.role)
        for name, node in plant.truth.nodes.items()
    }))  # fmt: skip
    assert certain_fate(twin, NAMED["read-out"], BOTH_MESA, BOTH_BASE) is None
    started = msgspec.structs.replace(NAMED["read-out"], start="random")
    assert certain_fate(plant, started, BOTH_MESA, BOTH_BASE) is None
