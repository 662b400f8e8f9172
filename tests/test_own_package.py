"""A scenario, a tier, a signal and an evaluator join from a package of the reader's own.

The package is the one that docs/architecture.md shows. It is installed as any other, in a folder of
its own, and nothing of planted is changed: the proof that the contracts hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "examples" / "own_package"
MODULES = sorted(
    path for path in (PACKAGE / "own_package").glob("*.py") if path.name != "__init__.py"
)
ENTROPY = 0.2  # nats, a bound below that of softmax(decks) over three ferries
SHORT = ("--steps", "50", "--behaviour", "none")
RUN = ("run", "ferries", "--tier", "noisy", "--signal", "graded-labels", *SHORT)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package in it, and its entry points."""
    folder = tmp_path_factory.mktemp("installed")
    source = tmp_path_factory.mktemp("source") / "own_package"
    subprocess.run(["cp", "-r", str(PACKAGE), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(folder), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return folder


def planted(installed: Path | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, (str(installed or ""), os.environ.get("PYTHONPATH", ""))))
    return subprocess.run(
        [sys.executable, "-P", "-m", "planted", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_each_is_at_most_forty_lines_and_shown_in_the_docs(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= 40
    assert f"```python\n{text}```" in (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_the_scenario_is_listed(installed: Path) -> None:
    assert "ferries@1" in planted(installed, "list").stdout
    assert "ferries" not in planted(None, "list").stdout


@pytest.fixture(scope="module")
def run(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all four together."""
    folder = tmp_path_factory.mktemp("runs") / "ferries"
    done = planted(installed, *RUN, "--seeds", "2", "--anyway", "--out", str(folder))
    assert not done.returncode, done.stderr
    warned = [line for line in done.stderr.splitlines() if line.startswith("Warning")]
    assert not any("graded-labels" in line for line in warned), warned
    return folder


@pytest.mark.proof
def test_the_run_ends_in_verdicts_and_a_page(run: Path) -> None:
    verdicts = json.loads((run / "verdicts.json").read_text())
    assert {v["seed"] for v in verdicts if not v["null"]} == {0, 1}
    assert "Ferries" in (run / "report.html").read_text()


@pytest.mark.proof
def test_training_starts_from_the_tier(run: Path) -> None:
    manifest = json.loads((run / "plant" / "plant.json").read_text())
    assert manifest["tier"] == "noisy"
    assert manifest["settings"]["sigma"] == pytest.approx(3e-4)


@pytest.mark.proof
def test_the_signal_trained_and_is_recorded(run: Path) -> None:
    request = (run / "run.json").read_text()
    assert '"signal": "graded-labels"' in request
    rows = [json.loads(line) for line in (run / "training.jsonl").read_text().splitlines()]
    own = [row["loss"] for row in rows if row["recipe"].startswith("pressure")]
    assert len(own) == 4  # two seeds of 50 steps, a row every 25
    assert min(own) > ENTROPY  # of what is wanted: no loss by graded labels is lower


@pytest.mark.proof
def test_the_evaluator_measured_and_its_label_is_printed(installed: Path, run: Path) -> None:
    rows = [json.loads(line) for line in (run / "evidence.jsonl").read_text().splitlines()]
    found = [row for row in rows if row["name"] == "margin.mean"]
    assert {row["cue"] for row in found} == {"T", "D"}
    assert all(row["lo"] <= row["estimate"] <= row["hi"] for row in found)
    said = planted(installed, "explain", str(run), "--all")
    assert "logit margin" in said.stdout, said.stderr


def test_without_the_package_the_names_are_unknown(tmp_path: Path) -> None:
    done = planted(None, "run", "ferries", "--out", str(tmp_path / "run"))
    assert done.returncode == 2
    assert "Unknown plant 'ferries'" in done.stderr
