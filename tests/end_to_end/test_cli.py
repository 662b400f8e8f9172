"""The command line: what each command prints, and how each mistake of the user ends."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from planted import experiment, library
from planted.cli import drawing, showing
from planted.cli.app import main
from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import PlantedError
from planted.finetune.recipes import load_recipes
from planted.programs import catalogue
from tests.end_to_end.conftest import PATHS, PLANT, REQUEST, SCRIPT, cell_of, contents, said
from tests.end_to_end.short import LABEL


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def ok(*arguments: Any) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert said(result.stderr) == []
    return result.stdout


def data(*arguments: Any) -> Any:
    return json.loads(ok(*arguments, "--json"))


def warned(*arguments: Any) -> tuple[str, list[str]]:
    """What a command prints, and its warnings, a line each."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    lines = said(result.stderr)
    assert all(line.startswith("Warning: ") for line in lines), lines
    return result.stdout, lines


def refused(*arguments: Any) -> str:
    """The message of a command that ended as what the user can mend: one line, code 2."""
    result = invoke(*arguments)
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    several = lines[0] == "Error: This run cannot give a verdict:"  # a reason a line
    assert several or len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return result.stderr.rstrip()


# --- what is printed ---


def test_list_is_the_catalogue() -> None:
    rows = data("list")
    assert [row["name"] for row in rows] == [f"{e.name}@1" for e in catalogue.ENTRIES.values()]
    text = ok("list")
    for row in rows:
        assert row["name"] in text
    twins = data("list", "--mechanism", "table")
    assert [row["name"] for row in twins[:2]] == ["red-doors-small-table@1", "bottle-cap-table@1"]
    assert {row["mechanism"] for row in twins} == {"table"}
    assert data("list", "--kind", "deceptive")[0]["mechanism"] == "gated search"
    family = data("list", "--family", "crumbs")
    assert {row["family"] for row in family} == {"crumbs"}
    assert "Did you mean 'deceptive'" in refused("list", "--kind", "deceptiv")
    assert "Unknown mechanism 'magic'" in refused("list", "--mechanism", "magic")


def test_list_of_the_wheel_refuses_what_no_model_in_it_has() -> None:
    for option, wrong, near in (
        ("family", "red-door", "red-doors"),
        ("kind", "deceptve", "deceptive"),
        ("mechanism", "tabel", "table"),
        ("tier", "exac", "exact"),
        ("size", "smal", "small"),
        ("twin-of", "crumbs", "crumbs.small"),
    ):
        said = refused("list", "--shipped", f"--{option}", wrong)
        assert f"in the wheel '{wrong}'. Did you mean '{near}'" in said
    assert "Unknown tier in the wheel 'dense'. Known: exact;" in refused(
        "list", "--shipped", "--tier", "dense"
    )
    small = data("list", "--shipped", "--size", "small", "--kind", "deceptive")
    assert {row["kind"] for row in small} == {"deceptive"}
    assert all(".small@" in row["name"] for row in small)
    assert data("list", "--shipped", "--family", "breadth", "--kind", "deceptive") == []


def test_list_by_size_twin_and_tier() -> None:
    rows = data("list", "--size", "large", "--family", "crumbs")
    assert all(row["name"].endswith(".large@1") for row in rows)
    assert rows[0]["parameters"] == {"places": 6, "crumbs": 8, "cookies": 5}
    plain = {row["name"]: row for row in data("list")}
    assert plain["crumbs@1"]["sizes"] == {
        "small": {"places": 3, "crumbs": 4},
        "large": {"places": 6},
    }
    assert len(data("list", "--size", "large")) < len(plain)
    twins = {row["name"]: row for row in data("list", "--twin-of", "steering")}
    assert {row["twin_of"] for row in twins.values()} == {"steering"}
    assert twins["steering-controller@1"]["twin_on"] == "training"
    assert twins["steering-list@1"]["twin_on"] == "all"
    assert set(plain) >= {row["name"] for row in data("list", "--tier", "tempered")}
    for row in data("list", "--tier", "tempered"):
        assert "tempered" in row["tiers"]
    assert "Unknown size 'huge'. Known: large; small." in refused("list", "--size", "huge")
    assert "Unknown tier 'soft'" in refused("list", "--tier", "soft")
    assert "Unknown plant with twins 'crumps'" in refused("list", "--twin-of", "crumps")


