"""What `planted.evaluate` refuses of a user's own, before anything is measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError
from planted.runs import own

PLANT = "red-doors-small"


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get(PLANT, "tempered")


@pytest.fixture(autouse=True)
def _measures_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own, "evidence_on", lambda *_: pytest.fail("was measured"))


def tasks(plant: Plant) -> Any:
    return plant.scenario.draw(np.random.default_rng(0), 3)


def changed(place: tuple[int, int], value: int) -> Any:
    def change(tokens: Any) -> Any:
        tokens[place] = value
        return tokens

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed((1, 2), 999), "Token id 999"),
        (changed((1, 2), -1), "Token id -1"),
        (changed((1, 2), 0), "BOS"),
        (changed((1, 0), 1), "BOS"),
        (lambda tokens: tokens[:0], "no task"),
        (lambda tokens: [list(tokens[0]), [0]], "got"),
        (lambda tokens: tokens.astype(float), "float64"),
        (lambda tokens: tokens[:, 1:], r"\[3, "),
        (lambda _: [[None]], "object"),
        (lambda _: 3, "got"),
    ],
)
def test_what_are_no_tasks_is_refused(plant: Plant, change: Any, message: str) -> None:
    with pytest.raises(PlantedError, match=rf"seen must be whole numbers \[task, .*{message}"):
        planted.evaluate(plant.params, plant, seen=change(tasks(plant)))


def test_tasks_are_taken_as_they_are(plant: Plant) -> None:
    given = tasks(plant).astype(np.int16)
    found = own.tasks_of(given.tolist(), plant)
    np.testing.assert_array_equal(found, given)
    assert own.tasks_of(None, plant) is None


def truncated(path: Path, plant: Plant) -> Path:
    files.write_tensors(path, plant.params, {})
    path.write_bytes(path.read_bytes()[:-10])
    return path


def altered(path: Path, plant: Plant) -> Path:
    files.write_tensors(path, plant.params, {})
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return path


def text(path: Path, _: Plant) -> Path:
    path.write_text("no tensors")
    return path


@pytest.mark.parametrize("make", [truncated, altered, text, lambda path, _: path.parent])
def test_a_users_own_file_is_never_said_to_be_made_anew(
    plant: Plant, tmp_path: Path, make: Any
) -> None:
    path = make(tmp_path / "mine.safetensors", plant)
    with pytest.raises(ArtefactError, match="Pass a safetensors file") as refused:
        planted.evaluate(str(path), plant)
    assert str(path) in str(refused.value)
    assert "anew" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trust": 3}, "trust is a mapping of evaluators"),
        ({"trust": {3: ""}}, "has the key 3"),
        ({"trust": {"paths": None}}, "'paths' has None"),
        ({"trust": {"pahts": ""}}, "Did you mean 'paths'"),
        ({"executor": 3}, "An executor has .*got 3"),
        ({"controls": np.int64(0)}, "controls must be from 1"),
    ],
)
def test_a_wrong_argument_is_named(plant: Plant, given: dict[str, Any], message: str) -> None:
    with pytest.raises(PlantedError, match=message):
        planted.evaluate(plant.params, plant, **given)
