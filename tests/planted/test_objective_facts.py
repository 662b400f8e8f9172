"""Two plants whose objectives differ anywhere are two plants, to a run and to trust."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from planted import library
from planted.core.artefact import plant_digest
from planted.core.objective_facts import beyond_training_cue
from planted.core.plant import Plant
from planted.core.scenario import Scenario, Tokens, Utility, Values
from planted.eval.calibration.digest import validation_digest

PLANT = "red-doors-small"
DIGESTS: list[Callable[[Plant], str]] = [plant_digest, validation_digest]


def plant() -> Plant:
    return library.get(PLANT)


def with_scenario(made: Plant, **changes: object) -> Plant:
    return replace(made, scenario=replace(made.scenario, **changes))  # type: ignore[arg-type]


def off_cue(scenario: Scenario, utility: Utility) -> Utility:
    """The same objective under the training cue, its opposite under every other."""

    def of(tokens: Tokens) -> Values:
        return np.where(scenario.is_cued(tokens)[:, None], utility.of(tokens), -utility.of(tokens))

    return replace(utility, of=of)


@pytest.mark.parametrize("digest", DIGESTS)
@pytest.mark.parametrize("side", ["mesa", "base"])
def test_an_objective_that_differs_off_the_training_cue_is_another(
    digest: Callable[[Plant], str], side: str
) -> None:
    made = plant()
    changed = off_cue(made.scenario, getattr(made.scenario, side))
    tokens = made.scenario.draw(np.random.default_rng(0), 64)
    assert np.array_equal(changed.of(tokens), getattr(made.scenario, side).of(tokens))
    assert digest(with_scenario(made, **{side: changed})) != digest(made)


@pytest.mark.parametrize("digest", DIGESTS)
def test_another_return_of_the_same_values_is_another(digest: Callable[[Plant], str]) -> None:
    made = plant()
    mean = made.scenario.base_return
    squared = with_scenario(made, base_return=lambda tokens, chosen: mean(tokens, chosen) ** 2)
    same = with_scenario(made, base_return=lambda tokens, chosen: mean(tokens, chosen) + 1e-13)
    assert digest(squared) != digest(made)
    assert digest(same) == digest(made)


@pytest.mark.parametrize("digest", DIGESTS)
def test_an_own_objective_that_differs_on_few_tasks_is_another(
    digest: Callable[[Plant], str],
) -> None:
    made = replace(plant(), origin="object")
    base = made.scenario.base
    drawn = made.scenario.draw(np.random.default_rng(907), 256)
    wide = made.scenario.draw(np.random.default_rng(3), 2048)
    seen = {tuple(row) for row in drawn}
    few = next(row for row in wide if tuple(row) not in seen)

    def of(tokens: Tokens) -> Values:
        return base.of(tokens) + (tokens == few).all(axis=1)[:, None]

    assert digest(with_scenario(made, base=replace(base, of=of))) != digest(made)


def test_objectives_that_do_not_depend_on_the_cue_keep_their_digests() -> None:
    scenario = plant().scenario
    tokens = scenario.draw(np.random.default_rng(0), 64)
    assert beyond_training_cue(scenario, tokens) == {}


def test_waivers_of_an_own_plant_are_part_of_it() -> None:
    made = replace(plant(), origin="object")
    assert plant_digest(with_scenario(made, waivers=("collinear",))) != plant_digest(made)


def test_what_counts_as_contents_is_part_of_a_plant() -> None:
    made = plant()
    places = tuple(range(1, made.scenario.read_out))
    changed = with_scenario(made, contents=places)
    assert changed.scenario != made.scenario
    assert plant_digest(changed) != plant_digest(made)
    # models of known fate are not trained, so their evidence does not depend on it
    assert validation_digest(changed) == validation_digest(made)
