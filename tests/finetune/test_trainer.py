"""The trainer against independent references, seeds alone, interruptions, and damaged files."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core import files
from planted.core.objectives import leftmost, untied
from planted.core.plant import Plant
from planted.core.sampling import disagree, held_out
from planted.errors import ArtefactError, CheckpointError, PlantedError, RunFolderError
from planted.finetune import loop, trainer
from planted.finetune.behaviour import watched_tasks
from planted.finetune.data import CHUNK, batches
from planted.finetune.masks import trainable
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import read_outcome, training_rows
from planted.network.model import Network
from tests.helpers import checkpoint_of, seed_folder, train_seeds

# Steps: whole chunks of 25 and one of 10, so that all tests share a few compiled programs.
PART, SHORT, LONG = 10, 60, 260


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


@pytest.fixture(scope="module")
def trained(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seeds of a short recipe, trained together; not to be written to."""
    folder = tmp_path_factory.mktemp("trained")
    train_seeds(plant, Recipe("pressure", steps=SHORT), [0, 1, 2], folder)
    return folder


def content(folder: Path, recipe: Recipe, seed: int) -> bytes:
    return checkpoint_of(folder, recipe, seed).read_bytes()


class StoppedError(Exception):
    """What a progress callback raises to stop the training."""


def stop_at(step: int) -> Callable[[str, int, int], None]:
    def progress(name: str, done: int, total: int) -> None:
        if done >= step:
            raise StoppedError

    return progress


# --- against other code ---


@pytest.mark.torch
@pytest.mark.parametrize(("optimizer", "more"), [("adam", {"eps": 1e-4}), ("sgd", {})])
def test_steps_equal_torch_on_the_same_tasks(
    plant: Plant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    optimizer: str,
    more: dict[str, Any],
) -> None:
    torch = pytest.importorskip("torch")
    from planted.network.torch_module import PlantedTransformer

    # Compiled neurons often stand at exactly 0, where max(x, 0) has slope 1/2 and torch.relu 0.
    monkeypatch.setattr(torch, "relu", lambda x: torch.maximum(x, torch.zeros_like(x)))
    steps, rate = PART, 1e-3
    recipe = Recipe(
        "pressure", steps=steps, optimizer=optimizer, learning_rate=rate, logit_scale=10.0, **more
    )
    train_seeds(plant, recipe, [0], tmp_path)
    ours, _ = files.read_tensors(checkpoint_of(tmp_path, recipe, 0))
    module = PlantedTransformer.from_params(plant.params, plant.spec).train()
    if optimizer == "adam":
        rule = torch.optim.Adam(module.parameters(), lr=rate, **more)
    else:
        rule = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9)
    losses = []
    tokens, values = batches(plant.scenario, recipe.settings, seed=0, chunk=0)
    labels = values.argmax(axis=-1)
    for task, wanted in zip(tokens[:steps], labels[:steps], strict=True):
        rule.zero_grad()
        logits = module(torch.from_numpy(task)) * 10.0
        loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(wanted))
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        rule.step()
    theirs = module.to_params()
    moved = max(np.abs(theirs[name] - plant.params[name]).max(initial=0) for name in ours)
    apart = max(np.abs(theirs[name] - ours[name]).max(initial=0) for name in ours)
    assert moved > 5e-4
    assert apart < 0.02 * moved
    (row,) = training_rows(checkpoint_of(tmp_path, recipe, 0))
    assert row["loss"] == pytest.approx(np.mean(losses), rel=1e-4)


