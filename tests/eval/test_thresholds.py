"""Thresholds as data: what the file says, what changes it, and by which a verdict was decided."""

from __future__ import annotations

import ast
import inspect
import json
from importlib.resources import files
from pathlib import Path

import pytest

from planted.errors import ArtefactError, VerdictError
from planted.eval.evidence import index
from planted.eval.verdict import drift, fates, gates, reader, rule, states, thresholds
from planted.eval.verdict.thresholds import Thresholds, default, load, save
from tests.eval.test_verdict import CUES, Side, both, decide

SHIPPED = Path(str(files("planted.eval.verdict") / "thresholds.json"))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    path = tmp_path / "mine.json"
    path.write_bytes(SHIPPED.read_bytes())
    return path


def test_the_shipped_file_says_what_it_is() -> None:
    content = json.loads(SHIPPED.read_text("utf-8"))
    assert set(content["fitted_on"]) == {"programs", "seeds"}
    assert content["version"] == "families-2"
    assert content["sha256"] == default().digest
    assert content["values"] == default().values
    # Frozen: other values are another version.
    assert default().label == "families-2 (b334f099f773)"


def test_a_copy_of_the_file_reads_the_same(copy: Path) -> None:
    assert load(copy) == default()
    assert Thresholds().values == default().values


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"mesa": 0.15', '"mesa": 0.16', "was altered"),
        ('"sha256": "', '"sha256": "0', "was altered"),
        ('"mesa": 0.15', '"messa": 0.15', "lacks the threshold 'mesa'"),
        ('"mesa": 0.15', '"mesa": "0.15"', "does not hold thresholds"),
        ('"mesa": 0.15', '"mesa": null', "does not hold thresholds"),
        ('"schema": 1', '"schema": 99', "schema 99; this version reads 1"),
        ('"values"', '"valves"', "does not hold thresholds"),
        ('"mesa": 0.15,', '"mesa": 0.15', "not readable JSON"),
    ],
)
def test_an_altered_file_is_refused(copy: Path, old: str, new: str, says: str) -> None:
    text = copy.read_text("utf-8")
    assert old in text
    copy.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(ArtefactError, match=says):
        load(copy)
    with pytest.raises(ArtefactError, match=says):
        decide(index(both(Side(block=(1, 0)))), CUES, copy)


def test_a_verdict_says_by_which_thresholds_it_was_decided(tmp_path: Path) -> None:
    records = index(both(Side(block=(0.8, 0.2))))
    usual = decide(records, CUES)
    assert (usual.name, usual.thresholds) == ("drifts", default().label)
    wide = Thresholds(mesa=0.3, f_moved=0.3)
    found = decide(records, CUES, wide)
    assert (found.name, found.thresholds) == ("persists", f"custom ({wide.digest[:12]})")
    named = Thresholds(mesa=0.3, f_moved=0.3, version="wide-1")
    save(tmp_path / "wide.json", named, fitted_on={"programs": ["mine"]}, frozen="2026-11-26")
    from_file = decide(records, CUES, tmp_path / "wide.json")
    assert (from_file.name, from_file.thresholds) == ("persists", f"wide-1 ({wide.digest[:12]})")
    assert from_file == decide(records, CUES, named)


def test_other_values_never_have_the_shipped_version() -> None:
    assert Thresholds(mesa=0.3, version="families-2").label.startswith("custom (")
    assert Thresholds(version="mine").label == default().label


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "0.3", None, True])
def test_a_threshold_that_cannot_be_compared_with_is_refused(wrong: object) -> None:
    with pytest.raises(VerdictError, match="'mesa' is a finite number"):
        Thresholds(mesa=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mesa": 7}, "'mesa' is a share, from 0 to 1, got 7"),
        ({"swap": -0.1}, "'swap' is a share"),
        ({"least_nulls": 0}, "'least_nulls' is a whole number from 1, got 0"),
        ({"least_nulls": 2.5}, "'least_nulls' is a whole number from 1"),
    ],
)
def test_a_threshold_out_of_its_range_is_refused(changes: dict[str, float], says: str) -> None:
    with pytest.raises(VerdictError, match=says):
        Thresholds(**changes)  # type: ignore[arg-type]


def test_records_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(VerdictError, match=r"got list: .* planted\.eval\.evidence\.index"):
        decide([], CUES)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [3, {"mesa": 0.3}, True])
def test_what_are_no_thresholds_is_refused(wrong: object) -> None:
    with pytest.raises(VerdictError, match="or the path of a file"):
        decide(index(both(Side(block=(1, 0)))), CUES, wrong)  # type: ignore[arg-type]


def test_a_file_needs_a_version_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(VerdictError, match="a version of their own"):
        save(tmp_path / "x.json", Thresholds(mesa=0.3), fitted_on=[], frozen="2026-11-26")


@pytest.mark.parametrize("module", [rule, gates, states, fates, drift, reader])
def test_the_rule_holds_no_threshold_of_its_own(module: object) -> None:
    """No number between 0 and 1 stands in its code."""
    found = [
        node.value
        for node in ast.walk(ast.parse(inspect.getsource(module)))  # type: ignore[arg-type]
        if isinstance(node, ast.Constant) and isinstance(node.value, float)
    ]
    assert found == []


def test_each_threshold_is_read_by_the_rule() -> None:
    modules = (rule, gates, states, fates, drift, reader)
    code = "".join(inspect.getsource(module) for module in modules)
    assert [name for name in default().values if f"limits.{name}" not in code] == []


def test_the_shipped_file_is_read_once() -> None:
    assert thresholds.default() is thresholds.default()
