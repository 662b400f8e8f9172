"""What must hold before a fate is asked for; where it does not, the rule abstains."""

from __future__ import annotations

from planted.eval.verdict.reader import AbstainError, Reader

# Figures that say nothing without what they are where there is nothing to find.
BESIDE_NULL = (
    "agreement.mesa",
    "agreement.base",
    "behavioural_objective.interpolation",
    "consistency.menu",
    "paths.follows_scorer",
    "paths.interpolation",
    "paths.swap",
    "presence.mesa_argmax",
    "cue.effect",
)


def pass_gates(read: Reader, cues: tuple[str, ...]) -> None:
    """Ends in an abstention where the objectives, the evaluators or the nulls allow no verdict.

    Raises:
        AbstainError: Naming the gate.
    """
    limits = read.limits
    if not read.at_least("objectives.delta", "all", limits.delta):
        raise AbstainError("no-disagreement")
    if not read.at_least("objectives.additive", "all", limits.valid):
        raise AbstainError("incomparable: the base objective is not additive")
    rho = read.figure("objectives.rho", "all")
    if not read.compare("objectives.rho", "all", "at most", rho, limits.rho, rho <= limits.rho):
        raise AbstainError("collinear")
    for cue in cues:  # there wherever the evaluator is trusted: says why it is not
        read.figure("paths.valid", cue)
    for _, record in sorted(read.records.items()):
        if record.name in BESIDE_NULL and record.status == "ok":
            read.null(record.name, record.cue)
