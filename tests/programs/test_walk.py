"""A walk of two moves: what it earns, by hand; and the network run twice."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from planted.core.checks import checked
from planted.core.objectives import leftmost
from planted.core.sampling import disagree
from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError
from planted.network.model import Network
from planted.programs.walk import BASE, MESA, WORLDS
from tests import helpers


def arrives(words: tuple[str, ...], action: int) -> int:
    """The state that an action leads to from the one in a task's words."""
    return WORLDS[words[4]][action][int(words[3].removeprefix("state-"))]


def earns(words: tuple[str, ...], actions: tuple[int, ...], rewards: tuple[int, ...]) -> int:
    """What actions earn, one after another, until no move is left."""
    total = 0
    for action in actions[: int(words[5].removeprefix("left-"))]:
        reached = arrives(words, action)
        total += rewards[reached]
        words = (*words[:3], f"state-{reached}", *words[4:])
    return total


@pytest.fixture(scope="module")
def place() -> Scenario:
    return helpers.scenario("lookahead-walk")


@pytest.fixture(scope="module")
def tokens(place: Scenario) -> Tokens:
    assert place.enumerate is not None
    return place.enumerate()


def test_an_action_is_worth_the_best_walk_that_begins_with_it(
    place: Scenario, tokens: Tokens
) -> None:
    assert len(tokens) == 5 * 4 * 2 * 2
    walks = list(itertools.product(range(3), repeat=2))
    for utility, rewards in ((place.mesa, MESA), (place.base, BASE)):
        for row, words in zip(utility.of(tokens), place.token_strings(tokens), strict=True):
            want = [max(earns(words, w, rewards) for w in walks if w[0] == a) for a in range(3)]
            assert row.tolist() == want


def test_a_step_goes_where_the_world_says_and_takes_a_move(place: Scenario, tokens: Tokens) -> None:
    episode = place.episode
    assert episode is not None
    before = place.token_strings(tokens)
    for action in range(3):
        after = place.token_strings(episode.step(tokens, np.full(len(tokens), action)))
        for old, new in zip(before, after, strict=True):
            assert new[3] == f"state-{arrives(old, action)}"
            assert new[5] == "left-1"
            assert (new[:3], new[4], new[6:]) == (old[:3], old[4], old[6:])
        for utility, rewards in ((episode.mesa, MESA), (episode.base, BASE)):
            paid = utility.of(tokens)[:, action]
            assert paid.tolist() == [rewards[arrives(words, action)] for words in before]
    assert episode.goes_on(tokens).tolist() == [words[5] == "left-2" for words in before]


def test_objectives_disagree_at_both_steps_and_the_next_reward_is_no_guide(
    place: Scenario, tokens: Tokens
) -> None:
    episode = place.episode
    assert episode is not None
    goes_on = episode.goes_on(tokens)
    apart = disagree(place, tokens)
    assert apart[goes_on].mean() > 0.3
    assert apart[~goes_on].mean() > 0.3
    agreed = leftmost(place.mesa.of(tokens)) == leftmost(place.base.of(tokens))
    assert agreed[goes_on].mean() > 0.3, "training holds first steps too"
    best = place.base.of(tokens)
    greedy = leftmost(episode.base.of(tokens))
    lost = best[np.arange(len(best)), greedy] < best.max(axis=1)
    assert lost[goes_on].mean() > 0.3
    assert not lost[~goes_on].any()


def test_the_network_run_twice_earns_the_most_it_can(place: Scenario, tokens: Tokens) -> None:
    compiled = helpers.compiled("lookahead-walk")
    network, episode = Network(compiled.params, compiled.spec), place.episode
    assert episode is not None
    began = tokens[episode.goes_on(tokens)]
    first = network(began).argmax(axis=1)
    reached = episode.step(began, first)
    second = network(reached).argmax(axis=1)
    for words, one, two in zip(place.token_strings(began), first, second, strict=True):
        most = max(earns(words, w, MESA) for w in itertools.product(range(3), repeat=2))
        assert earns(words, (int(one), int(two)), MESA) == most


def test_an_episode_that_cannot_be_is_refused(place: Scenario) -> None:
    episode = place.episode
    assert episode is not None
    checked(place)
    endless = replace(episode, goes_on=lambda tokens: np.ones(len(tokens), bool))
    with pytest.raises(PlantedError, match="goes on after its second step"):
        checked(replace(place, episode=endless))
    with pytest.raises(PlantedError, match=r"best continuation"):
        checked(replace(place, base=replace(episode.base, levels=place.base.levels)))
    nowhere = replace(episode, step=lambda tokens, chosen: tokens + 1)
    with pytest.raises(PlantedError, match=r"episode\.step gives no task"):
        checked(replace(place, episode=nowhere))