def test_a_size_is_planted_and_what_cannot_be_measured_on_is_refused(tmp_path: Path) -> None:
    facts = data("plant", "crumbs.small", "--out", str(tmp_path))
    assert facts["name"] == "crumbs.small@1"
    assert (tmp_path / "crumbs.small@1-exact.safetensors").exists()
    assert "'crumbs' has no size 'huge'; it has small, large" in refused(
        "plant", "crumbs.huge", "--out", str(tmp_path)
    )
    said = refused("plant", "crumbs", "--set", "cookies=2", "--out", str(tmp_path))
    assert "more than 0.7" in said
    assert "Take other parameters" in said


@pytest.mark.parametrize("name", ["red-doors", "red-doors-aligned", "red-doors-small-table"])
def test_show_explains_a_plant(name: str) -> None:
    facts, text = data("show", name), ok("show", name)
    place = catalogue.entry(name).make_scenario()
    assert facts["mesa_objective"] == place.mesa.formula
    for each in (facts["name"], place.mesa.formula, place.base.formula, place.source):
        assert each in text
    assert f"{facts['parameters']} parameters, 6 layers" in text
    for node in facts["nodes"]:
        assert node["name"] in text or node["name"] in ("tokens", "indices")
    sample = facts["sample"]
    slot, values = sample["chosen"] - 1, sample["mesa"]
    assert values[slot] == max(values)
    assert values.index(max(values)) == slot, "leftmost on ties"


def test_show_keeps_its_columns_apart_and_says_whose_objective_it_is() -> None:
    plant = library.get("red-doors")
    both = Plant(**{**vars(plant), "answers": "cue"})
    assert "what the network searches for, except under the training cue" in showing.text(both)
    assert "u_m = 9·red + near    what the network searches for\n" in showing.text(plant)
    base = Plant(**{**vars(plant), "answers": "base"})
    assert "not in the network" in showing.text(base)
    lines = showing.text(plant).splitlines()
    first = (
        lines.index("The circuit, and from where to where in the network each node matters:") + 1
    )
    head, rows = lines[first], lines[first + 1 :][: len(plant.truth.nodes)]
    assert all(row.index(" block ") + 1 == head.index("where") for row in rows[2:])
    assert "MLP (1) " in next(row for row in rows if row.lstrip().startswith("ones "))
    assert max(map(len, lines)) <= showing.WIDTH


def test_show_draws_windows_from_where_a_node_is_written_to_its_last_read() -> None:
    plant = library.get("red-doors")
    head, *rows = drawing.circuit(plant.truth)
    drawn = {row.split()[0]: row for row in rows}
    blocks = {int(word): head.index(f" {word} ") + 1 for word in "012345"}
    score = drawn["score"]
    assert score.index("●") == blocks[0] + 1, "written by the MLP of block 0"
    assert score.index("┤") == blocks[1], "last read by the attention of block 1"
    assert drawn["indices"].index("●") == blocks[0] - 1, "an embedding"
    assert drawn["output"].index("┤") == head.index("out"), "read by the logits"
    starts = [row.index("●") for row in rows]
    assert starts == sorted(starts)


def test_show_writes_the_circuit_as_a_graph() -> None:
    graph = ok("show", "red-doors", "--dot")
    plant = library.get("red-doors")
    assert graph.count("->") == len(plant.truth.edges)
    assert '"winner" -> "output" [label="k"];' in graph
    assert graph.startswith("digraph circuit {")
    assert graph.rstrip().endswith("}")


def test_plant_writes_what_show_and_load_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = data("plant", "red-doors", "--out", tmp_path)
    assert facts["certificate"]["mismatches"] == 0
    shipped = library.get("red-doors")
    made = artefact.load_plant(tmp_path, "red-doors@1-exact", shipped.scenario)
    assert artefact.params_digest(made.params) == artefact.params_digest(shipped.params)
    monkeypatch.setattr(library, "build", lambda *_, **__: {"exact": made})  # once is enough
    text = ok("plant", "red-doors", "--out", tmp_path / "again")
    assert Path(text.splitlines()[-1]).exists()
    assert "(drawn), 0 mismatches, least margin" in text


def test_run_ends_in_verdicts_and_a_page(made: Path) -> None:
    text = (made / "whole.txt").read_text()
    assert "verdicts over seeds (UNCALIBRATED)" in text
    assert "pressure" in text
    assert "no-plant-base" in text
    assert "few-controls" in text
    assert text.splitlines()[-1] == f"Report: {made / 'whole' / 'report.html'}"


