"""What would settle a question that a verdict leaves open, or could change the verdict."""

from __future__ import annotations

from planted.eval.evidence import Records
from planted.eval.verdict.labels import label, under
from planted.eval.verdict.nearest import Outcome
from planted.eval.verdict.structs import Comparison
from planted.eval.verdict.thresholds import Thresholds

_SAME = 1e-9  # limits that differ by less are one

# What stands in the way where the first words of a reason are these, and what would help.
_BY_REASON = {
    "no-disagreement": "No measurement on this scenario would settle it; choose parameters or "
    "objectives that disagree on more tasks.",
    "collinear": "No measurement on this scenario would settle it; choose parameters or objectives "
    "that correlate less.",
    "incomparable": "No measurement on this scenario would settle it; declare a base objective "
    "whose return is a mean over tasks.",
    "no-room": "No measurement on this scenario would settle it; choose parameters with more "
    "tasks, so that networks without the plant do not hold the argmax candidate of every task.",
    "invalid": "Longer training or a smaller learning rate may settle it: the network must first "
    "choose candidates.",
}


def settle(found: Outcome, deciding: int | None, records: Records, limits: Thresholds) -> str:
    """What would settle it, in one sentence."""
    if found.about is not None:
        return _about(found, records, limits)
    for stem, said in _BY_REASON.items():
        if found.reason.startswith(stem):
            return said
    if deciding is None:
        return (
            "Longer training may settle it: several comparisons would have to change before a "
            "verdict is given."
        )
    return _by_comparison(found, found.comparisons[deciding], records, limits)


def _about(found: Outcome, records: Records, limits: Thresholds) -> str:
    """For evidence that is missing, was not measured, or has no null."""
    assert found.about is not None
    measure, cue = found.about
    record, named = records.get(found.about), f"{label(measure)}{under(cue)}"
    if record is None:
        return f"A record of the {named} would settle it: evaluate the checkpoint again."
    if record.status != "ok" or record.estimate is None:
        if "validat" in record.reason:
            return (
                "Validating the evaluator on this plant would allow a verdict: it must give the "
                "right figures on the validation models (plant, base, mux, gate)."
            )
        return f"A measurement of the {named} would settle it."
    if found.reason.startswith("missing: the null"):
        return (
            f"At least {limits.least_nulls} networks that the {named} can be compared with would "
            "settle it."
        )
    return f"An interval for the {named} would settle it."


def _by_comparison(found: Outcome, one: Comparison, records: Records, limits: Thresholds) -> str:
    """For a comparison that went one way and might have gone the other."""
    if _set_by_few(one, records, limits):
        return (
            "More negative controls may settle it: the limit leaves room for one more of the few "
            "that there are."
        )
    if found.name != "inconclusive":
        return (
            "Another seed would show whether it holds: this verdict is about one checkpoint, and "
            f"its margin is {abs(one.margin):.2g}."
        )
    record = records.get((one.measure, one.cue))
    estimate = None if record is None else record.estimate
    if estimate is not None and one.holds != _reaches(estimate, one):
        return (
            f"More tasks may settle it: the estimate, {estimate:.3g}, reaches the limit, and the "
            "interval is too wide to show it."
        )
    return (
        "Longer training or another seed may settle it; more tasks would not, since the estimate "
        "lies on the same side of the limit as its bound."
    )


def _set_by_few(one: Comparison, records: Records, limits: Thresholds) -> bool:
    """Whether the comparison would go the other way if the null had many networks, as far apart.

    The limit then lies on the way from the largest that was seen, and no more from what one more
    of them may reach.
    """
    record = records.get((one.measure, one.cue))
    if record is None or record.null is None:
        return False
    few, many = record.null.reach, record.null.most
    for share in (limits.above_null, limits.winner_above_null, limits.trace_above_null):
        if abs(one.limit - few - share * (1 - few)) < _SAME:
            limit = many + share * (1 - many)
            return one.holds != (
                one.bound >= limit if one.side == "at least" else one.bound <= limit
            )
    return False


def _reaches(estimate: float, one: Comparison) -> bool:
    return estimate >= one.limit if one.side == "at least" else estimate <= one.limit
