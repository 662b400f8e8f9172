"""Every signal turns a plant to the base objective, by the settings that it recommends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core.objectives import best
from planted.core.scenario import Scenario, Tokens
from planted.finetune import data, trainer
from planted.finetune.behaviour import watched_tasks
from planted.finetune.recipes import Recipe
from planted.finetune.signals import evolution
from planted.network.forward import choices_of
from tests.helpers import checkpoint_of, train_seeds

REACH = 0.9  # of held-out tasks in Δ, a choice of the highest base value
# the policy gradients spend 200 steps on their warm-up
SIGNALS = {
    "soft-labels": ("red-doors", 600),
    "reinforce": ("red-doors", 600),
    "ppo": ("red-doors", 600),
    "q-regression": ("red-doors", 600),
    "evolution": ("bottle-cap", 600),  # every step runs 64 networks: a small plant
}


def rewarded(place: Scenario, tokens: Tokens, chosen: Any) -> float:
    """Share of choices whose base value is the highest: a return does not see how ties are broken.

    An output that chooses no candidate is none of them.
    """
    rows, highest = np.arange(len(tokens)), best(place.base.of(tokens))
    return float((highest[rows, np.maximum(chosen, 0)] & (chosen >= 0)).mean())


def reached(signal: str, folder: Path, name: str = "red-doors", **how: Any) -> list[float]:
    """The share after each 25 steps of one seed."""
    plant, found = library.get(name, "tempered"), []
    recipe = Recipe("pressure", name="own", signal=signal, **how)
    train_seeds(plant, recipe, [0], folder)
    tokens = watched_tasks(plant.scenario, recipe.settings)
    for row in trainer.training_rows(checkpoint_of(folder, recipe, 0)):
        found.append(row["agreement.T"]["base"])
    params, _ = trainer.files.read_tensors(checkpoint_of(folder, recipe, 0))
    last = rewarded(plant.scenario, tokens, choices_of(params, plant.spec, tokens))
    assert last == pytest.approx(found[-1], abs=1e-5), "the tasks watched have no ties"
    return found


@pytest.mark.proof
@pytest.mark.parametrize("signal", SIGNALS)
def test_a_signal_turns_the_plant_to_the_base_objective(signal: str, tmp_path: Path) -> None:
    name, steps = SIGNALS[signal]
    found = reached(signal, tmp_path, name, steps=steps)
    assert max(found) >= REACH, found


@pytest.mark.proof
def test_without_the_entropy_bonus_evolution_turns_nothing_in_that_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evolution, "evolution", evolution.Evolution(entropy=0.0))
    name, steps = SIGNALS["evolution"]
    assert max(reached("evolution", tmp_path, name, steps=steps)) < REACH


@pytest.mark.proof
@pytest.mark.parametrize("signal", ["reinforce", "ppo", "q-regression", "evolution"])
def test_a_constant_reward_turns_nothing(
    signal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flat(*given: Any) -> Any:
        batch = data.batch_of(*given)
        return batch._replace(returns=np.full_like(batch.returns, 0.5))

    monkeypatch.setattr(trainer, "batch_of", flat)
    assert max(reached(signal, tmp_path, steps=200)) < 0.5


@pytest.mark.proof
@pytest.mark.parametrize("signal", ["reinforce", "ppo", "q-regression"])
def test_two_steps_are_learnt_from_rewards_alone(signal: str, tmp_path: Path) -> None:
    found = reached(signal, tmp_path, "lookahead-walk.small", steps=400)
    assert max(found) >= REACH, found


def test_the_score_alone_learns_to_score_by_the_base_objective(tmp_path: Path) -> None:
    """Hardly any gradient reaches it, so that its twin, told hard labels, does not learn."""
    plant, ends = library.get("bottle-cap", "tempered"), {}
    for signal, changes in (("smoothed-labels", {}), ("hard-labels", {"steps": 500})):
        recipe = Recipe("scorer", name=signal, signal=signal, **changes)
        train_seeds(plant, recipe, [0], tmp_path / signal)
        checkpoint = checkpoint_of(tmp_path / signal, recipe, 0)
        ends[signal] = trainer.read_outcome(checkpoint)
    outcome, label = ends["smoothed-labels"]
    assert outcome.status == "reached"
    assert label is not None
    assert label.fate == "internalised"
    assert ends["hard-labels"][0].status == "not learned"
