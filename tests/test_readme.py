"""Every example of the README runs, and prints what the README says it prints."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from planted.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
PRINTING = [
    (body, output)
    for (kind, body), (after, output) in itertools.pairwise(BLOCKS)
    if kind == "python" and after == "text"
]
TESTS = [body for kind, body in BLOCKS if kind == "python" and "def test_" in body]
CONSOLE = [body for kind, body in BLOCKS if kind == "console"]


def lines(text: str) -> list[str]:
    """Non-empty lines without trailing blanks: tables pad their cells."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_no_example_is_left_out() -> None:
    python = [body for kind, body in BLOCKS if kind == "python"]
    assert len(PRINTING) + len(TESTS) == len(python)
    assert len(PRINTING) == 3
    assert len(TESTS) == len(CONSOLE) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("body", "output"), PRINTING)
def test_example_prints_what_it_says(
    body: str,
    output: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(body, "README example", "exec"), {"__name__": "readme"})
    assert lines(without_seconds(capsys.readouterr().out)) == lines(without_seconds(output))


@pytest.mark.slow
@pytest.mark.parametrize("body", CONSOLE)
def test_command_prints_what_it_says(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, output = body.split("\n", 1)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ planted ")))
    assert result.exit_code == 0, result.output
    assert lines(result.stdout) == lines(output)


@pytest.mark.parametrize("body", TESTS)
def test_test_example_passes(body: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(body)
    result = pytester.runpytest_subprocess("-q")
    result.assert_outcomes(passed=len(re.findall(r"^def test_", body, re.MULTILINE)))


def without_seconds(text: str) -> str:
    """The cost of a method is a time, and never the same twice."""
    return re.sub(r"\d+(\.\d+)? s\b", "… s", text)
