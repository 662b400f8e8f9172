"""The processes of a run: each trains and judges its share of the seeds, and writes files.

A run starts one worker a core (`work`), each pinned to its core, because a training step of these
sizes does not use a second one. Workers share nothing but the run folder; each says on its standard
output, one JSON line at a time, how far it is.
"""

from __future__ import annotations

import json
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import ArtefactError, PlantedError, RunFolderError, need
from planted.eval.calibration.trust import trust_of
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.weight_diagnostics import weight_diagnostics
from planted.finetune.data import CHUNK, batches
from planted.finetune.recipes import ARMS, Recipe
from planted.finetune.trainer import checkpoint_path, finetune, read_checkpoint
from planted.runs.folder import evidence_path, open_request, same_versions, seed_folder

ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
GRACE_S = 20  # seconds a worker may take to leave: a stretch of training steps
Progress = Callable[[Mapping[str, Any]], None]


def require(*extras: str) -> None:
    """Says which pip line is missing before hours are spent."""
    wanted = {
        "train": (("jax", "optax", "scipy"), "fine-tune and evaluate"),
        "judge": (("scipy",), "evaluate"),
        "report": (("jinja2",), "write the report"),
    }
    for extra in extras:
        modules, purpose = wanted[extra]
        for module in modules:
            need(module, purpose)


# --- the process that starts them ----------------------------------------------------------------


def work(folder: Path, phase: str, progress: Progress | None = None) -> None:
    """Trains ("train"), judges ("judge") or both ("train+judge"), one process a core.

    Raises:
        PlantedError: What a worker reported.
        RunFolderError: If the run was begun by other versions.
        KeyboardInterrupt: When interrupted; finished work is on disk.
    """
    require(*phase.split("+"))
    open_request(folder)
    same_versions(folder)
    count = _worker_count()
    workers: list[subprocess.Popen[str]] = []
    threads: list[threading.Thread] = []
    said: queue.SimpleQueue[tuple[int, str | None]] = queue.SimpleQueue()
    complaints = [""] * count

    def listen(index: int) -> None:
        for line in workers[index].stdout or ():
            said.put((index, line))
        said.put((index, None))

    def drain(index: int) -> None:
        error = workers[index].stderr
        complaints[index] = error.read() if error else ""

    running, failed, trouble = count, None, ""
    try:
        for index in range(count):
            workers.append(_start_worker(folder, phase, index, count))
            for hear in (listen, drain):
                threads.append(threading.Thread(target=hear, args=(index,)))
                threads[-1].start()
        while running and failed is None:
            index, line = said.get()
            if line is None:
                running -= 1
                failed = index if workers[index].wait() else None
                continue
            heard = json.loads(line)
            trouble = heard.get("error", trouble)
            if progress and "error" not in heard:
                progress({**heard, "worker": index})
    finally:
        _stop(workers)
        for thread in threads:
            thread.join()
        for worker in workers:
            for pipe in filter(None, (worker.stdout, worker.stderr)):
                pipe.close()
    if trouble:
        raise PlantedError(trouble)
    if failed is not None:
        code, text = workers[failed].returncode, complaints[failed].strip()
        if code < 0:
            raise PlantedError(
                f"A worker was killed by signal {-code}; if that is 9, memory may be short. What "
                "was finished is kept; the same command again resumes."
            )
        raise RuntimeError(f"Worker {failed} failed (exit code {code}):\n{text}")


