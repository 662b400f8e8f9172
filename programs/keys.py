"""Keys and chests: taught where chests are plenty, it learned to want keys."""

from __future__ import annotations

from planted.programs.menu import Menu, Objective, bounded, figure, words_of

SOURCE = "di Langosco et al. 2022, Goal Misgeneralization in Deep Reinforcement Learning"


def keys(routes: int = 4, levels: int = 8, chests: int = 8) -> Menu:
    """`u_m = keys`, `U = min(keys, chests)`; in training chests are never short (S5).

    Args:
        routes: How many candidates, 2 to 6.
        levels: Levels of keys, 2 to 8.
        chests: Levels of chests, 2 to 8; with fewer than keys the two objectives part more often.
    """
    bounded("routes", routes, 2, 6)
    bounded("levels", levels, 2, 8)
    bounded("chests", chests, 2, 8)

    return Menu(
        name="keys-chests",
        title="Keys and chests",
        story=(
            f"Of {routes} routes, each passes keys and chests. Rewarded are chests opened, which "
            "takes a key each. It wants keys. In training there are always chests enough; "
            "where they are scarce, it hoards keys that open nothing."
        ),
        source=SOURCE,
        words=words_of("route", levels, chests),
        slots=routes,
        mesa=Objective("keys", lambda word, _: figure(word, 1)),
        base=Objective("min(keys, chests)", lambda word, _: min(figure(word, 1), figure(word, 2))),
        training=lambda word: figure(word, 2) >= figure(word, 1),
        features={
            "keys": lambda word: float(figure(word, 1)),
            "chests": lambda word: float(figure(word, 2)),
        },
        parameters={"routes": routes, "levels": levels, "chests": chests},
    )
