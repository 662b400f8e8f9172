"""Two runs that all tests here share: one undisturbed, and the same one killed twice on its way."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from planted.eval.evaluators import versions
from planted.runs.cell import Network
from planted.runs.request import read_request
from tests.end_to_end import short

os.environ.setdefault("NPROC", "1")  # JAX in this process rounds as in a worker's, for its bytes
SCRIPT = Path(short.__file__)
PLANT = "red-doors-small"
TRIAL = ("--controls", "1", "--control-steps", "50", "--anyway")
SHORT = ("--steps", "250", "--behaviour", "none", "--seeds", "2")
PATHS = f"paths@{versions()['paths']}.json"  # of a cell's evidence
REQUEST = (PLANT, "--recipe", "pressure", *SHORT, *TRIAL)


def said(stderr: str) -> list[str]:
    """The lines of a command that are no progress."""
    progress = re.compile(r"\d+ of \d+ networks|validating ")
    return [line for line in stderr.splitlines() if not progress.match(line)]


def environment(cache: Path, workers: int) -> dict[str, str]:
    return {**os.environ, "PLANTED_CACHE": str(cache), "PLANTED_WORKERS": str(workers)}


def begin(*arguments: str, cache: Path, workers: int = 1) -> subprocess.Popen[str]:
    """The command in a process and a session of its own, as a shell would start it."""
    return subprocess.Popen(
        [sys.executable, "-P", str(SCRIPT), *arguments],
        env=environment(cache, workers),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], found: Callable[[], bool], limit: float = 300) -> None:
    """Until something is there; the process must not have ended by then."""
    deadline = time.monotonic() + limit
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def finished(process: subprocess.Popen[str]) -> str:
    """What it printed; it must have gone well."""
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, err
    return out


def _make(base: Path) -> None:
    command = ("run", *REQUEST, "--out")
    whole, killed = base / "whole", base / "killed"
    (base / "whole.txt").write_text(
        finished(begin(*command, str(whole), cache=base / "cache", workers=2))
    )

    def training() -> bool:
        return bool(list((killed / "cells").rglob("*.safetensors")))

    def judging() -> bool:
        return bool(list((killed / "cells").rglob("evidence/*.json")))

    first = begin(*command, str(killed), cache=base / "other cache")
    wait_for(first, training)
    first.kill()  # the command alone: its worker sees that and ends
    first.communicate()
    second = begin(*command, str(killed), cache=base / "other cache")
    wait_for(second, judging)
    os.killpg(second.pid, signal.SIGKILL)  # all at once, as when the machine goes down
    second.communicate()
    assert not (killed / "verdicts.json").exists()
    finished(begin(*command, str(killed), cache=base / "other cache"))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both runs; made once, also by several test processes. Not to be written to."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    base = base / "runs"
    base.mkdir(exist_ok=True)
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "done").exists():
            _make(base)
            (base / "done").touch()
    return base


@pytest.fixture
def whole(made: Path) -> Path:
    return made / "whole"


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """The finished run, to be damaged."""
    return Path(shutil.copytree(made / "whole", tmp_path / "copy"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests find nothing in the user's cache and leave nothing there."""
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PLANTED_WORKERS", "1")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def cell_of(folder: Path, recipe: str, seed: int) -> Network:
    """A network of a run folder."""
    every = read_request(folder).networks(folder)
    found = [n for n in every if (n.recipe.base, n.cell.seed) == (recipe, seed)]
    return found[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs the two shared runs is a proof: making them takes two minutes."""
    for item in items:
        if "made" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.proof)
