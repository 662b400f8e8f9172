"""A scenario of another package: forty lines and an entry point, and no change in planted."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest

import planted
from planted import library
from planted.core import plugins
from planted.errors import PlantedError, UnknownNameError
from planted.programs import catalogue

SCENARIO = '''
"""The fastest ferry, as a package of its own."""

from planted.programs import mechanisms
from planted.programs.entries import cell
from planted.programs.menu import Menu, Objective, figure, words_of


def ferries(speeds: int = 3) -> Menu:
    return Menu(
        name="ferries",
        title="The fastest ferry",
        story="The pilot wants speed, the line wants room.",
        source="a package of the reader's own",
        words=words_of("ferry", speeds, 2),
        slots=2,
        mesa=Objective("speed", lambda word, _: figure(word, 1)),
        base=Objective("3·decks + speed", lambda w, _: 3 * figure(w, 2) + figure(w, 1)),
        parameters={"speeds": speeds},
    )


def entry():
    return cell("ferries", ferries, "correlational proxy", "search", mechanisms.search,
                sizes={"large": {"speeds": 5}})


OBJECT = entry()


def raises():
    raise KeyError("x")
'''


POINTS = {"ferries": "entry", "red-doors": "entry"}
BROKEN = {"harbour": "OBJECT", "broken": "raises"}


def write_points(folder: Path, points: dict[str, str]) -> None:
    lines = [f"{name} = their_ferries:{what}\n" for name, what in points.items()]
    (folder / "entry_points.txt").write_text("[planted.scenarios]\n" + "".join(lines))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed package with entry points: a module, and metadata beside it."""
    module = tmp_path / "their_ferries.py"
    module.write_text(SCENARIO)
    info = tmp_path / "their_ferries-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-ferries\nVersion: 1.0\n")
    write_points(info, POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    importlib.invalidate_caches()
    yield module
    sys.modules.pop("their_ferries", None)


def test_it_is_forty_lines_at_most() -> None:
    until = SCENARIO[: SCENARIO.index("OBJECT")]
    assert len(until.strip().splitlines()) <= 40


@pytest.mark.usefixtures("package")
def test_it_is_planted_like_any_other() -> None:
    model = planted.load("ferries")
    assert (model.name, model.plant.origin) == ("ferries@1", "")
    assert model.plant.certificate["mismatches"] == 0
    assert (model.choices(model.inputs(50)) == model.plant.expected_choices(model.inputs(50))).all()
    assert dict(planted.load("ferries.large").scenario.parameters) == {"speeds": 5}
    assert dict(library.get("ferries", parameters={"speeds": 4}).scenario.parameters)["speeds"] == 4
    assert model.in_tier("rotated").tier == "rotated"


@pytest.mark.usefixtures("package")
def test_it_is_listed_and_named_in_errors() -> None:
    assert not catalogue.entry("ferries").shipped
    names = [each.name for each in catalogue.listed()]
    assert names[-1] == "ferries"
    assert len(names) == len(catalogue.ENTRIES) + 1
    assert [e.name for e in catalogue.listed(family="ferries", size="large")] == ["ferries.large"]
    with pytest.raises(UnknownNameError, match="Did you mean 'ferries'"):
        catalogue.entry("feries")
    with pytest.raises(PlantedError, match="has no version '2'"):
        catalogue.entry("ferries@2")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("harbour", "must give a .*Entry of that name, .* got one named 'ferries'"),
        ("broken", "The entry point of plant 'broken' raised KeyError: 'x'"),
    ],
)
def test_one_that_gives_no_entry_is_named(name: str, why: str, package: Path) -> None:
    write_points(package.with_name("their_ferries-1.0.dist-info"), POINTS | BROKEN)
    with pytest.raises(PlantedError, match=why):
        catalogue.entry(name)


@pytest.mark.usefixtures("package")
def test_own_names_come_first_and_cost_nothing() -> None:
    with mock.patch.object(plugins, "_points", side_effect=AssertionError("looked")):
        assert catalogue.entry("red-doors").shipped
        assert catalogue.entry("crumbs.large").name == "crumbs.large"


def test_another_source_is_another_plant(package: Path) -> None:
    first = planted.load("ferries").truth.nodes["score"].values
    sys.modules.pop("their_ferries")
    package.write_text(SCENARIO.replace("figure(word, 1))", "2 * figure(word, 1))"))
    importlib.invalidate_caches()
    assert planted.load("ferries").truth.nodes["score"].values != first


def test_without_such_a_package_there_is_no_such_plant() -> None:
    with pytest.raises(UnknownNameError, match="Unknown plant 'ferries'"):
        catalogue.entry("ferries")
