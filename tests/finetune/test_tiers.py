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
from planted.finetune.tiers import Tier, TierContext, dense, tempered
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
    for family, measured in found["families"].items():
        exact = helpers.bare(family)
        rule, share = tempered.room(exact)
        kept = [row for row in measured["measured"] if row["share"] <= found["bound"]]
        fewest = min(row["at_least"] for row in kept)
        assert rule["at_least"] == fewest
        assert share in [row["share"] for row in kept if row["at_least"] == fewest]
        own = replace(exact, origin="mine.py")
        assert tempered.room(own) == (found["rule"], "not measured"), "of the same shape"
    assert tempered.room(helpers.bare("rivals")) == (found["rule"], "not measured")


def _tempered_small(monkeypatch: pytest.MonkeyPatch) -> tuple[Plant, list[dict[str, Any]]]:
    monkeypatch.setattr(tempered, "EXACTNESS", (2, 100))
    monkeypatch.setattr(tempered, "QUERY_FACTORS", (0.5, 0.32, 0.16, 0.1))
    name = "red-doors-small"
    return tempered.temper(lambda exactness: helpers.bare(name, exactness=exactness), "score")


def test_the_setting_of_most_gradient_is_taken_and_its_margin_is_that_of_the_plant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, table = _tempered_small(monkeypatch)
    kept = [row for row in table if "gradient" in row]
    assert any(row["least_margin"] is None for row in table), "some setting changes an answer"
    assert len({row["gradient"] for row in kept}) > 1
    best, settings = max(kept, key=lambda row: row["gradient"]), made.settings
    for name in ("exactness", "query_factor"):
        assert best[name] == settings[name]
    measured = float(f"{tempered.gradient_norm(made, 'score'):.4g}")
    assert best["gradient"] == measured == settings["gradient_at_score"]
    again = certify.certify(made, certify.inputs_of(made, n=4000)[0], nodes=False)
    assert best["least_margin"] == again["least_margin"]
    exact = helpers.bare("red-doors-small", exactness=settings["exactness"])
    wider = np.subtract(tempered.planted_neurons(made), tempered.planted_neurons(exact))
    assert wider.tolist() == settings["free_neurons"]
    assert min(settings["free_neurons"]) >= 24


def test_the_gradient_is_measured_in_the_plant_that_is_trained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def norm(plant: Plant, node: str) -> float:
        seen.append(plant.settings["free_neurons"])  # which a softened exact tier has not
        return 1.0

    monkeypatch.setattr(tempered, "gradient_norm", norm)
    made, _ = _tempered_small(monkeypatch)
    assert seen
    assert all(free == made.settings["free_neurons"] for free in seen)


# --- a plant that bears no noise when it is tempered ---


def test_noise_is_tried_on_harder_settings_where_the_tempered_tier_bears_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    soft, table = _tempered_small(monkeypatch)
    soft = replace(soft, settings={**soft.settings, "grid": table})
    monkeypatch.setattr(dense, "Tempered", lambda: SimpleNamespace(make=lambda *_: soft))
    context = TierContext(lambda exactness: helpers.bare("red-doors-small", exactness=exactness))
    tried: list[tuple[float, float]] = []
    bears = {(100, 0.5)}

    def noisiest(start: Plant, seed: int) -> tuple[Plant | None, list[dict[str, Any]]]:
        tried.append((start.settings["exactness"], start.settings["query_factor"]))
        assert start.settings["grid"] == table
        assert "gradient_at_score" in start.settings
        return (start if tried[-1] in bears else None), [{"sigma": 1e-5, "failed": "all differ"}]

    monkeypatch.setattr(dense, "_noisiest", noisiest)
    exact = helpers.bare("red-doors-small")
    made = dense.Dense().make(exact, context)
    first = (soft.settings["exactness"], soft.settings["query_factor"])
    kept = [row for row in table if "gradient" in row]
    largest = []
    for exactness in (2, 100):
        rows = [row for row in kept if row["exactness"] == exactness]
        row = max(rows, key=lambda row: row["least_margin"])
        largest.append((row["exactness"], row["query_factor"]))
    assert largest[-1] == (100, 0.5)
    assert tried == [first, *(at for at in largest if at != first)]
    assert made.settings["query_factor"] == 0.5

    tried.clear()
    bears.clear()
    with pytest.raises(CertificateError, match=r"at exactness 100, query factor 0\.5: 1e-05"):
        dense.Dense().make(exact, context)
    assert len(tried) == len(set(tried))
