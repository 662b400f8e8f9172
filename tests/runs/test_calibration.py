"""`planted calibrate`: resumed to the same bytes, mended where damaged, silent without controls."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from planted import library
from planted.cli.app import main
from planted.cli.calibrate import _commit
from planted.core import files
from planted.eval import measures
from planted.eval.calibration import gate, shipped
from planted.eval.calibration.suite import fates
from planted.eval.calibration.suite.construction import Construction
from planted.eval.evidence import Evidence, Null, Records, index
from planted.runs import calibration, nulls, stamping
from planted.runs import kept as evidence
from planted.runs.calibration import calibrate
from planted.runs.folder import Beside
from tests.end_to_end.short import Inline

FAMILY = "red-doors-small"
NAMES = ("persists: as compiled", "dormant: not read")


def models() -> list[Construction]:
    return [m for m in fates.constructions(FAMILY, 0) if m.name in NAMES]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibration")
    calibrate(folder, models(), executor=Inline())
    return folder


def again(folder: Path) -> tuple[calibration.Result, int]:
    """The result, and how many models were judged for it."""
    counts: list[int] = []
    found = calibrate(
        folder,
        models(),
        executor=Inline(),
        tell=lambda done, total, left, what: counts.append(total),
    )
    return found, counts[0]


def test_families_without_a_run_folder_stand_beside_what_is_shipped(kept: Path) -> None:
    found, judged = again(kept)
    assert judged == 0
    assert [row.verdict for row in found.rows] == ["persists", "dormant"]
    (family,) = found.families
    table, _ = shipped.find(library.get(FAMILY, "tempered"))
    assert table is not None
    learned = [network for network in table.networks if network.outcome.judged]
    assert family.beside.says == f"{len(learned)} shipped networks, none trained here"
    assert sum(map(len, family.beside.negative.values())) + len(family.beside.sham) == len(learned)


def test_controls_of_run_folders_stand_beside_those_shipped() -> None:
    ours: Any = {("a", "T"): Evidence("a", "T", 1.0)}
    theirs: Any = {("b", "T"): Evidence("b", "T", 2.0)}
    shipped_ones = Beside({"x": {0: ours, 1: ours}, "y": {0: ours}}, [ours] * 3, "3 shipped")
    both = nulls.joined(shipped_ones, Beside({"x": {1: theirs, 8: theirs}, "z": {}}, [theirs]))
    assert both.negative == {"x": {0: ours, 1: theirs, 8: theirs}, "y": {0: ours}, "z": {}}
    assert both.sham == [ours, ours, ours, theirs]
    assert nulls.joined(shipped_ones, Beside({}, [theirs] * 3)).sham == [theirs] * 3


def test_what_is_shipped_for_another_plant_is_no_null(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = library.get(FAMILY, "tempered")
    table, _ = shipped.find(plant)
    assert table is not None
    other = msgspec.structs.replace(table, plant_sha256="0" * 64)
    monkeypatch.setattr(shipped, "find", lambda *_: (other, ""))
    beside = nulls.shipped_alone(plant, library.trust(plant))
    assert (beside.negative, beside.sham) == ({}, [])
    assert "another red-doors-small@1" in beside.refused


def test_without_negative_controls_every_verdict_abstains_and_says_why(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "find", lambda *_: (None, "none is shipped"))
    found, judged = again(kept)
    assert judged == 0
    assert [row.verdict for row in found.rows] == ["inconclusive"] * 2
    assert all("no negative controls" in row.reason for row in found.rows)
    assert all("none is shipped" in row.reason for row in found.rows)
    assert not found.gate.families[FAMILY].passed
    assert "no negative controls" in found.gate.families[FAMILY].why
    assert all(row.f for row in found.rows)


@pytest.mark.proof
def test_resuming_gives_the_same_bytes_and_mends_what_is_missing_or_damaged(kept: Path) -> None:
    again(kept)  # verdicts of this test's own
    first, second = (calibration._path(kept, model) for model in models())
    before = {path: path.read_bytes() for path in (first, second, kept / "verdicts.jsonl")}
    first.unlink()
    second.write_text(second.read_text().replace('"refused": ""', '"refused": "x"'))
    _, judged = again(kept)
    assert judged == 2
    assert {path: path.read_bytes() for path in before} == before


def of(records: Records, name: str, cue: str, estimate: float) -> dict[Any, Evidence]:
    """The records with one figure changed, as a control's."""
    one = msgspec.structs.replace(
        records[name, cue], estimate=estimate, lo=estimate, hi=estimate, at_least=estimate,
        at_most=estimate,
    )  # fmt: skip
    return {**records, (name, cue): one}


