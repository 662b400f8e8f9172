"""A network that never does what it is trained to do: said so, counted, and not judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import planted
from planted.cli.app import main
from planted.runs.results import Run
from tests.end_to_end.short import CONTROLS, Inline

pytestmark = pytest.mark.proof


IDLE = planted.Recipe("pressure", name="idle", learning_rate=1e-9, steps=75, seeds=1)


def again(recipes: Any, folder: Path, executor: Inline) -> Run:
    more: dict[str, Any] = {"controls": CONTROLS, "anyway": True, "executor": executor}
    with pytest.warns(UserWarning, match="few-controls"):
        return planted.run("red-doors-small", recipes, out=folder, **more)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One recipe that cannot learn, one whose rate lets it diverge, and one that reaches."""
    recipes = [
        planted.Recipe("pressure", name="idle", learning_rate=1e-9, steps=75, seeds=1),
        planted.Recipe(
            "pressure",
            name="wild",
            optimizer="sgd",
            learning_rate=1.0,
            clip=1e12,
            steps=75,
            seeds=1,
        ),
        planted.Recipe("coincident", name="kept", learning_rate=1e-9, steps=75, seeds=1),
    ]
    folder = tmp_path_factory.mktemp("not-learned") / "run"
    with pytest.warns(UserWarning, match="few-controls"):
        return planted.run(
            "red-doors-small",
            recipes,
            out=folder,
            controls=CONTROLS,
            anyway=True,
            executor=Inline(),
        )


def test_it_is_said_and_not_judged(run: Run) -> None:
    (idle,), (wild,), (kept,) = (run.of(name) for name in ("idle", "wild", "kept"))
    assert str(idle.verdict) == "not learned (0.00 of its behaviour after 75 steps)"
    assert wild.outcome is not None
    assert wild.outcome.status == "diverged"
    assert str(wild.verdict).startswith("not learned (loss or weights not finite at step ")
    for one in (idle, wild):
        assert one.evidence == {}
        assert one.label is None
        assert one.path is not None
        assert not (one.path.parent / "evidence").exists()
    assert kept.verdict.name != "not learned"
    assert kept.evidence
    assert run.verdicts["idle"] == run.verdicts["wild"] == {"not learned": 1}


def test_the_page_and_the_commands_say_so(run: Run) -> None:
    page = (run.folder / "report.html").read_text()
    assert "not learned" in page
    done = CliRunner().invoke(main, ["explain", str(run.folder), "--recipe", "idle"])
    assert done.exit_code == 0, done.output
    assert "nothing is said of the objective. Train longer" in " ".join(done.output.split())
    assert "Comparisons" not in done.output
    assert "UNCALIBRATED" not in done.output, "there is no verdict to be stamped"
    (idle,) = run.of("idle")
    assert idle.explain().startswith("Not learned (0.00 of its behaviour")
    (kept,) = run.of("kept")
    assert kept.explain().splitlines()[1:] == [
        f"- {line}"
        for line in (*kept.verdict.notes, *(one.sentence() for one in kept.verdict.comparisons))
    ]


def test_the_same_request_again_does_nothing(run: Run) -> None:
    executor = Inline()
    assert again(IDLE, run.folder, executor).verdicts == run.verdicts
    assert executor.jobs == []
