"""The whole flow: what a finished run folder holds, that it is the same every time, and resumes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import experiment, library
from planted.core import artefact, environment, files
from planted.errors import ArtefactError, CheckpointError, PlantedError, RunFolderError
from planted.finetune.recipes import Recipe
from planted.runs import folder as run_folder
from planted.runs import worker
from tests import helpers

RECIPE = Recipe("pressure", steps=250, seeds=2)
RESULTS = ("evidence.jsonl", "verdicts.json", "training.jsonl", "report.html", "run.json")


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


# --- what is there ---


def test_a_finished_folder_holds_the_flow_and_nothing_else(whole: Path) -> None:
    seeds = [("pressure", 0), ("pressure", 1), ("no-plant-base", 0), ("sham", 0)]
    steps = {"pressure": 250, "no-plant-base": 50, "sham": 50}
    expected = {*RESULTS, "plant/plant.json", "plant/plant.safetensors", "timings.json"}
    for name, seed in seeds:
        expected.add(f"checkpoints/{name}/seed-{seed:03d}/step-{steps[name]:06d}.safetensors")
        expected.add(f"evidence/{name}/seed-{seed:03d}.json")
    assert set(contents(whole)) == expected


def test_the_request_says_all_that_the_bytes_depend_on(whole: Path) -> None:
    request = json.loads((whole / "run.json").read_text())
    plant = library.get("red-doors", "tempered")
    assert request["plant"] == "red-doors@1"
    assert request["tier"] == "tempered"
    assert request["parameters"] == {"objects": 4, "levels": 8}
    assert request["plant_sha256"] == artefact.params_digest(plant.params)
    (recipe,) = request["recipes"]
    assert (recipe["name"], recipe["seeds"], recipe["settings"]["steps"]) == ("pressure", 2, 250)
    assert [arm["name"] for arm in request["nulls"]] == ["no-plant-base", "sham"]
    assert request["versions"] == environment.versions()


def test_an_opened_run_is_its_records(whole: Path) -> None:
    run = planted.open_run(whole)
    assert [(seed.recipe, seed.seed) for seed in run.seeds] == [("pressure", 0), ("pressure", 1)]
    assert [(seed.recipe, seed.seed) for seed in run.nulls] == [("no-plant-base", 0)]
    assert len(run) == 2
    assert run[1].seed == 1
    rows = [json.loads(line) for line in (whole / "evidence.jsonl").read_text().splitlines()]
    own = [row for row in rows if (row["recipe"], row["seed"]) == ("pressure", 1)]
    assert len(own) == len(run[1].records) == len(run[1].evidence)
    agreement = next(row for row in own if row["name"] == "agreement.base" and row["cue"] == "T")
    assert run[1].evidence["agreement.base[T]"].estimate == agreement["estimate"]
    verdicts = json.loads((whole / "verdicts.json").read_text())
    given = Counter(entry["name"] for entry in verdicts if not entry["null"])
    assert run.verdicts == {"pressure": dict(given)}
    assert {entry["stamp"] for entry in verdicts} == {"UNCALIBRATED"}


def test_the_training_log_is_the_checkpoints(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "training.jsonl").read_text().splitlines()]
    own = [row for row in rows if row["recipe"] == "pressure"]
    assert [(row["seed"], row["step"]) for row in own] == [
        (seed, step) for seed in (0, 1) for step in (50, 100, 150, 200, 250)
    ]
    assert own[0]["agreement.T"]["base"] < own[4]["agreement.T"]["base"], "it learns"


def test_evidence_stands_beside_the_nulls_of_the_run(whole: Path) -> None:
    evidence = planted.open_run(whole)[0].evidence
    control = evidence["agreement.mesa[T]"].null
    assert control is not None
    assert control.n == 1
    assert "own choices" in control.kind
    # 50 steps taught the random start nothing: it is no null, and nothing is decided beside it
    assert evidence["paths.scorer_share[T]"].null is None
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
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns)
        for path in copy.rglob("seed-*")
        if path.is_file()
    }
    results = {name: (copy / name).read_bytes() for name in RESULTS}
    said: list[dict[str, Any]] = []
    run = experiment.run("red-doors", RECIPE, out=copy, progress=lambda x: said.append(dict(x)))
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before
    assert {name: (copy / name).read_bytes() for name in RESULTS} == results
    assert len(run) == 2
    trained = [x for x in said if x["phase"] == "train"]
    assert {x["recipe"] for x in trained} == {"pressure", "no-plant-base", "sham"}
    assert all(x["done"] == x["total"] for x in trained)


def test_networks_beside_a_run_are_lent_to_the_next(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "next"
    cache = tmp_path / "cache"
    shutil.copytree(made / "cache" / "nulls", cache / "nulls")
    plant = library.get("red-doors", "tempered")
    _, recipes = run_folder.open_request(made / "whole")
    arms = [recipe for recipe in recipes if recipe.name != "pressure"]
    for arm in arms:
        assert worker._borrowed(plant, arm, 0, folder)
        for path in worker._null_files(arm, 0, folder).values():
            own = made / "whole" / path.relative_to(folder)
            assert path.read_bytes() == own.read_bytes()
        assert not worker._borrowed(plant, arm, 0, folder), "a run keeps its own"
    assert not worker._borrowed(plant, arms[0], 1, tmp_path / "another seed")


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "evidence.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 2]"])
def test_a_damaged_network_in_the_cache_is_not_lent(
    made: Path, tmp_path: Path, name: str, content: bytes
) -> None:
    shutil.copytree(made / "cache" / "nulls", tmp_path / "cache" / "nulls")
    for path in (tmp_path / "cache").rglob(name):
        path.write_bytes(content)
    plant = library.get("red-doors", "tempered")
    _, recipes = run_folder.open_request(made / "whole")
    assert not worker._borrowed(plant, recipes[-1], 0, tmp_path / "next")
    assert not (tmp_path / "next").exists()


def test_a_cache_that_cannot_be_written_stops_nothing(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the cache should be")
    plant, recipes = run_folder.open_request(copy)
    worker._lend(plant, recipes[-1], 0, copy)


# --- what is refused ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"recipes": Recipe("pressure", steps=250, seeds=3)},
            r"its recipes\[0\].seeds is 2, this one's is 3",
        ),
        (
            {"recipes": Recipe("pressure", steps=300, seeds=2)},
            r"settings.steps is 250, this one's is 300",
        ),
        ({"recipes": "coincident"}, r'its recipes\[0\].name is "pressure", .* "coincident"'),
        ({"recipes": [RECIPE, "coincident"]}, r"its list of recipes is .*pressure .*coincident"),
        ({"tier": "exact"}, r'its plant_sha256 is|its tier is "tempered", this one\'s is "exact"'),
        (
            {"name": "red-doors-small"},
            r"its parameters\.levels is 8, this one's is 2|its parameters\.objects is 4",
        ),
    ],
)
def test_a_folder_of_another_request_is_refused(
    copy: Path, change: dict[str, Any], message: str
) -> None:
    before = contents(copy)
    request = {"name": "red-doors", "recipes": RECIPE, "out": copy, **change}
    with pytest.raises(RunFolderError, match=message):
        experiment.run(**request)
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ([], "at least one recipe"),
        (["pressure", "pressure"], "asked for twice"),
        ([Recipe("no-plant-base")], "part of every run"),
        (Recipe("pressure", train="blocks.9"), "'blocks.9'. Did you mean"),
        ("presure", "Did you mean 'pressure'"),
        ([None], r"Recipes are planted.Recipe objects or their names, as 'pressure'; got \[None"),
        (3, "got 3"),
    ],
)
def test_a_request_that_cannot_work_does_not_take_the_folder(
    tmp_path: Path, recipes: Any, message: str
) -> None:
    with pytest.raises(PlantedError, match=message):
        experiment.run("red-doors", recipes, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pressure_on_an_aligned_plant_does_not_take_the_folder(tmp_path: Path) -> None:
    with pytest.raises(PlantedError, match="in the disagreement set"):
        experiment.run("red-doors-aligned", "pressure", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_missing_package_is_named_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(PlantedError, match=r"pip install 'planted\[report\]'"):
        experiment.run("red-doors", RECIPE, out=tmp_path / "run")
    monkeypatch.setitem(sys.modules, "optax", None)
    with pytest.raises(PlantedError, match=r"pip install 'planted\[train\]'"):
        experiment.plant_into(tmp_path / "run", "red-doors", [RECIPE])
    assert not (tmp_path / "run").exists()


def test_a_start_that_was_cut_off_is_no_foreign_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    experiment.plant_into(folder, "red-doors", [RECIPE])
    (folder / "run.json").rename(folder / ".run.json.cut")
    experiment.plant_into(folder, "red-doors", [RECIPE])
    assert (folder / "run.json").exists()
    (folder / "run.json").unlink()
    (folder / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="not empty and holds no run"):
        experiment.plant_into(folder, "red-doors", [RECIPE])
    assert (folder / "thesis.tex").read_text() == "mine"


def test_a_resumed_run_keeps_its_timings(copy: Path) -> None:
    before = json.loads((copy / "timings.json").read_text())
    experiment.run("red-doors", RECIPE, out=copy)
    after = json.loads((copy / "timings.json").read_text())
    assert after[:-1] == before
    assert set(after[-1]) == {"plant", "finetune and evaluate", "judge", "report"}


def test_a_checkpoint_of_another_seed_is_not_judged(copy: Path) -> None:
    recipe = Recipe("pressure", steps=250)
    one, two = (helpers.checkpoint_of(copy / "checkpoints", recipe, seed) for seed in (0, 1))
    shutil.copy(two, one)
    with pytest.raises(ArtefactError, match=r"another seed \(1, this one's is 0"):
        experiment.settle(copy)
    (copy / "evidence" / "pressure" / "seed-000.json").unlink()
    plant, recipes = run_folder.open_request(copy)
    with pytest.raises(ArtefactError, match="another seed"):
        worker.judge(plant, recipes[0], 0, copy)


def test_evidence_that_was_edited_is_refused(copy: Path) -> None:
    path = copy / "evidence" / "pressure" / "seed-000.json"
    entry = json.loads(path.read_text())
    record = next(r for r in entry["records"] if r["name"] == "agreement.mesa")
    record["estimate"] = 1.0
    path.write_text(json.dumps(entry))
    with pytest.raises(ArtefactError, match="was altered"):
        experiment.settle(copy)


def test_evidence_on_other_weights_is_refused(copy: Path) -> None:
    recipe = Recipe("pressure", steps=250)
    path = helpers.checkpoint_of(copy / "checkpoints", recipe, 0)
    tensors, note = files.read_tensors(path)
    files.write_tensors(path, {**tensors, "unembed.W_U": tensors["unembed.W_U"] * 2}, note)
    with pytest.raises(ArtefactError, match="evidence on another checkpoint"):
        experiment.settle(copy)


# --- checkpoints of the user's own ---


def test_the_users_own_checkpoint_gets_the_same_evidence(whole: Path) -> None:
    recipe = Recipe("pressure", steps=250)
    path = helpers.checkpoint_of(whole / "checkpoints", recipe, 0)
    records, reading = planted.evaluate(path, "red-doors@1")
    run = planted.open_run(whole)
    known = {key: (record.estimate, record.lo, record.hi) for key, record in run[0].records.items()}
    found = {(r.name, r.cue): (r.estimate, r.lo, r.hi) for r in records}
    assert found.keys() == known.keys()
    # what it was trained on is not known here, so figures on unseen tasks may differ
    same = [key for key in known if found[key] == known[key]]
    assert len(same) > 0.8 * len(known)
    assert reading.keys() == run[0].reading.keys()


def test_what_is_no_checkpoint_of_the_plant_is_refused(tmp_path: Path) -> None:
    params = dict(library.get("red-doors", "tempered").params)
    with pytest.raises(CheckpointError, match=r"unembed\.W_U.*shape"):
        planted.evaluate({**params, "unembed.W_U": np.zeros((2, 2))}, "red-doors")
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        planted.evaluate({**params, "embed.W_E": params["embed.W_E"] * np.nan}, "red-doors")
    with pytest.raises(CheckpointError, match="another plant or tier"):
        planted.evaluate(params, "red-doors", tier="exact")
    with pytest.raises(PlantedError, match="Cannot read weights from a int"):
        planted.evaluate(3, "red-doors")
    with pytest.raises(ArtefactError, match="missing"):
        planted.evaluate(tmp_path / "none.safetensors", "red-doors")
