"""Retargeting: does the choice obey any order that is written through the planted scorer?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Tokens
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence, not_measured, share
from planted.network.forward import Stream

N_RETARGET = 1000  # pairs whose base input is given orders to follow
N_CODES = 8  # types used as codes
APART = 0.05  # of the scorer table's range, at least, between two codes
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Pool(NamedTuple):
    """Tasks that scorer outputs are taken from."""

    held: npt.NDArray[np.float32]  # what the planted scorer puts out, [pool task, slot, neuron]
    kinds: Ints  # candidate types, [pool task, slot]


def retargeting(
    context: Context,
    table: Floats,
    base: Tokens | Stream,
    pool: Pool,
    rng: np.random.Generator,
) -> Evidence:
    """How often the choice follows an arbitrary order written through the planted scorer.

    A code is what the scorer puts out for a candidate of some type in a task of the pool; the types
    are spread evenly over the scorer's table, and none that it values alike are used together.

    Args:
        context: The checkpoint and the cue.
        table: The planted scorer's fitted table, [type].
        base: The tasks on which the orders are written.
        pool: Tasks that the codes are taken from.
        rng: Consumed.
    """
    checkpoint, scenario, word = context.checkpoint, context.scenario, context.cue_name
    if scenario.search_space != scenario.candidates:
        return not_measured("paths.retarget", word, "candidates have no score of their own")
    codes = _codes(table)
    n, n_slots = len(base), len(scenario.candidates)
    if len(codes) < n_slots:
        reason = "the planted scorer values too few types apart"
        return not_measured("paths.retarget", word, reason)
    ranks = np.argsort(rng.random((n, len(codes))), axis=1)[:, :n_slots]
    written, possible = _orders(ranks, codes, pool, rng)
    chosen = checkpoint.choose_with_scorer_output(base, written)
    hits = int((chosen == ranks.argmax(axis=1))[possible].sum())
    return share(
        "paths.retarget",
        word,
        hits,
        int(possible.sum()),
        forward_passes=len(pool.held) + n,
        floor=round(1 / n_slots, 4),
    )


def _orders(
    ranks: Ints, codes: list[int], pool: Pool, rng: np.random.Generator
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Scorer outputs of random tasks of a pool, put together so that they have these ranks.

    Args:
        ranks: Place in `codes` of what each slot is given, [task, slot].
        codes: Candidate types, from the lowest value to the highest.
        pool: Where the outputs are taken from.
        rng: Consumed.

    Returns:
        Scorer outputs [task, slot, neuron], and on which tasks the pool has all that they need.
    """
    held, kinds = pool
    written = np.zeros((len(ranks), *held.shape[1:]), held.dtype)
    possible = np.ones(len(ranks), dtype=bool)
    for slot in range(ranks.shape[1]):
        for rank, code in enumerate(codes):
            asked = np.flatnonzero(ranks[:, slot] == rank)
            sources = np.flatnonzero(kinds[:, slot] == code)
            if len(sources):
                written[asked, slot] = held[rng.choice(sources, len(asked)), slot]
            else:
                possible[asked] = False
    return written, possible


def _codes(table: Floats) -> list[int]:
    """Types spread evenly over the range of a table's values, ascending, no two alike."""
    picked: list[int] = []
    span = float(np.ptp(table))
    for target in np.linspace(table.min(), table.max(), N_CODES):
        nearest = int(np.abs(table - target).argmin())
        if not picked or table[nearest] - table[picked[-1]] > APART * span:
            picked.append(nearest)
    return picked
