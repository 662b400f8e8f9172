"""The evidence record, and the intervals that go into it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from functools import partial
from math import isfinite
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from planted.errors import VerdictError
from planted.eval import measures

LEVEL = 0.95
STATUSES = ("ok", "underpowered", "not measured")
_BLOCK = 20  # resamples at a time: more fall out of the processor's cache
TINY = 1e-6  # rounding of a share that is a quotient of sums
_BELOW, _ABOVE = ("lo", "at_least"), ("hi", "at_most")  # bounds, by their side of the estimate
Floats = npt.NDArray[np.float64]


# Of n draws from a normal distribution: how many times their range the next one lies beyond the
# largest with a chance of .05 (integrated over smallest and largest).
_BEYOND = {
    2: 4.831, 3: 1.275, 4: 0.695, 5: 0.465, 6: 0.341, 7: 0.262, 8: 0.206, 9: 0.165, 10: 0.133,
    11: 0.108, 12: 0.086, 13: 0.069, 14: 0.053, 15: 0.040, 16: 0.028, 17: 0.018, 18: 0.008,
}  # fmt: skip


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

    @property
    def most(self) -> float:
        """The largest value, of a figure from 0 to 1."""
        return min(max(self.hi, 0), 1)

    @property
    def reach(self) -> float:
        """What one more network may reach, with a chance of .05 to lie above it; from 0 to 1.

        The largest value, with fewer than 19 networks a part of their range more: the bound of the
        next draw from a normal distribution of which n are known.
        """
        return min(max(self.hi + _BEYOND.get(self.n, 0) * (self.hi - self.lo), 0), 1)


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


def check(record: Evidence) -> Evidence:
    """The record, if it can be one: called on what an evaluator gives and on what a file holds.

    Numbers of numpy become Python's, which files can hold.

    Raises:
        VerdictError: If it is no record, a field has another type than declared, its status is
            unknown, a figure is missing or not finite, a bound lies on the wrong side of the
            estimate, n is negative, or a share lies outside [0, 1]; the record, the value and what
            was expected are named.
    """
    record = _plain(record)
    need = partial(_need, record)
    need(record.status in STATUSES, f"status {record.status!r}", f"one of {', '.join(STATUSES)}")
    need(record.n >= 0, f"n = {record.n}", "0 or more")
    need(0 < record.level < 1, f"level = {record.level}", "a number between 0 and 1")
    estimate = record.estimate
    if record.status == "ok":
        need(estimate is not None, "status 'ok' and no estimate", "an estimate, or another status")
    else:
        need(bool(record.reason), f"status {record.status!r} and no reason", "a reason")
    if record.status == "not measured":
        need(estimate is None, f"status 'not measured' and estimate {estimate}", "no estimate")
    figures = {side: getattr(record, side) for side in ("estimate", *_BELOW, *_ABOVE)}
    given = {side: value for side, value in figures.items() if value is not None}
    for side, value in given.items():
        need(isfinite(value), f"{side} = {value}", "a finite number")
        if estimate is None:
            need(False, f"{side} = {value} and no estimate", "no bound without an estimate")
        elif side in _BELOW:
            need(value <= estimate, f"{side} = {value}", f"at most the estimate, {estimate}")
        elif side in _ABOVE:
            need(value >= estimate, f"{side} = {value}", f"at least the estimate, {estimate}")
    if record.null is not None:
        lo, hi = record.null.lo, record.null.hi
        need(not lo > hi, f"a null from {lo} to {hi}", "its smallest value first")
    measure = measures.find(record.name)
    if measure is not None and measure.unit == "share":
        for side, value in given.items():
            need(-TINY <= value <= 1 + TINY, f"{side} = {value}", "a share, from 0 to 1")
    return record


def _plain(record: Any) -> Evidence:
    """The same record with Python's own numbers and texts.

    Raises:
        VerdictError: If it is no record, or a field cannot be what it is declared to be.
    """
    if not isinstance(record, Evidence):
        raise VerdictError(
            f"A record is a planted.eval.evidence.Evidence, got {type(record).__name__}: "
            f"{record!r}."
        )
    fields = _fields(record)
    if isinstance(record.null, Null):
        fields["null"] = _fields(record.null)
    try:
        plain = msgspec.convert(fields, Evidence)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at ")
        field = where.strip("`$.") or "field"
        value = functools.reduce(lambda at, part: getattr(at, part, at), field.split("."), record)
        raise VerdictError(
            f"The record {record.name!r} in cue {record.cue!r} has {field} = {value!r}. {what}."
        ) from None
    return record if _types(plain) == _types(record) else plain


def _fields(record: Evidence | Null) -> dict[str, Any]:
    return {name: _python(getattr(record, name)) for name in record.__struct_fields__}


def _types(record: Evidence) -> list[type]:
    held = [record, *([record.null] if isinstance(record.null, Null) else [])]
    return [type(getattr(each, name)) for each in held for name in each.__struct_fields__]


def _python(value: Any) -> Any:
    """A number or text of numpy, or an array of one, as Python's; anything else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def _need(record: Evidence, holds: bool, value: object, expected: str) -> None:
    if not holds:
        raise VerdictError(
            f"The record {record.name!r} in cue {record.cue!r} has {value}; expected "
            f"{expected}. Measure the checkpoint again."
        )


