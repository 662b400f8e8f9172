"""Interchange at the planted coordinates: reported beside its null, and deciding nothing.

On trained checkpoints it was wrong or silent where paths decide, because training moves the code
that a node uses; it stays because it is how the field asks the question.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from planted.core.objectives import leftmost
from planted.core.scenario import Choices, Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence, Null, share
from planted.eval.measures import Measure
from planted.network.forward import Stream

N_RANDOM = 20  # random subspaces of equal dimension
N_NULL = 200  # pairs for each of them

_declared = partial(
    Measure,
    family="interchange",
    heading="Interchange at the planted coordinates (decides nothing)",
    unit="share",
)


class Interchange:
    """Interchange-intervention accuracy of the score node's subspace.

    Only pairs on which the wanted answer differs from the checkpoint's own count; specificity is
    over pairs on which it must not change (Geiger et al. 2021).
    """

    name = "interchange"
    version = 1
    needs_validation = False
    needs_disagreement = True
    measures: tuple[Measure, ...] = (
        _declared(
            name="interchange.score",
            label="interchange at the score node",
            direction="1: the choice follows what stands in the planted subspace; 0: never",
            null="random subspace",
            explanation="How often the choice becomes the source input's best for u_m when the "
            "planted score subspace holds what it holds there.",
        ),
        _declared(
            name="interchange.specificity",
            label="unchanged where it must be",
            direction="1: the interchange changes no choice that it must not; 0: every one",
            explanation="How often the choice stays under the interchange where the source input's "
            "best for u_m is the choice already made.",
        ),
    )

    def measure(self, context: Context) -> list[Evidence]:
        """One record a measure; pairs of tasks are the unit."""
        checkpoint, word = context.checkpoint, context.cue_name
        base = context.examples("interchange, base input")
        source = context.examples("interchange, source input")
        here, there = _held(checkpoint, base), _held(checkpoint, source)
        own = checkpoint.choose(here)
        wanted = leftmost(context.scenario.mesa.of(source))
        asked, same = wanted != own, wanted == own
        basis = checkpoint.score.basis.astype(np.float32)
        patched = _patched(checkpoint, here, there, basis)
        rng = context.rng(403)
        dims, width = basis.shape
        few = asked[:N_NULL]
        nulls = []
        for _ in range(N_RANDOM):
            random = np.linalg.qr(rng.normal(size=(width, dims)))[0].T.astype(np.float32)
            found = _patched(checkpoint, here[:N_NULL], there[:N_NULL], random)
            nulls.append(float((found == wanted[:N_NULL])[few].mean()) if few.any() else 0)
        return [
            share(
                "interchange.score",
                word,
                int((patched == wanted)[asked].sum()),
                int(asked.sum()),
                null=Null("random subspace of equal dimension", min(nulls), max(nulls), N_RANDOM),
                unit="pair",
                forward_passes=3 * len(base) + 2 * N_NULL * N_RANDOM,
            ),
            share(
                "interchange.specificity",
                word,
                int((patched == own)[same].sum()),
                int(same.sum()),
                unit="pair",
            ),
        ]


def _held(checkpoint: Checkpoint, tokens: Tokens) -> Stream:
    """The residual stream where the score is held: that after the block that writes it."""
    score = checkpoint.score
    run = checkpoint.before(score.layer, tokens)
    return Stream(score.layer + 1, checkpoint.read(run, score.held_at))


def _patched(checkpoint: Checkpoint, base: Stream, source: Stream, basis: Any) -> Choices:
    """Choices [task] on `base` when a subspace holds at `search_space` what it does in `source`."""
    places = list(checkpoint.scenario.search_space)
    changed, held = base.held.copy(), base.held[:, places]
    changed[:, places] = held + (source.held[:, places] @ basis.T - held @ basis.T) @ basis
    return checkpoint.choose(Stream(base.layer, changed))
