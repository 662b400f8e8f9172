"""One meaning, four runtimes: numpy, jax, torch and Tracr's own forward pass agree."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from planted import library
from planted.core.hook_points import hook_point_names
from planted.core.spec import choices, n_layers
from planted.errors import PlantedError
from planted.network.forward import forward
from planted.network.interventions import overwrite
from planted.network.model import Model
from planted.network.torch_module import PlantedTransformer
from tests import helpers

TOLERANCE = 1e-5  # times max(1, |value|): float32 sums in another order
# In a rotated basis no entry is exactly 0 or 1, and MLPs of exactness 100 and scores of up to 100
# multiply float32's rounding on the way; the read-out suppresses it again.
INSIDE = {"exact": TOLERANCE, "tempered": TOLERANCE, "rotated": 3e-3}
# What is left of it there depends on the processor's order of sums: .9e-5 with AVX-512, 1.0e-5 with
# AMX. In float64 all of it is gone (below).
LOGITS = {"exact": TOLERANCE, "tempered": TOLERANCE, "rotated": 3e-5}
PLANTS = [(name, tier) for name in helpers.SHIPPED for tier in ("exact", "tempered", "rotated")]


def relative_error(got: Any, want: Any) -> float:
    """Largest |got - want| / max(1, |want|)."""
    got, want = np.asarray(got), np.asarray(want)
    return float((np.abs(got - want) / np.maximum(1, np.abs(want))).max(initial=0.0))


@functools.cache
def model(name: str, tier: str) -> Model:
    return library.load(name, tier)


@functools.partial(jax.jit, static_argnums=2)
def by_jax(params: Any, tokens: Any, spec: Any) -> Any:
    """Plants of one shape share one compilation."""
    return forward(params, tokens, spec, record=hook_point_names(n_layers(params)), xp=jnp)


@pytest.mark.parametrize(("name", "tier"), PLANTS)
def test_numpy_jax_and_torch_agree_on_logits_and_every_site(name: str, tier: str) -> None:
    made, tokens = model(name, tier), helpers.draw(name, 24, seed=5)
    logits, cache = made.run_with_cache(tokens)
    assert list(cache) == list(hook_point_names(made.network.n_layers)), "every site, in order"
    jax_logits, jax_cache = by_jax(dict(made.plant.params), tokens, made.spec)
    torch_logits, torch_cache = made.module.run_with_cache(torch.from_numpy(tokens))
    assert set(cache) == set(jax_cache) == set(torch_cache)
    for other_logits, other in ((jax_logits, jax_cache), (torch_logits.detach(), torch_cache)):
        assert relative_error(other_logits, logits) < LOGITS[tier]
        for site, value in cache.items():
            got = other[site].detach().numpy() if hasattr(other[site], "detach") else other[site]
            assert np.shape(got) == value.shape, site
            assert relative_error(got, value) < INSIDE[tier], site
            assert value.dtype == np.float32, site


@pytest.mark.parametrize("name", helpers.SHIPPED)
def test_what_rotated_runtimes_differ_by_is_rounding_alone(name: str) -> None:
    """In float64 the same rotated weights give the same numbers at every site."""
    made, tokens = model(name, "rotated"), helpers.draw(name, 24, seed=5)
    params = {tensor: value.astype(np.float64) for tensor, value in made.plant.params.items()}
    sites = hook_point_names(made.network.n_layers)
    logits, cache = forward(params, tokens, made.spec, record=sites)
    module = PlantedTransformer.from_params(made.plant.params, made.spec).double()
    torch_logits, torch_cache = module.run_with_cache(torch.from_numpy(tokens))
    assert relative_error(torch_logits.detach(), logits) < 1e-6
    for site, value in cache.items():
        # 1e-6 and not less: numpy keeps the attention scale in float32
        assert relative_error(torch_cache[site].detach(), value) < 1e-6, site


@pytest.mark.parametrize("name", ["red-doors-small"])
def test_tracrs_own_forward_pass_agrees(name: str) -> None:
    made, place = helpers.compiled(name), helpers.scenario(name)
    output = helpers.program(name).output
    theirs = helpers.stock(output, place.vocabulary[1:], place.read_out)
    tokens = helpers.draw(name, 12)
    ids = np.array(
        [
            theirs.input_encoder.encode(["compiler_bos", *words])
            for words in place.token_strings(tokens)
        ]
    )
    found = jax.jit(theirs.forward)(theirs.params, ids)
    flow = found.transformer_output
    depth = n_layers(made.params)
    assert theirs.model_config.num_layers == depth
    logits, cache = forward(made.params, tokens, made.spec, record=hook_point_names(depth))

    def agree(site: str, value: Any) -> None:
        assert relative_error(cache[site], np.asarray(value)) < TOLERANCE, site

    agree("blocks.0.hook_resid_pre", flow.input_embeddings)
    for layer in range(depth):
        at = f"blocks.{layer}."
        agree(at + "hook_attn_out", flow.layer_outputs[2 * layer])
        agree(at + "hook_resid_mid", flow.residuals[2 * layer])
        agree(at + "hook_mlp_out", flow.layer_outputs[2 * layer + 1])
        agree(at + "hook_resid_post", flow.residuals[2 * layer + 1])
        heads = cache[at + "attn.hook_attn_scores"].shape[1]
        agree(at + "attn.hook_attn_scores", flow.attn_logits[layer][:, :heads])
        assert not np.asarray(flow.attn_logits[layer][:, heads:]).any(), "Tracr's padding"
    decoded = np.array(
        [theirs.output_encoder.decode(row.tolist()) for row in np.asarray(found.unembedded_output)]
    )
    np.testing.assert_array_equal(choices(logits, made.spec) + 1, decoded[:, made.spec.read_out])


@pytest.mark.parametrize("tier", ["exact", "rotated"])
def test_replacing_any_site_works_the_same_everywhere(tier: str) -> None:
    """At every site: what another task holds there is put in its place."""
    made, tokens = model("red-doors", tier), helpers.draw("red-doors", 8, seed=1)
    spec, plain = made.spec, made.network(tokens)
    _, other = made.run_with_cache(helpers.draw("red-doors", 8, seed=2))
    sites = hook_point_names(made.network.n_layers)
    values = [np.array(other[site]) for site in sites]

    @jax.jit
    def replaced(params: Any, which: int) -> Any:
        edits = {
            site: lambda x, i=i, v=value: jnp.where(which == i, v, x)
            for i, (site, value) in enumerate(zip(sites, values, strict=True))
        }
        return forward(params, tokens, spec, edits=edits, xp=jnp)[0]

    changed = 0
    for i, (site, value) in enumerate(zip(sites, values, strict=True)):
        got = made.network.run_with_hooks(tokens, {site: lambda _, v=value: v})
        by_torch = made.module.run_with_hooks(
            torch.from_numpy(tokens), {site: lambda _, v=value: torch.from_numpy(v)}
        )
        assert relative_error(by_torch.detach(), got) < INSIDE[tier], site
        assert relative_error(replaced(dict(made.plant.params), i), got) < INSIDE[tier], site
        changed += bool(np.abs(got - plain).max() > 0.5)
    assert changed > len(sites) / 3, "edits reach the output"


def test_editing_a_subspace_works_the_same_everywhere() -> None:
    made, tokens = model("red-doors", "rotated"), helpers.draw("red-doors", 8)
    node = made.truth.nodes["score"]
    values = np.full(tokens.shape, np.nan)
    values[:, 2] = 16
    content, where = node.encode(values)
    edit = overwrite(node.basis, content, where)
    by_numpy = made.network.run_with_hooks(tokens, {node.held_at: edit})
    np.testing.assert_array_equal(by_numpy, made.intervene({"score": values}, tokens))
    edits = {node.held_at: edit}
    run = jax.jit(lambda params: forward(params, tokens, made.spec, edits=edits, xp=jnp)[0])
    assert relative_error(run(dict(made.plant.params)), by_numpy) < TOLERANCE
    by_torch = made.module.run_with_hooks(
        torch.from_numpy(tokens),
        {node.held_at: lambda x: torch.from_numpy(edit(x.detach().numpy()))},
    )
    assert relative_error(by_torch.detach(), by_numpy) < TOLERANCE
    wanted = made.scenario.mesa.of(tokens)[:, 0] < 16
    assert wanted.any()
    np.testing.assert_array_equal(choices(by_numpy, made.spec)[wanted], 1)


@pytest.mark.parametrize("name", ["red-doors", "red-doors-small-table"])
def test_the_path_by_head_results_is_the_plain_path(name: str) -> None:
    made, tokens = model(name, "rotated"), helpers.draw(name, 24)
    depth = made.network.n_layers
    plain, outs = made.run_with_cache(tokens, [f"blocks.{i}.hook_attn_out" for i in range(depth)])
    results = [f"blocks.{i}.attn.hook_result" for i in range(depth)]
    split, cache = made.run_with_cache(tokens, results)
    assert relative_error(split, plain) < TOLERANCE
    for i, result in enumerate(results):
        bias = made.plant.params[f"blocks.{i}.attn.b_O"]
        together = cache[result].sum(axis=2) + bias
        assert relative_error(together, outs[f"blocks.{i}.hook_attn_out"]) < TOLERANCE
    same = made.network.run_with_hooks(tokens, {name: lambda x: x for name in results})
    assert relative_error(same, plain) < TOLERANCE


@pytest.mark.parametrize(("name", "tier"), PLANTS)
def test_to_torch_and_back_is_bit_exact(name: str, tier: str) -> None:
    plant = model(name, tier).plant
    back = PlantedTransformer.from_params(plant.params, plant.spec).to_params()
    assert set(back) == set(plant.params)
    for tensor, value in plant.params.items():
        assert back[tensor].dtype == np.float32
        assert back[tensor].flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(back[tensor], value, err_msg=tensor)


def test_random_weights_with_biases_survive_too() -> None:
    """Compiled weights have no biases; trained ones do."""
    plant, rng = model("red-doors-small-table", "exact").plant, np.random.default_rng(0)
    params = {
        name: rng.normal(size=value.shape).astype(np.float32) * np.float32(0.1)
        for name, value in plant.params.items()
    }
    module = PlantedTransformer.from_params(params, plant.spec)
    for tensor, value in module.to_params().items():
        np.testing.assert_array_equal(value, params[tensor], err_msg=tensor)
    tokens = helpers.draw("red-doors-small-table", 24)
    sites = hook_point_names(module.n_layers)
    logits, cache = forward(params, tokens, plant.spec, record=sites)
    by_torch, torch_cache = module.run_with_cache(torch.from_numpy(tokens))
    assert relative_error(by_torch.detach(), logits) < TOLERANCE
    jax_logits, jax_cache = by_jax(params, tokens, plant.spec)
    assert relative_error(jax_logits, logits) < TOLERANCE
    for site in sites:
        assert relative_error(torch_cache[site].detach(), cache[site]) < TOLERANCE, site
        assert relative_error(jax_cache[site], cache[site]) < TOLERANCE, site
    plain = forward(params, tokens, plant.spec)[0]
    assert relative_error(plain, logits) < TOLERANCE


def test_the_module_is_a_copy_and_follows_its_own_weights() -> None:
    made = Model(model("red-doors", "exact").plant, "torch")
    tokens = made.inputs(4)
    assert isinstance(tokens, torch.Tensor)
    before = made.module(tokens).detach().clone()
    with torch.no_grad():
        made.module.head.weight.mul_(2)
    assert torch.equal(made.module(tokens), 2 * before)
    np.testing.assert_array_equal(
        made.module.to_params()["unembed.W_U"], 2 * made.plant.params["unembed.W_U"]
    )
    assert relative_error(before, model("red-doors", "exact").network(tokens.numpy())) < TOLERANCE


def test_modules_have_the_names_that_wrappers_look_for() -> None:
    names = dict(model("red-doors", "exact").module.named_modules())
    for name in (
        "tok_embed",
        "pos",
        "layers.0.ln1",
        "layers.0.attn.q",
        "layers.0.attn.k",
        "layers.0.attn.v",
        "layers.0.attn.o",
        "layers.0.ln2",
        "layers.0.mlp.fc_in",
        "layers.5.mlp.fc_out",
        "ln_out",
        "head",
    ):
        assert name in names, name


def test_the_logit_scale_multiplies_in_every_runtime() -> None:
    import msgspec

    plant, tokens = model("red-doors", "exact").plant, helpers.draw("red-doors", 4)
    spec = msgspec.structs.replace(plant.spec, logit_scale=10.0)
    plain = forward(plant.params, tokens, plant.spec)[0]
    np.testing.assert_allclose(forward(plant.params, tokens, spec)[0], 10 * plain, rtol=1e-6)
    module = PlantedTransformer.from_params(plant.params, spec)
    assert relative_error(module(torch.from_numpy(tokens)).detach(), 10 * plain) < TOLERANCE


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_unknown_sites_are_refused(runtime: str) -> None:
    made = model("red-doors", "exact")
    network: Any = made.network if runtime == "numpy" else made.module
    tokens: Any = made.inputs(2)
    tokens = tokens if runtime == "numpy" else torch.from_numpy(tokens)
    for wrong in ("blocks.6.hook_resid_pre", "blocks.0.hook_resid", "hook_tokens"):
        with pytest.raises(PlantedError, match=rf"Unknown hook point '{wrong}'.*'blocks\.5\.attn"):
            network.run_with_cache(tokens, [wrong])
        with pytest.raises(PlantedError, match=f"Unknown hook point '{wrong}'"):
            network.run_with_hooks(tokens, {wrong: lambda x: x})


def test_only_the_sites_asked_for_are_kept() -> None:
    made = model("red-doors", "exact")
    tokens = made.inputs(2)
    wanted = ["blocks.3.attn.hook_pattern", "hook_embed"]
    assert set(made.run_with_cache(tokens, wanted)[1]) == set(wanted)
    assert set(made.module.run_with_cache(torch.from_numpy(tokens), wanted)[1]) == set(wanted)
    assert made.run_with_cache(tokens, [])[1] == {}


def test_gradients_flow_to_every_planted_matrix_of_the_tempered_tier() -> None:
    made = model("red-doors", "tempered")
    logits = made.module(torch.from_numpy(helpers.draw("red-doors", 64)))
    torch.nn.functional.cross_entropy(logits * 10, torch.zeros(64, dtype=torch.long)).backward()
    for name in ("blocks.0.mlp.W_out", "blocks.1.attn.W_Q", "embed.W_E"):
        assert made.module._own()[name].grad.abs().max() > 0, name
