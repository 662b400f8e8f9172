"""How much of a behaviour any table of scores can reach, known from the objectives alone.

The mask "scorer" trains what the score's neurons make of the residual stream at their own position.
What they cannot read, such as another candidate or a context that no head fetches, no training puts
into the score.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from planted.core.objectives import best, untied
from planted.core.plant import Plant
from planted.core.sampling import disagree
from planted.core.scenario import Scenario, Tokens
from planted.core.truth import Node
from planted.core.validity import disagrees
from planted.finetune.data import rewarded
from planted.finetune.masks import search_nodes
from planted.finetune.settings import Settings

MENUS, CONTEXTS = 256, 16  # how many sets of candidates, and contexts in which each is offered
SWEEPS = 50
TIED = 1e-6  # worth closer than this is the same: what alternation leaves
CONFIDENCE = 0.999  # of the bound that is said to hold

Codes = npt.NDArray[np.int64]
Right = npt.NDArray[np.bool_]


class TableBound(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The share of right choices that tables of scores reach on the disagreement set.

    Attributes:
        reads: Names of the nodes that the score's neurons can read.
        at_least: Share that one table reaches: the one nearest to what candidates are worth.
        at_most: Share that no table exceeds on these tasks.
        tasks: On how many tasks both were counted.
        draws: How many of them, or how many sets of candidates, were drawn independently.
    """

    reads: tuple[str, ...]
    at_least: float
    at_most: float
    tasks: int
    draws: int

    @property
    def surely(self) -> float:
        """Share that no table exceeds on all tasks: the exact upper 99.9 % bound of `at_most`.

        Clopper and Pearson (1934), over the independent draws. The best table of all tasks is right
        on the drawn ones no more often than the best table of these.
        """
        from scipy.stats import binomtest

        found = binomtest(round(self.at_most * self.draws), self.draws, alternative="less")
        return float(found.proportion_ci(CONFIDENCE).high)


def table_bound(plant: Plant, settings: Settings, seed: int = 0) -> TableBound | None:
    """Bounds of the share of right choices that any table over the scorer's inputs can reach.

    A table gives a number to each reading, and the choice is the candidate of the highest. Two
    facts bound it from above, and the smaller bound counts. Tasks with the same readings at all
    candidates get the same choice, so at most the most frequent right one of each such group is
    right (`_most_frequent`); each set of candidates is offered in `CONTEXTS` contexts. And a table
    orders each pair of readings in one way (`_in_one_order`).

    Args:
        plant: The network, in a tier whose truth has its nodes.
        settings: The behaviour is `settings.wanted`: "base" or "blend".
        seed: Of the tasks.

    Returns:
        The bounds; None where the choice is not made by one score at each candidate's position.
    """
    scores, scenario = plant.truth.of_role("score"), plant.scenario
    placed = scenario.placed and scenario.search_space == scenario.candidates
    if len(scores) != 1 or not placed or not disagrees(scenario):
        return None
    (score,), at = scores, list(scenario.candidates)
    tokens = _offered(scenario, np.random.default_rng([seed, 0x7AB1E]))
    if not len(tokens):  # the objectives disagree too seldom for one draw
        return None
    worth = rewarded(scenario, settings)(tokens)
    reads, held, right = readable(plant, score), plant.truth.values(tokens), best(worth)
    # positions are read too; a table without them is one of those with them
    whole = _codes(np.stack([held[name][:, at] for name in reads], axis=-1))
    plain = _codes(np.stack([held[name][:, at] for name in reads if name != "indices"], axis=-1))
    beside = _codes(np.hstack([held[name] for name in read_beside(plant, score)]))
    most = _most_frequent(_codes(np.hstack([whole, beside[:, None]])), right)
    if not beside.any():  # the same in every task: the choice is the highest score alone
        most = min(most, _in_one_order(whole, right))
    return TableBound(
        reads=tuple(reads),
        at_least=max(_reached(_fitted(read, worth), right) for read in (whole, plain)),
        at_most=most,
        tasks=len(tokens),
        draws=len(tokens) if scenario.redraw is None else len(np.unique(tokens[:, at], axis=0)),
    )


def readable(plant: Plant, score: Node) -> list[str]:
    """The nodes that the residual stream holds where the score's neurons read it."""
    return [
        node.name
        for node in plant.truth.nodes.values()
        if node.layer < score.layer or (node.layer == score.layer and node.heads)
    ]


