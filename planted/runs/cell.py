"""Cells: one network trained from one plant by one recipe with one seed, and the files it leaves.

A cell is known by its content, so a run that asks for it again, another run, and the cache all find
the same one. Its folder holds

    cell.json                        what it is, how training ended, and the digest of the
                                     checkpoint; written last
    checkpoint.safetensors           the checkpoint; state.safetensors while it trains
    step-NNNNNN.safetensors          weights on the way, after 25, 50, 100, ... steps
    evidence/EVALUATOR@VERSION.json  what an evaluator found, on which weights, trusted or why not
    diagnostics.json                 how the weights moved
    trained-by.json                  digests of the versions, source and machine that trained it

Whatever is read here is checked first, and the error names the damaged file.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, files
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.errors import ArtefactError, CheckpointError
from planted.eval.evidence import Evidence
from planted.finetune.behaviour import Outcome
from planted.finetune.certain import Label
from planted.finetune.recipes import Recipe, Settings
from planted.finetune.trainer import checkpoint_path, read_checkpoint, read_outcome

SCHEMA = 2
NOTE = "cell.json"
STATE = "state.safetensors"
TRAINED_BY = "trained-by.json"
DIAGNOSTICS = "diagnostics.json"
SNAPSHOTS = "step-*.safetensors"


class Cell(msgspec.Struct, frozen=True):
    """One network.

    Attributes:
        plant: Digest of the plant (`planted.core.artefact.plant_digest`).
        settings: What training does; a recipe's name changes nothing.
        seed: Training seed.
    """

    plant: str
    settings: Settings
    seed: int

    @property
    def digest(self) -> str:
        """SHA-256 of plant, settings and seed, 64 hexadecimal digits."""
        return files.digest_of(msgspec.to_builtins(self))

    def folder_name(self, slug: str) -> str:
        """Name of its folder in a run: readable in front, decided by the digest behind."""
        return f"{slug}-{self.seed:03d}-{self.digest[:12]}"


class Network(msgspec.Struct, frozen=True):
    """A cell that is wanted, and where.

    Attributes:
        label: The name of its recipe in the run.
        recipe: How it is trained.
        cell: Which network.
        folder: Where its files are.
    """

    label: str
    recipe: Recipe
    cell: Cell
    folder: Path

    @property
    def checkpoint(self) -> Path:
        """Where its checkpoint is when it is trained."""
        return checkpoint_path(self.folder)

    @property
    def name(self) -> str:
        """How it is called in messages: "pressure 3"."""
        return f"{self.label} {self.cell.seed}"


class Damage(msgspec.Struct, frozen=True):
    """A file that is not what it must be.

    Attributes:
        path: The file.
        why: A sentence.
    """

    path: Path
    why: str


# --- the checkpoint -------------------------------------------------------------------------------


def seal(network: Network, plant: Plant) -> None:
    """Writes `cell.json` beside a checkpoint that is finished.

    Raises:
        ArtefactError: If the checkpoint is missing, damaged or another cell's.
        CheckpointError: If it does not have the plant's shapes, or holds NaN.
    """
    params, _ = read_checkpoint(network.folder, plant, network.recipe, network.cell.seed)
    outcome, label = read_outcome(network.checkpoint)
    note = {
        "schema": SCHEMA,
        **msgspec.to_builtins(network.cell),
        "cell": network.cell.digest,
        "checkpoint": network.checkpoint.name,
        "checkpoint_sha256": files.file_digest(network.checkpoint),
        "weights": artefact.params_digest(params),
        "outcome": msgspec.to_builtins(outcome),
        "label": msgspec.to_builtins(label),
    }
    files.write_signed(network.folder / NOTE, note)


def ended(network: Network) -> tuple[Outcome, Label | None]:
    """How the training of a finished cell ended, and the fate that its mask makes certain.

    Raises:
        ArtefactError: If it is not trained, or `cell.json` is damaged; it names what restores it.
    """
    path = network.folder / NOTE
    if not path.exists():
        raise ArtefactError(
            f"{path} is missing: nothing says how the training of {network.name} ended. To write "
            f"it anew, run: planted finetune {_run_of(network)}"
        )
    try:
        note = _note(network)
    except ArtefactError as error:
        raise ArtefactError(f"{error} {remedy(network)}") from None
    try:
        label = note["label"]
        outcome = msgspec.convert(note["outcome"], Outcome)
        return outcome, None if label is None else msgspec.convert(label, Label)
    except (KeyError, msgspec.ValidationError) as error:
        raise ArtefactError(f"{path} does not say how training ended ({error}).") from None


def is_trained(network: Network) -> bool:
    """Whether the network is finished, to go by the names of its files."""
    return (network.folder / NOTE).exists() and network.checkpoint.exists()


def begin(folder: Path, environment: str) -> None:
    """Notes what trains a cell (`planted.runs.store.environment_of`), before it is trained.

    A network that was trained to the end keeps its note; one that is resumed elsewhere gets both.
    """
    if checkpoint_path(folder).exists():
        return
    known = trained_by(folder) if (folder / STATE).exists() else []
    if known[-1:] != [environment]:
        write_trained_by(folder, [*known, environment])


def write_trained_by(folder: Path, environments: list[str]) -> None:
    """Writes what trained a cell, in its order."""
    files.write_signed(folder / TRAINED_BY, {"environments": environments})


def trained_by(folder: Path) -> list[str]:
    """What trained a cell, in its order; [""] where nothing that is whole says it."""
    with suppress(ArtefactError):
        found = files.read_signed(folder / TRAINED_BY).get("environments")
        if isinstance(found, list):
            return [str(each) for each in found]
    return [""]


def damaged(network: Network, plant: Plant) -> Damage | None:
    """The first of a cell's files about its weights that is damaged; None if there is none.

    A cell that is not begun or not finished is not damaged.
    """
    note, checkpoint, state = network.folder / NOTE, network.checkpoint, network.folder / STATE
    if not note.exists() and not checkpoint.exists():
        return _unreadable(state) if state.exists() else None
    try:
        if note.exists():
            known = _note(network)
            if known["checkpoint_sha256"] != files.file_digest(checkpoint):
                return Damage(checkpoint, "its bytes are not those that were written.")
        read_checkpoint(network.folder, plant, network.recipe, network.cell.seed)
    except (ArtefactError, CheckpointError) as error:
        return Damage(note if str(error).startswith(str(note)) else checkpoint, str(error))
    return None


def damaged_snapshots(folder: Path) -> list[Damage]:
    """The weights on the way, in a cell's folder, that are damaged."""
    found = (_unreadable(path) for path in sorted(folder.glob(SNAPSHOTS)))
    return [damage for damage in found if damage is not None]


