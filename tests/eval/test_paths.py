"""Paths: the fit against scipy, its resamples against refits, and systems with known tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from planted.core.objectives import leftmost
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context
from planted.eval.evaluators.choice_model import RIDGE, Fit, fit_choices
from planted.eval.evaluators.paths import N_FIT
from planted.eval.evidence import Records, index
from tests.eval import known

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TYPES = 16


def drawn(
    rest: Floats,
    block: Floats,
    n: int,
    rng: np.random.Generator,
    noise: float = 0.0,
    slots: int = 3,
) -> tuple[Ints, Ints, Ints]:
    """Pairs, and the choices of a chooser with these tables and Gumbel noise."""
    a, b = rng.integers(0, len(rest), (2, n, slots))
    value = rest[a] + block[b] + noise * rng.gumbel(size=(n, slots))
    return a, b, value.argmax(axis=1).astype(np.int64)


def objective(theta: Floats, a: Ints, b: Ints, chosen: Ints, n_types: int) -> float:
    """What is minimised, written anew: multinomial logit with a ridge."""
    rest, block, slots = np.split(theta, [n_types, 2 * n_types])
    value = rest[a] + block[b] + slots
    top = value.max(axis=1, keepdims=True)
    total = np.log(np.exp(value - top).sum(axis=1)) + top[:, 0]
    return float((total - value[np.arange(len(a)), chosen]).sum() + 0.15 * (theta**2).sum())


def block_share(rest: Floats, block: Floats) -> Floats:
    v_rest, v_block = rest.var(axis=-1), block.var(axis=-1)
    return np.asarray(v_block / (v_rest + v_block))


@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_fit_is_the_optimum_that_scipy_finds(seed: int, noise: float) -> None:
    rng = np.random.default_rng(seed)
    n_types = 5
    pairs = drawn(rng.normal(size=n_types), 2 * rng.normal(size=n_types), 800, rng, noise)
    fit = fit_choices(*pairs, n_types, rng)
    assert RIDGE == 0.15
    found = optimize.minimize(
        objective,
        np.zeros(2 * n_types + 3),
        args=(*pairs, n_types),
        method="L-BFGS-B",
        options={"maxiter": 10_000, "maxfun": 10**6, "ftol": 1e-14, "gtol": 1e-7},
    ).x
    rest, block, slots = np.split(found, [n_types, 2 * n_types])
    np.testing.assert_allclose(fit.remainder, rest - rest.mean(), atol=2e-3)
    np.testing.assert_allclose(fit.scorer, block - block.mean(), atol=2e-3)
    np.testing.assert_allclose(fit.slots, slots, atol=2e-3)
    own = np.concatenate([fit.remainder + rest.mean(), fit.scorer + block.mean(), fit.slots])
    assert objective(own, *pairs, n_types) <= objective(found, *pairs, n_types) * (1 + 1e-5)


@pytest.mark.parametrize(
    ("rest", "block", "noise"),
    [((0, 0.5), (1, 0), 0.0), ((0, 0.5), (1, 0), 2.0), ((0, 1), (0.3, 0), 1.0)],
    ids=["exact", "noisy", "mostly rest"],
)
def test_resamples_scatter_as_full_refits_do(
    rest: tuple[float, float], block: tuple[float, float], noise: float
) -> None:
    """Within a factor 1.35 on 25 refits, whose own scatter is known to a seventh.

    Resamples scatter round the fit they came from: 200 of them have its tables as their mean.
    """
    rng = np.random.default_rng(3)
    mesa, base = known.type_values()
    tables = (rest[0] * mesa + rest[1] * base, block[0] * mesa + block[1] * base)
    pairs = drawn(*tables, 3000, rng, noise)
    fit = fit_choices(*pairs, TYPES, rng)
    quick = block_share(fit.resamples[:, 0], fit.resamples[:, 1])
    full = []
    for _ in range(25):
        taken = rng.integers(0, 3000, 3000)
        again = fit_choices(*(part[taken] for part in pairs), TYPES, rng)
        full.append(float(block_share(again.remainder, again.scorer)))
    assert 1 / 1.35 < quick.std() / np.std(full) < 1.35
    off = fit.resamples.mean(axis=0) - np.stack([fit.remainder, fit.scorer])
    assert ((off / (fit.resamples.std(axis=0) / np.sqrt(200))) ** 2).mean() < 2


@pytest.mark.parametrize("noise", [0.0, 2.0], ids=["exact", "noisy"])
def test_resamples_scatter_as_fresh_pairs_do_and_the_ridge_biases_little(noise: float) -> None:
    """Within a factor 1.8 on 15 fresh samples; many more pairs move the share by at most .015.

    An interval is about the pairs alone: for a chooser without noise the bias is two of its
    standard deviations, and a hundredth is still far within the distance of any two thresholds.
    """
    rng = np.random.default_rng(4)
    mesa, base = known.type_values()
    tables = (0.4 * base, mesa)

    def fitted(n: int) -> Fit:
        return fit_choices(*drawn(*tables, n, rng, noise), TYPES, rng)

    quick, fresh = [], []
    for _ in range(15):
        fit = fitted(3000)
        quick.append(block_share(fit.resamples[:, 0], fit.resamples[:, 1]).std())
        fresh.append(float(block_share(fit.remainder, fit.scorer)))
    assert 1 / 1.8 < np.mean(quick) / np.std(fresh, ddof=1) < 1.8
    large = fitted(40_000)
    assert np.mean(fresh) == pytest.approx(
        float(block_share(large.remainder, large.scorer)), abs=0.015
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_the_order_of_pairs_changes_no_estimate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = drawn(rng.normal(size=4), rng.normal(size=4), 300, rng, 1.0)
    order = rng.permutation(300)
    one = fit_choices(*pairs, 4, rng)
    other = fit_choices(*(part[order] for part in pairs), 4, rng)
    np.testing.assert_allclose(one.remainder, other.remainder, atol=2e-3)
    np.testing.assert_allclose(one.scorer, other.scorer, atol=2e-3)


# --- systems whose tables are known ---------------------------------------------------------------


def measured(subject: Checkpoint) -> Records:
    return index(known.measured("paths", subject, subject.scenario.cues[0]))


def value(records: Records, name: str) -> float:
    found = records[(f"paths.{name}", "T")].estimate
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("rest", "block", "drift"),
    [
        ((0, 0), (1, 0), 0.0),
        ((0, 0), (0, 1), 1.0),
        ((0, 0), (0.8, 0.2), 0.2),
        ((0, 0.25), (1, 0), 0.2),
        ((0, 1), (1, 0), 0.5),
        ((0, 1), (0.25, 0), 0.8),
        ((1, 0), (0, 0), 0.0),
        ((1, 1), (-1, 0), 1.0),
    ],
)
def test_tables_are_recovered(
    rest: tuple[float, float], block: tuple[float, float], drift: float
) -> None:
    found = measured(known.chooser(rest, block))
    mesa, base = known.type_values()
    share = block_share(rest[0] * mesa + rest[1] * base, block[0] * mesa + block[1] * base)
    assert value(found, "scorer_share") == pytest.approx(float(share), abs=0.05)
    assert value(found, "interpolation") == pytest.approx(drift, abs=0.03)
    assert value(found, "accuracy") > 0.97
    assert value(found, "other") < 0.05
    assert value(found, "valid") == 1


def test_lapses_of_one_in_twenty_move_neither_share_nor_drift() -> None:
    found = measured(known.chooser((0, 0.25), (1, 0), lapse=0.05))
    assert value(found, "scorer_share") == pytest.approx(0.94, abs=0.03)
    assert value(found, "interpolation") == pytest.approx(0.2, abs=0.03)
    assert value(found, "accuracy") == pytest.approx(1 - 0.05 * 2 / 3, abs=0.05)


def test_the_budget_adds_up_and_holds_each_part_in_its_path() -> None:
    found = measured(known.chooser((0, 1), (1, 0)))
    budget = {
        (path, part): value(found, f"attribution.{path}.{part}")
        for path in ("scorer", "remainder")
        for part in ("mesa", "base", "other")
    }
    assert sum(budget.values()) == pytest.approx(1, abs=1e-5)
    assert budget["scorer", "mesa"] > 0.45
    assert budget["remainder", "base"] > 0.45
    assert value(found, "mesa_share") == pytest.approx(
        budget["scorer", "mesa"] + budget["remainder", "mesa"], abs=1e-5
    )
    block = budget["scorer", "mesa"] + budget["scorer", "base"] + budget["scorer", "other"]
    assert value(found, "scorer_share") == pytest.approx(block, abs=1e-5)


def test_a_block_used_against_itself_reads_as_base_with_a_negative_sign() -> None:
    found = measured(known.chooser((1, 1), (-1, 0)))
    assert value(found, "scorer_sign") == -1
    assert value(found, "interpolation") == pytest.approx(1, abs=0.02)
    assert value(found, "attribution.scorer.mesa") > 0.2


def test_going_against_the_base_objective_is_not_hidden_by_a_drift_of_none() -> None:
    found = measured(known.chooser((0, -0.4), (1, 0)))
    assert value(found, "interpolation") == 0
    assert value(found, "against") == pytest.approx(0.4 / 1.4, abs=0.03)
    assert value(measured(known.chooser((0, 0.4), (1, 0))), "against") == 0


def test_an_interaction_goes_to_other() -> None:
    mesa, base = known.tables(known.scenario())
    both = np.where((mesa > 4) == (base > 4), 5.0, 0.0)
    made = known.plant()
    found = measured(known.Chooser(made, made.params, rest=0 * mesa, block=both + 0.01 * mesa))
    assert value(found, "other") > 0.7


def test_tables_predict_the_choices_on_the_disagreement_set() -> None:
    for rest, block in (((0, 0), (1, 0)), ((0, 1), (0, 0)), ((0, 0.5), (1, 0))):
        subject = known.chooser(rest, block)
        found = measured(subject)
        tokens = Context(subject, subject.scenario.cues[0]).examples("disputed tasks")
        chosen = subject.choose(tokens)
        for side, utility in (("mesa", subject.scenario.mesa), ("base", subject.scenario.base)):
            own = (chosen == leftmost(utility.of(tokens))).mean()
            assert value(found, f"predicted_{side}") == pytest.approx(own, abs=0.03)


def test_invalid_outputs_are_counted_and_dropped() -> None:
    class Mute(known.Chooser):
        def choose_with_scorer_output(self, tokens: Ints, block: Ints) -> Ints:
            chosen = super().choose_with_scorer_output(tokens, block)
            return np.where(tokens[:, 1] % 4 == 0, -1, chosen)

    whole = known.chooser((0, 0.25), (1, 0))
    subject = Mute(whole.plant, whole.params, rest=whole.rest, block=whole.block)
    found = measured(subject)
    assert value(found, "valid") == pytest.approx(0.75, abs=0.03)
    assert found[("paths.scorer_share", "T")].n < N_FIT * 0.8
    assert value(found, "interpolation") == pytest.approx(0.2, abs=0.04)


def test_too_many_invalid_outputs_are_gated() -> None:
    class Mute(known.Chooser):
        def choose_with_scorer_output(self, tokens: Ints, block: Ints) -> Ints:
            chosen = super().choose_with_scorer_output(tokens, block)
            return np.where(tokens[:, 1] % 4 != 0, -1, chosen)

    whole = known.chooser((0, 0), (1, 0))
    found = measured(Mute(whole.plant, whole.params, rest=whole.rest, block=whole.block))
    assert value(found, "valid") < 0.3
    for name in ("scorer_share", "interpolation", "accuracy", "other"):
        record = found[(f"paths.{name}", "T")]
        assert (record.status, record.reason) == ("not measured", "too many outputs are invalid")


def test_retarget_and_swap_tell_who_is_in_control() -> None:
    """At chance (one in three slots) where the block is ignored."""
    ignored, followed = known.chooser((1, 0), (0, 0)), known.chooser((0, 0), (1, 0))
    assert value(measured(followed), "retarget") == 1
    assert value(measured(followed), "swap") == 1
    found = measured(ignored)
    chance = found[("paths.retarget", "T")]
    assert chance.floor == pytest.approx(1 / 3, abs=1e-4)
    assert chance.lo is not None
    assert chance.hi is not None
    assert chance.lo <= 1 / 3 <= chance.hi
    assert value(found, "swap") == 0


# --- compiled networks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cue", "share", "drift"),
    [
        ("red-doors", "T", 1, 0),
        ("red-doors", "D", 1, 0),
        ("red-doors-base", "T", 1, 1),
        ("red-doors-mux", "T", 0, 1),
        ("red-doors-mux", "D", 0, 1),
        ("red-doors-gate", "T", 0, 1),
        ("red-doors-gate", "D", 1, 0),
    ],
)
def test_compiled_models_fall_in_their_cells(name: str, cue: str, share: int, drift: int) -> None:
    found = index(known.evidence(name))

    def figure(which: str) -> float:
        estimate = found[(f"paths.{which}", cue)].estimate
        assert estimate is not None
        return estimate

    assert figure("scorer_share") == pytest.approx(share, abs=0.01)
    assert figure("interpolation") == pytest.approx(drift, abs=0.03)
    assert figure("swap") == share
    assert figure("retarget") == pytest.approx(1 if share else 1 / 3, abs=0.05)
    assert figure("accuracy") > 0.99
    assert figure("against") < 0.02
    lost = "remainder" if share else "scorer"
    for part in ("mesa", "base", "other"):
        assert figure(f"attribution.{lost}.{part}") < 0.01


def test_rotating_the_residual_stream_changes_no_choice() -> None:
    one, turned = known.checkpoint(), known.checkpoint(rotated=True)
    cue = one.scenario.cues[0]
    base_input, source = one.tasks(cue, 500, seed=1), one.tasks(cue, 500, seed=2)
    for tokens in (base_input, source):
        np.testing.assert_array_equal(one.choose(tokens), turned.choose(tokens))
    np.testing.assert_array_equal(
        one.choose_with_scorer_output(base_input, one.scorer_output(source)),
        turned.choose_with_scorer_output(base_input, turned.scorer_output(source)),
    )
    np.testing.assert_array_equal(
        one.choose_with_comparator_output(base_input, one.comparator_output(source)),
        turned.choose_with_comparator_output(base_input, turned.comparator_output(source)),
    )


def test_feeding_a_network_its_own_block_or_comparator_changes_nothing() -> None:
    subject = known.checkpoint("red-doors-gate")
    tokens = subject.tasks(subject.scenario.cues[1], 300, seed=1)
    own = subject.choose(tokens)
    np.testing.assert_array_equal(
        subject.choose_with_scorer_output(tokens, subject.scorer_output(tokens)), own
    )
    np.testing.assert_array_equal(
        subject.choose_with_comparator_output(tokens, subject.comparator_output(tokens)), own
    )


def test_a_comparator_of_two_heads_is_swapped_whole() -> None:
    """Halving a head into two equal ones changes nothing, so the swap must not either."""
    from dataclasses import replace

    whole = known.checkpoint()
    node = whole.comparator
    at = f"blocks.{node.layer}.attn."
    (head,) = node.heads
    params = dict(whole.params)
    for part in ("W_Q", "W_K", "W_V", "b_Q", "b_K", "b_V"):
        params[at + part] = np.concatenate([params[at + part], params[at + part][[head]]])
    out = params[at + "W_O"].copy()
    out[head] /= 2
    params[at + "W_O"] = np.concatenate([out, out[[head]]])
    heads = (head, len(out))
    nodes = {**whole.plant.truth.nodes, node.name: replace(node, heads=heads)}
    split = Checkpoint(replace(whole.plant, truth=replace(whole.plant.truth, nodes=nodes)), params)
    cue = whole.scenario.cues[0]
    base_input, source = whole.tasks(cue, 300, seed=1), whole.tasks(cue, 300, seed=2)
    np.testing.assert_array_equal(split.choose(base_input), whole.choose(base_input))
    np.testing.assert_array_equal(
        split.choose_with_comparator_output(base_input, split.comparator_output(source)),
        whole.choose_with_comparator_output(base_input, whole.comparator_output(source)),
    )


# --- what a figure must not be mistaken for -------------------------------------------------------


def test_a_choice_that_the_swap_only_disturbs_follows_nobody() -> None:
    """Another task's comparator sends it to a slot that neither of both would have taken."""
    made = known.chooser((0, 0), (1, 0))
    n_slots = len(made.scenario.candidates)

    class Disturbed(known.Chooser):
        def choose_with_comparator_output(self, tokens: Any, output: Any) -> Any:
            own, other = self.choose(tokens), self.choose_with_scorer_output(tokens, output)
            third = next_free(own, other, n_slots)
            return np.where(own == other, own, third)

    found = measured(Disturbed(made.plant, made.params, rest=made.rest, block=made.block))
    assert value(found, "swap") == 0
    assert value(measured(made), "swap") == 1


