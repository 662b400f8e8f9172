"""The contract of tiers: own ones and the reader's own are made, certified, kept and trained."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

import planted
from planted import library
from planted.compiler import certify
from planted.core.plant import TIERS, Plant
from planted.errors import CertificateError, PlantedError, UnknownNameError
from planted.finetune import tiers
from planted.finetune.recipes import Recipe
from planted.finetune.tiers import Tier, TierContext, tempered
from planted.finetune.trainer import training_rows
from tests import helpers
from tests.finetune import own

SMALL = "crumbs.small"


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    own.install(monkeypatch, "tiers", shuffled=own.shuffled)


def wrong(make: Any, invariants: Any = ("choices",), name: str = "wrong") -> Any:
    return SimpleNamespace(name=name, invariants=invariants, make=make)


# --- names ---


def test_the_own_tiers_are_those_that_the_core_lists() -> None:
    assert tiers.names() == list(TIERS) == list(tiers._own())
    for name in TIERS:
        tier = tiers.get(name)
        assert isinstance(tier, Tier)
        assert tier.name == name
        assert tiers.source_digest(name) == ""


@pytest.mark.usefixtures("installed")
def test_an_unknown_tier_is_refused_with_the_installed_ones() -> None:
    calls: list[Any] = [
        lambda: planted.load("red-doors", tier="shufled"),
        lambda: library.build(SMALL, only="shufled"),
        lambda: library.matched([SMALL], tier="shufled"),
        lambda: library.plant(helpers.program("red-doors"), helpers.scenario("red-doors"),
                              tier="shufled"),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(UnknownNameError, match=r"Unknown tier 'shufled'\. Did you.*'shuffled'"):
            call()
    with pytest.raises(UnknownNameError, match=r"'densest'.*rotated; shuffled; tempered"):
        planted.load("red-doors", tier="densest")
    for odd in (None, 3, ["exact"]):
        with pytest.raises(UnknownNameError, match="Unknown tier"):
            planted.load("red-doors", tier=odd)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (own.Shuffled, "not a class"),
        (3, "a function make"),
        (wrong(None), "a function make"),
        (
            wrong(lambda *_: None, invariants=("choice",)),
            r"\('choice',\).*choices, nodes",
        ),
        (wrong(lambda *_: None, invariants="nodes"), "a tuple of invariants"),
        (wrong(lambda *_: None, name="other"), "has the name 'other'"),
    ],
)
def test_what_is_not_a_tier_is_refused(
    monkeypatch: pytest.MonkeyPatch, found: Any, message: str
) -> None:
    own.install(monkeypatch, "tiers", wrong=found)
    with pytest.raises(PlantedError, match=message):
        planted.load(SMALL, tier="wrong")


# --- a tier of the reader's own ---


@pytest.mark.usefixtures("installed")
def test_a_tier_of_another_package_is_made_certified_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = planted.load(SMALL, tier="shuffled")
    plant, exact = model.plant, library.get(SMALL)
    assert (plant.tier, plant.name) == ("shuffled", exact.name)
    assert plant.certificate["mismatches"] == 0
    assert set(plant.certificate["nodes"]) == set(exact.certificate["nodes"])
    assert sorted(plant.settings["order"]) == list(range(exact.params["embed.W_E"].shape[1]))
    assert not np.array_equal(plant.params["embed.W_E"], exact.params["embed.W_E"])
    tokens = model.inputs(n=50, seed=1)
    assert np.array_equal(model.choices(tokens), plant.expected_choices(tokens))

    def never(*_: Any) -> Plant:
        raise AssertionError("it is made again")

    monkeypatch.setattr(own.Shuffled, "make", never)
    again = library.get(SMALL, "shuffled")
    assert all(np.array_equal(again.params[name], plant.params[name]) for name in plant.params)


def test_a_tier_whose_code_changed_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = (
        "from dataclasses import replace\n"
        "class Named:\n"
        "    name, invariants = 'named', ('choices', 'nodes')\n"
        "    def make(self, exact, context):\n"
        "        return replace(exact, settings={'version': VERSION})\n"
    )
    found = {}
    for version in (1, 2):
        path = tmp_path / f"named_{version}.py"
        path.write_text(source.replace("VERSION", str(version)))
        module = ModuleType(f"named_{version}")
        module.__file__ = str(path)
        exec(compile(path.read_text(), str(path), "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        own.install(monkeypatch, "tiers", named=module.Named())
        found[version] = library.get(SMALL, "named").settings["version"]
    assert found == {1: 1, 2: 2}


@pytest.mark.usefixtures("installed")
def test_training_starts_from_it(tmp_path: Path) -> None:
    plant = library.get(SMALL, "shuffled")
    recipe = Recipe("pressure", steps=2, batch=4)
    helpers.train_seeds(plant, recipe, [0], tmp_path)
    (row,) = training_rows(helpers.checkpoint_of(tmp_path, recipe, 0))
    assert row["step"] == 2


def test_own_programs_can_be_had_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    own.install(monkeypatch, "tiers", shuffled=own.shuffled)
    from planted.programs import catalogue

    entry = catalogue.entry(SMALL)
    model = planted.plant(entry.program, entry.make_scenario(), tier="shuffled")
    assert model.plant.tier == "shuffled"


def test_a_tier_may_compile_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def softer(exact: Plant, context: TierContext) -> Plant:
        assert exact.certificate["mismatches"] == 0, "the exact one comes certified"
        return context.compile(10)

    own.install(monkeypatch, "tiers", soft=wrong(softer, name="soft"))
    plant = library.get(SMALL, "soft")
    assert plant.settings == {"exactness": 10}
    assert plant.certificate["n"] > 0


# --- what a tier declares is held against what it made ---


def swapped(exact: Plant, context: TierContext) -> Plant:
    """The first two outputs change places: every node is right, and some choices are not."""
    unembed = exact.params["unembed.W_U"].copy()
    unembed[:, [0, 1]] = unembed[:, [1, 0]]
    return replace(exact, params={**exact.params, "unembed.W_U": unembed})


def drowned(exact: Plant, context: TierContext) -> Plant:
    """Half of the residual stream's scale at the truth: choices stay, nodes are not as declared."""
    nodes = {name: replace(n, basis=n.basis / 2) for name, n in exact.truth.nodes.items()}
    return replace(exact, truth=replace(exact.truth, nodes=nodes))


