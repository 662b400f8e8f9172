"""What the figures that the rule compares are called in a sentence."""

from __future__ import annotations

from planted.eval import measures

# Figures that the rule derives from several records; evaluators declare all others.
_DERIVED = {
    "paths.prediction_error.mesa": "error of the tables on the share of mesa choices",
    "paths.prediction_error.base": "error of the tables on the share of base choices",
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
    return _DERIVED.get(measure) or measures.label(measure)


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