def read_beside(plant: Plant, score: Node) -> list[str]:
    """What the nodes of the search that follow from the score read beside it."""
    search, after = search_nodes(plant), {score.name}
    while more := {n for n, node in search.items() if after & set(node.reads)} - after:
        after |= more
    return sorted({name for node in after - {score.name} for name in search[node].reads} - after)


def _offered(scenario: Scenario, rng: np.random.Generator) -> Tokens:
    """Untied tasks of Δ in which each set of candidates stands in several contexts, [task, pos]."""
    found: list[Tokens] = []
    for _ in range(CONTEXTS):
        tokens = scenario.draw(rng, MENUS * CONTEXTS)
        if scenario.redraw is not None:  # there, candidates are independent of what is around them
            at = list(scenario.candidates)
            tokens[:, at] = np.repeat(scenario.draw(rng, MENUS)[:, at], CONTEXTS, axis=0)
        kept = disagree(scenario, tokens)
        kept &= untied(scenario.mesa.of(tokens)) & untied(scenario.base.of(tokens))
        found.append(tokens[kept])
        if sum(map(len, found)) >= MENUS * CONTEXTS // 2:
            break
    return np.concatenate(found)


def _codes(rows: npt.NDArray[Any]) -> Codes:
    """A number for each distinct last axis; [..., field] -> [...]; NaN equals NaN."""
    flat = np.nan_to_num(rows.reshape(-1, rows.shape[-1]), nan=-1e9)
    _, codes = np.unique(flat, axis=0, return_inverse=True)
    return np.asarray(codes).reshape(rows.shape[:-1]).astype(np.int64)


def _fitted(read: Codes, worth: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The table nearest to the worth, up to a constant of each task: at every candidate.

    Least squares with an effect of each task and of each reading, by alternation. A worth that is a
    function of what is read, up to a constant of the task, is found as it is.
    """
    seen, table = np.bincount(read.ravel()), np.zeros_like(worth)
    for _ in range(SWEEPS):
        task = (worth - table).mean(axis=1, keepdims=True)
        table = (np.bincount(read.ravel(), (worth - task).ravel()) / np.maximum(seen, 1))[read]
    return table


def _reached(table: npt.NDArray[np.float64], right: Right) -> float:
    chosen = (table > table.max(axis=1, keepdims=True) - TIED).argmax(axis=1)  # the leftmost
    return float(right[np.arange(len(right)), chosen].mean())


def _most_frequent(groups: Codes, right: Right) -> float:
    """Share of tasks in which the most frequent right choice of their group is right."""
    counts = np.zeros((int(groups.max()) + 1, right.shape[1]))
    np.add.at(counts, groups, right)
    return float(counts.max(axis=1).sum() / len(right))


def _in_one_order(read: Codes, right: Right) -> float:
    """Share of tasks that can be right if each pair of readings is ordered in one way.

    A task is right only if the right candidate's reading is put above every other's. Each task is
    counted for one such pair, that which is asked for both ways most often; of the tasks counted
    for a pair, those that ask for its rarer order are wrong.

    Args:
        read: Reading of each candidate, [task, candidate].
        right: The right candidates; tasks with several are left out of the count.
    """
    alone = right.sum(axis=1) == 1
    winner = right.argmax(axis=1)
    above = np.take_along_axis(read, winner[:, None], axis=1)
    low, high = np.minimum(above, read), np.maximum(above, read)
    pair, up = low * (int(read.max()) + 1) + high, above == high
    asks = (above != read) & alone[:, None]
    _, pair = np.unique(pair, return_inverse=True)
    pair = np.asarray(pair).reshape(read.shape)
    counts = np.zeros((int(pair.max()) + 1, 2), np.int64)
    np.add.at(counts, (pair[asks], up[asks].astype(int)), 1)
    rarer = np.where(asks, counts.min(axis=1)[pair], -1)
    which = rarer.argmax(axis=1)
    task = np.flatnonzero(asks.any(axis=1))
    counted = np.zeros_like(counts)
    np.add.at(counted, (pair[task, which[task]], up[task, which[task]].astype(int)), 1)
    return float(1 - counted.min(axis=1).sum() / len(read))
