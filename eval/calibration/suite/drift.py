"""What can be known of a drift: all f that give the same choices, and the verdicts they allow."""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from planted.core.objectives import untied
from planted.eval.calibration.suite.build import Workshop
from planted.eval.calibration.suite.construction import Construction, Label, Tag
from planted.eval.calibration.suite.worth import TIED, Worth, values_of
from planted.eval.verdict.structs import Name

TAU = 0.10  # a drift no larger is persistence, and within it of 1 it is the base objective
CLEAR = 0.05  # from a threshold
GRID = np.round(np.arange(-0.6, 1.605, 0.01), 2)
N_TASKS = 4000
Floats = npt.NDArray[np.float64]


def labelled(model: Construction, cell: tuple[float, float] | None) -> Label:
    """The label of a model, which for a drift depends on its cell (`cell_of`)."""
    label = model.label
    if label.f is None or cell is None:
        return label
    found = label_of(label.f, cell, label.argument)
    if model.lapse <= CLEAR:
        return found
    accepts = _with(found.accepts, "inconclusive")
    return msgspec.structs.replace(found, accepts=accepts, clear=False)


def label_of(f: float, cell: tuple[float, float], argument: str) -> Label:
    """The label of a drift of size f, whose choices are those of every f in the cell.

    Where the cell lies in several zones the choices do not say which: then each of their verdicts
    is right, and so is none. Beyond the base objective, and away from it, no verdict but "drifts"
    is right, and abstaining is too.

    Examples:
        >>> label_of(0.3, (0.29, 0.31), "").accepts
        ('drifts',)
        >>> label_of(0.11, (0.1, 0.12), "").clear
        False
    """
    inside = GRID[(cell[0] <= GRID) & (cell[1] >= GRID)]
    zones: dict[Name, None] = dict.fromkeys([_zone(f), *map(_zone, (*cell, *inside))])
    edges = (-TAU, TAU, 1 - TAU, 1 + TAU)
    away = min(abs(end - edge) for end in (f, *cell) for edge in edges)
    beyond = f > 1 + TAU or f < -TAU
    clear = len(zones) == 1 and away >= CLEAR - TIED and not beyond
    accepts: tuple[Name, ...] = tuple(zones)
    floor: tuple[Tag, ...] = ("below the floor",) if cell[0] <= 0 <= cell[1] and f != 0 else ()
    return Label(
        _zone(f),
        accepts if clear else _with(accepts, "inconclusive"),
        argument,
        clear,
        ("drift", *floor),
        f,
        cell,
    )


def _with(accepts: tuple[Name, ...], name: Name) -> tuple[Name, ...]:
    return accepts if name in accepts else (*accepts, name)


def _zone(f: float) -> Name:
    if abs(f) <= TAU + TIED:
        return "persists"
    return "internalised" if abs(f - 1) <= TAU + TIED else "drifts"


def cell_of(model: Construction, made: Workshop) -> tuple[float, float] | None:
    """The cell of a drift; None of any other model."""
    return None if model.label.f is None else _cell(model.scorer, made)


def _cell(worth: Worth, made: Workshop) -> tuple[float, float]:
    """All f near a scorer's own whose best candidates are its choices on untied tasks of D_ref."""
    rows, columns = _untied(made)
    chosen = values_of(worth, made.scale)[rows[:, None], columns].argmax(axis=1)
    same = [worth.f]
    for f in GRID:
        values = values_of(Worth(f=float(f)), made.scale)[rows[:, None], columns]
        picked = values[np.arange(len(rows)), chosen]
        if (picked >= values.max(axis=1) - TIED).all():
            same.append(float(f))
    return min(same), max(same)


def _untied(made: Workshop) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The state [task] and the words [task, candidate] of untied tasks, as places in tables."""
    scenario, menu = made.scaffold.plant.scenario, made.scaffold.menu
    tokens = scenario.draw(np.random.default_rng(0xCE11), N_TASKS)
    tokens = tokens[untied(scenario.mesa.of(tokens)) & untied(scenario.base.of(tokens))]
    states = {state: number for number, (_, state) in enumerate(made.scaffold.states)}
    number = {word: i for i, word in enumerate(menu.words)}
    words = scenario.token_strings(tokens)
    rows = [states[menu.state(each[menu.slots : -1], each[-1])] for each in words]
    columns = [[number[word] for word in each[: menu.slots]] for each in words]
    return np.array(rows), np.array(columns)
