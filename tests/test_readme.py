"""Every example of the README runs, and prints what the README says it prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [body for kind, body in BLOCK.findall(README.read_text()) if kind == language]


def expected(body: str) -> list[str]:
    """The `# -> ...` lines that say what the block prints."""
    return re.findall(r"# -> (.*)$", body, re.MULTILINE)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python_example_prints_what_it_says(
    number: int, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = blocks("python")[number]
    if "def test_" in body:  # run by pytest, in tests/planted/test_pytest_plugin.py's way
        pytest.skip("a test file of the reader's own; see test_test_example_passes")
    monkeypatch.chdir(tmp_path)
    wanted = expected(body)
    assert wanted, "an example that shows no output proves nothing"
    exec(compile(body, f"README example {number}", "exec"), {"__name__": "readme"})
    assert capsys.readouterr().out.split("\n")[:-1] == wanted


def test_test_example_passes(pytester: pytest.Pytester) -> None:
    (body,) = [b for b in blocks("python") if "def test_" in b]
    pytester.makepyfile(body)
    pytester.runpytest_subprocess("-q").assert_outcomes(passed=body.count("def test_"))
