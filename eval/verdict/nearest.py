"""Which comparison decided a verdict, and which other verdict is nearest: by giving it again.

Nothing is estimated: the rule is run on the same records with one comparison turned round, or with
one measure's interval shifted past a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from planted.eval.evidence import Evidence, Records
from planted.eval.verdict.reader import NO_FLIPS, Key, key_of
from planted.eval.verdict.structs import Comparison, Name, Neighbour, Side

_LAMBDA = "paths.interpolation"
_PAST = 1e-6  # records have six significant digits: this far past a limit is past it


class Outcome(NamedTuple):
    """What the rule came to.

    Attributes:
        name: The verdict.
        reason: Its reason.
        comparisons: What was compared, in order.
        notes: What was concluded on the way.
        about: (measure, cue) of evidence that is missing or was not measured; None if none is.
    """

    name: Name
    reason: str
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    about: tuple[str, str] | None


Again = Callable[[Records, Mapping[Key, bool]], Outcome]  # gives the verdict another time


def neighbours(
    found: Outcome, records: Records, cues: tuple[str, ...], again: Again
) -> tuple[int | None, Neighbour | None, Neighbour | None]:
    """The deciding comparison, the other verdict that it alone leads to, the nearest other fate.

    Args:
        found: The verdict as it was given.
        records: The evidence it was given on.
        cues: All cues.
        again: Gives it again on other records, or with comparisons turned round.

    Returns:
        Which comparison decided; the verdict if it alone had gone the other way; the fate that is
        reached by the smallest shift of one measure. None for what there is not.
    """
    turned = {
        at: again(records, {key_of(one): not one.holds})
        for at, one in enumerate(found.comparisons)
        if found.name == "inconclusive" or one.stage != "gate"
    }
    changing = [at for at, other in turned.items() if other.name != found.name]
    if changing:
        deciding = min(changing, key=lambda at: (*_narrowness(found.comparisons[at]), at))
        nearest = _neighbour(found.comparisons[deciding], turned[deciding])
        named = nearest.name != "inconclusive"
        return deciding, nearest, None if named else _rival(found, records, cues, again)
    if found.about is not None:
        return None, None, None
    rival = _rival(found, records, cues, again)
    stood = _stood_in_the_way(found, turned, rival)
    return stood, None, rival


def _narrowness(one: Comparison) -> tuple[bool, float]:
    """How near a comparison was to going the other way, the nearest first.

    Where the choices are all an objective's, f lies at the very end of the f that make them, and
    its margin is 0 by construction: that is no near miss.
    """
    return one.margin == 0, abs(one.margin)


def _stood_in_the_way(
    found: Outcome, turned: Mapping[int, Outcome], rival: Neighbour | None
) -> int | None:
    """The failed comparison that an abstention hangs on, where none alone leads out of it.

    It is one of the measure that leads to another fate under all cues; else the last gate or
    condition of a fate without which the rule would have gone on.
    """
    failed = [at for at, one in enumerate(found.comparisons) if not one.holds]
    for at in failed if rival is not None else ():
        one = found.comparisons[at]
        if rival and (one.measure, one.side, one.limit) == (rival.measure, rival.side, rival.limit):
            return at
    return max(
        (
            at
            for at in failed
            if found.comparisons[at].stage in ("gate", "fate")
            and at in turned
            and turned[at].reason != found.reason
        ),
        default=None,
    )


def _neighbour(one: Comparison, other: Outcome) -> Neighbour:
    side = one.side if not one.holds else _opposite(one.side)
    return Neighbour(other.name, other.reason, one.measure, (one.cue,), side, one.limit)


def _rival(
    found: Outcome, records: Records, cues: tuple[str, ...], again: Again
) -> Neighbour | None:
    """The other fate that is reached by the smallest shift of one measure past a limit.

    The limits are those of the verdict's comparisons, and those that its measure meets when it is
    shifted past one of them and no other fate is given yet.
    """
    waiting = {shift.key: shift for shift in _shifts(found, found, records, cues)}
    tried = set()
    while waiting:
        shift = waiting.pop(min(waiting))
        tried.add(shift.key[1:])
        other = again({**records, **shift.records}, NO_FLIPS)
        if other.name not in (found.name, "inconclusive"):
            return Neighbour(
                other.name, other.reason, shift.measure, shift.cues, shift.side, shift.limit
            )
        for beyond in _shifts(other, found, records, cues):
            if beyond.measure == shift.measure and beyond.key[1:] not in tried:
                waiting[beyond.key] = beyond
    return None


class _Shift(NamedTuple):
    """Intervals of one measure, past one limit.

    Attributes:
        far: How far they are shifted.
        measure: Of which measure.
        side: To which side of the limit.
        limit: The limit.
        cues: Under which cues.
        records: The shifted records, by (measure, cue).
    """

    far: float
    measure: str
    side: Side
    limit: float
    cues: tuple[str, ...]
    records: dict[tuple[str, str], Evidence]

    @property
    def key(self) -> tuple[float, str, Side, float, int, tuple[str, ...]]:
        """Orders shifts, the smallest and under the fewest cues first."""
        return self.far, self.measure, self.side, self.limit, len(self.cues), self.cues


def _shifts(
    outcome: Outcome, found: Outcome, records: Records, cues: tuple[str, ...]
) -> Iterator[_Shift]:
    """The shifts past the limits of an outcome's comparisons, from where the records are."""
    compared = {one.measure for one in found.comparisons}
    asked = {
        (one.measure, one.side if not one.holds else _opposite(one.side), one.limit, where)
        for one in outcome.comparisons
        for where in ((one.cue,), cues if one.cue in cues else (one.cue,))
    }
    for measure, side, limit, where in asked:
        moved, far = {}, 0.0
        for name in _together(measure, compared):
            for cue in where:
                record = records.get((name, cue))
                by = None if record is None else _distance(record, side, limit)
                if record is not None and by is not None:
                    moved[(name, cue)] = _shifted(record, by)
                    far = max(far, abs(by))
        if far:  # a difference of records is no record: nothing can be shifted
            yield _Shift(far, measure, side, limit, where, moved)


def _together(measure: str, compared: set[str]) -> set[str]:
    """Measures of one quantity: λ of the network and of what controls its choice."""
    if not measure.startswith(_LAMBDA):
        return {measure}
    return {_LAMBDA, *(name for name in compared if name.startswith(_LAMBDA))}


def _distance(record: Evidence, side: Side, limit: float) -> float | None:
    """How far a record's interval must be shifted to lie on this side of a limit; 0 if it does."""
    bound = record.at_least if side == "at least" else record.at_most
    if bound is None:
        bound = record.estimate
    if bound is None:
        return None
    if side == "at least":
        return max(0.0, limit - bound + _PAST)
    return min(0.0, limit - bound - _PAST)


def _shifted(record: Evidence, by: float) -> Evidence:
    def moved(value: float | None) -> float | None:
        return None if value is None else value + by

    return msgspec.structs.replace(
        record,
        estimate=moved(record.estimate),
        lo=moved(record.lo),
        hi=moved(record.hi),
        at_least=moved(record.at_least),
        at_most=moved(record.at_most),
    )


def _opposite(side: Side) -> Side:
    return "at most" if side == "at least" else "at least"
