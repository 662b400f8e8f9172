"""Everything that is measured on one checkpoint, and the nulls it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

import msgspec

from planted.core.scenario import Scenario
from planted.core.validity import disagrees
from planted.errors import PlantedError, VerdictError, place_of
from planted.eval import evaluators, measures
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, Evaluator, References, no_references
from planted.eval.evidence import Evidence, Null, Records, check, index, not_measured
from planted.eval.examples import Examples

SHAM_KIND = "plant trained on its own choices"
CONTROL_KIND = "random start of the same shapes trained to the same behaviour"
ANY_CONTROL_KIND = "random starts of the same shapes trained to other behaviours too"
# (objective followed under the training cue, under every other) -> the negative control that
# was trained to do so.
CONTROL_OF_BEHAVIOUR = {
    ("mesa", "mesa"): "no-plant-mesa",
    ("base", "base"): "no-plant-base",
    ("base", "mesa"): "no-plant-cued",
}
LEARNED = 0.8  # agreement with what a negative control was trained to do; with less it is none
NEVER_VALIDATED = "not validated on this plant"


def evaluate(
    checkpoint: Checkpoint,
    trust: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
) -> list[Evidence]:
    """All evidence on one checkpoint, in a fixed order: by evaluator, and by cue.

    Takes less than two seconds of one core on red doors.

    Args:
        checkpoint: What is judged.
        trust: Evaluator -> why its figures do not count on this plant, "" where they do; what is
            known of the plant (`planted.eval.calibration.trust.trust_of`), if None. An evaluator
            that needs validation and is not named is not trusted.
        only: Names of evaluators; every one that judges a checkpoint, if None.

    Returns:
        The records. Those of an evaluator that is not trusted, or that says nothing where the
        objectives do not disagree, are "not measured" and say so.

    Raises:
        PlantedError: If the plant has no score node (a twin), or an evaluator gives a figure that
            it does not declare.
        UnknownNameError: If `only` names no evaluator.
        VerdictError: If an evaluator gives a record that cannot be one, or one of another package
            raises; it names the evaluator.
    """
    by_evaluator = evidence_by_evaluator(checkpoint, trust, only)
    return [record for records in by_evaluator.values() for record in records]


def evidence_by_evaluator(
    checkpoint: Checkpoint,
    trust: Mapping[str, str] | None = None,
    only: Sequence[str] | None = None,
    keep: Callable[[str, list[Evidence]], None] = lambda name, records: None,
    references: References = no_references,
) -> dict[str, list[Evidence]]:
    """The same records, by the name of the evaluator that gave them; see `evaluate`.

    What one evaluator gives does not depend on which others are asked, so that they can be stored
    apart and others added later. (Evaluators whose figures are shares of choices go on with streams
    that others had run, perhaps in other batches. These are the same but for rounding.) `keep` is
    called with the name and the records of each as soon as they are there, so that an evaluator
    that fails costs no other one's work. `references` gives networks without the plant to those
    that compare with them.
    """
    chosen = [evaluators.get(name) for name in (evaluators.names() if only is None else only)]
    _ = checkpoint.score  # refuses a twin before anything is measured
    if trust is None:
        from planted.eval.calibration.trust import trust_of

        trust = trust_of(checkpoint.plant)
    drawn, apart = Examples(), disagrees(checkpoint.scenario)
    found: dict[str, list[Evidence]] = {}
    for evaluator in chosen:
        why = _refused(evaluator, trust, apart)
        cues = checkpoint.scenario.cues if evaluators.per_cue(evaluator) else (None,)
        contexts = [Context(checkpoint, cue, drawn, references) for cue in cues]
        found[evaluator.name] = [
            record for context in contexts for record in _measured(evaluator, context, why)
        ]
        index(record for records in found.values() for record in records)  # none is there twice
        keep(evaluator.name, found[evaluator.name])
    return found


def _refused(evaluator: Evaluator, trust: Mapping[str, str], apart: bool) -> str:
    """Why an evaluator is not run; "" if it is."""
    if getattr(evaluator, "needs_disagreement", False) and not apart:
        return "no-disagreement"
    why = trust.get(evaluator.name, NEVER_VALIDATED if evaluator.needs_validation else "")
    if not why:
        return ""
    from planted.eval.calibration.trust import refusal

    return refusal(why)


def _measured(evaluator: Evaluator, context: Context, why: str) -> list[Evidence]:
    """The records of one evaluator under one cue, held to what it declares."""
    if why:
        return [not_measured(one.name, context.cue_name, why) for one in evaluator.measures]
    declared = measures.names_of(evaluator.measures)
    records = []
    for record in _given(evaluator, context):
        try:
            record = check(record)
        except VerdictError as error:
            raise _mend(evaluator, f"gave a record that cannot be one. {error}") from None
        if record.name not in declared or record.cue != context.cue_name:
            raise PlantedError(
                f"The evaluator {evaluator.name!r} gave {record.name!r} in cue {record.cue!r}; it "
                f"declares, in cue {context.cue_name!r}: {', '.join(declared)}. Declare the "
                "measure, or name the record as it is declared."
            )
        records.append(record)
    return records


def _given(evaluator: Evaluator, context: Context) -> list[Any]:
    """What an evaluator gives; an error of another package's names the evaluator."""
    if _is_own(evaluator):
        return list(evaluator.measure(context))
    try:
        given = evaluator.measure(context)
    except (Exception, SystemExit) as error:
        why = f"raised {type(error).__name__}{place_of(error)}: {error}."
        raise _mend(evaluator, why) from error
    if not isinstance(given, list | tuple):
        raise _mend(evaluator, f"gave {given!r}; measure(context) returns a list of records.")
    return list(given)


