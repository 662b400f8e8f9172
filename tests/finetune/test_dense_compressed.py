"""Dense and compressed: what they keep of the program, what they change, and what they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.compiler.certify import certify, inputs_of
from planted.core import artefact
from planted.core.plant import SHIPPED_TIERS, Plant
from planted.core.spec import n_layers
from planted.errors import CertificateError, PlantedError
from planted.finetune.tiers import TierContext, compressed, dense, tempered
from planted.network import surgery
from planted.network.forward import choices_of, forward, logits_of
from planted.network.model import Model
from planted.programs import catalogue, planting
from tests import helpers

SMALL = ("bottle-cap", "crumbs.small", "red-doors-small")  # a family each
SOFT = {"bottle-cap": (10, 0.4), "crumbs.small": (10, 0.4), "red-doors-small": (2, 0.16)}


def bare(name: str, exactness: float = 100) -> Plant:
    entry = catalogue.entry(name)
    return planting.bare(entry, entry.make_scenario(), exactness)


def soft(name: str) -> Plant:
    """Tempered at one setting, without the grid."""
    exactness, factor = SOFT[name]
    return tempered.tempered_at(bare(name, exactness), exactness, factor)


@pytest.fixture(scope="module")
def narrow() -> dict[str, Plant]:
    return {name: library.build(name, only="compressed")["compressed"] for name in SMALL}


@pytest.fixture(scope="module")
def noisy() -> dict[str, Plant]:
    """Dense plants of soft ones that are made without the grid."""
    with pytest.MonkeyPatch.context() as patch:
        found = {}
        for name in SMALL:
            exactness, factor = SOFT[name]
            patch.setattr(tempered, "EXACTNESS", (exactness,))
            patch.setattr(tempered, "QUERY_FACTORS", (factor,))
            found[name] = library.build(name, only="dense")["dense"]
        return found


def obeys(plant: Plant) -> bool:
    """Whether the choice obeys scores that are written to the score node, as the program would."""
    tokens = np.random.default_rng(4).permutation(inputs_of(plant, n=300)[0])[:300]
    values = plant.truth.values(tokens)["score"]
    other = np.where(np.isnan(values), np.nan, np.roll(values, 7, axis=0))
    got = Model(plant).intervene({"score": other}, tokens).argmax(axis=1)
    output = plant.truth.operations[-1].name
    wanted = plant.truth.values(tokens, {"score": other})[output][:, plant.spec.read_out]
    assert (got + 1 != plant.truth.values(tokens)[output][:, plant.spec.read_out]).mean() > 0.2
    return bool((got + 1 == wanted).mean() >= 0.99)


# --- what both keep ---


@pytest.mark.proof
@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("tier", ["narrow", "noisy"])
def test_choices_and_truth_are_carried_along(
    name: str, tier: str, request: pytest.FixtureRequest
) -> None:
    plant: Plant = request.getfixturevalue(tier)[name]
    found = plant.certificate
    assert (found["mismatches"], found["n"]) == (0, library.get(name).certificate["n"])
    tokens = inputs_of(plant, n=500)[0]
    np.testing.assert_array_equal(
        choices_of(plant.params, plant.spec, tokens), plant.expected_choices(tokens)
    )
    assert set(found["nodes"]) == set(library.get(name).certificate["nodes"])
    named = found["nodes"] if tier == "narrow" else ["score"]  # noise may blur what is not needed
    assert all(found["nodes"][node]["wrong"] == 0 for node in named), "values are read right"
    assert found["nodes"]["score"]["largest_deviation"] < 0.5
    assert obeys(plant)


@pytest.mark.parametrize("name", ["red-doors-small-table", "red-doors-small"])
def test_the_twin_can_be_had_in_both_tiers_with_the_same_choices(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempered, "EXACTNESS", (2,))
    monkeypatch.setattr(tempered, "QUERY_FACTORS", (0.2, 0.16))
    made = [library.build(name, only=tier)[tier] for tier in ("dense", "compressed")]
    tokens = inputs_of(made[0])[0]
    for plant in made:
        np.testing.assert_array_equal(
            choices_of(plant.params, plant.spec, tokens),
            library.load("red-doors-small").choices(tokens),
        )


@pytest.mark.parametrize("tier", ["compressed", "dense"])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_other_weights(
    tier: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "bottle-cap"
    monkeypatch.setattr(tempered, "EXACTNESS", (SOFT[name][0],))
    monkeypatch.setattr(tempered, "QUERY_FACTORS", (SOFT[name][1],))
    maker: Any = {"compressed": compressed.Compressed(), "dense": dense.Dense()}[tier]
    exact = bare(name)

    def made(seed: int) -> Plant:
        plant: Plant = maker.make(exact, TierContext(lambda at: bare(name, at), seed))
        artefact.save_plant(tmp_path, plant, f"made-{seed}")
        return plant

    first, weights = made(0), (tmp_path / "made-0.safetensors").read_bytes()
    made(0)
    assert (tmp_path / "made-0.safetensors").read_bytes() == weights
    second = made(1)
    assert all((first.params[n] != second.params[n]).any() for n in ("embed.W_E", "unembed.W_U"))
    tokens = inputs_of(first)[0]
    np.testing.assert_array_equal(
        choices_of(first.params, first.spec, tokens), choices_of(second.params, second.spec, tokens)
    )


def test_only_the_shipped_tiers_are_made_by_default() -> None:
    assert list(library.build("bottle-cap.small", only="exact")) == ["exact"]
    assert tuple(library.build("bottle-cap.small")) == SHIPPED_TIERS
    assert SHIPPED_TIERS == ("exact", "tempered", "rotated")


# --- compressed ---


def test_it_is_narrower_than_the_program_and_says_what_was_tried(narrow: dict[str, Plant]) -> None:
    for name, plant in narrow.items():
        wide = library.get(name).params["embed.W_E"].shape[1]
        settings = plant.settings
        assert plant.params["embed.W_E"].shape[1] == settings["width"] <= 0.75 * wide + 1
        assert settings["exact_width"] == wide
        kept = [row["width"] for row in settings["widths"] if "failed" not in row]
        assert kept[-1] == settings["width"]
        assert kept == sorted(kept, reverse=True)
        rows = sum(len(node.basis) for node in plant.truth.nodes.values())
        assert rows > settings["width"], "more directions than dimensions: superposition"
    assert any("failed" in plant.settings["widths"][-1] for plant in narrow.values())


def test_edges_are_not_sought_in_superposition(narrow: dict[str, Plant]) -> None:
    plant = next(iter(narrow.values()))
    with pytest.raises(PlantedError, match="is in superposition"):
        Model(plant).effects(n=8)


def test_at_the_next_width_other_tasks_show_what_was_lost() -> None:
    wide = bare("crumbs.small")
    held, read = compressed.moments(wide)
    tokens = helpers.draw("crumbs.small", 3000, seed=5)
    wrong = {}
    for width in (39, 19):
        made = compressed.project(wide, compressed.learned(held, width), read)
        choices = choices_of(made.params, made.spec, tokens)
        wrong[width] = int((choices != made.expected_choices(tokens)).sum())
    assert wrong[39] == 0 < wrong[19]


def test_readers_fitted_on_own_activations_alone_do_not_follow_the_score_node() -> None:
    wide = bare("bottle-cap")
    held, read = compressed.moments(wide)
    projection = compressed.learned(held, 20)
    assert compressed.disobedience(wide) == 0
    assert compressed.disobedience(compressed.project(wide, projection, read)) < 100
    tokens = inputs_of(wide)[0]
    _, cache = forward(wide.params, tokens, wide.spec, record=set(read))
    own = {}
    for at, stream in cache.items():
        rows = stream.reshape(-1, stream.shape[-1]).astype(np.float64)
        own[at] = rows.T @ rows / len(rows)
    lazy = compressed.project(wide, projection, own)
    np.testing.assert_array_equal(
        choices_of(lazy.params, lazy.spec, tokens), wide.expected_choices(tokens)
    )
    assert compressed.disobedience(lazy) > 300


def test_a_projection_that_is_not_learned_loses_the_nodes() -> None:
    wide = bare("crumbs.small")
    held, read = compressed.moments(wide)
    width = 39
    random = surgery.random_rotation(64, 0)[:, :width].astype(np.float64)
    tokens = helpers.draw("crumbs.small", 500)
    off = {}
    for how, projection in (("learned", compressed.learned(held, width)), ("random", random)):
        nodes = certify(compressed.project(wide, projection, read), tokens, choices=False)["nodes"]
        off[how] = nodes["score"]["largest_deviation"]
    assert off["learned"] < 0.02 < 0.3 < off["random"]


def test_the_readers_get_what_they_got_on_the_wide_stream() -> None:
    wide = bare("bottle-cap")
    held, read = compressed.moments(wide)
    made = compressed.project(wide, compressed.learned(held, 40), read)
    sites = [f"blocks.{layer}.mlp.hook_pre" for layer in range(n_layers(wide.params))]
    sites += [f"blocks.{layer}.attn.hook_q" for layer in (1, 3)]
    tokens = inputs_of(wide)[0][:400]
    caches = [forward(p.params, tokens, p.spec, record=sites)[1] for p in (wide, made)]
    for site in sites:
        scale = 1 + np.abs(caches[0][site]).max(initial=0.0)
        assert np.abs(caches[0][site] - caches[1][site]).max(initial=0.0) < 1e-3 * scale


def test_a_plant_that_cannot_be_compressed_is_refused_with_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compressed, "WIDTHS", (0.15,))
    with pytest.raises(
        CertificateError,
        match=r"bottle-cap@1 cannot .* 'compressed'.* of 50 .*8: \d+ of 1458 choices differ",
    ):
        library.build("bottle-cap", only="compressed")


# --- dense ---


@pytest.mark.parametrize("name", SMALL)
def test_more_room_changes_no_logit_and_comes_after_what_is_planted(name: str) -> None:
    plant = soft(name)
    roomy = dense.with_room(plant, seed=3)
    tokens = inputs_of(plant, n=300)[0][:300]
    np.testing.assert_allclose(
        logits_of(roomy.params, roomy.spec, tokens),
        logits_of(plant.params, plant.spec, tokens),
        atol=1e-5,
    )
    wide = roomy.settings["free_width"]
    assert wide == -(-plant.params["embed.W_E"].shape[1] // 4)
    for layer in range(n_layers(plant.params)):
        at = f"blocks.{layer}."
        old, new = plant.params[at + "attn.W_Q"], roomy.params[at + "attn.W_Q"]
        assert len(new) == len(old) + dense.FREE_HEADS
        assert new[len(old) :].std() > 0, "a free head reads"
        assert not roomy.params[at + "attn.W_O"][len(old) :].any(), "and does not write"
        planted = bare(name).params[at + "mlp.b_in"].shape[0]
        free = roomy.params[at + "mlp.b_in"].shape[0] - planted
        assert free == roomy.settings["free_neurons"][layer]
    assert (roomy.params["embed.W_E"][:, -wide:] != 0).all()
    for name_, node in roomy.truth.nodes.items():
        assert not node.basis[:, -wide:].any()
        np.testing.assert_array_equal(node.basis[:, :-wide], plant.truth.nodes[name_].basis)


def test_the_noise_is_the_largest_that_the_plant_bears(noisy: dict[str, Plant]) -> None:
    for name, plant in noisy.items():
        assert all((value != 0).all() for value in plant.params.values()), "no weight is zero"
        settings = plant.settings
        *failed, kept = settings["sigmas"]
        assert kept["sigma"] == settings["sigma"]
        assert plant.certificate["least_margin"] >= settings["margin_wanted"] > 0.1
        assert failed, "a grid whose largest noise is borne says nothing"
        assert all("failed" in row for row in failed)
        if name == "red-doors-small":  # padded to its twin's shapes: other draws
            continue
        louder = dense.noisy(dense.with_room(soft(name)), failed[-1]["sigma"])
        found = certify(louder, nodes=False, choices=False)
        assert found["mismatches"] or found["least_margin"] < settings["margin_wanted"]


def test_a_plant_that_bears_no_noise_is_refused_with_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempered, "EXACTNESS", (10,))
    monkeypatch.setattr(tempered, "QUERY_FACTORS", (0.4,))
    monkeypatch.setattr(dense, "SIGMAS", (0.1, 0.05))
    with pytest.raises(
        CertificateError,
        match=r"bottle-cap@1 cannot .* 'dense'.*0\.1: \d+ of .* differ; 0\.05: \d+",
    ):
        library.build("bottle-cap", only="dense")
