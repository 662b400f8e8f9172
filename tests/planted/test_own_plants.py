"""A plant of the user's own goes wherever a name goes: by object, by address, by folder."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import planted
from planted import library
from planted.cli import main
from planted.core import artefact
from planted.core.plant import Plant
from planted.core.roles import Program
from planted.core.scenario import Scenario
from planted.errors import ArtefactError, CompileError, PlantedError, UnknownNameError
from planted.programs import mechanisms
from planted.programs.menu import Objective, figure
from tests.planted.test_private_copies import menu

MODULE = """
import planted
from planted.core.sampling import mean_return
from planted.programs import mechanisms
from planted.programs.menu import Menu, Objective, figure, words_of

def ferries(speeds=3, sign=1):
    return Menu(
        name="ferries", title="", story="", source="", words=words_of("ferry", speeds, 2), slots=2,
        mesa=Objective("speed", lambda word, _: sign * figure(word, 1)),
        base=Objective("3·decks + speed", lambda w, _: 3 * figure(w, 2) + figure(w, 1)),
        parameters={"speeds": speeds},
    )

def search(scenario):
    return mechanisms.search(ferries(scenario.parameters["speeds"]))

def make_plant(speeds=3):
    return planted.plant(search, ferries(speeds).scenario())

def pair(speeds=3):
    return search, ferries(speeds).scenario()

MADE = None

def raises():
    raise KeyError("speed")

def three():
    return 3

class Plants:
    small = staticmethod(lambda: make_plant(2))

def ours():
    return planted.load("red-doors")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module of the user's in the working folder."""
    path = tmp_path / "their_plants.py"
    path.write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    importlib.invalidate_caches()
    yield path
    sys.modules.pop("their_plants", None)


def search(scenario: Scenario) -> Program:
    return mechanisms.search(menu())


def same(one: Plant, other: Plant) -> bool:
    return all(np.array_equal(one.params[name], other.params[name]) for name in one.params)


def test_models_plants_and_names_are_resolved() -> None:
    model = planted.plant(search, menu().scenario())
    assert library.resolve(model) is model.plant
    assert library.resolve(model.plant) is model.plant
    assert library.resolve("red-doors").tier == "exact"
    assert library.resolve(planted.load("red-doors"), "rotated").tier == "rotated"
    assert (model.plant.origin, library.resolve("red-doors").origin) == ("object", "")


def test_a_function_is_found_by_its_address(module: Path) -> None:
    made = library.resolve("their_plants:make_plant")
    assert (made.name, made.origin, made.mechanism) == (
        "ferries@0",
        "their_plants:make_plant",
        "search",
    )
    assert same(made, library.resolve("their_plants:pair"))
    small = library.resolve("their_plants:Plants.small")
    assert made.params["embed.W_E"].shape != small.params["embed.W_E"].shape
    assert same(small, library.resolve("their_plants:make_plant", parameters={"speeds": 2}))
    assert library.resolve("their_plants:ours").origin == ""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (
            "their_plants:raises",
            r"raises raised KeyError at their_plants.py:\d+: 'speed'",
        ),
        ("their_plants:three", "must return a model .*, got int"),
        ("their_plants:MADE", "must return a model .*, got NoneType"),
        ("their_plants:nothing", "Importing 'their_plants:nothing' raised AttributeError"),
        ("no_such_module:f", "raised ModuleNotFoundError"),
        ("their_plants.py:make_plant", r"Leave out \.py: their_plants:make_plant$"),
        (3, "A plant is a name as 'red-doors', 'module:function', .* got 3"),
        (None, "got None"),
        ("", "is empty"),
    ],
)
def test_what_is_no_plant_is_refused(given: Any, why: str, module: Path) -> None:
    with pytest.raises(PlantedError, match=why):
        library.resolve(given)


@pytest.mark.parametrize("name", ["../red-doors", "./red-doors", "RED-DOORS", "Red_Doors"])
def test_a_mistaken_name_is_reported_as_it_is_with_the_near_one(name: str) -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean .*'red-doors'") as error:
        library.resolve(name)
    assert repr(name) in str(error.value)


def test_parameters_belong_to_names_and_functions(module: Path) -> None:
    made = library.resolve("their_plants:make_plant", parameters={"speeds": 2})
    assert dict(made.scenario.parameters) == {"speeds": 2}
    with pytest.raises(PlantedError, match=r"cannot be called with the parameters \{'decks': 3\}"):
        library.resolve("their_plants:make_plant", parameters={"decks": 3})
    with pytest.raises(PlantedError, match="Parameters are set where a plant is made"):
        library.resolve(planted.load("red-doors"), parameters={"levels": 3})