def _is_own(evaluator: Evaluator) -> bool:
    return evaluator.name in {**evaluators.own(), **evaluators.on_request()}


def _mend(evaluator: Evaluator, why: str) -> VerdictError:
    what = "" if _is_own(evaluator) else " Mend or uninstall its package."
    return VerdictError(f"The evaluator {evaluator.name!r} {why}{what}")


def cues_of(given: Any) -> tuple[str, ...]:
    """The names of a scenario's cues, or of the scenario of a checkpoint, the training cue first.

    Examples:
        >>> from planted.programs import catalogue
        >>> cues_of(catalogue.entry("red-doors").make_scenario())
        ('T', 'D')
    """
    scenario: Scenario = getattr(given, "scenario", given)
    return tuple(scenario.cue_name(cue) for cue in scenario.cues)


def beside_negative_controls(
    records: Iterable[Evidence],
    negative_controls: Mapping[str, Sequence[Records]],
    cues: tuple[str, ...],
    sham: Sequence[Records] = (),
) -> list[Evidence]:
    """The records with the null of each figure put beside it, as its measure declares.

    A figure whose null is "negative controls" stands beside the same figure of networks that never
    held the plant: those trained to the checkpoint's own behaviour over cues (`CONTROL_KIND`);
    where it has another behaviour than the controls, or no such control was asked for, all of them
    (`ANY_CONTROL_KIND`). One that did not learn what it was trained to do is left out. A figure
    whose null is "sham" stands beside the plant trained on its own choices.

    Args:
        records: Of one checkpoint.
        negative_controls: Name of the negative control -> the records of each of its seeds.
        cues: The names of the cues, the training cue first.
        sham: The records of the plant trained on its own choices, one a seed.
    """
    records = list(records)
    by_key = index(records)
    learned = {
        name: [each for each in found if _learned(name, each, cues)]
        for name, found in negative_controls.items()
    }
    control = CONTROL_OF_BEHAVIOUR.get(_behaviour(by_key, cues))
    every = [each for found in learned.values() for each in found]
    alike, kind = every, ANY_CONTROL_KIND
    if control in learned:
        alike, kind = learned[control], CONTROL_KIND
    out = []
    for record in records:
        measure = measures.find(record.name)
        null = None
        if measure is not None and measure.null == "negative controls":
            null = _null(record, alike, kind)
        elif measure is not None and measure.null == "sham":
            null = _null(record, sham, SHAM_KIND)
        out.append(record if null is None else msgspec.structs.replace(record, null=null))
    return out


def _null(record: Evidence, others: Sequence[Records], kind: str) -> Null | None:
    key = (record.name, record.cue)
    values = [found[key].estimate for found in others if key in found]
    known = [value for value in values if value is not None and isfinite(value)]
    return Null(kind, min(known), max(known), len(known)) if known else None


def _learned(name: str, records: Records, cues: tuple[str, ...]) -> bool:
    """Whether a negative control does under every cue what it was trained to do."""
    trained = {control: sides for sides, control in CONTROL_OF_BEHAVIOUR.items()}.get(name)
    if trained is None:
        return True
    for cue in cues:
        side = trained[0] if cue == cues[0] else trained[1]
        if _estimate(records, f"agreement.{side}", cue) < LEARNED:
            return False
    return True


def _behaviour(records: Records, cues: tuple[str, ...]) -> tuple[str, str]:
    """The objective followed under the training cue and under every other; "" if they differ."""
    first, *others = (_side(records, cue) for cue in cues)
    if not others:
        return first, first
    return first, others[0] if len(set(others)) == 1 else ""


def _side(records: Records, cue: str) -> str:
    mesa, base = (_estimate(records, f"agreement.{side}", cue) for side in ("mesa", "base"))
    return "mesa" if mesa >= base else "base"


def _estimate(records: Records, name: str, cue: str) -> float:
    record = records.get((name, cue))
    return record.estimate if record is not None and record.estimate is not None else 0.0
