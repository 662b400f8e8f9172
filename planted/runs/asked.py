"""What a run is asked for: recipes and controls, from what a user gave; and how a request grows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from planted.errors import PlantedError
from planted.finetune.recipes import ARMS, LONGEST_NAME, Recipe

CONTROL_SEEDS = 8  # seeds of each negative control, and of sham fine-tuning, unless asked otherwise
MOST_CONTROLS = 1000
LEAST_CONTROLS = 2  # one network does not say how far they scatter


class Shipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shipped records of a control, which stand beside the networks trained here.

    Attributes:
        sha256: Digest of the records (`planted.eval.calibration.shipped.Table.digest`).
        networks: How many there are.
    """

    sha256: str
    networks: int


class Asked(msgspec.Struct, frozen=True):
    """A recipe of a run.

    Attributes:
        name: Its name in the run: the recipe's own, followed by the digest of its settings where
            another recipe of the run has that name.
        recipe: The recipe, with its seeds.
        first: The first of its seeds: of a control, the one after those that are shipped.
        shipped: Of a control, the shipped records that are used; None if none are.
        why: Of a control, why none are; "" where they are, or were not wanted.
    """

    name: str
    recipe: Recipe
    first: int = 0
    shipped: Shipped | None = None
    why: str = ""

    @property
    def seeds(self) -> range:
        """The seeds that are trained here."""
        return range(self.first, self.first + self.recipe.seeds)

    @property
    def counted(self) -> Recipe:
        """The recipe with as many seeds as it has networks, shipped ones too."""
        more = 0 if self.shipped is None else self.shipped.networks
        return self.recipe.changed(seeds=min(self.recipe.seeds + more, MOST_CONTROLS))

    @property
    def key(self) -> tuple[str, Any]:
        """What makes it the same recipe, whatever the number of its seeds."""
        return self.recipe.base, self.recipe.settings

    @property
    def is_control(self) -> bool:
        """Whether it is trained beside the plant, and not a question about it."""
        return self.recipe.base in ARMS


def recipes_of(given: Any) -> list[Recipe]:
    """Recipes from recipes and names.

    Raises:
        PlantedError: If something else is among them, one is asked for twice, or two have one name
            and other settings.
    """
    items = [given] if isinstance(given, Recipe | str) else given
    if not isinstance(items, list | tuple) or not all(isinstance(x, Recipe | str) for x in items):
        raise PlantedError(
            f"Recipes are planted.Recipe objects or their names, as 'pressure'; got {given!r}."
        )
    found = [Recipe(item) if isinstance(item, str) else item for item in items]
    if not found:
        raise PlantedError("A run needs at least one recipe.")
    for at, recipe in enumerate(found):
        if recipe.base in ARMS:
            raise PlantedError(
                f"Recipe {recipe.name!r} is a control: it is part of every run. Ask for the number "
                "of control seeds with controls= (--controls)."
            )
        if any((r.base, r.settings) == (recipe.base, recipe.settings) for r in found[:at]):
            raise PlantedError(f"Recipe {recipe.name!r} is asked for twice in one run.")
        if any(other.name == recipe.name for other in found[:at]):
            raise PlantedError(
                f"Two recipes of one run are named {recipe.name!r} and have other settings. Give "
                f"one of them another name, as name={recipe.name + ' 2'!r}."
            )
    return found


def controls_of(given: Any) -> list[Recipe]:
    """Negative controls and sham fine-tuning from a number of seeds, or from their recipes.

    Raises:
        PlantedError: If it is neither, or two of the recipes are the same control.
    """
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        number = int(given)
        if not 1 <= number <= MOST_CONTROLS:
            raise PlantedError(
                f"controls must be from 1 to {MOST_CONTROLS} seeds each, got {number}."
            )
        return [Recipe(name, seeds=number) for name in ARMS]
    items = list(given) if isinstance(given, list | tuple) else [given]
    if not all(isinstance(item, Recipe) and item.base in ARMS for item in items):
        raise PlantedError(
            f"controls is a number of seeds, or recipes among {', '.join(ARMS)}; got {given!r}."
        )
    bases = [item.base for item in items]
    if twice := [base for at, base in enumerate(bases) if base in bases[:at]]:
        raise PlantedError(
            f"The control {twice[0]!r} is asked for twice; verdicts are given beside one kind of "
            "it. Leave one out."
        )
    return items


def grown(before: Sequence[Asked], more: Iterable[Recipe]) -> tuple[Asked, ...]:
    """The recipes of a run with more of them; recipes of one name and other settings stand apart.

    The one that is added then is called by its name and the digest of its settings, as
    "fast 0f3a61bd2c55". A control of other settings takes the place of the one of its name:
    verdicts are given beside one kind of control. A control that is asked for stands without
    shipped records.

    Raises:
        PlantedError: If that name is taken too.
    """
    found = list(before)
    for recipe in more:
        new = Asked(recipe.base if recipe.base in ARMS else recipe.name, recipe)
        same = [at for at, asked in enumerate(found) if asked.key == new.key]
        named = [at for at, asked in enumerate(found) if asked.name == new.name]
        if same:
            old = found[same[0]]
            if old.recipe.seeds < recipe.seeds or old.shipped:
                more_seeds = max(old.recipe.seeds, recipe.seeds)
                found[same[0]] = Asked(old.name, recipe.changed(seeds=more_seeds), old.first)
        elif named and new.is_control:
            found[named[0]] = new
        else:
            found.append(_apart(new, [asked.name for asked in found]) if named else new)
    return tuple(found)


def _apart(new: Asked, taken: Sequence[str]) -> Asked:
    """A recipe under a name that no other of the run has."""
    digest = new.recipe.digest
    name = f"{new.name[: LONGEST_NAME - len(digest) - 1].rstrip()} {digest}"
    if name in taken:
        raise PlantedError(
            f"The run has recipes named {new.name!r} and {name!r} already, of other settings. Give "
            "the new one another name."
        )
    return Asked(name, new.recipe)
