"""Reads evidence records for the rule: a figure, a bound, a null, or the reason to abstain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Literal

from planted.eval.evidence import Evidence, Null, Records
from planted.eval.verdict.structs import Comparison, Side, Stage
from planted.eval.verdict.thresholds import Thresholds

Key = tuple[str, str, Side, float]  # measure, cue, side, limit: what makes two comparisons one
NO_FLIPS: Mapping[Key, bool] = {}


class AbstainError(Exception):
    """Ends the rule with "inconclusive".

    Attributes:
        about: (measure, cue) of evidence that is missing or was not measured; None if none is.
    """

    def __init__(self, reason: str, about: tuple[str, str] | None = None) -> None:
        super().__init__(reason)
        self.about = about


def key_of(one: Comparison) -> Key:
    """What identifies a comparison within one verdict."""
    return one.measure, one.cue, one.side, one.limit


class Reader:
    """Looks up records, compares them with limits, and keeps every comparison once.

    Attributes:
        records: The evidence by (name, cue).
        limits: The thresholds.
        stage: What the comparisons that follow are for.
        made: The comparisons so far, in order.
        notes: Conclusions so far, in words.
    """

    def __init__(
        self, records: Records, limits: Thresholds, flips: Mapping[Key, bool] = NO_FLIPS
    ) -> None:
        self.records, self.limits = records, limits
        self.stage: Stage = "gate"
        self.made: dict[Key, Comparison] = {}
        self.notes: list[str] = []
        self._flips = flips

    def figure(self, name: str, cue: str) -> float:
        """The estimate.

        Raises:
            AbstainError: If there is no such record, or it is not "ok".
        """
        return _estimate(self.record(name, cue))

    def null(self, name: str, cue: str) -> Null:
        """What the measurement gives where there is nothing to find.

        Raises:
            AbstainError: If it is missing, of too few networks, or not finite.
        """
        self.figure(name, cue)
        null = self.record(name, cue).null
        if null is None:
            raise AbstainError(f"missing: the null of {name} in cue {cue}", (name, cue))
        # The null of cue.effect is a computed bound and no sample of networks.
        least = self.limits.least_nulls
        if name != "cue.effect" and null.n < least:
            raise AbstainError(
                f"missing: the null of {name} in cue {cue} is only {null.n} other control "
                f"network{'s' * (null.n != 1)}; {least} are needed (use --controls {least + 1} or "
                "more)",
                (name, cue),
            )
        if not (isfinite(null.lo) and isfinite(null.hi)):
            raise AbstainError(
                f"missing: the null of {name} in cue {cue} is {null.n} figures, "
                f"{null.lo:g} to {null.hi:g}",
                (name, cue),
            )
        return null

    def beyond(self, name: str, cue: str, share: float, *, side: Side = "at least") -> float:
        """A limit that far on the way from a figure's null to 1, the most there is.

        Args:
            name: The figure.
            cue: Its cue.
            share: How far.
            side: What is compared with it. "at least", more than without the plant, is asked beyond
                what one more network of the null may reach; "at most", no more than without it,
                within the largest that was seen. With few networks these lie apart, and what is
                between them is open.

        Raises:
            AbstainError: As `null`.
        """
        null = self.null(name, cue)
        start = null.reach if side == "at least" else null.most
        return start + share * (1 - start)

    def bound(self, name: str, cue: str, which: Literal["at_least", "at_most"]) -> float:
        """A one-sided 95 % bound.

        Raises:
            AbstainError: If there is none.
        """
        self.figure(name, cue)
        found: float | None = getattr(self.record(name, cue), which)
        if found is None:
            raise AbstainError(f"missing: the {which} of {name} in cue {cue}", (name, cue))
        return found

    def at_least(self, name: str, cue: str, limit: float) -> bool:
        """Whether the lower bound reaches the limit."""
        bound = self.bound(name, cue, "at_least")
        return self.compare(name, cue, "at least", bound, limit, bound >= limit)

    def at_most(self, name: str, cue: str, limit: float) -> bool:
        """Whether the upper bound stays within the limit."""
        bound = self.bound(name, cue, "at_most")
        return self.compare(name, cue, "at most", bound, limit, bound <= limit)

    def compare(
        self, name: str, cue: str, side: Side, value: float, limit: float, holds: bool
    ) -> bool:
        """Keeps a comparison; its outcome, or the other one where it is to be turned round."""
        record = self.records.get((name, cue))
        null = None if record is None else record.null
        made = Comparison(
            name,
            cue,
            side,
            value,
            limit,
            self._flips.get((name, cue, side, limit), holds),
            None if null is None else null.lo,
            None if null is None else null.hi,
            self.stage,
        )
        return self.made.setdefault(key_of(made), made).holds

    def record(self, name: str, cue: str) -> Evidence:
        """The record, whatever its status.

        Raises:
            AbstainError: If there is none.
        """
        record = self.records.get((name, cue))
        if record is None:
            raise AbstainError(f"missing: {name} in cue {cue}", (name, cue))
        return record


def _estimate(record: Evidence) -> float:
    if record.status != "ok" or record.estimate is None:
        raise AbstainError(
            f"{record.name} in cue {record.cue}: {record.reason or record.status}",
            (record.name, record.cue),
        )
    return record.estimate


def every(
    compare: Callable[[str, str, float], bool], name: str, cues: Sequence[str], limit: float
) -> bool:
    """Whether a comparison holds under each of the cues; the first that fails ends it."""
    return all(compare(name, cue, limit) for cue in cues)
