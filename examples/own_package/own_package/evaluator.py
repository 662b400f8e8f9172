"""How clear a checkpoint's choices are."""

import numpy as np

from planted.eval.evidence import resampled
from planted.eval.measures import Measure


class Margin:
    """The gap between the two highest logits, on tasks where the objectives disagree."""

    name = "margin"
    version = 1
    needs_validation = False
    measures = (
        Measure(
            name="margin.mean",
            label="logit margin",
            unit="logits",
            direction="higher means clearer choices",
            family="margin",
            explanation="Mean gap between the highest and the second highest logit.",
        ),
    )

    def measure(self, context):
        """One record a cue, with a bootstrap interval over tasks."""
        tokens = context.examples("disputed")
        logits = np.sort(context.checkpoint.logits(tokens), axis=1)
        gaps = logits[:, -1] - logits[:, -2]
        rng = np.random.default_rng(0)
        draws = gaps[rng.integers(0, len(gaps), (500, len(gaps)))].mean(axis=1)
        return [resampled("margin.mean", context.cue_name, gaps.mean(), draws, len(gaps))]
