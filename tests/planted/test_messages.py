"""What a user reads where something is wrong: the place, the cause and what to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import planted
from planted import experiment, library
from planted.cli.app import main
from planted.core import addresses, plugins
from planted.errors import (
    CheckpointError,
    NoSuchResultError,
    PlantedError,
    UnknownNameError,
    missing_extra,
    need,
    place_of,
)
from planted.eval.evidence import Evidence
from planted.eval.verdict.rule import Verdict
from planted.finetune.recipes import ARMS, Recipe, load_recipes
from planted.runs import compare, plants
from planted.runs.request import read_raw
from planted.runs.results import CheckpointResult, Run
from planted.runs.work import _not_found_by_workers

PLANT = "red-doors-small"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, and what is on the path as it was, afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


# --- a user's module ---


def test_the_folder_of_a_users_module_stays_at_the_end_of_the_path(here: Path) -> None:
    (here / "found_here.py").write_text(
        "def late():\n    import beside_it\n    return beside_it.X\n"
    )
    (here / "beside_it.py").write_text("X = 3\n")
    late = addresses.imported("found_here:late", "a plant")
    assert sys.path[-1] == str(here)
    assert sys.path.count(str(here)) == 1
    assert late() == 3


def test_an_extra_that_a_users_module_lacks_is_named_alone(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "wants_jinja.py").write_text("\n\nimport jinja2\n")
    (here / "wants_other.py").write_text("import no_such_package\n")
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(PlantedError, match=r"at wants_jinja.py:3: .*'planted\[report\]'$"):
        addresses.imported("wants_jinja:f", "a plant")
    with pytest.raises(PlantedError, match=r"No module named 'no_such_package'\.$"):
        addresses.imported("wants_other:f", "a plant")
    with pytest.raises(PlantedError, match=r"is named 'package\.module:function'\.$"):
        addresses.imported("nowhere_at_all:f", "a plant")


def test_torch_is_installed_before_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PlantedError, match=r"pytorch\.org.*CPU build.*'planted\[torch\]'"):
        need("torch", "run a model")
    assert missing_extra(ImportError("torch")) == ""
    assert missing_extra(ModuleNotFoundError(name="yaml")) == ""


def test_the_place_of_an_error_is_the_users_last_line() -> None:
    def fails() -> None:
        np.zeros((2, 2)).reshape(3)

    with pytest.raises(ValueError, match="reshape") as raised:
        fails()
    line = fails.__code__.co_firstlineno + 1
    assert place_of(raised.value) == f" at {Path(__file__).name}:{line}"
    assert place_of(ValueError("never raised")) == ""


def test_a_worker_that_finds_no_module_is_no_killed_worker() -> None:
    error = RuntimeError("A task has failed to un-serialize.")
    error.__cause__ = RuntimeError("\n'''\nModuleNotFoundError: No module named 'mine'\n'''")
    said = _not_found_by_workers(error)
    assert "(ModuleNotFoundError: No module named 'mine')" in said
    assert "working folder" in said
    assert "killed" not in said


def test_a_package_whose_plug_in_breaks_is_named_before_planting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = SimpleNamespace(name="broken", value="no_such:thing", load=lambda: 1 / 0)
    kept = plugins._points
    monkeypatch.setattr(
        plugins, "_points", lambda group: (broken,) if group == "evaluators" else kept(group)
    )
    monkeypatch.setattr(plants, "start_of", lambda *_: pytest.fail("planted"))
    with pytest.raises(PlantedError, match=r"'broken' of entry.*Uninstall or mend that package\."):
        experiment.plant_into(tmp_path / "run", PLANT)


# --- tokens and checkpoints ---


def test_tokens_without_bos_are_recognised() -> None:
    scenario = planted.load(PLANT).scenario
    width = scenario.n_positions
    with pytest.raises(PlantedError, match=r"Position 0 is BOS; scenario\.encode adds it\.$"):
        scenario.check(np.ones((2, width - 1), dtype=np.int64))
    with pytest.raises(PlantedError, match=r"got int64 \[2, \d+\]\.$"):
        scenario.check(np.ones((2, width + 1), dtype=np.int64))


def test_weights_of_another_tier_are_said_to_be() -> None:
    exact, tempered = (library.get(PLANT, tier) for tier in ("exact", "tempered"))
    assert "exact" in plants.tiers_of_shapes(tempered, exact.params)
    assert plants.tiers_of_shapes(exact, tempered.params) == ["tempered"]
    assert plants.tiers_of_shapes(replace(exact, origin="object"), tempered.params) == []
    with pytest.raises(CheckpointError, match=r"shapes of tier exact.*: pass tier='exact'"):
        planted.evaluate(dict(exact.params), PLANT)


# --- a run ---


def result(recipe: str, seed: int, share: float) -> CheckpointResult:
    record = Evidence("agreement.base", "T", share, unit="share", n=8)
    return CheckpointResult(
        recipe, seed, Verdict("replaced"), {}, {("agreement.base", "T"): record},
        library.get(PLANT, "tempered"),
    )  # fmt: skip


def run_of(recipe: str, *shares: float) -> Run:
    results = tuple(result(recipe, seed, share) for seed, share in enumerate(shares))
    return Run(Path(recipe), library.get(PLANT, "tempered"), results, (), (), {})


def test_a_wrong_number_or_figure_names_what_there_is() -> None:
    run = run_of("pressure", 0.5, 0.6)
    with pytest.raises(NoSuchResultError, match=r"No result 9 .* has 2 judged checkpoints"):
        run[9]
    with pytest.raises(IndexError):
        run[-3]
    with pytest.raises(UnknownNameError, match=r"'agreement.bse'. Did you mean 'agreement.base\["):
        run[0].evidence["agreement.bse"]
    with pytest.raises(KeyError):
        run[0].evidence["agreement.bse"]
    assert run[0].evidence.get("agreement.bse") is None


def test_a_comparison_is_by_label_and_says_why_it_has_no_interval() -> None:
    one = run_of("pressure", 0.5, 0.6)
    text = str(compare.compare(one, run_of("pressure", 0.49, 0.6097)))
    assert "pressure: base choices on Δ [T]  0.550  0.550  +0.000 (" in text
    assert "-0.000" not in text
    assert "fewer than two seeds" in str(compare.compare(one, run_of("pressure", 0.7)))
    same = run_of("pressure", 0.5, 0.5)
    assert "of each run have one value" in str(compare.compare(same, same))
    assert "no recipe is in both runs" in str(compare.compare(one, run_of("cued", 0.5, 0.6)))


def test_a_refusal_gives_a_reason_a_line_and_the_consequence_once() -> None:
    with pytest.raises(PlantedError) as refused:
        planted.run("red-doors-aligned", "pressure", out="never")
    lines = str(refused.value).splitlines()
    assert lines[0] == "This run cannot give a verdict:"
    names = [line.rpartition(" ")[2] for line in lines[1:-1]]
    assert names == ["(no-disagreement).", "(regime).", "(collinear)."]
    assert str(refused.value).count("inconclusive") == 1
    assert lines[-1].endswith("--anyway (anyway=True).")
    with pytest.raises(
        PlantedError, match=r"^This run .*: controls have .* \(few-controls\)\. Every"
    ):
        planted.run(PLANT, "pressure", out="never", controls=1)


@pytest.mark.parametrize(("seeds", "warns"), [(2, True), (3, False), (1, False)])
def test_too_few_seeds_for_the_controls_own_verdicts_are_said(seeds: int, warns: bool) -> None:
    import warnings

    from planted.runs.request import grown

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        experiment._warn_of_few(grown((), [Recipe(name, seeds=seeds) for name in ARMS]))
    assert [("--controls 3" in str(each.message)) for each in said] == [True] * warns


def test_a_folder_inside_a_run_names_the_run(tmp_path: Path) -> None:
    (tmp_path / "run" / "cells").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(PlantedError, match=rf"inside the run {tmp_path / 'run'}, .*Name the run"):
        read_raw(tmp_path / "run" / "cells")
    with pytest.raises(PlantedError, match="Start one with"):
        read_raw(tmp_path)


def test_a_setting_outside_its_table_is_sent_there(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[recipe]]\nbase = "pressure"\nsteps = 300\n')
    with pytest.raises(UnknownNameError, match=r"'steps'\. It belongs under settings, as settings"):
        load_recipes(path)
    path.write_text('[[recipe]]\nbase = "pressure"\nsettings = { steps = 300 }\n')
    assert load_recipes(path)[0].settings.steps == 300


# --- the command line ---


def printed(*arguments: Any, columns: int = 80) -> str:
    return CliRunner(env={"COLUMNS": str(columns)}).invoke(main, list(arguments)).output


def test_no_line_of_the_help_is_cut() -> None:
    assert "..." not in printed("--help").partition("Commands:")[2]


def test_help_lists_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Installed: hard-labels, soft-labels," in printed("run", "--help", columns=200)
    theirs = SimpleNamespace(name="their-labels", value="a:b")
    kept = plugins._points
    monkeypatch.setattr(
        plugins, "_points", lambda group: (theirs,) if group == "signals" else kept(group)
    )
    assert ", their-labels." in " ".join(printed("run", "--help", columns=200).split())
