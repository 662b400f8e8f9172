"""Where the nulls of a run come from: controls trained here, and controls that are shipped.

Where records are shipped for a plant and its controls, a run trains two networks of each control,
sees whether they lie where the shipped ones do, and holds figures against both. Otherwise it trains
them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log2
from pathlib import Path
from typing import Any

import msgspec

from planted import library
from planted.core import artefact
from planted.core.plant import Plant
from planted.errors import ArtefactError
from planted.eval import evaluators
from planted.eval.calibration import exchangeable, shipped
from planted.eval.calibration.exchangeable import Found
from planted.eval.calibration.shipped import Table
from planted.eval.evaluate import beside_negative_controls
from planted.eval.evidence import Evidence, Records, index
from planted.eval.measures import held_against
from planted.finetune.behaviour import Outcome
from planted.finetune.recipes import ARMS, NEGATIVE_CONTROLS, Recipe
from planted.runs import cell as cells
from planted.runs.asked import CONTROL_SEEDS, Asked, Shipped
from planted.runs.cell import Network

Seeds = dict[int, tuple[Outcome, Records]]  # seed -> how its training ended, what was measured
Measured = dict[str, Seeds]  # by control
TRAINED = 2  # networks of each control that are trained beside shipped ones
REFUSED = "Controls that are shipped are not used: {}. The others are trained here now."
MISSING = "the shipped records that the run began with are missing or altered"


def records_of(network: Network, plant: Plant) -> list[Evidence]:
    """All evidence on a cell, checked: by evaluator, in their order.

    Raises:
        ArtefactError: If a file is missing or damaged; it is named, with what restores it.
    """
    weights = artefact.params_digest(cells.read_weights(network, plant)[0])
    found: list[Evidence] = []
    for name, version in evaluators.versions().items():
        try:
            found += cells.read_evidence(network.folder, name, version, weights)[0]
        except ArtefactError as error:
            run = network.folder.parent.parent
            raise ArtefactError(f"{error} Run: planted evaluate {run}") from None
    return found


class Beside(msgspec.Struct, frozen=True):
    """What figures are held against.

    Attributes:
        negative: Negative control -> seed -> its records.
        sham: The records of each seed of sham fine-tuning.
        says: Where they come from, in a sentence.
        check: How the networks trained here lie beside the shipped ones; None where none are used.
        refused: Why shipped records that were asked for are not used; "" if they are.
    """

    negative: dict[str, dict[int, Records]]
    sham: list[Records]
    says: str = ""
    check: Found | None = None
    refused: str = ""

    @property
    def in_full(self) -> str:
        """Where they come from, with the figures of the comparison."""
        return f"{self.says} ({self.check})" if self.check and not self.refused else self.says

    def note(self) -> dict[str, Any]:
        """What a run folder says of where they come from."""
        check = msgspec.to_builtins(self.check)
        about = {"says": self.says, "in_full": self.in_full}
        return {**about, "check": check, "refused": self.refused}

    def records(
        self, own: list[Evidence], cues: tuple[str, ...], but: tuple[str, int] | None = None
    ) -> list[Evidence]:
        """Records with the figures of the controls beside them.

        Args:
            own: Of one checkpoint.
            cues: The cues, the training cue first.
            but: A negative control and its seed that is left out: the checkpoint itself.
        """
        others = {
            name: [records for seed, records in seeds.items() if (name, seed) != but]
            for name, seeds in self.negative.items()
        }
        return beside_negative_controls(own, others, cues, self.sham)


def usual(plant: Plant, trust: Mapping[str, str]) -> tuple[tuple[Asked, ...], Table | None]:
    """The controls of a run that asks for none in particular, and the shipped records they use.

    Args:
        plant: What networks are trained from.
        trust: Evaluator -> why it is not trusted on it, "" where it is.
    """
    table, missing = shipped.find(plant)
    found = []
    for arm, settings in ARMS.items():
        why = missing if table is None else shipped.mismatch(table, plant, arm, settings, trust)
        if table is None or why:
            found.append(Asked(arm, Recipe(arm, settings=settings, seeds=CONTROL_SEEDS), why=why))
            continue
        there = table.of(arm)
        about = Shipped(table.digest(arm), sum(network.outcome.judged for network in there))
        first = 1 + max(network.seed for network in there)
        found.append(Asked(arm, Recipe(arm, settings=settings, seeds=TRAINED), first, about))
    return tuple(found), table if any(asked.shipped for asked in found) else None


def alone(controls: Sequence[Asked], why: str) -> tuple[Asked, ...]:
    """The controls without shipped records: as many networks, all of them trained here."""
    return tuple(
        Asked(asked.name, asked.recipe.changed(seeds=_as_many(asked)), asked.first, None, why)
        if asked.shipped
        else asked
        for asked in controls
    )


def _as_many(asked: Asked) -> int:
    networks = asked.shipped.networks if asked.shipped else 0
    return max(asked.recipe.seeds, networks, CONTROL_SEEDS)


def table_in(path: Path) -> Table | None:
    """The shipped records that a run folder holds; None where they are missing or were altered."""
    try:
        return shipped.read(path)
    except ArtefactError:
        return None


def beside(
    plant: Plant,
    controls: Sequence[Asked],
    networks: Sequence[Network],
    table: Table | None = None,
    trust: Mapping[str, str] | None = None,
) -> Beside:
    """What figures are held against, from the judged controls and the shipped records.

    Args:
        plant: What the networks were trained from.
        controls: What was asked for.
        networks: Judged networks, the controls among them.
        table: The shipped records.
        trust: Evaluator -> why it is not trusted; `planted.library.trust` if None.

    Raises:
        ArtefactError: As for `records_of`.
    """
    here = _measured(plant, networks)
    there, check, why = _usable(plant, controls, here, table, trust)
    negative: dict[str, dict[int, Records]] = {}
    sham: list[Records] = []
    for name in here:
        for seed, (outcome, records) in {**there.get(name, {}), **here[name]}.items():
            if not outcome.judged:
                continue  # one that did not learn is not of the behaviour that it stands for
            if name in NEGATIVE_CONTROLS:
                negative.setdefault(name, {})[seed] = records
            else:
                sham.append(records)
    says = said_of(alone(controls, why) if why else controls, check)
    return Beside(negative, sham, says, check, why)


def shipped_alone(plant: Plant, trust: Mapping[str, str]) -> Beside:
    """The controls that are shipped for a plant, without any trained here to compare with them.

    Args:
        plant: What they were trained from, in the tier that training starts from.
        trust: Evaluator -> why it is not trusted on it, "" where it is.

    Returns:
        No control at all where none is shipped, or what is shipped does not match; it says why.
    """
    table, why = shipped.find(plant)
    if table is None:
        return Beside({}, [], refused=why)
    negative: dict[str, dict[int, Records]] = {}
    sham: list[Records] = []
    for arm, settings in ARMS.items():
        if why := shipped.mismatch(table, plant, arm, settings, trust):
            return Beside({}, [], refused=why)
        found = {each.seed: table.records(each) for each in table.of(arm) if each.outcome.judged}
        if arm in NEGATIVE_CONTROLS:
            negative[arm] = found
        else:
            sham += found.values()
    count = sum(map(len, negative.values())) + len(sham)
    return Beside(negative, sham, f"{count} shipped networks, none trained here")


def joined(shipped_ones: Beside, own: Beside) -> Beside:
    """The controls of both; of one seed the own counts, and own sham alone where it is as many."""
    arms = dict.fromkeys([*shipped_ones.negative, *own.negative])
    negative = {
        arm: {**shipped_ones.negative.get(arm, {}), **own.negative.get(arm, {})} for arm in arms
    }
    few = len(own.sham) < len(shipped_ones.sham)
    sham = [*shipped_ones.sham, *own.sham] if few else own.sham
    return Beside(negative, sham, shipped_ones.says, refused=shipped_ones.refused)


def _measured(plant: Plant, networks: Sequence[Network]) -> Measured:
    """The controls among judged networks."""
    found: Measured = {}
    for network in networks:
        if network.recipe.base in ARMS:
            outcome = cells.ended(network)[0]
            records = index(records_of(network, plant)) if outcome.judged else {}
            found.setdefault(network.label, {})[network.cell.seed] = (outcome, records)
    return found


def _usable(
    plant: Plant,
    controls: Sequence[Asked],
    here: Measured,
    table: Table | None,
    trust: Mapping[str, str] | None,
) -> tuple[Measured, Found | None, str]:
    """The shipped controls that may stand beside those trained here.

    Returns:
        The controls, how those trained here lie beside them, and why none are used ("" if they are,
        or none were asked for).
    """
    wanted = [asked for asked in controls if asked.shipped]
    if not wanted:
        return {}, None, ""
    if table is None:
        return {}, None, MISSING
    if why := _outdated(plant, wanted, table, library.trust(plant) if trust is None else trust):
        return {}, None, why
    there = {
        asked.name: {
            each.seed: (each.outcome, table.records(each)) for each in table.of(asked.name)
        }
        for asked in wanted
    }
    arms = (_arm(name, here.get(name, {}), there[name]) for name in there)
    check = exchangeable.compare(arms)
    if not check.holds:
        return {}, check, f"the networks trained here lie {check}"
    return there, check, ""


def _outdated(plant: Plant, wanted: Sequence[Asked], table: Table, trust: Mapping[str, str]) -> str:
    """Why shipped records that a run began with may no longer be used; "" if they may."""
    for asked in wanted:
        if asked.shipped is not None and table.digest(asked.name) != asked.shipped.sha256:
            return MISSING
        if why := shipped.mismatch(table, plant, asked.name, asked.recipe.settings, trust):
            return why
    return ""


def _arm(name: str, here: Seeds, there: Seeds) -> exchangeable.Arm:
    """What is compared of the networks of a control: how training ended, and its own figures."""
    wanted = set(held_against(shipped.null_of(name)))

    def figures(outcome: Outcome, records: Records) -> exchangeable.Figures:
        own = {f"{n} [{cue}]": r.estimate for (n, cue), r in records.items() if n in wanted}
        return {"learned": float(outcome.judged), "log₂ of its steps": log2(outcome.steps), **own}

    return exchangeable.Arm(
        name,
        tuple(figures(*each) for each in here.values()),
        tuple(figures(*each) for each in there.values()),
    )


def said_of(controls: Sequence[Asked], check: Found | None = None) -> str:
    """Where the nulls come from, in a sentence.

    Args:
        controls: What the run trains and uses.
        check: How what was trained lies beside what is shipped, where that is known.
    """
    groups: dict[tuple[int, int, str], list[str]] = {}
    for asked in controls:
        there = asked.shipped.networks if asked.shipped else 0
        groups.setdefault((asked.recipe.seeds, there, asked.why), []).append(asked.name)
    said = []
    for (here, there, why), names in groups.items():
        whose = "each control" if len(groups) == 1 else ", ".join(names)
        if there:
            lie = " to compare with them" if check is None else ", which lie where they do"
            said.append(f"{there} shipped networks of {whose} and {here} trained here{lie}")
        else:
            said.append(
                f"{here} network{'s' * (here != 1)} of {whose}, trained here"
                + (f" ({why})" if why else "")
            )
    return "; ".join(said) or "none"