def _worker_count() -> int:
    """One a core that this process may use, or fewer if PLANTED_WORKERS says so."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = os.environ.get("PLANTED_WORKERS", str(cores or 1))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise PlantedError(f"PLANTED_WORKERS must be a whole number from 1, got {wanted!r}.")
    return min(int(wanted), cores or 1)


def _start_worker(folder: Path, phase: str, index: int, count: int) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "XLA_FLAGS": f"{ONE_THREAD} {os.environ.get('XLA_FLAGS', '')}",
    }
    # -P: a folder called planted where the user stands must not shadow this package
    command = [sys.executable, "-P", "-m", "planted.runs.worker", str(folder), phase]
    return subprocess.Popen(
        [*command, str(index), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def _stop(workers: Sequence[subprocess.Popen[str]]) -> None:
    """Asks the workers that still run to leave; they finish the file they are writing."""
    running = [worker for worker in workers if worker.poll() is None]
    for worker in running:
        worker.terminate()
    for worker in running:
        try:
            worker.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


# --- what each of them does ----------------------------------------------------------------------


def share_of(recipes: Sequence[Recipe], index: int, count: int) -> list[tuple[Recipe, list[int]]]:
    """The seeds of each recipe that worker `index` of `count` takes.

    They alternate, and the odd seed falls to another worker with each recipe.
    """
    return [
        (recipe, [seed for seed in range(recipe.seeds) if (seed + turn) % count == index])
        for turn, recipe in enumerate(recipes)
    ]


def train_share(
    plant: Plant, recipes: Sequence[Recipe], folder: Path, index: int, count: int
) -> None:
    """Trains this worker's seeds of every recipe; networks without the plant may be cached."""
    for recipe, seeds in share_of(recipes, index, count):
        if recipe.name in ARMS:
            seeds = [seed for seed in seeds if not _borrowed(plant, recipe, seed, folder)]
        if seeds:
            folders = {seed: seed_folder(folder, recipe.name, seed) for seed in seeds}
            finetune(plant, recipe, folders, _tell_training)


def judge_share(
    plant: Plant, recipes: Sequence[Recipe], folder: Path, index: int, count: int
) -> None:
    """Gathers the evidence on this worker's checkpoints, one file a checkpoint."""
    for recipe, seeds in share_of(recipes, index, count):
        for done, seed in enumerate(seeds):
            path = evidence_path(folder, recipe.name, seed)
            if not path.exists():
                judge(plant, recipe, seed, folder)
                if recipe.name in ARMS:
                    _lend(plant, recipe, seed, folder)
            tell(recipe.name, "judge", done + 1, len(seeds))


