"""Sizes: named parameters of a plant, reached wherever a plant is named."""

from __future__ import annotations

import numpy as np
import pytest

from planted import library
from planted.errors import PlantedError, UnknownNameError
from planted.programs import catalogue
from planted.programs.catalogue import ENTRIES

SIZED = [(name, size) for name, e in ENTRIES.items() for size in e.sizes]


def test_there_are_many_and_each_is_another_scenario() -> None:
    assert len(ENTRIES) + len(SIZED) >= 240
    for name, size in SIZED:
        entry, sized = ENTRIES[name], catalogue.entry(f"{name}.{size}")
        changed = {k: v for k, v in sized.defaults.items() if v != entry.defaults[k]}
        assert changed, f"{name}.{size} is {name}"
        assert set(entry.sizes[size]) <= set(entry.defaults)
        place, other = entry.make_scenario(), sized.make_scenario()
        assert other.name == f"{name}.{size}"
        assert (len(other.vocabulary), other.n_positions) != (
            len(place.vocabulary), place.n_positions
        ) or "steps" in changed  # fmt: skip
        bigger = (len(other.vocabulary) * other.n_positions) - (
            len(place.vocabulary) * place.n_positions
        )
        assert bigger == 0 or (bigger > 0) == (size == "large"), f"{name}.{size}"


def test_names_of_plants_and_of_sizes_cannot_be_mixed_up() -> None:
    assert not any("." in name for name in ENTRIES)
    assert {size for _, size in SIZED} == {"small", "large"}


def test_a_size_is_a_name_like_any_other() -> None:
    sized = catalogue.entry("crumbs.large")
    assert catalogue.entry("crumbs.large@1") == sized
    assert sized.name == "crumbs.large"
    assert sized.defaults == {"places": 6, "crumbs": 8, "cookies": 5}
    assert sized.make_scenario({"places": 5}).parameters["places"] == 5
    plant = library.build("crumbs.small", only="exact")["exact"]
    assert plant.name == "crumbs.small@1"
    assert dict(plant.scenario.parameters) == {"places": 3, "crumbs": 4, "cookies": 5}


def test_a_size_of_a_shipped_plant_is_not_the_shipped_one() -> None:
    large = catalogue.entry("red-doors.large")
    assert catalogue.entry("red-doors").shipped
    assert not large.shipped
    place = large.make_scenario()
    assert len(place.candidates) == 6
    tokens = place.draw(np.random.default_rng(0), 50)
    assert max(place.choose(words) for words in place.token_strings(tokens)) > 3
    assert len(library.get("red-doors").scenario.candidates) == 4


def test_a_size_of_a_twin_is_a_twin_of_that_size() -> None:
    assert catalogue.entry("crumbs-list.large").twin_of == "crumbs.large"
    assert catalogue.entry("grid-doors-table").twin_of == "grid-doors.small"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("crumbs.huge", r"'crumbs' has no size 'huge'; it has small, large beside its defaults"),
        ("crumbs.", r"'crumbs' has no size ''; it has small"),
        ("narrow-table.large", r"'narrow-table' has no size 'large'; it has none"),
        ("crumbs.large.large", r"no size 'large.large'"),
        ("crumbs.large@2", r"'crumbs.large' has no version '2'; this release has crumbs.large@1"),
    ],
)
def test_unknown_sizes_are_refused_with_those_there_are(name: str, reason: str) -> None:
    with pytest.raises(PlantedError, match=reason):
        library.load(name)


def test_a_size_of_no_plant_is_an_unknown_plant() -> None:
    with pytest.raises(UnknownNameError, match=r"Unknown plant 'crumps'\. Did you mean 'crumbs'"):
        library.load("crumps.large")
