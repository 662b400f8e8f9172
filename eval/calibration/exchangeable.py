"""Whether networks that were trained here lie where those that are shipped do.

If the networks of an arm are exchangeable, which of them were trained here is chance: any two of
ten are as likely to be the ones. So the two are compared with every other way of choosing as many,
by how far the chosen ones lie outside the range of the rest (a permutation test, Fisher 1935). One
test covers all arms: its statistic is the largest over arms, and the choices of different arms are
independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import prod

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
        p: Probability that exchangeable networks lie at least as far outside, in some arm.
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
    whatever the distribution of the figures and however they depend on each other. The smallest p
    is 1/45 with two here and eight shipped.

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
    as_far = [float((each >= furthest).mean()) for _, each, _ in every]
    p = 1 - prod(1 - share for share in as_far)
    return Found(round(p, 6), round(furthest, 6), arm.name, figure)


def _distances(arm: Arm) -> tuple[npt.NDArray[np.float64], str]:
    """How far each choice of networks lies outside the range of the others, those here first.

    Returns:
        Distances in widths [choice], and the name of the figure that decides the first.
    """
    every = (*arm.here, *arm.shipped)
    names = sorted({name for figures in every for name in figures})
    values = np.array([[_number(f.get(name)) for name in names] for f in every], dtype=np.float64)
    found = []
    for chosen in combinations(range(len(every)), len(arm.here)):  # the first are those here
        rest = np.ones(len(every), dtype=bool)
        rest[list(chosen)] = False
        found.append(_outside(values[~rest], values[rest]))
    distances = np.array([each.max(initial=0.0) for each in found])
    return distances, names[int(found[0].argmax())] if names else ""


def _number(value: float | None) -> float:
    return np.nan if value is None else float(value)


def _outside(
    chosen: npt.NDArray[np.float64], rest: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """How far chosen networks lie outside the range of the rest, in widths of it, [figure].

    Args:
        chosen: Figures [network, figure]; NaN where there is none.
        rest: The same of the others.
    """
    lo, hi = np.fmin.reduce(rest), np.fmax.reduce(rest)
    beyond = np.fmax(np.fmax.reduce(chosen) - hi, lo - np.fmin.reduce(chosen))
    return np.asarray(np.nan_to_num(np.fmax(beyond, 0) / np.fmax(hi - lo, FLOOR), nan=0.0))
