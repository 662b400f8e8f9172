"""Edges, windows and what interventions do: read from the weights, and held to the program."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import CertificateError, PlantedError
from planted.network import surgery
from planted.network.effects import DISTRIBUTION, Effect, _Bench, effects, reading
from planted.network.forward import forward
from tests.helpers import bare

# One of each shape: menus with and without state, two searches, twins, mazes.
SPREAD = (
    "red-doors", "red-doors-gate", "red-doors-small-table", "crumbs-amortised", "wiping-mux",
    "pointer-decoy", "bottle-cap-list", "delegation", "heuristics", "bandit", "rivals", "plane",
    "grid-doors", "narrow",
)  # fmt: skip
N = 60


def named(found: list[Effect]) -> dict[str, Effect]:
    return {effect.name: effect for effect in found}


@pytest.mark.parametrize("name", SPREAD)
def test_every_edge_is_in_the_weights_and_carries_what_the_program_says(name: str) -> None:
    plant = bare(name)
    nodes, edges = effects(plant, N)
    assert len(edges) == len(plant.truth.edges)
    assert len(nodes) == len(plant.truth.nodes)
    assert all(effect.certified > 0 for effect in nodes + edges)
    assert any(effect.resample > 0.1 for effect in edges)


@pytest.mark.parametrize("tier", ["exact", "tempered", "rotated"])
def test_edges_survive_the_tiers(tier: str) -> None:
    plant = library.get("red-doors", tier)
    _, edges = effects(plant, 100)
    _, exact = effects(library.get("red-doors", "exact"), 100)
    assert [e.name for e in edges] == [e.name for e in exact]
    assert [e.certified for e in edges] == [e.certified for e in exact]


def two_batches(plant: Plant, n: int) -> tuple[Tokens, Tokens]:
    rng = np.random.default_rng(0)
    place = plant.scenario
    first, second = (place.with_any_cue(place.draw(rng, n), rng) for _ in range(2))
    return first, second


def test_resampling_what_the_score_reads_gives_the_other_tasks_choice() -> None:
    plant = bare("red-doors")
    own, other = (leftmost(plant.scenario.mesa.of(x)) for x in two_batches(plant, 300))
    edges = named(effects(plant, 300)[1])
    assert edges["tokens -> score.mlp"].resample == pytest.approx(float((own != other).mean()))
    assert edges["tokens -> output.q"].resample == 0  # the read-out's token is T or D in both
    assert edges["tokens -> output.q"].zero == 1  # and without it nothing is fetched


def test_only_keys_of_other_tasks_against_own_queries() -> None:
    """Half of the comparison is resampled: a slot stands if no score of the other task beats it."""
    plant = bare("red-doors")
    own, other = (plant.scenario.mesa.of(x) for x in two_batches(plant, 300))
    stands = other.max(axis=1)[:, None] <= own
    found = stands.any(axis=1)
    chosen = np.where(found, stands.argmax(axis=1), -1)  # no winner: no valid output
    edge = named(effects(plant, 300)[1])["score -> beaten_share.k"]
    assert edge.certified == int(found.sum())
    assert edge.resample == pytest.approx(float((chosen != own.argmax(axis=1)).mean()))


def test_what_is_computed_and_not_used_has_no_effect() -> None:
    nodes = named(effects(bare("pointer-decoy"), N)[0])
    unused = [effect for name, effect in nodes.items() if "unused" in name]
    assert len(unused) == 7
    assert all(effect.resample == effect.mean == 0 for effect in unused)
    assert nodes["winner_unused"].zero > 0.1  # read after all: with nothing there, no pair fires
    assert nodes["of_best_kind_listed"].resample > 0.1
    searched = named(effects(bare("pointer"), N)[0])
    assert searched["winner"].resample > 0.1


def test_a_dormant_search_does_nothing_and_its_gated_twin_does() -> None:
    dormant = named(effects(bare("red-doors-mux"), N)[0])
    gated = named(effects(bare("red-doors-gate"), N)[0])
    assert dormant["score"].resample == 0 < dormant["score_base"].resample
    assert gated["score"].resample > 0
    assert gated["score_base"].resample > 0
    assert gated["cue"].resample > 0 == dormant["cue"].resample


def test_windows_end_where_the_last_reader_reads() -> None:
    truth = bare("red-doors").truth
    windows = truth.windows
    assert windows["score"].written == "blocks.0.hook_resid_post"
    assert windows["score"].last_read == "blocks.1.hook_resid_pre"
    assert windows["score"].dead[0] == "blocks.1.hook_resid_mid"
    assert windows["output"].last_read == f"blocks.{truth.depth - 1}.hook_resid_post"
    assert windows["output"].dead == ()


def test_what_was_read_can_be_decoded_later_and_is_dead() -> None:
    plant = bare("red-doors")
    node, window = plant.truth.nodes["score"], plant.truth.windows["score"]
    tokens, _ = two_batches(plant, 50)
    site = window.dead[-1]
    _, cache = forward(plant.params, tokens, plant.spec, record=[site])
    held = ~np.isnan(plant.truth.values(tokens)["score"])
    assert (node.decode(cache[site])[held] == plant.truth.values(tokens)["score"][held]).all()


def changed(plant: Plant, name: str, edit: Any) -> Plant:
    params = {key: value.copy() for key, value in plant.params.items()}
    edit(params[name])
    return replace(plant, params=params)


def test_a_weight_that_reads_another_node_is_found() -> None:
    plant = bare("red-doors")
    stray = plant.truth.nodes["indices"].basis[1]
    score = plant.truth.nodes["score"]

    def edit(weight: Any) -> None:
        weight[:, score.neurons[0]] += 3 * stray

    broken = changed(plant, "blocks.0.mlp.W_in", edit)
    assert ("indices", "score", "mlp") in reading(broken) - reading(plant)
    with pytest.raises(CertificateError, match=r"indices -> score\.mlp"):
        effects(broken, N)


def test_a_declared_edge_that_no_weight_reads_is_found() -> None:
    plant = bare("red-doors")
    broken = changed(plant, "blocks.1.attn.W_Q", lambda weight: weight.fill(0))
    with pytest.raises(CertificateError, match=r"score -> beaten_share\.q"):
        effects(broken, N)


def test_one_swapped_pair_of_the_table_is_found_by_the_resampled_answer() -> None:
    plant = bare("red-doors")
    score = plant.truth.nodes["score"]

    def edit(weight: Any) -> None:
        a, b = score.neurons[-2:]
        weight[:, [a, b]] = weight[:, [b, a]]

    with pytest.raises(CertificateError, match="the network and the program differ"):
        effects(changed(plant, "blocks.0.mlp.W_in", edit), 300)


def test_what_depends_on_a_node_after_its_window_is_found() -> None:
    """A free neuron of the last block reads the cue, which is dead, and hardly moves a logit."""
    plant = bare("red-doors-gate")
    params = {k: v.copy() for k, v in surgery.add_free_neurons(plant.params, seed=0).items()}
    roomy = replace(plant, params=params)
    cue, output = plant.truth.nodes["cue"], plant.truth.nodes["output"]
    assert f"blocks.{plant.truth.depth - 1}.hook_resid_mid" in plant.truth.windows["cue"].dead
    effects(roomy, N)
    last = f"blocks.{plant.truth.depth - 1}.mlp."
    params[last + "W_in"][:, -1] = cue.basis[cue.values.index("T")]
    params[last + "W_out"][-1] = 0.01 * output.basis[0]
    with pytest.raises(CertificateError, match="logits depend on 'cue' at"):
        _Bench(roomy, N, seed=0).dead("cue")
    with pytest.raises(CertificateError, match=r"neuron \d+ of block 7 belongs to no node"):
        effects(roomy, N)


def test_the_distribution_has_a_name() -> None:
    assert DISTRIBUTION == "D_ref under every cue"


def test_the_circuit_is_what_the_logits_depend_on() -> None:
    searched, listed = bare("red-doors").truth, bare("pointer-decoy").truth
    parts = ("mlp", "attn 0", "mlp", "mlp", "attn 0", "mlp", "mlp", "attn 0")
    blocks = (0, 1, 1, 2, 3, 3, 4, 5)
    assert searched.circuit_components == tuple(
        f"blocks.{block}.{'hook_mlp_out' if part == 'mlp' else 'attn.hook_result.0'}"
        for block, part in zip(blocks, parts, strict=True)
    )
    assert len(listed.circuit_components) == len(set(listed.circuit_components))
    unused = listed.nodes["beaten_unused_share"]
    assert (
        unused.hook_points[0] in listed.circuit_components
    )  # a weight reads it: data-flow says no more


def test_a_free_neuron_that_carries_an_edge_of_its_own_is_found() -> None:
    plant = library.get("red-doors", "tempered")
    effects(plant, N)
    params = {key: value.copy() for key, value in plant.params.items()}
    tokens, output = plant.truth.nodes["tokens"], plant.truth.nodes["output"]
    params["blocks.1.mlp.W_in"][:, -1] = tokens.basis[tokens.values.index("T")]
    params["blocks.1.mlp.W_out"][-1] = 0.01 * output.basis[0]
    with pytest.raises(CertificateError, match=r"neuron \d+ of block 1 belongs to no node"):
        effects(replace(plant, params=params), N)


def test_a_weak_stray_read_is_found() -> None:
    plant = bare("red-doors")
    stray, score = plant.truth.nodes["indices"].basis[1], plant.truth.nodes["score"]
    largest = float(np.abs(plant.params["blocks.0.mlp.W_in"]).max())

    def edit(weight: Any) -> None:
        weight[:, score.neurons[0]] += 0.01 * largest * stray

    broken = changed(plant, "blocks.0.mlp.W_in", edit)
    assert ("indices", "score", "mlp") in reading(broken) - reading(plant)


def test_an_answer_that_is_a_little_off_is_found() -> None:
    """A value that arrives at three quarters: every choice stays, and no code is right."""
    plant = bare("red-doors")

    def edit(weight: Any) -> None:
        weight *= 0.75

    last = f"blocks.{plant.truth.depth - 1}.attn.W_O"
    with pytest.raises(CertificateError, match=r"differ on 60 of 60 tasks, by 0\.25"):
        effects(changed(plant, last, edit), N)


def test_the_mean_is_taken_position_by_position() -> None:
    """Of the read-out's token, over tasks under both cues: half T and half D, nothing else."""
    plant = bare("red-doors")
    bench = _Bench(plant, 400, seed=0)
    tokens = plant.truth.nodes["tokens"]
    mean = bench._content("tokens", "blocks.0.hook_resid_pre")["mean"][0, plant.spec.read_out]
    cues = [tokens.values.index(word) for word in ("T", "D")]
    assert mean[cues].sum() == pytest.approx(1, abs=1e-5)
    assert mean[cues].min() > 0.3


def test_a_node_read_by_many_is_live_until_the_last() -> None:
    truth = bare("pointer").truth
    for name in ("tokens", "indices", "ones"):
        blocks = [e.layer for e in truth.edges if e.writer == name]
        assert len(blocks) > 1
        assert truth.windows[name].last_read.startswith(f"blocks.{max(blocks)}.")
    assert truth.windows["tokens"].last_read == f"blocks.{truth.depth - 1}.hook_resid_pre"


@pytest.mark.parametrize("how", [{"n": 0}, {"n": 1.5}, {"n": None}, {"seed": -1}, {"seed": "x"}])
def test_counts_and_seeds_that_are_none_are_refused(how: dict[str, Any]) -> None:
    with pytest.raises(PlantedError, match="must be a whole number from"):
        effects(bare("red-doors"), **how)
