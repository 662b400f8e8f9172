"""The cache of cells: every network that was trained here, for the next run that asks for it.

    CACHE/cells/ENVIRONMENT/CELL/   the files of a cell folder

ENVIRONMENT is the digest of what else the bytes depend on: versions, source (that of a signal of
another package too), machine.
What is found is checked before it is used; a damaged file counts as not there.
"""

from __future__ import annotations

import functools
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, RunFolderError
from planted.finetune import signals
from planted.runs import cell as cells
from planted.runs.cell import Cell, Network

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


def cached(cell: Cell) -> Path:
    """Where a cell is kept."""
    return environment.cache_folder() / "cells" / environment_of(cell.settings.signal) / cell.digest


def environment_of(signal: str) -> str:
    """Digest of what else than its settings the bytes of a network depend on here."""
    facts = [environment.versions(), environment.source_digest(), _machine()]
    if theirs := signals.source_digest(signal):
        facts.append(theirs)
    return files.sha256(json.dumps(facts, sort_keys=True).encode())[:24]


def _machine() -> list[str]:
    """What else the bytes of training depend on: the processor, and what JAX was told."""
    return [
        platform.machine(),
        _processor(),
        os.environ.get("XLA_FLAGS", "").replace(ONE_THREAD, "").strip(),
        os.environ.get("JAX_PLATFORMS", "cpu"),
        os.environ.get("JAX_ENABLE_X64", ""),
    ]


@functools.cache
def _processor() -> str:
    """Which instructions XLA may use here; where the system does not say, the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return " ".join(sorted(line.partition(":")[2].split()))
    return platform.processor()


def borrow(network: Network, plant: Plant) -> bool:
    """Copies a trained cell from the cache into its folder; False where there is none.

    What is in the folder already is kept. Evidence is copied as it is: it is checked where it is
    read.
    """
    source = cached(network.cell)
    if source == network.folder:
        return False
    there = Network(network.label, network.recipe, network.cell, source)
    if not cells.is_trained(there) or cells.damaged(there, plant):
        return False
    if cells.damaged_snapshots(source):
        return False
    snapshots = sorted(path.name for path in source.glob(cells.SNAPSHOTS))
    cells.write_trained_by(network.folder, [environment_of(network.cell.settings.signal)])
    # the note last: it says that all is there
    for name in (*snapshots, network.checkpoint.name, cells.NOTE):
        files.write_bytes(network.folder / name, (source / name).read_bytes())
    (network.folder / cells.STATE).unlink(missing_ok=True)
    return True


def restore(network: Network, name: str) -> bool:
    """Copies one file of a cell from the cache; False where it is not there, or damaged."""
    kept = cached(network.cell) / name
    if kept.parent == network.folder or not _whole(kept):
        return False
    files.write_bytes(network.folder / name, kept.read_bytes())
    return True


def borrow_findings(network: Network) -> None:
    """Copies evidence and diagnostics that the folder lacks from the cache, where it has them."""
    source = cached(network.cell)
    for path in [*(source / "evidence").glob("*.json"), source / cells.DIAGNOSTICS]:
        target = network.folder / path.relative_to(source)
        if not target.exists():
            with suppress(ArtefactError):
                files.read_signed(path)
                files.write_bytes(target, path.read_bytes())


def lend(network: Network) -> None:
    """Copies a cell's files into the cache, where they are not there yet.

    A damaged file is not copied, and replaces none that is whole. Nor is a cell copied that was
    trained by other code, under other versions or on another machine: it would be found there as
    one of these.

    Raises:
        RunFolderError: If the cache cannot be written.
    """
    target = cached(network.cell)
    here = [environment_of(network.cell.settings.signal)]
    if target == network.folder or cells.trained_by(network.folder) != here:
        return
    findings = [*(network.folder / "evidence").glob("*.json"), network.folder / cells.DIAGNOSTICS]
    snapshots = sorted(network.folder.glob(cells.SNAPSHOTS))
    weights = [*snapshots, network.checkpoint, network.folder / cells.NOTE]
    for path in [*weights, *findings]:
        kept = target / path.relative_to(network.folder)
        if path.exists() and not _same(path, kept) and _whole(path):
            files.write_bytes(kept, path.read_bytes())


def _whole(path: Path) -> bool:
    """Whether a file holds what its own SHA-256 says."""
    try:
        files.read_tensors(path) if path.suffix == ".safetensors" else files.read_signed(path)
    except ArtefactError:
        return False
    return True


def _same(path: Path, kept: Path) -> bool:
    with suppress(OSError):
        return path.read_bytes() == kept.read_bytes()
    return False


def weights_digest(network: Network, plant: Plant) -> str:
    """Digest of a cell's weights (`planted.core.artefact.params_digest`), checked.

    Raises:
        ArtefactError: If it is not trained, or damaged.
    """
    return artefact.params_digest(cells.read_weights(network, plant)[0])


def obstacle() -> str:
    """Why the cache cannot be written, as a sentence; "" if it can."""
    try:
        return files.write_obstacle(environment.cache_folder())
    except RunFolderError as error:
        return str(error)