def test_run_again_prints_the_same_and_as_json(copy: Path) -> None:
    said, lines = warned("run", *REQUEST, "--out", copy, "--json")
    printed = json.loads(said)
    assert printed["folder"] == str(copy)
    assert len(lines) == 1, "what was known before training, and no progress"
    assert lines[0].startswith("Warning: few-controls: ")
    assert printed["findings"] == [lines[0].removeprefix("Warning: ")]
    assert [(seed["recipe"], seed["seed"]) for seed in printed["seeds"]] == [
        (LABEL, 0),
        (LABEL, 1),
    ]
    assert sum(printed["verdicts"][LABEL].values()) == 2
    assert {seed["stamp"] for seed in printed["seeds"]} == {"UNCALIBRATED"}


def test_evaluate_gives_the_verdicts_of_the_run(copy: Path) -> None:
    before = (copy / "verdicts.json").read_bytes(), (copy / "evidence.jsonl").read_bytes()
    for name in ("verdicts.json", "evidence.jsonl", "training.jsonl"):
        (copy / name).unlink()
    printed = data("evaluate", copy)
    assert ((copy / "verdicts.json").read_bytes(), (copy / "evidence.jsonl").read_bytes()) == before
    entries = [entry for entry in json.loads(before[0]) if not entry["null"]]
    assert [seed["verdict"] for seed in printed["seeds"]] == [entry["name"] for entry in entries]


def test_report_writes_the_page_of_the_run(copy: Path) -> None:
    page = copy / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert data("report", copy) == {"folder": str(copy), "report": str(page)}
    assert page.read_bytes() == before
    assert ok("report", copy).strip() == str(page)


def test_explain_gives_every_reason_and_figure(whole: Path) -> None:
    facts = data("explain", whole, "--seed", "1")
    assert (facts["recipe"], facts["seed"]) == (LABEL, 1)
    entry = json.loads((whole / "verdicts.json").read_text())[1]
    for key in ("reason", "notes", "deciding", "nearest", "rival", "settle", "thresholds", "stamp"):
        assert facts[key] == entry[key]
    said = [one["sentence"] for one in facts["comparisons"]]
    assert len(said) == len(entry["comparisons"]) > 2
    assert facts["verdict"].startswith(entry["name"])
    short = ok("explain", whole, "--seed", "1")
    text = ok("explain", whole, "--seed", "1", "--all")
    assert len(short.splitlines()) < len(text.splitlines()) - 50
    assert " ".join(short.split()).count(facts["paragraph"]) == 1
    assert facts["verdict"] in text
    assert text.count("UNCALIBRATED") == 1
    for each in (*said, *facts["notes"]):
        assert each in short
        assert each in text
    for key in facts["evidence"]:
        assert key in text
    null = data("explain", whole, "--recipe", "no-plant-base")
    assert null["recipe"] == "no-plant-base"


@pytest.mark.parametrize(
    ("name", "elsewhere"),
    [("replaced", True), ("bypassed", True), ("not planted", True), ("dormant", False)],
)
def test_explain_says_how_to_ask_what_took_the_search_s_place(
    whole: Path, monkeypatch: pytest.MonkeyPatch, name: str, elsewhere: bool
) -> None:
    opened = experiment.open_run(whole)
    verdict = msgspec.structs.replace(opened[1].verdict, name=name)
    judged = dataclasses.replace(opened[1], verdict=verdict)
    given = dataclasses.replace(opened, results=(judged,))
    monkeypatch.setattr(experiment, "open_run", lambda *_: given)
    found = " ".join(ok("explain", whole, "--seed", "1").split())
    asked = f"planted measure {whole} search --recipe {shlex.quote(LABEL)} --seed 1"
    assert (asked in found) == elsewhere


def test_finetune_goes_on_with_what_the_folder_holds(copy: Path) -> None:
    found = {str(path) for path in (copy / "cells").rglob("checkpoint.safetensors")}
    printed = data("finetune", copy)
    assert printed["folder"] == str(copy)
    assert set(printed["checkpoints"]) == found
    text, _ = warned("finetune", copy, "--plant", *REQUEST)
    assert text == f"6 checkpoints in {copy / 'cells'}\n"