def rounded(value: float | None) -> float | None:
    """Six significant digits: what records hold, so that they read well and compare as text."""
    return None if value is None else float(f"{float(value):.6g}")


def share(name: str, cue: str, hits: int, n: int, **more: Any) -> Evidence:
    """A proportion with its exact binomial bounds (Clopper and Pearson 1934).

    Args:
        name: What was measured.
        cue: The cue, or "all".
        hits: How many units have what is counted.
        n: How many units; with none, the record is "not measured".
        **more: Other fields of the record.

    Raises:
        VerdictError: If `hits` is not from 0 to `n`.

    Examples:
        >>> found = share("agreement.mesa", "T", 95, 100)
        >>> found.estimate, found.lo, found.hi
        (0.95, 0.887165, 0.983568)
    """
    if not 0 <= hits <= n:
        raise VerdictError(f"The share {name!r} in cue {cue!r} counts {hits} of {n} units.")
    if n == 0:
        return not_measured(name, cue, "no task qualifies")

    one, two = 1 - LEVEL, (1 - LEVEL) / 2
    return Evidence(
        name,
        cue,
        rounded(hits / n),
        rounded(_bound(hits, n, two, upper=False)),
        rounded(_bound(hits, n, two, upper=True)),
        rounded(_bound(hits, n, one, upper=False)),
        rounded(_bound(hits, n, one, upper=True)),
        n=n,
        **more,
    )


def _bound(hits: int, n: int, alpha: float, *, upper: bool) -> float:
    """The exact bound of a proportion that is wrong with a probability of at most alpha."""
    from scipy.special import betaincinv  # scipy.stats takes a second to import

    if upper:
        return 1.0 if hits == n else float(betaincinv(hits + 1, n - hits, 1 - alpha))
    return 0.0 if hits == 0 else float(betaincinv(hits, n - hits + 1, alpha))


def resampled(
    name: str, cue: str, estimate: float, replicates: Floats, n: int, **more: Any
) -> Evidence:
    """A figure with percentile bounds over resamples of its unit.

    Args:
        name: What was measured.
        cue: The cue, or "all".
        estimate: The figure; where it or a replicate is not finite, the record is "not measured".
        replicates: The figure on each resample, [resample].
        n: How many units were resampled.
        **more: Other fields of the record.
    """
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


def bootstrap_ratio(
    numerator: Floats, denominator: Floats, rng: np.random.Generator, n_resamples: int = 1000
) -> Floats:
    """Bootstrap of a ratio of means over tasks; NaN where a resample's denominator is 0.

    The draws are those of `scipy.stats.bootstrap(..., paired=True)` with the same generator, whose
    import takes longer than the evaluators that need no more than this.

    Args:
        numerator: [task].
        denominator: [task]; ones for the mean of the numerator.
        rng: Consumed.
        n_resamples: How many.

    Returns:
        The ratio on each resample, [resample].
    """
    draws = rng.integers(0, len(numerator), size=(n_resamples, len(numerator)))
    below, above = np.empty(n_resamples), np.empty(n_resamples)
    for i in range(0, n_resamples, _BLOCK):
        part = slice(i, i + _BLOCK)
        below[part] = denominator.take(draws[part]).mean(axis=1)
        above[part] = numerator.take(draws[part]).mean(axis=1)
    return np.asarray(np.divide(above, below, out=np.full(n_resamples, np.nan), where=below != 0))


def across_seeds(values: Iterable[float]) -> tuple[float, float, float]:
    """Mean over training seeds with a 95 % t interval: (mean, lo, hi), a claim about a recipe.

    Raises:
        VerdictError: With fewer than two seeds: tasks of one checkpoint are no replicates of it.
    """
    from scipy.special import stdtrit

    sample = np.array(list(values), dtype=np.float64)
    if len(sample) < 2:
        raise VerdictError(
            f"An interval for a recipe needs at least 2 seeds, got {len(sample)}; tasks of one "
            "checkpoint are not replicates of a recipe. Train more seeds."
        )
    mean, error = sample.mean(), sample.std(ddof=1) / np.sqrt(len(sample))
    half = float(stdtrit(len(sample) - 1, 0.5 + LEVEL / 2) * error)
    return float(mean), float(mean - half), float(mean + half)
