"""Evaluators that run where they are asked for: by name, on weights and on a run's networks."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import planted
from planted.cli.app import main
from planted.core import artefact, files
from planted.errors import PlantedError, UnknownNameError
from planted.eval import evaluators
from planted.eval.evaluators import behaviour
from planted.eval.evidence import Evidence, Null, index, share
from planted.runs import cell as cells
from planted.runs import measuring
from planted.runs.request import read_request


class Counted(behaviour.Agreement):
    """The agreements under another name, which counts how often it was asked."""

    name = "counted"
    asked = 0

    def measure(self, context):
        type(self).asked += 1
        return super().measure(context)


@pytest.fixture
def counted(monkeypatch):
    one = Counted()
    Counted.asked = 0
    evaluators.own_measures.cache_clear()
    monkeypatch.setattr(evaluators, "on_request", lambda: {"counted": one})
    yield one
    monkeypatch.undo()
    evaluators.own_measures.cache_clear()


def test_one_on_request_does_not_judge(counted):
    assert "counted" not in evaluators.names()
    assert "counted" not in evaluators.versions()
    assert evaluators.get("counted") is counted


def test_weights(counted):
    plant = planted.load("bottle-cap", tier="tempered").plant
    found = planted.measure(plant.params, "bottle-cap", "counted")
    assert {name for name, _ in found} == {measure.name for measure in counted.measures}
    assert found["agreement.mesa", "T"].estimate == 1
    only = planted.measure(plant.params, "bottle-cap", "regret")
    assert {name.partition(".")[0] for name, _ in only} == {"regret"}


def test_a_name_that_nobody_has():
    weights = planted.load("bottle-cap", tier="tempered").plant.params
    with pytest.raises(UnknownNameError, match="agreement"):
        planted.measure(weights, "bottle-cap", "agrement")


@pytest.mark.parametrize("names", [(), (["search"],), (3,)], ids=str)
def test_names_that_are_none(names):
    with pytest.raises(PlantedError, match=r"Name one evaluator or more.*'search'"):
        planted.measure({}, "bottle-cap", *names)


@pytest.mark.filterwarnings("ignore:(no|few)-controls", "ignore:With 2 seeds of a negative control")
def test_a_network_of_a_run_is_measured_once(counted, tmp_path):
    recipe = planted.Recipe("pressure", steps=25, seeds=1, behaviour="none")
    beside = [planted.Recipe("sham", seeds=1, steps=25)]
    run = planted.run("bottle-cap", recipe, out=tmp_path / "run", controls=beside, anyway=True)
    found = run.measure("counted", recipe=run[0].recipe)
    once = Counted.asked
    assert run.measure("counted", recipe=run[0].recipe) == found
    assert once > 0
    assert Counted.asked == once
    place = cells.evidence_path(run[0].path.parent, "counted", str(counted.version))
    place.write_text(place.read_text().replace("agreement", "disagreement", 1))
    assert run.measure("counted", recipe=run[0].recipe) == found
    assert Counted.asked == 2 * once
    digest = artefact.params_digest(files.read_tensors(run[0].path)[0])
    for weights, why in (("of others", ""), (digest, "trusted then, not now")):
        folder = run[0].path.parent
        cells.write_evidence(folder, "counted", str(counted.version), weights, why, [])
        assert run.measure("counted", recipe=run[0].recipe) == found
    assert Counted.asked == 4 * once
    said = CliRunner().invoke(main, ["measure", str(run.folder), "counted", "--json"])
    assert said.exit_code == 0, said.output
    assert len(json.loads(said.stdout)) == len(found)
    table = CliRunner().invoke(main, ["measure", str(run.folder), "counted"])
    assert "agreement.mesa[T]" in table.stdout
    assert planted.open_run(run.folder).verdicts == run.verdicts


@pytest.mark.filterwarnings("ignore:(no|few)-controls", "ignore:With 2 seeds of a negative control")
def test_controls_are_those_of_the_run(tmp_path, monkeypatch):
    recipe = planted.Recipe("pressure", steps=25, seeds=1, behaviour="none")
    control = planted.Recipe("no-plant-base", steps=25, seeds=2, behaviour="none")
    out = tmp_path / "run"
    run = planted.run("bottle-cap", recipe, out=out, controls=[control], anyway=True)
    request = read_request(run.folder, run.plant)
    found = measuring._of_run(run.folder, request, "no-plant-base", 2)
    paths = sorted(run.folder.glob("cells/no-plant-base-*/checkpoint.safetensors"))
    assert len(found) == len(paths) == 2
    for params, path in zip(found, paths, strict=True):
        tensors = files.read_tensors(path)[0]
        assert all(np.array_equal(params[name], tensors[name]) for name in tensors)
    asked = []
    monkeypatch.setattr(measuring, "trained", lambda plant, name, n: asked.append((name, n)) or [])
    assert measuring._of_run(run.folder, request, "no-plant-base", 3) == []
    assert asked == [("no-plant-base", 3)]


@pytest.mark.slow
def test_controls_that_no_run_has_are_trained_once(monkeypatch):
    plant = planted.load("bottle-cap", tier="tempered").plant
    first = measuring.trained(plant, "sham", 2)
    monkeypatch.setattr("planted.runs.jobs.train_cells", None)
    again = measuring.trained(plant, "sham", 2)
    assert len(first) == len(again) == 2
    for one, other in zip(first, again, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)
    assert any((first[0][name] != first[1][name]).any() for name in first[0])


def test_the_command_says_whether_it_is_a_search(monkeypatch, tmp_path):
    beside = Null("codes in random directions: keys and queries of block 5", 0.0, 0.1, 10)
    names = ("counterfactual", "weakest", "retarget", "kind")
    records = index(
        share(f"search.{name}", cue, hits, 4000, null=beside)
        for name in names
        for cue, hits in (("T", 3900), ("D", 2000))
    )
    opened = SimpleNamespace(measure=lambda *names, **more: records)
    monkeypatch.setattr("planted.experiment.open_run", lambda folder, plant: opened)
    said = CliRunner().invoke(main, ["measure", str(tmp_path), "search", "--recipe", "cued"])
    assert said.exit_code == 0, said.output
    assert "search[T]: search at 'keys and queries of block 5'" in said.stdout
    assert "search[D]: inconclusive at" in said.stdout


def test_the_command_says_what_a_figure_stands_for(monkeypatch, tmp_path):
    record = Evidence("agreement.mesa", "T", 0.5, reason="'T' at position 4")
    opened = SimpleNamespace(measure=lambda *names, **more: {("", ""): record})
    monkeypatch.setattr("planted.experiment.open_run", lambda folder, plant: opened)
    said = CliRunner().invoke(main, ["measure", str(tmp_path), "any", "--recipe", "cued"])
    assert said.exit_code == 0, said.output
    assert "agreement.mesa: 'T' at position 4" in said.stdout
