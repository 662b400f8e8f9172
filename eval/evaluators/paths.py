"""Which part of the network carries which objective to the choice: the factorial path experiment.

At every candidate the planted score neurons are fed from one task and everything else from another;
a choice model with one table for each then says who is followed (theory E14). Forward passes only:
no coordinates, no fitted subspace, the same in any basis of the residual stream.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.scenario import Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import decompose
from planted.eval.evaluators.types import Types, types_in
from planted.eval.evidence import Evidence, not_measured, resampled, share

N_FIT, N_TEST = 6000, 2000
N_RESAMPLES = 200
RIDGE = 0.15
LEAST = 100  # candidates of each type, at least, where each has an entry of its own
N_CODES = 8  # types used as codes by retarget
APART = 0.05  # of the block's range, at least, between two codes
RECORDS = tuple(
    f"paths.{name}"
    for name in (
        *(
            "valid",
            "accuracy",
            "scorer_share",
            "interpolation",
            "interpolation_remainder",
            "interpolation_scorer",
            "against",
        ),
        *("other", "mesa_share", "scorer_sign"),
        *(
            f"attribution.{path}.{part}"
            for path in ("remainder", "scorer")
            for part in ("mesa", "base", "other")
        ),
        *("predicted_mesa", "predicted_base", "retarget", "swap"),
    )
)  # what `paths` measures, in its order

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fit:
    """A fitted choice model.

    Attributes:
        rest: Table A over types, of everything but the block, [type], centred.
        block: Table B over types, of the planted scorer, [type], centred.
        slots: P, one number a slot.
        resamples: (A, B) refitted on resamples of the pairs, [resample, 2, type], centred.
    """

    rest: Floats
    block: Floats
    slots: Floats
    resamples: Floats


def paths(checkpoint: Checkpoint, cue: int) -> list[Evidence]:
    """Block share, budget, λ of each path and of their sum, fit, retarget and swap (theory E14)."""
    scenario, word = checkpoint.scenario, checkpoint.scenario.cue_name(cue)
    base_input = checkpoint.tasks(cue, N_FIT + N_TEST, seed=201)
    source = checkpoint.source_inputs(base_input, seed=202)
    disputed = checkpoint.tasks(cue, 1000, seed=101, in_delta=True)
    types = types_in(scenario, base_input, source, disputed)
    block = checkpoint.block_of(source)
    chosen = checkpoint.choose_with_block(base_input, block)
    a, b = types.of(base_input), types.of(source)
    cost = 2 * len(base_input)
    valid = chosen >= 0
    records = [share("paths.valid", word, int(valid.sum()), len(chosen))]
    fit_on, test_on = valid.copy(), valid.copy()
    fit_on[N_FIT:], test_on[:N_FIT] = False, False
    if fit_on.sum() < N_FIT // 2 or test_on.sum() < 100:
        return [
            *records,
            *(
                not_measured(f"paths.{name}", word, "too many outputs are invalid")
                for name in ("scorer_share", "interpolation", "accuracy", "other")
            ),
        ]
    rng = np.random.default_rng([203, cue])
    fit = fit_choices(a[fit_on], b[fit_on], chosen[fit_on], _columns(types, a, b), rng)
    guess = (fit.rest[a] + fit.block[b] + fit.slots).argmax(axis=1)
    n = int(fit_on.sum())
    records.append(
        share("paths.accuracy", word, int((guess == chosen)[test_on].sum()), int(test_on.sum()))
    )
    records += _budget(checkpoint, word, fit, types, n, cost)
    records += _predicted(checkpoint, disputed, word, fit, types)
    records += [
        _retarget(checkpoint, word, fit, types, base_input[:1000], source),
        _swap(checkpoint, cue, word),
    ]
    return records


def _columns(types: Types, a: Ints, b: Ints) -> Floats:
    """What a table over types is made of: an entry a type, or steps of both objectives.

    A ridge draws the entry of a rare type further to the mean of all than that of a frequent one,
    and the table would fall where its objective rises. It is therefore in proportion to how often a
    type occurs. Where some hardly do (they are too many for a table), A and B are step functions of
    u_m and u_b, and a rare type is worth what its levels are.
    """
    counts = [np.bincount(kinds.ravel(), minlength=len(types)) for kinds in (a, b)]
    if min(int(found.min()) for found in counts) < LEAST:
        return np.hstack([decompose.steps(types.mesa), decompose.steps(types.base)])
    often = np.sum(counts, axis=0)
    return np.diag(np.sqrt(often.mean() / often))


def fit_choices(
    a: Ints, b: Ints, chosen: Ints, columns: Floats | int, rng: np.random.Generator
) -> Fit:
    """Multinomial logit choice = argmax A[a] + B[b] + P[slot], ridge on all coefficients.

    The maximum is found by Newton's method. Resamples refit by one Newton step from it, with the
    resampled gradient and the full Hessian, which is what full refits come to within the width of
    their own scatter (`tests/eval/test_paths.py` compares). They show how much the pairs that were
    drawn matter; what the ridge does, about .01 in a scorer share, is not in them.

    Args:
        a: Types in the base_input's task, [pair, slot].
        b: Types in the source's task, [pair, slot].
        chosen: Slot chosen, [pair].
        columns: What a table is a weighted sum of, [type, column]: the larger a column, the less
            the ridge weighs on its coefficient. A number of types means one free entry each.
        rng: For the resamples.
    """
    n, n_slots = a.shape
    of_types = np.eye(columns) if isinstance(columns, int) else columns
    k = of_types.shape[1]
    width = 2 * k + n_slots
    rows = np.arange(n)
    design = np.zeros((n, n_slots, width), dtype=np.float32)
    design[..., :k], design[..., k : 2 * k] = of_types[a], of_types[b]
    design[..., 2 * k :] = np.eye(n_slots)
    flat = design.reshape(n * n_slots, width)
    hit = design[rows, chosen]
    theta = np.zeros(width)

    def loss(point: Floats) -> tuple[float, Floats]:
        value = (of_types @ point[:k])[a] + (of_types @ point[k : 2 * k])[b] + point[2 * k :]
        value -= value.max(axis=1, keepdims=True)
        weight = np.exp(value)
        total = weight.sum(axis=1, keepdims=True)
        cost = float((np.log(total[:, 0]) - value[rows, chosen]).sum() + RIDGE * (point @ point))
        return cost, weight / total

    cost, p = loss(theta)
    hessian = np.eye(width)
    for _ in range(60):
        mean = np.einsum("ns,nsw->nw", p.astype(np.float32), design, optimize=True)
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
    mean = np.einsum("ns,nsw->nw", p.astype(np.float32), design, optimize=True)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES).astype(np.float32)
    gradients = counts @ (mean - hit) + 2 * RIDGE * theta
    replicates = theta - np.linalg.solve(hessian, gradients.T).T
    tables = np.stack([replicates[:, :k] @ of_types.T, replicates[:, k : 2 * k] @ of_types.T], 1)
    tables -= tables.mean(axis=2, keepdims=True)
    rest, block = of_types @ theta[:k], of_types @ theta[k : 2 * k]
    return Fit(rest - rest.mean(), block - block.mean(), theta[2 * k :], tables)


def _budget(
    checkpoint: Checkpoint, word: str, fit: Fit, types: Types, n: int, cost: int
) -> list[Evidence]:
    on = decompose.basis(types.mesa, types.base)
    rest = decompose.split(np.vstack([fit.rest, fit.resamples[:, 0]]), on)
    block = decompose.split(np.vstack([fit.block, fit.resamples[:, 1]]), on)
    both = decompose.split(np.vstack([fit.rest + fit.block, fit.resamples.sum(axis=1)]), on)
    total = rest.total + block.total
    figures = {
        "scorer_share": block.total / total,
        "interpolation": both.drift,
        "interpolation_remainder": rest.drift,
        "interpolation_scorer": block.drift,
        "against": both.against,
        "other": both.other / both.total,
        "mesa_share": (rest.mesa + block.mesa) / total,
        "scorer_sign": block.sign,
    }
    for path, parts in (("remainder", rest), ("scorer", block)):
        for part in ("mesa", "base", "other"):
            figures[f"attribution.{path}.{part}"] = getattr(parts, part) / total
    return [
        resampled(
            f"paths.{name}",
            word,
            float(value[0]),
            value[1:],
            n,
            unit="pair",
            forward_passes=cost if name == "scorer_share" else 0,
        )
        for name, value in figures.items()
    ]


def _predicted(
    checkpoint: Checkpoint, tokens: Tokens, word: str, fit: Fit, types: Types
) -> list[Evidence]:
    """Behaviour on Δ as the tables predict it, for the gate that compares it with behaviour."""
    scenario = checkpoint.scenario
    table = fit.rest + fit.block
    guess = (table[types.of(tokens)] + fit.slots).argmax(axis=1)
    return [
        share(
            f"paths.predicted_{name}",
            word,
            int((guess == leftmost(utility.of(tokens))).sum()),
            len(tokens),
        )
        for name, utility in (("mesa", scenario.mesa), ("base", scenario.base))
    ]


def _retarget(
    checkpoint: Checkpoint, word: str, fit: Fit, types: Types, base_input: Tokens, pool: Tokens
) -> Evidence:
    """Writes arbitrary orders through the scorer, in the checkpoint's own codes (theory E14).

    A code is what the block puts out for a candidate of some type in a task of the pool; the types
    are spread evenly over the block's table, and none that it values alike are used together.
    """
    if checkpoint.scenario.search_space != checkpoint.scenario.candidates:
        return not_measured("paths.retarget", word, "candidates have no score of their own")
    codes = _codes(fit.block)
    n, n_slots = len(base_input), len(checkpoint.scenario.candidates)
    if len(codes) < n_slots:
        return not_measured("paths.retarget", word, "the block values too few types apart")
    rng = np.random.default_rng([204, int(base_input[0, checkpoint.scenario.read_out])])
    ranks = np.argsort(rng.random((n, len(codes))), axis=1)[:, :n_slots]
    held, kinds = checkpoint.block_of(pool), types.of(pool)
    block = np.zeros((n, *held.shape[1:]), held.dtype)
    possible = np.ones(n, dtype=bool)
    for slot in range(n_slots):
        for rank, code in enumerate(codes):
            asked = np.flatnonzero(ranks[:, slot] == rank)
            source_inputs = np.flatnonzero(kinds[:, slot] == code)
            if len(source_inputs):
                block[asked, slot] = held[rng.choice(source_inputs, len(asked)), slot]
            else:
                possible[asked] = False
    chosen = checkpoint.choose_with_block(base_input, block)
    hits = int((chosen == ranks.argmax(axis=1))[possible].sum())
    return share(
        "paths.retarget",
        word,
        hits,
        int(possible.sum()),
        forward_passes=len(pool) + n,
        floor=round(1 / n_slots, 4),
    )


def _codes(table: Floats) -> list[int]:
    """Types spread evenly over the range of a table's values, ascending, no two alike."""
    picked: list[int] = []
    span = float(np.ptp(table))
    for target in np.linspace(table.min(), table.max(), N_CODES):
        nearest = int(np.abs(table - target).argmin())
        if not picked or table[nearest] - table[picked[-1]] > APART * span:
            picked.append(nearest)
    return picked


def _swap(checkpoint: Checkpoint, cue: int, word: str, n: int = 1000) -> Evidence:
    """Gives the first comparator head's output of another task; who follows it? (theory E14)."""
    base_input = checkpoint.tasks(cue, n, seed=206)
    source = checkpoint.source_inputs(base_input, seed=207)
    own, other = checkpoint.choose(base_input), checkpoint.choose(source)
    swapped = checkpoint.choose_with_comparator(base_input, checkpoint.comparator_of(source))
    asked = (own != other) & (own >= 0) & (other >= 0)
    return share(
        "paths.swap",
        word,
        int((swapped == other)[asked].sum()),
        int(asked.sum()),
        forward_passes=3 * n,
    )
