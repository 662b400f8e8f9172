"""Recipes: the named ones to the figure, changes checked by name and bound, parts of a network."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from planted import library
from planted.errors import PlantedError, UnknownNameError
from planted.finetune.recipes import (
    ARMS,
    NAMED,
    NEGATIVE_CONTROLS,
    SHAM,
    Recipe,
    Settings,
    trainable,
)

COMMON = {
    "optimizer": "adam",
    "momentum": 0.9,
    "eps": 1e-8,
    "clip": 1.0,
    "batch": 32,
    "logit_scale": 10.0,
    "signal": "hard-labels",
    "start": "plant",
}


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("pressure", ("pressure", 0.25, 1e-3, 600, "all")),
        ("coincident", ("coincident", 0.0, 1e-4, 600, "all")),
        ("read-out", ("pressure", 0.25, 2e-3, 1000, "read-out")),
        ("cued", ("cue-gated", 0.25, 1e-3, 1200, "all")),
    ],
)
def test_a_named_recipe_is_exactly_this(name: str, own: tuple[Any, ...]) -> None:
    fields = ("regime", "disagreement_fraction", "learning_rate", "steps", "train")
    expected = {**COMMON, **dict(zip(fields, own, strict=True))}
    recipe = Recipe(name)
    assert msgspec.to_builtins(recipe.settings) == expected
    assert recipe.seeds == 5


def test_there_are_four_named_recipes_and_the_arms_keep_out_of_their_list() -> None:
    assert list(NAMED) == ["pressure", "coincident", "read-out", "cued"]
    assert ARMS == {**NEGATIVE_CONTROLS, **SHAM}
    assert {settings.start for settings in NEGATIVE_CONTROLS.values()} == {"random"}
    assert {settings.start for settings in SHAM.values()} == {"plant"}
    with pytest.raises(UnknownNameError) as raised:
        Recipe("random")
    assert "no-plant-mesa" not in str(raised.value)


def test_a_changed_recipe_keeps_the_rest_and_its_name() -> None:
    recipe = Recipe("pressure", learning_rate=3e-4, seeds=10)
    assert recipe.seeds == 10
    assert recipe.name == "pressure"
    assert recipe.settings == msgspec.structs.replace(Settings(), learning_rate=3e-4)
    assert Recipe("pressure").settings == Settings(), "the named one is not changed with it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1}, r"learning_rate must be above 0 and at most 1, got -1\.0"),
        ({"learning_rate": 0}, "learning_rate must be above 0"),
        ({"learning_rate": 1.5}, r"learning_rate .* got 1\.5"),
        ({"learning_rate": float("nan")}, "learning_rate .* got nan"),
        ({"learning_rate": "fast"}, "must be a number, got"),
        ({"learning_rate": object()}, "Recipe 'pressure'"),
        ({"steps": 0}, "steps must be from 1 to a million, got 0"),
        ({"steps": 10**30}, "steps must be"),
        ({"steps": 1.5}, "must be a whole number, got"),
        ({"steps": True}, "must be a whole number, got"),
        ({"disagreement_fraction": 1.5}, "disagreement_fraction must be a share from 0 to 1"),
        ({"disagreement_fraction": float("nan")}, "disagreement_fraction must be a share"),
        ({"momentum": 1.0, "optimizer": "sgd"}, "momentum must be from 0 to below 1"),
        ({"eps": 0.0}, "eps must be above 0"),
        ({"clip": 0}, "clip must be above 0"),
        ({"clip": float("inf")}, "clip must be above 0 and finite"),
        ({"batch": 0}, "batch must be from 1 to 4096"),
        ({"batch": None}, "must be a whole number, got"),
        ({"logit_scale": -1}, "logit_scale must be above 0"),
        ({"optimizer": "adamw"}, "optimizer must be one of adam, sgd, got 'adamw'"),
        ({"start": "scratch"}, "start must be one of plant, random"),
        ({"signal": "reward"}, "signal must be 'hard-labels', got 'reward'"),
        ({"regime": "presure"}, "Unknown regime 'presure'. Did you mean 'pressure'"),
        ({"learning_rte": 1e-3}, "'learning_rte'. Did you mean 'learning_rate'"),
        ({"seeds": 0}, "seeds must be from 1 to 1000, got 0"),
        ({"seeds": 1001}, "seeds must be from 1"),
        ({"seeds": "3"}, "must be a whole number, got"),
        ({"seeds": 2.5}, "must be a whole number, got"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlantedError, match=message):
        Recipe("pressure", **changes)


def test_an_unknown_recipe_is_refused_with_the_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"'presure'\. Did you mean 'pressure'"):
        Recipe("presure")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("coincident", {"disagreement_fraction": 0.3}),
        ("cued", {"disagreement_fraction": 0.3}),
        ("pressure", {"momentum": 0.5}),
        ("pressure", {"optimizer": "sgd", "eps": 1e-4}),
    ],
)
def test_a_change_without_effect_is_refused(name: str, changes: dict[str, Any]) -> None:
    # else the record of a run would say that a quarter of its tasks lay in Δ, and none did
    with pytest.raises(PlantedError, match="has no effect"):
        Recipe(name, **changes)


def test_the_digest_depends_on_what_training_does_alone() -> None:
    assert Recipe("pressure", clip=1).digest == Recipe("pressure", clip=1.0).digest
    assert Recipe("pressure", clip=1).digest == Recipe("pressure").digest
    assert Recipe("pressure", seeds=3).digest == Recipe("pressure", seeds=10).digest
    assert Recipe("pressure", steps=np.int64(9)).digest == Recipe("pressure", steps=9).digest
    given = Settings(steps=9)
    assert Recipe("pressure", settings=given).digest == Recipe("pressure", steps=9).digest
    different = [Recipe(name).digest for name in NAMED] + [
        Recipe("pressure", **change).digest
        for change in (
            {"clip": 2},
            {"steps": 601},
            {"learning_rate": 1e-4},
            {"optimizer": "sgd"},
            {"train": "embed"},
            {"start": "random"},
        )
    ]
    assert len(set(different)) == len(different)


def test_settings_given_whole_can_be_changed_further() -> None:
    recipe = Recipe("pressure", settings=Settings(steps=9), batch=4)
    assert (recipe.settings.steps, recipe.settings.batch) == (9, 4)


NAMES = (
    "embed.W_E",
    "pos_embed.W_pos",
    "blocks.0.attn.W_Q",
    "blocks.1.mlp.W_in",
    "blocks.10.mlp.b_in",
    "unembed.W_U",
)


@pytest.mark.parametrize(
    ("train", "expected"),
    [
        ("all", NAMES),
        ("read-out", ("blocks.10.mlp.b_in", "unembed.W_U")),
        ("embed", ("embed.W_E", "pos_embed.W_pos")),
        ("unembed", ("unembed.W_U",)),
        ("blocks.1", ("blocks.1.mlp.W_in",)),  # and not blocks.10
        ("blocks.0, blocks.10", ("blocks.0.attn.W_Q", "blocks.10.mlp.b_in")),
        ("embed,read-out", (*NAMES[:2], *NAMES[4:])),
    ],
)
def test_which_parameters_move(train: str, expected: tuple[str, ...]) -> None:
    chosen = trainable(train, NAMES)
    assert list(chosen) == list(NAMES)
    assert tuple(name for name, moves in chosen.items() if moves) == expected


@pytest.mark.parametrize("train", ["", "unembed,", "blocks.11", "block.1", "embed;unembed"])
def test_a_part_that_is_not_there_is_refused(train: str) -> None:
    with pytest.raises(UnknownNameError, match="part of the network to train"):
        trainable(train, NAMES)


def test_the_read_out_of_a_plant_is_its_last_block_and_unembedding() -> None:
    plant = library.get("red-doors", "tempered")
    moves = {name for name, free in trainable("read-out", plant.params).items() if free}
    assert moves == {n for n in plant.params if n.startswith(("blocks.5.", "unembed."))}