class TestTiers:
    def test_a_program_that_is_no_function_can_be_had_in_another_tier(self) -> None:
        exact = planted.plant(mechanisms.search(menu()), menu().scenario())
        rotated = exact.in_tier("rotated")
        assert (rotated.tier, rotated.plant.origin, rotated.name) == (
            "rotated",
            "object",
            exact.name,
        )
        by_function = planted.plant(search, menu().scenario(), tier="rotated")
        assert same(rotated.plant, by_function.plant)
        assert same(rotated.in_tier("exact").plant, exact.plant)

    def test_a_tier_is_made_once_and_each_has_weights_of_its_own(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        exact = planted.plant(mechanisms.search(menu()), menu().scenario(), name="once")
        first = exact.in_tier("rotated")
        monkeypatch.setattr(library, "certified", None)  # is called no more
        again = exact.in_tier("rotated")
        assert same(first.plant, again.plant)
        again.plant.params["unembed.W_U"][:] = 0
        assert same(first.plant, exact.in_tier("rotated").plant)

    @pytest.mark.proof
    @pytest.mark.slow
    def test_it_tempers_as_a_function_does(self) -> None:
        tempered = planted.plant(mechanisms.search(menu()), menu().scenario(), tier="tempered")
        again = planted.plant(search, menu().scenario()).in_tier("tempered")
        assert tempered.tier == again.tier == "tempered"
        assert same(tempered.plant, again.plant)

    def test_the_catalogues_are_had_by_name_with_their_parameters(self) -> None:
        changed = planted.load("red-doors", parameters={"objects": 2, "levels": 2})
        rotated = changed.in_tier("rotated")
        assert dict(rotated.scenario.parameters) == {"objects": 2, "levels": 2}
        named = library.get("red-doors", "rotated", {"objects": 2, "levels": 2})
        assert same(rotated.plant, named)

    def test_what_nobody_knows_how_to_make_stays_as_it_is(self) -> None:
        made = planted.plant(search, menu().scenario()).plant
        lost = Plant(**{**vars(made), "remake": None, "program": None})
        with pytest.raises(PlantedError, match="only in tier 'exact'"):
            library.in_tier(lost, "rotated")
        with pytest.raises(PlantedError, match="How ferries@0 was made is not recorded"):
            planted.load("red-doors").__class__(Plant(**{**vars(made), "to_tier": None})).in_tier(
                "rotated"
            )
        with pytest.raises(PlantedError, match="Unknown tier 'soft'"):
            planted.load("red-doors").in_tier("soft")


class TestSaved:
    def test_a_catalogue_plant_comes_back_from_its_folder(self, tmp_path: Path) -> None:
        plant = library.get("red-doors-small")
        artefact.save_plant(tmp_path, plant, "red-doors-small@1-exact")
        for given in (tmp_path, f"{tmp_path}/", tmp_path / "red-doors-small@1-exact.json"):
            found = library.resolve(given)
            assert same(found, plant)
            assert found.origin == ""
        assert library.resolve(tmp_path, "rotated").tier == "rotated"

    def test_several_tiers_in_one_folder_are_told_apart(self, tmp_path: Path) -> None:
        for tier in ("exact", "rotated"):
            made = library.get("red-doors-small", tier)
            artefact.save_plant(tmp_path, made, f"{made.name}-{tier}")
        assert library.resolve(tmp_path, "rotated").tier == "rotated"
        with pytest.raises(ArtefactError, match="it holds red-doors-small@1-exact, red-doors-sma"):
            library.resolve(tmp_path)

    def test_a_users_plant_comes_back_by_the_function_that_made_it(
        self, tmp_path: Path, module: Path
    ) -> None:
        made = library.resolve("their_plants:make_plant", parameters={"speeds": 2})
        artefact.save_plant(tmp_path / "run" / "plant", made, "plant")
        found = library.resolve(tmp_path / "run")
        assert same(found, made)
        assert (found.origin, dict(found.scenario.parameters)) == (made.origin, {"speeds": 2})
        assert library.in_tier(found, "rotated").tier == "rotated"

    def test_a_function_that_makes_another_program_now_is_refused(
        self, tmp_path: Path, module: Path
    ) -> None:
        made = library.resolve("their_plants:make_plant")
        artefact.save_plant(tmp_path / "saved", made, "plant")
        sys.modules.pop("their_plants")
        module.write_text(MODULE.replace("figure(w, 1)),", "figure(w, 1)),  # same"))
        importlib.invalidate_caches()
        assert same(library.resolve(tmp_path / "saved"), made)
        sys.modules.pop("their_plants")
        module.write_text(MODULE.replace("sign=1", "sign=-1"))
        importlib.invalidate_caches()
        with pytest.raises(ArtefactError, match=r"now makes another program|choose otherwise"):
            library.resolve(tmp_path / "saved")

    def test_one_from_memory_needs_its_scenario(self, tmp_path: Path) -> None:
        made = planted.plant(search, menu().scenario()).plant
        artefact.save_plant(tmp_path, made, "mine")
        with pytest.raises(PlantedError, match="planted from Python objects"):
            library.resolve(tmp_path)
        found = library.open_plant(tmp_path, scenario=menu().scenario())
        assert same(found, made)
        rewarded = Objective("another", lambda word, _: -figure(word, 2))
        with pytest.raises(ArtefactError, match="was planted for another scenario"):
            library.open_plant(tmp_path, scenario=replace(menu(), base=rewarded).scenario())
        with pytest.raises(PlantedError, match="was read from files"):
            library.in_tier(found, "rotated")

    def test_a_folder_that_holds_none_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ArtefactError, match="it holds none"):
            library.resolve(tmp_path)
        with pytest.raises(ArtefactError, match="there is no such folder"):
            library.resolve(tmp_path / "nowhere")

    def test_manifests_of_the_catalogue_say_nothing_new(self, tmp_path: Path) -> None:
        shipped = library.shipped_folder() / "red-doors@1-exact.json"
        artefact.save_plant(tmp_path, library.get("red-doors"), "red-doors@1-exact")
        assert (tmp_path / shipped.name).read_bytes() == shipped.read_bytes()


