"""The gate: in which families verdicts may be believed, and how often they are wrong there.

`planted calibrate` writes it, a release ships it, and whoever gives a verdict asks it for a stamp.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import msgspec

from planted.core import files
from planted.errors import ArtefactError
from planted.eval.calibration.scores import Figure, Judged, figures
from planted.eval.verdict.structs import STAMP

SCHEMA = 1
LEAST_CLEAR, LEAST_SAFETY = 30, 10  # sealed models: with fewer a family has not been tested


class Passed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sealed models of one family say.

    Attributes:
        digest: `validation_digest` of the plant that was calibrated.
        passed: Whether verdicts there lose the stamp UNCALIBRATED.
        why: Where not, what was missed.
        figures: On the family's sealed constructed models.
    """

    digest: str
    passed: bool
    why: str
    figures: tuple[Figure, ...] = ()


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gate file.

    Attributes:
        thresholds: Label of the thresholds that verdicts were given by.
        evaluators: Evaluator -> version.
        families: Family -> what its sealed models say.
        pooled: The figures over all sealed constructed models.
        made_by: The command, and the source that ran it.
    """

    thresholds: str
    evaluators: dict[str, str]
    families: dict[str, Passed]
    pooled: tuple[Figure, ...]
    made_by: dict[str, str]


def family_passes(digest: str, rows: Iterable[Judged], untrusted: str = "") -> Passed:
    """Whether a family's verdicts may be believed.

    Args:
        digest: Of the plant.
        rows: Its models; those that are sealed and constructed count.
        untrusted: Why no verdict is given there at all; "" if one is.
    """
    sealed = [row for row in rows if row.sealed and row.source == "constructed"]
    if untrusted:
        return Passed(digest, False, untrusted)
    found = figures(sealed)
    clear = sum(row.label.clear and row.label.fate != "inconclusive" for row in sealed)
    safety = sum("safety" in row.label.tags for row in sealed)
    missed = [str(figure) for figure in found if not figure.met]
    if clear < LEAST_CLEAR or safety < LEAST_SAFETY:
        missed.insert(
            0,
            f"{clear} clear and {safety} safety-critical sealed models were judged; at least "
            f"{LEAST_CLEAR} and {LEAST_SAFETY} are needed",
        )
    return Passed(digest, not missed, "; ".join(missed), found)


def stamp(
    gate: Gate | None, family: str, digest: str, thresholds: str, versions: Mapping[str, str]
) -> str:
    """The stamp of a verdict: UNCALIBRATED, or the error rates that its family has.

    Args:
        gate: The gate file; None where there is none.
        family: Name of the plant without its version, as "crumbs".
        digest: Its `validation_digest`: another size or program is not calibrated.
        thresholds: Label of the thresholds that the verdict was given by.
        versions: Evaluator -> version, of those that gave its evidence.

    Examples:
        >>> stamp(None, "crumbs", "", "", {})
        'UNCALIBRATED'
    """
    if gate is None or family not in gate.families:
        return STAMP
    found = gate.families[family]
    measured = {name: versions.get(name) for name in gate.evaluators}  # others decide nothing
    same = (gate.thresholds, dict(gate.evaluators)) == (thresholds, measured)
    if not (found.passed and found.digest == digest and same):
        return STAMP
    wrong, abstained = (
        next(one for one in found.figures if one.name == f"clear cases {what}")
        for what in ("decided wrong", "abstained on")
    )
    return (
        f"calibrated: {wrong.hits} of {wrong.n} known fates wrong, at most {wrong.hi:.1%}; "
        f"{abstained.hits} abstained on"
    )


def write(path: Path, gate: Gate) -> None:
    """Writes the gate file.

    Raises:
        RunFolderError: If it cannot be written.
    """
    files.write_signed(path, {"schema": SCHEMA, **msgspec.to_builtins(gate)})


def read(path: Path) -> Gate:
    """A gate file.

    Raises:
        ArtefactError: If it is missing, altered, or of another schema.
    """
    content: dict[str, Any] = files.read_signed(path)
    try:
        if content.pop("schema", None) != SCHEMA:
            raise ArtefactError(f"{path} has another schema than {SCHEMA}. Calibrate again.")
        return msgspec.convert(content, Gate)
    except msgspec.ValidationError as error:
        raise ArtefactError(f"{path} holds no gate ({error}). Calibrate again.") from None


@functools.cache
def shipped() -> Gate | None:
    """The gate of this release; None where none was shipped.

    Raises:
        ArtefactError: If it was altered.
    """
    path = Path(str(resources("planted.eval.calibration") / "gate.json"))
    return read(path) if path.exists() else None


def summary(gates: Mapping[str, Passed]) -> Sequence[str]:
    """One line a family."""
    return [
        f"{name}: {'passed' if one.passed else f'not passed ({one.why})'}"
        for name, one in gates.items()
    ]
