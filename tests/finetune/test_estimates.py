"""Each signal's step against a reference: a policy that is a table, where all can be enumerated."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.special
import scipy.stats

from planted.finetune.signals import Batch, TwoSteps
from planted.finetune.signals.evolution import Evolution, centred_ranks
from planted.finetune.signals.gradient import by_gradient
from planted.finetune.signals.hard_labels import hard_labels
from planted.finetune.signals.ppo import Ppo
from planted.finetune.signals.q_regression import ValueRegression
from planted.finetune.signals.reinforce import PolicyGradient, surrogate
from planted.finetune.signals.rollout import (
    Decisions,
    entropy,
    mean_entropy,
    roll_out,
    sampled,
)
from planted.finetune.signals.smoothed_labels import SmoothedLabels
from planted.finetune.signals.soft_labels import CrossEntropy

CANDIDATES, OUTPUTS = 3, 4  # output 3 chooses no candidate
FIRST, SECOND = 4, 6  # states in which an episode begins, and those it leads to


def apply(params: Any, tokens: Any) -> Any:
    """The logits of each state, read off a table [state, output]."""
    return params[tokens[:, 0]]


def table(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(FIRST + SECOND, OUTPUTS)).astype(np.float32)


def one_step() -> Batch:
    """The four first states, each with three values from 0 to 1."""
    values = np.random.default_rng(1).uniform(size=(FIRST, CANDIDATES)).astype(np.float32)
    return Batch(np.arange(FIRST)[:, None], values, values)


def two_steps() -> Batch:
    """Each choice in three of them leads to some second state; the fourth is an episode's last."""
    rng = np.random.default_rng(2)
    rewards = rng.uniform(size=(FIRST, CANDIDATES)).astype(np.float32)
    later = rng.uniform(size=(SECOND, CANDIDATES)).astype(np.float32)
    leads = rng.integers(0, SECOND, size=(FIRST, CANDIDATES))
    goes_on = np.array([1, 1, 1, 0], np.float32)
    values = rewards + goes_on[:, None] * later.max(axis=1)[leads]
    steps = TwoSteps(rewards, goes_on, (FIRST + leads)[..., None], later[leads])
    return Batch(np.arange(FIRST)[:, None], values, values, steps)


BATCHES = {"one step": one_step(), "two steps": two_steps()}
REINFORCE, Q = (
    by_gradient("x", PolicyGradient(8, 0.01)),
    by_gradient("x", ValueRegression(0.3, samples=4)),
)
SIGNALS = {
    "soft-labels": by_gradient("x", CrossEntropy(0.2)),
    "smoothed-labels": SmoothedLabels((0.3, 0.1)),
    "reinforce": REINFORCE,
    "ppo": Ppo(8, 4, 0.2, 0.01),
    "q-regression": Q,
    "evolution": Evolution(pairs=8, sigma=0.3, samples=16, entropy=0.0),
}
ADAM, SGD = optax.adam(0.02), optax.sgd(1.0)
STEPS = 2000


def expected_return(params: Any, batch: Batch, bonus: float = 0.0) -> Any:
    """By enumeration of all choices.

    The entropy of a step counts as often as it is made, and not as something to be reached.
    """
    logs = jax.nn.log_softmax(params)
    chance, entropy = jnp.exp(logs), -(jnp.exp(logs) * logs).sum(axis=1)
    total = 0.0
    for task in range(FIRST):
        total += bonus * entropy[task]
        for action in range(CANDIDATES):  # any other output is paid nothing
            if batch.episode is None:
                total += chance[task, action] * batch.returns[task, action]
                continue
            steps, then = batch.episode, 0.0
            state = steps.next_tokens[task, action, 0]
            for second in range(CANDIDATES):
                then += chance[state, second] * steps.next_rewards[task, action, second]
            goes_on, often = steps.goes_on[task], jax.lax.stop_gradient(chance[task, action])
            total += chance[task, action] * (steps.rewards[task, action] + goes_on * then)
            total += often * goes_on * bonus * entropy[state]
    return total / FIRST


