"""Codelengths of the base objective, of decoys and of control tasks, at each place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from planted.core.objectives import leftmost
from planted.core.scenario import Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import codes
from planted.eval.evaluators.codelength import Floats, Ints, bits, blocks
from planted.eval.evaluators.decoys import Kinds, decoys
from planted.eval.evaluators.exchanged import spanned

N_DECOYS = 99
N_CONTROLS = 10
N_ORDERS = 10
KINDS_SEEN = tuple(float(share) for share in np.arange(1, 9) / 8)
TASKS_SEEN = (0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)  # Voita and Titov 2020, section 2.2.2
FLAG = np.array([0.0, 1.0])


@dataclass(frozen=True)
class Target:
    """What is probed for: u_b in column 0, then decoys, then controls.

    Attributes:
        name: "value" or "flag".
        unit: What is resampled: "kind" or "task".
        plain: Bits without the network, [unit, objective].
        told: Place -> bits with what it holds, [unit, objective].
    """

    name: str
    unit: str
    plain: Floats
    told: dict[str, Floats]

    def best(self, objective: int = 0) -> str:
        """The place that saves most bits of an objective."""
        return min(self.told, key=lambda place: float(self.told[place][:, objective].mean()))

    def saved(self, objective: int = 0) -> Floats:
        """Bits a candidate that this place saves, [unit]."""
        return np.asarray((self.plain - self.told[self.best(objective)])[:, objective])

    @property
    def of_decoys(self) -> Floats:
        """The same on the average, [decoy]; of each at the place that is best for it."""
        return np.array([self.saved(k).mean() for k in range(1, 1 + N_DECOYS)])

    @property
    def of_controls(self) -> Floats:
        """The same of the control tasks, averaged over them, [unit]."""
        every = range(1 + N_DECOYS, self.plain.shape[1])
        return np.asarray(np.mean([self.saved(k) for k in every], axis=0))


def targets(checkpoint: Checkpoint, kinds: Kinds, tokens: Tokens) -> tuple[Target, Target]:
    """Codelengths of u_b, decoys and controls in one network: by kinds and by tasks."""
    at_places = {
        place: held @ spanned(held.reshape(-1, held.shape[2])).T
        for place, held in written(checkpoint, tokens).items()
    }
    rng = np.random.default_rng(952)
    tables = np.concatenate([kinds.base[None], decoys(kinds, N_DECOYS, rng)])
    return _by_kinds(kinds, tables, at_places, rng), _by_tasks(kinds, tables, at_places, rng)


def written(checkpoint: Checkpoint, tokens: Tokens) -> dict[str, Floats]:
    """Hook point -> what blocks have written there at the candidates, [task, slot, d_model]."""
    wanted = [place for place in codes.places(checkpoint, written=True) if place.written]
    held = codes.held(checkpoint, tokens, wanted)
    sites = [place.sites[0] for place in wanted]
    return {site: (held[site] - held[codes.EMBEDDED]).astype(np.float64) for site in sites}


def _by_kinds(
    kinds: Kinds, tables: Ints, at_places: dict[str, Floats], rng: np.random.Generator
) -> Target:
    """The value, coded of kinds that the probe has not met: a kind's token says nothing there.

    Conditioned on u_m. The controls are random tables of the same levels.
    """
    controls = [rng.permutation(kinds.base) for _ in range(N_CONTROLS)]
    labels = np.concatenate([tables, controls]).T
    flat, count = kinds.of.ravel(), np.bincount(kinds.of.ravel())
    means = {}
    for place, value in at_places.items():
        total = np.zeros((len(kinds), value.shape[2]))
        np.add.at(total, flat, value.reshape(len(flat), -1))
        means[place] = total / count[:, None]
    means[""] = np.zeros((len(kinds), 0))
    mesa = (kinds.mesa - kinds.mesa.mean())[:, None] / (kinds.mesa.std() or 1.0)
    ends = blocks(len(kinds), KINDS_SEEN)
    found = {place: np.zeros(labels.shape) for place in means}
    for _ in range(N_ORDERS):
        order = rng.permutation(len(kinds))
        for place, value in means.items():
            given = value[order], mesa[order], labels[order]
            found[place][order] += bits(*given, kinds.levels, ends) / N_ORDERS
    plain = found.pop("")
    return Target("value", "kind", plain, found)


def _by_tasks(
    kinds: Kinds, tables: Ints, at_places: dict[str, Floats], rng: np.random.Generator
) -> Target:
    """The flag of the best candidate, coded of tasks that the probe has not met.

    Conditioned on the candidate's kind, on which other kinds are there, and on whether it is best
    for u_m. The controls are random labels of each kind beside each neighbour.
    """
    n, slots = kinds.of.shape
    own = np.eye(len(kinds))[kinds.of]
    others = own.sum(axis=1, keepdims=True) - own
    mesa = np.eye(slots)[leftmost(kinds.mesa[kinds.of])]
    given = np.concatenate([own, others, mesa[:, :, None]], axis=2).reshape(n * slots, -1)
    flags = np.stack([np.eye(slots)[table[kinds.of].argmax(axis=1)] for table in tables], axis=2)
    beside = np.roll(kinds.of, 1, axis=1)
    random = rng.random((N_CONTROLS, len(kinds), len(kinds))) < 1 / slots
    controls = np.moveaxis(random[:, kinds.of, beside], 0, 2)
    labels = np.concatenate([flags, controls], axis=2).reshape(n * slots, -1).astype(np.int64)
    ends = blocks(n, TASKS_SEEN, slots)

    def coded(value: Floats) -> Floats:
        each = bits(value.reshape(n * slots, -1), given, labels, FLAG, ends)
        return np.asarray(each.reshape(n, slots, -1).mean(axis=1))

    plain = coded(np.zeros((n, slots, 0)))
    return Target("flag", "task", plain, {place: coded(v) for place, v in at_places.items()})
