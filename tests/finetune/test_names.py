"""A recipe keeps the name that its user gave it, and no other."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from planted.errors import PlantedError
from planted.finetune.recipes import Recipe
from planted.finetune.settings import Settings


@pytest.mark.parametrize("name", ["fast", "pressure two", "pressure steps=7", "pressure"])
def test_a_name_of_the_users_own_is_kept_whatever_it_begins_with(name: str) -> None:
    mine = Recipe("pressure", name=name, steps=7)
    assert mine.changed(steps=5).name == name
    assert mine.changed(steps=5).changed(seeds=2).name == name
    assert pickle.loads(pickle.dumps(mine)).changed(steps=5).name == name


def test_an_automatic_name_follows_the_settings() -> None:
    assert Recipe("pressure", steps=7).changed(steps=5).name == "pressure steps=5"
    assert Recipe("pressure", steps=7).changed(steps=2000).name == "pressure"
    one = Recipe("pressure", name="pressure steps=7", steps=7)
    assert one == Recipe("pressure", steps=7), "who named it makes no other recipe"


def test_a_name_and_settings_can_be_changed_too() -> None:
    mine = Recipe("pressure", steps=7, seeds=2).changed(name="x")
    assert (mine.name, mine.settings.steps, mine.seeds) == ("x", 7, 2)
    assert mine.changed(name=None).name == "pressure steps=7"
    assert mine.changed(settings=Settings(steps=9)).settings == Settings(steps=9)


@pytest.mark.parametrize("change", [{"base": "read-out"}, {"name": ""}, {"nope": 1}, {"steps": 0}])
def test_what_cannot_be_changed_is_said(change: dict[str, Any]) -> None:
    with pytest.raises(PlantedError):
        Recipe("pressure").changed(**change)
