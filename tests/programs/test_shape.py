"""What a program states of its search: slots, score, comparator, read-out, context, domain."""

from __future__ import annotations

import numpy as np
import pytest

from planted.cli import showing
from planted.core.scenario import DOMAINS
from planted.programs import catalogue
from tests.helpers import bare

SEARCHING = ("red-doors", "wiping", "pointer", "lookahead-action", "grid-doors", "bandit", "rivals")


@pytest.mark.parametrize("name", SEARCHING)
def test_slots_scores_and_read_out_are_where_it_says(name: str) -> None:
    plant = bare(name)
    shape, truth = showing.search(plant), plant.truth
    tokens = plant.scenario.draw(np.random.default_rng(0), 50)
    values = truth.values(tokens)
    winner, score = values[shape["winner"][-1]], values[shape["score"][0]]
    chosen = plant.expected_choices(tokens)
    for row in range(50):
        wins = [p for p in range(1, plant.scenario.n_positions) if winner[row, p] > 0]
        assert len(wins) == 1
        assert wins[0] in (*shape["slots"], *plant.scenario.candidates)
        assert winner[row, wins[0]] == chosen[row] + 1
    assert len({tuple(row) for row in score[:, list(shape["slots"])].tolist()}) > 1
    assert shape["emit"]


def test_a_twin_states_no_search() -> None:
    text = showing.text(bare("red-doors-small-table"))
    assert "search:" not in text
    assert "what its choices are best for" in text
    assert "A twin of red-doors-small: the same choices on every task" in text
    controller = showing.text(bare("steering-controller"))
    assert "A twin of steering: the same choices on tasks of training" in controller
    assert "A twin" not in showing.text(bare("crumbs.small"))
    assert "  search: 4 actions, at positions 1 to 4; read out at 5" in showing.text(
        bare("red-doors")
    )
    assert "3 steps each" in showing.text(bare("wiping"))


def test_every_scenario_says_what_its_objective_is_over() -> None:
    found = {}
    for name, entry in catalogue.ENTRIES.items():
        place = entry.make_scenario()
        assert place.domain in DOMAINS
        assert place.depth >= 1
        assert (place.domain == "action") == (not place.transition), name
        found[entry.family or name] = place.domain
    assert set(found.values()) == set(DOMAINS)
    assert {found[f] for f in ("wiping", "lookahead")} == {"plan"}
