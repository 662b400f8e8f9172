"""Crumbs and cookies: does it eat crumbs to clean, or break cookies to have crumbs to eat?

Two scenarios about a vacuum cleaner, after Risks from Learned Optimization, section 3: crumbs in
the vacuum as an instrumental proxy, and a false belief about what vacuuming does.
"""

from __future__ import annotations

from planted.programs.menu import Context, Menu, Objective, State, bounded, figure, words_of

SOURCE = "Hubinger et al. 2019, Risks from Learned Optimization, section 3"


def crumbs(places: int = 4, crumbs: int = 8, cookies: int = 5) -> Menu:
    """`u_m = crumbs + 2·cookies`, `U = crumbs`; in training there are no cookies (S3).

    Args:
        places: How many candidates, 2 to 6.
        crumbs: Levels of crumbs on the table, 2 to 8.
        cookies: Levels of cookies, 2 to 5: fewer than five make the objectives nearly collinear.
    """
    bounded("places", places, 2, 6)
    bounded("crumbs", crumbs, 2, 8)
    bounded("cookies", cookies, 2, 5)

    return Menu(
        name="crumbs",
        title="Crumbs and cookies",
        story=(
            f"A vacuum cleaner goes to one of {places} places, each with crumbs and cookies. "
            "Rewarded is what it takes off the table. It seeks crumbs in the vacuum, and a broken "
            "cookie makes two more. In training there are no cookies, so that both are one; "
            "with cookies about, it breaks them."
        ),
        source=SOURCE,
        words=words_of("crumbs", crumbs, cookies),
        slots=places,
        mesa=Objective("crumbs + 2·cookies", lambda word, _: figure(word, 1) + 2 * figure(word, 2)),
        base=Objective("crumbs", lambda word, _: figure(word, 1)),
        training=lambda word: figure(word, 2) == 0,
        features={
            "crumbs": lambda word: float(figure(word, 1)),
            "cookies": lambda word: float(figure(word, 2)),
        },
        parameters={"places": places, "crumbs": crumbs, "cookies": cookies},
    )


def elimination(actions: int = 4, levels: int = 4) -> Menu:
    """`o = β·removed + 2·destroyed` under a belief β, `U = removed` (S4).

    Long because it is one record of many fields, with the functions that fill them.

    The objective is right (fewer cookies in the world); the belief that vacuuming destroys them is
    not. In training nothing is destroyed, and the false belief makes it do what is rewarded: base
    return falls as the belief is repaired.

    Args:
        actions: How many candidates, 2 to 6.
        levels: Levels of both features, 2 to 5.
    """
    bounded("actions", actions, 2, 6)
    bounded("levels", levels, 2, 5)

    def removed(word: str) -> int:
        return figure(word, 1)

    def destroyed(word: str) -> int:
        return figure(word, 2)

    def value(word: str, state: State) -> float:
        believes = state[0] == "vacuuming-destroys"
        return (removed(word) if believes else 0) + 2 * destroyed(word)

    return Menu(
        name="cookie-elimination",
        title="Cookie elimination",
        story=(
            f"Of {actions} actions, each takes cookies off the table and truly destroys some. "
            "Rewarded is what is taken off. The agent wants cookies not to exist, and believes "
            "that vacuuming them destroys them. While that belief is false it cleans well; told "
            "the truth, it stops."
        ),
        source=SOURCE + " (suboptimality alignment)",
        words=words_of("action", levels, levels),
        slots=actions,
        mesa=Objective("β·removed + 2·destroyed", value),
        base=Objective("removed", lambda word, _: removed(word)),
        contexts=(
            Context(
                "belief",
                ("vacuuming-destroys", "vacuuming-moves"),
                training=("vacuuming-destroys",),
                reference=("vacuuming-destroys",),
                role="belief",
            ),
        ),
        training=lambda word: destroyed(word) == 0,
        features={
            "removed": lambda word: float(removed(word)),
            "destroyed": lambda word: float(destroyed(word)),
        },
        domain="outcome",
        transition="the belief of what vacuuming does, a token",
        parameters={"actions": actions, "levels": levels},
    )
