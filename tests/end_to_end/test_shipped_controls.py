"""A run beside shipped controls: what is trained, what stands beside it, what follows damage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import experiment, library
from planted.core import files
from planted.eval import evaluators
from planted.eval.calibration import shipped
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence
from planted.eval.measures import Measure
from planted.finetune.recipes import Recipe
from planted.runs import nulls
from planted.runs.request import CONTROLS, read_request
from planted.runs.work import work
from tests.end_to_end.conftest import PLANT, contents
from tests.end_to_end.short import Inline
from tools import controls as tool

pytestmark = [
    pytest.mark.proof,
    pytest.mark.filterwarnings("ignore:few-controls"),
    pytest.mark.filterwarnings("ignore:no-controls"),
]
SHORT = Recipe("pressure", steps=50, behaviour="none", seeds=1)
TWO = {name: Recipe(name, steps=50, behaviour="none") for name in ("no-plant-base", "sham")}


class Weight:
    """An evaluator that takes no time, of a figure that stands beside negative controls."""

    name, version, needs_validation = "weight", 1, False
    measures = (
        Measure(
            name="weight.mean",
            label="mean weight",
            unit="size",
            direction="High: large weights.",
            family="weight",
            explanation="Mean size of the unembedding.",
            null="negative controls",
            per_cue=False,
        ),
    )

    def measure(self, context: Context) -> list[Evidence]:
        mean = float(np.abs(context.checkpoint.params["unembed.W_U"]).mean())
        return [Evidence("weight.mean", context.cue_name, mean)]


@pytest.fixture(autouse=True)
def _short_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two controls of fifty steps, of which a release ships three networks each; two evaluators."""
    few = {"agreement": evaluators.get("agreement"), "weight": Weight()}
    monkeypatch.setattr(evaluators, "own", lambda: few)
    settings = {name: recipe.settings for name, recipe in TWO.items()}
    monkeypatch.setattr(nulls, "ARMS", settings)
    monkeypatch.setattr(tool, "ARMS", settings)
    monkeypatch.setattr(nulls, "CONTROL_SEEDS", 3)


def run(folder: Path, recipes: Any = SHORT, **more: Any) -> tuple[planted.experiment.Run, Inline]:
    executor = Inline()
    return planted.run(PLANT, recipes, out=folder, anyway=True, executor=executor, **more), executor


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `tools.controls` makes of a run folder, where `planted` looks for what is shipped."""
    own = [recipe.changed(seeds=3) for recipe in TWO.values()]
    run(tmp_path / "source", controls=own)
    plant = library.get(PLANT, "tempered")
    trust, folder = dict(library.trust(plant)), tmp_path / "kept"
    networks = [
        network
        for asked in read_request(tmp_path / "source").controls
        for network in tool.networks_of(asked, tool.artefact.plant_digest(plant), folder)
    ]
    assert all(tool.adopt(network, [tmp_path / "source"]) for network in networks)
    version = networks[0].folder / "evidence" / "weight@0.json"
    next((networks[0].folder / "evidence").glob("weight@*.json")).rename(version)
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "empty"))
    executor = Inline()
    work(plant, networks, trust=trust, executor=executor)
    assert executor.jobs == ["judge_cell"], "an evaluator of another version needs no training"
    table = tool.table_of(plant, networks, trust)
    place, find = tmp_path / "release", shipped.find
    shipped.write(place / f"{PLANT}.jsonl", table)
    monkeypatch.setattr(shipped, "find", lambda plant: find(plant, place))
    return place


def test_a_run_beside_shipped_controls(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, executor = run(tmp_path / "run")
    assert executor.jobs.count("train_cells") == 1 + 2 * 2
    assert [(one.recipe, one.seed) for one in first.negative_controls] == [
        ("no-plant-base", 3),
        ("no-plant-base", 4),
    ]
    assert first.nulls.startswith(
        "3 shipped networks of each control and 2 trained here, which lie"
    )
    assert first[0].nulls.startswith(f"{first.nulls} (")
    page = (tmp_path / "run" / "report.html").read_text()
    assert first.nulls in str(first)
    assert first.nulls in page
    assert "p = " in page or "within the range of the shipped ones" in page
    source = planted.open_run(tmp_path / "source")
    assert source.nulls == "3 networks of each control, trained here"
    # the same figure beside all networks that there are, whoever trained them
    own = [run[name][seed] for run in (source, first) for name, seed in _seeds(run)]
    values = [one.evidence["weight.mean"].estimate for one in own]
    found = first[0].evidence["weight.mean"].null
    assert found is not None
    assert found.n <= 5
    assert min(values) <= found.lo <= found.hi <= max(values)
    sham = first[0].evidence["agreement.mesa[T]"].null
    assert sham is not None
    assert sham.n == 5
    note = files.read_signed(tmp_path / "run" / "nulls.json")
    assert (note["says"], note["refused"], note["check"]["level"]) == (first.nulls, "", 0.05)

    before = contents(tmp_path / "run")
    again, executor = run(tmp_path / "run")
    assert executor.jobs == []
    assert again.verdicts == first.verdicts
    assert {k for k, v in contents(tmp_path / "run").items() if before[k] != v} <= {"timings.json"}
    other, _ = run(tmp_path / "other")
    assert {k for k, v in contents(other.folder).items() if before.get(k) != v} <= {"timings.json"}
    assert "controls" not in first.compare(other).requests
    assert source.compare(first).requests["controls.sham.shipped"][0] == "–"

    altered = (tmp_path / "run" / CONTROLS).read_bytes()
    (tmp_path / "run" / CONTROLS).write_bytes(altered[:-20])
    with pytest.warns(UserWarning, match="not used: the shipped records that the run began with"):
        alone, executor = run(tmp_path / "run")
    done = sorted(executor.jobs)
    assert done == ["judge_cell"] * 2 + ["train_cells"] * 2, "one more network of each"
    assert alone.nulls.startswith("3 networks of each control, trained here (the shipped records")
    assert alone[0].evidence["agreement.mesa[T]"].null.n == 3
    listed = json.loads((tmp_path / "run" / "run.json").read_text())["controls"]
    assert [(each["first"], each["seeds"], each["shipped"]) for each in listed] == [
        (3, 3, None)
    ] * 2

    params = first[0].params
    result = planted.evaluate(params, PLANT, executor=Inline(), anyway=True)
    assert result.nulls == first[0].nulls
    assert result.evidence["agreement.mesa[T]"].null == sham

    _the_tool_makes_the_same(release, tmp_path, monkeypatch)


def _the_tool_makes_the_same(
    release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool, "KEPT", tmp_path / "build")
    monkeypatch.setattr(tool, "SHIPPED", tmp_path / "made")
    monkeypatch.setattr(tool, "Recipe", lambda arm, seeds: TWO[arm].changed(seeds=seeds))
    lacking = tool.make(PLANT, 4, [tmp_path / "source"], train=False)
    assert lacking == "6 of 8 networks are there; no file"
    assert tool.make(PLANT, 3, [tmp_path / "source"], train=True).startswith("6 of 6 networks")
    made = (tmp_path / "made" / f"{PLANT}.jsonl").read_bytes()
    assert made == (release / f"{PLANT}.jsonl").read_bytes()


def _seeds(run: experiment.Run) -> list[tuple[str, int]]:
    return [("no-plant-base", at) for at in range(len(run["no-plant-base"]))]
