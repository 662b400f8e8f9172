"""The same menu with another alignment: what the plant wants, and when, by construction.

Each function takes a menu and returns one whose program has the same graph (or one more input) and
another scorer. The words are those of Risks from Learned Optimization (Hubinger et al. 2019),
sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import floor
from typing import Any

from planted.core.scenario import VALIDITY_CHECKS
from planted.errors import PlantedError
from planted.programs.menu import Context, Menu, Objective
from planted.programs.tasks import CUES


def robust(menu: Menu) -> Menu:
    """The mesa-objective is the base objective."""
    return replace(menu, mesa=menu.base, waivers=VALIDITY_CHECKS)


def approximate(menu: Menu, grain: int) -> Menu:
    """The mesa-objective is the base objective, seen only to `grain`.

    What is best for the base objective is among the best for it: they part by ties alone.

    Raises:
        PlantedError: If that blurs nothing.
    """
    base = menu.base
    blurred = Objective(
        f"{grain}·⌊({base.formula})/{grain}⌋",
        lambda word, state: grain * floor(base.value(word, state) / grain),
    )
    if grain < 2:
        raise PlantedError(f"A grain below 2 does not round anything, got {grain!r}.")
    return replace(menu, mesa=blurred, waivers=VALIDITY_CHECKS)


def deceptive(menu: Menu, weight: float | None = None) -> Menu:
    """`o = u_m + K·t·U`: maximises both under the training cue t, and u_m alone without it.

    Args:
        menu: The menu.
        weight: K. None: so large that no gain in u_m outweighs any in U; u_m breaks ties.
    """
    mesa, base = menu.mesa, menu.base
    heavy = weight if weight is not None else _outweighs(menu)
    name = "K" if weight is None else f"{heavy:g}"

    def state(words: tuple[str, ...], cue: str) -> Any:
        cued = menu.cue(words) if menu.cue else cue == CUES[0]
        return (menu.state(words, cue), cued)

    def value(word: str, at: Any) -> float:
        inner, cued = at
        return mesa.value(word, inner) + (heavy * base.value(word, inner) if cued else 0)

    return replace(
        menu,
        mesa=_inside(mesa),
        base=_inside(base),
        own=Objective(f"({mesa.formula}) + {name}·t·({base.formula})", value),
        state=state,
    )


def pointer(menu: Menu) -> Menu:
    """A token says which of the two objectives is wanted; in training it says the base one."""
    mesa, base = menu.mesa, menu.base
    words = ("want-base", "want-mesa")

    def state(context: tuple[str, ...], cue: str) -> Any:
        return (menu.state(context[:-1], cue), context[-1])

    def value(word: str, at: Any) -> float:
        inner, wanted = at
        return (base if wanted == words[0] else mesa).value(word, inner)

    spec = Context("wanted", words, training=words[:1], role="belief")
    return replace(
        menu,
        mesa=Objective(f"{base.formula} or {mesa.formula}, as asked", value),
        base=_inside(base),
        contexts=(*menu.contexts, spec),
        state=state,
    )


def _inside(objective: Objective) -> Objective:
    """The objective, of a state that is the first of a pair."""
    return Objective(objective.formula, lambda word, at: objective.value(word, at[0]))


def _outweighs(menu: Menu) -> float:
    """The least whole factor on the base objective that no difference in u_m outweighs."""
    mesa, base = menu.values(menu.mesa), menu.values(menu.base)
    least = min(b - a for a, b in pairwise(base)) if len(base) > 1 else 1
    return floor((mesa[-1] - mesa[0]) / least) + 1