def _unreadable(path: Path) -> Damage | None:
    try:
        files.read_tensors(path, remedy="")
    except ArtefactError as error:
        return Damage(path, str(error).rstrip())
    return None


def _note(network: Network) -> dict[str, Any]:
    """`cell.json`, which must be this cell's.

    Raises:
        ArtefactError: If it is missing, altered, or another cell's.
    """
    path = network.folder / NOTE
    note = files.read_signed(path, remedy="")
    if note.get("schema") != SCHEMA or note.get("cell") != network.cell.digest:
        raise ArtefactError(f"{path} is about another cell than {network.name}.")
    return note


def decided_on(network: Network, versions: Mapping[str, str]) -> dict[str, str]:
    """What a verdict on this cell is given on: file in its folder -> SHA-256 of its bytes.

    Args:
        network: The cell.
        versions: Evaluator -> version.

    Raises:
        ArtefactError: If a file is missing.
    """
    found = [evidence_path(network.folder, name, version) for name, version in versions.items()]
    return {
        path.relative_to(network.folder).as_posix(): files.file_digest(path)
        for path in (network.checkpoint, *found)
    }


def still_decided_on(network: Network, stated: Mapping[str, str]) -> None:
    """Checks that the files a verdict was given on are those that are there.

    Raises:
        ArtefactError: Naming the file that is missing or changed, and what restores it.
    """
    own = network.checkpoint.name  # first: what else is missing is made from it
    for name in sorted(stated, key=lambda name: name != own):
        path = network.folder / name
        if not path.exists() or files.file_digest(path) != stated[name]:
            what = "is not what it was" if path.exists() else "is missing"
            raise ArtefactError(
                f"{path} {what}, and the verdict on {network.name} was given on it. "
                f"{remedy(network)}"
            )


