"""Every example in a docstring runs and gives what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Not `--doctest-modules`: it would import programs, finetune and eval a second time.
ROOMS = {"planted": "planted", "programs": "planted.programs", "finetune": "planted.finetune"}
ROOMS["eval"] = "planted.eval"


def modules_with_examples() -> list[str]:
    found = []
    for folder, package in ROOMS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            if ">>> " in path.read_text(encoding="utf-8"):
                inner = path.relative_to(ROOT / folder).with_suffix("").parts
                found.append(".".join((package, *(p for p in inner if p != "__init__"))))
    return found


LONG = ("planted.experiment", "planted.runs.own")  # they train


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.proof) if name in LONG else name
        for name in modules_with_examples()
    ],
)
def test_the_examples_of_a_module_give_what_they_say(name: str) -> None:
    failed, tried = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert tried
    assert not failed


def test_an_example_that_is_wrong_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda _: None).failed == 1
