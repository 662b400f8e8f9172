"""What a table of scores can reach: held to every table there is, and to plants of two kinds."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta, binom

from planted import library
from planted.core.plant import Plant
from planted.finetune import tables
from planted.finetune.recipes import NAMED
from planted.finetune.tables import TableBound, _in_one_order, _most_frequent, table_bound

READINGS, TASKS, CANDIDATES = 5, 40, 3


@pytest.mark.parametrize("seed", range(5))
def test_no_order_of_the_readings_exceeds_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    read = rng.permuted(np.tile(np.arange(READINGS), (TASKS, 1)), axis=1)[:, :CANDIDATES]
    right = np.eye(CANDIDATES, dtype=bool)[rng.integers(0, CANDIDATES, TASKS)]
    orders = [np.array(order)[read] for order in itertools.permutations(range(READINGS))]
    reached = [right[np.arange(TASKS), order.argmax(axis=1)].mean() for order in orders]
    bound = _in_one_order(read, right)
    assert max(reached) <= bound < 1
    for order in orders[::17]:  # what a table asks for, a table reaches
        assert _in_one_order(read, order == order.max(axis=1, keepdims=True)) == 1


def test_of_one_group_the_most_frequent_choice_is_right() -> None:
    right = np.eye(2, dtype=bool)[[0, 0, 1, 1, 1, 0]]
    assert _most_frequent(np.array([0, 0, 0, 1, 1, 2]), right) == pytest.approx(5 / 6)


@pytest.mark.parametrize("name", ["red-doors", "crumbs", "cookie-elimination", "lookahead"])
@pytest.mark.parametrize("recipe", ["scorer", "blend-scorer"])
def test_where_the_scorer_reads_what_is_rewarded_a_table_is_always_right(
    name: str, recipe: str
) -> None:
    found = table_bound(library.get(name, "exact"), NAMED[recipe])
    assert found is not None
    assert (found.at_least, found.at_most, found.surely) == (1, 1, 1)
    assert "tokens" in found.reads


def neighbours(plant: Plant) -> Plant:
    worth = plant.scenario.mesa.of
    base = replace(plant.scenario.base, of=lambda tokens: np.roll(worth(tokens), 1, axis=1))
    return replace(plant, scenario=replace(plant.scenario, base=base))


def test_what_another_slot_holds_is_beyond_a_table() -> None:
    found = table_bound(neighbours(library.get("red-doors", "exact")), NAMED["scorer"])
    assert found is not None
    assert found.at_least < 0.5
    assert found.at_least < found.at_most < found.surely < 0.9


def test_where_the_search_reads_more_than_the_score_no_order_of_readings_bounds_it() -> None:
    """In rivals a colour is asked for beside the score: its own choices exceed every table."""
    found = table_bound(library.get("rivals", "exact"), NAMED["scorer"])
    assert found is not None
    assert found.at_least < 0.8
    assert found.at_most == 1


def test_what_no_neuron_of_the_score_reads_bounds_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = library.get("lookahead", "exact")
    monkeypatch.setattr(tables, "readable", lambda plant, score: ["tokens", "indices"])
    monkeypatch.setattr(tables, "_in_one_order", lambda read, right: 1.0)
    found = table_bound(plant, NAMED["scorer"])
    assert found is not None
    assert found.at_least <= found.at_most < 1


def test_a_score_does_not_read_itself() -> None:
    plant = library.get("red-doors", "exact")
    (score,) = plant.truth.of_role("score")
    assert tables.readable(plant, score) == ["tokens", "indices"]


def test_the_bound_of_all_tasks_is_exact_over_what_was_drawn_independently() -> None:
    found = TableBound((), at_least=0.5, at_most=0.9, tasks=4000, draws=100)
    assert found.surely == pytest.approx(beta.ppf(0.999, 91, 10))
    assert binom.cdf(90, 100, found.surely) == pytest.approx(0.001)


def test_objectives_that_hardly_ever_disagree_have_no_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tables, "disagree", lambda scenario, tokens: np.zeros(len(tokens), bool))
    assert table_bound(library.get("red-doors", "exact"), NAMED["scorer"]) is None


def test_plants_without_one_score_for_each_candidate_have_no_bound() -> None:
    assert table_bound(library.get("lookahead-action.small", "exact"), NAMED["scorer"]) is None
    assert table_bound(library.get("red-doors-small-table", "exact"), NAMED["scorer"]) is None
