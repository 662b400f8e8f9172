"""A verdict on weights from the user's own training loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

import planted
from planted import library
from planted.cli.app import main
from planted.errors import ArtefactError, CheckpointError, PlantedError
from planted.programs import red_doors
from planted.runs.jobs import seen_tasks
from planted.runs.results import CheckpointResult
from tests.end_to_end.conftest import PLANT, cell_of
from tests.end_to_end.short import CONTROLS, SHORT, Inline


def evaluate(checkpoint: Any, plant: Any = PLANT, **more: Any) -> tuple[CheckpointResult, Inline]:
    executor = Inline()
    given = {"controls": CONTROLS, "executor": executor, "anyway": True, **more}
    with pytest.warns(UserWarning, match="few-controls"):
        return planted.evaluate(checkpoint, plant, **given), executor


def test_the_users_own_checkpoint_gets_what_a_runs_checkpoint_gets(whole: Path) -> None:
    network, run = cell_of(whole, "pressure", 0), planted.open_run(whole)
    seen = seen_tasks(run.plant, SHORT, 0, SHORT.settings.steps)
    found, executor = evaluate(network.checkpoint, seen=seen)
    assert sorted(executor.jobs) == ["judge_cell"] * 2 + ["train_cells"] * 2
    assert found.verdict.name == run[0].verdict.name
    assert found.reading.keys() == run[0].reading.keys()
    known = {key: (r.estimate, r.lo, r.hi) for key, r in run[0].records.items()}
    assert {key: (r.estimate, r.lo, r.hi) for key, r in found.records.items()} == known
    beside = found.evidence["agreement.mesa[T]"].null
    assert beside == run[0].evidence["agreement.mesa[T]"].null, "the same sham network"
    np.testing.assert_array_equal(found.params["unembed.W_U"], run[0].params["unembed.W_U"])
    assert found.model().choices(seen[:4]).shape == (4,)
    # the second one finds the controls in the cache
    again, executor = evaluate(dict(found.params))
    assert executor.jobs == []
    assert again.decided_on == found.decided_on
    assert again.path is None
    with pytest.raises(PlantedError, match="no file and no log"):
        _ = again.training


def test_a_cache_that_cannot_be_written_costs_no_answer(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("a file where the cache should be")
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match=r"trained for this call alone|without a cache"):
        found, executor = evaluate(cell_of(whole, "pressure", 0).checkpoint)
    assert len(executor.jobs) == 4
    assert found.verdict.name == "inconclusive"
    assert (tmp_path / "file").read_text() == "a file where the cache should be"


def test_a_plant_of_the_users_own_is_taken_as_an_object(whole: Path) -> None:
    # its functions are lambdas and closures, which a process gets by value
    plant = library.get(PLANT, "tempered")
    base = replace(plant.scenario.base, of=lambda tokens: plant.scenario.mesa.of(tokens)[:, ::-1])
    own = replace(plant, name="mine", origin="object", scenario=replace(plant.scenario, base=base))
    found = planted.forecast(own)
    assert "not-trusted: paths" in {finding.name for finding in found}
    with pytest.raises(PlantedError, match=r"\(not-trusted: paths\)(.|\n)*inconclusive"):
        planted.run(own, SHORT, out=whole.parent / "never")
    assert not (whole.parent / "never").exists()


@pytest.mark.proof
def test_no_controls_are_trained_for_a_verdict_that_is_known_to_be_inconclusive() -> None:
    plant = library.get(PLANT, "tempered")
    found, executor = evaluate(plant.params, anyway=False)
    assert executor.jobs == []
    assert found.verdict.name == "inconclusive"
    assert found.evidence["agreement.mesa[T]"].estimate == 1.0
    assert found.evidence["paths.scorer_share[T]"].null is None
    assert found.reading["T"]["behaviour"] == "mesa"


def test_what_is_no_checkpoint_of_the_plant_is_refused(tmp_path: Path) -> None:
    params = dict(library.get(PLANT, "tempered").params)
    with pytest.raises(CheckpointError, match=r"unembed\.W_U.*shape"):
        planted.evaluate({**params, "unembed.W_U": np.zeros((2, 2))}, PLANT)
    with pytest.raises(CheckpointError, match="NaN or infinity"):
        planted.evaluate({**params, "embed.W_E": params["embed.W_E"] * np.nan}, PLANT)
    with pytest.raises(CheckpointError, match="another plant or tier"):
        planted.evaluate(params, PLANT, tier="exact")
    with pytest.raises(PlantedError, match="Cannot read weights from a int"):
        planted.evaluate(3, PLANT)
    with pytest.raises(ArtefactError, match="missing"):
        planted.evaluate(tmp_path / "none.safetensors", PLANT)
    for seen in (3, [[1, 2]], np.zeros((4, 5))):
        with pytest.raises(PlantedError, match=r"seen must be whole numbers \[task, "):
            planted.evaluate(params, PLANT, seen=seen)
    with pytest.raises(PlantedError, match="controls must be from 1"):
        planted.evaluate(params, PLANT, controls=0)
    with pytest.raises(PlantedError, match="got 3"):
        planted.evaluate(params, 3)


@pytest.mark.proof
def test_a_run_of_a_python_object_opens_with_the_plant_in_any_tier(tmp_path: Path) -> None:
    made, folder = small_doors(), tmp_path / "run"
    with pytest.warns(UserWarning, match="few-controls"):
        run = planted.run(
            made, SHORT, out=folder, controls=CONTROLS, anyway=True, executor=Inline()
        )
    with pytest.raises(PlantedError, match=r"given as a Python object.*open_run.*--plant"):
        planted.open_run(folder)
    for given in (made, run.plant, f"{__name__}:small_doors"):
        assert planted.open_run(folder, given).verdicts == run.verdicts
    with pytest.raises(PlantedError, match=r"red-doors@1, is another program than mine"):
        planted.open_run(folder, "red-doors")
    for command in ("explain", "report", "evaluate"):
        done = CliRunner().invoke(
            main, [command, str(folder), "--plant", f"{__name__}:small_doors"]
        )
        assert done.exit_code == 0, done.output
        refused = CliRunner().invoke(main, [command, str(folder)])
        assert "--plant my_module:make_plant" in refused.stderr


def small_doors() -> Any:
    place = red_doors.scenario(objects=3, levels=2)
    return planted.plant(red_doors.search, place, name="mine")
