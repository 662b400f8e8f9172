"""Interchange at the planted coordinates: reported beside its null, and deciding nothing.

On trained checkpoints it was wrong or silent where paths decide, because training moves the code
that a node uses; it stays as evidence that a reader knows how to read (theory E6).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.core.hook_points import Edit
from planted.core.objectives import leftmost
from planted.core.scenario import Choices, Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evidence import Evidence, Null, share

N_PAIRS = 1000
N_RANDOM = 20  # random subspaces of equal dimension


def interchange(checkpoint: Checkpoint, cue: int) -> list[Evidence]:
    """Interchange-intervention accuracy of the score node's subspace (theory E6).

    Only pairs on which the patched answer differs from the checkpoint's own unpatched output count;
    specificity is over pairs on which it must not change.
    """
    word = checkpoint.scenario.cue_name(cue)
    base = checkpoint.tasks(cue, N_PAIRS, seed=401)
    source = checkpoint.tasks(cue, N_PAIRS, seed=402)
    own = checkpoint.choose(base)
    wanted = leftmost(checkpoint.scenario.mesa.of(source))
    asked, same = wanted != own, wanted == own
    basis = checkpoint.score.basis.astype(np.float32)
    patched = _patched(checkpoint, base, source, basis)
    rng = np.random.default_rng([403, cue])
    dims, width = basis.shape
    nulls = []
    for _ in range(N_RANDOM):
        random = np.linalg.qr(rng.normal(size=(width, dims)))[0].T.astype(np.float32)
        found = _patched(checkpoint, base[:200], source[:200], random)
        nulls.append(float((found == wanted[:200])[asked[:200]].mean()) if asked[:200].any() else 0)
    null = Null("random subspace of equal dimension", min(nulls), max(nulls), N_RANDOM)
    n = int(asked.sum())
    cost = 3 * N_PAIRS + 400 * N_RANDOM
    return [
        share(
            "interchange.score",
            word,
            int((patched == wanted)[asked].sum()),
            n,
            null=null,
            unit="pair",
            forward_passes=cost,
        ),
        share(
            "interchange.specificity",
            word,
            int((patched == own)[same].sum()),
            int(same.sum()),
            unit="pair",
        ),
    ]


def _patched(checkpoint: Checkpoint, base: Tokens, source: Tokens, basis: Any) -> Choices:
    """Choices on `base` when a subspace of the residual stream holds what it holds on `source`."""
    site = checkpoint.score.held_at
    places = list(checkpoint.scenario.search_space)
    content = checkpoint.read(source, site)[:, places] @ basis.T

    def edits_of(part: slice) -> dict[str, Edit]:
        def edit(value: Any) -> Any:
            changed = value.copy()
            held = value[:, places]
            changed[:, places] = held + (content[part] - held @ basis.T) @ basis
            return changed

        return {site: edit}

    return checkpoint.choose_edited(base, edits_of)
