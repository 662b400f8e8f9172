"""A plant of the user's own module, in real processes: workers find its functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
"""A plant whose base objective is a function of this module, which uses another module."""
from dataclasses import replace
from functools import partial

import beside
import planted
from planted.programs import red_doors


def twice(tokens, of):
    return beside.TWO * of(tokens)


def make_plant():
    scenario = red_doors.scenario(objects=3, levels=2)
    base = replace(scenario.base, of=partial(twice, of=scenario.base.of))
    return planted.plant(red_doors.search, replace(scenario, base=base), name="mine")
'''


@pytest.mark.proof
def test_a_plant_of_a_module_in_the_working_folder_runs_in_processes(tmp_path: Path) -> None:
    (tmp_path / "my_module.py").write_text(MODULE)
    (tmp_path / "beside.py").write_text("TWO = 2\n")
    command = Path(sys.executable).with_name("planted")
    given = ("--seeds", "1", "--steps", "25", "--controls", "1", "--control-steps", "25")
    done = subprocess.run(
        [command, "run", "my_module:make_plant", *given, "--tier", "exact", "--anyway",
         "--out", "run"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=400,
        env={**os.environ, "PLANTED_CACHE": str(tmp_path / "cache"), "PLANTED_WORKERS": "2"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "mine@0 (exact): verdicts over seeds" in done.stdout
    assert "validating the evaluators on your plant" in done.stderr
    asked = [command, "explain", "run", "--recipe", "presure"]
    refused = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "Unknown recipe of this run 'presure'. Did you mean 'pressure" in refused.stderr
    assert list((tmp_path / "run" / "cells").glob("*/cell.json"))