def plain_loss(params: dict[str, Any], tokens: Any, labels: Any, scale: float) -> float:
    """Cross-entropy of a network written down here, in float64, one task at a time."""
    total = 0.0
    depth = 1 + max(int(name.split(".")[1]) for name in params if name.startswith("blocks."))
    for task, label in zip(tokens, labels, strict=True):
        x = params["embed.W_E"][task] + params["pos_embed.W_pos"][: len(task)]
        for layer in range(depth):
            block = {
                name.split(".", 2)[2]: value
                for name, value in params.items()
                if name.startswith(f"blocks.{layer}.")
            }
            attended = np.zeros_like(x) + block["attn.b_O"]
            for h in range(block["attn.W_Q"].shape[0]):
                q, k, v = (
                    x @ block[f"attn.W_{part}"][h] + block[f"attn.b_{part}"][h] for part in "QKV"
                )
                scores = q @ k.T * scale
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                weights /= weights.sum(axis=1, keepdims=True)
                attended += weights @ v @ block["attn.W_O"][h]
            x = x + attended
            hidden = np.maximum(x @ block["mlp.W_in"] + block["mlp.b_in"], 0)
            x = x + hidden @ block["mlp.W_out"] + block["mlp.b_out"]
        logits = 10.0 * (x[-1] @ params["unembed.W_U"])
        top = logits.max()
        total += top + np.log(np.exp(logits - top).sum()) - logits[label]
    return total / len(labels)


def test_the_first_step_follows_the_finite_differences_of_the_loss(
    plant: Plant, tmp_path: Path
) -> None:
    # A rate so small that one step of SGD shows the gradient: step = rate * gradient, unclipped.
    rate = 2.0**-10
    recipe = Recipe(
        "pressure", steps=1, optimizer="sgd", learning_rate=rate, clip=1e9, start="random",
        logit_scale=10.0,
    )  # fmt: skip
    train_seeds(plant, recipe, [0], tmp_path)
    after, _ = files.read_tensors(checkpoint_of(tmp_path, recipe, 0))
    from planted.network.surgery import start_anew

    start = start_anew(plant.params, 0)
    double = {name: value.astype(np.float64) for name, value in start.items()}
    tokens, values = (x[0] for x in batches(plant.scenario, recipe.settings, 0, 0))
    labels = values.argmax(axis=-1)
    step = {name: (start[name].astype(np.float64) - after[name]) / rate for name in start}
    rng = np.random.default_rng(0)
    for _ in range(4):  # directions over all parameters, those that move most among them
        way = {name: rng.normal(size=v.shape) + np.sign(step[name]) for name, v in double.items()}
        size = 1e-6
        ahead, behind = (
            plain_loss(
                {name: value + sign * size * way[name] for name, value in double.items()},
                tokens,
                labels,
                plant.spec.attn_scale,
            )
            for sign in (1, -1)
        )
        along = sum(float((step[name] * way[name]).sum()) for name in step)
        assert along == pytest.approx((ahead - behind) / (2 * size), rel=2e-3)


def test_rows_say_what_a_plain_count_says(plant: Plant, trained: Path) -> None:
    recipe = Recipe("pressure", steps=SHORT)
    path = checkpoint_of(trained, recipe, 1)
    params, _ = files.read_tensors(path)
    rows = training_rows(path)
    assert [row["step"] for row in rows] == [25, 50, SHORT]
    assert {row["seed"] for row in rows} == {1}
    place = plant.scenario
    tokens = watched_tasks(place, recipe.settings)
    assert held_out(place, tokens, recipe.settings.held_out).all()
    assert disagree(place, tokens).all()
    assert untied(place.mesa.of(tokens)).all()
    assert untied(place.base.of(tokens)).all()
    for cue in place.cues:
        chosen = Network(params, plant.spec)(place.with_cue(tokens, cue)).argmax(axis=1)
        said = rows[-1][f"agreement.{place.vocabulary[cue]}"]
        share = (chosen == leftmost(place.mesa.of(tokens))).mean()
        assert said["mesa"] == pytest.approx(share, rel=1e-5)
        share = (chosen == leftmost(place.base.of(tokens))).mean()
        assert said["base"] == pytest.approx(share, rel=1e-5)
        assert said["invalid"] == pytest.approx((chosen >= 4).mean(), rel=1e-5)
        thirds = [third["base"] for third in said["strata"].values() if third is not None]
        assert min(thirds) <= said["base"] <= max(thirds)