def read_weights(network: Network, plant: Plant) -> tuple[Params, list[dict[str, Any]]]:
    """Weights and training log of a finished cell.

    Raises:
        ArtefactError: If the network is not trained, or a file is damaged; it names the file and
            the command that restores it.
    """
    if not is_trained(network) and not network.checkpoint.exists():
        raise ArtefactError(
            f"{network.checkpoint} is missing: {network.name} is not trained. "
            f"Run: planted finetune {_run_of(network)}"
        )
    if found := damaged(network, plant):
        raise ArtefactError(f"{found.path} is damaged: {found.why} {remedy(network)}")
    return read_checkpoint(network.folder, plant, network.recipe, network.cell.seed)


def remedy(network: Network) -> str:
    """What restores a damaged file of a cell in a run folder."""
    run = _run_of(network)
    return (
        f"To restore it, run: planted finetune {run}, then: planted evaluate {run}. The damaged "
        "file is set aside and the network trained again."
    )


def _run_of(network: Network) -> Path:
    return network.folder.parent.parent


# --- evidence -------------------------------------------------------------------------------------


def evidence_path(folder: Path, evaluator: str, version: str) -> Path:
    """Where the records of an evaluator are, in a cell's folder."""
    return folder / "evidence" / f"{evaluator}@{version}.json"


def write_evidence(
    folder: Path, evaluator: str, version: str, weights: str, trust: str, records: list[Evidence]
) -> None:
    """Writes what an evaluator found on weights of this digest."""
    entry = {
        "evaluator": evaluator,
        "version": version,
        "weights": weights,
        "trust": trust,
        "records": msgspec.to_builtins(records),
    }
    files.write_signed(evidence_path(folder, evaluator, version), entry)


def read_evidence(
    folder: Path, evaluator: str, version: str, weights: str
) -> tuple[list[Evidence], str]:
    """The records of an evaluator, and why they are not trusted ("" if they are).

    Raises:
        ArtefactError: If the file is missing, altered, or about other weights.
    """
    path = evidence_path(folder, evaluator, version)
    entry = files.read_signed(path)
    try:
        records = msgspec.convert(entry["records"], list[Evidence])
        about = (entry["evaluator"], entry["version"], entry["weights"])
        trust = str(entry["trust"])
    except (KeyError, msgspec.ValidationError) as error:
        raise ArtefactError(f"{path} holds no evidence ({error}).") from None
    if about != (evaluator, version, weights):
        raise ArtefactError(f"{path} is evidence on other weights than the checkpoint's.")
    return records, trust


def write_diagnostics(folder: Path, weights: str, found: Mapping[str, Any]) -> None:
    """Writes how the weights of this digest moved."""
    files.write_signed(folder / DIAGNOSTICS, {"weights": weights, "weight_diagnostics": found})


def read_diagnostics(folder: Path, weights: str) -> dict[str, Any]:
    """How the weights moved (`planted.eval.weight_diagnostics`).

    Raises:
        ArtefactError: If the file is missing, altered, or about other weights.
    """
    path = folder / DIAGNOSTICS
    entry = files.read_signed(path)
    if entry.get("weights") != weights or not isinstance(entry.get("weight_diagnostics"), dict):
        raise ArtefactError(f"{path} is about other weights than the checkpoint's.")
    return dict(entry["weight_diagnostics"])
