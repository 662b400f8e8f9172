"""What nothing could be measured on is refused before it is compiled, unless it is wanted."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
import pytest

from planted import library
from planted.core.objectives import best
from planted.core.scenario import VALIDITY_CHECKS
from planted.core.validity import failed_checks
from planted.errors import ScenarioError
from planted.programs import catalogue, red_doors
from planted.programs.crumbs import crumbs
from planted.programs.mechanisms import search
from tests import helpers

ENTRIES = catalogue.ENTRIES


@pytest.mark.parametrize("name", ENTRIES)
def test_a_plant_of_the_catalogue_admits_the_flaws_it_has_and_no_other(name: str) -> None:
    assert set(failed_checks(helpers.scenario(name))) == set(helpers.scenario(name).waivers)
    for size in ENTRIES[name].sizes:
        place = catalogue.entry(f"{name}.{size}").make_scenario()
        assert set(failed_checks(place)) <= set(place.waivers) <= set(VALIDITY_CHECKS)


@pytest.mark.parametrize("name", ["crumbs", "rounding", "wiping-pointer", "steering"])
def test_flaws_are_what_plain_arithmetic_finds(name: str) -> None:
    place = helpers.scenario(name)
    tokens = place.draw(np.random.default_rng(7), 6000)
    mesa, base = place.mesa.of(tokens), place.base.of(tokens)
    a, b = (v - v.mean(axis=1, keepdims=True) for v in (mesa, base))
    rho = (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())
    never = all(set(np.flatnonzero(x)) & set(np.flatnonzero(y))
                for x, y in zip(best(mesa), best(base), strict=True))  # fmt: skip
    found = failed_checks(place)
    assert ("collinear" in found) == (rho > 0.7)
    assert ("no-disagreement" in found) == never


def test_collinear_objectives_are_refused_with_value_limit_and_remedy() -> None:
    with (
        mock.patch(
            "planted.compiler.compile.compile_program", side_effect=AssertionError("compiled")
        ),
        pytest.raises(
            ScenarioError,
            match=r"'crumbs' with parameters .*'cookies': 2.*ρ = 0\.9\d, more than 0\.7.*"
            r"Take other parameters.*waivers=\('collinear',\)",
        ),
    ):
        library.build("crumbs", {"cookies": 2})


def test_an_empty_disagreement_set_is_refused_and_what_says_so_is_planted() -> None:
    menu = crumbs(places=2, crumbs=3)
    same = replace(menu, mesa=menu.base)
    for waivers, reason in (((), "ρ = 1.00"), (("collinear",), "disagree on none of 4000 tasks")):
        with pytest.raises(ScenarioError, match=reason):
            library.plant(lambda _: search(same), replace(same, waivers=waivers).scenario())
    model = library.plant(lambda _: search(same), replace(same, waivers=VALIDITY_CHECKS).scenario())
    assert model.plant.certificate["mismatches"] == 0


def test_a_scenario_made_by_hand_is_looked_at_too() -> None:
    aligned = replace(helpers.scenario("red-doors-aligned"), waivers=())
    with pytest.raises(ScenarioError, match="'red-doors-aligned' with parameters"):
        library.plant(red_doors.search, aligned)
    library.refuse_invalid(helpers.scenario("red-doors-aligned"))
    library.refuse_invalid(helpers.scenario("red-doors"))


def test_the_same_scenario_is_refused_every_time() -> None:
    place = helpers.scenario("rounding")
    assert failed_checks(place) == failed_checks(place)