def test_rows_hold_gradient_and_update_norms_of_every_node(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("pressure", steps=25)
    train_seeds(plant, recipe, [0], tmp_path)
    params, _ = files.read_tensors(checkpoint_of(tmp_path, recipe, 0))
    (row,) = training_rows(checkpoint_of(tmp_path, recipe, 0))
    placed = {name: node for name, node in plant.truth.nodes.items() if node.layer >= 0}
    assert set(row["gradient"]) == set(row["update"]) == set(placed)
    moved = {name: params[name].astype(np.float64) - plant.params[name] for name in params}
    node = placed["score"]
    at, own = f"blocks.{node.layer}.mlp.", list(node.neurons)
    parts = (moved[at + "W_in"][:, own], moved[at + "b_in"][own], moved[at + "W_out"][own])
    expected = np.sqrt(sum((part**2).sum() for part in parts))
    assert row["update"]["score"] == pytest.approx(expected, rel=1e-4)
    head = placed["beaten_share"]
    at, which = f"blocks.{head.layer}.attn.", list(head.heads)
    pieces = [moved[f"{at}W_{x}"][which] for x in "QKVO"]
    pieces += [moved[f"{at}b_{x}"][which] for x in "QKV"]
    expected = np.sqrt(sum((part**2).sum() for part in pieces))
    assert row["update"]["beaten_share"] == pytest.approx(expected, rel=1e-4)
    assert all(value > 0 for value in row["gradient"].values())
    assert 0 < row["zero_gradient"] < 1


def test_a_frozen_node_has_an_update_of_zero(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("read-out", steps=25)
    train_seeds(plant, recipe, [0], tmp_path)
    (row,) = training_rows(checkpoint_of(tmp_path, recipe, 0))
    last = {name for name, node in plant.truth.nodes.items() if node.layer == 5}
    assert {name for name, value in row["update"].items() if value > 0} == last


# --- the same bytes ---


def test_a_group_of_seeds_is_bit_equal_to_each_alone(
    plant: Plant, trained: Path, tmp_path: Path
) -> None:
    recipe = Recipe("pressure", steps=SHORT)
    for seed in (0, 2):
        train_seeds(plant, recipe, [seed], tmp_path)
        assert content(tmp_path, recipe, seed) == content(trained, recipe, seed)
    assert content(trained, recipe, 0) != content(trained, recipe, 1)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_stopped_in_the_middle_it_ends_in_the_same_bytes(
    plant: Plant, tmp_path: Path, optimizer: str
) -> None:
    recipe = Recipe("cued", steps=LONG, optimizer=optimizer)
    train_seeds(plant, recipe, [1], tmp_path / "whole")
    cut = tmp_path / "cut"
    with pytest.raises(StoppedError):
        train_seeds(plant, recipe, [1], cut, stop_at(250))
    assert not checkpoint_of(cut, recipe, 1).exists()
    begun: list[int] = []
    train_seeds(plant, recipe, [1], cut, lambda _, done, total: begun.append(done))
    assert begun[0] == trainer.SAVE_EVERY * CHUNK, "it goes on from the state, not from 0"
    assert begun[-1] == LONG
    assert content(cut, recipe, 1) == content(tmp_path / "whole", recipe, 1)
    assert sorted(path.name for path in seed_folder(cut, recipe, 1).iterdir()) == [
        "checkpoint.safetensors",
        *(f"step-{step:06d}.safetensors" for step in (25, 50, 100, 200)),
    ]


def test_seeds_at_different_stretches_go_on_together(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("pressure", steps=LONG)
    for seed in (1, 2):
        with pytest.raises(StoppedError):
            train_seeds(plant, recipe, [seed], tmp_path, stop_at(200))
    train_seeds(plant, recipe, [0, 1, 2], tmp_path)
    train_seeds(plant, recipe, [1], tmp_path / "alone")
    assert content(tmp_path, recipe, 1) == content(tmp_path / "alone", recipe, 1)
    assert len(list(tmp_path.glob("pressure*/*/checkpoint.safetensors"))) == 3


COMMAND = """
import sys
from pathlib import Path
from planted import library
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import finetune
plant = library.get("red-doors", "tempered")
recipe = Recipe("pressure", steps=600)
finetune(plant, recipe, {0: Path(sys.argv[1]) / recipe.slug / "seed-000"})
"""


@pytest.mark.proof
def test_killed_from_outside_it_ends_in_the_same_bytes(plant: Plant, tmp_path: Path) -> None:
    recipe, killed = Recipe("pressure", steps=600), tmp_path / "killed"
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def start() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-c", COMMAND, str(killed)]
        return subprocess.Popen(command, env=environment)

    process = start()
    deadline = time.monotonic() + 240
    while not list(killed.rglob("state.safetensors")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not checkpoint_of(killed, recipe, 0).exists()
    assert start().wait() == 0
    train_seeds(plant, recipe, [0], tmp_path / "whole")
    assert content(killed, recipe, 0) == content(tmp_path / "whole", recipe, 0)
    assert not list(killed.rglob("state.safetensors"))


def test_a_finished_seed_is_left_alone(plant: Plant, trained: Path) -> None:
    recipe = Recipe("pressure", steps=SHORT)
    before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in trained.rglob("*.safetensors")}
    said: list[tuple[int, int]] = []
    train_seeds(
        plant, recipe, [0, 1, 2], trained, lambda _, done, total: said.append((done, total))
    )
    assert said == [(3 * SHORT, 3 * SHORT)]
    after = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in trained.rglob("*.safetensors")}
    assert after == before


def test_a_state_left_beside_a_finished_checkpoint_is_removed(
    plant: Plant, trained: Path, tmp_path: Path
) -> None:
    # killed after the checkpoint was written and before the state was removed
    recipe = Recipe("pressure", steps=SHORT)
    path = checkpoint_of(tmp_path, recipe, 0)
    files.write_bytes(path, content(trained, recipe, 0))
    left = path.with_name("state.safetensors")
    left.write_bytes(b"of no use any more")
    train_seeds(plant, recipe, [0], tmp_path)
    assert not left.exists()
    assert path.read_bytes() == content(trained, recipe, 0)


# --- which parameters are trained ---


@pytest.mark.parametrize("train", ["read-out", "embed", "blocks.0,unembed"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_frozen_parts_do_not_move_one_bit_and_the_rest_does(
    plant: Plant, tmp_path: Path, train: str, optimizer: str
) -> None:
    recipe = Recipe("pressure", steps=PART, train=train, optimizer=optimizer)
    train_seeds(plant, recipe, [0], tmp_path)
    params, _ = files.read_tensors(checkpoint_of(tmp_path, recipe, 0))
    free = trainable(train, plant)
    for name, before in plant.params.items():
        assert before[~free[name]].tobytes() == params[name][~free[name]].tobytes(), name
    moved = {name for name in params if not np.array_equal(plant.params[name], params[name])}
    parts = {name.split(".")[0] for name in moved}
    assert parts == {name.split(".")[0] for name, moves in free.items() if moves.any()}


def test_a_random_start_depends_on_the_seed_and_not_on_the_plant(
    plant: Plant, tmp_path: Path
) -> None:
    recipe = Recipe("no-plant-mesa", steps=PART, learning_rate=1e-6)
    for seed in (0, 1):
        train_seeds(plant, recipe, [seed], tmp_path)
    first, second = (files.read_tensors(checkpoint_of(tmp_path, recipe, s))[0] for s in (0, 1))
    assert not np.allclose(first["embed.W_E"], second["embed.W_E"], atol=0.1)
    assert np.abs(first["embed.W_E"] - plant.params["embed.W_E"]).max() > 0.5


# --- what is refused ---


def test_a_seed_that_diverges_ends_with_its_last_finite_weights(
    plant: Plant, tmp_path: Path
) -> None:
    huge = replace(plant, params={name: value * 1e30 for name, value in plant.params.items()})
    wild = Recipe("coincident", steps=PART)
    train_seeds(huge, wild, [4], tmp_path)
    path = checkpoint_of(tmp_path, wild, 4)
    ended, label = read_outcome(path)
    assert (ended.status, ended.steps, ended.diverged_at, label) == ("diverged", 0, 1, None)
    assert not ended.judged
    assert str(ended).startswith("diverged")
    params, _ = files.read_tensors(path)
    assert all(np.array_equal(params[name], huge.params[name]) for name in params)


def test_the_other_seeds_go_on_where_one_diverges(
    plant: Plant, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = loop.advance

    def one_breaks(job: Any, *rest: Any) -> loop.Outcome:
        after = real(job, *rest)
        seeds, done = rest[-2:]
        if 1 in seeds and done == CHUNK:
            after.losses[list(seeds).index(1), 3] = np.nan
        return after

    monkeypatch.setattr(loop, "advance", one_breaks)
    recipe = Recipe("pressure", steps=SHORT)
    train_seeds(plant, recipe, [0, 1, 2], tmp_path)
    for seed in (0, 2):
        assert content(tmp_path, recipe, seed) == content(trained, recipe, seed)
    ended, _ = read_outcome(checkpoint_of(tmp_path, recipe, 1))
    assert (ended.status, ended.steps, ended.diverged_at) == ("diverged", CHUNK, CHUNK + 4)
    rows = training_rows(checkpoint_of(tmp_path, recipe, 1))
    assert rows == training_rows(checkpoint_of(trained, recipe, 1))[:1]


def test_a_checkpoint_of_another_recipe_seed_or_plant_is_refused(
    plant: Plant, trained: Path, tmp_path: Path
) -> None:
    recipe = Recipe("pressure", steps=SHORT)
    found = content(trained, recipe, 0)
    files.write_bytes(checkpoint_of(tmp_path, recipe, 1), found)
    with pytest.raises(ArtefactError, match=r"another seed \(0, this one's is 1"):
        train_seeds(plant, recipe, [1], tmp_path)
    files.write_bytes(checkpoint_of(tmp_path, recipe, 0), found)
    changed = Recipe("pressure", name=recipe.name, steps=SHORT, learning_rate=1e-4)
    with pytest.raises(ArtefactError, match="another recipe"):
        train_seeds(plant, changed, [0], tmp_path)
    other = library.get("red-doors-aligned", "tempered")
    with pytest.raises(ArtefactError, match="another plant"):
        train_seeds(other, recipe, [0], tmp_path)
    assert content(tmp_path, recipe, 0) == found, "what is refused is not touched"


@pytest.fixture
def interrupted(plant: Plant, unfinished: Path, tmp_path: Path) -> Path:
    """A copy of a state in the middle of training; its folder is tmp_path."""
    path = seed_folder(tmp_path, MIDDLE, 0) / "state.safetensors"
    files.write_bytes(path, unfinished.read_bytes())
    return path


MIDDLE = Recipe("pressure", steps=LONG)


@pytest.fixture(scope="module")
def unfinished(plant: Plant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unfinished")
    with pytest.raises(StoppedError):
        train_seeds(plant, MIDDLE, [0], folder, stop_at(200))
    return seed_folder(folder, MIDDLE, 0) / "state.safetensors"


MU, NU, COUNT = (f"state['adam'].{part}" for part in ("mu", "nu", "count"))
Damage = Callable[[dict[str, Any], dict[str, Any]], None]


def damages() -> Iterator[tuple[str, Damage, type[PlantedError], str]]:
    def drop(name: str) -> Damage:
        return lambda tensors, note: tensors.__delitem__(name)

    def put(name: str, value: Any) -> Damage:
        return lambda tensors, note: tensors.update({name: value})

    def say(**changes: Any) -> Damage:
        return lambda tensors, note: note.update(changes)

    weights = "unembed.W_U"
    yield "weights gone", drop(weights), CheckpointError, r"unembed\.W_U.*missing"
    yield "shape", put(weights, np.zeros((3, 3), np.float32)), CheckpointError, r"shape \[3, 3\]"
    yield "extra", put("blocks.9.mlp.b_in", np.zeros(1)), CheckpointError, "not one of"
    yield "memory gone", drop(MU), CheckpointError, r"adam'\]\.mu.*missing"
    yield (
        "memory short",
        put(NU, np.zeros(3, np.float32)),
        CheckpointError,
        "another shape",
    )
    yield "count", put(COUNT, np.zeros(1, np.int32)), CheckpointError, "another shape"
    yield "recipe", say(recipe="0" * 12), ArtefactError, "another recipe"
    yield "seed", say(seed=3), ArtefactError, "another seed"
    yield "tier", say(tier="exact"), ArtefactError, "another tier"
    yield "start", say(start="0" * 64), ArtefactError, "another start"
    yield "no log", say(rows=None), ArtefactError, "no training log"
    yield "log too short", say(rows=[]), ArtefactError, "saved step is inconsistent"
    yield "stretch", say(chunk=90), ArtefactError, "saved step is inconsistent"
    yield "no stretch", say(chunk=None), ArtefactError, "saved step is inconsistent"


@pytest.mark.parametrize(
    ("damage", "error", "message"), [pytest.param(*d[1:], id=d[0]) for d in damages()]
)
def test_a_damaged_state_is_named(
    plant: Plant, interrupted: Path, damage: Damage, error: type[PlantedError], message: str
) -> None:
    tensors, note = files.read_tensors(interrupted)
    tensors = dict(tensors)
    damage(tensors, note)
    files.write_tensors(interrupted, tensors, note)
    found = interrupted.read_bytes()
    with pytest.raises(error, match=message) as raised:
        train_seeds(plant, MIDDLE, [0], interrupted.parents[2])
    assert str(interrupted) in str(raised.value)
    assert interrupted.read_bytes() == found


@pytest.mark.parametrize("name", ["unembed.W_U", MU])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_and_memory_that_are_not_finite_are_refused(
    plant: Plant, interrupted: Path, name: str, value: float
) -> None:
    tensors, note = files.read_tensors(interrupted)
    broken = tensors[name].copy()
    broken.flat[1] = value
    files.write_tensors(interrupted, {**tensors, name: broken}, note)
    with pytest.raises(CheckpointError, match=f"{re.escape(name)}.*NaN or infinity"):
        train_seeds(plant, MIDDLE, [0], interrupted.parents[2])


@pytest.mark.parametrize("keep", [0, 7, 1000, -1])
def test_a_truncated_file_is_named(plant: Plant, interrupted: Path, keep: int) -> None:
    interrupted.write_bytes(interrupted.read_bytes()[:keep])
    with pytest.raises(ArtefactError, match=r"state\.safetensors is truncated"):
        train_seeds(plant, MIDDLE, [0], interrupted.parents[2])


def test_a_checkpoint_without_log_is_named(plant: Plant, trained: Path, tmp_path: Path) -> None:
    path = tmp_path / "step.safetensors"
    files.write_tensors(path, plant.params, {})
    with pytest.raises(ArtefactError, match="no training log"):
        training_rows(path)
    with pytest.raises(ArtefactError, match="missing"):
        training_rows(tmp_path / "none.safetensors")


def test_a_folder_that_cannot_be_written_is_named(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("pressure", steps=PART)
    (tmp_path / recipe.slug).write_text("a file where a folder should be")
    with pytest.raises(RunFolderError, match="Cannot write"):
        train_seeds(plant, recipe, [0], tmp_path)