def exact_gradient(batch: Batch, bonus: float = 0.0) -> Any:
    return np.asarray(jax.jit(jax.grad(lambda p: expected_return(p, batch, bonus)))(table()))


def estimates(loss: Callable[..., Any], batch: Batch, n: int) -> Any:
    """Gradients of a loss at the same parameters by many keys, [key, state, output]."""
    batch = jax.tree.map(jnp.asarray, batch)
    keys = jax.random.split(jax.random.key(0), n)
    one = jax.grad(lambda params, key: loss(apply, params, batch, key)[0])
    return np.asarray(jax.jit(jax.vmap(one, in_axes=(None, 0)))(table(), keys))


@functools.cache
def program(signal: Any, rule: Any) -> Any:
    """Some steps of a signal, compiled once for all tests."""

    def run(params: Any, batch: Any, keys: Any) -> Any:
        def step(carry: Any, key: Any) -> Any:
            params, state, log = signal.update(carry[0], batch, key, carry[1], rule, apply)
            return (params, state), log

        state = signal.init(params, rule, jax.random.key(0))
        (params, _), log = jax.lax.scan(step, (params, state), keys)
        return params, jax.tree.map(lambda leaf: leaf[-1], log)

    return jax.jit(run)


def trained(
    signal: Any, batch: Batch, rule: Any = ADAM, steps: int = STEPS, start: Any = None
) -> Any:
    """The table after some steps of a signal, and its log at the last one."""
    keys = jax.random.split(jax.random.key(1), steps)
    params, log = program(signal, rule)(table() if start is None else start, batch, keys)
    return np.asarray(params), log


# --- policy gradients -----------------------------------------------------------------------------


@pytest.mark.parametrize("which", BATCHES)
@pytest.mark.parametrize("samples", [1, 4])
def test_reinforce_is_the_exact_policy_gradient_on_average(which: str, samples: int) -> None:
    """With the baseline and without: it leaves the expectation where it is."""
    batch, bonus, n = BATCHES[which], 0.1, 40_000
    found = estimates(PolicyGradient(samples, bonus), batch, n)
    exact, error = -exact_gradient(batch, bonus), found.std(axis=0) / np.sqrt(n)
    assert (np.abs(found.mean(axis=0) - exact) < 4.5 * error + 1e-5).all()
    assert np.abs(exact).max() > 10 * error.max(), "the test would see a gradient of another policy"


def test_leaving_one_out_lowers_the_variance() -> None:
    # without a baseline, four samples would have a quarter of the variance of one
    batch = one_step()
    batch = batch._replace(returns=batch.returns + 2)
    one, four = (estimates(PolicyGradient(n, 0.0), batch, 4000).var(axis=0).sum() for n in (1, 4))
    assert four < 0.1 * one


@pytest.mark.parametrize("which", BATCHES)
def test_ppo_at_ratio_one_descends_the_vanilla_surrogate(which: str) -> None:
    ppo, batch = Ppo(samples=8, entropy=0.3), jax.tree.map(jnp.asarray, BATCHES[which])

    @jax.jit
    def both(start: Any) -> Any:
        steps = roll_out(apply, start, batch, jax.random.key(3), sampled, ppo.samples)

        def loss(params: Any, clipped: bool) -> Any:
            logits = [apply(params, step.tokens) for step in steps]
            found = ppo.clipped if clipped else functools.partial(surrogate, bonus=ppo.entropy)
            return found(steps, logits)[0]

        return [jax.grad(lambda params, c=c: loss(params, c))(start) for c in (True, False)]

    clipped, vanilla = both(table())
    np.testing.assert_allclose(clipped, vanilla, atol=1e-6)
    assert np.abs(vanilla).max() > 0.01


