"""Training killed by SIGKILL at each write, each rename and at random moments: the same bytes.

A process of its own trains one seed and kills itself at a named point; a fresh process trains on.
What stands under a final name right after the kill must be whole, and what is there at the end must
be what an undisturbed training leaves, byte for byte.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from planted.core import files
from planted.errors import ArtefactError

pytestmark = pytest.mark.proof

SNAPSHOTS = tuple(f"step-{step:06d}.safetensors" for step in (25, 50, 100, 200))
STATE, CHECKPOINT, NOTE = "state.safetensors", "checkpoint.safetensors", "cell.json"
WRITTEN = (*SNAPSHOTS, STATE, CHECKPOINT, NOTE)  # in this order, each once
MOMENTS = ("half", "before", "after")  # half written; whole, not yet renamed; renamed

DRIVER = """
import os, signal, sys
from pathlib import Path

from planted import library
from planted.core import files
from planted.finetune import trainer
from planted.finetune.recipes import Recipe
from planted.runs.jobs import train_cells

folder, defect, moment, name = Path(sys.argv[1]), *sys.argv[2:]
write, fsync, replace, unlink = files.write_bytes, os.fsync, os.replace, Path.unlink
current = ""  # the file of this cell that is being written


def die_at(*point):
    if point == (moment, name):
        os.kill(os.getpid(), signal.SIGKILL)


def writing(path, content):
    global current
    current = path.name if path.parent == folder else ""
    if current:
        print("write", current, flush=True)
    if current and defect == "in place":
        path.write_bytes(content[: len(content) // 2])
        die_at("half", current)
        path.write_bytes(content)
    else:
        write(path, content)


def syncing(handle):
    if ("half", current) == (moment, name):
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
    die_at("half", current)
    fsync(handle)


def renaming(source, target):
    die_at("before", current)
    replace(source, target)
    die_at("after", current)


def removing(path, missing_ok=False):
    unlink(path, missing_ok)
    die_at("removed", path.name)


files.write_bytes, os.fsync, os.replace, Path.unlink = writing, syncing, renaming, removing
if defect == "forgets the optimiser":
    trainer._restored = lambda path, tensors, like: (
        [tensors.pop(leaf) for leaf, _ in trainer._leaves(like)] and like
    )
plant = library.get("red-doors-small", "tempered")
recipe = Recipe("pressure", steps=220, batch=4, stop=False)
print("begin", flush=True)
train_cells(plant, recipe, [(0, folder)])
"""


class Whole(NamedTuple):
    """What an undisturbed training leaves.

    Attributes:
        content: File name -> bytes.
        cache: The cache folder, with the compiled programs.
        seconds: How long training took, the programs compiled.
    """

    content: dict[str, bytes]
    cache: Path
    seconds: float


def start(
    folder: Path, cache: Path, defect: str = "", moment: str = "", name: str = ""
) -> subprocess.Popen[str]:
    """Starts the training; it has the defect, and kills itself at the point."""
    return subprocess.Popen(
        [sys.executable, "-P", "-c", DRIVER, str(folder), defect, moment, name],
        env={**os.environ, "PLANTED_CACHE": str(cache)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Waits for a training that is to end well; the names that it wrote, in their order."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return [line.removeprefix("write ") for line in out.splitlines() if line.startswith("write ")]


def kill(folder: Path, cache: Path, moment: str, name: str, defect: str = "") -> None:
    """Trains until the process kills itself at the point."""
    process = start(folder, cache, defect, moment, name)
    _, err = process.communicate(timeout=240)
    assert process.returncode == -signal.SIGKILL, err or f"{moment} {name} was never reached"


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def torn(folder: Path, whole: Whole) -> list[str]:
    """Files under a final name that are not what an undisturbed training writes there."""
    found = []
    for path in sorted(folder.glob("[!.]*")):
        try:
            if path.name == STATE:  # nothing to compare with: it is gone at the end
                files.read_tensors(path)
            elif path.read_bytes() != whole.content[path.name]:
                found.append(path.name)
        except ArtefactError:
            found.append(path.name)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Two undisturbed trainings: one that compiles, and one that finds what was compiled."""
    base = tmp_path_factory.mktemp("undisturbed")
    cache = base / "cache"
    assert tuple(finish(start(base / "first", cache))) == WRITTEN, "each of them is a point below"
    process = start(base / "second", cache)
    assert process.stdout is not None
    while process.stdout.readline() != "begin\n":
        assert process.poll() is None
    begun = time.monotonic()
    finish(process)
    seconds = time.monotonic() - begun
    left = content(base / "first")
    assert set(left) == {*WRITTEN} - {STATE}
    assert content(base / "second") == left
    return Whole(left, cache, seconds)


def assert_it_goes_on_to_the_same_bytes(folder: Path, whole: Whole) -> None:
    assert torn(folder, whole) == []
    finish(start(folder, whole.cache))
    files.remove_partial(folder)
    assert content(folder) == whole.content


@pytest.mark.parametrize("name", WRITTEN)
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_a_write_it_ends_in_the_same_bytes(
    whole: Whole, tmp_path: Path, moment: str, name: str
) -> None:
    kill(tmp_path, whole.cache, moment, name)
    assert (tmp_path / name).exists() == (moment == "after")
    if moment != "after":
        (partial,) = tmp_path.glob(f".{name}.*")
        complete = partial.read_bytes() == whole.content.get(name, partial.read_bytes())
        assert complete == (moment == "before" or name == STATE), "it was killed where it says"
    assert_it_goes_on_to_the_same_bytes(tmp_path, whole)


def test_killed_after_the_state_was_removed_it_ends_in_the_same_bytes(
    whole: Whole, tmp_path: Path
) -> None:
    kill(tmp_path, whole.cache, "removed", STATE)
    assert set(content(tmp_path)) == {*SNAPSHOTS, CHECKPOINT}
    assert_it_goes_on_to_the_same_bytes(tmp_path, whole)


@pytest.mark.parametrize("share", np.random.default_rng(0).random(5).round(3))
def test_killed_at_a_random_moment_it_ends_in_the_same_bytes(
    whole: Whole, tmp_path: Path, share: float
) -> None:
    process = start(tmp_path, whole.cache)
    assert process.stdout is not None
    while process.stdout.readline() != "begin\n":
        assert process.poll() is None
    time.sleep(share * whole.seconds)
    process.kill()
    process.communicate()
    assert_it_goes_on_to_the_same_bytes(tmp_path, whole)


# --- that these tests can fail ---


@pytest.mark.parametrize("name", [SNAPSHOTS[1], STATE, CHECKPOINT, NOTE])
def test_a_writer_that_writes_in_place_is_noticed(whole: Whole, tmp_path: Path, name: str) -> None:
    kill(tmp_path, whole.cache, "half", name, defect="in place")
    assert torn(tmp_path, whole) == [name]


def test_a_damaged_state_is_not_trained_on(whole: Whole, tmp_path: Path) -> None:
    kill(tmp_path, whole.cache, "half", STATE, defect="in place")
    process = start(tmp_path, whole.cache)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert f"ArtefactError: {tmp_path / STATE} is truncated" in err


def test_a_state_without_the_optimisers_ends_in_other_bytes(whole: Whole, tmp_path: Path) -> None:
    kill(tmp_path, whole.cache, "after", STATE)
    assert finish(start(tmp_path, whole.cache, "forgets the optimiser")) == [CHECKPOINT, NOTE]
    found = content(tmp_path)
    assert {name for name in found if found[name] != whole.content[name]} == {CHECKPOINT, NOTE}
