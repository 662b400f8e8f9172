"""docs/architecture.md tells the truth: its walks are what the code does, its files are there."""

from __future__ import annotations

import importlib
import re
import sys
import warnings
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import pytest

import planted

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
_, FIRST, SECOND = re.split(r"^## A walk: .*$", PAGE, flags=re.MULTILINE)
STEP = re.compile(r"^\d+\. `(planted\.[\w.]+)`", re.MULTILINE)


def found(name: str) -> Any:
    """The function of a dotted name."""
    module, attributes = name, []
    while True:
        try:
            place: Any = importlib.import_module(module)
            break
        except ModuleNotFoundError:
            module, _, attribute = module.rpartition(".")
            attributes.insert(0, attribute)
    for attribute in attributes:
        place = getattr(place, attribute)
    return place


class Inline(Executor):
    """Jobs run where they are submitted, so that they can be watched."""

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(function(*given, **named))
        return future


@pytest.mark.parametrize("name", [*STEP.findall(FIRST), *STEP.findall(SECOND)])
def test_every_step_of_the_walks_is_a_function(name: str) -> None:
    assert callable(found(name))


def test_a_name_that_is_not_there_is_no_step() -> None:
    with pytest.raises(AttributeError):
        found("planted.experiment.walk")


@pytest.mark.proof
def test_the_first_walk_is_the_order_of_first_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    walk = {found(name).__code__: name for name in STEP.findall(FIRST)}
    passed: list[str] = []

    def watch(frame: Any, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in walk:
            passed.append(walk.pop(frame.f_code))

    short: dict[str, Any] = {"steps": 5, "seeds": 1, "behaviour": "none"}
    controls = [planted.Recipe(name, **short) for name in ("no-plant-base", "sham")]
    warnings.simplefilter("ignore")
    sys.setprofile(watch)
    try:
        planted.run(
            "red-doors-small",
            planted.Recipe("pressure", **short),
            out=tmp_path / "run",
            controls=controls,
            anyway=True,
            executor=Inline(),
        )
    finally:
        sys.setprofile(None)
    assert passed == STEP.findall(FIRST)


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+\w+\.\w+)`", PAGE))))
def test_every_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()
