"""Places in a network where candidates may stand by what they are worth, and exchanges there.

A place is some hook points at the positions of the candidates, without the candidate's own
embedding: what the blocks below have written into the residual stream, or the keys and queries of
one layer. Whole contents pass through neither: the embedding stays, and so do the heads' values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Edit
from planted.core.scenario import Choices, Tokens
from planted.core.spec import heads_per_layer, n_layers
from planted.eval.checkpoint import Checkpoint
from planted.network.forward import forward

LEAST = 3  # tasks in which a slot holds a value, for the mean of its codes
_CHUNK = 500
_ROUNDING = 1e-4  # of what a place holds: codes no further apart than this are none
EMBEDDED = "blocks.0.hook_resid_pre"
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """Where codes of candidates are read and exchanged.

    Attributes:
        name: As tables show it: "written before block 3".
        sites: Hook points.
        written: Whether the embedding is taken off what they hold.
    """

    name: str
    sites: tuple[str, ...]
    written: bool = False


@dataclass(frozen=True)
class Codes:
    """What a place holds, on the average, for a candidate of each value.

    Attributes:
        place: Where.
        means: Hook point -> [slot, level, ...]; NaN where the slot held the level too seldom.
        by_content: Share of the variance between such codes that a candidate's own content
            explains: 1 where a code is the same whatever else is on the menu.
        by_token: The same for the candidate's own token, without its context.
    """

    place: Place
    means: Mapping[str, Floats]
    by_content: float
    by_token: float

    def turned(self, rng: np.random.Generator) -> Codes:
        """Codes as far apart from each other, in random directions."""
        means = {}
        for site, value in self.means.items():
            width = int(np.prod(value.shape[2:]))
            turn = np.linalg.qr(rng.normal(size=(width, width)))[0].astype(np.float32)
            means[site] = (value.reshape(*value.shape[:2], width) @ turn).reshape(value.shape)
        return Codes(self.place, means, self.by_content, self.by_token)


def places(checkpoint: Checkpoint, *, written: bool) -> list[Place]:
    """The places of a network, from its first block to its last.

    Args:
        checkpoint: The network.
        written: Whether what blocks have written to the residual stream is among them.
    """
    heads = heads_per_layer(checkpoint.params)
    found = []
    for layer in range(n_layers(checkpoint.params)):
        at = f"blocks.{layer}."
        if written and layer:
            found.append(Place(f"written before block {layer}", (at + "hook_resid_pre",), True))
        if heads[layer]:
            keys, queries = at + "attn.hook_k", at + "attn.hook_q"
            found.append(Place(f"keys and queries of block {layer}", (keys, queries)))
    return found


def held(checkpoint: Checkpoint, tokens: Tokens, wanted: Sequence[Place]) -> dict[str, Floats]:
    """Hook point -> what it holds at the candidates, [task, slot, ...], and the embedding's."""
    at = list(checkpoint.scenario.search_space)
    sites = sorted({EMBEDDED, *(site for place in wanted for site in place.sites)})
    parts: dict[str, list[Any]] = {site: [] for site in sites}
    for i in range(0, len(tokens), _CHUNK):
        _, cache = forward(
            checkpoint.params,
            tokens[i : i + _CHUNK],
            checkpoint.plant.spec,
            record=sites,
            recorded_only=True,
        )
        for site in sites:
            parts[site].append(cache[site][:, at])
    return {site: np.concatenate(found) for site, found in parts.items()}


def codes_of(
    place: Place, found: Mapping[str, Floats], levels: Ints, contents: Ints, tokens: Ints
) -> Codes:
    """The codes of a place.

    Args:
        place: Where.
        found: From `held`.
        levels: Level of each candidate's value, [task, slot].
        contents: What each candidate is, with its context, as a number, [task, slot].
        tokens: Each candidate's own token, [task, slot].
    """
    means, spread = {}, np.zeros((2, 2))
    for site in place.sites:
        value = found[site] - (found[EMBEDDED] if place.written else np.float32(0))
        made = np.full((levels.shape[1], levels.max() + 1, *value.shape[2:]), np.nan, np.float32)
        for slot in range(levels.shape[1]):
            flat = value[:, slot].reshape(len(value), -1)
            mean, count = _grouped(flat, levels[:, slot], levels.max() + 1)
            made[slot][count >= LEAST] = mean[count >= LEAST].reshape(-1, *value.shape[2:])
            for i, groups in enumerate((contents, tokens)):
                spread[i] += _variances(flat, mean[count >= LEAST], groups[:, slot])
        means[site] = made
    by_content, by_token = (_explained(*each) for each in spread)
    return Codes(place, means, by_content, by_token)


def level_by_token(levels: Ints, tokens: Ints) -> float:
    """Share of the variance between levels that a candidate's own token explains.

    Args:
        levels: Level of each candidate's value, [task, slot].
        tokens: Each candidate's own token, [task, slot].
    """
    every, spread = np.eye(levels.max() + 1, dtype=np.float32), np.zeros(2)
    for slot in range(levels.shape[1]):
        spread += _variances(every[levels[:, slot]], every, tokens[:, slot])
    return _explained(*spread)


def _explained(whole: float, left: float) -> float:
    return 1 - left / whole if whole > 0 else 0.0


def exchanged(
    checkpoint: Checkpoint, tokens: Tokens, codes: Codes, now: Ints, wanted: Ints
) -> tuple[Choices, npt.NDArray[np.bool_]]:
    """Choices [task] when each candidate's code is that of another value; and where it is known.

    Args:
        checkpoint: The network.
        tokens: The base inputs [task, pos].
        codes: The codes.
        now: Levels of the candidates, [task, slot].
        wanted: Levels whose codes they are given, [task, slot].
    """
    at, slots = list(checkpoint.scenario.search_space), np.arange(now.shape[1])
    moved = {site: m[slots, wanted] - m[slots, now] for site, m in codes.means.items()}
    known = np.ones(len(tokens), dtype=bool)
    for value in moved.values():
        known &= ~np.isnan(value).reshape(len(value), -1).any(axis=1)

    def edits_of(part: slice) -> Mapping[str, Edit]:
        def edit_of(by: Floats) -> Edit:
            def edit(value: Any) -> Any:
                changed = value.copy()
                changed[:, at] += by[part]
                return changed

            return edit

        return {site: edit_of(np.nan_to_num(by)) for site, by in moved.items()}

    return checkpoint.choose_edited(tokens, edits_of), known


def _grouped(values: Floats, group: Ints, n: int) -> tuple[Floats, Ints]:
    """Mean of the rows of each group, [group, column], and how many there are."""
    count = np.bincount(group, minlength=n)
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, group, values)
    return (total / np.maximum(count, 1)[:, None]).astype(np.float32), count


def _variances(values: Floats, means: Floats, contents: Ints) -> tuple[float, float]:
    """Variance in the span of the codes, and how much of it is left within one content."""
    centred = (means - means.mean(axis=0)).astype(np.float64)
    _, size, rows = np.linalg.svd(centred, full_matrices=False)
    scale = float(np.sqrt((values.astype(np.float64) ** 2).mean()))
    span = rows[size > max(1e-4 * size.max(initial=0), _ROUNDING * scale)]
    inside = (values - values.mean(axis=0)).astype(np.float64) @ span.T
    mean, count = _grouped(inside.astype(np.float32), contents, int(contents.max()) + 1)
    often = count[contents] > 1
    left = (inside - mean[contents])[often]
    free = (count[contents][often] - 1) / count[contents][often]  # a mean of few takes its own off
    return float((inside[often] ** 2).sum()), float(((left**2).sum(axis=1) / free).sum())
