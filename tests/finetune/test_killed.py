"""A training process that is killed from outside, and the same command again."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from planted import library
from planted.finetune.recipe import Recipe
from planted.finetune.trainer import checkpoint_path

COMMAND = """
import sys
from pathlib import Path
from planted import library
from planted.finetune.recipe import Recipe
from planted.finetune.trainer import finetune
plant = library.get("red-doors", "tempered")
finetune(plant, Recipe("pressure", steps=600), [0, 1], Path(sys.argv[1]))
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-P", "-c", COMMAND, str(folder)])


def test_sigkill_then_the_same_command_ends_in_the_same_bytes(tmp_path: Path) -> None:
    library.get("red-doors", "tempered")
    recipe = Recipe("pressure", steps=600)
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    process = start(killed)
    deadline = time.monotonic() + 240
    while not list(killed.rglob("state.safetensors")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not checkpoint_path(killed, recipe, 0).exists()
    assert start(killed).wait() == 0
    assert start(whole).wait() == 0
    for seed in (0, 1):
        paths = [checkpoint_path(folder, recipe, seed) for folder in (killed, whole)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
    assert not list(killed.rglob("state.safetensors"))
