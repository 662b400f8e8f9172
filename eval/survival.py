"""Times until something happens, of which some are cut off: estimates by the package lifelines."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple

import numpy as np

from planted.errors import PlantedError, need
from planted.eval.evidence import LEVEL

HALF = 0.5 + 1e-9  # lifelines multiplies logarithms: a half may come out as a little more
PURPOSE = "estimate times that are cut off"


class Times(NamedTuple):
    """The times of one arm; those that were not reached are cut off at the horizon.

    Attributes:
        steps: Steps of each run; of one that was cut off, those it ran.
        reached: Whether it was there by then.
    """

    steps: tuple[int, ...]
    reached: tuple[bool, ...]

    @property
    def n_reached(self) -> int:
        """How many runs were there before they were cut off."""
        return sum(self.reached)

    def __str__(self) -> str:
        """The times in words, as "5, 10, not in 300"."""
        pairs = zip(self.steps, self.reached, strict=True)
        return ", ".join(str(steps) if there else f"not in {steps}" for steps, there in pairs)


class Ratio(NamedTuple):
    """A ratio of two means with its bounds at the level of all evidence.

    Attributes:
        estimate: The ratio.
        lo: Lower end of the two-sided interval.
        hi: Upper end.
        at_least: One-sided lower bound.
        at_most: One-sided upper bound.
    """

    estimate: float
    lo: float
    hi: float
    at_least: float
    at_most: float


def median(times: Times) -> float | None:
    """The median time by Kaplan and Meier (1958); None where half of the runs were cut off.

    Raises:
        PlantedError: If lifelines is not installed, or there is no run.
    """
    curve = _fitted(times).survival_function_.iloc[:, 0]
    below = curve.index[curve.to_numpy() <= HALF]
    return float(below[0]) if len(below) else None


def restricted_mean(times: Times, horizon: int) -> tuple[float, float]:
    """Mean and variance of min(time, horizon): the area under the survival curve (Irwin 1949).

    The curve is lifelines' and a step function, so that its areas are sums: lifelines integrates it
    numerically, which is slow, and warns where it has many steps.

    Raises:
        PlantedError: If lifelines is not installed, or there is no run.
    """
    curve = _fitted(times).survival_function_.iloc[:, 0]
    at = np.minimum(np.append(curve.index.to_numpy(float), horizon), horizon)
    left = curve.to_numpy(float)
    mean = float((left * np.diff(at)).sum())
    square = float((left * np.diff(at**2)).sum())  # the integral of 2·t·S(t)
    return mean, max(0.0, square - mean**2)


def restricted_ratio(slow: Times, fast: Times, horizon: int, rounding: int) -> Ratio | None:
    """How many times as long one arm takes as another, both cut off at the horizon.

    The interval is that of the difference of the logarithms by the delta method, with the degrees
    of freedom of Welch (1947). Times are looked at every `rounding` steps: that adds the variance
    of a uniform error, so that equal times do not give an interval of no width.

    Args:
        slow: The arm above the line, n runs or more than one.
        fast: The arm below.
        horizon: Steps after which both are cut off.
        rounding: Steps between two looks.

    Returns:
        The ratio of the restricted means; None where the arm below takes no time at all, or an arm
        has one run.

    Raises:
        PlantedError: If lifelines is not installed, or an arm has no run.
    """
    from scipy.special import stdtrit

    means, errors, freedom = [], [], []
    for arm in (slow, fast):
        mean, variance = restricted_mean(arm, horizon)
        if len(arm.steps) < 2:
            return None
        rounded = variance + rounding**2 / 12 * arm.n_reached / len(arm.steps)
        means.append(mean)
        freedom.append(len(arm.steps) - 1)
        errors.append(rounded / freedom[-1] / mean**2 if mean else 0.0)
    if not all(means):
        return None
    total, log = sum(errors), float(np.log(means[0] / means[1]))
    parts = sum(error**2 / free for error, free in zip(errors, freedom, strict=True))
    welch = total**2 / parts if parts else float(sum(freedom))
    two, one = (float(stdtrit(welch, q)) * total**0.5 for q in (0.5 + LEVEL / 2, LEVEL))
    bounds = (0.0, -two, two, -one, one)
    return Ratio(*(float(np.exp(log + bound)) for bound in bounds))


def log_rank(one: Times, other: Times) -> float | None:
    """The p-value of the log-rank test that two arms have one curve (Mantel 1966).

    Returns:
        None where no run of either got there.

    Raises:
        PlantedError: If lifelines is not installed.
    """
    need("lifelines", PURPOSE)
    from lifelines.statistics import logrank_test

    if not one.n_reached + other.n_reached:
        return None
    found = logrank_test(one.steps, other.steps, one.reached, other.reached)
    p = float(found.p_value)
    return p if isfinite(p) else None


def _fitted(times: Times) -> Any:
    """The Kaplan-Meier estimate of an arm."""
    need("lifelines", PURPOSE)
    from lifelines import KaplanMeierFitter

    if not times.steps:
        raise PlantedError("An arm without runs has no times. Ask for one seed or more.")
    return KaplanMeierFitter().fit(times.steps, event_observed=times.reached)
