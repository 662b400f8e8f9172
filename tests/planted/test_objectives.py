"""Distances between objectives against other people's code and values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import kendalltau

from planted.core import objectives

RNG = np.random.default_rng(7)
U = RNG.integers(0, 5, (200, 4)).astype(float)  # with ties
V = RNG.integers(0, 5, (200, 4)).astype(float)


def test_regret_by_hand() -> None:
    values = np.array([[1.0, 4.0, 2.0], [3.0, 3.0, 0.0], [5.0, 1.0, -2.0]])
    np.testing.assert_array_equal(objectives.regret(values, np.array([0, 1, 0])), [3, 0, 0])
    np.testing.assert_array_equal(objectives.regret(values, np.array([2, 2, 2])), [2, 3, 7])


def test_an_invalid_choice_loses_what_the_worst_candidate_loses() -> None:
    values = np.array([[1.0, 4.0, 2.0], [3.0, 3.0, 3.0]])
    np.testing.assert_array_equal(objectives.regret(values, np.array([-1, -1])), [3, 0])


def test_chance_regret_by_hand() -> None:
    np.testing.assert_allclose(
        objectives.chance_regret(np.array([[1.0, 4.0, 1.0], [2.0, 2.0, 2.0]])), [2, 0]
    )


def test_choice_distance_is_kind_to_ties() -> None:
    u = np.array([[2.0, 2.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [5.0, 5.0, 5.0]])
    v = np.array([[0.0, 3.0, 0.0], [0.0, 1.0, 1.0], [9.0, 9.0, 0.0], [0.0, 0.0, 1.0]])
    assert objectives.choice_distance(u, v) == 0.25  # only the second shares no best candidate
    assert objectives.choice_distance(u, u) == 0
    assert objectives.choice_distance(u, v) == objectives.choice_distance(v, u)


def test_rank_distance_is_kendalls_tau_b() -> None:
    taus = np.array([kendalltau(u, v).statistic for u, v in zip(U, V, strict=True)])
    constant = (np.ptp(U, axis=1) == 0) | (np.ptp(V, axis=1) == 0)
    assert not np.isnan(taus[~constant]).any()
    wanted = ((1 - np.where(constant, 0.0, np.nan_to_num(taus))) / 2).mean()
    assert objectives.rank_distance(U, V) == pytest.approx(wanted, abs=1e-12)


def test_rank_distance_by_hand() -> None:
    u = np.array([[1.0, 2.0, 3.0]])
    assert objectives.rank_distance(u, u) == 0
    assert objectives.rank_distance(u, -u) == 1
    assert objectives.rank_distance(u, np.array([[1.0, 3.0, 2.0]])) == pytest.approx(1 / 3)
    assert objectives.rank_distance(u, np.ones((1, 3))) == 0.5
    tied = np.array([[1.0, 1.0, 2.0]])  # tau-b = 2 / sqrt(3 * 2)
    assert objectives.rank_distance(u, tied) == pytest.approx((1 - 2 / math.sqrt(6)) / 2)


def test_regret_distance_by_hand() -> None:
    v = np.array([[0.0, 1.0, 5.0], [4.0, 0.0, 2.0]])
    assert objectives.regret_distance(v, v) == 0
    u = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]])  # picks 1; then 4 or 2, evenly
    lost, chance = ((5 - 1) + (4 - 3)) / 2, ((5 - 2) + (4 - 2)) / 2
    assert objectives.regret_distance(u, v) == pytest.approx(lost / chance)
    assert objectives.regret_distance(np.ones((2, 3)), v) == pytest.approx(1), "ties are chance"
    assert objectives.regret_distance(u, np.ones((2, 3))) == 0, "nothing to lose"
    assert objectives.regret_distance(
        np.array([[1.0, 0.0, 0.0]] * 2), np.array([[0.0, 1.0, 1.0]] * 2)
    ) == pytest.approx(3)


def test_correlation_is_pearsons_within_tasks() -> None:
    centred_u = U - U.mean(axis=1, keepdims=True)
    centred_v = V - V.mean(axis=1, keepdims=True)
    wanted = np.corrcoef(centred_u.ravel(), centred_v.ravel())[0, 1]
    assert objectives.correlation(U, V) == pytest.approx(wanted, abs=1e-12)
    assert objectives.correlation(U, 3 * U + RNG.normal(size=(200, 1))) == pytest.approx(1)


def test_starc_is_the_epic_distance_of_the_pearson_correlation() -> None:
    rho = objectives.correlation(U, V)
    assert objectives.starc_distance(U, V) == pytest.approx(math.sqrt((1 - rho) / 2), abs=1e-12)
    assert objectives.starc_distance(U, -U) == pytest.approx(1)
    assert objectives.starc_distance(U, U + 4) == pytest.approx(0, abs=1e-12)
    by_hand = np.array([[1.0, 0.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0, 0.0]])
    assert objectives.correlation(*by_hand) == pytest.approx(-1 / 3)
    assert objectives.starc_distance(*by_hand) == pytest.approx(math.sqrt(2 / 3))


def test_a_constant_objective_is_half_way_from_any_other() -> None:
    """STARC sends it to 0, which is at half the length of a normalised objective."""
    assert objectives.starc_distance(np.ones((5, 3)), U[:5, :3] + np.arange(3)) == 0.5
    assert objectives.correlation(np.ones((5, 3)), np.ones((5, 3))) == 0


def test_normalised_has_unit_mean_square_and_no_task_mean() -> None:
    got = objectives.normalised(U)
    np.testing.assert_allclose(got.mean(axis=1), 0, atol=1e-12)
    assert (got**2).mean() == pytest.approx(1)


def test_the_floor_is_where_the_first_choice_flips() -> None:
    rng = np.random.default_rng(0)
    features = rng.integers(0, 8, size=(50_000, 4, 3))
    mesa, base = features[..., :2].sum(axis=2), features[..., ::2].sum(axis=2)
    found = objectives.floor(mesa, base)
    clear = (mesa == mesa.max(axis=1, keepdims=True)).sum(axis=1) == 1
    u, v = objectives.normalised(mesa)[clear], objectives.normalised(base)[clear]

    def flips(share: float) -> bool:
        return bool((((1 - share) * u + share * v).argmax(axis=1) != u.argmax(axis=1)).any())

    assert not flips(found - 1e-6)
    assert flips(found + 1e-6)
    assert abs(found - 1 / (1 + 2 * 7)) < 0.02  # the theory's 1/(2(L-1)) for three features


def test_where_objectives_agree_nothing_ever_flips() -> None:
    values = np.random.default_rng(0).normal(size=(50, 4))
    assert objectives.floor(values, 3 * values) == 1
    tied = np.ones((5, 3))
    assert objectives.floor(tied, np.arange(15.0).reshape(5, 3)) == 1