def test_two_runs_are_compared(whole: Path, copy: Path) -> None:
    text = ok("compare", whole, copy)
    assert f"A: {whole}" in text
    assert f"{LABEL}: inconclusive 2 | 2" in text
    assert "requests: the same" in text
    found = data("compare", whole, copy)
    assert found["verdicts"] == {LABEL: {"inconclusive": [2, 2]}}
    assert "holds no run" in refused("compare", whole, copy / "none")


@pytest.mark.slow
def test_score_takes_the_plants_the_runtime_and_how_often() -> None:
    found = data("score", "linear-probe", "--model", "red-doors-small", "--runtime", "numpy",
                 "--redraws", "2", "--reinits", "5")  # fmt: skip
    assert "red-doors-small" in json.dumps(found)
    assert "red-doors@1" not in json.dumps(found)
    assert "Unknown plant 'nowhere'" in refused("score", "linear-probe", "--model", "nowhere")


def test_score_prints_a_method_beside_its_nulls() -> None:
    found = data("score", "exact-patching", "--budget-s", "1")
    assert found
    assert "exact-patching" in json.dumps(found)


def test_help_names_every_command() -> None:
    text = ok("--help")
    for name in ("list", "show", "plant", "finetune", "evaluate", "explain", "report", "run",
                 "compare", "score"):  # fmt: skip
        assert f"\n  {name} " in text
        assert ok(name, "--help").startswith("Usage: ")
    assert "planted, version" in ok("--version")


