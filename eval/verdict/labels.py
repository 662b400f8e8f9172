"""What the measures that the rule reads are called in a sentence. The one place that names them."""

from __future__ import annotations

_LABELS = {
    "objectives.delta": "share of tasks on which the objectives disagree",
    "objectives.rho": "correlation ρ of the two objectives",
    "objectives.additive": "share of batches on which the base objective adds up over tasks",
    "valid": "share of outputs that choose a candidate",
    "agreement.mesa": "share of mesa choices where the objectives disagree",
    "agreement.base": "share of base choices where the objectives disagree",
    "behavioural_objective.class_fit": "share of held-out choices that an objective between the "
    "two predicts",
    "paths.accuracy": "share of held-out choices that the fitted choice model predicts",
    "paths.other": "share of the attribution that follows neither objective",
    "paths.predicted_mesa": "share of mesa choices that the fitted choice model predicts",
    "paths.predicted_base": "share of base choices that the fitted choice model predicts",
    "paths.prediction_error.mesa": "error of the fitted choice model on the share of mesa choices",
    "paths.prediction_error.base": "error of the fitted choice model on the share of base choices",
    "paths.scorer_share": "planted scorer share",
    "paths.interpolation": "interpolation λ of the whole network",
    "paths.interpolation_scorer": "interpolation λ of the planted scorer",
    "paths.interpolation_remainder": "interpolation λ of the remainder",
    "paths.against": "share of the attribution that goes against its objective",
    "paths.mesa_share": "share of the attribution that is the mesa-objective's",
    "paths.scorer_sign": "sign of the mesa-objective in the planted scorer",
    "paths.attribution.scorer.mesa": "share of the attribution that is the mesa-objective's in the "
    "planted scorer",
    "paths.retarget": "share of choices that obey an order written through the planted scorer",
    "paths.swap": "share of choices that follow a swapped output of the planted comparator",
    "presence.mesa_argmax": "R² with which the planted argmax candidate is read linearly",
    "cue.effect": "effect of the cue on the share of base choices",
    "cue.forced": "share of base choices on novel tasks under the training cue",
    "cue.base_unmoved": "share of tasks whose base objective the cue leaves as it is",
    "cue.interpolation_gap": "difference of λ between the training cue and the nearest other",
    "cue.interpolation_spread": "largest difference of λ between cues",
}
_SCALES = {
    "paths.interpolation": "0 mesa, 1 base",
    "paths.scorer_sign": "1 with it, -1 against it",
}
_NULLS = {
    "agreement": "sham fine-tuning",
    "paths.interpolation": "sham fine-tuning",
    "paths.scorer_share": "networks without the plant",
    "paths.retarget": "networks without the plant",
    "paths.swap": "networks without the plant",
    "presence": "networks without the plant",
    "cue.effect": "a fair coin",
}


def label(measure: str) -> str:
    """A measure in words; its own name where there are none.

    >>> label("paths.scorer_share")
    'planted scorer share'
    """
    return _LABELS.get(measure, measure)


def scale(measure: str) -> str:
    """How to read a measure's values, in brackets; nothing where the label says it."""
    found = next((said for stem, said in _SCALES.items() if measure.startswith(stem)), "")
    return f" ({found})" if found else ""


def null_label(measure: str) -> str:
    """What a measure's null was measured on, in words."""
    return next((said for stem, said in _NULLS.items() if measure.startswith(stem)), "null")


def under(cue: str) -> str:
    """Where a figure was measured: " under cue T"; nothing where it belongs to no cue."""
    return "" if cue == "all" else f" under cue {cue}"
