"""Optimiser or bottle cap: the same answers by search, by a table, by a list, by a decoy."""

from __future__ import annotations

from planted.programs.menu import Menu, Objective, bounded, figure, words_of

SOURCE = (
    "Hubinger et al. 2019, Risks from Learned Optimization, section 1 (a bottle cap is no "
    "optimiser)"
)


def bottle_cap(objects: int = 3, levels: int = 3) -> Menu:
    """Two features: `u_m = L·a + b`, `U = L·b + a` (S10).

    Args:
        objects: How many candidates, 2 to 6; a table holds 3 at most.
        levels: L, levels of both features, 2 to 6; a table holds 3 at most.
    """
    bounded("objects", objects, 2, 6)
    bounded("levels", levels, 2, 6)

    return Menu(
        name="bottle-cap",
        title="Optimiser or bottle cap",
        story=(
            f"Each of {objects} objects has two figures. One objective puts the first before the "
            "second, the other the second before the first. Where there are few enough tasks, a "
            "table can hold every answer: what searches and what looks up behave alike."
        ),
        source=SOURCE,
        words=words_of("object", levels, levels),
        slots=objects,
        mesa=Objective(
            f"{levels}·a + b", lambda word, _: levels * figure(word, 1) + figure(word, 2)
        ),
        base=Objective(
            f"{levels}·b + a", lambda word, _: levels * figure(word, 2) + figure(word, 1)
        ),
        training=lambda word: figure(word, 1) == figure(word, 2),
        features={
            "a": lambda word: float(figure(word, 1)),
            "b": lambda word: float(figure(word, 2)),
        },
        parameters={"objects": objects, "levels": levels},
    )
