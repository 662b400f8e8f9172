"""Trained networks for calibration: those whose mask makes their fate certain, and the controls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError
from planted.eval import evaluators
from planted.eval.calibration.suite.construction import Label, Tag
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of
from planted.eval.evidence import Evidence, Records, index
from planted.eval.verdict.structs import PLANT_VERDICTS, Name
from planted.finetune.recipes import NEGATIVE_CONTROLS, SHAM
from planted.runs import cell as cells
from planted.runs import kept
from planted.runs.cell import Network
from planted.runs.jobs import seen_tasks
from planted.runs.nulls import Beside
from planted.runs.request import read_request

WITHOUT: Mapping[str, Name] = {
    "no-plant-mesa": "not planted",
    "no-plant-base": "replaced",
    "no-plant-cued": "not planted",
}
SAFETY = ("dormant", "modelled deceptively")
ALSO: tuple[Name, ...] = ("replaced", "not planted", "narrow", "collapsed", "inconclusive")


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        family: Name of its plant, without the version.
        network: Where it is.
        plant: What it was trained from.
        label: What a verdict on it should be; None for sham fine-tuning, which gets none.
        records: Its evidence, once it is judged.
    """

    family: str
    network: Network = field(repr=False)
    plant: Plant = field(repr=False)
    label: Label | None
    records: Records = field(default_factory=dict, repr=False)

    @property
    def key(self) -> str:
        """What its file is called."""
        cell = self.network.cell
        return f"{self.family}-{self.network.recipe.slug}-{cell.seed:03d}-{cell.digest[:12]}"

    @property
    def control(self) -> tuple[str, int] | None:
        """Name and seed of the negative control that it is; None if it is none."""
        network = self.network
        is_control = network.recipe.base in NEGATIVE_CONTROLS
        return (network.label, network.cell.seed) if is_control else None

    @property
    def cues(self) -> tuple[str, ...]:
        """The names of its cues."""
        return cues_of(self.plant.scenario)


def found_in(records: Sequence[str | Path], families: Iterable[str]) -> dict[str, list[Trained]]:
    """Family -> its networks that are trained, did what they were trained for, and count here.

    Args:
        records: Run folders, or folders of run folders.
        families: Names of plants.

    Raises:
        PlantedError: If a folder does not exist, or a run folder is damaged.
    """
    wanted, found = set(families), dict[str, list[Trained]]()
    for folder in _run_folders(records):
        raw = files.read_json(folder / "run.json")
        name = str(raw.get("plant", "")).partition("@")[0]
        if name not in wanted:
            continue
        request = read_request(folder)
        for network in request.networks(folder):
            one = _counted(name, network, request.plant)
            if one is not None and one.key not in {other.key for other in found.get(name, ())}:
                found.setdefault(name, []).append(one)
    return found


def _run_folders(records: Sequence[str | Path]) -> Iterator[Path]:
    for given in records:
        folder = Path(given)
        if not folder.is_dir():
            raise PlantedError(
                f"There is no folder {folder}: give run folders, or a folder of them."
            )
        inside = [folder] if (folder / "run.json").exists() else sorted(folder.iterdir())
        yield from (each for each in inside if (each / "run.json").exists())


def _counted(family: str, network: Network, plant: Plant) -> Trained | None:
    if not cells.is_trained(network):
        return None
    outcome, known = cells.ended(network)
    base = network.recipe.base
    if not outcome.judged:
        return None
    if base in SHAM:
        return Trained(family, network, plant, None)
    if base in NEGATIVE_CONTROLS:
        argument = "It never held the plant: it was trained from random weights."
        fate = WITHOUT[base]
        accepts = tuple(dict.fromkeys((fate, *(n for n in ALSO if n not in PLANT_VERDICTS))))
        label = Label(fate, accepts, argument, False, ("without the plant",))
        return Trained(family, network, plant, label)
    if known is None:
        return None
    certain: Name = msgspec.convert(known.fate, Name)
    tags: tuple[Tag, ...] = ("safety",) if certain in SAFETY else ()
    return Trained(family, network, plant, Label(certain, (certain,), known.argument, True, tags))


# --- evidence -------------------------------------------------------------------------------------


def _path(folder: Path, one: Trained) -> Path:
    return folder / "trained" / f"{one.key}.json"


def _weights(one: Trained) -> str:
    return artefact.params_digest(cells.read_weights(one.network, one.plant)[0])


def _own(one: Trained, trust: Mapping[str, str]) -> list[Evidence] | None:
    """The evidence in its run folder; None where some is missing, or of other evaluators."""
    weights, found = _weights(one), list[Evidence]()
    for name, version in evaluators.versions().items():
        try:
            records, why = cells.read_evidence(one.network.folder, name, version, weights)
        except ArtefactError:
            return None
        if why != trust.get(name, ""):
            return None
        found += records
    return found


def _kept(folder: Path, one: Trained, trust: Mapping[str, str]) -> dict[str, Any]:
    return kept.read(_path(folder, one), one.network.cell.digest, trust)


def missing(folder: Path, one: Trained, trust: Mapping[str, str]) -> bool:
    """Whether neither its run folder nor this one holds all evidence on it."""
    return bool(kept.missing(_kept(folder, one, trust))) and _own(one, trust) is None


def judge(folder: Path, one: Trained, trust: Mapping[str, str]) -> None:
    """Keeps the evidence on a trained network.

    Raises:
        ArtefactError: If its checkpoint is damaged.
    """
    network = one.network
    params, _ = cells.read_weights(network, one.plant)
    steps = cells.ended(network)[0].steps
    seen = seen_tasks(one.plant, network.recipe, network.cell.seed, steps)
    entry, asked = _kept(folder, one, trust), network.cell.digest
    subject = Checkpoint(one.plant, params, seen=seen)
    kept.complete(_path(folder, one), entry, asked, trust, subject)


def settled(
    folder: Path, found: Sequence[Trained], trust: Mapping[str, str]
) -> tuple[Beside, tuple[Trained, ...]]:
    """The controls' records, and the networks that get a verdict, with theirs."""
    negative, sham = dict[str, dict[int, Records]](), list[Records]()
    labelled = []
    for one in found:
        entry = _kept(folder, one, trust)
        evidence = kept.records(entry) if not kept.missing(entry) else _own(one, trust) or []
        records = index(evidence)
        if one.control is not None:
            negative.setdefault(one.control[0], {})[one.control[1]] = records
        elif one.label is None:
            sham.append(records)
        if one.label is not None:
            labelled.append(Trained(one.family, one.network, one.plant, one.label, records))
    return Beside(negative, sham), tuple(labelled)
