"""TransformerLens 3: every hook point through its HookedTransformer, padded to uniform blocks."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

import planted
from planted.adapters.transformer_lens import to_bridge, to_hooked_transformer
from planted.core.hook_points import head_axis
from planted.errors import PlantedError
from tests.adapters import documented, sites


def client(model: Any) -> sites.Client:
    hooked, config, read_out = (
        to_hooked_transformer(model),
        model.module.config,
        model.spec.read_out,
    )

    def trim(site: str, value: Any) -> Any:
        """Without the heads, sizes and neurons that are padding."""
        if ".attn." not in site and ".mlp." not in site:
            return value
        layer = int(site.split(".")[1])
        heads, size = config.n_heads[layer], config.d_head[layer]
        if ".mlp." in site:
            return value[..., : config.d_mlp[layer]]
        if head_axis(site) == 1:
            return value[:, :heads]
        return value[:, :, :heads] if site.endswith("result") else value[:, :, :heads, :size]

    def read(tokens: Any) -> Any:
        with torch.no_grad():
            logits, cache = hooked.run_with_cache(torch.from_numpy(tokens))
        names = sites.hook_point_names(config.n_layers)
        return logits[:, read_out].numpy(), {n: trim(n, cache[n]).numpy() for n in names}

    def edit(tokens: Any, site: str, value: Any) -> Any:
        def hook(own: torch.Tensor, hook: Any) -> torch.Tensor:
            changed = own.clone()
            trim(site, changed)[...] = torch.from_numpy(value)
            return changed

        with torch.no_grad():
            given = torch.from_numpy(tokens)
            return hooked.run_with_hooks(given, fwd_hooks=[(site, hook)])[:, read_out].numpy()

    return sites.Client("TransformerLens 3", read, edit)


@pytest.mark.parametrize(("name", "tier"), sites.CASES)
def test_every_hook_point_reads_and_acts(name: str, tier: str) -> None:
    sites.hold(sites.compared(name, tier, client))


def test_padding_writes_nothing() -> None:
    model = planted.load("red-doors", runtime="torch")
    hooked, config = to_hooked_transformer(model), model.module.config
    assert hooked.cfg.n_heads == max(config.n_heads)
    assert hooked.cfg.d_mlp == max(config.d_mlp)
    _, cache = hooked.run_with_cache(model.inputs(4))
    for layer, heads in enumerate(config.n_heads):
        assert not cache[f"blocks.{layer}.attn.hook_result"][:, :, heads:].any()


def test_folding_and_centring_are_refused() -> None:
    model = planted.load("red-doors", runtime="torch")
    tokens, hooked = model.inputs(8), to_hooked_transformer(model)
    before = hooked(tokens)
    for each in (hooked, copy.deepcopy(hooked)):
        for given in ({}, {"fold_ln": False, "center_writing_weights": False}):
            with pytest.raises(PlantedError, match=r"process_weights_\(\) folds"):
                each.process_weights_(**given)
        for name in (
            "load_and_process_state_dict",
            "fold_layer_norm",
            "fold_value_biases",
            "center_writing_weights",
            "center_unembed",
            "refactor_factored_attn_matrices",
        ):
            with pytest.raises(PlantedError, match=rf"{name}\(\) folds"):
                getattr(each, name)(each.state_dict())
        assert torch.equal(each(tokens), before)


def test_the_other_major_version_is_named() -> None:
    with pytest.raises(PlantedError, match=r"TransformerLens 3 is installed.*to_hooked"):
        to_bridge(planted.load("red-doors", runtime="torch"))


def test_the_page_shows_what_runs() -> None:
    documented.run_section("TransformerLens 3")
