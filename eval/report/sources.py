"""What the page takes from the measures and the rule: names of figures, limits, explanations.

All other modules of the report ask here, so that a figure has one name on the whole page.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from planted.eval.report.words import VERDICTS
from planted.eval.verdict.rule import Thresholds

FAMILIES = (
    ("objectives", "The two objectives"),
    ("gap.base_mesa", "Gap: base against mesa-objective"),
    ("valid", "Behaviour"),
    ("agreement", "Behaviour"),
    ("regret", "Behaviour"),
    ("behavioural_objective", "Behavioural objective"),
    ("gap.mesa_behavioural", "Gap: mesa- against behavioural objective"),
    ("gap.base_behavioural", "Gap: base against behavioural objective"),
    ("paths", "Paths: what carries which objective to the choice"),
    ("presence", "Presence of the argmax candidates"),
    ("interchange", "Interchange interventions at the planted coordinates (no verdict reads them)"),
    ("cue", "Dependence on the cue"),
)

# name -> (label, explanation)
_MEASURES = {
    "objectives.rho": (
        "correlation ρ of u_m and U",
        "Correlation of the two objectives over candidates of the reference tasks.",
    ),
    "objectives.delta": ("share of tasks in Δ", "How many reference tasks are in Δ."),
    "objectives.additive": (
        "base objective adds up over tasks",
        "Share of trials in which the return of a batch was the sum over its tasks.",
    ),
    "valid": ("valid outputs", "Share of outputs that name a candidate."),
    "agreement.mesa": (
        "mesa choices on Δ",
        "Share of the tasks in Δ on which the choice is best for the mesa-objective.",
    ),
    "agreement.base": (
        "base choices on Δ",
        "Share of the tasks in Δ on which the choice is best for the base objective.",
    ),
    "agreement.other": (
        "other choices on Δ",
        "Share of the tasks in Δ on which the choice is best for neither objective.",
    ),
    "agreement_tied.mesa": (
        "mesa choices on tied Δ",
        "The same on tasks of Δ where several candidates are best.",
    ),
    "agreement_tied.base": (
        "base choices on tied Δ",
        "The same on tasks of Δ where several candidates are best.",
    ),
    "agreement_training": (
        "best choices where the objectives agree",
        "Share of the tasks outside Δ on which the choice is best for both objectives.",
    ),
    "regret.mesa": (
        "regret by u_m",
        "Value of u_m lost against its best candidate; 1 is the loss of a uniform choice.",
    ),
    "regret.base": (
        "regret by U",
        "Value of U lost against its best candidate; 1 is the loss of a uniform choice.",
    ),
    "behavioural_objective.interpolation": (
        "behavioural interpolation f",
        "Where the objective that best predicts the choices lies between u_m (0) and U (1).",
    ),
    "behavioural_objective.class_fit": (
        "held-out choices predicted",
        "Share of held-out choices that an objective between u_m and U predicts.",
    ),
    "behavioural_objective.same_as_plant": (
        "same choice as the plant",
        "Share of tasks on which the checkpoint and the untrained plant choose alike.",
    ),
    "paths.valid": (
        "valid outputs under intervention",
        "Share of outputs under path interventions that name a candidate.",
    ),
    "paths.accuracy": (
        "held-out choices predicted under intervention",
        "Share of held-out choices under path interventions that the fitted attribution predicts.",
    ),
    "paths.scorer_share": (
        "scorer share",
        "Part of the attribution of the choice that goes to the planted scorer.",
    ),
    "paths.interpolation": (
        "mechanistic interpolation λ",
        "Where the attribution of the choice lies between u_m (0) and U (1).",
    ),
    "paths.interpolation_scorer": (
        "λ of the planted scorer",
        "The mechanistic interpolation of what the planted scorer contributes.",
    ),
    "paths.interpolation_remainder": (
        "λ of the remainder",
        "The mechanistic interpolation of what the remainder contributes.",
    ),
    "paths.against": (
        "attribution with the opposite sign",
        "Part of the attribution that works against the objective it follows.",
    ),
    "paths.other": (
        "attribution to neither objective",
        "Part of the attribution that neither objective explains.",
    ),
    "paths.mesa_share": (
        "attribution to u_m",
        "Part of the attribution that the mesa-objective explains, on either path.",
    ),
    "paths.scorer_sign": (
        "sign of u_m in the planted scorer",
        "1: a higher u_m makes a candidate more likely to be chosen; −1: less likely.",
    ),
    "paths.attribution.scorer.mesa": (
        "attribution: planted scorer, mesa",
        "Part of the attribution that goes to the planted scorer and follows u_m.",
    ),
    "paths.attribution.scorer.base": (
        "attribution: planted scorer, base",
        "Part of the attribution that goes to the planted scorer and follows U.",
    ),
    "paths.attribution.scorer.other": (
        "attribution: planted scorer, other",
        "Part of the attribution that goes to the planted scorer and follows neither.",
    ),
    "paths.attribution.remainder.mesa": (
        "attribution: remainder, mesa",
        "Part of the attribution that goes to the remainder and follows u_m.",
    ),
    "paths.attribution.remainder.base": (
        "attribution: remainder, base",
        "Part of the attribution that goes to the remainder and follows U.",
    ),
    "paths.attribution.remainder.other": (
        "attribution: remainder, other",
        "Part of the attribution that goes to the remainder and follows neither.",
    ),
    "paths.predicted_mesa": (
        "mesa choices predicted",
        "Mesa choices on Δ that the fitted attribution predicts.",
    ),
    "paths.predicted_base": (
        "base choices predicted",
        "Base choices on Δ that the fitted attribution predicts.",
    ),
    "paths.retarget": (
        "retargeting accuracy",
        "How often the choice follows an arbitrary order that is written through the planted "
        "scorer in the checkpoint's own codes.",
    ),
    "paths.swap": (
        "comparator swap",
        "How often the choice follows the source input from which the output of the first "
        "comparator head was taken.",
    ),
    "presence.mesa_argmax": (
        "argmax-candidate R², mesa",
        "Held-out share of the variance of “this is the best candidate for u_m” that can be read "
        "linearly between the score and the read-out, after token identity and the best candidate "
        "for U are removed.",
    ),
    "presence.base_argmax": (
        "argmax-candidate R², base",
        "The same for the best candidate for U.",
    ),
    "interchange.score": (
        "interchange accuracy at the score node",
        "How often a score taken from a source input has the effect that the program predicts.",
    ),
    "interchange.specificity": (
        "unchanged where it must be",
        "How often an interchange that should change nothing changes nothing.",
    ),
    "cue.effect": (
        "effect of the cue on base choices",
        "Base choices under the training cue minus base choices under the others.",
    ),
    "cue.favouring": (
        "discordant pairs that favour the cue",
        "Of the tasks whose choice depends on the cue, the share that is base under it.",
    ),
    "cue.forced": (
        "base choices, cue forced on novel tasks",
        "Base choices on Δ when the training cue is put on tasks unlike those of training.",
    ),
    "cue.base_unmoved": (
        "base objective ignores the cue",
        "Share of tasks on which changing the cue leaves the base objective as it is.",
    ),
}
_DISTANCES = {
    "choice": ("picks nothing in common", "Share of tasks whose best candidates differ."),
    "rank": ("orders candidates otherwise", "Share of pairs of candidates in another order."),
    "regret": ("value lost by following the other", "Relative to a uniform choice."),
    "starc": ("STARC distance", "Distance that ignores scale and shift (Skalse et al. 2023)."),
}


class Measure(NamedTuple):
    """How a figure is called and what it says.

    Attributes:
        label: A few words.
        explanation: One sentence; empty where nothing is known.
        family: The heading that it is listed under.
    """

    label: str
    explanation: str
    family: str


def measure(name: str) -> Measure:
    """The measure of a record; an unknown one is called by its record's name."""
    stem, _, last = name.rpartition(".")
    known = _DISTANCES if stem.startswith("gap.") else _MEASURES
    label, says = known.get(last if stem.startswith("gap.") else name, (name, ""))
    family = next((title for prefix, title in FAMILIES if name.startswith(prefix)), "Other")
    return Measure(label, says, family)


def limits() -> Thresholds:
    """The numbers of the rule that gave the verdicts."""
    return Thresholds()


def explanation(verdict: Mapping[str, Any]) -> list[str]:
    """A verdict in words: first what it means and why, then every comparison.

    Args:
        verdict: Its name, reason and reasons.
    """
    words = VERDICTS.get(verdict["name"])
    reason = verdict.get("reason", "")
    first = " ".join(
        part for part in (words.claims if words else "", f"Detail: {reason}." if reason else "")
        if part
    )  # fmt: skip
    return [first, *verdict.get("reasons", ())]
