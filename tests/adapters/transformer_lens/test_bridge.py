"""TransformerLens 4: every hook point through its bridge, and what it must refuse."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

import planted
from planted.adapters.transformer_lens import to_bridge, to_hooked_transformer
from planted.errors import PlantedError
from tests.adapters import documented, sites


def client(model: Any, prepare: Any = lambda bridge: bridge) -> sites.Client:
    bridge = prepare(to_bridge(model))

    def read(tokens: Any) -> Any:
        with torch.no_grad():
            logits, cache = bridge.run_with_cache(torch.from_numpy(tokens))
        names = sites.hook_point_names(bridge.cfg.n_layers)
        return logits.numpy(), {name: cache[name].numpy() for name in names}

    def run(tokens: Any, site: str, hook: Any) -> Any:
        with torch.no_grad():
            given = torch.from_numpy(tokens)
            return bridge.run_with_hooks(given, fwd_hooks=[(site, hook)]).numpy()

    def write(value: Any, hook: Any, new: Any) -> None:
        value[...] = torch.from_numpy(new)

    return sites.Client(
        "TransformerLens 4",
        read,
        lambda t, site, v: run(t, site, lambda value, hook: torch.from_numpy(v)),
        lambda t, site, v: run(t, site, lambda value, hook: write(value, hook, v)),
    )


@pytest.mark.parametrize(("name", "tier"), sites.CASES)
def test_every_hook_point_reads_and_acts(name: str, tier: str) -> None:
    sites.hold(sites.compared(name, tier, client))


def test_compatibility_mode_keeps_the_numbers_or_is_refused() -> None:
    bridge = to_bridge(planted.load("red-doors", runtime="torch"))
    for folding in ({}, {"fold_ln": False}, {"center_unembed": True}):
        with pytest.raises(PlantedError, match="no_processing=True"):
            bridge.enable_compatibility_mode(**folding)

    def compatible(made: Any) -> Any:
        made.enable_compatibility_mode(no_processing=True)
        return made

    rows = sites.compared("red-doors", "exact", lambda model: client(model, compatible))
    sites.hold(rows)


@pytest.mark.parametrize("uniform_blocks", [False, True])
def test_processing_weights_is_refused(uniform_blocks: bool) -> None:
    model = planted.load("red-doors", runtime="torch")
    tokens, bridge = model.inputs(8), to_bridge(model, uniform_blocks=uniform_blocks)
    before = bridge(tokens)
    for folding in ({}, {"center_unembed": True}, {"fold_ln": False}):
        with pytest.raises(PlantedError, match=r"process_weights\(\) folds"):
            bridge.process_weights(**folding)
    assert torch.equal(bridge(tokens), before)


@pytest.mark.parametrize("compatible", [False, True])
def test_every_hook_point_of_a_deepcopy_acts(compatible: bool) -> None:
    def copied(bridge: Any) -> Any:
        if compatible:
            bridge.enable_compatibility_mode(no_processing=True)
        return copy.deepcopy(bridge)

    sites.hold(sites.compared("red-doors", "exact", lambda model: client(model, copied)))


def test_a_deepcopy_is_a_bridge_of_its_own() -> None:
    model = planted.load("red-doors", runtime="torch")
    tokens, bridge = model.inputs(8), to_bridge(model)
    other, plain = copy.deepcopy(bridge), bridge(tokens)
    for site in ("hook_resid_mid", "hook_mlp_in", "attn.hook_attn_scores", "attn.hook_result"):
        fired = []
        fired_there = [(f"blocks.1.{site}", lambda value, hook, seen=fired: seen.append(1))]
        with other.hooks(fwd_hooks=fired_there):
            bridge(tokens)
            assert not fired
            other(tokens)
            assert fired == [1]
    with torch.no_grad():
        other.unembed.W_U.zero_()
    assert torch.equal(bridge(tokens), plain)
    with pytest.raises(PlantedError, match="process_weights"):
        other.process_weights()
    other.enable_compatibility_mode(no_processing=True)
    assert other.compatibility_mode
    assert not bridge.compatibility_mode


def test_blocks_of_several_shapes_are_not_stacked() -> None:
    bridge = to_bridge(planted.load("red-doors", runtime="torch"))
    for name in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out", "b_Q", "b_in", "QK", "OV"):
        with pytest.raises(PlantedError, match="uniform_blocks=True"):
            getattr(bridge, name)
    copied = copy.deepcopy(bridge)
    with pytest.raises(PlantedError, match="uniform_blocks=True"):
        _ = copied.W_Q


def test_it_has_the_modules_weights() -> None:
    model = planted.load("red-doors", runtime="torch")
    tokens, bridge = model.inputs(16), to_bridge(model)
    before = model.choices(tokens)
    with torch.no_grad():
        bridge.unembed.W_U[:, [0, 1]] = bridge.unembed.W_U[:, [1, 0]]
    assert torch.equal(bridge(tokens), model.module(tokens))
    assert (model.choices(tokens) != before).any()
    np.testing.assert_array_equal(bridge(tokens).argmax(dim=1), model.choices(tokens))


def test_the_module_stays_as_it_was() -> None:
    """The bridge puts layers of its own into a module: into a second one, not the user's."""
    model = planted.load("red-doors", runtime="torch")
    names = [(name, type(layer)) for name, layer in model.module.named_modules()]
    to_bridge(model)
    assert [(name, type(layer)) for name, layer in model.module.named_modules()] == names
    assert all(not layer._forward_hooks for layer in model.module.modules())


def test_uniform_blocks_stack_and_decompose() -> None:
    model = planted.load("red-doors", runtime="torch")
    tokens, bridge = model.inputs(8), to_bridge(model, uniform_blocks=True)
    config = model.module.config
    heads, size = max(config.n_heads), max(config.d_head)
    assert bridge.W_Q.shape == (config.n_layers, heads, config.d_model, size)
    logits, cache = bridge.run_with_cache(tokens)
    wanted = model.module(tokens)
    assert sites.deviation(logits.detach(), wanted.detach()) <= sites.TOLERANCE
    assert cache.stack_head_results().shape == (config.n_layers * heads, 8, 6, config.d_model)
    parts, labels = cache.decompose_resid(return_labels=True)
    assert labels[:2] == ["embed", "pos_embed"]
    stream = cache[f"blocks.{config.n_layers - 1}.hook_resid_post"]
    assert sites.deviation(parts.sum(dim=0).detach(), stream.detach()) <= sites.TOLERANCE


def test_a_gradient_flows_through_the_bridge() -> None:
    model = planted.load("red-doors", tier="tempered", runtime="torch")
    to_bridge(model)(model.inputs(8)).square().sum().backward()
    assert model.module.tok_embed.weight.grad.any()


def test_the_other_major_version_is_named() -> None:
    with pytest.raises(PlantedError, match=r"TransformerLens 4 is installed.*to_bridge"):
        to_hooked_transformer(planted.load("red-doors", runtime="torch"))


def test_the_page_shows_what_runs() -> None:
    documented.run_section("TransformerLens 4")


def test_the_oracle_of_attribution_patching() -> None:
    off, moving, nodes = documented.run_example("attribution_patching")
    assert off < 1e-4
    assert nodes > moving > 10
