"""Every example of the README and the docs runs, and prints what they say it prints."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from planted.cli.app import main

ROOT = Path(__file__).parents[1]


def blocks_of(path: Path) -> list[tuple[str, str]]:
    """Language and body of each block of code."""
    return re.findall(r"^```(\w*)\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL)


def printing(blocks: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The Python blocks that are followed by what they print, with it."""
    return [
        (body, output)
        for (kind, body), (after, output) in itertools.pairwise([*blocks, ("", "")])
        if kind == "python" and after == "text"
    ]


TRAINS = re.compile(r"planted\.(run|evaluate)\(")  # in an example that takes minutes
BLOCKS = blocks_of(ROOT / "README.md")
PRINTING = printing(BLOCKS)
DOCS = {path.stem: blocks_of(path) for path in sorted((ROOT / "docs").glob("*.md"))}
IN_DOCS = [(name, *pair) for name, blocks in DOCS.items() for pair in printing(blocks)]
TESTS = [body for kind, body in BLOCKS if kind == "python" and "def test_" in body]
IN_DOCS_TESTS = [
    body
    for blocks in DOCS.values()
    for kind, body in blocks
    if kind == "python" and "def test_" in body
]
CONSOLE = [body for kind, body in BLOCKS if kind == "console"]


def lines(text: str) -> list[str]:
    """Non-empty lines without trailing blanks: tables pad their cells."""
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_no_example_is_left_out() -> None:
    python = [body for kind, body in BLOCKS if kind == "python"]
    assert len(PRINTING) + len(TESTS) == len(python)
    assert len(PRINTING) == 4
    assert len(TESTS) == len(CONSOLE) == 1


def test_examples_of_the_docs_are_told_from_definitions() -> None:
    python = {
        name: sum(kind == "python" for kind, _ in blocks)
        for name, blocks in DOCS.items()
        if any(kind == "python" for kind, _ in blocks)
    }
    # What methods prints, seeds decide; architecture's takes plants of the reader's own.
    # clients' are run beside each client, but the first.
    counts = {"architecture": 4, "clients": 5, "in-your-tests": 5, "methods": 2}
    counts |= {"own-checkpoint": 2, "own-programs": 8, "training": 1}
    assert python == {**counts, "truth": 3, "validation": 1}
    printing = ["clients", "methods", *["own-checkpoint"] * 2, *["own-programs"] * 7, "training"]
    printing += ["truth"] * 3
    assert len(IN_DOCS_TESTS) == counts["in-your-tests"]
    assert [name for name, *_ in IN_DOCS] == printing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "output"),
    [
        *(
            pytest.param(*pair, marks=pytest.mark.proof) if TRAINS.search(pair[0]) else pair
            for pair in [*PRINTING, *((body, output) for _, body, output in IN_DOCS)]
        ),
    ],
    ids=[*("README" for _ in PRINTING), *(name for name, *_ in IN_DOCS)],
)
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
@pytest.mark.proof
@pytest.mark.parametrize("body", CONSOLE)
def test_command_prints_what_it_says(
    body: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, output = body.split("\n", 1)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, shlex.split(command.removeprefix("$ planted ")))
    assert result.exit_code == 0, result.output
    assert lines(result.stdout) == lines(output)


@pytest.mark.slow
@pytest.mark.parametrize("body", [*TESTS, *IN_DOCS_TESTS])
def test_test_example_passes(body: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(body)
    result = pytester.runpytest_subprocess("-q", "-W", "error")
    outcomes = result.parseoutcomes()
    assert set(outcomes) == {"passed"}
    assert outcomes["passed"] >= len(re.findall(r"^def test_", body, re.MULTILINE))


def without_seconds(text: str) -> str:
    """The cost of a method is a time, and never the same twice."""
    return re.sub(r"\d+(\.\d+)? s\b", "… s", text)
