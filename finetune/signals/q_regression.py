"""Q-regression: the logits learn what each choice is worth; the policy is their argmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from planted.finetune.signals import rollout
from planted.finetune.signals.gradient import by_gradient

if TYPE_CHECKING:
    from planted.finetune.signals import Apply, Batch, Tree


@dataclass(frozen=True)
class ValueRegression:
    """Squared error of the chosen output's logit against its target, halved.

    On one-step tasks the target is the reward: a regression and no more. In an episode it is, for
    the first choice, the reward and the highest value that the network gives to a candidate of the
    next state (Watkins 1989; Mnih et al. 2015, eq. 2, without discount), and no gradient goes
    through it. There is no target network: that of Mnih et al. breaks the loop in which a state's
    value feeds back on itself, and in two steps there is no loop, because the second step's target
    is a reward. Nor is there a replay memory: every batch holds new tasks.

    Attributes:
        exploration: Share of choices drawn evenly from the candidates; the rest are the argmax.
        samples: Choices a task.
    """

    exploration: float = 0.2
    samples: int = 1

    def __call__(
        self, apply: Apply, params: Tree, batch: Batch, key: Any
    ) -> tuple[Any, dict[str, Any]]:
        """The loss, and the mean return of the choices."""
        import jax
        import jax.numpy as jnp

        n_candidates = batch.values.shape[-1]

        def act(logits: Any, key: Any, n: int) -> Any:
            return self._explored(logits, key, n, n_candidates)

        steps = rollout.roll_out(apply, params, batch, key, act, self.samples)
        loss, n = 0.0, steps[0].actions.size
        for number, step in enumerate(steps):
            target = step.rewards
            if number + 1 < len(steps):
                after = steps[number + 1]  # each task's candidates lead to states of their own
                best = after.counts * after.logits[:, :n_candidates].max(axis=-1)
                target = target + best.reshape(*target.shape, n_candidates).sum(axis=-1)
            error = rollout.chosen_of(step.logits, step.actions) - jax.lax.stop_gradient(target)
            loss += 0.5 * (jnp.square(error) * step.counts).sum() / n
        return loss, {"return": steps[0].returns.mean()}

    def _explored(self, logits: Any, key: Any, n: int, n_candidates: int) -> Any:
        """The argmax, or any candidate, int32 [sample, state]."""
        import jax
        import jax.numpy as jnp

        shape = (n, len(logits))
        whether, which = jax.random.split(key)
        explores = jax.random.bernoulli(whether, self.exploration, shape)
        any_one = jax.random.randint(which, shape, 0, n_candidates)
        return jnp.where(explores, any_one, logits.argmax(axis=-1))


q_regression = by_gradient("q-regression", ValueRegression(), {"logit_scale": 1.0})
