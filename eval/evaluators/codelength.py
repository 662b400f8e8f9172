"""How many bits a linear probe needs for labels, coded online: what is told, and how readily.

Prequential code (Voita and Titov 2020, section 2.2.2): the labels of each block of rows are coded
by a probe that was fitted to the blocks before it. A probe that needs few rows has a short code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

RIDGES = (1e-4, 1e-2, 1.0)  # on features of mean variance 1
CONDITIONED = 1e-2  # on what is conditioned on
WIDTHS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)  # of the code, in units of the levels' range
LEAST = 2.0**-20  # no level has a smaller chance
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def bits(
    features: Floats, conditions: Floats, labels: Ints, levels: Floats, ends: Sequence[int]
) -> Floats:
    """Bits of each label, [row, target], by a ridge probe on features and conditions together.

    A probe predicts a number; the chance of a level falls with its squared distance from that. What
    ridge and what width are right is not known: all of some are mixed, each with the weight that it
    earned on the blocks before (a Bayesian mixture, so that at most log2 of their number is lost).

    Args:
        features: [row, feature]; scaled together, so that no rotation of them changes anything.
        conditions: What the code may use anyway, [row, condition].
        labels: Which level each target has, [row, target].
        levels: The levels, ascending, [level].
        ends: Where each block ends, ascending; the last is the number of rows. The first block's
            labels are coded uniformly.
    """
    centred = features - features.mean(axis=0)  # whoever decodes the labels has all features
    centred /= (float(np.sqrt((centred**2).mean())) if centred.size else 1.0) or 1.0
    design = np.hstack([np.ones((len(labels), 1)), conditions, centred])
    free = 1 + conditions.shape[1]
    places = (levels - levels.mean()) / np.ptp(levels)
    out = np.full(labels.shape, np.log2(len(levels)))
    spent = np.zeros((len(RIDGES) * len(WIDTHS), labels.shape[1]))
    for start, stop in pairwise(ends):
        part = slice(start, stop)
        guesses = _predicted(design[:start], places[labels[:start]], design[part], free)
        of_each = np.stack(list(_experts(guesses, labels[part], places)))
        weight = 2.0 ** (spent.min(axis=0) - spent)
        weight /= weight.sum(axis=0)
        out[part] = -np.log2((weight[:, None] * of_each).sum(axis=0))
        spent -= np.log2(of_each).sum(axis=1)
    return out


def blocks(n: int, shares: Sequence[float], size: int = 1) -> list[int]:
    """Where blocks of rows end.

    Args:
        n: Units.
        shares: The share of the units in all blocks up to each, ascending; the last is 1.
        size: Rows a unit.
    """
    ends = sorted({max(1, round(share * n)) for share in shares})
    return [end * size for end in ends]


def _predicted(past: Floats, wanted: Floats, now: Floats, free: int) -> Iterator[Floats]:
    """What the probe of each ridge predicts for the rows of now, [row, target]."""
    gram, moment = past.T @ past, past.T @ wanted
    for ridge in RIDGES:
        penalty = np.full(len(gram), ridge)
        penalty[:free] = CONDITIONED
        yield now @ np.linalg.solve(gram + np.diag(penalty), moment)


def _experts(guesses: Iterator[Floats], labels: Ints, places: Floats) -> Iterator[Floats]:
    """The chance that each ridge and width give to the label, [row, target]."""
    for guess in guesses:
        off = (guess.astype(np.float32) - places.astype(np.float32)[:, None, None]) ** 2
        off -= off.min(axis=0)
        for width in WIDTHS:
            weight = np.exp(off * np.float32(-0.5 / width**2))
            own = np.take_along_axis(weight, labels[None], axis=0)[0]
            yield (1 - len(places) * LEAST) * own / weight.sum(axis=0) + LEAST