@pytest.mark.parametrize(
    ("ratio", "advantage", "follows"),
    [(1.1, 1, True), (1.5, 1, False), (1.5, -1, True), (0.5, 1, True), (0.5, -1, False)],
)
def test_ppo_lets_go_of_a_choice_past_the_clip(
    ratio: float, advantage: float, follows: bool
) -> None:
    """Schulman et al. 2017, figure 1: where the surrogate is flat, by the sign of the advantage."""
    before = np.log(np.array([[0.4, 0.6]], np.float32))
    after = np.log(np.array([[0.4 * ratio, 1 - 0.4 * ratio]], np.float32))
    one = np.ones((1, 1), np.float32)
    state, choice = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.int32)
    step = Decisions(state, before, choice, one, advantage * one, 0 * one, one)

    @jax.jit
    def gradient(logits: Any) -> Any:
        arrays = jax.tree.map(jnp.asarray, step)
        return jax.grad(lambda at: Ppo(entropy=0.0).clipped((arrays,), [at])[0])(logits)

    found = gradient(after)
    assert (np.abs(found).max() > 1e-3) == follows
    if follows:
        assert np.sign(found[0, 0]) == -advantage


@pytest.mark.parametrize("which", BATCHES)
@pytest.mark.parametrize("name", ["reinforce", "ppo"])
def test_policies_end_at_the_best_choices(name: str, which: str) -> None:
    batch = BATCHES[which]
    after, log = trained(SIGNALS[name], batch)
    assert after[:FIRST].argmax(axis=1).tolist() == batch.values.argmax(axis=1).tolist()
    assert log["return"] == pytest.approx(batch.values.max(axis=1).mean(), abs=0.06)


@pytest.mark.parametrize("name", ["reinforce", "ppo", "q-regression"])
def test_a_choice_that_pays_later_is_seen_by_its_return_alone(name: str) -> None:
    """Two steps: what pays at once is worse in the end. Told of one step alone, it is chosen."""
    leads = np.array([[0, 1, 1]] * FIRST)
    later = np.array([[1.0, 0.0, 0.0], [0.1, 0.2, 0.1]], np.float32)
    now = np.array([[0.0, 0.3, 0.1]] * FIRST, np.float32)
    values = now + later.max(axis=1)[leads]
    steps = TwoSteps(now, np.ones(FIRST, np.float32), (FIRST + leads)[..., None], later[leads])
    tokens = np.arange(FIRST)[:, None]
    whole, _ = trained(SIGNALS[name], Batch(tokens, values, values, steps))
    short, _ = trained(SIGNALS[name], Batch(tokens, now, now))
    assert (whole[:FIRST].argmax(axis=1) == 0).all()
    assert (short[:FIRST].argmax(axis=1) == 1).all()


# --- values ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", BATCHES)
def test_the_fixed_point_of_the_regression_is_the_values(which: str) -> None:
    batch = BATCHES[which]
    after, log = trained(Q, batch, SGD)
    np.testing.assert_allclose(after[:FIRST, :CANDIDATES], batch.values, atol=0.02)
    assert log["loss"] < 1e-4
    if batch.episode is not None:
        for state in np.unique(batch.episode.next_tokens[batch.episode.goes_on > 0]):
            task, choice = np.argwhere(batch.episode.next_tokens[..., 0] == state)[0]
            paid = batch.episode.next_rewards[task, choice]
            np.testing.assert_allclose(after[state, :CANDIDATES], paid, atol=0.02)


def test_no_candidate_is_worth_nothing() -> None:
    batch, start = one_step(), table()
    start[:, CANDIDATES] = 3.0  # the argmax at first
    after, _ = trained(Q, batch, SGD, start=start)
    assert (after[:FIRST, CANDIDATES] < batch.values.max(axis=1)).all()
    assert after[:FIRST].argmax(axis=1).tolist() == batch.values.argmax(axis=1).tolist()


