"""Relearning: how many steps weights take to follow an objective, from a fixed set of examples.

The steps are those of the training loop. What differs from a recipe is where training starts, that
it sees few tasks again and again, and that it ends when most choices on other tasks are right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.objectives import best, leftmost, untied
from planted.core.plant import Plant
from planted.core.sampling import held_out
from planted.core.scenario import Choices, Scenario, Tokens, Utility, Values
from planted.core.spec import Params
from planted.errors import PlantedError
from planted.finetune import loop
from planted.finetune.behaviour import NEARLY, WATCHED
from planted.finetune.data import as_float32
from planted.finetune.settings import Settings
from planted.finetune.signals import Batch
from planted.network.forward import choices_of

LOOK_EVERY = 5  # steps between two looks at the choices
LEAST_WATCHED = 30  # tasks on which a share of .90 is told from .75
_ROUNDS, _DRAWN = 60, 2048  # draws of tasks, until enough distinct ones are found
_IDLE = 8  # draws in a row with nothing new, after which there is nothing more


class Lesson(NamedTuple):
    """What is taught, and on what it is tested.

    Attributes:
        tokens: Examples [example, pos].
        values: What each candidate is worth there, [example, candidate].
        test: Held-out tasks [task, pos]; none is an example.
        wanted: The right choice on each, [task].
    """

    tokens: Tokens
    values: Values
    test: Tokens
    wanted: Choices


class Relearned(NamedTuple):
    """How one training ended.

    Attributes:
        steps: Steps after which enough choices were right, a multiple of `LOOK_EVERY`; those of the
            whole training where they never were.
        reached: Whether they were. If not, the steps are censored: it would have taken more.
    """

    steps: int
    reached: bool


def lesson(
    scenario: Scenario, taught: Utility, others: Sequence[Utility], k: int, seed: int, share: float
) -> Lesson:
    """Examples of an objective on which no other one has the same best candidate, and test tasks.

    Tasks are under the training cue, and no objective ties at the top. The test tasks are the same
    for every seed and number of examples.

    Args:
        scenario: Where tasks come from.
        taught: The objective.
        others: Objectives that must have another best candidate.
        k: How many distinct examples.
        seed: Which examples.
        share: Of all tasks, those that are held out: test tasks are among them, examples are not.

    Raises:
        PlantedError: If there are fewer than k such examples, or hardly any test task.
    """
    if type(k) is not int or k < 1:
        raise PlantedError(f"The number of examples is a whole number from 1, got {k!r}.")

    def part(held: bool) -> Callable[[Tokens], npt.NDArray[np.bool_]]:
        def kept(tokens: Tokens) -> npt.NDArray[np.bool_]:
            apart = _apart(tokens, taught, others)
            return np.asarray(apart & (held_out(scenario, tokens, share) == held))

        return kept

    test = _distinct(scenario, np.random.default_rng(0x7E57), WATCHED, part(True))
    if len(test) < LEAST_WATCHED:
        raise PlantedError(
            f"{len(test)} held-out tasks of {scenario.name!r} have another best candidate by "
            f"{taught.formula!r} than by the other objectives; {LEAST_WATCHED} are needed to "
            "measure on. Choose a scenario whose objectives disagree more often."
        )
    rng = np.random.default_rng([seed, 0x1E550])
    tokens = _distinct(scenario, rng, k, part(False))
    if len(tokens) < k:
        raise PlantedError(
            f"{scenario.name!r} has {len(tokens)} distinct tasks to train on that have another "
            f"best candidate by {taught.formula!r} than by the other objectives, and {k} examples "
            "were asked for. Ask for fewer."
        )
    return Lesson(tokens, taught.of(tokens), test, leftmost(taught.of(test)))


def relearn(
    plant: Plant,
    weights: Params,
    taught: Lesson,
    settings: Settings,
    seed: int,
    enough: float = NEARLY,
) -> Relearned:
    """Trains weights on the examples of a lesson until enough choices on its test are right.

    Examples are passed over in an order drawn anew each time; the optimiser starts afresh.

    Args:
        plant: How to run the network, and its shapes.
        weights: Where training starts.
        taught: The lesson.
        settings: Rate, batch, largest number of steps and the like; the regime is the lesson's.
        seed: Of the order of the examples.
        enough: Share of right choices at which training ends.

    Returns:
        The steps; 0 where enough choices are right before any. Training whose loss or weights are
        not finite counts as one that never got there.

    Raises:
        PlantedError: If jax and optax are not installed.
        CheckpointError: If the weights are not of the plant's shapes.
    """
    start = plant.check_params(weights, "The weights that relearning starts from")

    def there(network: Params) -> bool:
        chosen = choices_of(network, plant.spec, taught.test)
        return bool((chosen == taught.wanted).mean() >= enough)

    if there(start):
        return Relearned(0, True)
    job = loop.job_of(plant, settings)
    found = job.first(start, seed)
    vector, memory = loop.flat(found), loop.first_state(job, found, seed)
    steps = settings.steps - settings.steps % LOOK_EVERY
    tokens, values = _stream(taught, settings.batch, steps, seed)
    origin = loop.flat(start)[None]
    for done in range(0, steps, LOOK_EVERY):
        now = slice(done, done + LOOK_EVERY)
        part = Batch(tokens[None, now], values[None, now])
        after = loop.advance(job, origin, vector[None], [memory], part, [seed], done)
        vector, memory = after.vectors[0], after.states[0]
        if not (np.isfinite(after.losses).all() and np.isfinite(vector).all()):
            return Relearned(steps, False)
        if there(job.network(start, loop.unflat(vector, job.free))):
            return Relearned(done + LOOK_EVERY, True)
    return Relearned(steps, False)


def _stream(
    taught: Lesson, batch: int, steps: int, seed: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    """Tokens [step, task, pos] and values [step, task, candidate], pass after pass."""
    rng, k = np.random.default_rng([seed, 0x0DE4]), len(taught.tokens)
    passes = -(-steps * batch // k)
    order = np.concatenate([rng.permutation(k) for _ in range(passes)])[: steps * batch]
    at = order.reshape(steps, batch)
    return taught.tokens.astype(np.int32)[at], as_float32(taught.values)[at]


def _apart(tokens: Tokens, taught: Utility, others: Sequence[Utility]) -> npt.NDArray[np.bool_]:
    """Where the objective and all others have one best candidate each, and not the same, [task]."""
    values = taught.of(tokens)
    apart, top = untied(values), best(values)
    for other in others:
        theirs = other.of(tokens)
        apart &= untied(theirs) & ~(top & best(theirs)).any(axis=1)
    return np.asarray(apart)


def _distinct(
    scenario: Scenario,
    rng: np.random.Generator,
    n: int,
    kept: Callable[[Tokens], npt.NDArray[np.bool_]],
) -> Tokens:
    """Up to `n` distinct tasks of D_ref under the training cue, [task, pos]."""
    found, idle = scenario.draw(rng, 0), 0
    for _ in range(_ROUNDS):
        tokens = scenario.draw(rng, _DRAWN)
        every = np.concatenate([found, tokens[kept(tokens)]])
        _, first = np.unique(every, axis=0, return_index=True)
        idle = idle + 1 if len(first) == len(found) else 0
        found = every[np.sort(first)]
        if len(found) >= n or idle == _IDLE:
            break
    return found[:n]
