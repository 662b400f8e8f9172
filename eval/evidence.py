"""The evidence record, and the intervals that go into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from planted.errors import VerdictError

LEVEL = 0.95
Floats = npt.NDArray[np.float64]


class Null(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the same measurement gives where there is nothing to find.

    Attributes:
        kind: What was measured instead, as "random start trained to the same behaviour".
        lo: Smallest value.
        hi: Largest value.
        n: How many there were.
    """

    kind: str
    lo: float
    hi: float
    n: int


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One measurement of one checkpoint.

    Attributes:
        name: What was measured, as "agreement.mesa" or "paths.scorer_share".
        cue: Token at the read-out it was measured under, or "all".
        estimate: The figure; None when `status` is not "ok".
        lo: Lower end of the two-sided interval.
        hi: Upper end of the two-sided interval.
        at_least: One-sided lower bound: what the rule compares with a "≥".
        at_most: One-sided upper bound: what the rule compares with a "≤".
        level: Of both kinds of interval.
        n: How many units.
        unit: What was resampled: the unit of replication.
        null: The same measurement where there is nothing to find.
        floor: Smallest effect that could have been seen, where there is one.
        forward_passes: What it cost.
        status: "ok", "underpowered" or "not measured".
        reason: Why it is not ok.
    """

    name: str
    cue: str
    estimate: float | None
    lo: float | None = None
    hi: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    level: float = LEVEL
    n: int = 0
    unit: str = "task"
    null: Null | None = None
    floor: float | None = None
    forward_passes: int = 0
    status: str = "ok"
    reason: str = ""


Records = Mapping[tuple[str, str], Evidence]  # (name, cue) -> record


def index(records: Iterable[Evidence]) -> dict[tuple[str, str], Evidence]:
    """Records by name and cue.

    Raises:
        VerdictError: If two records claim the same measurement.
    """
    out: dict[tuple[str, str], Evidence] = {}
    for record in records:
        key = (record.name, record.cue)
        if key in out:
            raise VerdictError(
                f"Two records of {record.name!r} in cue {record.cue!r}; a verdict is given "
                "for one checkpoint at a time."
            )
        out[key] = record
    return out


def rounded(value: float | None) -> float | None:
    """Six significant digits: what records hold, so that they read well and compare as text."""
    return None if value is None else float(f"{float(value):.6g}")


def share(name: str, cue: str, hits: int, n: int, **more: Any) -> Evidence:
    """A proportion with Clopper-Pearson bounds (Clopper and Pearson 1934)."""
    from scipy import stats

    if n == 0:
        return not_measured(name, cue, "no task qualifies")

    def bound(alpha: float, upper: bool) -> float:
        if upper:
            return 1.0 if hits == n else float(stats.beta.ppf(1 - alpha, hits + 1, n - hits))
        return 0.0 if hits == 0 else float(stats.beta.ppf(alpha, hits, n - hits + 1))

    one, two = 1 - LEVEL, (1 - LEVEL) / 2
    return Evidence(
        name,
        cue,
        rounded(hits / n),
        rounded(bound(two, False)),
        rounded(bound(two, True)),
        rounded(bound(one, False)),
        rounded(bound(one, True)),
        n=n,
        **more,
    )


def resampled(
    name: str, cue: str, estimate: float, replicates: Floats, n: int, **more: Any
) -> Evidence:
    """A figure with percentile bounds over resamples of its unit."""
    if not np.isfinite(estimate) or not np.isfinite(replicates).all():
        return not_measured(name, cue, "not defined on this checkpoint")
    one, two = 1 - LEVEL, (1 - LEVEL) / 2
    lo, at_least, at_most, hi = np.quantile(replicates, [two, one, 1 - one, 1 - two])
    # A bound never excludes the estimate, also where resampling is biased.
    return Evidence(
        name,
        cue,
        rounded(estimate),
        rounded(min(lo, estimate)),
        rounded(max(hi, estimate)),
        rounded(min(at_least, estimate)),
        rounded(max(at_most, estimate)),
        n=n,
        **more,
    )


def not_measured(name: str, cue: str, reason: str) -> Evidence:
    """A measurement that could not be made."""
    return Evidence(name, cue, None, status="not measured", reason=reason)


def ratio_replicates(
    numerator: Floats, denominator: Floats, rng: np.random.Generator, n_resamples: int = 1000
) -> Floats:
    """Bootstrap of a ratio of means over tasks."""
    draws = rng.integers(0, len(numerator), size=(n_resamples, len(numerator)))
    below = denominator[draws].mean(axis=1)
    above = numerator[draws].mean(axis=1)
    return np.asarray(np.divide(above, below, out=np.full(n_resamples, np.nan), where=below != 0))


def across_seeds(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean over training seeds with a 95 % t interval: (mean, lo, hi), a claim about a recipe.

    Raises:
        VerdictError: With fewer than two seeds: tasks of one checkpoint are no replicates of it.
    """
    from scipy import stats

    sample = np.array(list(values), dtype=np.float64)
    if len(sample) < 2:
        raise VerdictError(
            f"An interval for a recipe needs at least 2 seeds, got {len(sample)}; tasks of one "
            "checkpoint are not replicates of a recipe. Train more seeds."
        )
    mean, error = sample.mean(), sample.std(ddof=1) / np.sqrt(len(sample))
    half = float(stats.t.ppf(0.5 + LEVEL / 2, len(sample) - 1) * error)
    return float(mean), float(mean - half), float(mean + half)