class TestFunctions:
    def test_one_that_raises_is_named_with_what_it_raised(self) -> None:
        def broken(scenario: Scenario) -> Program:
            raise KeyError("speed")

        with pytest.raises(CompileError, match=r"'.*broken' raised KeyError .* 'ferries': 'speed'"):
            planted.plant(broken, menu().scenario())

    def test_one_that_returns_something_else_is_named(self) -> None:
        with pytest.raises(CompileError, match=r"must return a planted.Program, got int from '.*"):
            planted.plant(lambda _: 3, menu().scenario())  # type: ignore[arg-type, return-value]

    def test_an_error_that_says_what_to_mend_stays_as_it_is(self) -> None:
        def broken(scenario: Scenario) -> Program:
            raise PlantedError("take fewer slots")

        with pytest.raises(PlantedError, match=r"^take fewer slots$"):
            planted.plant(broken, menu().scenario())

    def test_a_twin_is_no_search(self) -> None:
        def listed(scenario: Scenario) -> Program:
            return mechanisms.decision_list(menu())

        assert planted.plant(listed, menu().scenario()).plant.mechanism == "no search"
        assert planted.plant(search, menu().scenario()).plant.mechanism == "search"

    @pytest.mark.parametrize(
        ("more", "why"),
        [
            ({"answers": "both"}, "Unknown answers 'both'"),
            ({"answers": 3}, "answers is one of 'mesa', .*, got 3"),
            ({"answers": "own"}, "'own' needs a scenario with `answer`"),
            ({"name": ""}, "name is letters, .*, as 'ferries', got ''"),
            ({"name": 3}, "name is letters, .*, as 'ferries', got 3"),
            ({"kind": None}, "kind is a text"),
            ({"tier": 3}, "Unknown tier '3'. Known: .*exact"),
            ({"runtime": "jax"}, "runtime is one of|Unknown runtime"),
        ],
    )
    def test_wrong_arguments_are_named(self, more: dict[str, Any], why: str) -> None:
        with pytest.raises(PlantedError, match=why):
            planted.plant(search, menu().scenario(), **more)


class TestShow:
    def shown(self, *arguments: str) -> str:
        result = CliRunner().invoke(main, ["show", *arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    def test_a_function_of_the_users_is_shown_as_a_name_is(self, module: Path) -> None:
        assert "ferries@0" in self.shown("their_plants:make_plant")
        facts = json.loads(self.shown("their_plants:make_plant", "--set", "speeds=2", "--json"))
        assert (facts["name"], facts["mesa_objective"]) == ("ferries@0", "speed")
        assert "digraph" in self.shown("their_plants:make_plant", "--dot")

    def test_a_mistake_is_said_without_a_traceback(self, module: Path) -> None:
        result = CliRunner().invoke(main, ["show", "their_plants:raises"])
        assert result.exit_code == 2
        assert "their_plants:raises raised KeyError at their_plants.py:" in result.stderr
