"""What a run is asked for: recipes that stand apart, requests that grow, whose folder it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import planted
from planted import experiment, library
from planted.cli.runs import _request
from planted.core import files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, RunFolderError
from planted.finetune.recipes import ARMS, LONGEST_NAME, Recipe
from planted.runs import request as requests
from planted.runs.cell import Cell
from planted.runs.request import (
    Asked,
    Request,
    controls_of,
    grown,
    read_request,
    recipes_of,
    write_request,
)

PLANT = "red-doors-small"


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get(PLANT, "tempered")


def asked_of(plant: Plant, *recipes: Recipe) -> Request:
    controls = [Recipe("no-plant-base", steps=50), Recipe("sham")]
    return Request(plant, "", grown((), recipes), grown((), controls))


def placed(request: Request, folder: Path) -> list[tuple[str, int, str]]:
    return [(n.label, n.cell.seed, n.folder.name) for n in request.networks(folder)]


# --- recipes of one name ---


def test_two_recipes_of_one_name_in_one_request_are_refused() -> None:
    two = [Recipe(name="fast", steps=100), Recipe(name="fast", steps=200)]
    with pytest.raises(PlantedError, match=r"named 'fast' and have other settings.*'fast 2'"):
        recipes_of(two)
    assert recipes_of([two[0], Recipe(name="fast 2", steps=200)])


@pytest.mark.parametrize("name", ["fast", "pressure", "x" * LONGEST_NAME])
def test_a_recipe_whose_settings_were_edited_stands_apart_and_can_be_read_again(
    plant: Plant, tmp_path: Path, name: str
) -> None:
    before = grown((), [Recipe(name=name, steps=100, seeds=2)])
    edited = Recipe(name=name, steps=200, seeds=2)
    after = grown(before, [edited])
    assert [asked.recipe.settings.steps for asked in after] == [100, 200]
    assert after[0].name == name
    assert after[1].name.endswith(f" {edited.digest}")
    assert grown(after, [edited, Recipe(name=name, steps=100)])[1] == after[1], "found again"
    write_request(tmp_path, msgspec.structs.replace(asked_of(plant), recipes=after))
    read = read_request(tmp_path)
    assert [asked.name for asked in read.recipes] == [asked.name for asked in after]
    found = placed(read, tmp_path)
    assert len({(label, seed) for label, seed, _ in found}) == len(found)
    assert grown(read.recipes, [edited]) == read.recipes


def test_a_name_that_is_taken_twice_is_refused() -> None:
    edited = Recipe(name="fast", steps=200)
    before = grown((), [Recipe(name="fast"), Recipe(name=f"fast {edited.digest}", steps=300)])
    with pytest.raises(PlantedError, match="another name"):
        grown(before, [edited])


# --- requests that grow ---


def test_more_seeds_are_added_and_fewer_take_none_away() -> None:
    before = grown((), [Recipe("pressure", seeds=3)])
    assert grown(before, [Recipe("pressure", seeds=1)]) == before
    assert grown(before, [Recipe("pressure", seeds=4)])[0].recipe.seeds == 4


def test_a_control_of_other_settings_replaces_the_one_of_its_name() -> None:
    before = grown((), [Recipe("no-plant-base", steps=50, seeds=4), Recipe("sham")])
    other = Recipe("no-plant-base", steps=60, seeds=2)
    assert grown(before, [other]) == (Asked("no-plant-base", other), before[1])


@pytest.mark.parametrize("number", [2, np.int64(2), np.int32(2)])
def test_controls_are_a_whole_number_of_any_kind(number: Any) -> None:
    assert [(c.base, c.seeds) for c in controls_of(number)] == [(name, 2) for name in ARMS]


@pytest.mark.parametrize("given", [True, np.int64(0), 2.0, np.bool_(True)])
def test_what_is_no_number_of_controls_is_refused(given: Any) -> None:
    with pytest.raises(PlantedError, match="controls"):
        controls_of(given)


def test_one_control_in_two_settings_is_refused() -> None:
    with pytest.raises(PlantedError, match="'sham' is asked for twice"):
        controls_of([Recipe("sham"), Recipe("sham", steps=50)])


# --- run.json ---

EDITS = [
    ("recipes", lambda v: [{**v[0], "settings": {**v[0]["settings"], "learning_rate": 0.5}}]),
    ("recipes", lambda v: [{**v[0], "seeds": 1}]),
    ("controls", lambda v: [{**v[0], "recipe": "no-plant-mesa"}, *v[1:]]),
    ("parameters", lambda v: {**v, "levels": 99}),
    ("origin", lambda _: "my_module:make"),
    ("versions", lambda v: {**v, "jax": "0"}),
    ("findings", lambda _: [{"name": "one-cue", "says": "", "why": ""}]),
]


@pytest.mark.parametrize(("key", "edit"), EDITS)
def test_any_edit_of_a_request_is_refused_with_a_remedy(
    plant: Plant, tmp_path: Path, key: str, edit: Any
) -> None:
    write_request(tmp_path, asked_of(plant, Recipe("pressure")))
    assert read_request(tmp_path).recipes[0].name == "pressure"
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, key: edit(content[key])}))
    with pytest.raises(ArtefactError, match=r"run.json was altered.*repeat the command") as refused:
        read_request(tmp_path)
    assert str(path) in str(refused.value)


DEEP = "[" * 100_000
DAMAGED = ["", "[]", "null", "3", "{broken", "{}", '{"schema": true}', '{"schema": 3}', DEEP]


@pytest.mark.parametrize("content", DAMAGED)
def test_repeating_the_command_restores_a_damaged_request(
    plant: Plant, tmp_path: Path, content: str
) -> None:
    first = asked_of(plant, Recipe("pressure"), Recipe("read-out"))
    write_request(tmp_path, first)
    path = tmp_path / "run.json"
    before, networks = path.read_bytes(), placed(first, tmp_path)
    for network in first.networks(tmp_path)[:1]:
        files.write_signed(network.folder / "cell.json", {"plant": network.cell.plant})
    for name in requests.RECORDS:
        (tmp_path / name).write_text("")
    path.write_text(content)
    with pytest.raises(ArtefactError, match=r"Remove it and repeat the command") as refused:
        read_request(tmp_path)
    assert str(path) in str(refused.value)
    path.unlink()
    with pytest.raises(RunFolderError, match="Repeat the command that made the folder"):
        read_request(tmp_path)
    again = experiment.plant_into(
        tmp_path, PLANT, ["pressure", "read-out"], controls=[c.recipe for c in first.controls]
    )
    assert placed(again, tmp_path) == networks
    assert json.loads(before)["recipes"] == json.loads(path.read_text())["recipes"]


def test_a_folder_with_anything_else_or_of_another_plant_stays_foreign(
    plant: Plant, tmp_path: Path
) -> None:
    assert not requests.is_foreign(tmp_path / "none", plant)
    (tmp_path / "report.html").write_text("mine")
    assert requests.is_foreign(tmp_path, plant), "no plant beside it"
    write_request(tmp_path, asked_of(plant, Recipe("pressure")))
    (tmp_path / "run.json").unlink()
    assert not requests.is_foreign(tmp_path, plant)
    (tmp_path / "thesis.tex").write_text("mine")
    assert requests.is_foreign(tmp_path, plant)
    (tmp_path / "thesis.tex").unlink()
    cell = Cell("of another plant", Recipe("pressure").settings, 0)
    files.write_signed(tmp_path / "cells" / "x" / "cell.json", {"plant": cell.plant})
    with pytest.raises(RunFolderError, match="networks of another plant"):
        requests.is_foreign(tmp_path, plant)


# --- what is asked of a run that is there ---


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tier": "exact"}, "tier is 'tempered', asked for is 'exact'"),
        ({"parameters": {"levels": 7}}, "levels is 2, asked for is 7"),
        ({"parameters": {"nope": 7}}, "nope is None, asked for is 7"),
    ],
)
@pytest.mark.parametrize("recipes", [None, "read-out"])
def test_a_tier_or_parameter_that_a_run_has_not_is_refused(
    plant: Plant, tmp_path: Path, given: dict[str, Any], message: str, recipes: Any
) -> None:
    write_request(tmp_path, asked_of(plant, Recipe("pressure")))
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(RunFolderError, match=message):
        experiment.run(recipes=recipes, out=tmp_path, **given)
    assert (tmp_path / "run.json").read_bytes() == before
    requests.refuse_idle(tmp_path, "tempered", dict(plant.scenario.parameters))


def test_a_run_that_is_there_gets_no_recipe_that_was_not_asked_for(
    plant: Plant, tmp_path: Path
) -> None:
    write_request(tmp_path, asked_of(plant, Recipe("read-out")))
    for given in (PLANT, None):
        grew = experiment.plant_into(tmp_path, given, controls=4)
        assert [asked.name for asked in grew.recipes] == ["read-out"]


def test_more_seeds_without_a_recipe_are_for_those_of_the_run(plant: Plant, tmp_path: Path) -> None:
    def asked(folder: Path, *given: str) -> Any:
        options = ("seeds", "learning_rate", "cue", "controls", "control_steps")
        more = {**dict.fromkeys(options), **dict(pair.split("=") for pair in given)}
        more = {name: value and float(value) for name, value in more.items()}
        more["seeds"] = more["seeds"] and int(more["seeds"])
        names = more.pop("names", ())
        found = _request(folder, names, (), anyway=False, **more)["recipes"]
        return found and [(each.name, each.seeds) for each in found]

    slow = Recipe("cued", learning_rate=1e-4)
    write_request(tmp_path, asked_of(plant, Recipe("read-out"), slow))
    assert asked(tmp_path, "seeds=3") == [("read-out", 3), (slow.name, 3)]
    assert asked(tmp_path / "none", "seeds=3") == [("pressure", 3)]
    assert [name for name, _ in asked(tmp_path, "seeds=3", "learning_rate=1e-3")] == ["pressure"], (
        "another setting is another recipe"
    )
    assert asked(tmp_path) is None
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises((ArtefactError, RunFolderError)):
        asked(tmp_path, "seeds=3")


def test_more_seeds_of_a_run_of_an_object_need_its_plant_alone(tmp_path: Path) -> None:
    """In the run's own tier, which the object's function does not name."""
    own = replace(library.get(PLANT, "rotated"), origin="object")
    write_request(
        tmp_path, msgspec.structs.replace(asked_of(own, Recipe("read-out")), origin="object")
    )
    grew = experiment.plant_into(tmp_path, f"{__name__}:small_doors", controls=3, anyway=True)
    assert grew.plant.tier == "rotated"
    assert grew.origin == "object"
    assert [asked.name for asked in grew.recipes] == ["read-out"]


def small_doors() -> Any:
    return planted.load(PLANT)
