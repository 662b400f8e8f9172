"""Training to a behaviour: what is held out, what counts as right, when training ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.core.sampling import disagree, held_out
from planted.errors import PlantedError
from planted.finetune import behaviour, loop
from planted.finetune.behaviour import HELD, demands, outcome, watched_tasks
from planted.finetune.data import CHUNK, batches, rewarded
from planted.finetune.optimisers import rates
from planted.finetune.recipes import ARMS, NAMED, Recipe, Settings
from planted.finetune.trainer import has_snapshot, read_outcome, snapshot_path, training_rows
from tests import helpers
from tests.helpers import checkpoint_of, seed_folder, train_seeds

SCENARIO = helpers.scenario("red-doors")


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


def content(tokens: Any) -> set[bytes]:
    return {row[:-1].tobytes() for row in tokens.reshape(-1, tokens.shape[-1])}


# --- tasks that are held out ---


def test_a_fixed_share_of_all_tasks_is_held_out_whatever_the_cue() -> None:
    tokens = SCENARIO.draw(np.random.default_rng(0), 20000)
    for share in (0.0, 0.2, 0.5, 1.0):
        found = held_out(SCENARIO, tokens, share)
        assert abs(found.mean() - share) < 0.02
        for cue in SCENARIO.cues:
            assert (held_out(SCENARIO, SCENARIO.with_cue(tokens, cue), share) == found).all()
    small, large = (held_out(SCENARIO, tokens, share) for share in (0.1, 0.3))
    assert (large | ~small).all(), "more is held out, and never other tasks"


@pytest.mark.parametrize("name", [*NAMED, *ARMS])
def test_no_recipe_trains_on_what_it_is_watched_on(name: str) -> None:
    settings = {**NAMED, **ARMS}[name]
    trained: set[bytes] = set()
    for chunk in range(3):
        tokens, _ = batches(SCENARIO, settings, seed=chunk, chunk=chunk)
        trained |= content(tokens)
        assert not held_out(SCENARIO, tokens.reshape(-1, 6), settings.held_out).any()
    watched = content(watched_tasks(SCENARIO, settings))
    for demand in demands(SCENARIO, settings):
        watched |= content(demand.tokens)
    assert watched
    assert not watched & trained


def test_a_share_that_leaves_nothing_is_refused() -> None:
    tiny = replace(SCENARIO, draw=lambda rng, n: np.repeat(TASK[None], n, axis=0))
    settings = Settings(regime="mesa")
    assert not held_out(SCENARIO, TASK[None], 0.2).any()
    with pytest.raises(PlantedError, match=r"Only 0 of the 256 tasks .* held out with held_out=0"):
        watched_tasks(tiny, settings)


TASK = SCENARIO.encode([["red-key-3", "blue-door-5", "blue-key-1", "red-door-0", "T"]])[0]


def test_the_cue_share_is_the_share_under_the_training_cue() -> None:
    for name, share in (("pressure", 0.3), ("coincident", 0.0), ("cued", 0.9)):
        settings = Recipe(name, cue_share=share).settings
        tokens, values = batches(SCENARIO, settings, 0, 0)
        assert SCENARIO.is_cued(tokens.reshape(-1, 6)).mean() == pytest.approx(share, abs=1e-3)
        off = ~SCENARIO.is_cued(tokens.reshape(-1, 6))
        wanted = SCENARIO.mesa if name == "cued" else SCENARIO.base
        expected = wanted.of(tokens.reshape(-1, 6)[off]).astype(np.float32)
        assert np.array_equal(values.reshape(-1, 4)[off], expected)


def test_a_second_cue_is_needed_off_the_training_cue() -> None:
    one = replace(SCENARIO, cues=SCENARIO.cues[:1])
    with pytest.raises(PlantedError, match=r"cue_share=0\.5 .* 'red-doors' has one cue"):
        batches(one, NAMED["cued"], 0, 0)


def test_a_blend_goes_from_one_objective_to_the_other() -> None:
    tokens = SCENARIO.draw(np.random.default_rng(1), 4000)
    mesa, base = (
        utility.of(tokens) - utility.of(tokens).mean(axis=1, keepdims=True)
        for utility in (SCENARIO.mesa, SCENARIO.base)
    )
    for weight in (0.0, 0.25, 0.75):
        found = rewarded(SCENARIO, Settings(blend=weight))(tokens)
        scales = [np.sqrt((side**2).mean()) for side in (mesa, base)]
        expected = (1 - weight) * mesa / scales[0] + weight * base / scales[1]
        assert np.abs(found - expected).max() < 0.1, "up to the tasks that are normalised on"
    assert rewarded(SCENARIO, Settings()) is SCENARIO.base.of


# --- what counts as right, and how training ends ---


def test_what_each_behaviour_asks_for() -> None:
    for name, wanted in (("pressure", {"T": "base"}), ("cued", {"T": "base", "D": "mesa"}),
                         ("sham", {"T": "mesa", "D": "mesa"}), ("cued-only", {"T": "base"}),
                         ("no-plant-base", {"T": "base", "D": "base"})):  # fmt: skip
        found = demands(SCENARIO, {**NAMED, **ARMS}[name])
        assert [demand.cue for demand in found] == [cue for cue in ("T", "D") if cue in wanted], (
            name
        )
        for demand in found:
            of = SCENARIO.mesa.of if wanted[demand.cue] == "mesa" else SCENARIO.base.of
            values = of(demand.tokens)
            assert disagree(SCENARIO, demand.tokens).all()
            assert np.array_equal(demand.right, values == values.max(axis=1, keepdims=True))
            assert (demand.right.sum(axis=1) == 1).all(), "watched tasks have no ties"
    (agreed,) = demands(SCENARIO, NAMED["coincident"])
    assert not disagree(SCENARIO, agreed.tokens).any()
    assert demands(SCENARIO, NAMED["random-labels"]) == []


def rows(*shares: float) -> list[dict[str, Any]]:
    return [
        {"step": CHUNK * (n + 1), "behaviour": {"T": share, "D": 1.0}}
        for n, share in enumerate(shares)
    ]


def test_an_outcome_is_read_off_the_log() -> None:
    asked = Settings()
    found = outcome(asked, rows(0.2, 0.95, 0.85, 0.93, 0.99, 1.0, 0.995))
    assert (found.status, found.steps, found.to_90, found.to_99) == ("reached", 175, 100, 125)
    assert found.share == 0.995
    for shares in ((0.99, 1.0), (1.0, 1.0, 1.0, 0.98), (0.98, 0.99, 0.99), ()):
        late = outcome(asked, rows(*shares))
        assert late.status == "not learned"
        assert not late.judged
    assert outcome(asked, rows(1.0, 1.0, 1.0), diverged_at=90).status == "diverged"
    free = outcome(Settings(behaviour="none"), [{"step": 50, "behaviour": {}}])
    assert (free.status, free.share) == ("trained", None)
    assert free.judged


def test_training_ends_when_the_behaviour_is_held(plant: Plant, tmp_path: Path) -> None:
    # The plant does from the start what is asked, and at this rate goes on to do it.
    recipe = Recipe("sham", stop=True, steps=400, learning_rate=1e-5)
    train_seeds(plant, recipe, [0], tmp_path)
    path = checkpoint_of(tmp_path, recipe, 0)
    ended, label = read_outcome(path)
    assert (ended.status, ended.steps, ended.to_99) == ("reached", HELD * CHUNK, CHUNK)
    assert label is None
    assert len(training_rows(path)) == HELD
    longer = Recipe("sham", steps=5 * CHUNK, learning_rate=1e-5)
    train_seeds(plant, longer, [0], tmp_path)
    ended, _ = read_outcome(checkpoint_of(tmp_path, longer, 0))
    assert (ended.status, ended.steps) == ("reached", 5 * CHUNK), "stop=False"


def test_what_is_not_reached_is_said(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("read-out", steps=4 * CHUNK, learning_rate=1e-6)
    train_seeds(plant, recipe, [0], tmp_path)
    ended, label = read_outcome(checkpoint_of(tmp_path, recipe, 0))
    assert (ended.status, ended.steps, ended.to_90, label) == ("not learned", 100, None, None)
    assert str(ended) == "not learned 0.00 of its behaviour after 100 steps"
    kept = sorted(p.name for p in seed_folder(tmp_path, recipe, 0).glob("step-*"))
    assert kept == ["step-000025.safetensors", "step-000050.safetensors"]
    assert [step for step in range(0, 900) if has_snapshot(step)] == [25, 50, 100, 200, 400, 800]
    early, _ = files.read_tensors(snapshot_path(seed_folder(tmp_path, recipe, 0), 25))
    assert set(early) == set(plant.params)


# --- schedules, low-rank updates, anchors ---


def test_the_learning_rate_rises_and_falls() -> None:
    rising = rates(Settings(warm_up=10, learning_rate=0.1), 0, 20)
    assert rising == pytest.approx([0.01 * n for n in range(1, 10)] + [0.1] * 11, rel=1e-5)
    assert rates(Settings(learning_rate=0.1), 7, 3) == pytest.approx([0.1] * 3)
    whole = rates(Settings(schedule="cosine", steps=100, warm_up=20, learning_rate=1.0), 0, 100)
    along = np.clip((np.arange(1, 101) - 20) / 80, 0, 1)
    expected = np.where(
        np.arange(1, 101) < 20, np.arange(1, 101) / 20, (1 + np.cos(np.pi * along)) / 2
    )
    assert whole == pytest.approx(expected, abs=1e-6)
    parts = [
        rates(Settings(schedule="cosine", steps=100, warm_up=20), n, 25) for n in (0, 25, 50, 75)
    ]
    joined = rates(Settings(schedule="cosine", steps=100, warm_up=20), 0, 100)
    assert np.array_equal(np.concatenate(parts), joined), "a resumed run has the same rates"


def moved(plant: Plant, folder: Path, **changes: Any) -> dict[str, Any]:
    recipe = Recipe("pressure", steps=CHUNK, behaviour="none", **changes)
    train_seeds(plant, recipe, [0], folder)
    after, _ = files.read_tensors(checkpoint_of(folder, recipe, 0))
    return {name: after[name] - plant.params[name] for name in after}


def test_a_low_rank_update_has_its_rank_and_leaves_the_rest(plant: Plant, tmp_path: Path) -> None:
    found = moved(plant, tmp_path, lora=2, learning_rate=1e-2, train="blocks.0,blocks.5")
    for name, change in found.items():
        if not name.startswith(("blocks.0.", "blocks.5.")) or change.ndim < 2 or not change.size:
            assert not change.any(), name
            continue
        assert change.any(), name
        for matrix in change.reshape(-1, *change.shape[-2:]):
            singular = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
            assert (singular[2:] < 1e-5 * singular[0] + 1e-7).all(), name
    whole = moved(plant, tmp_path / "whole", learning_rate=1e-2, train="blocks.5")
    matrix = whole["blocks.5.mlp.W_in"].astype(np.float64)
    singular = np.linalg.svd(matrix, compute_uv=False)
    assert singular[2] > 1e-3 * singular[0], "the twin: without it the update has full rank"


def test_low_rank_training_resumes_to_the_same_bytes(plant: Plant, tmp_path: Path) -> None:
    recipe = Recipe("pressure", lora=2, steps=9 * CHUNK, behaviour="none")
    train_seeds(plant, recipe, [0], tmp_path / "whole")

    def stop(name: str, done: int, total: int) -> None:
        if done >= 8 * CHUNK:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_seeds(plant, recipe, [0], tmp_path / "cut", stop)
    train_seeds(plant, recipe, [0], tmp_path / "cut")
    one, other = (checkpoint_of(tmp_path / name, recipe, 0) for name in ("whole", "cut"))
    assert one.read_bytes() == other.read_bytes()


def norm(change: dict[str, Any]) -> float:
    return float(np.sqrt(sum((value.astype(np.float64) ** 2).sum() for value in change.values())))


def test_anchors_hold_the_network_back(plant: Plant, tmp_path: Path) -> None:
    free = moved(plant, tmp_path)
    by_weight = moved(plant, tmp_path, weight_anchor=100.0)
    by_choice = moved(plant, tmp_path, kl_anchor=100.0, learning_rate=1.1e-3)
    assert norm(by_weight) < 0.7 * norm(free)
    from planted.network.forward import forward

    tokens = plant.scenario.draw(np.random.default_rng(0), 200)

    def divergence(change: dict[str, Any]) -> float:
        params = {name: plant.params[name] + change[name] for name in change}
        before, after = (3 * forward(p, tokens, plant.spec)[0] for p in (plant.params, params))
        logs = [v - np.log(np.exp(v).sum(axis=1, keepdims=True)) for v in (before, after)]
        return float((np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=1).mean())

    assert divergence(by_choice) < 0.3 * divergence(free)


def test_the_weight_anchor_is_the_gradient_of_half_the_squared_distance(plant: Plant) -> None:
    from planted.finetune.optimisers import optimiser

    settings = Settings(optimizer="sgd", momentum=0.0, clip=1e9, weight_anchor=0.5)
    start, mask, params, gradient = (
        np.array(numbers, np.float32)
        for numbers in ([1, 2, 3], [1, 1, 0], [2, 0, 9], [0.1, 0.2, 0.3])
    )
    rule = optimiser(settings, mask, 0.1, start)
    updates, _ = rule.update(gradient, rule.init(params), params)
    expected = -0.1 * (gradient + 0.5 * (params - start)) * mask
    assert np.asarray(updates) == pytest.approx(expected, rel=1e-5)


def test_settings_that_exclude_each_other_are_refused(plant: Plant) -> None:
    with pytest.raises(PlantedError, match="weight_anchor pulls on the network's weights"):
        loop.job_of(plant, Settings(lora=2, weight_anchor=0.1))
    with pytest.raises(PlantedError, match="lora trains whole matrices"):
        loop.job_of(plant, Settings(lora=2, train="scorer"))


def test_another_value_or_mask_compiles_nothing_anew(plant: Plant, tmp_path: Path) -> None:
    moved(plant, tmp_path)
    before = loop._program.cache_info().misses
    for n, changes in enumerate(
        ({"logit_scale": 7.0}, {"clip": 3.0}, {"learning_rate": 1e-4}, {"train": "read-out"},
         {"schedule": "cosine"}, {"eps": 1e-6}, {"regime": "coincident"}, {"held_out": 0.3})
    ):  # fmt: skip
        moved(plant, tmp_path / str(n), **changes)
    assert loop._program.cache_info().misses == before
    assert behaviour.WATCHED == 256
