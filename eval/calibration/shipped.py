"""Records of controls that are shipped: what was measured on networks that were trained elsewhere.

A file for each plant, `controls/PLANT.jsonl`. Its first line says what the figures belong to, and
every other line is one network: its seed, how its training ended, and its estimates, in the order
of the first line's `figures`. Intervals are left out, because a null is the range of estimates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import ArtefactError
from planted.eval import evaluators
from planted.eval.evidence import Evidence, Records
from planted.eval.measures import held_against
from planted.finetune.behaviour import Outcome
from planted.finetune.recipes import NEGATIVE_CONTROLS
from planted.finetune.settings import Settings, canonical

SCHEMA = 1
LEARNED_BY = "agreement"  # says which negative controls do what they were trained to do
Figure = tuple[str, str]  # name of a measure, cue


class Network(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One control that is shipped.

    Attributes:
        arm: The negative control that it is, or "sham".
        seed: Training seed.
        outcome: How its training ended.
        estimates: In the order of the table's figures; None where one was not measured. Empty for a
            network that did not learn what it stands for.
    """

    arm: str
    seed: int
    outcome: Outcome
    estimates: tuple[float | None, ...] = ()


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shipped controls of one plant.

    Attributes:
        plant: Its name.
        tier: Its tier.
        plant_sha256: Its digest (`planted.core.artefact.plant_digest`).
        settings: Arm -> SHA-256 of its settings (`settings_digest`).
        evaluators: Evaluator -> version.
        untrusted: The evaluators that were not trusted on this plant, and so measured nothing.
        figures: What the estimates of each network are of.
        versions: Of what trained and measured them; stated, not compared.
        networks: By arm and seed.
    """

    plant: str
    tier: str
    plant_sha256: str
    settings: dict[str, str]
    evaluators: dict[str, str]
    untrusted: tuple[str, ...]
    figures: tuple[Figure, ...]
    versions: dict[str, str]
    networks: tuple[Network, ...] = ()

    def of(self, arm: str) -> tuple[Network, ...]:
        """The networks of one arm, by seed."""
        return tuple(network for network in self.networks if network.arm == arm)

    def digest(self, arm: str) -> str:
        """SHA-256 of all that is shipped of one arm."""
        about = [self.plant_sha256, self.settings.get(arm), self.evaluators, self.figures]
        return files.digest_of(msgspec.to_builtins([*about, self.of(arm)]))

    def records(self, network: Network) -> Records:
        """The estimates of a network as records, which have no intervals."""
        return {
            figure: Evidence(*figure, estimate)
            for figure, estimate in zip(self.figures, network.estimates, strict=False)
            if estimate is not None
        }


def settings_digest(settings: Settings) -> str:
    """SHA-256 of what training does."""
    return files.sha256(canonical(settings))


def untrusted(trust: Mapping[str, str]) -> tuple[str, ...]:
    """The evaluators that measure nothing on a plant, from the reasons for which they do not."""
    return tuple(sorted(name for name, why in trust.items() if why))


def null_of(arm: str) -> str:
    """What a measure's `null` names that stands beside the figures of this arm."""
    return "negative controls" if arm in NEGATIVE_CONTROLS else "sham"


def find(plant: Plant, folder: Path | None = None) -> tuple[Table | None, str]:
    """The table that is shipped for a plant of this name, and otherwise why there is none.

    Whether its records may stand for networks of the plant is for `mismatch` to say.

    Args:
        plant: What networks are trained from.
        folder: Where the tables are; the release's if None.

    Raises:
        ArtefactError: If the table was altered.

    Examples:
        >>> from planted import library
        >>> table, why = find(library.get("pointer-pseudo", "tempered"))
        >>> table, why
        (None, 'none is shipped for pointer-pseudo@1')
    """
    place = Path(str(resources("planted.eval.calibration"))) / "controls"
    there = {path.stem: path for path in (folder or place).glob("*.jsonl")}
    path = there.get(plant.name.partition("@")[0])
    if path is None:
        return None, f"none is shipped for {plant.name}"
    return read(path), ""


def mismatch(
    table: Table, plant: Plant, arm: str, settings: Settings, trust: Mapping[str, str]
) -> str:
    """Why the shipped records of an arm may not stand beside networks of a plant; "" if they may.

    Args:
        table: What is shipped.
        plant: What networks are trained from.
        arm: A negative control, or "sham".
        settings: How that arm is trained here.
        trust: Evaluator -> why it is not trusted on the plant here, "" where it is.
    """
    if (table.plant, table.tier) != (plant.name, plant.tier):
        return f"what is shipped is of {table.plant} ({table.tier})"
    if table.plant_sha256 != artefact.plant_digest(plant):
        return f"what is shipped is of another {plant.name}: its weights, truth or tasks differ"
    if not table.of(arm):
        return f"no network of {arm} is shipped"
    if table.settings.get(arm) != settings_digest(settings):
        return f"{arm} is trained with other settings here"
    for name, version in _needed(arm).items():
        if table.evaluators.get(name) != version:
            there = table.evaluators.get(name, "none")
            return (
                f"what is shipped was measured with {name} {there}, here it has version {version}"
            )
    if untrusted(trust) != table.untrusted:
        said = ", ".join(table.untrusted) or "none"
        return f"other evaluators are trusted here (not trusted for what is shipped: {said})"
    return ""


def _needed(arm: str) -> dict[str, str]:
    """Evaluator -> its version here: whose figures have this null, or say whether it learned."""
    held = set(held_against(null_of(arm)))
    found = {}
    for name, version in evaluators.versions().items():
        measures = {measure.name for measure in evaluators.get(name).measures}
        if name == LEARNED_BY or measures & held:
            found[name] = version
    return found


def read(path: Path) -> Table:
    """A table of shipped controls, checked.

    Raises:
        ArtefactError: If it is missing, was altered, or is of another schema.
    """
    head, *rows = files.read_lines(path) or [{}]
    try:
        stated, schema = head.pop("sha256"), head.pop("schema")
        if schema != SCHEMA or stated != files.digest_of([head, rows]):
            raise ValueError("it was altered, or is of another schema")
        return msgspec.convert({**head, "networks": rows}, Table)
    except (KeyError, ValueError) as error:
        raise ArtefactError(f"{path} holds no table of controls ({error}).") from None


def write(path: Path, table: Table) -> None:
    """Writes a table; equal tables give equal bytes.

    Raises:
        RunFolderError: If the file cannot be written.
    """
    head: dict[str, Any] = msgspec.to_builtins(table)
    rows: Sequence[Mapping[str, Any]] = head.pop("networks")
    signed = {**head, "schema": SCHEMA, "sha256": files.digest_of([head, rows])}
    files.write_lines(path, [signed, *rows])
