"""Makes the cells that are wanted: mends, takes from the cache, trains, judges."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import suppress
from typing import Any

from planted import library
from planted.core import files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, RunFolderError, need
from planted.eval import evaluators
from planted.runs import cell as cells
from planted.runs import jobs, store
from planted.runs.cell import Network
from planted.runs.executor import Executor, checked, opened, worker_count
from planted.runs.progress import Count, Progress

PHASES = ("train", "judge")


def require(*extras: str) -> None:
    """Says which pip line is missing before hours are spent.

    Raises:
        PlantedError: If a package is not installed.
    """
    wanted = {
        "train": (("jax", "optax", "scipy", "igraph", "loky"), "fine-tune and evaluate"),
        "judge": (("scipy", "igraph", "loky"), "evaluate"),
        "report": (("jinja2",), "write the report"),
    }
    for extra in extras:
        modules, purpose = wanted[extra]
        for module in modules:
            need(module, purpose)


def work(
    plant: Plant,
    networks: Sequence[Network],
    phases: Sequence[str] = PHASES,
    *,
    trust: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> None:
    """Trains and judges what is not there yet, one job a network and phase.

    Args:
        plant: What the networks start from.
        networks: Which, and where.
        phases: "train", "judge" or both; a cell that is damaged is mended in its phase.
        trust: Evaluator -> why it is not trusted; `planted.library.trust` if None.
        executor: Where jobs run; local processes if None.
        progress: Called with `planted.runs.progress.Count`'s dicts.

    Raises:
        PlantedError: What a job reported, or that a worker was killed.
        ArtefactError: If a network is to be judged that is not trained.
        KeyboardInterrupt: When interrupted; what was finished is on disk.
    """
    if not networks:
        return
    require(*phases)
    # What is wrong is refused also where nothing is left to do.
    worker_count() if executor is None else checked(executor)
    trust = library.trust(plant) if trust is None else trust
    for folder in {network.folder.parent for network in networks}:
        if folder.exists():
            files.remove_partial(folder)
    caching, known = _cache_or_warning(), evaluators.versions()
    count = Count(networks, progress)
    to_train, to_judge = [], {}
    if "train" in phases:
        to_train = [n for n in networks if not _trained(n, plant, caching)]
    if "judge" in phases:
        coming = {n.folder for n in to_train}
        missing = {n.folder: _missing(n, plant, trust, n.folder in coming) for n in networks}
        to_judge = {folder: only for folder, only in missing.items() if only}
    for network in networks:
        for phase, waiting in (("train", [n.folder for n in to_train]), ("judge", to_judge)):
            if network.folder in waiting:
                count.expect(phase, network)
    count.begin()
    if to_train or to_judge:
        with opened(executor, len({n.folder for n in to_train} | set(to_judge))) as pool:
            jobs_of_this_call = _Round(plant, trust, pool, count, to_judge)
            try:
                jobs_of_this_call.run(networks, to_train)
            finally:
                if executor is not None:  # our own processes end with the block
                    jobs_of_this_call.cancel()
    for folder in {network.folder.parent for network in networks}:
        files.remove_partial(folder)  # of a process that ended only now
    if caching:
        _lend(networks)
    if "judge" in phases and evaluators.versions() != known:  # a package came or went meanwhile
        work(plant, networks, ("judge",), trust=trust, executor=executor, progress=progress)


def _cache_or_warning() -> bool:
    """Whether the cache can be written; said before the work, which goes on without it."""
    if obstacle := store.obstacle():
        warnings.warn(
            f"{obstacle} The run goes on without a cache: its networks will be trained again where "
            "another run needs them. PLANTED_CACHE names another folder.",
            stacklevel=4,
        )
    return not obstacle


def _trained(network: Network, plant: Plant, caching: bool) -> bool:
    """Whether a network is trained and whole, after damaged files were set aside."""
    while found := cells.damaged(network, plant):
        _set_aside(found, "The network is trained again.")
        if found.path == network.checkpoint:
            (network.folder / cells.NOTE).unlink(missing_ok=True)
    for found in cells.damaged_snapshots(network.folder):
        if caching and store.restore(network, found.path.name):
            warnings.warn(f"{found.why} It was restored from the cache.", stacklevel=4)
            continue
        _set_aside(found, "The network is trained again.")
        for path in (network.folder / cells.NOTE, network.checkpoint):
            path.unlink(missing_ok=True)
    if cells.is_trained(network):
        return True
    if network.checkpoint.exists():  # stopped between the checkpoint and its note
        cells.seal(network, plant)
        return True
    return caching and store.borrow(network, plant)


def _missing(network: Network, plant: Plant, trust: Mapping[str, str], coming: bool) -> list[str]:
    """The evaluators that have not judged a network yet, after damaged evidence was set aside.

    Raises:
        ArtefactError: If it is not trained, nor will be, or its checkpoint is damaged.
    """
    versions = evaluators.versions()
    if coming:
        return list(versions)
    weights = store.weights_digest(network, plant)
    if not cells.ended(network)[0].judged:
        return []
    store.borrow_findings(network)
    missing = []
    for name, version in versions.items():
        path = cells.evidence_path(network.folder, name, version)
        try:
            _, why = cells.read_evidence(network.folder, name, version, weights)
            if why != trust.get(name, ""):
                missing.append(name)
        except ArtefactError as error:
            missing.append(name)
            if path.exists():
                _set_aside(cells.Damage(path, str(error)), "The network is judged again.")
    try:
        cells.read_diagnostics(network.folder, weights)
    except ArtefactError as error:
        path = network.folder / cells.DIAGNOSTICS
        if path.exists():
            _set_aside(cells.Damage(path, str(error)), "They are measured again.")
        missing = missing or list(versions)[:1]
    return missing


def _set_aside(found: cells.Damage, then: str) -> None:
    if found.path.exists():
        aside = files.set_aside(found.path)
        named = "" if str(found.path) in found.why else f"{found.path}: "
        warnings.warn(f"{named}{found.why} It is now {aside.name}. {then}", stacklevel=5)
    else:
        found.path.with_name(cells.NOTE).unlink(missing_ok=True)
        warnings.warn(f"{found.path} is missing. {then}", stacklevel=5)


def _lend(networks: Iterable[Network]) -> None:
    with suppress(RunFolderError):  # full by now: the run itself is whole
        for network in networks:
            if cells.is_trained(network):
                store.lend(network)


def _not_found_by_workers(error: BaseException) -> str:
    """The message where a worker cannot import what the plant's functions need."""
    cause = str(error.__cause__ or error).strip().strip("\"'").strip().splitlines()[-1]
    return (
        f"A worker process cannot load the plant or its functions ({cause}). Workers import the "
        "module that holds them by its name: it must be in the working folder or installed, and "
        "no other module may have the same name."
    )


