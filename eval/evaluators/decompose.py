"""Splits a table over candidate types into what each objective explains.

Each part is a monotone function of its objective's levels, rising or falling: an objective that is
used against itself is a falling one, and a table that rises and falls is not an objective but
"other". Both objectives can share a component (here nearness), which no fit can assign; it is
split in proportion to what each explains alone, so that λ depends on the identified parts only and
the planted model reads 0. Where each type has a value of its own, every table is a function of
either objective, and only being monotone tells them apart: there an objective explains alone what
monotone functions of the other leave of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
TINY = 1e-10  # of a table's variance: a smaller difference of two explained variances is rounding


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
        interpolation: λ, 0 where the table follows u_m and 1 where it follows u_b; NaN where it
            does neither.
        against: Amplitude of falling parts, as a share of both amplitudes; NaN where there are
            none.
        sign: 1 where u_m's own part rises in it, -1 where it falls.
    """

    mesa: Floats
    base: Floats
    other: Floats
    interpolation: Floats
    against: Floats
    sign: Floats

    @property
    def total(self) -> Floats:
        """Variance of the table."""
        return self.mesa + self.base + self.other


def basis(mesa: Floats, base: Floats) -> Basis:
    """The decomposition for types with these values of u_m and u_b, [type]."""
    span_m, span_b = _centred(steps(mesa)), _centred(steps(base))
    q_m, q_b = _orthonormal(span_m), _orthonormal(span_b)
    # Principal angles of 0: directions that lie in both spans.
    left, cosines, _ = np.linalg.svd(q_m.T @ q_b)
    both = q_m @ left[:, : int((cosines > 1 - 1e-8).sum())]
    only_m, only_b = _without(q_m, both), _without(q_b, both)
    centred = mesa - mesa.mean()
    along = only_m @ (only_m.T @ centred)
    size = np.linalg.norm(along)
    direction = along / size if size > 0 else along
    return Basis(np.hstack([span_m, span_b]), span_m.shape[1], only_m, only_b, both, direction)


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
    fitted = _fitted(centred, _turned(on, signs))
    if on.mesa.shape[1] and on.base.shape[1]:
        v_m, v_b, v_s, sign = _by_spans(fitted, on)
    else:
        v_m, v_b, v_s, sign = _by_cones(centred, fitted, on, signs)
    size_m, size_b = np.sqrt(v_m), np.sqrt(v_b)
    for_m, for_b = size_m * (signs[0] > 0), size_b * (signs[1] > 0)
    against_m, against_b = size_m * (signs[0] < 0), size_b * (signs[1] < 0)
    both_sizes = size_m + size_b
    portion = _ratio(size_b, both_sizes, missing=0.5)
    return Parts(
        mesa=v_m + (1 - portion) * v_s,
        base=v_b + portion * v_s,
        other=(centred - fitted).var(axis=-1),
        interpolation=_ratio(for_b, for_m + for_b, missing=np.nan),
        against=_ratio(against_m + against_b, both_sizes, missing=np.nan),
        sign=sign,
    )


def _by_spans(fitted: Floats, on: Basis) -> tuple[Floats, Floats, Floats, Floats]:
    """Variances of u_m's own part, of u_b's own and of what lies in both spans; u_m's sign."""
    both = np.hstack([on.mesa, on.base])
    weights = fitted @ np.linalg.pinv(both).T
    n_m = on.mesa.shape[1]
    own_m, own_b = weights[..., :n_m] @ on.mesa.T, weights[..., n_m:] @ on.base.T
    shared = (fitted @ on.shared) @ on.shared.T
    sign = np.sign(own_m @ on.direction)
    return own_m.var(axis=-1), own_b.var(axis=-1), shared.var(axis=-1), sign


def _by_cones(
    table: Floats, fitted: Floats, on: Basis, signs: tuple[int, int]
) -> tuple[Floats, Floats, Floats, Floats]:
    """The same where one span holds the other.

    A cone explains the variance of the table's projection on it (Moreau's decomposition), and an
    objective alone what both together explain beyond the other one.
    """
    turned, n_m = _turned(on, signs), on.n_mesa
    of_both = fitted.var(axis=-1)
    of_m = _fitted(table, turned[:, :n_m]).var(axis=-1)
    of_b = _fitted(table, turned[:, n_m:]).var(axis=-1)
    least = TINY * table.var(axis=-1)
    own_m = np.where(of_both - of_b > least, of_both - of_b, 0.0)
    own_b = np.where(of_both - of_m > least, of_both - of_m, 0.0)
    # Below 0 where the objectives hide each other: together they explain more than their sum.
    return own_m, own_b, of_both - own_m - own_b, signs[0] * np.sign(own_m)


def _ratio(above: Floats, below: Floats, missing: float) -> Floats:
    return np.divide(above, below, out=np.full_like(below, missing), where=below > 1e-9)


def _signs(table: Floats, on: Basis) -> tuple[int, int]:
    """Whether each part rises (1) or falls (-1): the pair that leaves the least unexplained.

    Of pairs that leave the same, rising goes before falling: a part that is not there can do
    either.
    """
    pairs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    left = [_monotone(table, _turned(on, signs))[1] for signs in pairs]
    least = min(left) + TINY * float(np.linalg.norm(table))
    return next(signs for signs, error in zip(pairs, left, strict=True) if error <= least)


def _turned(on: Basis, signs: tuple[int, int]) -> Floats:
    """The steps, rising or falling: non-negative sums of them are the functions allowed."""
    turned = on.steps.copy()
    turned[:, : on.n_mesa] *= signs[0]
    turned[:, on.n_mesa :] *= signs[1]
    return turned


def _fitted(tables: Floats, turned: Floats) -> Floats:
    """Projection of each centred table [..., type] on the cone of these columns."""
    rows = tables.reshape(-1, tables.shape[-1])
    return np.array([_monotone(row, turned)[0] for row in rows]).reshape(tables.shape)


def _monotone(table: Floats, turned: Floats) -> tuple[Floats, float]:
    """Least-squares sum of one monotone function of each objective, and what it leaves."""
    from scipy import optimize  # in the train extra; the records alone are read without it

    if not turned.shape[1]:  # an objective of one level
        return np.zeros_like(table), float(np.linalg.norm(table))
    weights, _ = optimize.nnls(turned, table)
    fit = turned @ weights
    # scipy 1.15 to 1.17 can stop short of the optimum where entries tie (scipy issue 25389): there
    # what is left still has something in common with the fit, or with a column.
    left, rounding = table - fit, TINY * float(table @ table)
    if abs(fit @ left) > rounding or (turned.T @ left).max() > np.sqrt(rounding):
        fit = turned @ optimize.lsq_linear(turned, table, (0, np.inf), method="bvls").x
    return fit, float(np.linalg.norm(table - fit))


def steps(values: Floats) -> Floats:
    """Columns 1[u >= level] for every level but the lowest, [type, step]."""
    levels = np.unique(values)[1:]
    return np.asarray(values[:, None] >= levels[None, :], dtype=np.float64)


def _centred(columns: Floats) -> Floats:
    return np.asarray(columns - columns.mean(axis=0))


def _orthonormal(columns: Floats) -> Floats:
    u, s, _ = np.linalg.svd(columns, full_matrices=False)
    return np.asarray(u[:, s > 1e-9])


def _without(columns: Floats, removed: Floats) -> Floats:
    left = columns - removed @ (removed.T @ columns)
    return _orthonormal(left)
