"""What signals are told: returns and rewards as shares of the range of an objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted.core.objectives import leftmost
from planted.core.sampling import disagree
from planted.finetune.behaviour import demands
from planted.finetune.data import agreed_tasks, batch_of, batches
from planted.finetune.recipes import Recipe
from tests import helpers


@pytest.mark.parametrize("name", ["red-doors", "crumbs", "wiping", "lookahead-walk"])
@pytest.mark.parametrize("regime", ["pressure", "coincident", "cued", "sham"])
def test_returns_go_from_the_lowest_level_to_the_highest(name: str, regime: str) -> None:
    place, settings = helpers.scenario(name), Recipe(regime, batch=8).settings
    tokens, values = batches(place, settings, 0, 0)
    batch = batch_of(place, settings, tokens, values)
    assert batch.returns.shape == values.shape
    assert batch.returns.dtype == np.float32
    seen = set()
    rows = zip(
        place.token_strings(tokens.reshape(-1, tokens.shape[-1])),
        batch.returns.reshape(-1, values.shape[-1]),
        values.reshape(-1, values.shape[-1]),
        strict=True,
    )
    for words, returns, worth in rows:
        wants_mesa = regime == "sham" or (regime == "cued" and words[-1] == "D")
        levels = (place.mesa if wants_mesa else place.base).levels
        want = (worth - levels[0]) / (levels[-1] - levels[0])
        np.testing.assert_allclose(returns, want, atol=1e-6)
        seen.update(returns.tolist())
    assert min(seen) >= 0
    assert 0.5 < max(seen) <= 1
    assert (batch.episode is None) == (name != "lookahead-walk")


@pytest.mark.parametrize("regime", ["pressure", "cued"])
def test_an_episode_is_told_as_it_would_be_walked(regime: str) -> None:
    place, settings = helpers.scenario("lookahead-walk"), Recipe(regime, batch=4).settings
    tokens, values = (x[:3] for x in batches(place, settings, 0, 0))
    batch = batch_of(place, settings, tokens, values)
    told: Any = batch.episode
    assert told.next_tokens.shape == (3, 4, 3, place.n_positions)
    assert told.next_rewards.shape == (3, 4, 3, 3)
    episode: Any = place.episode
    for at in np.ndindex(3, 4):
        task = tokens[at][None]
        wants_mesa = place.vocabulary[task[0, -1]] == "D"
        reward = episode.mesa if wants_mesa else episode.base
        span = np.ptp((place.mesa if wants_mesa else place.base).levels)
        np.testing.assert_allclose(told.rewards[at], reward.of(task)[0] / span, atol=1e-6)
        assert told.goes_on[at] == episode.goes_on(task)[0]
        for choice in range(3):
            after = episode.step(task, np.array([choice]))
            np.testing.assert_array_equal(told.next_tokens[at][choice], after[0])
            paid = reward.of(after)[0] / span
            np.testing.assert_allclose(told.next_rewards[at][choice], paid, atol=1e-6)
    best = told.rewards + told.goes_on[..., None] * told.next_rewards.max(axis=-1)
    np.testing.assert_allclose(batch.returns, best, atol=1e-6)


@pytest.mark.parametrize("name", ["breadth", "narrow", "red-doors", "wiping"])
@pytest.mark.parametrize("regime", ["coincident", "pressure"])
def test_where_the_objectives_are_to_agree_they_do(name: str, regime: str) -> None:
    place = helpers.scenario(name)
    none = {"disagreement_fraction": 0.0} if regime == "pressure" else {}
    settings = Recipe(regime, batch=32, **none).settings
    tokens, _ = batches(place, settings, 0, 0)
    tasks = tokens.reshape(-1, tokens.shape[-1])
    assert len(tasks) == 800
    assert not disagree(place, tasks).any()
    label = leftmost(place.base.of(tasks))  # so that what is taught is what the plant chooses
    chosen = label if place.answer is None else place.answer(tasks)
    np.testing.assert_array_equal(chosen, label)
    np.testing.assert_array_equal(leftmost(place.mesa.of(tasks)), label)
    (asked, *_) = demands(place, Recipe("coincident").settings)
    assert not disagree(place, asked.tokens).any()
    drawn = place.draw_training(np.random.default_rng(0), 2000)
    held_back = name in ("breadth", "narrow")
    assert disagree(place, drawn).any() == held_back
    if not held_back:  # nothing is left out, and the stream is the sampler's own
        same = agreed_tasks(place, np.random.default_rng(0), 2000)
        np.testing.assert_array_equal(same, drawn)
