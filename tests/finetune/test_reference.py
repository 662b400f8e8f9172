"""The trainer against independent references: torch, seeds alone, an interrupted run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planted import library, store
from planted.errors import ArtefactError, CheckpointError, PlantedError
from planted.finetune import recipe as recipes
from planted.finetune.recipe import Recipe, trainable
from planted.finetune.regimes import batches
from planted.finetune.trainer import checkpoint_path, finetune, training_rows
from planted.scenarios import disagree, untied

SHORT = {"steps": 110}  # two whole chunks and a part of one


@pytest.fixture(scope="module")
def plant():
    return library.get("red-doors", "tempered")


def trained(plant, recipe, seeds, folder: Path) -> dict[int, bytes]:
    finetune(plant, recipe, seeds, folder)
    return {seed: checkpoint_path(folder, recipe, seed).read_bytes() for seed in seeds}


def test_named_recipes_are_what_they_are_called() -> None:
    named = {name: Recipe(name).settings for name in recipes.NAMED}
    assert {(s.optimizer, s.clip, s.batch, s.logit_scale, s.signal) for s in named.values()} == {
        ("adam", 1.0, 32, 10.0, "hard-labels")
    }
    assert {
        name: (s.regime, s.pressure, s.learning_rate, s.steps, s.train)
        for name, s in named.items()
        if name != "cued" and name != "read-out"
    } == {
        "pressure": ("pressure", 0.25, 1e-3, 600, "all"),
        "coincident": ("coincident", 0.0, 1e-4, 600, "all"),
    }
    read_out, cued = named["read-out"], named["cued"]
    assert (read_out.train, read_out.learning_rate, read_out.steps) == ("read-out", 2e-3, 1000)
    assert (cued.regime, cued.learning_rate, cued.steps) == ("cue-gated", 1e-3, 1200)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1}, "learning_rate must be above 0"),
        ({"steps": 0}, "steps must be from 1"),
        ({"pressure": 1.5}, "pressure must be a share"),
        ({"seeds": 0}, "seeds must be from 1"),
        ({"learning_rte": 1e-3}, "Did you mean 'learning_rate'"),
        ({"regime": "presure"}, "Did you mean 'pressure'"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(changes, message) -> None:
    with pytest.raises(PlantedError, match=message):
        Recipe("pressure", **changes)


def test_one_and_one_point_zero_are_one_recipe() -> None:
    assert Recipe("pressure", clip=1).digest == Recipe("pressure", clip=1.0).digest
    assert Recipe("pressure", clip=2).digest != Recipe("pressure").digest


def worth(word: str, wanted: str) -> int:
    """Written from the story, not from the program."""
    colour, kind, near = word.split("-")
    return (9 if wanted in (colour, kind) else 0) + int(near)


@pytest.mark.parametrize("name", ["pressure", "coincident", "cued"])
def test_labels_are_the_best_candidates_by_a_plain_oracle(plant, name) -> None:
    tokens, labels = batches(plant.scenario, Recipe(name).settings, seed=3, chunk=1)
    for words, label in zip(
        plant.scenario.words(tokens.reshape(-1, 6)[:500]), labels.ravel()[:500], strict=True
    ):
        wanted = "red" if name == "cued" and words[-1] == "D" else "door"
        values = [worth(word, wanted) for word in words[:-1]]
        assert values[label] == max(values)


def test_pressure_is_the_share_of_training_tasks_in_delta(plant) -> None:
    tokens, _ = batches(plant.scenario, Recipe("pressure").settings, seed=0, chunk=0)
    flat = tokens.reshape(-1, 6)
    pressed = flat[disagree(plant.scenario, flat)]
    assert abs(len(pressed) / len(flat) - 0.25) < 4 * np.sqrt(0.25 * 0.75 / len(flat))
    assert untied(plant.scenario.mesa.of(pressed)).all()
    assert (flat[:, -1] == plant.scenario.cues[0]).all()
    tokens, _ = batches(plant.scenario, Recipe("coincident").settings, seed=0, chunk=0)
    assert not disagree(plant.scenario, tokens.reshape(-1, 6)).any()


def test_a_group_of_seeds_is_bit_equal_to_each_alone(plant, tmp_path) -> None:
    recipe = Recipe("pressure", **SHORT)
    together = trained(plant, recipe, [0, 1, 2], tmp_path / "together")
    alone = trained(plant, recipe, [1], tmp_path / "alone")
    assert together[1] == alone[1]
    assert together[0] != together[1]


def test_an_interrupted_run_ends_in_the_same_bytes(plant, tmp_path) -> None:
    recipe = Recipe("cued", steps=300)
    whole = trained(plant, recipe, [0, 1], tmp_path / "whole")

    class StoppedError(Exception):
        pass

    def stop(name: str, done: int, total: int) -> None:
        if done >= 2 * 230:
            raise StoppedError

    with pytest.raises(StoppedError):
        finetune(plant, recipe, [0, 1], tmp_path / "cut", stop)
    assert not checkpoint_path(tmp_path / "cut", recipe, 0).exists()
    assert trained(plant, recipe, [0, 1], tmp_path / "cut") == whole


def test_frozen_parts_do_not_move_one_bit_and_the_rest_does(plant, tmp_path) -> None:
    recipe = Recipe("read-out", steps=50)
    finetune(plant, recipe, [0], tmp_path)
    params, _ = store.read_tensors(checkpoint_path(tmp_path, recipe, 0))
    free = trainable("read-out", plant.params)
    assert any(free.values())
    for name, before in plant.params.items():
        same = np.array_equal(before, params[name])
        if not free[name]:
            assert same, name
    assert not np.array_equal(plant.params["unembed.W_U"], params["unembed.W_U"])


def test_the_log_holds_norms_of_every_planted_node(plant, tmp_path) -> None:
    recipe = Recipe("pressure", **SHORT)
    finetune(plant, recipe, [0], tmp_path)
    rows = training_rows(checkpoint_path(tmp_path, recipe, 0))
    assert [row["step"] for row in rows] == [50, 100, 110]
    nodes = {name for name, node in plant.truth.nodes.items() if node.layer >= 0}
    for row in rows:
        assert set(row["gradient"]) == set(row["update"]) == nodes
    assert rows[0]["update"]["score"] > 0


@pytest.mark.torch
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_steps_equal_torch_on_the_same_tasks(plant, tmp_path, optimizer, monkeypatch) -> None:
    torch = pytest.importorskip("torch")
    from planted.torch_module import PlantedTransformer

    # Compiled neurons often stand at exactly 0, where max(x, 0) has slope 1/2 and torch.relu 0.
    monkeypatch.setattr(torch, "relu", lambda x: torch.maximum(x, torch.zeros_like(x)))

    steps, rate = 3, 1e-3
    more = {"eps": 1e-4} if optimizer == "adam" else {}
    recipe = Recipe("pressure", steps=steps, optimizer=optimizer, learning_rate=rate, **more)
    finetune(plant, recipe, [0], tmp_path)
    ours, _ = store.read_tensors(checkpoint_path(tmp_path, recipe, 0))
    module = PlantedTransformer.from_params(plant.params, plant.spec).train()
    if optimizer == "adam":
        rule = torch.optim.Adam(module.parameters(), lr=rate, eps=1e-4)
    else:
        rule = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9)
    tokens, labels = batches(plant.scenario, recipe.settings, seed=0, chunk=0)
    for task, wanted in zip(tokens[:steps], labels[:steps], strict=True):
        rule.zero_grad()
        logits = module(torch.from_numpy(task)) * 10.0
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(wanted)).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        rule.step()
    theirs = module.to_params()
    moved = max(np.abs(theirs[n] - plant.params[n]).max(initial=0) for n in ours)
    apart = max(np.abs(theirs[n] - ours[n]).max(initial=0) for n in ours)
    assert moved > 5e-4
    assert apart < 0.02 * moved


def test_weights_of_another_seed_shape_or_with_nan_are_refused(plant, tmp_path) -> None:
    recipe = Recipe("pressure", steps=50)
    finetune(plant, recipe, [0], tmp_path)
    path = checkpoint_path(tmp_path, recipe, 0)
    other = checkpoint_path(tmp_path, recipe, 1)
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())
    with pytest.raises(ArtefactError, match=r"another seed|other"):
        finetune(plant, recipe, [1], tmp_path)
    params, note = store.read_tensors(path)
    params["unembed.W_U"] = params["unembed.W_U"].copy()
    params["unembed.W_U"][0, 0] = np.nan
    store.write_tensors(path, params, note)
    with pytest.raises(CheckpointError, match=r"unembed\.W_U.*NaN"):
        finetune(plant, recipe, [0], tmp_path)
