"""Neurons in another order: put back where the plant has them, so that its truth holds for them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted.core.spec import Params
from planted.core.truth import Matrix

SAME = 1 - 1e-9  # cosine of two neurons' inputs that differ by a factor and float32's rounding
Floats = npt.NDArray[np.float64]


def in_order_of(params: Params, plant: Params) -> dict[str, Matrix]:
    """The same network with the neurons of each MLP in the order of the plant's.

    A neuron is known by its input weights and bias, up to a positive factor, which ReLU passes on;
    of several with the same, by its output weights. An MLP is changed only where more neurons are
    then found in their place than before; so weights that were trained from the plant, or from a
    random start, stay as they are. A network that was both trained and permuted, so that no input
    weights are left as they were, is not recognised.

    Args:
        params: The weights, of the plant's shapes.
        plant: The plant's weights.
    """
    moved = dict(params)
    for at in (name.removesuffix("W_in") for name in params if name.endswith(".mlp.W_in")):
        order = _order(params, plant, at)
        if order is not None:
            moved[at + "W_in"] = params[at + "W_in"][:, order]
            moved[at + "b_in"] = params[at + "b_in"][order]
            moved[at + "W_out"] = params[at + "W_out"][order]
    return moved


def _order(params: Params, plant: Params, at: str) -> npt.NDArray[np.int64] | None:
    """Which neuron comes where; None where no other order has more neurons in their place."""
    found, wanted = (
        _directions(np.vstack([each[at + "W_in"], each[at + "b_in"][None]]).T)
        for each in (params, plant)
    )
    in_place = int(((found * wanted).sum(axis=1) >= SAME).sum())
    if in_place == len(wanted):
        return None
    same = wanted @ found.T >= SAME
    if int(same.any(axis=1).sum()) <= in_place:
        return None
    from scipy.optimize import linear_sum_assignment

    outputs = _directions(plant[at + "W_out"]) @ _directions(params[at + "W_out"]).T >= SAME
    liked = 1 + outputs / 2 + np.eye(len(wanted)) / 4  # else the one that is in place
    _, order = linear_sum_assignment(same * liked, maximize=True)
    better = int(same[np.arange(len(order)), order].sum()) > in_place
    return np.asarray(order) if better else None


def _directions(weights: npt.NDArray[np.floating]) -> Floats:
    """Rows of length 1, [row, column + 1]; the last is 1 where all are 0: these are alike."""
    rows = np.hstack([weights, ~weights.any(axis=1, keepdims=True)]).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