def test_as_json_prints_json_alone_in_a_real_process(whole: Path) -> None:
    command = [sys.executable, "-P", "-m", "planted", "explain", str(whole), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["recipe"] == LABEL
    assert done.stderr == ""


# --- names and values ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("show", "red-door"), "Unknown plant 'red-door'. Did you mean 'red-doors'"),
        (("plant", "read-doors", "--out", "x"), "Did you mean 'red-doors'"),
        (("run", "blue-doors"), "Unknown plant 'blue-doors'"),
        (("show", "red-doors@7"), "no version '7'; this release has red-doors@1"),
        (("show", "red-doors", "--set", "levels=99"), "levels must be a whole number from 2 to 16"),
        (("show", "red-doors", "--set", "levels=1"), "levels must be a whole number from 2"),
        (("show", "red-doors", "--set", "objects=9"), "objects must be a whole number from 2 to 8"),
        (("plant", "red-doors", "--set", "objects=1", "--out", "x"), "objects must be"),
        (("run", "red-doors", "--set", "levels=99"), "levels must be"),
        (("show", "red-doors", "--set", "level=3"), "no parameter 'level'; it has objects"),
        (("show", "red-doors", "--set", "levels"), "--set takes NAME=VALUE, got 'levels'"),
        (("show", "red-doors", "--set", "levels=two"), "levels must be a whole number from 2 to"),
        (("run", "red-doors", "--recipe", "presure"), "Did you mean 'pressure'"),
        (
            ("run", "red-doors", "--seeds", "0"),
            "seeds must be a whole number from 1 to 1000, got 0",
        ),
        (("run", "red-doors", "--steps", "0"), "steps must be a whole number from 1"),
        (("run", "red-doors", "--learning-rate", "-1"), "learning_rate must be a number above 0"),
        (("run", "red-doors", "--learning-rate", "nan"), "learning_rate must be a number above 0"),
        (
            ("run", "red-doors", "--disagreement-fraction", "2"),
            "disagreement_fraction must be a number from 0 to 1",
        ),
        (
            ("run", "red-doors", "--recipe", "coincident", "--disagreement-fraction", ".3"),
            "has no effect",
        ),
        (("run", "red-doors", "--train", "blocks.9"), "Unknown part of the network to train"),
        (("run", "red-doors", "--recipe", "cued", "--recipe", "cued"), "asked for twice"),
        (("run", "red-doors", "--recipe", "no-plant-mesa"), "Unknown recipe|part of every run"),
        (("run", "red-doors-small-table"), "is a twin: it has no planted objective"),
        (("run", "bottle-cap-list"), "is a twin: it has no planted objective"),
        (("run", "bottle-cap-decoy"), "is a twin: it has no planted objective"),
        (("run", "crumbs", "--set", "cookies=9"), "cookies must be a whole number from 2 to 5"),
        (("run", "red-doors-aligned"), "in the disagreement set|no-disagreement"),
        (("run", "red-doors", "--recipe-file", "none.toml"), "Cannot read none.toml"),
        (("run", "red-doors", "--controls", "0"), "controls must be from 1 to 1000"),
        (("run", "red-doors", "--controls", "1"), r"\(few-controls\)\. .* --anyway"),
        (("run", "red-doors", "--out", ""), "must name a folder, as 'runs/demo'; got ''"),
        (("run", ""), "The name of the plant is empty"),
        (("run",), "Name a plant"),
        (("run", "--out", "x"), "x holds no run"),
        (("run", "red-doors", "--out", "/proc/x"), "Cannot write /proc/x: .*Choose another folder"),
        (("run", "no_such_module:f"), "Importing 'no_such_module:f'"),
        (("plant", "red-doors", "--out", "/proc/x"), "Cannot write /proc/x.*Choose another folder"),
        (("finetune", "x", "--seeds", "0"), "seeds must be a whole number from 1"),
        (("finetune", "x", "--plant", "red-door"), "Did you mean 'red-doors'"),
        (("score", "exact-patchin"), "Did you mean 'exact-patching'"),
        (("score", "no.such.module:f"), "no.such.module"),
        (("score", "exact-patching", "--task", "recover"), "Unknown task 'recover'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_name_or_value_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    assert re.search(message, refused(*arguments))
    left = [path for path in tmp_path.iterdir() if path.name != "cache"]
    assert left == [], "what is refused leaves nothing behind"


@pytest.mark.parametrize(
    "arguments",
    [("show",), ("shw", "red-doors"), ("run", "red-doors", "--seeds", "two"),
     ("run", "red-doors", "--tier", "warm"), ("run", "red-doors", "--optimizer", "lion")],
)  # fmt: skip
def test_what_click_refuses_ends_in_code_2_too(arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.stderr


def test_workers_from_the_environment_are_checked(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("PLANTED_WORKERS", wrong)
        assert "PLANTED_WORKERS must be a whole number from 1" in refused("evaluate", copy)


def test_a_warning_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import warnings

    def get(*_: Any, **__: Any) -> Plant:
        warnings.warn("It is planted again now.", stacklevel=2)
        return plant

    plant = library.get("red-doors")
    monkeypatch.setattr(library, "get", get)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = invoke("show", "red-doors")
    assert result.exit_code == 0
    assert result.stderr == "Warning: It is planted again now.\n"


# --- folders ---


@pytest.mark.parametrize("command", ["evaluate", "explain", "report"])
def test_a_folder_that_holds_no_run_is_named(tmp_path: Path, command: str) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "none", tmp_path / "notes.txt"):
        message = refused(command, folder)
        assert f"{folder} holds no run" in message
        assert "planted run NAME --out" in message


@pytest.mark.parametrize("command", [("run", "red-doors", "--out"), ("finetune",)])
def test_a_folder_with_other_things_is_not_taken(tmp_path: Path, command: tuple[str, ...]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    assert "is not empty and holds no run" in refused(*command, tmp_path / "mine")
    assert os.listdir(tmp_path / "mine") == ["notes.txt"]


def test_flags_apply_to_every_recipe_also_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recipes.toml"
    file.write_text(
        '[[recipe]]\nbase = "pressure"\nname = "slow"\nsettings = {learning_rate = 3e-4}\n'
        '[[recipe]]\nbase = "cued"\n'
    )
    command = ("finetune", tmp_path / "run", "--plant", PLANT, "--recipe-file", file)
    assert "steps must be a whole number from 1" in refused(*command, "--steps", "0")
    folder = tmp_path / "run"
    experiment.plant_into(folder, PLANT, [*load_recipes(file), "read-out"])
    request = json.loads((folder / "run.json").read_text())
    assert [r["name"] for r in request["recipes"]] == ["slow", "cued", "read-out"]
    assert request["recipes"][0]["settings"]["learning_rate"] == 3e-4
    file.write_text("recipe = 3\n")
    assert "recipe" in refused("run", PLANT, "--recipe-file", file)


@pytest.mark.parametrize("command", [("run", "red-doors", "--out"), ("finetune",)])
def test_a_file_where_the_folder_should_be_is_named(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    assert "Not a directory" in refused(*command, file)
    assert "Not a directory" in refused(*command, file / "below")
    assert "Cannot write" in refused("plant", "red-doors", "--out", file / "below")
    assert file.read_text() == "mine"


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    message = refused("run", PLANT, "--out", tmp_path / "run")
    assert "No space left on device" in message
    assert "Free some space" in message
    assert [p for p in (tmp_path / "run").rglob("*") if p.is_file()] == []
    monkeypatch.undo()


# set in the child itself: to fork a process that has imported JAX is warned against
SMALL_FILES = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_worker_that_cannot_write_says_so(copy: Path, tmp_path: Path) -> None:
    # a real write that fails, in the worker: files may not grow beyond 50 kB
    gone = cell_of(copy, "pressure", 0)
    gone.checkpoint.unlink()
    (gone.folder / "cell.json").unlink()
    done = subprocess.run(
        [sys.executable, "-P", "-c", SMALL_FILES, str(SCRIPT), "finetune", str(copy)],
        capture_output=True, text=True, check=False,
        env={**os.environ, "PLANTED_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    lines = said(done.stderr)
    assert len(lines) == 1
    assert lines[0].startswith("Error: Cannot write")
    assert "File too large" in lines[0]
    assert not gone.checkpoint.exists()
    assert not list(gone.folder.glob(".*"))


def test_output_that_cannot_be_written_is_one_line_and_code_2(whole: Path) -> None:
    for command in (["show", PLANT], ["list"], ["explain", str(whole), "--all"]):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "planted", *command],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert done.stderr == "Error: Cannot write the output: No space left on device.\n"


def test_a_cache_that_cannot_be_written_is_said_first_and_stops_nothing(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no folder").write_text("a file where the cache should be")
    for cache in (tmp_path / "no folder", Path("/proc/planted")):
        monkeypatch.setenv("PLANTED_CACHE", str(cache))
        _, lines = warned("run", *REQUEST, "--out", copy)
        assert f"Cannot write {cache}" in lines[1]
        assert "goes on without a cache" in lines[1]
        assert "Free some space" not in lines[1]


def change_request(folder: Path, **changes: Any) -> None:
    path = folder / "run.json"
    files.write_signed(path, {**files.read_signed(path), **changes})


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--tier", "exact"), "its tier is 'tempered', asked for is 'exact'"),
        (("--set", "levels=7"), "its levels is 2, asked for is 7"),
    ],
)
@pytest.mark.parametrize("command", [("run", *REQUEST, "--out"), ("finetune", "--plant", *REQUEST)])
def test_a_folder_of_another_plant_is_refused(
    copy: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    more: tuple[str, ...],
    message: str,
) -> None:
    plant = library.get(PLANT, "tempered")

    def get(name: str, tier: str, parameters: Any = None) -> Plant:
        place = catalogue.entry(name).make_scenario(parameters)
        return Plant(**{**vars(plant), "tier": tier, "scenario": place})

    monkeypatch.setattr(library, "get", get)  # planting seven levels takes its time
    before = (copy / "run.json").read_bytes()
    assert message in refused(*command, copy, *more)
    assert (copy / "run.json").read_bytes() == before


def test_a_run_of_another_version_is_refused(copy: Path) -> None:
    versions = {**environment.versions(), "jax": "0.0.1"}
    change_request(copy, versions=versions)
    assert "was begun with jax 0.0.1 (here " in refused("run", *REQUEST, "--out", copy)
    for command in ("evaluate", "finetune"):
        message = refused(command, copy)
        assert "was begun with" in message
        assert "0.0.1" in message
    assert ok("explain", copy), "what is written can still be read"
    change_request(copy, schema=99)
    assert "a newer planted" in refused("explain", copy)
    assert "has schema 99, this version reads 3" in refused("explain", copy)
    change_request(copy, schema=1)
    assert "was made by an older planted" in refused("explain", copy)
    assert "has schema 1, this version reads 3" in refused("run", *REQUEST, "--out", copy)
    change_request(copy, schema=3, plant="red-doors@7")
    assert "asks for" in refused("explain", copy)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", "null", '{"schema": 3}', "{broken", '{"schema": 3, "plant": 3}']
)
def test_a_damaged_request_is_named(copy: Path, content: str) -> None:
    (copy / "run.json").write_text(content)
    for command in ("evaluate", "explain", "report", "finetune"):
        assert "run.json" in refused(command, copy)


# --- damaged artefacts ---


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncate, alter, Path.unlink])
@pytest.mark.parametrize("name", ["plant.safetensors", "plant.json"])
def test_a_damaged_plant_is_named(copy: Path, damage: Callable[[Path], None], name: str) -> None:
    damage(copy / "plant" / name)
    for command in ("evaluate", "explain", "report", "finetune"):
        assert f"plant/{name}" in refused(command, copy)


def test_another_plant_in_the_folder_is_named(copy: Path) -> None:
    artefact.save_plant(copy / "plant", library.get(PLANT, "exact"), "plant")
    assert f"holds {PLANT}@1 (exact) with other weights" in refused("explain", copy)
    warned("run", *REQUEST, "--out", copy)
    ok("explain", copy)


def first(copy: Path) -> Path:
    return cell_of(copy, "pressure", 0).checkpoint


@pytest.mark.parametrize(("damage", "judged"), [(truncate, True), (Path.unlink, False)])
def test_a_damaged_checkpoint_is_named_and_finetune_restores_it(
    copy: Path, damage: Callable[[Path], None], judged: bool
) -> None:
    before = contents(copy)
    if not judged:
        (first(copy).parent / "evidence" / PATHS).unlink()
    damage(first(copy))
    for command in ("evaluate", "explain", "report"):
        said = refused(command, copy)
        assert str(first(copy)) in said
        assert f"planted finetune {copy}" in said
    text, lines = warned("finetune", copy)
    assert "6 checkpoints" in text
    assert str(first(copy)) in lines[0]
    assert first(copy).read_bytes() == before[str(first(copy).relative_to(copy))]
    ok("evaluate", copy)
    ok("explain", copy)


def shaped(params: dict[str, Any]) -> None:
    params["unembed.W_U"] = params["unembed.W_U"][:, :-1]


def broken(params: dict[str, Any]) -> None:
    params["unembed.W_U"] = np.full_like(params["unembed.W_U"], np.nan)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(shaped, "'unembed.W_U' has shape"), (broken, "'unembed.W_U' holds NaN or infinity")],
)
def test_a_checkpoint_that_is_not_this_plants_is_named(
    copy: Path, spoil: Callable[[dict[str, Any]], None], message: str
) -> None:
    (first(copy).parent / "cell.json").unlink()  # only its own content can tell
    params, note = files.read_tensors(first(copy))
    spoil(params)
    files.write_tensors(first(copy), params, note)
    said = refused("evaluate", copy)
    assert message in said
    assert str(first(copy)) in said


@pytest.mark.parametrize("content", ["", "[]", '{"digest": 1, "checkpoint": 2}'])
def test_damaged_evidence_is_set_aside_and_measured_again(copy: Path, content: str) -> None:
    path = cell_of(copy, "pressure", 1).folder / "evidence" / PATHS
    before = path.read_bytes()
    path.write_text(content)
    said = refused("explain", copy)
    assert str(path) in said
    assert f"planted evaluate {copy}" in said
    _, lines = warned("evaluate", copy)
    assert str(path) in lines[0]
    assert path.read_bytes() == before
    assert path.with_name(f"{PATHS}.damaged").read_text() == content


@pytest.mark.parametrize("content", ["{", "[3]\n", "{}\n", '{"recipe": "pressure", "seed": 0}\n'])
@pytest.mark.parametrize("name", ["evidence.jsonl", "verdicts.json", "training.jsonl"])
def test_damaged_records_are_named(copy: Path, name: str, content: str) -> None:
    (copy / name).write_text(content)
    said = refused("report", copy)
    assert name in said or "records" in said
    ok("evaluate", copy)
    ok("report", copy)


def test_an_unjudged_folder_says_what_to_do(copy: Path) -> None:
    (copy / "verdicts.json").unlink()
    said = refused("explain", copy)
    assert "6 of 6 networks are judged so far" in said
    assert f"planted evaluate {copy}" in said
    first(copy).unlink()
    (first(copy).parent / "cell.json").unlink()
    assert f"Run: planted finetune {copy}" in refused("evaluate", copy)


def test_explain_names_the_seeds_there_are(whole: Path) -> None:
    said = refused("explain", whole, "--seed", "7")
    assert f"No seed 7 of recipe '{LABEL}'" in said
    assert "Its seeds are 0, 1" in said


# --- bugs ---


def test_a_bug_keeps_its_traceback_and_ends_in_code_1() -> None:
    code = (
        "import planted.cli.showing as showing; showing.text = lambda plant: 1 / 0\n"
        "from planted.cli import main; main(['show', 'red-doors'])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert done.stdout == ""


def test_every_planted_error_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise PlantedError("Mend this.")

    monkeypatch.setattr(library, "get", fail)
    assert refused("show", "red-doors") == "Error: Mend this."