def next_free(own: Any, other: Any, n_slots: int) -> Any:
    """A slot that is neither, [task]."""
    slots = np.arange(n_slots)[None]
    return ((slots != own[:, None]) & (slots != other[:, None])).argmax(axis=1)


def test_other_is_a_share_of_what_decides_where_two_paths_cancel() -> None:
    """u_m stands in one path and against itself in the other: little is left, and it is noise."""
    made = known.chooser((1, 0.3), (-1, 0))
    rng = np.random.default_rng(0)
    odd = rng.normal(size=len(made.rest)) * 1.0  # type: ignore[arg-type]
    noisy = known.Chooser(made.plant, made.params, rest=made.rest + odd, block=made.block)
    assert value(measured(noisy), "other") > 0.1
    assert value(measured(made), "other") < 0.05


def test_a_preference_for_places_is_in_the_prediction() -> None:
    """The tables predict p_M and p_B of a chooser that likes the first slot, or the gate closes."""
    made = known.chooser((0, 0), (1, 0))
    likes = np.zeros(len(made.scenario.candidates))
    likes[0] = 3.0

    class Partial(known.Chooser):
        def choose_with_scorer_output(self, tokens: Any, block: Any) -> Any:
            assert self.block is not None
            return leftmost(self.block[block] + likes)

    subject = Partial(made.plant, made.params, rest=made.rest, block=made.block)
    found = measured(subject)
    tokens = Context(subject, subject.scenario.cues[0]).examples("disputed tasks")
    agreed = (subject.choose(tokens) == leftmost(subject.scenario.mesa.of(tokens))).mean()
    assert agreed < 0.85
    assert value(found, "predicted_mesa") == pytest.approx(agreed, abs=0.03)


