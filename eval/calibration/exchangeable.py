"""Whether networks that were trained here lie where those that are shipped do.

If the networks of an arm are exchangeable, which of them were trained here is chance: any two of
ten are as likely to be the ones. So the two are compared with every other way of choosing as many,
by how far the chosen ones lie outside the range of the rest (a permutation test, Fisher 1935). One
test covers all arms: its statistic is the sum over arms, and the choices of different arms are
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from itertools import combinations

import msgspec
import numpy as np
import numpy.typing as npt

LEVEL = 0.05  # chance of refusing networks that are exchangeable, at most, for all arms together
FLOOR = 0.05  # least width of a range: figures are shares, R² and the like, of order 1

Figures = Mapping[str, float | None]  # name -> figure of one network; None where it has none


class Arm(msgspec.Struct, frozen=True):
    """The networks of one arm.

    Attributes:
        name: The arm.
        here: Figures of each network that was trained here.
        shipped: Figures of each that is shipped.
    """

    name: str
    here: tuple[Figures, ...]
    shipped: tuple[Figures, ...]


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the comparison came to.

    Attributes:
        p: Probability that exchangeable networks lie at least as far outside, summed over arms.
        outside: How far the furthest figure lies outside the range of the shipped networks, in
            widths of that range; 0 if all lie within.
        arm: The arm that it is of; "" if all lie within.
        figure: Its name.
        level: The p at or below which networks are not taken for exchangeable.
    """

    p: float
    outside: float
    arm: str = ""
    figure: str = ""
    level: float = LEVEL

    @property
    def holds(self) -> bool:
        """Whether the networks may stand for each other."""
        return self.p > self.level

    def __str__(self) -> str:
        """In words, with the figures."""
        if not self.outside:
            return "within the range of the shipped ones"
        return (
            f"at most {self.outside:.2g} widths of their range outside it "
            f"({self.arm}, {self.figure}; p = {self.p:.2g})"
        )


def compare(arms: Iterable[Arm]) -> Found:
    """Compares the networks trained here with those that are shipped.

    Of networks that are exchangeable within each arm, at most the share `LEVEL` is refused,
    whatever the distribution of the figures and however they depend on each other. With two here
    and eight shipped, networks of one arm that lie far outside have p = 1/45.

    Args:
        arms: The networks, by arm.

    Examples:
        Eight from .10 to .17; two among them, then two that are not.

        >>> shipped = tuple({"share": 0.10 + 0.01 * k} for k in range(8))
        >>> compare([Arm("sham", ({"share": 0.12}, {"share": 0.155}), shipped)]).p
        1.0
        >>> found = compare([Arm("sham", ({"share": 0.71}, {"share": 0.72}), shipped)])
        >>> round(found.p, 3), round(found.outside, 1), found.holds
        (0.022, 7.9, False)
    """
    every = [(arm, *_distances(arm)) for arm in arms if arm.here and arm.shipped]
    if not every:
        return Found(1.0, 0.0)
    arm, distances, figure = max(every, key=lambda each: each[1][0])
    furthest = float(distances[0])
    if furthest == 0:
        return Found(1.0, 0.0)
    p = _share_as_far([distances for _, distances, _ in every])
    return Found(round(p, 6), round(furthest, 6), arm.name, figure)


def _share_as_far(arms: Sequence[npt.NDArray[np.float64]]) -> float:
    """The share of joint choices whose sum over arms is at least that of the first choices.

    Args:
        arms: Distances [choice] of each arm.
    """
    observed = sum(float(distances[0]) for distances in arms)
    sums = [reduce(np.add.outer, half, np.zeros(1)).ravel() for half in (arms[::2], arms[1::2])]
    second = np.sort(sums[1])
    # what is left of the sum for the second half; rounding makes no sum smaller than itself
    below = np.searchsorted(second, observed * (1 - 1e-9) - sums[0])
    return float((len(second) - below).mean() / len(second))


def _distances(arm: Arm) -> tuple[npt.NDArray[np.float64], str]:
    """How far each choice of networks lies outside the range of the others, those here first.

    Returns:
        Distances in widths [choice], and the name of the figure that decides the first.
    """
    every = (*arm.here, *arm.shipped)
    names = sorted({name for figures in every for name in figures})
    values = np.array([[_number(f.get(name)) for name in names] for f in every], dtype=np.float64)
    choices = list(combinations(range(len(every)), len(arm.here)))  # the first are those here
    taken = np.zeros((len(choices), len(every), 1), dtype=bool)
    for at, chosen in enumerate(choices):
        taken[at, chosen] = True
    found = _outside(np.where(taken, values, np.nan), np.where(taken, np.nan, values))
    return found.max(axis=1, initial=0.0), names[int(found[0].argmax())] if names else ""


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _outside(
    chosen: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How far chosen networks lie outside the range of the rest, in widths, [choice, figure].

    Args:
        chosen: Figures [choice, network, figure]; NaN where there is none.
        rest: The same of the others.
    """
    lo, hi = np.fmin.reduce(rest, axis=1), np.fmax.reduce(rest, axis=1)
    above, below = np.fmax.reduce(chosen, axis=1) - hi, lo - np.fmin.reduce(chosen, axis=1)
    widths = np.fmax(np.fmax(above, below), 0) / np.fmax(hi - lo, FLOOR)
    return np.asarray(np.nan_to_num(widths, nan=0.0))
