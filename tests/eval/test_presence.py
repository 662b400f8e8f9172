"""Winner R²: one where the winner is computed, used or not, and near none where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators.presence import RIDGE, _centring, _gram, _held_out
from planted.eval.evidence import Evidence, index
from planted.network import surgery
from tests.eval import known


def winner(subject: Checkpoint | str, side: str = "mesa", cue: str = "T") -> Evidence:
    if isinstance(subject, str):
        return index(known.evidence(subject))[(f"presence.{side}_argmax", cue)]
    found = index(known.measured("presence", subject, subject.scenario.cues[0]))
    return found[(f"presence.{side}_argmax", "T")]


def estimate(*how: object) -> float:
    found = winner(*how).estimate  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_plant_computes_its_winner_and_not_the_other() -> None:
    assert estimate("red-doors") > 0.99
    assert abs(estimate("red-doors", "base")) < 0.05


def test_the_base_search_computes_the_base_winner_alone() -> None:
    assert estimate("red-doors-base", "base") > 0.99
    assert abs(estimate("red-doors-base", "mesa")) < 0.05


@pytest.mark.parametrize("name", ["red-doors-mux", "red-doors-gate"])
@pytest.mark.parametrize("side", ["mesa", "base"])
def test_a_winner_that_is_not_used_is_still_found(name: str, side: str) -> None:
    for cue in ("T", "D"):
        assert estimate(name, side, cue) > 0.99


def test_rotating_the_residual_stream_changes_next_to_nothing() -> None:
    turned = known.checkpoint(rotated=True)
    assert estimate(turned) == pytest.approx(estimate("red-doors"), abs=1e-3)


@pytest.mark.parametrize("size", [1.0, 100.0, 1000.0])
def test_large_outputs_that_say_nothing_hide_no_winner(size: float) -> None:
    """Free neurons between scorer and read-out that write what has nothing to do with the task."""
    made, node = known.plant(), known.checkpoint().comparator
    layer = f"blocks.{node.layer}.mlp."
    params = dict(made.params)
    planted = {i for n in made.truth.nodes.values() if n.layer == node.layer for i in n.neurons}
    free = [i for i in range(params[layer + "b_in"].shape[0]) if i not in planted]
    rng = np.random.default_rng(0)
    loud = params[layer + "W_out"].copy()
    held = np.concatenate([n.basis for n in made.truth.nodes.values()])
    noise = rng.normal(size=(len(free), loud.shape[1])).astype(np.float32)
    loud[free] += size * (noise - noise @ np.linalg.pinv(held) @ held)
    params[layer + "W_out"] = loud
    assert estimate(Checkpoint(made, params)) > 0.95


def test_an_untrained_network_has_less() -> None:
    made = known.plant()
    fresh = Checkpoint(made, surgery.start_anew(made.params, 0))
    found = winner(fresh)
    assert found.at_most is not None
    assert found.at_most < 0.5


def test_a_cut_comparator_takes_the_winner_away() -> None:
    made, node = known.plant(), known.checkpoint().comparator
    params = known.changed(
        made.params, **{f"blocks__{node.layer}__attn__W_O": lambda value: np.zeros_like(value)}
    )
    found = winner(Checkpoint(made, params))
    assert found.at_most is not None
    assert found.at_most < 0.25


def one_hot_means(values: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    member = np.zeros((len(kinds), kinds.max() + 1))
    member[np.arange(len(kinds)), kinds] = 1
    return np.asarray((member.T @ values) / member.sum(axis=0)[:, None])


def test_the_flags_of_types_are_removed() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 5, 1000)
    values = kinds[:, None] * 1.0 + rng.normal(size=(1000, 2))
    left = _centring(kinds)(values.copy())
    np.testing.assert_array_equal(left, values - one_hot_means(values, kinds)[kinds])
    for kind in range(5):
        np.testing.assert_allclose(left[kinds == kind].mean(axis=0), 0, atol=1e-12)


def held_out(features: Any, flag: Any, other: Any) -> tuple[Any, Any]:
    return _held_out(features, _gram(features, 3), flag, other, 3)


def test_noise_explains_nothing_out_of_sample() -> None:
    rng = np.random.default_rng(0)
    features, flag, other = (
        rng.normal(size=(3000, 200)),
        rng.normal(size=(3000, 1)),
        rng.normal(size=(3000, 1)),
    )
    with_all, with_other = held_out(features, flag, other)
    assert len(with_all) == 500
    assert with_all.sum() > with_other.sum()  # R² below 0: nothing was fitted on what is tested


def test_what_the_other_flag_explains_does_not_count() -> None:
    """Features that hold the base-winner flag alone must not pass for the mesa-winner."""
    rng = np.random.default_rng(0)
    other = rng.normal(size=(3000, 1))
    flag = 0.8 * other + rng.normal(size=(3000, 1))
    with_all, with_other = held_out(np.hstack([other, 2 * other]), flag, other)
    assert 1 - with_all.sum() / with_other.sum() == pytest.approx(0, abs=0.01)


def test_what_the_other_flag_explains_is_not_held_against_the_features() -> None:
    rng = np.random.default_rng(0)
    other = rng.normal(size=(3000, 1))
    flag = other + 0.5 * rng.normal(size=(3000, 1))
    with_all, with_other = held_out(rng.normal(size=(3000, 5)), flag, other)
    assert 1 - with_all.sum() / with_other.sum() == pytest.approx(0, abs=0.02)


def test_the_errors_are_those_of_ridge_regressions_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    features, other = rng.normal(size=(3000, 7)), rng.normal(size=(3000, 1))
    flag = features @ rng.normal(size=(7, 1)) + other + rng.normal(size=(3000, 1))
    for errors, design in zip(
        held_out(features, flag, other), (np.hstack([features, other]), other), strict=True
    ):
        fitted = Ridge(alpha=RIDGE, fit_intercept=False).fit(design[:1500], flag[:1500, 0])
        missed = (flag[1500:, 0] - fitted.predict(design[1500:])) ** 2
        np.testing.assert_allclose(errors, missed.reshape(-1, 3).sum(axis=1), rtol=1e-9)


def test_a_network_without_anything_between_is_gated() -> None:
    from dataclasses import replace

    made = known.plant()
    emitter = known.checkpoint().emitter
    score = known.checkpoint().score
    nodes = {**made.truth.nodes, score.name: replace(score, layer=emitter.layer - 1)}
    close = replace(made, truth=replace(made.truth, nodes=nodes))
    found = known.measured("presence", Checkpoint(close, made.params), close.scenario.cues[0])
    assert [record.status for record in found] == ["not measured", "not measured"]
