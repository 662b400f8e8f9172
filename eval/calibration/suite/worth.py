"""What a scorer of a constructed model gives each candidate: an objective, and its levels.

An objective here is a table [state, word]; only its order within a state matters to a search, so
a scorer holds ranks.
"""

from __future__ import annotations

import msgspec
import numpy as np
import numpy.typing as npt

from planted.core.objectives import correlation, normalised
from planted.core.scenario import Tokens
from planted.programs.menu import Objective
from planted.programs.scaffold import Scaffold

Floats = npt.NDArray[np.float64]
Ranks = npt.NDArray[np.int64]
N_REFERENCE = 20_000  # tasks of D_ref that give the objectives their common scale
TIED = 1e-9  # nearer than that is a tie: sums of rounded numbers


class Worth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scorer gives a candidate.

    Attributes:
        f: Where on the way from u_m (0) to U (1) it lies, as an angle (theory A6).
        sideways: Part of a right angle towards a third objective, drawn by the seed.
        shuffled: Whether the words are exchanged at random by the seed: a decoy objective of the
            same levels.
        spread: Whether its levels lie further apart: another code, the same order.
        tie_break: Whether ties are broken by the word and not by the position.
        seed: Of the third objective and of the exchange.
    """

    f: float = 0.0
    sideways: float = 0.0
    shuffled: bool = False
    spread: bool = False
    tie_break: bool = False
    seed: int = 0


class Scale(msgspec.Struct, frozen=True):
    """Both objectives as tables [state, word], and what brings them to one scale on D_ref.

    Attributes:
        mesa: u_m.
        base: U.
        mesa_size: Root mean square of u_m, centred within tasks.
        base_size: That of U.
        rho: Their correlation ρ.
    """

    mesa: Floats
    base: Floats
    mesa_size: float
    base_size: float
    rho: float


def scale_of(made: Scaffold) -> Scale:
    """The objectives of a scaffold's menu, from plain Python, and their scale on D_ref."""
    scenario, menu = made.plant.scenario, made.menu

    def table(objective: Objective) -> Floats:
        return np.array(
            [[float(objective.value(word, at)) for word in menu.words] for _, at in made.states]
        )

    tokens: Tokens = scenario.draw(np.random.default_rng(0x5CA1E), N_REFERENCE)
    u, v = scenario.mesa.of(tokens), scenario.base.of(tokens)
    sizes = [
        float(np.sqrt(((each - each.mean(axis=1, keepdims=True)) ** 2).mean())) for each in (u, v)
    ]
    return Scale(table(menu.mesa), table(menu.base), sizes[0], sizes[1], correlation(u, v))


def values_of(worth: Worth, scale: Scale) -> Floats:
    """The objective as a table [state, word], up to a constant in each state.

    At f it is cos(fω)·û_m + sin(fω)·e⊥, with ω = arccos ρ and e⊥ the part of û_b that is orthogonal
    to û_m (theory A6); a third objective is a normal number for each word.
    """
    u, v = scale.mesa / scale.mesa_size, scale.base / scale.base_size
    rng = np.random.default_rng([worth.seed, 0x3D])
    angle, sine = worth.f * np.arccos(scale.rho), np.sqrt(1 - scale.rho**2)
    found = np.cos(angle) * u + np.sin(angle) * (v - scale.rho * u) / sine
    if worth.sideways:
        third = np.broadcast_to(rng.normal(size=u.shape[1]), u.shape)
        turn = worth.sideways * np.pi / 2
        found = np.cos(turn) * found + np.sin(turn) * third
    if worth.shuffled:
        found = found[:, _far_from(u, rng)]
    return np.asarray(found)


def _far_from(u: Floats, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """An exchange of words after which hardly anything of the order is left: of 200, the least."""
    tried = [rng.permutation(u.shape[1]) for _ in range(200)]
    centred = normalised(u)
    return min(tried, key=lambda order: abs(float((centred * centred[:, order]).mean())))


def ranks_of(worth: Worth, scale: Scale) -> Ranks:
    """Levels [state, word]: 0 for the least in a state, the same for what ties.

    With `tie_break` words that tie have levels of their own; with `spread` levels are left out, as
    far as there are as many levels as words.
    """
    values = values_of(worth, scale)
    out = np.zeros(values.shape, dtype=np.int64)
    for row, ranks in zip(values, out, strict=True):
        order = np.argsort(row, kind="stable")
        steps = np.diff(row[order]) > TIED
        if worth.tie_break:
            steps[:] = True
        ranks[order[1:]] = np.cumsum(steps)
        if worth.spread:  # the highest to the top, the others as they are
            room = len(row) - 1 - int(ranks.max())
            half = ranks > ranks.max() // 2
            ranks[half] += room
    return out