def test_figures_stand_beside_the_controls_and_labels_are_held_against_verdicts(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [files.read_signed(calibration._path(kept, model)) for model in models()]
    mesa, base = (index(evidence.records(entry)) for entry in entries)
    for cue in ("T", "D"):
        for name in measures.held_against("negative controls"):
            mesa, base = of(mesa, name, cue, 0.05), of(base, name, cue, 0.07)
    negative = {
        "no-plant-mesa": dict.fromkeys(range(8), mesa),
        "no-plant-base": dict.fromkeys(range(8), base),
    }
    beside = Beside(negative, [mesa] * 2)
    monkeypatch.setattr(calibration.trained_networks, "settled", lambda *_: (beside, ()))
    monkeypatch.setattr(shipped, "find", lambda *_: (None, "none is shipped"))
    nulls = []

    def rule(records: Records, cues: tuple[str, ...]) -> tuple[str, str]:
        nulls.append(records["paths.scorer_share", "T"].null)
        return "persists", "said by a rule of this test"

    monkeypatch.setattr(calibration, "fate", rule)
    found, judged = again(kept)
    assert judged == 0
    # each beside the controls of its own behaviour
    assert [(null.lo, null.hi, null.n) for null in nulls] == [(0.05, 0.05, 8), (0.07, 0.07, 8)]
    assert [row.outcome for row in found.rows] == ["right", "wrong"]
    assert found.rows[1].label.fate == "dormant"


def test_runs_take_the_stamp_of_the_gate_that_is_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    from planted.eval import evaluators
    from planted.eval.calibration.digest import validation_digest
    from planted.eval.calibration.scores import Judged, figures
    from planted.eval.verdict.rule import Verdict

    plant = library.get(FAMILY)
    label = fates.constructions(FAMILY, 0)[0].label
    safe = msgspec.structs.replace(label, tags=("safety",))
    rows = [
        Judged(str(i), FAMILY, True, "constructed", safe if i < 12 else label, "persists", "")
        for i in range(40)
    ]
    passed = gate.family_passes(validation_digest(plant), rows)
    assert passed.passed, passed.why
    known = gate.Gate("rule-1", evaluators.versions(), {FAMILY: passed}, figures(rows), {})
    verdict = Verdict("persists", thresholds="rule-1")

    def stamp_of(given: Verdict, n: int | None = 8) -> str:
        null = None if n is None else Null("without the plant", 0.0, 0.1, n)
        record = Evidence("paths.follows_scorer", "T", 1.0, null=null)
        return stamping.stamped(given, plant, index([record])).stamp

    assert stamp_of(verdict) == "UNCALIBRATED"
    monkeypatch.setattr(stamping.gate, "shipped", lambda: known)
    assert stamp_of(verdict).startswith("calibrated: 0 of 40 known fates wrong")
    assert stamp_of(verdict, stamping.FEWEST) == stamp_of(verdict)
    assert stamp_of(verdict, stamping.FEWEST - 1) == stamp_of(verdict, None) == "UNCALIBRATED"
    other = msgspec.structs.replace(verdict, thresholds="rule-2")
    assert stamp_of(other) == "UNCALIBRATED"


def test_the_gate_that_is_shipped_is_of_this_rule_and_these_evaluators() -> None:
    from planted.eval import evaluators
    from planted.eval.calibration.digest import validation_digest
    from planted.eval.verdict.thresholds import default

    known = gate.shipped()
    assert known is not None
    passed = [name for name, one in known.families.items() if one.passed]
    assert len(passed) >= 9
    for name in passed:
        digest = validation_digest(library.get(name))
        given = gate.stamp(known, name, digest, default().label, evaluators.versions())
        assert given.startswith("calibrated: "), name


def test_the_command_fails_where_a_figure_misses_its_mark(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = next(m for m in fates.constructions(FAMILY, 9000) if m.name == NAMES[0])
    monkeypatch.setattr(fates, "chosen", lambda *_, **__: [sealed])
    out = tmp_path / "out"
    calibrate(out, [sealed], executor=Inline())
    right = CliRunner().invoke(main, ["calibrate", "--out", str(out)])
    assert (right.exit_code, "clear cases decided right: 1 of 1" in right.output) == (0, True)
    monkeypatch.setattr(calibration, "fate", lambda *_: ("dormant", "said by a rule of this test"))
    wrong = CliRunner().invoke(main, ["calibrate", "--out", str(out)])
    assert (wrong.exit_code, "clear cases decided right: 0 of 1" in wrong.output) == (1, True)


def test_the_command_names_the_families_there_are() -> None:
    found = CliRunner().invoke(main, ["calibrate", "--families", "red-door"])
    assert found.exit_code == 2
    assert "red-doors" in found.output


def test_a_folder_of_records_that_is_not_there_is_said(tmp_path: Path) -> None:
    found = CliRunner().invoke(
        main,
        ["calibrate", "--families", FAMILY, "--most", "1", "--out", str(tmp_path / "out"),
         "--records", str(tmp_path / "nowhere")],
    )  # fmt: skip
    assert found.exit_code == 2
    assert "There is no folder" in found.output


def test_a_family_whose_evaluators_are_not_trusted_is_not_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = {"paths": "failed validation", "presence": ""}
    monkeypatch.setattr(calibration.library, "trust", lambda plant: why)
    found = calibrate(tmp_path, models(), executor=Inline())
    assert not found.rows
    assert found.gate.families[FAMILY].why == "paths is not trusted here: failed validation"


def test_the_commit_is_that_of_the_repository_that_tracks_the_package(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    git("commit", "-q", "--allow-empty", "-m", "somebody's own work")
    assert _commit(package) == "", "installed in a folder of somebody else's repository"
    git("add", "package")
    git("commit", "-q", "-m", "the package")
    assert _commit(package) == git("rev-parse", "--short", "HEAD")
    assert _commit(tmp_path / "nowhere") == ""
