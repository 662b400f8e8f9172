"""Everything that is measured on one checkpoint, and the nulls it is held against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

import msgspec

from planted.eval.behaviour import agreement, regrets
from planted.eval.checkpoint import Checkpoint
from planted.eval.controls import EVALUATORS, Standing, refusal, standing_of
from planted.eval.cue import cue_dependence
from planted.eval.evidence import Evidence, Null, Records, gated, index
from planted.eval.gaps import behavioural_gaps, objectives
from planted.eval.interchange import interchange
from planted.eval.revealed import revealed
from planted.eval.verdict import Thresholds

# Figures that stand beside the same figure of networks without the plant.
HELD_AGAINST_NULL = ("paths.block_share", "paths.retarget", "paths.swap", "presence.mesa_winner")
# Figures that stand beside the same figure of the plant trained on its own choices.
HELD_AGAINST_CONTROL = (
    "agreement.mesa",
    "agreement.base",
    "regret.mesa",
    "regret.base",
    "paths.drift",
    "behavioural_objective.drift",
)
CONTROL_KIND = "plant trained on its own choices"
NULL_OF_BEHAVIOUR = {
    ("mesa", "mesa"): "random-to-mesa",
    ("base", "base"): "random-to-base",
    ("base", "mesa"): "random-to-gate",
}
NULL_KIND = "random start of the same shapes trained to the same behaviour"
LEARNED = 0.8  # agreement with what a null claims to do, below which it is none
LEAST_DELTA = Thresholds().delta  # with less nothing that needs Δ is measured


def evaluate(checkpoint: Checkpoint, standing: Standing | None = None) -> list[Evidence]:
    """All evidence on one checkpoint, in a fixed order.

    Where the objectives do not disagree, what needs Δ is left out or gated; where an evaluator's
    controls did not pass, its records are gated and say so.

    Args:
        checkpoint: What is judged.
        standing: Where the evaluators with controls are trusted (`Controls.standing`); what the
            catalogue's controls came to, if None.

    Raises:
        PlantedError: If the plant has no score node (a twin).
    """
    scenario = checkpoint.scenario
    standing = standing_of(checkpoint.plant.name) if standing is None else standing
    _ = checkpoint.score  # refuses a twin before anything is measured
    records = objectives(scenario)
    delta = index(records)[("objectives.delta", "all")].estimate or 0.0
    if delta < LEAST_DELTA:
        for context in scenario.cues:
            word = scenario.cue_name(context)
            records += [
                gated(f"agreement.{name}", word, "no-disagreement") for name in ("mesa", "base")
            ]
            records += regrets(checkpoint, context)
        return records
    for context in scenario.cues:
        records += agreement(checkpoint, context)
        records += regrets(checkpoint, context)
        found = revealed(checkpoint, context)
        records += found
        if found[0].estimate is not None:
            records += behavioural_gaps(scenario, found[0].estimate, found[0].context)
        for name in EVALUATORS:
            records += _controlled(checkpoint, name, context, standing[name])
        records += interchange(checkpoint, context)
    return records + cue_dependence(checkpoint)


def _controlled(checkpoint: Checkpoint, name: str, context: int, why: str) -> list[Evidence]:
    """What an evaluator measures; gated records where `why` says that it is not trusted."""
    measure, names = EVALUATORS[name]
    if not why:
        return measure(checkpoint, context)
    word = checkpoint.scenario.cue_name(context)
    return [gated(record, word, refusal(why)) for record in names]


def contexts_of(checkpoint_or_scenario: object) -> tuple[str, ...]:
    """The cue words of a scenario, the training cue first."""
    scenario = getattr(checkpoint_or_scenario, "scenario", checkpoint_or_scenario)
    return tuple(scenario.cue_name(cue) for cue in scenario.cues)  # type: ignore[attr-defined]


def beside_nulls(
    records: Iterable[Evidence],
    null_arms: Mapping[str, Sequence[Records]],
    contexts: tuple[str, ...],
    controls: Sequence[Records] = (),
) -> list[Evidence]:
    """The records with the null of each figure in `HELD_AGAINST_NULL` put beside it.

    The arm is the one trained to the checkpoint's own pattern of behaviour over contexts; where
    there is no such arm, all of them. A network that did not learn what its arm claims is none.

    Args:
        records: Of one checkpoint.
        null_arms: Arm name -> the records of each of its seeds.
        contexts: The cue words.
        controls: The records of the plant trained on its own choices, for the figures in
            `HELD_AGAINST_CONTROL`.
    """
    records = list(records)
    by_key = index(records)
    pattern = tuple(_side(by_key, context) for context in contexts)
    arm = NULL_OF_BEHAVIOUR.get((pattern[0], pattern[-1]))
    learned = {
        name: [records for records in found if _learned(name, records, contexts)]
        for name, found in null_arms.items()
    }
    chosen = learned[arm] if arm in learned else [r for found in learned.values() for r in found]
    out = []
    for record in records:
        null = None
        if record.name in HELD_AGAINST_NULL:
            null = _null(record, chosen, NULL_KIND)
        elif record.name in HELD_AGAINST_CONTROL:
            null = _null(record, controls, CONTROL_KIND)
        out.append(record if null is None else msgspec.structs.replace(record, null=null))
    return out


def _null(record: Evidence, others: Sequence[Records], kind: str) -> Null | None:
    key = (record.name, record.context)
    values = [found[key].estimate for found in others if key in found]
    known = [value for value in values if value is not None and isfinite(value)]
    return Null(kind, min(known), max(known), len(known)) if known else None


def _learned(arm: str, records: Records, contexts: tuple[str, ...]) -> bool:
    """Whether a network without the plant does what its arm claims in every context."""
    claims = {name: sides for sides, name in NULL_OF_BEHAVIOUR.items()}.get(arm)
    if claims is None:
        return True
    first, rest = claims
    for context in contexts:
        side = first if context == contexts[0] else rest
        found = records.get((f"agreement.{side}", context))
        if found is None or found.estimate is None or found.estimate < LEARNED:
            return False
    return True


def _side(records: Records, context: str) -> str:
    def estimate(name: str) -> float:
        record = records.get((name, context))
        return record.estimate if record is not None and record.estimate is not None else 0.0

    return "mesa" if estimate("agreement.mesa") >= estimate("agreement.base") else "base"
