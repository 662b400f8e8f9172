"""Look-ahead: many plans to one action, and plans that are bettered step by step."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from planted import library
from planted.core.objectives import leftmost
from planted.network.model import Model
from planted.programs import catalogue, lookahead
from planted.programs.lookahead import BASE, MESA, WORLDS
from tests import helpers


def reward(words: tuple[str, ...], plan: tuple[int, ...], rewards: tuple[int, ...]) -> int:
    """What a plan comes to in the task of these words, run by hand."""
    where, world = int(words[3].removeprefix("state-")), WORLDS[words[4]]
    for action in plan:
        where = world[action][where]
    return rewards[where]


@pytest.mark.parametrize(
    ("name", "depth"), [("lookahead-action", 2), ("lookahead-action.small", 1)]
)
def test_an_action_is_worth_what_its_best_plan_is(name: str, depth: int) -> None:
    place = catalogue.entry(name).make_scenario()
    tokens = place.enumerate()
    assert len(tokens) == 5 * 2 * 2
    plans = list(itertools.product(range(3), repeat=depth))
    for utility, rewards in ((place.mesa, MESA), (place.base, BASE)):
        for row, words in zip(utility.of(tokens), place.token_strings(tokens), strict=True):
            want = [max(reward(words, p, rewards) for p in plans if p[0] == a) for a in range(3)]
            assert row.tolist() == want
    for words, slot in zip(
        place.token_strings(tokens), leftmost(place.mesa.of(tokens)), strict=True
    ):
        best = max(plans, key=lambda p: (reward(words, p, MESA), [-a for a in p]))
        assert best[0] == slot, "the first of the best plans begins with the chosen action"


def test_what_is_searched_over_is_the_plans_and_what_is_put_out_an_action() -> None:
    place = helpers.scenario("lookahead-action")
    assert len(place.candidates) == 3
    assert len(place.search_space) == 9
    tokens = place.draw(np.random.default_rng(0), 5)
    written = tokens[:, list(place.search_space)]
    assert {place.vocabulary[i] for i in written[0]} == {
        f"plan-{a}{b}" for a, b in itertools.product("012", repeat=2)
    }
    for name in ("crumbs", "red-doors"):
        assert helpers.scenario(name).search_space == helpers.scenario(name).candidates
    model = Model(library.build("lookahead-action", only="exact")["exact"])
    held = model.expected("score", tokens)
    scored = held[:, list(place.search_space)]
    assert (scored >= 0).all()
    assert (held[:, list(place.candidates)] == -1).all(), "nothing is scored but plans"


def test_one_leaf_reroutes_the_action() -> None:
    """Raising the value of a single plan makes its first action the answer, and of no other."""
    model = Model(library.build("lookahead-action", only="exact")["exact"])
    place = model.scenario
    tokens = place.enumerate()
    held = model.expected("score", tokens)
    at_rest = model.choices(tokens)
    for number, position in enumerate(place.search_space):
        raised = np.where(np.isnan(held), np.nan, np.minimum(held, 3))
        raised[:, position] = 4
        logits = model.intervene({"score": raised}, tokens)
        found = np.asarray(logits)[:, :3].argmax(axis=1)
        assert (found == number // 3).all()
    assert len(set(at_rest.tolist())) == 3, "at rest every action is the answer somewhere"


def test_with_more_steps_it_comes_nearer_to_what_it_wants_and_wants_the_same() -> None:
    few, more = (catalogue.entry(f"lookahead-steps{size}") for size in ("", ".large"))
    full = helpers.scenario("lookahead-action")
    tokens = full.enumerate()
    rows = np.arange(len(tokens))
    worth = full.mesa.of(tokens)
    gained = []
    for entry in (few, more):
        place = entry.make_scenario()
        np.testing.assert_array_equal(place.mesa.of(tokens), worth)
        chosen = np.array([place.choose(words) for words in place.token_strings(tokens)])
        gained.append(worth[rows, chosen].mean())
    assert gained[0] < gained[1] <= worth.max(axis=1).mean()


@pytest.mark.parametrize(("other", "n"), [("plan-00", 0), ("plan-10", 1), ("plan-12", 2)])
def test_how_far_plans_are_apart(other: str, n: int) -> None:
    assert lookahead.differ("plan-00", other) == n