def judge(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> None:
    """Evidence and weight_diagnostics of one checkpoint.

    Raises:
        ArtefactError: If the checkpoint is missing or damaged.
        CheckpointError: If it is not this plant's.
    """
    path = checkpoint_path(seed_folder(folder, recipe.name, seed), recipe)
    if not path.exists():
        raise ArtefactError(f"{path} is missing. Run: planted finetune {folder}")
    params, _ = read_checkpoint(seed_folder(folder, recipe.name, seed), plant, recipe, seed)
    subject = Checkpoint(plant, params, seen=seen_tasks(plant, recipe, seed))
    entry = {
        "recipe": recipe.name,
        "digest": recipe.digest,
        "seed": seed,
        "checkpoint": artefact.params_digest(params),
        "records": msgspec.to_builtins(evaluate(subject)),
        "weight_diagnostics": weight_diagnostics(subject),
    }
    signed = {**entry, "sha256": files.digest_of(entry)}
    files.write_json(evidence_path(folder, recipe.name, seed), signed)


def seen_tasks(plant: Plant, recipe: Recipe, seed: int) -> Tokens:
    """Every task that a seed was trained on, [task, pos]."""
    chunks = -(-recipe.settings.steps // CHUNK)
    drawn = [batches(plant.scenario, recipe.settings, seed, k)[0] for k in range(chunks)]
    return np.concatenate(drawn).reshape(-1, plant.scenario.n_positions)


_told_to_stop = False


def _told(number: int, frame: object) -> None:
    """Leaves as from an interrupt, so that no half-written file stays behind.

    The second signal (a terminal's to all, then that of the process that started this one) raises
    nothing, lest it cut off the removal of such a file.
    """
    global _told_to_stop
    if not _told_to_stop:
        _told_to_stop = True
        raise KeyboardInterrupt


def tell(recipe: str, phase: str, done: int, total: int) -> None:
    """One line of progress for the process that started this one.

    Raises:
        KeyboardInterrupt: If this process was told to stop. Raised while a module is imported, the
            first one can get lost.
    """
    if _told_to_stop:
        raise KeyboardInterrupt
    print(json.dumps({"recipe": recipe, "phase": phase, "done": done, "total": total}), flush=True)


def _null_files(recipe: Recipe, seed: int, folder: Path) -> dict[str, Path]:
    return {
        "evidence.json": evidence_path(folder, recipe.name, seed),
        "checkpoint.safetensors": checkpoint_path(seed_folder(folder, recipe.name, seed), recipe),
    }


def _null_cache(plant: Plant, recipe: Recipe, seed: int) -> Path:
    """Where a network without the plant is kept: named by all that its bytes depend on."""
    request = [
        artefact.params_digest(plant.params),
        plant.name,
        recipe.digest,
        seed,
        environment.versions(),
        environment.source_digest(),
        trust_of(plant),
        _machine(),
    ]
    return environment.cache_folder() / "nulls" / files.sha256(json.dumps(request).encode())[:24]


def _machine() -> list[str]:
    """What else the bytes of training depend on: the processor, and what JAX was told."""
    return [
        platform.machine(),
        _processor(),
        os.environ.get("XLA_FLAGS", "").removeprefix(ONE_THREAD).strip(),
        os.environ.get("JAX_PLATFORMS", "cpu"),
        os.environ.get("JAX_ENABLE_X64", ""),
    ]


def _processor() -> str:
    """Which instructions XLA may use here; where the system does not say, the processor's name."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return " ".join(sorted(line.partition(":")[2].split()))
    return platform.processor()


def _borrowed(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> bool:
    """Copies a cached null into the run; False where there is none, or the run has its own."""
    cache = _null_cache(plant, recipe, seed)
    mine = _null_files(recipe, seed, folder)
    if any(path.exists() for path in mine.values()):
        return False
    try:  # a damaged one is trained again, and then overwritten
        tensors, _ = files.read_tensors(cache / "checkpoint.safetensors")
        entry = files.read_json(cache / "evidence.json")
        stated = entry.pop("sha256")
        if stated != files.digest_of(entry):
            return False
        if entry["checkpoint"] != artefact.params_digest(tensors):
            return False
    except (ArtefactError, KeyError, TypeError, AttributeError):
        return False
    for name, path in mine.items():
        files.write_bytes(path, (cache / name).read_bytes())
    return True


def _lend(plant: Plant, recipe: Recipe, seed: int, folder: Path) -> None:
    """Puts a null into the cache, where that can be written."""
    cache = _null_cache(plant, recipe, seed)
    with suppress(RunFolderError):
        for name, path in _null_files(recipe, seed, folder).items():
            files.write_bytes(cache / name, path.read_bytes())


def _keep_compiled() -> None:
    """Keeps XLA's compiled programs in the cache folder: a few seconds a process, same numbers."""
    import jax

    settings: dict[str, Any] = {
        "jax_compilation_cache_dir": str(environment.cache_folder() / "xla"),
        "jax_persistent_cache_min_compile_time_secs": 0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    for name, value in settings.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]


def _tell_training(recipe: str, done: int, total: int) -> None:
    tell(recipe, "train", done, total)


def main(arguments: Sequence[str]) -> int:
    """Entry of the process: FOLDER PHASE INDEX COUNT."""
    folder, phase, index, count = Path(arguments[0]), arguments[1], *map(int, arguments[2:4])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _told)
    try:
        if hasattr(os, "sched_setaffinity"):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cores[index % len(cores)]})
        if "train" in phase:
            _keep_compiled()
        plant, recipes = open_request(folder)
        steps: dict[str, Callable[..., None]] = {"train": train_share, "judge": judge_share}
        for step in phase.split("+"):
            steps[step](plant, recipes, folder, index, count)
    except PlantedError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return 2
    except (KeyboardInterrupt, BrokenPipeError):  # or the process that started this one is gone
        os._exit(130)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