@pytest.mark.parametrize(
    ("make", "holds", "fails"),
    [(swapped, "nodes", "choices"), (drowned, "choices", "nodes")],
)
def test_only_the_declared_invariants_are_required(
    monkeypatch: pytest.MonkeyPatch, make: Any, holds: str, fails: str
) -> None:
    own.install(monkeypatch, "tiers", wrong=wrong(make, invariants=(holds,)))
    certificate = library.get(SMALL, "wrong").certificate
    off = max(node["largest_deviation"] for node in certificate["nodes"].values())
    assert (certificate["mismatches"] > 0) == (fails == "choices")
    assert (off > 0.02) == (fails == "nodes")
    if fails == "choices":
        share = certificate["mismatches"] / certificate["n"]
        assert certificate["error_rate_below"] >= share, "the figures tell it"
    own.install(monkeypatch, "tiers", wrong=wrong(make, invariants=(holds, fails), name="wrong"))
    with pytest.raises(CertificateError, match=r"crumbs\.small@1 \(wrong\)"):
        library.build(SMALL, only="wrong")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda exact, context: None, "made a NoneType, not a Plant"),
        (
            lambda exact, context: replace(exact, name="mine@1"),
            "changed the name of crumbs",
        ),
        (lambda exact, context: replace(exact, answers="base"), "changed the answers"),
        (
            lambda exact, context: replace(
                exact, params={k: v.astype(np.float64) for k, v in exact.params.items()}
            ),
            "other than finite float32",
        ),
        (
            lambda exact, context: replace(
                exact, params={k: v * np.float32(np.nan) for k, v in exact.params.items()}
            ),
            "other than finite float32",
        ),
        (
            lambda exact, context: replace(exact, settings={"seed": np.int64(3)}),
            "settings that the tier 'wrong' records are not plain JSON",
        ),
    ],
)
def test_what_a_tier_must_not_make_is_named(
    monkeypatch: pytest.MonkeyPatch, make: Any, message: str
) -> None:
    own.install(monkeypatch, "tiers", wrong=wrong(make))
    with pytest.raises(PlantedError, match=message):
        library.build(SMALL, only="wrong")


# --- the room of the tempered tier ---


def test_what_was_measured_of_room_is_found_for_every_family_that_it_was_measured_of() -> None:
    found = tempered._measured_room()
    for family in found["families"]:
        rule, share = tempered.room(helpers.bare(family))
        assert rule["at_least"] in (24, 48, 96, 192), "the smallest that keeps the bound"
        assert isinstance(share, float), family
        assert share <= found["bound"], family
    assert tempered.room(helpers.bare("rivals")) == (found["rule"], "not measured")


def test_the_answers_do_not_hang_on_free_neurons_which_are_left_out_of_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempered, "EXACTNESS", (2,))
    monkeypatch.setattr(tempered, "QUERY_FACTORS", (0.5, 0.32, 0.1))
    made, table = tempered.temper(
        lambda exactness: helpers.bare(SMALL, exactness=exactness), "score"
    )
    kept = [row for row in table if "gradient" in row]
    assert any(row["least_margin"] is None for row in table if "refused" not in row)
    settings = made.settings
    best = max(kept, key=lambda row: row["gradient"])
    assert (best["exactness"], best["query_factor"]) == (
        settings["exactness"],
        settings["query_factor"],
    )
    with_neurons = float(f"{tempered.gradient_norm(made, 'score'):.4g}")
    assert best["gradient"] == with_neurons == settings["gradient_at_score"]
    again = certify.certify(made, certify.inputs_of(made, n=4000)[0], nodes=False)
    assert best["least_margin"] == again["least_margin"]
