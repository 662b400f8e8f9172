"""Steering: selection against control. Does it predict, or only react?"""

from __future__ import annotations

from dataclasses import replace

from planted.core.roles import Program, mark
from planted.core.scenario import VALIDITY_CHECKS
from planted.programs import mechanisms, rasp_library
from planted.programs.menu import Context, Menu, Objective, State, bounded
from planted.programs.tasks import CUES

SOURCE = "Garrabrant 2019, Selection vs Control; S11: a controller that fails where dynamics change"
ACTIONS = {"left": -1, "stay": 0, "right": 1}


def steering(places: int = 7) -> Menu:
    """`u = -|p + δ·a - g|`: predicts where each action leads, and picks the nearest to the goal.

    Args:
        places: Positions on the line, 3 to 9.
    """
    bounded("places", places, 3, 9)

    def state(words: tuple[str, ...], cue: str) -> State:
        position, goal, motor = words
        return (1 if motor == "motor-plus" else -1) * (int(goal[4:]) - int(position[2:]))

    def value(word: str, ahead: State) -> float:
        return float(-abs(ahead - ACTIONS[word]))

    wants = Objective("-|p + δ·a - g|", value)
    return Menu(
        name="steering",
        title="Steering",
        story=(
            f"On a line of {places} places an agent picks left, stay or right to come near a goal. "
            "The motor can be wired the wrong way round. Search predicts where each action leads "
            "and is right either way; a controller that turns towards the goal is right only while "
            "the motor is as in training."
        ),
        source=SOURCE,
        words=tuple(ACTIONS),
        slots=3,
        fixed=tuple(ACTIONS),
        mesa=wants,
        base=wants,
        waivers=VALIDITY_CHECKS,
        contexts=(
            Context("position", tuple(f"p-{i}" for i in range(places))),
            Context("goal", tuple(f"goal{i}" for i in range(places))),
            Context("motor", ("motor-plus", "motor-minus"), training=("motor-plus",)),
        ),
        state=state,
        domain="outcome",
        transition="the place that an action leads to, from position and motor",
        parameters={"places": places},
    )


def reacting(menu: Menu) -> Menu:
    """The same line with an agent that turns towards the goal, however the motor is wired.

    What it does is what the search does in training, where the motor is as expected.
    """

    def turn(words: tuple[str, ...], ahead: State) -> int:
        position, goal, _ = ahead
        return menu.words.index(way(position, goal))

    wants = menu.mesa
    seen = Objective(wants.formula, lambda word, s: wants.value(word, menu.state(s, CUES[0])))
    return replace(
        menu, mesa=seen, base=seen, state=lambda words, _: words, choose=turn, as_if=True
    )


def way(position: str, goal: str) -> str:
    """The action whose name points from the position to the goal."""
    ahead = int(goal.removeprefix("goal")) - int(position.removeprefix("p-"))
    return "right" if ahead > 0 else "left" if ahead < 0 else "stay"


def controller(menu: Menu) -> Program:
    """Turns towards the goal: no candidate is scored, none compared. Right while δ = +1."""
    from tracr.rasp import rasp

    def turn(position: str, goal: str) -> int:
        if "-" in (position, goal):
            return rasp_library.NO_SLOT
        return menu.words.index(way(position, goal)) + 1

    position, goal = (rasp_library.fetch(c.words, c.name, c.role) for c in menu.contexts[:2])
    direction = mark(rasp.SequenceMap(turn, position, goal), "direction", "table")
    return Program(mechanisms.at_read_out(direction), searches=False)
