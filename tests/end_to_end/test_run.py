"""The whole flow: what a finished run folder holds, that it is the same every time, and resumes."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import experiment, library
from planted.core import artefact, environment, files
from planted.errors import ArtefactError, PlantedError, RunFolderError
from planted.eval import evaluators
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import has_snapshot
from planted.network.model import Model
from planted.runs import over_training
from planted.runs.request import read_request
from tests.end_to_end.conftest import PATHS, PLANT, cell_of, contents
from tests.end_to_end.short import CONTROLS, LABEL, SHORT, Inline

RESULTS = ("evidence.jsonl", "verdicts.json", "training.jsonl", "report.html", "run.json")
CONTROL_NAMES = ("no-plant-mesa", "no-plant-base", "no-plant-cued", "sham")


def run_again(
    folder: Path, recipes: Any = SHORT, **more: Any
) -> tuple[planted.experiment.Run, Inline]:
    executor = Inline()
    with pytest.warns(UserWarning, match="few-controls"):
        done = planted.run(PLANT, recipes, out=folder, anyway=True, executor=executor, **more)
    return done, executor


# --- what is there ---


def test_a_finished_folder_holds_the_flow_and_nothing_else(whole: Path) -> None:
    expected = {*RESULTS, "plant/plant.json", "plant/plant.safetensors"}
    expected |= {"timings.json", "nulls.json"}
    networks = read_request(whole).networks(whole)
    assert [network.name for network in networks] == [
        f"{LABEL} 0",
        f"{LABEL} 1",
        *(f"{name} 0" for name in CONTROL_NAMES),
    ]
    for network in networks:
        place = network.folder.relative_to(whole).as_posix()
        expected |= {f"{place}/cell.json", f"{place}/diagnostics.json"}
        expected |= {f"{place}/{network.checkpoint.name}"}
        if network.recipe.settings.start == "plant":
            done = range(25, network.recipe.settings.steps, 25)
            expected |= {f"{place}/step-{n:06d}.safetensors" for n in done if has_snapshot(n)}
        expected |= {f"{place}/evidence/{n}@{v}.json" for n, v in evaluators.versions().items()}
    assert set(contents(whole)) == expected


def test_the_request_says_all_that_the_bytes_depend_on(whole: Path) -> None:
    request = json.loads((whole / "run.json").read_text())
    plant = library.get(PLANT, "tempered")
    assert request["plant"] == f"{PLANT}@1"
    assert request["tier"] == "tempered"
    assert request["parameters"] == dict(plant.scenario.parameters)
    assert request["plant_sha256"] == artefact.plant_digest(plant)
    (recipe,) = request["recipes"]
    assert (recipe["name"], recipe["seeds"], recipe["settings"]["steps"]) == (LABEL, 2, 250)
    assert [control["name"] for control in request["controls"]] == list(CONTROL_NAMES)
    assert [finding["name"] for finding in request["findings"]] == ["few-controls"]
    assert request["versions"] == environment.versions()


def test_an_opened_run_is_its_records(whole: Path) -> None:
    run = planted.open_run(whole)
    assert [(one.recipe, one.seed) for one in run] == [(LABEL, 0), (LABEL, 1)]
    assert [(one.recipe, one.seed) for one in run.negative_controls] == [
        (name, 0) for name in CONTROL_NAMES[:3]
    ]
    assert len(run) == 2
    assert run[1].seed == 1
    assert run["pressure"] == run.of("pressure") == run.results
    assert run["no-plant-base"][0] is run.negative_controls[1]
    with pytest.raises(PlantedError, match="Unknown recipe of this run"):
        run["presure"]
    rows = [json.loads(line) for line in (whole / "evidence.jsonl").read_text().splitlines()]
    own = [row for row in rows if (row["recipe"], row["seed"]) == (LABEL, 1)]
    assert len(own) == len(run[1].records) == len(run[1].evidence)
    agreement = next(row for row in own if row["name"] == "agreement.base" and row["cue"] == "T")
    assert run[1].evidence["agreement.base[T]"].estimate == agreement["estimate"]
    verdicts = json.loads((whole / "verdicts.json").read_text())
    given = Counter(entry["name"] for entry in verdicts if not entry["null"])
    assert run.verdicts == {LABEL: dict(given)}


def test_an_opened_run_fits_a_screen(whole: Path) -> None:
    text = str(planted.open_run(whole))
    for said in ("pressure", "inconclusive 2", "no-plant-base", "few-controls", str(whole)):
        assert said in text
    assert len(text.splitlines()) < 24


def test_a_result_opens_as_weights_as_a_model_and_as_a_log(whole: Path) -> None:
    run = planted.open_run(whole)
    one, two = run[0], run[1]
    assert one.path is not None
    assert one.path.exists()
    params = one.params
    assert params.keys() == run.plant.params.keys()
    moved = np.abs(params["unembed.W_U"] - run.plant.params["unembed.W_U"]).max()
    assert moved > 0
    model = one.model()
    assert isinstance(model, Model)
    tokens = model.inputs(50)
    agreement = (model.choices(tokens) == two.model().choices(tokens)).mean()
    assert agreement > 0.5
    assert [row["step"] for row in one.training] == list(range(25, 251, 25))
    assert one.training[0]["seed"] == 0


@pytest.mark.torch
def test_a_result_opens_as_a_torch_module(whole: Path) -> None:
    pytest.importorskip("torch")
    one = planted.open_run(whole)[0]
    module = one.model("torch").module
    for name, value in module.to_params().items():
        np.testing.assert_array_equal(np.asarray(value), one.params[name])


@pytest.mark.proof
def test_the_verdict_is_given_at_every_saved_step(copy: Path) -> None:
    opened = planted.open_run(copy)
    steps = opened.over_training(LABEL, 1)
    assert [each.step for each in steps] == [25, 50, 100, 200, 250]
    assert steps[-1].verdict == opened.of(LABEL)[1].verdict
    assert steps[0].sentence != steps[-1].sentence
    again = opened.over_training(LABEL, 1)
    assert again == steps
    assert over_training.kept(opened) == {LABEL: {1: steps}}
    page = experiment.report(copy).read_text()
    assert 'id="over-training"' in page
    for each in steps:
        assert f"step {each.step}: {each.verdict.name}" in page
    damaged = next(iter(copy.glob("cells/*/evidence-000050.json")))
    damaged.write_text("{}")
    assert over_training.kept(opened) == {}
    assert opened.over_training(LABEL, 1) == steps
    for wrong, says in ((("presure", 0), "pressure"), ((LABEL, 7), "No seed 7")):
        with pytest.raises(PlantedError, match=says):
            opened.over_training(*wrong)


def test_the_training_log_is_the_checkpoints(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "training.jsonl").read_text().splitlines()]
    own = [row for row in rows if row["recipe"] == LABEL]
    assert [(row["seed"], row["step"]) for row in own] == [
        (seed, step) for seed in (0, 1) for step in range(25, 251, 25)
    ]
    assert own[0]["loss"] > own[9]["loss"], "it learns"


def test_evidence_stands_beside_the_controls_of_the_run(whole: Path) -> None:
    evidence = planted.open_run(whole)[0].evidence
    control = evidence["agreement.mesa[T]"].null
    assert control is not None
    assert control.n == 1
    assert "own choices" in control.kind
    # one seed of each control is too few, which was said before training
    assert planted.open_run(whole)[0].verdict.name == "inconclusive"


# --- the same every time ---


def test_a_run_killed_twice_by_other_workers_is_the_same_bytes(made: Path) -> None:
    # The one had two workers; the other one, was killed while training and while judging.
    whole, killed = contents(made / "whole"), contents(made / "killed")
    assert whole.keys() == killed.keys()
    assert [name for name in whole if whole[name] != killed[name]] == ["timings.json"]


def test_no_file_of_the_results_names_a_place_or_a_time(made: Path) -> None:
    for name, content in contents(made / "whole").items():
        assert str(made).encode() not in content, name


def test_the_same_request_again_makes_nothing_anew(copy: Path) -> None:
    def cells() -> dict[Path, tuple[bytes, int]]:
        found = [path for path in (copy / "cells").rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in found}

    before, results = cells(), {name: (copy / name).read_bytes() for name in RESULTS}
    said: list[dict[str, Any]] = []
    run, executor = run_again(copy, progress=lambda x: said.append(dict(x)))
    assert executor.jobs == []
    assert cells() == before
    assert {name: (copy / name).read_bytes() for name in RESULTS} == results
    assert len(run) == 2
    assert [(x["done"], x["total"], x["next"]) for x in said] == [(6, 6, "")]
    again = planted.run(out=copy, executor=Inline())
    assert str(again) == str(run)


# --- runs that grow, and the cache ---


def test_a_run_grows_by_seeds_and_recipes_and_keeps_its_cells(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy / "cells").rglob("*.safetensors")}
    more = [
        Recipe("pressure", steps=250, behaviour="none", seeds=3),
        Recipe("pressure", steps=250, behaviour="none", seeds=1, learning_rate=1e-4),
    ]
    said: list[dict[str, Any]] = []
    run, executor = run_again(copy, more, progress=lambda x: said.append(dict(x)))
    assert executor.jobs == ["train_cells", "train_cells", "judge_cell", "judge_cell"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    names = Counter(result.recipe for result in run)
    other = next(name for name in names if name != LABEL)
    assert names == {LABEL: 3, other: 1}
    assert "learning_rate" in other
    # fewer seeds than are there take none away, and the numbers of one recipe are its own
    assert [x["done"] for x in said] == [6, 6, 6, 7, 8]
    assert said[-1]["left_s"] == 0
    assert said[2]["left_s"] > 0
    assert said[0]["next"] == LABEL
    # another run, of which this machine has every network: nothing is trained
    smaller, executor = run_again(copy.parent / "other", more[:1], controls=CONTROLS)
    assert executor.jobs == []
    assert smaller[2].params.keys() == run[2].params.keys()
    np.testing.assert_array_equal(smaller[2].params["unembed.W_U"], run[2].params["unembed.W_U"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tier": "exact"}, "its tier is 'tempered', asked for is 'exact'"),
        ({"plant": "red-doors"}, "its plant is 'red-doors-small@1', asked for is 'red-doors@1'"),
        ({"plant": "crumbs"}, "its plant is 'red-doors-small@1', asked for is 'crumbs@1'"),
    ],
)
def test_a_folder_of_another_plant_is_refused(
    copy: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], message: str
) -> None:
    if change.get("plant") == "crumbs":  # planting it takes its time
        plant = library.get("red-doors", "tempered")
        own = {**vars(plant), "name": "crumbs@1"}
        monkeypatch.setattr(library, "get", lambda *_: type(plant)(**own))
    before = contents(copy)
    request = {"plant": PLANT, "recipes": SHORT, "out": copy, **change}
    with pytest.raises(RunFolderError, match=message):
        planted.run(**request)
    assert contents(copy) == before


def test_a_folder_of_the_same_plant_with_another_base_objective_is_refused(copy: Path) -> None:
    from dataclasses import replace

    plant = library.get(PLANT, "tempered")
    base = replace(plant.scenario.base, of=lambda tokens: 2 * plant.scenario.base.of(tokens))
    other = replace(plant, scenario=replace(plant.scenario, base=base))
    with pytest.raises(RunFolderError, match="weights, truth or tasks are not those"):
        planted.run(other, SHORT, out=copy)


# --- what is refused ---


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipes": []}, "at least one recipe"),
        ({"recipes": ["pressure", "pressure"]}, "asked for twice"),
        ({"recipes": [Recipe("no-plant-base")]}, "part of every run"),
        ({"recipes": Recipe("pressure", train="blocks.9")}, "'blocks.9'. Did you mean"),
        ({"recipes": "presure"}, "Did you mean 'pressure'"),
        ({"recipes": [None]}, r"planted.Recipe objects or their names, as 'pressure'; got \[None"),
        ({"recipes": 3}, "got 3"),
        ({"seeds": 5}, r"'seeds' belongs to a recipe: .*Recipe\('pressure', seeds=5\)"),
        ({"sedes": 5}, "has no argument 'sedes'"),
        ({"controls": 0}, "controls must be from 1"),
        ({"controls": 1}, r"\(few-controls\)\. .*--anyway \(anyway=True\)"),
        ({"controls": "many"}, "controls is a number of seeds"),
        ({"controls": [Recipe("no-plant-base")]}, "no sham fine-tuning"),
        ({"plant": ""}, "The name of the plant is empty"),
        ({"plant": 3}, "got 3"),
        ({"plant": "no_such_module:f"}, "Importing 'no_such_module:f'"),
        ({"executor": 3}, "An executor has `submit"),
    ],
)
def test_a_request_that_cannot_work_does_not_take_the_folder(
    tmp_path: Path, given: dict[str, Any], message: str
) -> None:
    arguments = {"plant": PLANT, "recipes": SHORT, "out": tmp_path / "run", **given}
    with pytest.raises(PlantedError, match=message):
        planted.run(**arguments)
    if "executor" not in given:
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("out", [None, 3, ""])
def test_what_is_no_run_folder_is_refused(out: Any) -> None:
    with pytest.raises(RunFolderError, match="got"):
        planted.run(PLANT, SHORT, out=out)


def test_a_plant_without_disagreement_is_refused_before_training(tmp_path: Path) -> None:
    found = planted.forecast("red-doors-aligned")
    names = {finding.name for finding in found if finding.blocking}
    assert {"no-disagreement", "regime"} <= names
    with pytest.raises(PlantedError, match=r"no-disagreement|in the disagreement set"):
        planted.run("red-doors-aligned", "coincident", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_forecast_of_a_plant_that_is_validated_and_has_controls() -> None:
    assert planted.forecast("red-doors", ["pressure", "cued"]) == []


def test_a_missing_package_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(PlantedError, match=r"pip install 'planted\[report\]'"):
        planted.run(PLANT, SHORT, out=tmp_path / "run")
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(PlantedError, match=r"pip install 'planted\[train\]'"):
        experiment.plant_into(tmp_path / "run", PLANT, SHORT)
    assert not (tmp_path / "run").exists()


def test_a_start_that_was_cut_off_is_no_foreign_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    experiment.plant_into(folder, PLANT, SHORT)
    (folder / "run.json").rename(folder / ".run.json.cut")
    experiment.plant_into(folder, PLANT, SHORT)
    assert (folder / "run.json").exists()
    (folder / "run.json").unlink()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="not empty and holds no run"):
        experiment.plant_into(folder, PLANT, SHORT)
    assert (folder / "thesis.tex").read_text() == "mine"


def test_a_resumed_run_keeps_its_timings(copy: Path) -> None:
    before = json.loads((copy / "timings.json").read_text())
    run_again(copy)
    after = json.loads((copy / "timings.json").read_text())
    assert after[:-1] == before
    assert set(after[-1]) == {"plant", "finetune and evaluate", "judge", "report"}


# --- every file is checked before it is trusted ---


def flip(path: Path, at: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def to_nan(path: Path) -> None:
    tensors, note = files.read_tensors(path)
    files.write_tensors(path, {**tensors, "unembed.W_U": tensors["unembed.W_U"] * np.nan}, note)


@pytest.mark.parametrize("damage", [flip, to_nan])
def test_a_damaged_checkpoint_is_named_and_repeating_the_run_restores_it(
    copy: Path, damage: Any
) -> None:
    before = contents(copy)
    path = cell_of(copy, "pressure", 0).checkpoint
    damage(path)
    for read in (planted.open_run, experiment.settle, experiment.report):
        with pytest.raises(ArtefactError, match=path.name) as refused:
            read(copy)
        assert str(path) in str(refused.value)
        assert f"planted finetune {copy}" in str(refused.value)
    executor = Inline()
    with pytest.warns(UserWarning, match=f"{path.name}.* trained again"):
        planted.run(out=copy, executor=executor)
    assert executor.jobs == ["train_cells", "judge_cell"]
    path.with_name(path.name + ".damaged").unlink()
    after = contents(copy)
    assert [name for name in before if after.get(name) != before[name]] == ["timings.json"]
    assert after.keys() == before.keys()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (f"evidence/{PATHS}", lambda path: flip(path, 40)),
        ("evidence/objectives@1.json", Path.unlink),
        ("diagnostics.json", lambda path: flip(path, 40)),
    ],
)
def test_damaged_evidence_is_named_and_measured_again(copy: Path, name: str, damage: Any) -> None:
    before = contents(copy)
    path = cell_of(copy, "pressure", 1).folder / name
    damage(path)
    with pytest.raises(ArtefactError, match=str(path)) as refused:
        experiment.report(copy)
    assert f"planted evaluate {copy}" in str(refused.value)
    executor = Inline()
    with pytest.warns(UserWarning, match=".damaged") if path.exists() else nullcontext():
        experiment.resume(copy, ("judge",), executor=executor)
    assert executor.jobs == ["judge_cell"]
    path.with_name(path.name + ".damaged").unlink(missing_ok=True)
    assert contents(copy) == before


def test_a_checkpoint_of_another_seed_is_not_judged(copy: Path) -> None:
    one, two = (cell_of(copy, "pressure", seed).checkpoint for seed in (0, 1))
    one.write_bytes(two.read_bytes())
    with pytest.raises(ArtefactError, match=str(one)):
        experiment.settle(copy)
    (one.parent / "cell.json").unlink()
    with pytest.raises(ArtefactError, match=r"another seed \(1, this one's is 0"):
        experiment.settle(copy)


def test_evidence_that_was_edited_or_moved_is_refused(copy: Path) -> None:
    one, two = (cell_of(copy, "pressure", seed).folder for seed in (0, 1))
    path = one / "evidence" / "agreement@1.json"
    entry = json.loads(path.read_text())
    record = next(r for r in entry["records"] if r["name"] == "agreement.mesa")
    record["estimate"] = 1.0
    path.write_text(json.dumps(entry))
    with pytest.raises(ArtefactError, match="was altered"):
        experiment.settle(copy)
    path.write_bytes((two / "evidence" / "agreement@1.json").read_bytes())
    with pytest.raises(ArtefactError, match="evidence on other weights"):
        experiment.settle(copy)


@pytest.mark.parametrize("name", ["verdicts.json", "evidence.jsonl"])
def test_a_verdict_that_was_edited_is_refused(copy: Path, name: str) -> None:
    path = copy / name
    path.write_text(
        path.read_text().replace('"n": 1', '"n": 7').replace("inconclusive", "persists")
    )
    with pytest.raises(ArtefactError, match="were altered"):
        planted.open_run(copy)


# --- two runs side by side ---


def test_a_run_compares_with_itself_and_with_another(whole: Path, copy: Path) -> None:
    run = planted.open_run(whole)
    same = run.compare(planted.open_run(copy))
    assert same.requests == {}
    assert same.verdicts == {LABEL: {"inconclusive": (2, 2)}}
    assert {d.difference for d in same.differences} == {0.0}
    grown, _ = run_again(copy, Recipe("pressure", behaviour="none", steps=50, seeds=1))
    found = run.compare(grown)
    assert list(found.verdicts) == [LABEL, "pressure behaviour=none steps=50"]
    assert "recipes.pressure behaviour=none steps=50" in found.requests
    scattered = [d for d in found.differences if d.lo is not None and d.hi is not None]
    assert scattered
    assert all(d.lo <= d.difference <= d.hi for d in scattered)  # type: ignore[operator]
    assert not any(d.recipe == "pressure behaviour=none steps=50" for d in found.differences)
    assert "pressure behaviour=none steps=50" in str(found)
    with pytest.raises(PlantedError, match=r"planted.open_run\(folder\); got 'other'"):
        run.compare("other")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", ["delegation", "crumbs-approximate", "red-doors-aligned", "modelled", "diversity"]
)
def test_what_the_scenario_says_is_said_before_anything_is_compiled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planted.library.build", lambda *_, **__: pytest.fail("compiled"))
    with pytest.raises(PlantedError, match="Every verdict of this run would be inconclusive"):
        planted.run(name, "coincident", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
