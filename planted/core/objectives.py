"""How far two objectives are apart, and what a choice costs: pure functions of value tables.

Everything here takes the values of each candidate, [task, candidate], and is aware of ties.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Choices, Values

MAX_RHO = 0.7  # past it no drift between two objectives can be told


def best(values: Values) -> npt.NDArray[np.bool_]:
    """Which candidates attain the task's highest value, [task, candidate]."""
    return np.asarray(values == values.max(axis=1, keepdims=True))


def leftmost(values: Values) -> Choices:
    """The first candidate with the highest value, [task]: search with leftmost ties."""
    return np.asarray(values.argmax(axis=1), dtype=np.int64)


def untied(values: Values) -> npt.NDArray[np.bool_]:
    """Tasks with exactly one best candidate, [task]."""
    return np.asarray(best(values).sum(axis=1) == 1)


def regret(values: Values, choices: Choices) -> npt.NDArray[np.float64]:
    """Value lost by each choice, [task], in the objective's own unit.

    An invalid choice (-1) loses what the worst candidate loses.
    """
    rows = np.arange(len(values))
    chosen = np.where(choices >= 0, values[rows, np.maximum(choices, 0)], values.min(axis=1))
    return np.asarray(values.max(axis=1) - chosen)


def chance_regret(values: Values) -> npt.NDArray[np.float64]:
    """Value lost on average by a uniform chooser, [task]."""
    return np.asarray(values.max(axis=1) - values.mean(axis=1))


def choice_distance(u: Values, v: Values) -> float:
    """Share of tasks on which no candidate is best for both (theory A5.1)."""
    return float((~(best(u) & best(v)).any(axis=1)).mean())


def rank_distance(u: Values, v: Values) -> float:
    """Mean over tasks of (1 - Kendall's tau-b) / 2 (theory A5.2; Kendall 1945 for ties).

    A task on which either objective is constant has no order; it counts as 1/2.
    """
    du = np.sign(u[:, :, None] - u[:, None, :])
    dv = np.sign(v[:, :, None] - v[:, None, :])
    numerator = (du * dv).sum(axis=(1, 2))
    norm = np.sqrt((du**2).sum(axis=(1, 2)) * (dv**2).sum(axis=(1, 2)))
    tau = np.divide(numerator, norm, out=np.zeros_like(norm), where=norm > 0)
    return float(((1 - tau) / 2).mean())


def regret_distance(u: Values, v: Values) -> float:
    """What choosing by `u` costs in `v`: 0 optimal, 1 as bad as chance (theory A5.3)."""
    top = best(u)
    achieved = (v * top).sum(axis=1) / top.sum(axis=1)
    lost = (v.max(axis=1) - achieved).mean()
    chance = chance_regret(v).mean()
    return float(lost / chance) if chance > 0 else 0.0


def normalised(values: Values) -> Values:
    """Centred within each task and scaled to unit mean square (theory A5.4, A6)."""
    centred = values - values.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).mean())
    return np.asarray(centred / size) if size > 0 else np.asarray(centred)


def correlation(u: Values, v: Values) -> float:
    """ρ: inner product of the two normalised objectives (theory A6)."""
    return float((normalised(u) * normalised(v)).mean())


def starc_distance(u: Values, v: Values) -> float:
    """½‖û - v̂‖ of the normalised objectives; equals sqrt((1-ρ)/2) (theory A5.4).

    STARC (Skalse et al. 2023) and EPIC (Gleave et al. 2020) coincide in one-step tasks.
    """
    return float(0.5 * np.sqrt(((normalised(u) - normalised(v)) ** 2).mean()))


def floor(mesa: Values, base: Values) -> float:
    """Largest drift that changes no choice on these tasks (theory A4): a share λ of the way.

    The objective on the way is (1-λ)·û_m + λ·û_b, both centred and normalised. Tasks on which
    u_m ties count for nothing: there the slightest drift decides. 1 if nothing ever changes.

    Args:
        mesa: Values of u_m, [task, candidate].
        base: Values of u_b, [task, candidate].
    """
    clear = best(mesa).sum(axis=1) == 1
    u, v = normalised(mesa)[clear], normalised(base)[clear]
    rows = np.arange(len(u))
    top = u.argmax(axis=1)
    ahead = u[rows, top][:, None] - u
    gains = v - v[rows, top][:, None]
    overtakes = gains > 0
    if not overtakes.any():
        return 1.0
    return float((ahead[overtakes] / (ahead[overtakes] + gains[overtakes])).min())
