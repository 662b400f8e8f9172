"""Exchanges of what a place holds for the base objective, between two tasks of one network.

The code of a level is what the place holds more of at candidates of that level, on the average,
than other things explain: an effect of a linear model, fitted by least squares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Edit
from planted.core.scenario import Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators.codelength import Floats, Ints

VARIES = 1e-6  # of the variance at a place: directions with less of it hold nothing
MOST = 0.95  # of the squares of effects
ROUNDING = 1e-10  # of the squares at a place: variation with less of it is rounding
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Code:
    """What a place holds for each level.

    Attributes:
        site: Hook point.
        effects: [level, d_model].
        span: Orthonormal directions in which the place varies, [direction, d_model].
    """

    site: str
    effects: Floats
    span: Floats

    def turned(self, rng: np.random.Generator) -> Code:
        """Effects as far apart, in random directions among those in which the place varies.

        At right angles to the directions that hold most of the effects: with few directions, a
        random one would else share enough of these to move the choice too.
        """
        left, size, own = np.linalg.svd(self.effects, full_matrices=False)
        share = np.cumsum(size**2) / max(float((size**2).sum()), np.finfo(float).tiny)
        most = own[: int(np.searchsorted(share, MOST)) + 1]
        rest = spanned(self.span - self.span @ most.T @ most, centre=False)
        n = min(len(size), len(rest))
        turn = np.linalg.qr(rng.normal(size=(len(rest), n)))[0].T @ rest
        return Code(self.site, (left * size)[:, :n] @ turn, self.span)


def spanned(held: Floats, *, centre: bool = True) -> Floats:
    """Orthonormal directions in which values [row, d_model] vary, [direction, d_model].

    Args:
        held: The values.
        centre: Whether they vary about their mean, or about zero.
    """
    centred = held - held.mean(axis=0) if centre else held
    size, directions = np.linalg.eigh(centred.T @ centred)
    least = max(VARIES * size.sum(), ROUNDING * (held**2).sum())
    return np.asarray(directions[:, size > least].T)


def code_of(site: str, held: Floats, levels: Ints, others: list[Ints]) -> Code:
    """The code of a place.

    Args:
        site: Hook point.
        held: What it holds at candidates, [row, d_model].
        levels: Level of each, [row].
        others: What else may explain it, each as a number, [row].
    """
    n = int(levels.max()) + 1
    columns = [np.eye(int(each.max()) + 1)[each] for each in (levels, *others)]
    design = np.hstack(columns)
    # least squares by the normal equations: of many solutions the smallest, where columns repeat
    fitted = np.linalg.pinv(design.T @ design, rcond=1e-10, hermitian=True) @ (design.T @ held)
    effects = fitted[:n] - fitted[:n].mean(axis=0)
    return Code(site, effects, spanned(held))


def choices_hit(
    checkpoint: Checkpoint, tokens: Tokens, code: Code, now: Ints, source: Ints, wanted: Ints
) -> Bools:
    """Whether the choice is the wanted one when candidates get the code of other levels, [task].

    Args:
        checkpoint: The network.
        tokens: The base inputs [task, pos].
        code: The code.
        now: Level of each candidate, [task, slot].
        source: Level whose code it is given, [task, slot].
        wanted: The wanted choices, [task].
    """
    moved = (code.effects[source] - code.effects[now]).astype(np.float32)
    at = list(checkpoint.scenario.search_space)

    def edits_of(part: slice) -> Mapping[str, Edit]:
        def edit(value: Any) -> Any:
            changed = value.copy()
            changed[:, at] += moved[part]
            return changed

        return {code.site: edit}

    return np.asarray(checkpoint.choose_edited(tokens, edits_of) == wanted)
