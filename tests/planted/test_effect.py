"""`model.effect`: exact logits after an ablation, against the program and against hooks by hand."""

import importlib.util

import numpy as np
import pytest

import planted
from planted.errors import PlantedError

SCORE = "blocks.0.hook_mlp_out"


@pytest.fixture(scope="module")
def model():
    return planted.load("red-doors@1")


@pytest.mark.parametrize("node", ["score", "beaten", "standing", "winner", "output"])
def test_interchange_is_what_the_program_says(model, node):
    tokens, source = model.inputs(60, 0), model.inputs(60, 1)
    got = model.effect(node, "interchange", tokens, source=source)
    wanted = model.truth.values(tokens, {node: model.expected(node, source)})["output"][:, -1]
    said = ~np.isnan(wanted)
    assert said.sum() > 30
    np.testing.assert_array_equal(got[said].argmax(axis=1) + 1, wanted[said])


def hooked(model, tokens, site, change):
    return model.network.run_with_hooks(tokens, {site: change})


def test_zero_and_mean_and_interchange_are_what_hooks_do(model):
    tokens, source = model.inputs(30, 0), model.inputs(30, 1)
    _, cache = model.run_with_cache(source, [SCORE])
    for kind, value in {
        "interchange": cache[SCORE],
        "mean": np.broadcast_to(cache[SCORE].mean(axis=0), cache[SCORE].shape),
        "zero": np.zeros_like(cache[SCORE]),
    }.items():
        wanted = hooked(model, tokens, SCORE, lambda _, value=value: value)
        got = model.effect(SCORE, kind, tokens, source=source)
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        assert np.abs(got - model.network(tokens)).max() > 0.1


def test_one_position_and_one_head(model):
    tokens = model.inputs(30, 0)

    def no_output(value):
        value = value.copy()
        value[:, 2] = 0
        return value

    wanted = hooked(model, tokens, SCORE, no_output)
    np.testing.assert_allclose(model.effect(f"{SCORE}@2", "zero", tokens), wanted, atol=1e-5)
    head = "blocks.5.attn.hook_result"
    wanted = hooked(model, tokens, head, np.zeros_like)
    np.testing.assert_allclose(model.effect(f"{head}.0", "zero", tokens), wanted, atol=1e-5)


def test_a_node_is_not_all_that_its_component_writes(model):
    """The MLP of block 0 writes the score and a constant beside it."""
    tokens = model.inputs(30, 0)
    node, whole = (model.effect(site, "zero", tokens) for site in ("score", SCORE))
    assert np.abs(node - whole).max() > 0.1


def test_draws_are_by_seed(model):
    tokens = model.inputs(30, 0)
    one, same, other = (model.effect("score", "resample", tokens, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.torch
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_a_torch_hook_can_be_held_to_it():
    import torch

    model = planted.load("red-doors@1", "rotated", runtime="torch")
    tokens, source = model.inputs(20, 0), model.inputs(20, 1)
    with torch.no_grad():
        _, cache = model.module.run_with_cache(source, [SCORE])
        got = model.module.run_with_hooks(tokens, {SCORE: lambda _: cache[SCORE]})
    wanted = model.effect(SCORE, "interchange", tokens, source=source)
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-4)


@pytest.mark.parametrize(
    ("site", "kind", "more", "message"),
    [
        ("scor", "zero", {}, "Unknown node or component 'scor'. Did you mean 'score'"),
        ("score@9", "zero", {}, "Unknown position in 'score@9'"),
        ("score", "ablate", {}, "interchange"),
        ("score", "interchange", {}, "takes source="),
        ("score", "resample", {"source": [[0, 1, 2, 3, 4, 33]]}, "one source task for each"),
        ("score", "zero", {"seed": -1}, "seed"),
    ],
)
def test_a_mistake_is_said(model, site, kind, more, message):
    with pytest.raises(PlantedError, match=message):
        model.effect(site, kind, model.inputs(4), **more)
