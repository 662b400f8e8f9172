"""Splits a table over candidate types into what each objective explains.

Each part is a monotone function of its objective's levels, rising or falling: an objective that is
used against itself is a falling one, and a table that rises and falls is not an objective but
"other". Both objectives can share a component (here nearness), which no fit can assign; it is
split in proportion to what each explains alone, so that λ depends on the identified parts only and
the planted model reads 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Basis:
    """What tables over types are split on.

    Attributes:
        steps: Columns 1[u >= level] of u_m, then of u_b, centred, [type, step].
        n_mesa: How many of them are of u_m.
        mesa: Orthonormal columns of u_m's span that it does not share, [type, k].
        base: Likewise of u_b.
        shared: Orthonormal columns that lie in both spans, [type, k].
        direction: u_m centred, projected on `mesa`, unit length [type]: its sign is "for" u_m.
    """

    steps: Floats
    n_mesa: int
    mesa: Floats
    base: Floats
    shared: Floats
    direction: Floats


@dataclass(frozen=True)
class Parts:
    """Variances of a table's parts; arrays when the table is a stack of resamples.

    Attributes:
        mesa: Variance of u_m's part, with its portion of what both share.
        base: Variance of u_b's part, likewise.
        other: Variance of what neither explains.
        drift: λ, 0 where the table follows u_m and 1 where it follows u_b; NaN where it does
            neither.
        against: Amplitude of falling parts, as a share of both amplitudes; NaN where there are
            none.
        sign: 1 where u_m's own part rises in it, -1 where it falls.
    """

    mesa: Floats
    base: Floats
    other: Floats
    drift: Floats
    against: Floats
    sign: Floats

    @property
    def total(self) -> Floats:
        """Variance of the table."""
        return self.mesa + self.base + self.other


def basis(mesa: Floats, base: Floats) -> Basis:
    """The decomposition for types with these values of u_m and u_b, [type]."""
    span_m, span_b = _steps(mesa), _steps(base)
    q_m, q_b = _orthonormal(span_m), _orthonormal(span_b)
    # Principal angles of 0: directions that lie in both spans.
    left, cosines, _ = np.linalg.svd(q_m.T @ q_b)
    both = q_m @ left[:, : int((cosines > 1 - 1e-8).sum())]
    only_m, only_b = _without(q_m, both), _without(q_b, both)
    centred = mesa - mesa.mean()
    along = only_m @ (only_m.T @ centred)
    size = np.linalg.norm(along)
    steps = np.hstack([span_m, span_b])
    direction = along / size if size > 0 else along
    return Basis(steps, span_m.shape[1], only_m, only_b, both, direction)


def split(table: Floats, on: Basis) -> Parts:
    """Variance shares of a table [..., type], and λ = √V_b / (√V_m + √V_b) of its rising parts.

    λ is where the table lies on the way from u_m (0) to u_b (1). A part that falls in its objective
    does not follow it: against u_m is past the base objective and reads 1.

    Args:
        table: Values by type; leading axes are resamples.
        on: From `basis`.
    """
    centred = table - table.mean(axis=-1, keepdims=True)
    rows = centred.reshape(-1, centred.shape[-1])
    signs = _signs(rows[0], on)
    fitted = np.array([_monotone(row, on, signs)[0] for row in rows]).reshape(centred.shape)
    both = np.hstack([on.mesa, on.base])
    weights = fitted @ np.linalg.pinv(both).T
    n_m = on.mesa.shape[1]
    own_m, own_b = weights[..., :n_m] @ on.mesa.T, weights[..., n_m:] @ on.base.T
    shared = (fitted @ on.shared) @ on.shared.T
    rest = centred - fitted
    v_m, v_b, v_s = own_m.var(axis=-1), own_b.var(axis=-1), shared.var(axis=-1)
    size_m, size_b = np.sqrt(v_m), np.sqrt(v_b)
    for_m, for_b = size_m * (signs[0] > 0), size_b * (signs[1] > 0)
    against_m, against_b = size_m * (signs[0] < 0), size_b * (signs[1] < 0)
    both_sizes = size_m + size_b
    portion = _ratio(size_b, both_sizes, missing=0.5)
    return Parts(
        mesa=v_m + (1 - portion) * v_s,
        base=v_b + portion * v_s,
        other=rest.var(axis=-1),
        drift=_ratio(for_b, for_m + for_b, missing=np.nan),
        against=_ratio(against_m + against_b, both_sizes, missing=np.nan),
        sign=np.sign(own_m @ on.direction),
    )


def _ratio(above: Floats, below: Floats, missing: float) -> Floats:
    return np.divide(above, below, out=np.full_like(below, missing), where=below > 1e-9)


def _signs(table: Floats, on: Basis) -> tuple[int, int]:
    """Whether each part rises (1) or falls (-1): the pair that leaves the least unexplained."""
    pairs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    return min(pairs, key=lambda signs: _monotone(table, on, signs)[1])


def _monotone(table: Floats, on: Basis, signs: tuple[int, int]) -> tuple[Floats, float]:
    """Least-squares sum of one monotone function of each objective, and what it leaves."""
    from scipy import optimize  # in the train extra; the records alone are read without it

    turned = on.steps.copy()
    turned[:, : on.n_mesa] *= signs[0]
    turned[:, on.n_mesa :] *= signs[1]
    weights, error = optimize.nnls(turned, table)
    return turned @ weights, float(error)


def _steps(values: Floats) -> Floats:
    """Columns 1[u >= level] for every level but the lowest, centred."""
    levels = np.unique(values)[1:]
    steps = (values[:, None] >= levels[None, :]).astype(np.float64)
    return np.asarray(steps - steps.mean(axis=0))


def _orthonormal(columns: Floats) -> Floats:
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-9])


def _without(columns: Floats, removed: Floats) -> Floats:
    left = columns - removed @ (removed.T @ columns)
    return _orthonormal(left)
