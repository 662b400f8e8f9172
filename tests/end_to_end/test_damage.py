"""A finished folder whose files were edited, damaged or asked for again with other settings."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import planted
from planted import experiment
from planted.cli.app import main
from planted.core import files
from planted.errors import ArtefactError, RunFolderError, UnknownNameError
from planted.finetune.recipes import Recipe
from planted.runs.request import read_request
from tests.end_to_end.conftest import PLANT
from tests.end_to_end.short import Inline

FIRST, EDITED = (Recipe(name="fast", steps=steps, seeds=1) for steps in (1, 2))
CONTROLS = [Recipe("no-plant-base", steps=1, seeds=1), Recipe("sham", steps=1, seeds=1)]


def begin(folder: Path, recipe: Recipe = FIRST) -> tuple[planted.experiment.Run, Inline]:
    """A run whose networks learn nothing, so that all but sham fine-tuning need no judging."""
    executor = Inline()
    with pytest.warns(UserWarning, match="few-controls"):
        done = planted.run(
            PLANT, recipe, out=folder, controls=CONTROLS, anyway=True, executor=executor
        )
    return done, executor


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("damage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_CACHE", str(folder / "cache"))
        begin(folder / "run")
        yield folder / "run"


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_a_recipe_whose_settings_were_edited_is_added_and_all_of_the_run_works(run: Path) -> None:
    done, executor = begin(run, EDITED)
    assert executor.jobs == ["train_cells"]
    other = f"fast {EDITED.digest}"
    assert list(done.verdicts) == ["fast", other]
    assert [len(done.of(name)) for name in done.verdicts] == [1, 1]
    assert [result.outcome.steps for result in done if result.outcome] == [1, 2]
    again, executor = begin(run, EDITED)
    assert executor.jobs == []
    assert str(again) == str(done) == str(planted.open_run(run))
    assert list(done.compare(planted.open_run(run)).verdicts) == ["fast", other]
    page = experiment.report(run).read_text()
    assert other in page
    for name in done.verdicts:
        told = CliRunner().invoke(main, ["explain", str(run), "--recipe", name])
        assert told.exit_code == 0, told.output
    refused = CliRunner().invoke(main, ["explain", str(run), "--recipe", ""])
    assert (refused.exit_code, "Unknown recipe of this run ''" in refused.stderr) == (2, True)


@pytest.mark.parametrize("content", [None, "[]", "null", '{"schema": 2'])
def test_repeating_the_command_restores_a_request_and_trains_nothing(
    run: Path, content: str | None
) -> None:
    path = run / "run.json"
    before = path.read_bytes()
    if content is not None:
        path.write_text(content)
        with pytest.raises(ArtefactError, match="Remove it and repeat the command"):
            planted.run(PLANT, FIRST, out=run, controls=CONTROLS, anyway=True)
    path.unlink()
    with pytest.raises(RunFolderError, match="Repeat the command"):
        planted.open_run(run)
    _, executor = begin(run)
    assert executor.jobs == []
    assert path.read_bytes() == before


def edit_loss(path: Path) -> None:
    rows = files.read_lines(path)
    files.write_lines(path, [{**row, "loss": 0.0} for row in rows])


DAMAGE: list[Callable[[Path], Any]] = [
    edit_loss,
    Path.unlink,
    lambda path: path.write_text(""),
    lambda path: path.write_text("{" * 3),
    lambda path: path.write_text("[" * 100_000),
]


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_training_log_that_was_edited_does_not_reach_the_report(run: Path, damage: Any) -> None:
    path = run / "training.jsonl"
    before = path.read_bytes()
    damage(path)
    with pytest.raises(ArtefactError, match=rf"{path}.*Run: planted evaluate {run}"):
        experiment.report(run)
    done = CliRunner().invoke(main, ["evaluate", str(run)])
    assert done.exit_code == 0, done.output
    assert path.read_bytes() == before
    assert experiment.report(run).exists()


@pytest.mark.parametrize("content", ["{", "3", "[" * 100_000])
def test_damaged_timings_cost_no_command(run: Path, content: str) -> None:
    (run / "timings.json").write_text(content)
    begin(run)
    (row,) = json.loads((run / "timings.json").read_text())
    assert "report" in row


@pytest.mark.parametrize("plant", [(), ("--plant", PLANT)])
def test_finetune_adds_seeds_to_the_folders_own_plant(
    run: Path, plant: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default plant is red-doors, and this run is of another."""
    resumed: list[Any] = []
    real = experiment.resume

    def resume(folder: Path, *given: Any, **more: Any) -> Any:
        resumed.append(more["plant"])
        return real(folder, *given, executor=Inline(), **more)

    monkeypatch.setattr(experiment, "resume", resume)
    options = ["--recipe", "pressure", "--steps", "1", "--seeds", "2", "--anyway", *plant]
    done = CliRunner().invoke(main, ["finetune", str(run), *options])
    assert done.exit_code == 0, done.output
    assert "few-controls" in done.stderr
    assert resumed
    asked = [(asked.name, asked.recipe.seeds) for asked in read_request(run).recipes]
    assert asked == [("fast", 2)], "the settings are those of the run's one recipe"


def test_an_unknown_recipe_of_a_run_is_named(run: Path) -> None:
    with pytest.raises(UnknownNameError, match="Known: "):
        planted.open_run(run).of("")
