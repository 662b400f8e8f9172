"""How far a run is: counted, and estimated from how long networks took so far."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from planted.finetune.recipes import Recipe
from planted.runs.cell import Cell, Network
from planted.runs.progress import JUDGING, Count, sentence


def networks(name: str, seeds: int) -> list[Network]:
    recipe = Recipe(name)
    return [
        Network(name, recipe, Cell("plant", recipe.settings, seed), Path(f"{name}-{seed}"))
        for seed in range(seeds)
    ]


def test_networks_are_expected_to_take_as_many_steps_as_those_that_were_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    said: list[Mapping[str, Any]] = []
    some, others = networks("read-out", 4), networks("pressure", 1)
    count = Count([*some, *others], said.append)
    for network in [*some, *others]:
        count.expect("train", network)
    count.begin()
    assert (said[-1]["done"], said[-1]["total"], said[-1]["left_s"]) == (0, 5, None)
    clock[0] = 10.0
    count.finished("train", some[0], steps=500)  # of the 4000 at most
    most = {name: Recipe(name).settings.steps for name in ("read-out", "pressure")}
    share = 500 / most["read-out"]  # of the largest number: pressure is expected to take as much
    rest = 3 * 500 + share * most["pressure"]
    assert said[-1]["left_s"] == pytest.approx(10 / 500 * rest, abs=0.1)
    assert sentence(said[-1]).startswith("1 of 5 networks; next: read-out; about ")
    clock[0] = 20.0
    for network in some[1:]:
        count.finished("train", network, steps=500)
    count.expect("judge", some[0])
    count.finished("judge", some[0])
    worked = 2000 + JUDGING
    assert said[-1]["left_s"] == pytest.approx(20 / worked * share * most["pressure"], abs=0.1)
