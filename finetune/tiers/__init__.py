"""Tiers: what turns compiled weights into other weights of the same program.

A tier is an object with a name, the invariants that it keeps, and `make`; `Tier` says what it
takes and gives. One of your own joins by an entry point of its package,

    [project.entry-points."planted.tiers"]
    noisy = "my_package.tiers:noisy"

and `planted.load("red-doors", tier="noisy")` makes it, certifies it and keeps it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

from planted.core import plugins
from planted.core.plant import TIERS, Plant
from planted.errors import PlantedError, unknown

INVARIANTS = {
    "choices": "every choice is the oracle's",
    "nodes": "every node holds the program's value, to 2 % of its code",
}


@dataclass(frozen=True)
class TierContext:
    """What a tier may use besides the exact plant.

    Attributes:
        compile: Compiles the program again at another MLP exactness (100 is the exact tier's; less
            is softer): exactness -> the exact tier there, not certified. It raises CompileError
            where the program needs more. About a second for a small plant.
        seed: Of whatever is random in the tier.
    """

    compile: Callable[[float], Plant]
    seed: int = 0


@runtime_checkable
class Tier(Protocol):
    """One way to turn a compiled plant into another of the same program.

    `name` and `invariants` may be plain attributes. The certificate has the figures of every
    invariant, declared or not.
    """

    @property
    def name(self) -> str:
        """As in the entry point: small letters, digits, "-", "_"."""
        ...

    @property
    def invariants(self) -> tuple[str, ...]:
        """Keys of `INVARIANTS`, checked again on what `make` returns; what fails is refused."""
        ...

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The plant in this tier.

        Args:
            exact: The certified exact tier. Its arrays are not to be written to.
            context: Compiles again; the seed.

        Returns:
            The same plant, `dataclasses.replace(exact, params=..., truth=..., spec=...,
            settings=...)`: weights and truth changed together, float32, and in `settings` how they
            were made, as plain JSON. Name, scenario and what it answers stay; tier and certificate
            are filled in by the caller.

        Raises:
            PlantedError: If this program cannot be had in this tier; say why, and what to take.
        """
        ...


def names() -> list[str]:
    """Every tier: planted's own, then those of installed packages."""
    return plugins.names("tiers", dict.fromkeys(TIERS))


def check(name: Any) -> None:
    """Refuses the name of a tier that does not exist; imports none.

    Raises:
        UnknownNameError: With the known names.
    """
    if name in TIERS:  # looking through what is installed takes longer than reading a model
        return
    if not isinstance(name, str) or name not in names():
        raise unknown("tier", str(name), names())


def get(name: str) -> Tier:
    """The tier of this name.

    Raises:
        UnknownNameError: If there is none; the known names are listed.
        PlantedError: If it cannot be imported, or is not a tier.
    """
    found = plugins.get("tiers", name, _own(), "tier")
    whole = callable(getattr(found, "make", None)) and not isinstance(found, type)
    invariants = getattr(found, "invariants", None)
    known = isinstance(invariants, tuple) and all(
        isinstance(each, str) and each in INVARIANTS for each in invariants
    )
    if not whole or not known:
        raise PlantedError(
            f"The tier {name!r} is {found!r} with invariants {invariants!r}; a tier is an object "
            "(not a class) with a name, a function make, and a tuple of invariants out of "
            f"{', '.join(INVARIANTS)}. See planted.finetune.tiers.Tier."
        )
    given = getattr(found, "name", None)
    if given != name or not re.fullmatch(r"[a-z0-9_-]+", name):
        raise PlantedError(
            f"The tier of entry point {name!r} has the name {given!r}. Give both one name of "
            "small letters, digits, '-' and '_'; it becomes part of a file's name."
        )
    return cast(Tier, found)


def source_digest(name: str) -> str:
    """SHA-256 of the module of a tier from another package; "" for planted's own.

    A cached plant is made anew when it changes. Other modules that it imports are not looked at.
    """
    if name in TIERS:
        return ""
    return plugins.source_digest(get(name))


def _own() -> dict[str, Tier]:
    from planted.finetune.tiers.compressed import Compressed
    from planted.finetune.tiers.dense import Dense
    from planted.finetune.tiers.exact import Exact
    from planted.finetune.tiers.rotated import Rotated
    from planted.finetune.tiers.tempered import Tempered

    own: tuple[Tier, ...] = (Exact(), Tempered(), Rotated(), Dense(), Compressed())
    return {tier.name: tier for tier in own}
