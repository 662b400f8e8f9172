"""The package auto-circuit on a planted circuit: what it finds, and what it finds on the twin."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import planted
from examples.edges import auto_circuit_package as package
from planted.core.circuit import links
from planted.eval.methods import edges
from planted.eval.methods.edges import EdgeMetrics

NAME = "red-doors-small"
LINKS = links(planted.load(NAME, runtime="torch").module.components)


def found(tier: str, method: Any, n: int = 24, **settings: Any) -> EdgeMetrics:
    model = planted.load(NAME, tier, runtime="torch")
    base, source = map(torch.from_numpy, edges.pairs_of(model.plant, n, 0))
    if settings:
        scores = package.scores(model.module, base, source, method, **settings)
    else:
        scores = method(model.module, base, source)
    known = edges.links_in(model.plant)
    return edges.metrics(
        edges.read_scores(scores, known, "it"), edges.in_circuit(model.plant, "resample")
    )


@pytest.mark.parametrize("method", [package.mask_gradient, package.mask_gradient_ig])
def test_gradients_find_the_circuit_of_soft_weights(method: Any) -> None:
    assert found("tempered", method).auroc > 0.95


def test_on_exact_weights_one_gradient_misses_what_several_find() -> None:
    one, several = found("exact", package.mask_gradient), found("exact", package.mask_gradient_ig)
    assert one.auroc < 0.85 < several.auroc


def test_acdc_finds_the_whole_circuit_and_nothing_else() -> None:
    figures = found("exact", package.acdc_prune_scores, 8, tao_exps=[-2], tao_bases=[1])
    assert figures.auroc == 1
    assert figures.precision == 1


def test_the_score_holds_it_against_its_nulls_and_the_twin() -> None:
    table = planted.score(
        "examples.edges.auto_circuit_package:mask_gradient",
        task="edges",
        models=NAME,
        tiers=["tempered"],
        n_pairs=8,
        n_redraws=2,
    )
    (row,) = (r for r in table.rows if (r["metric"], r["tier"]) == ("auroc", "tempered"))
    assert row["yours"] > 0.9
    assert row["twin"] < row["yours"] - 0.2
    assert not any(failure.kind == "twin" for failure in table.failures())


def test_every_link_has_a_name_of_the_packages() -> None:
    assert package.node("blocks.1.attn.hook_result.0") == "A1.0"
    assert package.node("blocks.1.attn.hook_q.0") == "A1.0.Q"
    assert package.node("blocks.0.hook_mlp_in") == package.node("blocks.0.hook_mlp_out") == "MLP 0"
    ends = {package.node(end) for link in LINKS for end in link if end != "hook_pos_embed"}
    assert {"Resid Start", "Resid End", "A0.0", "MLP 0"} < ends
