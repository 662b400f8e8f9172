"""PPO: several steps down a clipped surrogate on the same sampled choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from planted.finetune.signals import rollout
from planted.finetune.signals.gradient import descend

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Tree


@dataclass(frozen=True, repr=False)
class Ppo:
    """Proximal policy optimisation (Schulman et al. 2017, eq. 7), without a value network.

    A step samples choices once, under the policy that it starts with, and then takes `epochs` steps
    of the optimiser down the clipped surrogate of that batch. The advantage is the return above the
    mean return of the task's other samples (Kool et al. 2019): generalised advantage estimation
    (Schulman et al. 2016) with λ = 1 and this mean as the value. The transformer has no output for
    a value, and one added to it would be a second thing that training can change. On one-step
    tasks this is a clipped surrogate and no more: there is nothing to bootstrap from.

    Attributes:
        samples: Choices a task.
        epochs: Steps of the optimiser on each batch.
        clip: How far the ratio of probabilities may leave 1 and still be followed.
        entropy: Weight of the policy's entropy (nats) against returns, of which 1 is the range of
            the base objective.
    """

    samples: int = 16
    epochs: int = 4
    clip: float = 0.2
    entropy: float = 0.1
    # without a warm-up the policy of the walk of two moves becomes deterministic at once
    defaults: ClassVar[Mapping[str, Any]] = {
        "logit_scale": 3.0, "learning_rate": 3e-4, "warm_up": 200,
    }  # fmt: skip

    def __repr__(self) -> str:
        return "<signal ppo>"

    def init(self, params: Tree, optimiser: Any, key: Any) -> Tree:
        """The optimiser's state."""
        return optimiser.init(params)

    def update(
        self, params: Tree, batch: Batch, key: Any, state: Tree, optimiser: Any, apply: Apply
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        """One batch of samples, and all epochs on it; "loss" and "gradient" are their means."""
        import jax

        act = rollout.sampled
        steps = rollout.roll_out(apply, params, batch, key, act, self.samples)

        def epoch(carry: Any, _: None) -> Any:
            params, state = carry

            def loss_of(params: Tree) -> tuple[Any, dict[str, Any]]:
                return self.clipped(steps, [apply(params, step.tokens) for step in steps])

            params, state, log = descend(loss_of, params, state, optimiser)
            return (params, state), log

        (params, state), log = jax.lax.scan(epoch, (params, state), None, length=self.epochs)
        means = jax.tree.map(lambda value: value.mean(axis=0), log)
        return params, state, {**means, "return": steps[0].returns.mean()}

    def clipped(
        self, steps: tuple[rollout.Decisions, ...], logits: list[Any]
    ) -> tuple[Any, dict[str, Any]]:
        """Minus the clipped surrogate and the entropy bonus, a mean over all samples.

        Args:
            steps: What was decided, with the logits of the policy that decided.
            logits: Of the policy that is trained, in the same states, [state, output].

        Returns:
            The loss, and "entropy" and "clipped", the share of choices whose ratio is past the clip
            (both of the first step).
        """
        import jax.numpy as jnp

        loss, n = 0.0, steps[0].actions.size
        more: dict[str, Any] = {}
        for step, at in zip(steps, logits, strict=True):
            before = rollout.log_probabilities(step.logits, step.actions)
            ratio = jnp.exp(rollout.log_probabilities(at, step.actions) - before)
            within = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
            gain = jnp.minimum(ratio * step.advantages, within * step.advantages)
            loss -= ((gain + self.entropy * rollout.entropy(at)) * step.counts).sum() / n
            clipped = (jnp.abs(ratio - 1) > self.clip).mean()
            more = more or {"entropy": rollout.entropy(at).mean(), "clipped": clipped}
        return loss, more


ppo = Ppo()
