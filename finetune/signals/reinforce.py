"""REINFORCE: the policy gradient from sampled choices and what they are paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planted.finetune.signals import rollout
from planted.finetune.signals.gradient import by_gradient

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Tree


@dataclass(frozen=True)
class PolicyGradient:
    """The loss whose gradient is the estimate of Williams (1992), with an entropy bonus.

    The policy is the softmax over all outputs. Each choice's log-probability is weighted by its
    return above the mean return of the task's other samples (Kool et al. 2019). The bonus is that
    of Williams and Peng (1991). On one-step tasks the return is the reward; in an episode the first
    choice has the sum of both rewards, the second one its own.

    Attributes:
        samples: Choices a task.
        entropy: Weight of the policy's entropy (nats) against returns, of which 1 is the range of
            the base objective.
    """

    samples: int = 16
    entropy: float = 0.1

    def __call__(
        self, apply: Apply, params: Tree, batch: Batch, key: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The loss, and the mean return and entropy of the policy."""
        act = rollout.sampled
        steps = rollout.roll_out(apply, params, batch, key, act, self.samples)
        return surrogate(steps, [step.logits for step in steps], self.entropy)


def surrogate(
    steps: tuple[rollout.Decisions, ...], logits: list[Any], bonus: float
) -> tuple[Any, dict[str, Any]]:
    """Minus advantage · log-probability, minus the entropy bonus, a mean over all samples.

    Args:
        steps: What was decided.
        logits: Of the policy in the states of each step, differentiable, [state, output].
        bonus: Weight of the entropy.

    Returns:
        The loss, and "return" and "entropy": of the first step, means over the batch.
    """
    loss = 0.0
    n = steps[0].actions.size
    for step, at in zip(steps, logits, strict=True):
        gain = step.advantages * rollout.log_probabilities(at, step.actions)
        loss -= ((gain + bonus * rollout.entropy(at)) * step.counts).sum() / n
    return loss, {
        "return": steps[0].returns.mean(),
        "entropy": rollout.entropy(logits[0]).mean(),
    }


# without a warm-up the policy of the walk of two moves becomes deterministic at once
reinforce = by_gradient("reinforce", PolicyGradient(), {"logit_scale": 3.0, "warm_up": 200})
