"""An interrupt from the keyboard: one message, code 2, no rest, and the same command goes on."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.end_to_end.conftest import REQUEST, begin, finished, said, wait_for

TRAIN = ("finetune", "--plant", *REQUEST)


@pytest.mark.parametrize("to_all", [True, False], ids=["as a terminal does", "the command alone"])
def test_ctrl_c_while_training_says_so_and_resumes_to_the_same_bytes(
    made: Path, tmp_path: Path, to_all: bool
) -> None:
    folder, cache = tmp_path / "run", tmp_path / "compiled"
    shutil.copytree(made / "other cache" / "xla", cache / "xla")
    process = begin(*TRAIN, str(folder), cache=cache)
    wait_for(process, lambda: bool(list(folder.rglob("*.safetensors"))[1:]))  # beside the plant's
    if to_all:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert out == ""
    assert said(err)[1:] == [
        "Interrupted. What was finished is kept; running the same command again resumes."
    ], "after what was known before training"
    left = [path for path in folder.rglob(".*") if path.is_file()]
    assert left == [], "no half-written file stays behind"
    assert len(list(folder.rglob("checkpoint.*"))) < 6, "it was in the middle"
    finished(begin(*TRAIN, str(folder), cache=cache))
    whole = made / "whole" / "cells"
    expected = {path.relative_to(whole): path.read_bytes() for path in whole.rglob("*.safetensors")}
    found = folder / "cells"
    assert {p.relative_to(found): p.read_bytes() for p in found.rglob("*.safetensors")} == expected
