"""Refusals that name what is wrong: tiers that fail, names like nothing, starts, verdicts, logs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from planted import library
from planted.cli.printing import _tenths
from planted.core import plugins
from planted.core.artefact import params_digest
from planted.errors import CheckpointError, PlantedError, unknown
from planted.eval.calibration import judged
from planted.finetune import tiers
from planted.finetune.behaviour import outcome
from planted.finetune.settings import Settings
from planted.finetune.tiers import certified
from planted.runs import own

PLANT = "red-doors-small"


def tier(make: Any, invariants: Any = ("choices",)) -> Any:
    return SimpleNamespace(name="wrong", make=make, invariants=invariants)


@pytest.mark.parametrize(
    "found",
    [
        SimpleNamespace(invariants=("choices",), make=lambda exact, context: exact),
        tier(None),
        tier(lambda exact, context: exact, (["choices"],)),
        tier(lambda exact, context: exact, ("answers",)),
    ],
)
def test_what_is_no_tier_is_named(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "get", lambda *_: found)
    with pytest.raises(PlantedError, match="'wrong'"):
        tiers.get("wrong")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda exact, context: 1 / 0, r"'wrong' raised ZeroDivisionError at test_mended"),
        (lambda exact, context: sys.exit(0), "'wrong' raised SystemExit"),
        (lambda exact, context: replace(exact, params=None), "params or settings are no mapping"),
        (lambda exact, context: replace(exact, settings=None), "params or settings are no map"),
    ],
)
def test_a_tier_that_fails_is_named(make: Any, message: str) -> None:
    with pytest.raises(PlantedError, match=message):
        certified._made(tier(make), library.get(PLANT), tiers.TierContext(lambda _: None))  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(("stop", "status"), [(True, "not learned"), (False, "reached")])
def test_training_of_a_fixed_number_of_steps_is_read_at_its_last_evaluation(
    stop: bool, status: str
) -> None:
    rows = [{"step": at, "behaviour": {"T": v}} for at, v in ((550, 0.9), (575, 1.0), (600, 1.0))]
    settings = Settings(regime="mesa", steps=600, stop=stop)
    assert outcome(settings, rows).status == status
    rows[-1] = {"step": 600, "behaviour": {"T": 0.98}}
    assert outcome(settings, rows).status == "not learned"


def test_names_like_nothing_get_a_list_of_bounded_length() -> None:
    names = [f"n{i}" for i in range(200)]
    assert str(unknown("plant", "zzz", names)).endswith("There are 200; `planted list` shows them.")
    assert str(unknown("node", "zzz", names)).endswith("and 160 more.")
    assert str(unknown("node", "zzz", names[:3])) == "Unknown node 'zzz'. Known: n0; n1; n2."


def test_a_checkpoint_of_another_start_is_refused() -> None:
    plant = library.get(PLANT)
    own._same_start(Path("x"), {}, plant)
    own._same_start(Path("x"), {"start": params_digest(plant.params)}, plant)
    with pytest.raises(CheckpointError, match="was trained from crumbs@1"):
        own._same_start(Path("x"), {"start": "0" * 64, "plant": "crumbs@1", "tier": "e"}, plant)


def test_which_plants_are_judged() -> None:
    assert judged.by_name("red-doors@1", "search") == judged.of(library.get("red-doors")) == "yes"
    assert judged.by_name("keys-chests.small@1", "search") == judged.FIRST
    assert judged.by_name("crumbs-list@1", "decision list") == "no"


def test_a_log_has_a_line_for_each_tenth() -> None:
    said: list[int] = []
    tell = _tenths(lambda one: said.append(one["done"]))
    for done in range(101):
        tell({"done": done, "trained": done, "total": 100})
    assert said == list(range(0, 101, 10))
