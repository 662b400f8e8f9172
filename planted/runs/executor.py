"""Where jobs run: anything with `submit(function, *args) -> concurrent.futures.Future`.

Without one of the user's, a process a core of this machine, each pinned to its core, because a
training step of these sizes does not use a second one. Fewer processes than cores are not pinned:
those of two runs would share one core while another is idle. They are loky's: it passes functions
and plants by value (a plant of the user's own may hold lambdas), does not run the user's script
again, and says when a process was killed. A cluster needs no code here:
`dask.distributed.Client(...).get_executor()` is such an object, where its workers see the run
folder under the same path.
"""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from planted.errors import PlantedError, need
from planted.runs.store import ONE_THREAD

ORPHANED_S = 0.5  # seconds between looks whether the process that started this one is there


class Executor(Protocol):
    """What `planted.run(..., executor=...)` takes."""

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        """Runs `function(*args)` somewhere, and returns its future."""
        ...

    def shutdown(self) -> None:
        """Waits for what was submitted, and frees the workers."""
        ...


@contextmanager
def opened(given: Executor | None, n_jobs: int) -> Iterator[Executor]:
    """The user's executor as it is; without one, local processes that end with the block.

    Args:
        given: The user's, which is left running.
        n_jobs: More processes than this are not started.

    Raises:
        PlantedError: If it is no executor, or PLANTED_WORKERS is no number of processes.
    """
    if given is not None:
        yield checked(given)
        return
    with tempfile.TemporaryDirectory(prefix="planted-cores-") as cores:
        local = _local(min(worker_count(), max(n_jobs, 1)), Path(cores))
        try:
            yield local
        except BaseException:  # what they were at is resumed from disk: no need to wait
            local.shutdown(kill_workers=True)
            raise
        local.shutdown()


def checked(given: Any) -> Executor:
    """The user's executor.

    Raises:
        PlantedError: If it is none.
    """
    if not callable(getattr(given, "submit", None)):
        raise PlantedError(
            "An executor has `submit(function, *args)` and returns concurrent.futures.Future, "
            f"as concurrent.futures has them; got {given!r}."
        )
    found: Executor = given
    return found


def worker_count() -> int:
    """One a core that this process may use, or fewer if PLANTED_WORKERS says so.

    Raises:
        PlantedError: If PLANTED_WORKERS is no whole number from 1.
    """
    wanted = os.environ.get("PLANTED_WORKERS", str(_cores()))
    if not wanted.isdecimal() or int(wanted) < 1:
        raise PlantedError(f"PLANTED_WORKERS must be a whole number from 1, got {wanted!r}.")
    return min(int(wanted), _cores())


def _cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def worker_environment() -> dict[str, str]:
    """What a worker's environment must say before JAX and BLAS are imported: one thread each."""
    flags = os.environ.get("XLA_FLAGS", "").replace(ONE_THREAD, "").strip()
    return {
        "JAX_PLATFORMS": os.environ.get("JAX_PLATFORMS", "cpu"),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "XLA_FLAGS": f"{ONE_THREAD} {flags}".strip(),
        "NPROC": "1",  # XLA's own: with another number of threads it rounds in another order
        # a folder of a package's name where the user stands must not shadow the package
        "PYTHONSAFEPATH": "1",
    }


def _local(count: int, cores: Path) -> Any:
    loky = need("loky", "run jobs in processes")
    return loky.ProcessPoolExecutor(
        max_workers=count,
        initializer=_begin,
        initargs=(str(cores) if count == _cores() else "", os.getpid()),
        env=worker_environment(),
    )


def _begin(cores: str, parent: int) -> None:
    """First thing in a worker: leave ctrl-C to the parent, end with it, take a core if told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    if cores and hasattr(os, "sched_setaffinity"):
        _pin(Path(cores))


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(ORPHANED_S)
    os._exit(130)


def _pin(folder: Path) -> None:
    """Takes the first core that no other worker holds; the lock goes with the process."""
    import fcntl

    for core in sorted(os.sched_getaffinity(0)):
        try:
            handle = os.open(folder / str(core), os.O_CREAT | os.O_RDWR)
        except OSError:
            return
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            continue
        os.sched_setaffinity(0, {core})
        return
