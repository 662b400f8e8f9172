"""Random programs compile right or are refused by name; and the check itself can fail."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planted.compiler import bos, craft, evidence, stairs
from tests import helpers
from tests.planted import random_programs
from tests.planted.random_programs import WrongError, check, draw, run


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**64 - 1))
def test_any_program_compiles_right_or_is_refused_by_name(seed: int) -> None:
    """Seeds, not draws: hypothesis would draw extremes, and hardly a program that is right."""
    check(draw(Random(seed)))


def outcomes(n: int) -> dict[str, int]:
    """How many programs of a fixed sample were right, refused at each stage, or wrong."""
    found = {"right": 0, "compiler": 0, "certificate": 0, "wrong": 0}
    for number in range(n):
        try:
            found[check(draw(Random(f"0-{number}"))).stage or "right"] += 1
        except (WrongError, random_programs.UndefinedError):
            found["wrong"] += 1
    return found


def test_the_sample_holds_right_programs_and_refused_ones() -> None:
    found = outcomes(100)
    assert found["wrong"] == 0
    assert found["right"] > 75
    assert found["compiler"] > 3
    assert found["certificate"] > 0


def wrong_ones(n: int) -> Iterator[int]:
    """Numbers of the programs of the sample that are wrong."""
    for number in range(n):
        try:
            check(draw(Random(f"0-{number}")))
        except WrongError:
            yield number
        except random_programs.UndefinedError:
            pass


@pytest.mark.parametrize(
    ("target", "rule", "says"),
    [
        (bos, "keep_clear", None),
        (craft, "_counts_meet", False),
        (evidence, "averaging", set()),
        (stairs._Reading, "margin", 1.0),
    ],
)
def test_without_a_rule_of_the_compiler_a_program_is_wrong(
    target: Any, rule: str, says: Any
) -> None:
    """Tried without the check on tasks, which finds most of these as well."""
    with (
        mock.patch.object(random_programs, "verify", return_value=1),
        mock.patch.object(target, rule, return_value=says),
    ):
        assert next(wrong_ones(600), None) is not None


def test_another_choice_than_that_of_plain_search_is_wrong() -> None:
    plans = (draw(Random(f"0-{number}")) for number in range(50))
    plan = next(plan for plan in plans if plan.answer and check(plan).searched)
    slots = plan.n_choices
    right = plan.answer
    plan.answer = lambda task: 1 + right(task) % slots
    with pytest.raises(WrongError, match="It chooses"):
        check(plan)


def test_the_plain_evaluation_is_that_of_the_rasp_interpreter() -> None:
    compared = 0
    for number in range(60):
        plan = draw(Random(f"0-{number}"))
        try:
            plain = [run(plan, task)[-1] for task in plan.tasks[:5]]
        except Exception:
            continue
        output = random_programs.build(plan)[-1]
        for task, want in zip(plan.tasks[:5], plain, strict=True):
            got = helpers.interpreted(output, task)
            assert got == want or repr(got) == repr(want), number  # NaN is not itself
            compared += 1
    assert compared > 150


@pytest.fixture
def fuzz(tmp_path: Path) -> Any:
    """The script of `make fuzz`, which keeps its outcomes in a folder of the test."""
    path = Path(__file__).parents[2] / "tools" / "fuzz.py"
    spec = importlib.util.spec_from_file_location("fuzz", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.KEPT = tmp_path / "kept"
    return module


def asked_for(page: Path, n: int, seed: int, jobs: int) -> list[str]:
    options = {"--n": n, "--seed": seed, "--jobs": jobs, "--out": page}
    return ["fuzz.py", *(str(word) for option in options.items() for word in option)]


def test_the_script_counts_what_became_of_each_program(
    fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "fuzz.md"
    monkeypatch.setattr(fuzz, "STOCK_EVERY", 1000)
    monkeypatch.setattr(sys, "argv", asked_for(page, 15, 3, 1))
    assert fuzz.main() == 0
    text = page.read_text().partition("## The same programs in stock Tracr")[0]
    counts = re.findall(r"^\| (.*) \| (\d+) \|$", text, re.MULTILINE)
    found = {name: int(count) for name, count in counts[:5]}
    refused = found["refused by the compiler, before Tracr runs or at it"]
    tasks = found["refused by the check of the weights on tasks"]
    assert found["compiled, and right"] + refused + tasks == 15
    assert found["wrong, or another error"] == 0
    assert sum(int(count) for _, count in counts[5:]) == refused + tasks


def test_the_script_goes_on_where_it_was_stopped(
    fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fuzz, "STOCK_EVERY", 1000)
    pages = []
    for n in (4, 8, 8):
        pages.append(tmp_path / f"{len(pages)}.md")
        monkeypatch.setattr(sys, "argv", asked_for(pages[-1], n, 3, 1))
        assert fuzz.main() == 0
    (kept,) = fuzz.KEPT.iterdir()
    assert [json.loads(line)["number"] for line in kept.read_text().splitlines()] == [*range(8)]
    assert pages[1].read_bytes() == pages[2].read_bytes() != pages[0].read_bytes()


def test_the_script_fails_where_a_program_is_wrong(
    fuzz: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "fuzz.md"
    monkeypatch.setattr(sys, "argv", asked_for(page, 3, 0, 1))
    monkeypatch.setattr(random_programs, "by_stock_tracr", lambda plan: "right")
    wrong = WrongError("wrong on purpose")
    with mock.patch.object(random_programs, "check", side_effect=wrong):
        assert fuzz.main() == 1
    assert "- program 2: wrong on purpose" in page.read_text()


def test_stock_tracr_is_wrong_without_a_word_where_a_program_is_right_here() -> None:
    found: set[tuple[str, str]] = set()
    for number in range(60):
        plan = draw(Random(f"0-{number}"))
        if len(plan.vocabulary) < 6 and not check(plan).stage:
            found.add(("", random_programs.by_stock_tracr(plan)))
        if {("", "wrong"), ("", "right")} <= found:
            break
    else:
        pytest.fail(f"only {found}")
