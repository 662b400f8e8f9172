"""What must hold before a fate is asked for; where it does not, the rule abstains."""

from __future__ import annotations

from planted.eval.verdict.reader import AbstainError, Reader

# Figures that say nothing without what they are where there is nothing to find.
BESIDE_NULL = (
    "agreement.mesa",
    "agreement.base",
    "paths.scorer_share",
    "paths.interpolation",
    "paths.retarget",
    "paths.swap",
    "presence.mesa_argmax",
    "cue.effect",
)


def pass_gates(read: Reader, cues: tuple[str, ...]) -> None:
    """Ends in an abstention where the objectives, the choices or the nulls allow no verdict.

    Raises:
        AbstainError: Naming the gate.
    """
    _objectives(read)
    for cue in cues:
        _choices(read, cue)
    for _, record in sorted(read.records.items()):
        if record.name in BESIDE_NULL and record.status == "ok":
            read.null(record.name, record.cue)


def _objectives(read: Reader) -> None:
    limits = read.limits
    if not read.at_least("objectives.delta", "all", limits.delta):
        raise AbstainError("no-disagreement")
    if not read.at_least("objectives.additive", "all", limits.valid):
        raise AbstainError("incomparable: the base objective is not additive")
    rho = read.figure("objectives.rho", "all")
    if not read.compare("objectives.rho", "all", "at most", rho, limits.rho, rho <= limits.rho):
        raise AbstainError("collinear")


def _choices(read: Reader, cue: str) -> None:
    """Whether the choices are choices, and those of an objective the fitted model can express."""
    limits = read.limits
    if not read.at_least("valid", cue, limits.valid):
        raise AbstainError("invalid: too many outputs choose no candidate")
    accurate = read.at_least("paths.accuracy", cue, limits.accuracy)
    clean = read.at_most("paths.other", cue, limits.other)
    if not (accurate and clean):
        raise AbstainError(
            f"class: no pair of objectives explains the choices in cue {cue}; missing: menu "
            "consistency, which would tell 'collapsed'"
        )
    for name in ("mesa", "base"):
        gap = abs(
            read.figure(f"paths.predicted_{name}", cue) - read.figure(f"agreement.{name}", cue)
        )
        measure = f"paths.prediction_error.{name}"
        if not read.compare(
            measure, cue, "at most", gap, limits.predicted, gap <= limits.predicted
        ):
            raise AbstainError(f"class: the tables miss the choices by {gap:.2f} in {cue}")
