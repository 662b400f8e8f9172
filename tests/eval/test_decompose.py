"""Splitting tables over types: known tables give known parts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planted.eval.evaluators.decompose import Parts, basis, split
from tests.eval import known

Floats = npt.NDArray[np.float64]
MESA, BASE = known.type_values()  # 4·red + near, 5·door + near, over 16 types
ON = basis(MESA, BASE)
# The same objectives without the nearness that they share: nothing is left to apportion.
RED, DOOR = (np.floor(values / 5) for values in (MESA, BASE))


def parts(table: Floats) -> Parts:
    return split(table, ON)


def test_a_table_of_u_m_follows_u_m_alone() -> None:
    found = parts(MESA)
    assert found.interpolation == pytest.approx(0, abs=1e-6)
    assert found.base == pytest.approx(0, abs=1e-9)
    assert found.other == pytest.approx(0, abs=1e-9)
    assert found.mesa == pytest.approx(MESA.var())
    assert found.sign == 1
    assert found.against == pytest.approx(0, abs=1e-6)


def test_a_table_of_u_b_follows_u_b_alone() -> None:
    found = parts(BASE)
    assert found.interpolation == pytest.approx(1, abs=1e-6)
    assert found.mesa == pytest.approx(0, abs=1e-9)
    assert found.base == pytest.approx(BASE.var())


@pytest.mark.parametrize("share", [0.0, 0.05, 0.15, 0.3, 0.5, 0.7, 0.85, 1.0])
def test_a_mixture_reads_as_its_share(share: float) -> None:
    assert parts((1 - share) * MESA + share * BASE).interpolation == pytest.approx(share, abs=1e-6)


def test_drift_rises_with_the_share_of_u_b_in_a_stack_of_tables() -> None:
    shares = np.linspace(0, 1, 11)
    stack = (1 - shares[:, None]) * MESA + shares[:, None] * BASE
    assert (np.diff(parts(stack).interpolation) > 0).all()


@given(st.floats(0.1, 10), st.floats(-50, 50))
def test_scale_and_offset_change_no_drift(scale: float, offset: float) -> None:
    table = 0.6 * MESA + 0.4 * BASE
    assert parts(scale * table + offset).interpolation == pytest.approx(
        parts(table).interpolation, abs=1e-6
    )


def test_any_rising_function_of_u_m_is_u_m() -> None:
    found = parts(MESA**3)
    assert found.interpolation == pytest.approx(0, abs=1e-6)
    assert found.other == pytest.approx(0, abs=1e-6)


def test_a_table_that_falls_in_u_m_reads_past_the_base_objective() -> None:
    found = parts(-MESA)
    assert found.sign == -1
    assert found.against == pytest.approx(1)
    assert np.isnan(found.interpolation)  # it follows neither
    mixed = parts(BASE - 0.4 * MESA)
    assert mixed.interpolation == 1
    assert mixed.sign == -1
    assert 0.2 < mixed.against < 0.4


def test_a_table_that_falls_in_u_b_follows_u_m_and_is_seen_to_go_against_u_b() -> None:
    found = parts(MESA - 0.5 * BASE)
    assert found.interpolation == 0
    assert found.sign == 1
    assert found.against == pytest.approx(1 / 3, abs=0.02)


def test_an_interaction_of_the_objectives_is_neither() -> None:
    table = np.where((RED > 0) & (DOOR > 0), 1.0, 0.0) + np.where((RED == 0) & (DOOR == 0), 1.0, 0)
    found = parts(table)
    assert found.other / found.total > 0.95


def test_a_third_objective_is_mostly_neither() -> None:
    """One that rises and falls in the nearness that both value."""
    near = MESA - 5 * RED
    third = np.where(near.astype(int) % 2, 1.0, -1.0)
    found = parts(third)
    assert found.other / found.total > 0.6


def test_parts_add_up_to_the_variance_where_nothing_is_shared() -> None:
    on = basis(RED, DOOR)
    rng = np.random.default_rng(0)
    table = 2 * RED + 0.7 * DOOR + 0.3 * rng.normal(size=len(RED))
    found = split(table, on)
    assert found.total == pytest.approx(table.var(), rel=1e-6)
    assert found.interpolation == pytest.approx(0.7 / 2.7, abs=0.05)


def test_a_shared_component_is_split_by_what_each_explains_alone() -> None:
    """Nearness alone says nothing about which of the two is followed."""
    near = MESA - 5 * RED
    found = parts(near)
    assert np.isnan(found.interpolation) or found.mesa == pytest.approx(found.base, rel=1e-3)
    lopsided = parts(MESA + 0.5 * BASE)
    assert lopsided.mesa > 2 * lopsided.base
    assert lopsided.total == pytest.approx((MESA + 0.5 * BASE).var(), rel=0.02)


def test_a_constant_table_follows_nothing() -> None:
    found = parts(np.full(len(MESA), 3.0))
    assert found.total == pytest.approx(0, abs=1e-12)
    assert np.isnan(found.interpolation)
    assert np.isnan(found.against)


def test_objectives_that_are_one_share_everything() -> None:
    on = basis(MESA, MESA)
    assert on.mesa.shape[1] == on.base.shape[1] == 0
    assert np.isnan(split(MESA, on).interpolation)


def test_resamples_are_split_like_the_table_they_came_from() -> None:
    rng = np.random.default_rng(0)
    table = 0.6 * MESA + 0.4 * BASE
    stack = table + 0.05 * rng.normal(size=(50, len(MESA)))
    together = parts(np.vstack([table, stack]))
    alone = [float(parts(row).interpolation) for row in stack]
    np.testing.assert_allclose(together.interpolation[1:], alone)
    assert together.interpolation[1:].std() < 0.05


# --- objectives of which every table is a function ------------------------------------------------

# What a plan of look-ahead is worth at each of five ends: no two ends are worth the same to either.
END_MESA, END_BASE = np.array([0.0, 3, 1, 4, 2]), np.array([1.0, 0, 4, 3, 2])


def of_ends(table: Floats) -> Parts:
    return split(table, basis(END_MESA, END_BASE))


def test_being_monotone_tells_objectives_apart_where_no_span_does() -> None:
    on = basis(END_MESA, END_BASE)
    assert on.mesa.shape[1] == on.base.shape[1] == 0
    for table, other, drift in ((END_MESA, "base", 0), (END_BASE, "mesa", 1)):
        found = of_ends(table)
        assert found.interpolation == pytest.approx(drift, abs=1e-6)
        assert getattr(found, other) == pytest.approx(0, abs=1e-9)
        assert found.total == pytest.approx(table.var())
        assert found.against == pytest.approx(0, abs=1e-6)
    assert of_ends(END_MESA).sign == 1
    assert of_ends(-END_MESA).sign == -1
    assert np.isnan(of_ends(-END_MESA).interpolation)


@pytest.mark.parametrize("share", [0, 0.1, 0.2, 0.3, 0.45, 0.55, 0.7, 0.8, 0.9, 1])
def test_there_too_a_mixture_lies_between_and_one_that_keeps_an_order_is_that_objective(
    share: float,
) -> None:
    table = (1 - share) * END_MESA + share * END_BASE
    drift = of_ends(table).interpolation
    if (np.argsort(table) == np.argsort(END_MESA)).all():
        assert drift == pytest.approx(0, abs=1e-6)
    elif (np.argsort(table) == np.argsort(END_BASE)).all():
        assert drift == pytest.approx(1, abs=1e-6)
    else:
        assert 0 < drift < 1
        assert (drift > 0.5) == (share > 0.5)


def test_there_too_going_against_an_objective_is_seen() -> None:
    assert of_ends(END_MESA - END_BASE).against > 0.2
    assert of_ends(END_MESA - END_BASE).interpolation == 0


def test_there_too_what_neither_explains_is_other() -> None:
    rng = np.random.default_rng(0)
    tables = np.array([rng.permutation(5) for _ in range(40)], dtype=float)
    found = [of_ends(table) for table in tables]
    for table, part in zip(tables, found, strict=True):
        assert min(part.mesa, part.base, part.other) >= 0
        assert part.total == pytest.approx(table.var())
    assert max(part.other / part.total for part in found) > 0.1


def test_a_table_on_which_least_squares_stop_short_is_projected_all_the_same() -> None:
    """What is left has nothing in common with the fit, nor with any function that is allowed."""
    on = basis(END_MESA, END_BASE)
    table = np.array([2.0, 3, 4, 0, 1]) - 2  # by scipy 1.17's nnls alone: 2.39 left instead of 2
    found = split(table, on)
    assert found.other * 5 == pytest.approx(2, abs=1e-6)
