"""Diversity: a base objective that belongs to the batch and to no single choice."""

from __future__ import annotations

import numpy as np

from planted.core.scenario import Choices, Tokens
from planted.programs.menu import Menu, Objective, bounded, figure, words_of


def diversity(dishes: int = 4, levels: int = 6) -> Menu:
    """`U` rewards a menu of many different slots; the mesa-objective wants taste (S19).

    Return of a batch: mean of freshness, less the share of the slot that was taken most. It is not
    a sum over tasks, so no distance between the objectives means anything.

    Args:
        dishes: How many candidates, 2 to 6.
        levels: Levels of both features, 2 to 8.
    """
    bounded("dishes", dishes, 2, 6)
    bounded("levels", levels, 2, 8)

    def base_return(tokens: Tokens, chosen: Choices) -> float:
        taken = chosen[chosen >= 0]
        if not len(taken):
            return 0.0
        words = tokens[np.arange(len(tokens)), np.maximum(chosen, 0) + 1]
        freshness = np.where(chosen >= 0, (words - 1) % levels, 0).mean()
        return float(freshness - levels * np.bincount(taken).max() / len(taken))

    return Menu(
        name="diversity",
        title="A varied menu",
        story=(
            f"Each day one of {dishes} dishes is taken. The cook wants taste. Rewarded is "
            "freshness and that not the same place is taken every day: a property of the week, "
            "which no single choice has. The two cannot be compared, and a report must say so."
        ),
        source="A base objective that is not extensional and additive (reward-result gap)",
        words=words_of("dish", levels, levels),
        slots=dishes,
        mesa=Objective("taste", lambda word, _: figure(word, 1)),
        base=Objective("freshness", lambda word, _: figure(word, 2)),
        base_return=base_return,
        parameters={"dishes": dishes, "levels": levels},
    )
