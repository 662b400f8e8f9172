"""How clear a checkpoint's choices are."""

import numpy as np

from planted.eval.evidence import resampled
from planted.eval.measures import Measure

MARGIN = Measure(
    name="margin.mean",
    label="logit margin",
    unit="logits",
    direction="A high value means clear choices, 0 means ties.",
    family="margin",
    explanation="Mean gap between the two highest logits on tasks in Δ.",
)


class Margin:
    """The gap between the two highest logits where the objectives disagree."""

    name = "margin"
    version = 1
    measures = (MARGIN,)
    needs_validation = False

    def measure(self, context):
        """One record, with a bootstrap interval over tasks."""
        tokens = context.examples("disputed tasks")
        logits = np.sort(context.checkpoint.logits(tokens), axis=1)
        gaps = logits[:, -1] - logits[:, -2]
        rng = np.random.default_rng(0)
        means = gaps[rng.integers(0, len(gaps), (500, len(gaps)))].mean(axis=1)
        return [resampled(MARGIN.name, context.cue_name, gaps.mean(), means, len(gaps))]


margin = Margin()
