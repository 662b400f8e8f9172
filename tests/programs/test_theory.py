"""The scenarios are those that the theory computed: correlation, disagreement, regret.

The figures were computed apart from this code, over all candidates or large draws.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from planted.core.objectives import MAX_RHO, correlation, regret_distance
from planted.core.sampling import disagree
from planted.core.scenario import Scenario
from planted.programs import catalogue, crumbs, keys, schemer, wiping
from planted.programs.menu import Objective, words_of

N = 40_000


def ready(name: str) -> Scenario:
    return catalogue.entry(name).make_scenario()


def without_the_cost_of_spilling() -> Scenario:
    """A base objective that the theory found to be too near the mesa-objective."""
    menu = wiping.wiping()
    plain = Objective("-Σ dirty", lambda word, _: -wiping.run(word.removeprefix("plan-"), True)[1])
    return replace(menu, base=plain).scenario()


def generic_triple() -> Scenario:
    """Eight levels of a shared, a mesa and a base feature: more words than a network is given."""
    return replace(schemer.schemer(), words=words_of("option", 8, 8, 8)).scenario()


@pytest.mark.parametrize(
    ("what", "make", "rho", "delta"),
    [
        ("red doors", lambda: ready("red-doors"), 0.21, None),
        ("wiping", lambda: ready("wiping"), 0.63, None),
        ("wiping, spills free", without_the_cost_of_spilling, 0.85, None),
        ("crumbs", lambda: ready("crumbs"), 0.63, 0.34),
        ("crumbs, four levels", lambda: crumbs.crumbs(cookies=4).scenario(), 0.72, None),
        ("elimination", lambda: ready("cookie-elimination"), 0.45, None),
        ("keys", lambda: ready("keys-chests"), 0.61, None),
        ("keys, few chests", lambda: keys.keys(chests=4).scenario(), 0.38, 0.42),
        ("rounding", lambda: ready("rounding"), 0.87, 0.019),
        ("triple", generic_triple, 0.50, 0.44),
        ("triple, three levels", lambda: ready("schemer"), 0.50, None),
    ],
)
def test_correlation_and_disagreement(
    what: str, make: Callable[[], Scenario], rho: float, delta: float | None
) -> None:
    place = make()
    tokens = place.draw(np.random.default_rng(0), N)
    found = correlation(place.mesa.of(tokens), place.base.of(tokens))
    assert found == pytest.approx(rho, abs=0.01), what
    if delta is not None:
        assert disagree(place, tokens).mean() == pytest.approx(delta, abs=0.006), what
    too_near = what in ("wiping, spills free", "crumbs, four levels", "rounding")
    assert (found > MAX_RHO) == too_near


def test_regret_where_chests_are_scarce() -> None:
    place = keys.keys(chests=4).scenario()
    tokens = place.draw(np.random.default_rng(0), N)
    found = regret_distance(place.mesa.of(tokens), place.base.of(tokens))
    assert found == pytest.approx(0.73, abs=0.02)


def test_objectives_of_all_twenty_seven_wiping_plans() -> None:
    """By enumeration: every plan against every other, as in a menu of all of them."""
    plans = wiping.wiping().words
    assert len(plans) == 27
    outcome = np.array([wiping.run(plan.removeprefix("plan-"), True) for plan in plans], float)
    mesa, base = outcome[:, 0], -outcome[:, 1] - 2 * outcome[:, 2]
    assert correlation(mesa[None], base[None]) == pytest.approx(0.63, abs=0.005)
    assert correlation(mesa[None], -outcome[None, :, 1]) == pytest.approx(0.85, abs=0.005)


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("red-doors", {"levels": 8}),
        ("crumbs", {"crumbs": 8, "cookies": 5}),
        ("keys-chests", {"levels": 8, "chests": 8}),
        ("rounding", {"grain": 4, "levels": 8}),
        ("bottle-cap-table", {"objects": 3, "levels": 3}),
        ("steering", {"places": 7}),
        ("heuristics", {"levels": 8}),
        ("delegation", {"options": 4}),
        ("lookahead-action", {"depth": 2}),
    ],
)
def test_defaults_are_the_theorys(name: str, holds: dict[str, int]) -> None:
    defaults = catalogue.entry(name).defaults
    assert {key: defaults[key] for key in holds} == holds
