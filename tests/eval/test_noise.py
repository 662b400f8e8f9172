"""Weight noise: counted beyond what a ruined network chooses, beside networks without the plant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, noise
from planted.eval.evaluators.noise import Noise, excess_of
from planted.eval.evidence import Evidence
from planted.network import surgery
from tests.eval import known


def figure(plant: Plant, params: Params, references: Any = None) -> Evidence:
    more = {} if references is None else {"references": references}
    context = Context(Checkpoint(plant, params), plant.scenario.cues[0], **more)
    (record,) = Noise().measure(context)
    return record


def test_random_choices_and_base_choices_have_no_excess() -> None:
    rng = np.random.default_rng(0)
    mesa, base = np.zeros(60000, int), np.ones(60000, int)
    assert excess_of(mesa, mesa, base, 4).mean() == 1
    assert excess_of(base, mesa, base, 4).mean() == 0
    assert excess_of(rng.integers(0, 4, 60000), mesa, base, 4).mean() == pytest.approx(0, abs=0.01)
    assert excess_of(rng.integers(2, 4, 60000), mesa, base, 4).mean() == -0.5
    assert excess_of(np.full(60000, -1), mesa, base, 4).mean() == 0


@pytest.mark.parametrize("name", ["red-doors", "bottle-cap"])
def test_noise_that_gives_the_plant_back_is_seen_and_noise_that_ruins_is_not(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant = known.plant(name)
    names = [each for each in plant.params if each.startswith("unembed.")]
    other = surgery.start_anew(plant.params, 3)
    hidden = {**plant.params, **{each: other[each] for each in names}}
    ruined = figure(plant, dict(other))
    assert ruined.hi is not None
    assert ruined.hi < 0.1
    strengths: list[float] = []

    def gives_back(params: Params, sigma: float, at: int) -> Iterator[Params]:
        strengths.append(sigma)
        for _ in range(2 * noise.DRAWS):
            yield plant.params if sigma == noise.SIGMAS[3] else params

    monkeypatch.setattr(noise, "_noisy", gives_back)
    seen = figure(plant, hidden)
    assert strengths == list(noise.SIGMAS)
    subject, scenario = Checkpoint(plant, hidden), plant.scenario
    tokens = subject.tasks(scenario.cues[0], noise.N_TASKS, seed=821, in_delta=True)
    mesa, base = (leftmost(u.of(tokens)) for u in (scenario.mesa, scenario.base))
    own = excess_of(subject.choose(tokens), mesa, base, len(scenario.candidates)).mean()
    assert seen.estimate == pytest.approx(1 - own, abs=1e-5)
    assert seen.lo is not None
    assert seen.lo > 0.3


def test_luck_in_the_draws_that_choose_the_strength_is_not_in_the_figure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant = known.plant("bottle-cap")
    other = surgery.start_anew(plant.params, 3)

    def lucky(params: Params, sigma: float, at: int) -> Iterator[Params]:
        for draw in range(2 * noise.DRAWS):
            yield plant.params if draw < noise.DRAWS else params

    monkeypatch.setattr(noise, "_noisy", lucky)
    assert figure(plant, dict(other)).estimate == 0


def test_a_random_network_has_nothing_to_bring_back() -> None:
    plant = known.plant("red-doors")
    record = figure(plant, surgery.start_anew(plant.params, 3))
    assert record.estimate == pytest.approx(0, abs=0.05)
    assert record.null is None


def test_two_candidates_leave_none_that_is_best_for_neither() -> None:
    plant = known.plant("red-doors")
    two = replace(plant.scenario, candidates=plant.scenario.candidates[:2])
    record = figure(replace(plant, scenario=two), plant.params)
    assert (record.status, record.estimate) == ("not measured", None)
    assert record.reason == "no candidate is best for neither objective"


def test_the_null_is_the_same_figure_of_the_networks_that_are_lent() -> None:
    plant = known.plant("bottle-cap")
    others = [surgery.start_anew(plant.params, seed) for seed in (5, 6, 7)]
    asked: list[tuple[str, int]] = []

    def references(name: str, n: int) -> list[Params]:
        asked.append((name, n))
        return others

    record = figure(plant, surgery.start_anew(plant.params, 3), references)
    assert asked == [("no-plant-base", noise.N_CONTROLS)]
    alone = [figure(plant, params).estimate for params in others]
    assert record.null is not None
    assert record.null.n == 3
    assert [record.null.lo, record.null.hi] == pytest.approx([min(alone), max(alone)], abs=1e-5)


def test_the_draws_are_relative_to_each_tensor_and_the_same_each_time() -> None:
    plant = known.plant("red-doors")
    params = {**plant.params, "unembed.W_U": 100 * plant.params["unembed.W_U"]}
    first, again = (list(noise._noisy(params, 0.1, 2)) for _ in range(2))
    assert len(first) == 2 * noise.DRAWS
    for name, value in params.items():
        np.testing.assert_array_equal(first[3][name], again[3][name])
        size = np.sqrt(np.square(value, dtype=float).mean()) if value.size else 0.0
        if value.size > 2000:
            moved = (first[3][name] - value).std()
            assert moved == pytest.approx(0.1 * size, rel=0.1)
    assert any((first[0][name] != first[1][name]).any() for name in params)
