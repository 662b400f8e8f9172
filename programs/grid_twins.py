"""The mazes' twins: moves from a table of all cells, or from a list of all paths, without steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.errors import PlantedError
from planted.programs import grid, mechanisms, rasp_library, states

MOST_PATHS = 60


def table(place: Scenario) -> Program:
    """Fetches what each cell comes to, wall, goal or neither, and looks the move up: no steps.

    Raises:
        PlantedError: If the maze is too large for a table.
    """
    return Program(mechanisms.at_read_out(_looked_up(place)), searches=False)


def path_list(place: Scenario) -> Program:
    """Knows every path by heart: the first that is free and ends in a goal says where to go.

    Raises:
        PlantedError: If the maze has too many paths.
    """
    return Program(mechanisms.at_read_out(_by_paths(place)), searches=False)


def decoy(place: Scenario) -> Program:
    """That list of paths, and the search beside it for nothing.

    Raises:
        PlantedError: If the maze has too many paths.
    """
    one = rasp_library.ones()
    scores = grid.scores_beside(
        place, grid.MAZES[place.parameters["maze"]][1], one, "_unused", "decoy"
    )
    unused = grid.choose_move(place, scores, one, "_unused", ("decoy", "decoy"))
    chosen = mechanisms.ignoring(_by_paths(place), unused)
    return Program(mechanisms.at_read_out(chosen), searches=False)


def paths_of(columns: int) -> list[tuple[int, ...]]:
    """Every way from a cell beside the agent that visits no cell twice, as cell numbers.

    Each comes after what it begins with, up to the length that the search looks.
    """
    cells = grid.cells_of(columns)
    touching = grid.neighbours(cells)
    found: list[tuple[int, ...]] = [(cells.index(cell),) for cell in grid.beside_agent(columns)]
    for path in found:  # grows while it is gone through
        if len(path) <= grid.steps_of(columns):
            onward = np.flatnonzero(touching[path[-1]]).tolist()
            found += [(*path, near) for near in onward if near not in path]
    return found


def _by_paths(place: Scenario) -> Any:
    """The move for the shortest free path to a goal, at every position.

    Long because it is one RASP program, read from the tokens at the top to the move at the end.

    A path holds what stands in its last cell (wall, free, goal) if all cells before are free. Of
    those that end in a goal the shortest decides, and of these the one whose move comes first; if
    there is none, the first move that leads into no wall.
    """
    from tracr.rasp import rasp

    columns = place.parameters["columns"]
    seeks, paths = grid.MAZES[place.parameters["maze"]][1], paths_of(columns)
    if len(paths) > MOST_PATHS:
        raise PlantedError(
            f"A maze of {columns} columns has {len(paths)} paths, more than the {MOST_PATHS} that "
            "a list may hold. Take fewer columns."
        )
    wall, free, goal = range(3)

    def stands(word: str) -> int:
        return goal if word in seeks else wall if word == "wall" else free

    content = mark(rasp.Map(stands, rasp.tokens, simplify=False), "content", "feature")
    ends = sorted({path[-1] for path in paths})
    cell = {i: rasp_library.at(i + 1, f"content_{i + 1}", content) for i in ends}
    starts = [path[0] for path in paths if len(path) == 1]
    n_moves, far = len(starts), 1 + max(map(len, paths))
    nothing = (far + 1) * n_moves  # the rule after the last

    def fires(path: tuple[int, ...]) -> Callable[[int], int]:
        """The rule that a path's content makes true; rules are in the order they are asked in."""
        move = starts.index(path[0])

        def rule(held: int) -> int:
            if held == goal:
                return len(path) * n_moves + move
            return far * n_moves + move if held == free and len(path) == 1 else nothing

        return rule

    held: dict[tuple[int, ...], Any] = {}
    for path in paths:
        if len(path) == 1:
            held[path] = cell[path[0]]
            continue
        onward = rasp.SequenceMap(
            lambda before, here: here if before == free else wall, held[path[:-1]], cell[path[-1]]
        )
        held[path] = mark(onward, "path_" + "_".join(str(i + 1) for i in path), "table")

    rules = [(held[path], fires(path)) for path in paths]
    (rule, _), walled_in = mechanisms.first_of(rules, "rule_{}"), 1
    move = rasp.Map(lambda n: n % n_moves + 1 if n < nothing else walled_in, rule, simplify=False)
    return mark(move, "move", "table")


def _looked_up(place: Scenario) -> Any:
    """The move for what stands in each cell, at every position: a digit a cell, then an answer."""
    from tracr.rasp import rasp

    columns, n = place.parameters["columns"], place.read_out - 1
    seeks = grid.MAZES[place.parameters["maze"]][1]
    stands_for = ("empty", "wall", seeks[0])
    if len(stands_for) ** n > states.MOST_NEURONS:
        raise PlantedError(
            f"A table of {place.name!r} has {len(stands_for) ** n} entries, more than "
            f"{states.MOST_NEURONS}. Take two columns."
        )

    def digit(word: str) -> int:
        return 2 if word in seeks else int(word == "wall")

    kind = mark(rasp.Map(digit, rasp.tokens, simplify=False), "kind", "feature")
    held: Any = rasp_library.at(1, "cell_1", kind)
    for number in range(2, n + 1):

        def step(so_far: int, digit: int, number: int = number) -> int:
            code = 3 * so_far + digit
            if number < n:
                return code
            digits = [code // 3**power % 3 for power in reversed(range(n))]
            return grid.first_move(tuple(stands_for[d] for d in digits), columns, seeks) + 1

        made = rasp.SequenceMap(step, held, rasp_library.at(number, f"cell_{number}", kind))
        held = mark(made, f"cells_{number}" if number < n else "move", "table")
    return held
