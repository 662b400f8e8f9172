"""Signals: what the base optimiser is told about the base objective, and what it does with it.

A signal is an object with two functions, `init` and `update`; `Signal` says what they take and
give. `planted.finetune.signals.by_gradient` makes one from a loss. One of your own joins by an
entry point of its package,

    [project.entry-points."planted.signals"]
    graded-labels = "my_package.signals:graded_labels"

and `Recipe("pressure", signal="graded-labels")` then trains by it. A signal may recommend settings:
the optional attribute `defaults` maps their names to values, which a recipe takes where its user
gave none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, cast, runtime_checkable

from planted.core import plugins
from planted.errors import PlantedError
from planted.finetune.signals.gradient import by_gradient as by_gradient

if TYPE_CHECKING:
    import optax

Array: TypeAlias = Any  # of jax or numpy
Tree: TypeAlias = Any  # any pytree of arrays
Apply: TypeAlias = Callable[[Tree, Array], Array]  # parameters, tokens -> logits


class TwoSteps(NamedTuple):
    """What follows each candidate of a task, where tasks are first steps of episodes of two.

    Attributes:
        rewards: What choosing a candidate is paid at once, float32 [task, candidate].
        goes_on: 1 where a second choice follows, 0 where the episode ends, float32 [task].
        next_tokens: The second choice's task, int32 [task, candidate, pos].
        next_rewards: What its candidates are paid, float32 [task, candidate, next candidate].
    """

    rewards: Array
    goes_on: Array
    next_tokens: Array
    next_rewards: Array


class Batch(NamedTuple):
    """The tasks of one step.

    Attributes:
        tokens: Token ids, int32 [task, pos].
        values: What each candidate is worth to the base optimiser, float32 [task, candidate].
            The label is the first candidate of the highest value, `values.argmax(axis=1)`. In an
            episode this is what follows under the best continuation.
        returns: The same as a share of the objective's range, from 0 (its lowest level) to 1 (its
            highest), float32 [task, candidate]: what signals with settings in units of the return
            read.
        episode: Rewards and next states, in the same unit; None where tasks are of one step.
    """

    tokens: Array
    values: Array
    returns: Array = None
    episode: TwoSteps | None = None


@runtime_checkable
class Signal(Protocol):
    """What the base optimiser is told, and the step that it takes.

    Both functions are traced by `jax.jit`: they are pure, and their shapes do not depend on values.
    They must treat `params` as any pytree of arrays, through `jax.tree` and `apply` alone: the
    training loop passes one vector of all parameters, because that is fast. Reverse-mode
    derivatives (`jax.grad`, `jax.vjp`) and `jax.vmap` go through `apply`; forward mode does not.
    A signal is an instance or a module, not a class, and hashable.
    """

    def init(self, params: Tree, optimiser: optax.GradientTransformation, key: Array) -> Tree:
        """The state before the first step.

        Args:
            params: Parameters.
            optimiser: As in `update`; most signals return `optimiser.init(params)`.
            key: Random key, of the seed alone.

        Returns:
            A pytree of numeric arrays (no random keys: each update gets one). It is written to disk
            and read again by tree path, so its structure and shapes stay the same all along.
        """
        ...

    def update(
        self,
        params: Tree,
        batch: Batch,
        key: Array,
        state: Tree,
        optimiser: optax.GradientTransformation,
        apply: Apply,
    ) -> tuple[Tree, Tree, Mapping[str, Any]]:
        """One step of training.

        Args:
            params: Parameters.
            batch: The tasks, and what each candidate is worth.
            key: Random key, of the seed and the step alone.
            state: What `init` or the step before returned.
            optimiser: Turns a gradient (a direction to descend, in the case of other estimates)
                into an update that already has the sign and the rate, and is 0 for parameters that
                the recipe does not train. Parameters may change by its updates alone:
                `optax.apply_updates(params, updates)`.
            apply: `apply(params, tokens) -> logits` [task, output], times the recipe's logit scale.
                Output k is candidate k for k below the number of candidates; there may be more.

        Returns:
            Parameters and state after the step, and a log: "loss", a scalar; "gradient", a pytree
            like `params`, where there is one; any other scalars. Scalars are averaged over the
            steps between two rows of the training log.
        """
        ...


def names() -> list[str]:
    """Every signal: planted's own, then those of installed packages."""
    return plugins.names("signals", _own())


def get(name: str) -> Signal:
    """The signal of this name.

    Raises:
        UnknownNameError: If there is none; the near names are listed.
        PlantedError: If it cannot be imported, or is not a signal.
    """
    return checked(name, plugins.get("signals", name, _own(), "signal"))


def checked(name: str, found: Any) -> Signal:
    """`found`, once it is seen to have what a signal needs.

    Raises:
        PlantedError: Naming what is missing.
    """
    functions = all(callable(getattr(found, part, None)) for part in ("init", "update"))
    if isinstance(found, type) or not functions:
        raise PlantedError(
            f"The signal {name!r} is {found!r}; a signal is an object (not a class) with the "
            "functions init and update. See planted.finetune.signals.Signal."
        )
    try:
        hash(found)
    except TypeError:
        raise PlantedError(
            f"The signal {name!r} cannot be hashed; compiled programs are cached by its hash. Make "
            "it a frozen dataclass, or a module."
        ) from None
    return cast(Signal, found)


def source_digest(name: str) -> str:
    """SHA-256 of the module of a signal from another package; "" for planted's own.

    A cached network is trained anew when it changes. Other modules that it imports are not looked
    at.

    Raises:
        UnknownNameError: As `get`.
        PlantedError: As `get`.
    """
    if name in _own():
        return ""
    return plugins.source_digest(get(name))


def defaults_of(name: str) -> Mapping[str, Any]:
    """Settings that the signal of this name recommends, by name; empty where it has none.

    Raises:
        UnknownNameError: If there is no such signal.
        PlantedError: If it cannot be imported or is not a signal, or its defaults are no mapping.
    """
    found = getattr(get(name), "defaults", {})
    if not isinstance(found, Mapping):
        raise PlantedError(
            f"The defaults of the signal {name!r} are {found!r}; they must be a mapping of "
            "settings' names to values."
        )
    return found


def _own() -> dict[str, Signal]:
    from planted.finetune.signals.evolution import evolution
    from planted.finetune.signals.hard_labels import hard_labels
    from planted.finetune.signals.ppo import ppo
    from planted.finetune.signals.q_regression import q_regression
    from planted.finetune.signals.reinforce import reinforce
    from planted.finetune.signals.smoothed_labels import smoothed_labels
    from planted.finetune.signals.soft_labels import soft_labels

    return {
        "hard-labels": hard_labels,
        "soft-labels": soft_labels,
        "smoothed-labels": smoothed_labels,
        "reinforce": reinforce,
        "ppo": ppo,
        "q-regression": q_regression,
        "evolution": evolution,
    }
