"""What a method can be asked: the tasks of `planted.score`, each with its truth and its nulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.errors import PlantedError
from planted.eval.methods import builtin, edges, locate
from planted.eval.methods.locate import Mask, Method, Pairs, Scores
from planted.network.model import Network

RESAMPLE = "resample"  # the intervention where none is named


@dataclass(frozen=True)
class Task:
    """A question to a method, and how its answer is compared with the truth.

    Attributes:
        name: Its name.
        form: How a method is called.
        pairs: (plant, n, seed) -> pairs of tasks.
        truth: Plant -> which units are positive, an array of the shape of scores.
        known: (plant, truth) -> what a method that knows the truth returns.
        read: (what a method returned, plant, who) -> its scores.
        blind: (plant, pairs, seed) -> scores of patching random subspaces.
        metrics: (scores, truth) -> a named tuple of figures, 1 where all is right.
        what: (plant, index into the flat scores) -> the unit's key, and what it holds.
        twin_is_empty: Whether there is nothing to find on a twin. Where there is, its scores are
            compared with the plant's truth, as a null.
        builtin: Name -> what makes a built-in method for a scenario.
    """

    name: str
    form: str
    pairs: Callable[[Plant, int, int], Pairs]
    truth: Callable[[Plant], Mask]
    known: Callable[[Plant, Mask], Mapping[Any, float]]
    read: Callable[[object, Plant, str], Scores]
    blind: Callable[[Plant, Pairs, Sequence[int]], Scores]
    metrics: Callable[[Scores, Mask], Any]
    what: Callable[[Plant, int], tuple[str, str]]
    twin_is_empty: bool
    builtin: Mapping[str, Callable[[Scenario], Method]]


def _read_components(returned: object, plant: Plant, who: str) -> Scores:
    positions = plant.scenario.n_positions
    return locate.read_scores(returned, locate.components_of(plant), positions, who)


def _blind_components(plant: Plant, pairs: Pairs, seed: Sequence[int]) -> Scores:
    rank = max(node.basis.shape[0] for node in plant.truth.of_role("score"))
    method = builtin.matched_rank(plant.scenario, rank, seed)
    returned = method(Network(plant.params, plant.spec), *pairs)
    return _read_components(returned, plant, "matched-rank")


def _component(plant: Plant, index: int) -> tuple[str, str]:
    names, positions = locate.components_of(plant), plant.scenario.n_positions
    key = f"{names[index // positions]}@{index % positions}"
    return key, locate.written_by(plant, key)


LOCATE = Task(
    name="locate",
    form="locate(module, tokens, counterfactual)",
    pairs=lambda plant, n, seed: locate.draw_pairs(plant.scenario, n, seed),
    truth=locate.positives,
    known=lambda plant, _: locate.compile_map(plant),
    read=_read_components,
    blind=_blind_components,
    metrics=locate.metrics,
    what=_component,
    twin_is_empty=True,
    builtin=builtin.BUILTIN,
)

EDGES = Task(
    name="edges",
    form="edges(module, base, source)",
    pairs=edges.pairs_of,
    truth=partial(edges.in_circuit, intervention=RESAMPLE),
    known=lambda plant, truth: {edges.links_in(plant)[i]: 1.0 for i in np.flatnonzero(truth)},
    read=lambda returned, plant, who: edges.read_scores(returned, edges.links_in(plant), who),
    blind=edges.blind,
    metrics=edges.metrics,
    what=edges.carried_by,
    twin_is_empty=False,
    builtin=edges.BUILTIN,
)

TASKS: Mapping[str, Task] = {task.name: task for task in (LOCATE, EDGES)}


def under(task: Task, intervention: str) -> Task:
    """The task with the truth of another intervention.

    Raises:
        PlantedError: If its truth does not depend on one, and it is not the default.
    """
    if task is not EDGES:
        if intervention != RESAMPLE:
            raise PlantedError(
                f"intervention={intervention!r} is of task='edges': where the score is computed, "
                f"which task={task.name!r} asks, depends on no intervention. Leave it out."
            )
        return task
    return replace(task, truth=partial(edges.in_circuit, intervention=intervention))
