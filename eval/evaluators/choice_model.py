"""A choice model for pairs of inputs: one table over candidate types for each path.

Multinomial logit (McFadden 1974) with a ridge: the choice is the best of A[type in the base input]
+ B[type in the source input] + P[slot].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.eval.evaluators import decompose
from planted.eval.evaluators.types import Types

N_RESAMPLES = 200
RIDGE = 0.15
LEAST = 100  # candidates of each type, at least, where each has an entry of its own

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """A fitted choice model.

    Attributes:
        remainder: Table A over types, of everything but the planted scorer, [type], centred.
        scorer: Table B over types, of the planted scorer, [type], centred.
        slots: P, one number a slot.
        resamples: (A, B) refitted on resamples of the pairs, [resample, 2, type], centred.
    """

    remainder: Floats
    scorer: Floats
    slots: Floats
    resamples: Floats


def table_columns(types: Types, a: Ints, b: Ints) -> Floats:
    """What a table over types is a sum of, [type, column]: an entry a type, or steps of u_m and U.

    A ridge draws the entry of a rare type further to the mean of all than that of a frequent one,
    and the table would fall where its objective rises. It is therefore in proportion to how often a
    type occurs. Where some hardly do (they are too many for a table), A and B are step functions of
    u_m and U, and a rare type is worth what its levels are.

    Args:
        types: The candidate types.
        a: Types of the base inputs' candidates, [pair, slot].
        b: Types of the source inputs' candidates, [pair, slot].
    """
    counts = [np.bincount(kinds.ravel(), minlength=len(types)) for kinds in (a, b)]
    if min(int(found.min()) for found in counts) < LEAST:
        return np.hstack([decompose.steps(types.mesa), decompose.steps(types.base)])
    often = np.sum(counts, axis=0)
    return np.diag(np.sqrt(often.mean() / often))


def fit_choices(
    a: Ints, b: Ints, chosen: Ints, columns: Floats | int, rng: np.random.Generator
) -> Fit:
    """Fits choice = argmax A[a] + B[b] + P[slot], with a ridge on all coefficients.

    The maximum is found by Newton's method. Resamples refit by one Newton step from it, with the
    resampled gradient and the full Hessian, which is what full refits come to within the width of
    their own scatter (`tests/eval/test_paths.py` compares). They show how much the pairs that were
    drawn matter; what the ridge does, about .01 in a scorer share, is not in them.

    Args:
        a: Types of the base inputs' candidates, [pair, slot].
        b: Types of the source inputs' candidates, [pair, slot].
        chosen: Slot chosen, [pair].
        columns: What a table is a weighted sum of, [type, column]: the larger a column, the less
            the ridge weighs on its coefficient. A number of types means one free entry each.
        rng: For the resamples.
    """
    n, n_slots = a.shape
    of_types = np.eye(columns) if isinstance(columns, int) else columns
    k = of_types.shape[1]
    design = np.zeros((n, n_slots, 2 * k + n_slots), dtype=np.float32)
    design[..., :k], design[..., k : 2 * k] = of_types[a], of_types[b]
    design[..., 2 * k :] = np.eye(n_slots)

    def values(theta: Floats) -> Floats:
        table_a, table_b = of_types @ theta[:k], of_types @ theta[k : 2 * k]
        return np.asarray(table_a[a] + table_b[b] + theta[2 * k :])

    theta, excess, hessian = _optimum(design, values, chosen)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES).astype(np.float32)
    gradients = counts @ excess + 2 * RIDGE * theta
    replicates = theta - np.linalg.solve(hessian, gradients.T).T
    tables = np.stack([replicates[:, :k] @ of_types.T, replicates[:, k : 2 * k] @ of_types.T], 1)
    tables -= tables.mean(axis=2, keepdims=True)
    remainder, scorer = of_types @ theta[:k], of_types @ theta[k : 2 * k]
    return Fit(remainder - remainder.mean(), scorer - scorer.mean(), theta[2 * k :], tables)


def _optimum(
    design: npt.NDArray[np.float32], values: Callable[[Floats], Floats], chosen: Ints
) -> tuple[Floats, npt.NDArray[np.float32], Floats]:
    """The coefficients of least loss, by Newton's method with step halving.

    One function, because each step goes on from the loss and probabilities of the last.

    Args:
        design: What each slot's value is a weighted sum of, [pair, slot, coefficient].
        values: Coefficients -> value of each slot, [pair, slot]: `design @ coefficients` in double
            precision.
        chosen: Slot chosen, [pair].

    Returns:
        Coefficients; each pair's share of the gradient there, without the ridge's,
        [pair, coefficient]; and the Hessian.
    """
    n, n_slots, width = design.shape
    rows, flat = np.arange(n), design.reshape(n * n_slots, width)
    hit = design[rows, chosen]

    def loss(theta: Floats) -> tuple[float, Floats]:
        value = values(theta)
        value -= value.max(axis=1, keepdims=True)
        weight = np.exp(value)
        total = weight.sum(axis=1, keepdims=True)
        cost = float((np.log(total[:, 0]) - value[rows, chosen]).sum() + RIDGE * (theta @ theta))
        return cost, weight / total

    def expected(p: Floats) -> npt.NDArray[np.float32]:
        return np.asarray(np.einsum("ns,nsw->nw", p.astype(np.float32), design, optimize=True))

    theta, hessian = np.zeros(width), np.eye(width)
    cost, p = loss(theta)
    for _ in range(60):
        mean = expected(p)
        gradient = (mean - hit).sum(axis=0, dtype=np.float64) + 2 * RIDGE * theta
        weighted = flat * p.astype(np.float32).reshape(-1, 1)
        hessian = (flat.T @ weighted - mean.T @ mean).astype(np.float64)
        hessian += 2 * RIDGE * np.eye(width)
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-4:
            new_cost, new_p = loss(theta - size * step)
            if new_cost < cost:
                break
            size /= 2
        else:
            break
        improved = cost - new_cost
        theta, cost, p = theta - size * step, new_cost, new_p
        if improved < 1e-6 * max(1.0, abs(cost)):
            break
    return theta, expected(p) - hit, hessian
