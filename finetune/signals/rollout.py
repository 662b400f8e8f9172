"""What a policy does on a batch, and what it is paid: the data of every reward signal.

A one-step task gives one decision. Where a batch has an episode, the first choice leads to a state
in which the network chooses again, and the return of the first decision is the sum of both rewards.
An output that chooses no candidate is paid 0, the lowest reward there is, and ends the episode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Array, Batch, Tree

    Act = Callable[[Array, Array, int], Array]  # logits [state, output], key, n -> [sample, state]


class Decisions(NamedTuple):
    """Choices made at one step of the episodes, in one state or several times in each.

    Attributes:
        tokens: The states, int32 [state, pos].
        logits: The policy's in these states, [state, output].
        actions: Chosen outputs, int32 [sample, state].
        rewards: What each choice is paid at once, [sample, state].
        returns: That, and what follows until the end, [sample, state].
        baseline: Mean return of the same task's other samples at this step, [sample, state].
        counts: 1 where the decision was made, 0 where the episode had ended, [sample, state].
    """

    tokens: Array
    logits: Array
    actions: Array
    rewards: Array
    returns: Array
    baseline: Array
    counts: Array

    @property
    def advantages(self) -> Array:
        """Returns above the baseline, without gradient, [sample, state]."""
        import jax

        return jax.lax.stop_gradient((self.returns - self.baseline) * self.counts)


def sampled(logits: Array, key: Array, n: int) -> Array:
    """Outputs drawn from the softmax of the logits, int32 [sample, state]."""
    import jax

    return jax.random.categorical(key, logits, shape=(n, len(logits)))


def roll_out(
    apply: Apply, params: Tree, batch: Batch, key: Array, act: Act, samples: int
) -> tuple[Decisions, ...]:
    """Lets a policy act on every task of a batch, several times.

    The baseline leaves one out: it is the mean over the other samples of the same task (Kool et
    al. 2019, Buy 4 REINFORCE Samples, Get a Baseline for Free, eq. 8), 0 if there is no other one.
    It does not depend on the sample's own choices, so that it leaves the expectation of the policy
    gradient unchanged.

    Args:
        apply: As for `planted.finetune.signals.Signal.update`.
        params: Parameters of the policy.
        batch: The tasks; `returns` and, for two steps, `episode` are read.
        key: Random key.
        act: How outputs are chosen.
        samples: Times a task.

    Returns:
        The decisions of the first step, and of the second if there is one.
    """
    import jax
    import jax.numpy as jnp

    first, second = jax.random.split(key)
    logits = apply(params, batch.tokens)
    actions = act(logits, first, samples)
    if batch.episode is None:
        paid = _paid(batch.returns, actions)
        ones = jnp.ones_like(paid)
        return (Decisions(batch.tokens, logits, actions, paid, paid, _others(paid), ones),)
    # A sample's second choice is drawn in every state that its task can lead to, and counts in the
    # one that it went to: the network runs once a state and not once a sample.
    episode, n_candidates = batch.episode, batch.values.shape[-1]
    states = episode.next_tokens.reshape(-1, batch.tokens.shape[-1])
    logits_2 = apply(params, states)
    actions_2 = act(logits_2, second, samples)
    went = jax.nn.one_hot(actions, n_candidates) * episode.goes_on[:, None]
    paid = _paid(episode.rewards, actions)
    paid_2 = _paid(episode.next_rewards.reshape(-1, n_candidates), actions_2)
    paid_2 = paid_2.reshape(went.shape) * went
    later = paid_2.sum(axis=-1)
    whole, baseline_2 = paid + later, jnp.broadcast_to(_others(later)[..., None], went.shape)
    ones, flat = jnp.ones_like(whole), (samples, -1)
    paid_2, baseline_2, went = (x.reshape(flat) for x in (paid_2, baseline_2, went))
    return (
        Decisions(batch.tokens, logits, actions, paid, whole, _others(whole), ones),
        Decisions(states, logits_2, actions_2, paid_2, paid_2, baseline_2, went),
    )


def log_probabilities(logits: Array, actions: Array) -> Array:
    """Of chosen outputs under the softmax of the logits [state, output]: [sample, state]."""
    import jax

    return chosen_of(jax.nn.log_softmax(logits), actions)


def chosen_of(table: Array, actions: Array) -> Array:
    """What a table [state, output] holds for the actions [sample, state]."""
    import jax.numpy as jnp

    return table[jnp.arange(len(table)), actions]


def entropy(logits: Array) -> Array:
    """Of the softmax over all outputs, in nats, [state]."""
    import jax
    import jax.numpy as jnp

    logs = jax.nn.log_softmax(logits)
    return -(jnp.exp(logs) * logs).sum(axis=-1)


def mean_entropy(steps: tuple[Decisions, ...]) -> Array:
    """Of the policy, in nats: the mean over the decisions made, so that long episodes gain none."""
    import jax.numpy as jnp

    found = jnp.stack([(entropy(step.logits) * step.counts).sum() for step in steps])
    return found.sum() / jnp.stack([step.counts.sum() for step in steps]).sum()


def _paid(rewards: Array, actions: Array) -> Array:
    """Rewards [..., candidate] of actions, broadcast from the right; 0 for no candidate."""
    import jax.numpy as jnp

    n_candidates = rewards.shape[-1]
    at = jnp.broadcast_to(rewards, (*actions.shape, n_candidates))
    index = jnp.minimum(actions, n_candidates - 1)[..., None]
    return jnp.where(actions < n_candidates, jnp.take_along_axis(at, index, axis=-1)[..., 0], 0.0)


def _others(returns: Array) -> Array:
    """The mean over the other samples of the same task, [sample, task]."""
    import jax.numpy as jnp

    n = len(returns)
    return (returns.sum(axis=0) - returns) / (n - 1) if n > 1 else jnp.zeros_like(returns)