class _Round:
    """The jobs of one call: a network is judged when it is trained."""

    def __init__(
        self,
        plant: Plant,
        trust: Mapping[str, str],
        pool: Executor,
        count: Count,
        to_judge: Mapping[Any, list[str]],
    ) -> None:
        self.plant, self.trust, self.pool, self.count = plant, trust, pool, count
        self.to_judge = to_judge
        self.open: dict[Future[Any], tuple[str, Network]] = {}

    def run(self, networks: Sequence[Network], to_train: Sequence[Network]) -> None:
        coming = {network.folder for network in to_train}
        try:
            for network in networks:
                self.train(network) if network.folder in coming else self.judge(network)
            while self.open:
                done, _ = wait(self.open, return_when=FIRST_COMPLETED)
                for future in done:
                    phase, network = self.open.pop(future)
                    future.result()
                    steps = None
                    if phase == "train":
                        self.judge(network)
                        steps = cells.ended(network)[0].steps
                    self.count.finished(phase, network, steps)
        except BrokenExecutor as error:
            first = str(error).splitlines()[0]
            if "un-serialize" in first:  # loky's word
                raise PlantedError(_not_found_by_workers(error)) from error
            raise PlantedError(
                "A worker was killed, perhaps because memory is short. What was finished is kept; "
                f"running the same command again resumes. ({first})"
            ) from error

    def cancel(self) -> None:
        for future in self.open:
            future.cancel()

    def train(self, network: Network) -> None:
        placed = [(network.cell.seed, network.folder)]
        future = self.pool.submit(jobs.train_cells, self.plant, network.recipe, placed)
        self.open[future] = ("train", network)

    def judge(self, network: Network) -> None:
        if only := self.to_judge.get(network.folder):
            if not cells.ended(network)[0].judged:
                self.count.finished("judge", network)
                return
            store.borrow_findings(network)
            future = self.pool.submit(
                jobs.judge_cell,
                self.plant,
                network.recipe,
                network.cell.seed,
                network.folder,
                dict(self.trust),
                only,
            )
            self.open[future] = ("judge", network)
