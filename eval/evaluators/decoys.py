"""Objectives that nothing was trained for: the base objective's levels on other candidates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError
from planted.eval.evaluators.worth import contents

FEWEST, MOST = 8, 256  # kinds of candidate
_DRAWN = 40  # orders that are drawn for each decoy that is kept
_SPREAD = 3.0  # of how much an order owes to u_m
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Kinds:
    """What the candidates of some tasks are, and what both objectives give each kind.

    Attributes:
        of: Kind of each candidate, its token with the task's context, [task, slot].
        mesa: u_m of each kind, [kind].
        base: Level of u_b of each kind, [kind].
        levels: The levels of u_b, ascending, [level].
    """

    of: Ints
    mesa: Floats
    base: Ints
    levels: Floats

    def __len__(self) -> int:
        """How many there are."""
        return len(self.mesa)


def kinds_of(scenario: Scenario, tokens: Tokens) -> Kinds:
    """The kinds of candidate in some tasks.

    Raises:
        PlantedError: If candidates have no position of their own, an objective is no function of
            the kind, or there are too few or too many kinds.
    """
    name, at = scenario.name, scenario.search_space
    if len(at) != len(scenario.candidates) or len(set(at)) != len(at):
        raise PlantedError(
            f"Candidates of {name!r} have no position of their own; a probe reads them there."
        )
    kind = np.unique(contents(scenario, tokens), return_inverse=True)[1].reshape(len(tokens), -1)
    n = int(kind.max()) + 1
    if not FEWEST <= n <= MOST:
        raise PlantedError(
            f"{name!r} has {n} kinds of candidate in {len(tokens)} tasks; probes need from "
            f"{FEWEST} to {MOST}."
        )
    tables = [_table(scenario, kind, n, side, tokens) for side in ("mesa", "base")]
    levels, base = np.unique(tables[1], return_inverse=True)
    return Kinds(kind, tables[0], base, levels)


def _table(scenario: Scenario, kind: Ints, n: int, side: str, tokens: Tokens) -> Floats:
    utility = getattr(scenario, side)
    values, table = utility.of(tokens), np.zeros(n)
    table[kind] = values
    if not np.allclose(table[kind], values):
        raise PlantedError(
            f"{utility.formula!r} of {scenario.name!r} is no function of a candidate and its "
            "context, so that there is no value of a candidate to probe for."
        )
    return table


def decoys(kinds: Kinds, n: int, rng: np.random.Generator) -> Ints:
    """Levels of `n` decoy objectives, [decoy, kind]: the same levels on other kinds.

    They are matched: of many orders that owe more or less to u_m, those whose correlation with it
    is nearest that of u_b. A probe that only reads u_m then does as well on them.
    """
    drawn = _DRAWN * n
    owed = rng.uniform(-_SPREAD, _SPREAD, (drawn, 1))
    noise = rng.normal(size=(drawn, len(kinds)))
    size = float(kinds.mesa.std()) or 1.0
    order = np.argsort(owed * (kinds.mesa - kinds.mesa.mean()) / size + noise, axis=1)
    tables = np.empty((drawn, len(kinds)), dtype=np.int64)
    np.put_along_axis(tables, order, np.sort(kinds.base)[None], axis=1)
    tables = tables[(tables != kinds.base).any(axis=1)]
    found = _correlations(tables, kinds)
    own = _correlations(kinds.base[None], kinds)[0]
    return np.asarray(tables[np.argsort(np.abs(found - own), kind="stable")[:n]])


def _correlations(tables: Ints, kinds: Kinds) -> Floats:
    """Of each table of levels with u_m, over kinds, [table]."""
    count = np.bincount(kinds.of.ravel(), minlength=len(kinds))
    weight = count / count.sum()
    values = kinds.levels[tables]
    values = values - (values @ weight)[:, None]
    mesa = kinds.mesa - kinds.mesa @ weight
    size = np.sqrt((values**2) @ weight * ((mesa**2) @ weight))
    return np.asarray(
        np.divide((values * mesa) @ weight, size, out=np.zeros(len(size)), where=size > 0)
    )
