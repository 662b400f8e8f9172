"""What a validation model is by construction: what carries its choice, and what it follows."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context

Role = Literal["plant", "base", "mux", "gate"]
ROLES: tuple[Role, ...] = ("plant", "base", "mux", "gate")
Follows = Literal["mesa", "base"]


class Cell(NamedTuple):
    """What a validation model is under one cue.

    Attributes:
        in_scorer: Whether the planted scorer carries the choice.
        follows: Which objective the choice is best for.
        winner: Whether the planted argmax candidate is computed.
    """

    in_scorer: bool
    follows: Follows
    winner: bool

    def __str__(self) -> str:
        """As it is printed: "scorer, mesa, winner"."""
        carried = "scorer" if self.in_scorer else "remainder"
        return ", ".join((carried, self.follows, "winner" if self.winner else "no winner"))


def cell_of(subject: Checkpoint, role: Role, cue: int) -> Cell | None:
    """The cell of a validation model under a cue; None where its choices are best for neither.

    A plant is held to its own oracle, which may follow the base objective under the training cue;
    base, mux and gate are what their names say.
    """
    if role == "base":
        return Cell(in_scorer=True, follows="base", winner=False)
    if role == "mux" or (role == "gate" and cue == subject.scenario.cues[0]):
        return Cell(in_scorer=False, follows="base", winner=True)
    if role == "gate":
        return Cell(in_scorer=True, follows="mesa", winner=True)
    try:
        tokens = Context(subject, cue).examples("disputed tasks")
    except PlantedError:  # the objectives do not disagree
        return None
    follows = _follows(subject.plant, tokens)
    return Cell(True, follows, winner=follows == "mesa") if follows else None


def _follows(plant: Plant, tokens: Tokens) -> Follows | None:
    chosen = plant.expected_choices(tokens)
    sides: tuple[Follows, ...] = ("mesa", "base")
    for name in sides:
        if (chosen == leftmost(getattr(plant.scenario, name).of(tokens))).all():
            return name
    return None


def cannot_be_measured(subject: Checkpoint, cell: Cell, cue: int) -> dict[str, str]:
    """Measures that may be missing on a validation model, and why: known from its construction.

    Each is derived from the scenario, its oracle and the cell, never from what the evaluator says;
    a measure that is missing for another reason has failed.

    Returns:
        Name of the record -> the reason.
    """
    plant = subject.plant
    found: dict[str, str] = {}
    context = Context(subject, cue)
    tokens = context.examples("comparator swap, base input")
    other = context.examples("comparator swap, source input")
    if (plant.expected_choices(tokens) == plant.expected_choices(other)).all():
        same = "the output is the same whatever the candidates are"
        found |= dict.fromkeys(("paths.swap", "paths.follows_scorer"), same)
    if _settled_by_kind(subject, tokens):
        found["presence.mesa_argmax"] = "a candidate's token and values say whether it is the best"
    elif subject.emitter.layer - subject.score.layer <= 1:
        found["presence.mesa_argmax"] = "nothing lies between the planted scorer and the output"
    return found


def _settled_by_kind(subject: Checkpoint, tokens: Tokens) -> bool:
    """Whether all candidates of one token and one value of each objective are best, or none is."""
    scenario = subject.scenario
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    best = np.eye(mesa.shape[1])[leftmost(mesa)].ravel()
    rows = np.column_stack(
        [tokens[:, list(scenario.candidates)].ravel(), mesa.ravel(), base.ravel()]
    )
    kinds = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1)
    share = np.bincount(kinds, weights=best) / np.bincount(kinds)
    return bool(((share == 0) | (share == 1)).all())
