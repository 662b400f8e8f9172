"""The verdict: a pure function of evidence records.

"At least" and "at most" compare one-sided 95 % bounds; each row is a conjunction of comparisons,
which makes it an intersection-union test of level .05 (Berger 1982). Neighbouring verdicts are
parted by one comparison each: where its bounds settle neither side, the verdict is
inconclusive(power). Figures are held against negative controls of the same behaviour. A row whose
evidence is missing is not guessed: the verdict abstains and names it; so it does where one of the
figures in `BESIDE_NULL` stands without its null. The null of `paths.swap` is shown and not
compared: networks without the plant reach .99 there, and whether the planted scorer is in control
decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from planted.errors import VerdictError
from planted.eval.evidence import Records
from planted.eval.verdict import fates
from planted.eval.verdict.gates import BESIDE_NULL as BESIDE_NULL
from planted.eval.verdict.gates import pass_gates
from planted.eval.verdict.nearest import Outcome, neighbours
from planted.eval.verdict.reader import NO_FLIPS, AbstainError, Key, Reader
from planted.eval.verdict.settle import settle
from planted.eval.verdict.states import in_words, shown, state
from planted.eval.verdict.structs import DIVERGED
from planted.eval.verdict.structs import PLANT_VERDICTS as PLANT_VERDICTS
from planted.eval.verdict.structs import STAMP as STAMP
from planted.eval.verdict.structs import Comparison as Comparison
from planted.eval.verdict.structs import Name as Name
from planted.eval.verdict.structs import Verdict as Verdict
from planted.eval.verdict.thresholds import Thresholds as Thresholds
from planted.eval.verdict.thresholds import resolved


def decide(
    records: Records, cues: Sequence[str], limits: Thresholds | str | Path | None = None
) -> Verdict:
    """The verdict on one checkpoint.

    Args:
        records: Its evidence by (name, cue); see `planted.eval.evidence.index`.
        cues: Names of the cues, as in the records; the first is the training cue.
        limits: Thresholds other than the shipped ones, or the path of a file that holds them.

    Raises:
        VerdictError: If `records` is no mapping, no cue is named, or `limits` is something else.
        ArtefactError: If a file of thresholds is missing or was altered.
    """
    if not isinstance(records, Mapping):
        raise VerdictError(
            f"Evidence is a mapping (name, cue) -> record, got {type(records).__name__}: pass a "
            "list of records through planted.eval.evidence.index."
        )
    if isinstance(cues, str) or not cues:
        raise VerdictError(
            "A verdict is given over cues, the training cue first; got "
            + (f"the text {cues!r}: pass a tuple of names." if cues else "none.")
        )
    numbers, names = resolved(limits), tuple(cues)

    def again(other: Records, flips: Mapping[Key, bool]) -> Outcome:
        return _outcome(Reader(other, numbers, flips), names)

    found = again(records, NO_FLIPS)
    deciding, nearest, rival = neighbours(found, records, names, again)
    return Verdict(
        found.name,
        found.reason,
        found.comparisons,
        found.notes,
        deciding,
        nearest,
        rival,
        settle(found, deciding, records, numbers),
        numbers.label,
    )


def fate(
    records: Records, cues: Sequence[str], limits: Thresholds | str | Path | None = None
) -> tuple[Name, str]:
    """The name and the reason of a verdict alone, without what is nearest to it: faster.

    Args and errors are those of `decide`.
    """
    found = _outcome(Reader(records, resolved(limits)), tuple(cues))
    return found.name, found.reason


def not_learned(how: str) -> Verdict:
    """The verdict on a network that never did what it was trained to do, before any evidence.

    Args:
        how: How its training ended, in words.
    """
    return Verdict(
        "not learned",
        how,
        settle="Train with a smaller learning_rate."
        if how.startswith(DIVERGED)
        else "Train longer, or with other settings.",
    )


def _outcome(read: Reader, cues: tuple[str, ...]) -> Outcome:
    about = None
    try:
        name, reason = _fate(read, cues)
    except AbstainError as why:
        name, reason, about = "inconclusive", str(why), why.about
    return Outcome(name, reason, tuple(read.made.values()), tuple(read.notes), about)


def _fate(read: Reader, cues: tuple[str, ...]) -> fates.Fate:
    pass_gates(read, cues)
    states = {cue: state(read, cue) for cue in cues}
    read.notes += [in_words(cue, found) for cue, found in states.items()]
    read.stage = "fate"
    followed = {one.follows for one in states.values()}
    if found := fates.collapsed(states):
        return found
    if found := fates.on_cue_only(read, cues, states) or fates.narrow(read, cues, states):
        return found
    if followed <= {"mesa", "between"}:
        return fates.mesa_kept(read, cues, states)
    if followed == {"base"}:
        return fates.base_everywhere(read, cues, states)
    if followed == {"other"}:
        return fates.other_everywhere(read, cues, states)
    raise AbstainError(f"cue: the choices differ between cues ({shown(states)})")
