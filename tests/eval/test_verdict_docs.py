"""The page on verdicts says of each what the calibration found."""

from __future__ import annotations

from pathlib import Path

import pytest

from planted.eval.verdict.rule import PLANT_VERDICTS

DOCS = Path(__file__).parents[2] / "docs"


def _rows():
    table = (DOCS / "calibration.md").read_text("utf-8").partition("## Each verdict (sealed)")[2]
    lines = table.partition("\n## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "|" in line]
    return {name: rest for name, *rest in cells[2:]}


@pytest.mark.parametrize("name", _rows())
def test_error_rates(name):
    given, right, bounds, _, clear, found = _rows()[name]
    page = (DOCS / "verdicts.md").read_text("utf-8")
    section = page.partition(f"\n### {name}\n")[2].partition("\n#")[0]
    (said,) = [line for line in section.splitlines() if line.startswith("**Error rates**")]
    if given == "0":
        assert "no sealed model got this verdict" in said
        return
    assert f"of {given} sealed models that got it, {right} rightly ({bounds})" in said
    assert f"of {clear} clear models of this fate {found} got it" in said


def test_every_verdict_has_its_section():
    page = (DOCS / "verdicts.md").read_text("utf-8")
    every = (*PLANT_VERDICTS, *_rows())
    assert [name for name in every if f"\n### {name}\n" not in page] == []
