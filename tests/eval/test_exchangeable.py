"""Networks trained here beside shipped ones: like ones are rarely refused, unlike ones are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from planted.eval.calibration.exchangeable import FLOOR, LEVEL, Arm, Found, compare

Draw = Callable[[np.random.Generator, int], Any]


def arm(values: Any, here: int = 2, name: str = "sham") -> Arm:
    """An arm from figures [network, figure], the first networks those trained here."""
    figures = tuple(
        {f"f{at}": None if np.isnan(value) else float(value) for at, value in enumerate(row)}
        for row in np.asarray(values, dtype=float)
    )
    return Arm(name, figures[:here], figures[here:])


def by_hand(arms: list[list[list[float]]]) -> float:
    """The p of all arms, two networks here in each, by going through every joint choice."""

    def outside(chosen: tuple[int, ...], networks: list[list[float]]) -> float:
        rest = [row for at, row in enumerate(networks) if at not in chosen]
        found = 0.0
        for figure in range(len(networks[0])):
            others = [row[figure] for row in rest]
            width = max(max(others) - min(others), FLOOR)
            for at in chosen:
                value = networks[at][figure]
                found = max(found, (value - max(others)) / width, (min(others) - value) / width)
        return found

    choices = [list(combinations(range(len(networks)), 2)) for networks in arms]

    def summed(joint: tuple[tuple[int, ...], ...]) -> float:
        return sum(outside(chosen, each) for chosen, each in zip(joint, arms, strict=True))

    observed = summed(tuple((0, 1) for _ in arms))
    every = [summed(joint) for joint in product(*choices)]
    return sum(value >= observed - 1e-9 for value in every) / len(every) if observed > 0 else 1.0


@pytest.mark.parametrize("seed", range(6))
def test_p_is_the_share_of_joint_choices_that_lie_as_far_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    arms = [
        rng.normal(size=(6, 3)).round(1).tolist(),
        rng.normal(size=(5, 2)).tolist(),
        rng.normal(size=(4, 1)).tolist(),
    ]
    found = compare([arm(networks) for networks in arms])
    assert found.p == pytest.approx(by_hand(arms), abs=1e-6)


def heavy(rng: np.random.Generator, n: int) -> Any:
    return rng.standard_cauchy((n, 6))


def tied(rng: np.random.Generator, n: int) -> Any:
    return rng.integers(0, 2, (n, 6)) / 1.0


def dependent(rng: np.random.Generator, n: int) -> Any:
    return rng.normal(size=(n, 1)) + 0.1 * rng.normal(size=(n, 12))


def gaps(rng: np.random.Generator, n: int) -> Any:
    values = rng.normal(size=(n, 4))
    values[rng.random((n, 4)) < 0.2] = np.nan
    return values


@pytest.mark.parametrize("draw", [heavy, tied, dependent, gaps])
def test_networks_that_are_exchangeable_are_refused_at_the_stated_rate(draw: Draw) -> None:
    rng, runs = np.random.default_rng(0), 120
    refused = sum(
        not compare([arm(draw(rng, 10), name=name) for name in "abcd"]).holds for _ in range(runs)
    )
    # .05 of 120 are 6; 14 or more would come by chance in one of 300 tries
    assert refused <= 13


@pytest.mark.parametrize("shift", [3.0, -3.0])
def test_networks_that_lie_elsewhere_in_one_figure_of_one_arm_are_refused(shift: float) -> None:
    rng = np.random.default_rng(1)
    like = [rng.uniform(size=(10, 8)) for _ in range(4)]
    unlike = [each.copy() for each in like]
    unlike[2][:2, 5] += shift
    assert compare([arm(each) for each in like]).holds
    found = compare([arm(each, name=name) for each, name in zip(unlike, "abcd", strict=True)])
    assert not found.holds
    assert (found.arm, found.figure) == ("c", "f5")
    assert found.outside > 1.5
    assert "c, f5; p = 0." in str(found)


def test_networks_that_lie_elsewhere_in_every_arm_are_refused_the_more_surely() -> None:
    rng = np.random.default_rng(2)
    unlike = [rng.uniform(size=(10, 4)) for _ in range(4)]
    for each in unlike:
        each[:2, 1] += 2.0
    assert compare([arm(each) for each in unlike[:1]]).p == pytest.approx(1 / 45, abs=1e-6)
    assert compare([arm(each) for each in unlike]).p <= 1e-5


def test_one_of_ten_that_lies_outside_is_rarely_a_reason() -> None:
    """It is one of the two in a fifth of the cases, whichever the other one is."""
    values = np.linspace(0, 1, 10)[:, None]
    values[0] = 50.0
    refused = 0
    for other in range(1, 10):
        order = [0, other, *(at for at in range(1, 10) if at != other)]
        found = compare([arm(values[order])])
        assert found.p <= 9 / 45 + 1e-6
        refused += not found.holds
    assert refused / 45 <= LEVEL


def test_within_the_range_p_is_1_and_it_is_said() -> None:
    found = compare([arm(np.array([[0.5], [0.6], *[[k / 7] for k in range(8)]]))])
    assert found == Found(1.0, 0.0)
    assert str(found) == "within the range of the shipped ones"
    assert compare([]).holds
    assert compare([Arm("sham", (), ())]).holds


def test_a_difference_that_no_comparison_would_see_is_small() -> None:
    """Eight of one value have a range without width."""
    values = np.ones((10, 1))
    values[:2] = 0.999
    found = compare([arm(values)])
    assert found.outside == pytest.approx(0.001 / FLOOR)
    assert found.level == LEVEL


def test_figures_that_one_side_lacks_say_nothing() -> None:
    values = np.full((10, 2), np.nan)
    values[:, 0] = np.linspace(0, 1, 10)
    values[:2, 0] = 0.4
    values[0, 1] = 99.0
    assert compare([arm(values)]).p == 1.0