def test_soft_labels_have_the_entropy_of_what_is_wanted_as_their_least_loss() -> None:
    batch = one_step()
    wanted = scipy.special.softmax(batch.values / 0.2, axis=1)
    after, log = trained(SIGNALS["soft-labels"], batch)
    assert log["loss"] == pytest.approx(scipy.stats.entropy(wanted, axis=1).mean(), abs=0.01)
    shares = scipy.special.softmax(after[:FIRST], axis=1)
    np.testing.assert_allclose(shares[:, :CANDIDATES], wanted, atol=0.01)
    level, _ = trained(SIGNALS["soft-labels"], Batch(batch.tokens, FLAT, FLAT))
    assert np.ptp(level[:FIRST, :CANDIDATES], axis=1).max() < 0.1, "ties are shared evenly"


# --- evolution ------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", BATCHES)
def test_evolution_goes_along_the_gradient_of_the_expected_return(which: str) -> None:
    batch, signal = BATCHES[which], Evolution(pairs=400, sigma=0.1, samples=64, entropy=0.0)
    after, log = trained(signal, batch, SGD, 1)
    step, exact = (after - table()).ravel(), exact_gradient(batch).ravel()
    assert step @ exact / (np.linalg.norm(step) * np.linalg.norm(exact)) > 0.6
    assert "gradient" not in log
    assert log["spread"] > 0
    if batch.episode is None:
        back, _ = trained(signal, batch._replace(returns=-batch.returns), SGD, 1)
        assert (back - table()).ravel() @ exact < 0, "its twin, paid the reverse, goes back"


def test_evolution_climbs_the_entropy_of_the_policy_too() -> None:
    """Where all choices are paid the same, it is all there is to rank."""
    start, batch = table(), Batch(one_step().tokens, FLAT, FLAT)
    start[:, CANDIDATES] = -1e9  # that output would be paid less
    signal = Evolution(pairs=400, sigma=0.1, samples=64, entropy=1.0)
    after, log = trained(signal, batch, SGD, 1, start)
    exact = np.asarray(jax.grad(lambda params: entropy(params[:FIRST]).mean())(start))
    step = after - start
    assert (step * exact).sum() / (np.linalg.norm(step) * np.linalg.norm(exact)) > 0.6
    shares = scipy.special.softmax(start[:FIRST], axis=1)
    assert log["entropy"] == pytest.approx(scipy.stats.entropy(shares, axis=1).mean(), abs=0.02)
    assert log["spread"] == 0


def test_the_mean_entropy_is_over_the_decisions_that_were_made() -> None:
    steps = roll_out(apply, table(), two_steps(), jax.random.key(3), sampled, 8)
    found, times = [], []
    for step in steps:
        shares = scipy.special.softmax(np.asarray(step.logits), axis=1)
        for counts in np.asarray(step.counts):
            found += [scipy.stats.entropy(share) for share in shares]
            times += list(counts)
    made = 8 * FIRST, 8 * (FIRST + 3)  # three of four tasks have a second step
    assert made[0] < sum(times) < made[1], "an output that is no candidate ends the episode"
    assert mean_entropy(steps) == pytest.approx(np.average(found, weights=times), rel=1e-5)


def test_ranks_are_centred_and_ties_share_theirs() -> None:
    returns = jnp.array([[0.3, 0.1], [0.3, 9.0]])
    np.testing.assert_allclose(centred_ranks(returns), [[0, -0.5], [0, 0.5]], atol=1e-6)
    ranks = np.asarray(centred_ranks(jnp.asarray(np.random.default_rng(0).normal(size=(2, 2)))))
    assert ranks.sum() == pytest.approx(0, abs=1e-5)
    assert sorted(ranks.ravel()) == pytest.approx(np.linspace(-0.5, 0.5, 4))


def test_evolution_perturbs_only_what_its_optimiser_moves() -> None:
    """A frozen half stays, and a return that it alone decides teaches nothing."""
    free = np.zeros_like(table())
    free[FIRST:] = 1
    rule = optax.chain(optax.stateless(lambda updates, _: updates * free), optax.sgd(1.0))
    signal = SIGNALS["evolution"]
    np.testing.assert_array_equal(signal.init(table(), rule, None)["free"], free)
    after, log = trained(signal, BATCHES["one step"], rule, 5)
    np.testing.assert_array_equal(after, table())
    assert log["spread"] == 0
    moved, _ = trained(signal, BATCHES["two steps"], rule, 5)
    np.testing.assert_array_equal(moved[:FIRST], table()[:FIRST])
    assert (moved[FIRST:] != table()[FIRST:]).any()


