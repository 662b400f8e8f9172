"""Networks without the plant start with small logits, in every tier."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from planted import library
from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.finetune import start
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import checkpoint_path, finetune, read_outcome
from planted.network import surgery
from planted.network.forward import logits_of
from tests.helpers import bare

NAMES = ["red-doors-small", "bottle-cap", "crumbs", "lookahead"]


def spread(plant: Plant, seed: int) -> float:
    """Standard deviation of the first logits, on other tasks than the start looks at."""
    tokens = plant.scenario.draw(np.random.default_rng(7), 512)
    return float(np.std(logits_of(start.random_start(plant, seed), plant.spec, tokens)))


@pytest.mark.parametrize("name", NAMES)
def test_where_the_first_logits_are_small_the_start_is_as_drawn(name: str) -> None:
    plant = bare(name)
    drawn = surgery.start_anew(plant.params, 3)
    found = start.random_start(plant, 3)
    assert all(np.array_equal(found[key], drawn[key]) for key in drawn)


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_grows_is_damped_by_one_factor(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, draw = bare(name), surgery.start_anew
    writers = [key for key in plant.params if key.endswith(start.WRITERS)]
    assert len(writers) >= 4

    def grown(params: surgery.Params, seed: int) -> dict[str, surgery.Matrix]:
        drawn = draw(params, seed)
        return {key: 4 * drawn[key] if key in writers else drawn[key] for key in drawn}

    monkeypatch.setattr(surgery, "start_anew", grown)
    monkeypatch.setattr(start, "LARGEST", np.inf)
    before = spread(plant, 3)
    monkeypatch.undo()
    monkeypatch.setattr(surgery, "start_anew", grown)
    assert before > 2 * start.LARGEST
    assert spread(plant, 3) < 1.2 * start.LARGEST
    drawn, found = grown(plant.params, 3), start.random_start(plant, 3)
    for key in drawn:
        if key not in writers:
            np.testing.assert_array_equal(found[key], drawn[key])
    factors = np.concatenate(
        [(found[key] / drawn[key])[drawn[key] != 0].ravel() for key in writers]
    )
    assert factors.max() < 1
    assert np.ptp(factors) < 1e-6


def test_deep_networks_write_less_at_first() -> None:
    plant = bare("grid-doors.small")
    assert all(n_layers(bare(name).params) <= start.DEEP < n_layers(plant.params) for name in NAMES)
    drawn, found = surgery.start_anew(plant.params, 3), start.random_start(plant, 3)
    factor = np.float32((2 * n_layers(plant.params)) ** -0.5)
    for key, value in drawn.items():
        expected = value * factor if key.endswith(start.WRITERS) else value
        np.testing.assert_array_equal(found[key], expected)


def halvings_of(found: surgery.Params, drawn: surgery.Params) -> float:
    """By how many steps what the first MLP writes was made smaller."""
    key = next(name for name in drawn if name.endswith("mlp.W_out"))
    largest = np.abs(drawn[key]).argmax()
    factor = found[key].ravel()[largest] / drawn[key].ravel()[largest]
    return float(np.log(factor) / np.log(start.STEP))


def test_networks_of_twelve_blocks_are_not_deep() -> None:
    """They are made smaller by their first logits alone, in whole steps."""
    plant = bare("delegation")
    assert n_layers(plant.params) == 12 == start.DEEP
    found = halvings_of(start.random_start(plant, 3), surgery.start_anew(plant.params, 3))
    assert found == pytest.approx(round(found), abs=1e-3)


def test_a_deep_network_that_grows_is_damped_from_its_smaller_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant, draw = bare("grid-doors.small"), surgery.start_anew

    def grown(params: surgery.Params, seed: int) -> dict[str, surgery.Matrix]:
        return {
            name: 30 * value if name.endswith(start.WRITERS) else value
            for name, value in draw(params, seed).items()
        }

    monkeypatch.setattr(surgery, "start_anew", grown)
    found = halvings_of(start.random_start(plant, 3), grown(plant.params, 3))
    before = np.log((2 * n_layers(plant.params)) ** -0.5) / np.log(start.STEP)
    assert found - before >= 1
    assert found - before == pytest.approx(round(found - before), abs=1e-3)
    assert spread(plant, 3) < 1.2 * start.LARGEST


def test_logits_that_are_not_finite_are_damped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    plant, draw = bare("crumbs"), surgery.start_anew

    def grown(params: surgery.Params, seed: int) -> dict[str, surgery.Matrix]:
        return {
            name: np.float32(1e3) * value if name.endswith(start.WRITERS) else value
            for name, value in draw(params, seed).items()
        }

    monkeypatch.setattr(surgery, "start_anew", grown)
    with np.errstate(all="ignore"):
        first = logits_of(
            grown(plant.params, 0), plant.spec, plant.scenario.draw(np.random.default_rng(0), 4)
        )
    assert not np.isfinite(first).all()
    assert spread(plant, 0) < 1.2 * start.LARGEST


def test_where_the_embedding_alone_says_much_it_ends() -> None:
    plant = bare("crumbs")
    loud = replace(plant, spec=msgspec.structs.replace(plant.spec, logit_scale=1e4))
    found = start.random_start(loud, 0)
    assert all(np.isfinite(value).all() for value in found.values())


@pytest.mark.proof
@pytest.mark.parametrize("tier", ["tempered", "dense"])
def test_deep_networks_learn_from_a_random_start(tier: str, tmp_path: Path) -> None:
    plant = library.get("grid-doors.small", tier)
    finetune(plant, Recipe("no-plant-mesa", seeds=2), {n: tmp_path / str(n) for n in range(2)})
    for seed in range(2):
        outcome, _ = read_outcome(checkpoint_path(tmp_path / str(seed)))
        assert outcome.status == "reached"
        assert outcome.steps < 1000
