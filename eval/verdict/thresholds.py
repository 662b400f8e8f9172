"""The numbers that the verdict rule compares with: versioned data in `thresholds.json`.

The file names its version, what the values were fitted on, when they were frozen, and the SHA-256
of the values, so that a verdict can say by which thresholds it was decided.
"""

from __future__ import annotations

import functools
from importlib.resources import files as resources
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec

from planted.core import files
from planted.errors import ArtefactError, VerdictError

SCHEMA = 1
OWN = "custom"  # the version of thresholds that are not those of a file


def _shipped(name: str) -> Any:
    """A field whose default is the shipped value, read when it is asked for."""
    return msgspec.field(default_factory=lambda: getattr(default(), name))


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rule's numbers. `Thresholds()` is those that are shipped, `Thresholds(mesa=0.2)` another.

    All are shares between 0 and 1 (R² for the argmax candidate) unless another unit is given.

    Attributes:
        delta: Least share of tasks on which the objectives disagree.
        valid: Least share of outputs that choose a candidate; also of batches on which the base
            objective adds up, and of tasks on which the cue leaves it as it is.
        collapsed: Largest share of valid outputs at which a network follows no objective.
        rho: Largest correlation ρ of the two objectives.
        accuracy: Least share of held-out choices that the fitted tables predict, for them to be
            used.
        other: Largest share of the fitted choice that follows neither objective, likewise.
        predicted: Largest gap between predicted and observed agreement, likewise.
        class_fit: Least share of held-out choices that an objective between the two predicts.
        consistent: How far from chance to 1 menu consistency must lie, for choices that follow
            some objective.
        agreement: Least share of choices in Δ, or on trained tasks of it, that are one objective's.
        above_null: How far from the largest negative control to 1 the share of choices that follow
            the planted scorer must lie, for it to make them.
        f_moved: Largest |f| that is no drift; also how far f may lie beyond 1 for the base
            objective.
        base: Least f that is read as the base objective.
        lambda_base: Least λ that does not contradict it.
        mesa: Largest λ that is read as the mesa-objective.
        lambda_above_null: By how much λ may exceed that of sham fine-tuning without contradicting
            an f that has not moved.
        swap: Share of choices that follow the planted comparator, at which it is in use.
        winner_above_null: How far from the largest negative control to 1 the R² of the planted
            argmax candidate must lie, for it to be kept.
        no_winner: Largest R² at which it is gone whatever the negative controls reach.
        trace_above_null: How far from the largest negative control to 1 it may lie and be gone.
        winner_room: How far the largest negative control must lie from 1, for the argmax candidate
            to tell a network with the plant from one without.
        mesa_share: Least part of the fitted choice that is graded: of u_m falling in the planted
            scorer ("used against"), of the whole choice falling ("over-corrected").
        cue_drift: By how much f may differ between cues for one and the same drift.
        forced: Share of base choices on novel tasks under the training cue, at which the cue works
            beyond the tasks of training.
        least_nulls: How many negative controls a null needs, a count.
        version: Name of the file's version; "custom" where the values come from no file.
    """

    delta: float = _shipped("delta")
    valid: float = _shipped("valid")
    collapsed: float = _shipped("collapsed")
    rho: float = _shipped("rho")
    accuracy: float = _shipped("accuracy")
    other: float = _shipped("other")
    predicted: float = _shipped("predicted")
    class_fit: float = _shipped("class_fit")
    consistent: float = _shipped("consistent")
    agreement: float = _shipped("agreement")
    above_null: float = _shipped("above_null")
    f_moved: float = _shipped("f_moved")
    base: float = _shipped("base")
    lambda_base: float = _shipped("lambda_base")
    mesa: float = _shipped("mesa")
    lambda_above_null: float = _shipped("lambda_above_null")
    swap: float = _shipped("swap")
    winner_above_null: float = _shipped("winner_above_null")
    no_winner: float = _shipped("no_winner")
    trace_above_null: float = _shipped("trace_above_null")
    winner_room: float = _shipped("winner_room")
    mesa_share: float = _shipped("mesa_share")
    cue_drift: float = _shipped("cue_drift")
    forced: float = _shipped("forced")
    least_nulls: int = _shipped("least_nulls")
    version: str = OWN

    def __post_init__(self) -> None:
        """Refuses what cannot be compared with.

        Raises:
            VerdictError: If a value is no finite number, a share lies outside 0 to 1, or
                `least_nulls` is no whole number from 1.
        """
        for name, value in self.values.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
                raise VerdictError(f"The threshold {name!r} is a finite number, got {value!r}.")
            count = name == "least_nulls"
            if value < 1 or value != int(value) if count else not 0 <= value <= 1:
                wanted = "a whole number from 1" if count else "a share, from 0 to 1"
                raise VerdictError(f"The threshold {name!r} is {wanted}, got {value!r}.")

    @property
    def values(self) -> dict[str, float]:
        """The numbers by name, without the version."""
        return {k: v for k, v in msgspec.structs.asdict(self).items() if k != "version"}

    @property
    def digest(self) -> str:
        """SHA-256 of the values."""
        return files.digest_of(self.values)

    @property
    def label(self) -> str:
        """Version and the first 12 digits of the digest, as "red-doors-1 (0123456789ab)".

        The shipped values have the shipped version however they were made, and no others do.
        """
        shipped = default()
        same = self.digest == shipped.digest
        named = self.version if self.version != shipped.version else OWN
        return f"{shipped.version if same else named} ({self.digest[:12]})"


@functools.cache
def default() -> Thresholds:
    """The thresholds that are shipped.

    Raises:
        ArtefactError: If the installed file was altered.
    """
    return load(Path(str(resources("planted.eval.verdict") / "thresholds.json")))


def load(path: str | Path) -> Thresholds:
    """Thresholds from a file as `save` writes it.

    Raises:
        ArtefactError: If it is missing, of another schema, lacks a value, or was altered.
    """
    path = Path(path)
    content = files.read_json(path)
    try:
        if content["schema"] != SCHEMA:
            raise ArtefactError(
                f"{path} has schema {content['schema']!r}; this version reads {SCHEMA}."
            )
        values, stated, version = content["values"], content["sha256"], content["version"]
        if missing := set(Thresholds.__struct_fields__) - {"version"} - set(values):
            raise ArtefactError(f"{path} lacks the threshold {min(missing)!r}.")
        found = msgspec.convert({**values, "version": version}, Thresholds)
    except (KeyError, TypeError, VerdictError, msgspec.ValidationError) as error:
        raise ArtefactError(f"{path} does not hold thresholds ({error!r}).") from None
    if stated != found.digest:
        raise ArtefactError(
            f"{path} was altered: its values have the SHA-256 {found.digest[:12]}, and it states "
            f"{str(stated)[:12]}. Install planted again; for thresholds of your own, write a file "
            "with planted.eval.verdict.thresholds.save."
        )
    return found


def save(path: str | Path, limits: Thresholds, *, fitted_on: Any, frozen: str) -> None:
    """Writes thresholds as a file that `load` reads.

    Args:
        path: Where.
        limits: The values; their `version` is the file's name for them.
        fitted_on: What they were fitted on, as plain data.
        frozen: Date on which they were fixed, as "2026-11-25".

    Raises:
        VerdictError: If the version is the default "custom" or empty.
        RunFolderError: If the file cannot be written.
    """
    if limits.version in ("", OWN):
        raise VerdictError(
            f"Thresholds that are written to a file need a version of their own, not "
            f"{limits.version!r}: Thresholds(..., version='my-family-1')."
        )
    files.write_json(
        Path(path),
        {
            "schema": SCHEMA,
            "version": limits.version,
            "values": limits.values,
            "fitted_on": fitted_on,
            "frozen": frozen,
            "sha256": limits.digest,
        },
    )


def resolved(given: Thresholds | str | Path | None) -> Thresholds:
    """The thresholds that a caller means: a struct, the path of a file, or None for the shipped.

    Raises:
        ArtefactError: If a path holds no thresholds.
        VerdictError: For anything else.
    """
    if given is None:
        return default()
    if isinstance(given, str | Path):
        return load(given)
    if isinstance(given, Thresholds):
        return given
    raise VerdictError(
        f"Thresholds are planted.eval.verdict.thresholds.Thresholds or the path of a file, got "
        f"{type(given).__name__}."
    )