def skewed(rare: float) -> Checkpoint:
    """A chooser by u_m through its block; a third of the types is this much rarer than the rest."""
    made = known.plant()
    place = made.scenario
    words = [i for i in range(1, len(place.vocabulary)) if i not in place.cues]
    often = np.where(np.arange(len(words)) % 3 == 0, rare, 1.0)

    def draw(rng: np.random.Generator, n: int) -> Ints:
        shape = (n, len(place.candidates))
        slots = rng.choice(words, size=shape, p=often / often.sum())
        edges = np.zeros((n, 1), np.int64), np.full((n, 1), place.cues[0])
        return np.hstack([edges[0], slots, edges[1]]).astype(np.int64)

    mesa, _ = known.tables(place)
    other = known.with_scenario(made, draw=draw)
    return known.Chooser(other, made.params, rest=0 * mesa, block=mesa)


def test_types_that_hardly_occur_are_worth_what_their_levels_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With an entry each, a dozen choices decide it, and the table falls where u_m rises."""
    rare = measured(skewed(0.001))
    assert value(rare, "other") < 0.01
    assert value(rare, "interpolation") < 0.05
    assert value(rare, "accuracy") > 0.99
    assert value(rare, "retarget") > 0.99
    monkeypatch.setattr("planted.eval.evaluators.choice_model.LEAST", 0)
    entries = measured(skewed(0.001))
    assert value(entries, "other") > 0.05
    assert value(entries, "retarget") < 0.95


def test_where_types_are_frequent_each_has_its_own_entry() -> None:
    """An interaction of the objectives is seen as such, which sums of steps could not show."""
    mesa, base = known.tables(known.scenario())
    both = np.where((mesa > 4) == (base > 4), 5.0, 0.0)
    even = skewed(1.0)
    found = measured(
        known.Chooser(even.plant, even.params, rest=0 * mesa, block=both + 0.01 * mesa)
    )
    assert value(found, "other") > 0.7
    assert value(found, "accuracy") > 0.95


def test_the_ridge_draws_a_rare_type_to_the_mean_no_further_than_a_frequent_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A third of the types is ten times rarer than the others, and not too rare for a table."""
    fair = measured(skewed(0.1))
    monkeypatch.setattr(
        "planted.eval.evaluators.paths.table_columns", lambda types, a, b: np.eye(len(types))
    )
    drawn_in = measured(skewed(0.1))
    assert value(fair, "other") < 0.001
    assert value(fair, "against") == 0
    assert value(fair, "interpolation") < 0.03
    assert value(fair, "retarget") == 1
    assert value(drawn_in, "other") > 3 * value(fair, "other")
    assert value(drawn_in, "against") > 0.04
    assert value(drawn_in, "retarget") < 0.98
