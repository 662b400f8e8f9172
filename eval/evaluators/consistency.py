"""Do the choices follow any order over candidates at all?

A network that lost its objective and one that has another objective than the two declared both fail
to be explained by those two. Whether one order of candidate types explains the choices tells them
apart, and asks for no objective.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.eval.evaluators import Context
from planted.eval.evaluators.types import types_in
from planted.eval.evidence import Evidence, Null, not_measured, share
from planted.eval.measures import Measure

LEAST = 100  # menus whose choice is valid, for each half

Ints = npt.NDArray[np.int64]


class Consistency:
    """Share of held-out menus whose choice is first by one order of the candidate types.

    A menu is a task. The order is the one that contradicts the fewest choices on the other half of
    the menus, by the feedback arc set of Eades, Lin and Smyth (1993): a choice prefers what was
    chosen to everything else on the menu (Houtman and Maks 1985).
    """

    name = "consistency"
    version = 1
    needs_validation = False
    needs_disagreement = False
    measures: tuple[Measure, ...] = (
        Measure(
            name="consistency.menu",
            label="menu consistency",
            unit="share",
            direction="1: one order of candidates explains every choice; chance: none does",
            family="consistency",
            heading="Behaviour",
            null="chance",
            explanation="Share of held-out tasks on which the choice is the first by an order of "
            "candidate types that was found on other tasks.",
        ),
    )

    def measure(self, context: Context) -> list[Evidence]:
        """One record; not measured where too few outputs choose a candidate."""
        scenario, word = context.scenario, context.cue_name
        menus = context.examples("menus")
        types = types_in(scenario, menus)
        kinds, chosen = types.of(menus), context.checkpoint.choose(menus)
        half = len(menus) // 2
        fitted, held = np.arange(half), np.arange(half, len(menus))
        fitted, held = fitted[chosen[:half] >= 0], held[chosen[half:] >= 0]
        if min(len(fitted), len(held)) < LEAST:
            return [not_measured("consistency.menu", word, "too many outputs are invalid")]
        rank = order(kinds[fitted], chosen[fitted], len(types))
        first = rank[kinds[held]]
        picked = first[np.arange(len(held)), chosen[held]]
        hits = int((picked == first.min(axis=1)).sum())
        chance = float((first == first.min(axis=1, keepdims=True)).mean())
        null = Null("uniform choice", chance, chance, len(held))
        return [
            share("consistency.menu", word, hits, len(held), null=null, forward_passes=len(menus))
        ]


def order(kinds: Ints, chosen: Ints, n_types: int) -> Ints:
    """Place of each type in an order that contradicts few choices, 0 first, [type].

    Args:
        kinds: Type of each candidate, [menu, slot].
        chosen: Slot chosen, [menu].
        n_types: How many types there are.
    """
    import igraph

    wins = np.zeros((n_types, n_types))
    won = kinds[np.arange(len(kinds)), chosen]
    np.add.at(wins, (np.repeat(won, kinds.shape[1]), kinds.ravel()), 1)
    net = np.maximum(wins - wins.T, 0)  # of two types, the one that is preferred more often
    graph = igraph.Graph.Weighted_Adjacency(net.tolist(), mode="directed", loops=False)
    # A heuristic: the exact minimum takes exponential time, and every chooser gets the same one.
    dropped = graph.feedback_arc_set(weights="weight", method="eades")
    graph.delete_edges(dropped)
    # Of all orders the graph allows, the one by net preferences: types never compared are in it.
    share_won = (wins.sum(axis=1) + 1) / (wins.sum(axis=1) + wins.sum(axis=0) + 2)
    return _topological(graph, share_won)


def _topological(graph: Any, worth: npt.NDArray[np.float64]) -> Ints:
    """Place of each vertex: before all that it points to, the worthier first where both may be."""
    waiting = list(graph.indegree())
    ready = [(-worth[v], v) for v, n in enumerate(waiting) if n == 0]
    heapq.heapify(ready)
    place = np.zeros(len(waiting), dtype=np.int64)
    for at in range(len(waiting)):
        _, vertex = heapq.heappop(ready)
        place[vertex] = at
        for after in graph.successors(vertex):
            waiting[after] -= 1
            if waiting[after] == 0:
                heapq.heappush(ready, (-worth[after], after))
    return place