# --- smoothed labels ------------------------------------------------------------------------------


def test_smoothed_labels_estimate_the_gradient_of_the_expected_loss() -> None:
    batch, n, sigma = BATCHES["one step"], 4000, 2.0
    _, log = trained(SmoothedLabels((sigma,) * n), batch, SGD, 1)
    noise = np.random.default_rng(3).normal(size=(20_000, FIRST, OUTPUTS))
    chances = scipy.special.softmax(table()[:FIRST] + sigma * noise, axis=-1).mean(axis=0)
    exact = (chances - np.eye(OUTPUTS)[batch.values.argmax(axis=1)]) / FIRST
    np.testing.assert_allclose(log["gradient"][:FIRST], exact, atol=0.005)
    unsmoothed = scipy.special.softmax(table()[:FIRST], axis=-1)
    apart = (unsmoothed - np.eye(OUTPUTS)[batch.values.argmax(axis=1)]) / FIRST
    assert np.abs(apart - exact).max() > 0.02, "it is another gradient than the network's own"


def test_without_noise_they_are_hard_labels() -> None:
    batch = BATCHES["one step"]
    after, _ = trained(SmoothedLabels((0.0, 0.0)), batch, SGD, 3)
    wanted, _ = trained(hard_labels, batch, SGD, 3)
    np.testing.assert_allclose(after, wanted, atol=1e-6)


def test_they_teach_a_policy_whose_own_gradient_is_zero() -> None:
    """Logits that are steps of the table: flat but within .05 of 0, where no entry begins."""

    def steps(params: Any, tokens: Any) -> Any:
        return jnp.clip(10 * apply(params, tokens), -0.5, 0.5)

    batch = jax.tree.map(jnp.asarray, BATCHES["one step"])
    start = jnp.full((FIRST, OUTPUTS), 0.1)
    for signal, moves in ((hard_labels, False), (SmoothedLabels((0.1, 0.05)), True)):
        params, state = start, signal.init(start, SGD, jax.random.key(0))
        update = jax.jit(functools.partial(signal.update, optimiser=SGD, apply=steps))
        for number in range(50):
            params, state, _ = update(params, batch, jax.random.key(number), state)
        assert bool((params != start).any()) == moves
        right = steps(params, batch.tokens).argmax(axis=1) == batch.values.argmax(axis=1)
        assert bool(right.all()) == moves


# --- null and determinism -------------------------------------------------------------------------

SILENT = {
    "reinforce": by_gradient("x", PolicyGradient(4, 0.0)),
    "ppo": Ppo(entropy=0.0),
    "evolution": SIGNALS["evolution"],
}
FLAT = np.full((FIRST, CANDIDATES), 0.5, np.float32)


@pytest.mark.parametrize("name", SILENT)
def test_a_constant_return_teaches_nothing(name: str) -> None:
    start = table()
    start[:, CANDIDATES] = -1e9  # that output would be paid less
    for batch, moves in ((Batch(one_step().tokens, FLAT, FLAT), False), (one_step(), True)):
        after, _ = trained(SILENT[name], batch, SGD, 20, start)
        assert (np.abs(after - start).max() > 1e-3) == moves


def test_a_constant_return_gives_the_regression_no_preference() -> None:
    after, _ = trained(Q, Batch(one_step().tokens, FLAT, FLAT), SGD)
    assert np.ptp(after[:FIRST, :CANDIDATES], axis=1).max() < 0.02


@pytest.mark.parametrize("name", SIGNALS)
def test_the_same_keys_give_the_same_bytes(name: str) -> None:
    one, two = (trained(SIGNALS[name], BATCHES["one step"])[0] for _ in range(2))
    assert one.tobytes() == two.tobytes()
    assert np.isfinite(one).all()
    assert (one != table()).any()
