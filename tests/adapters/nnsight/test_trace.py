"""nnsight: every hook point through a trace of the module as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import planted
from planted.adapters.nnsight import at, to_nnsight
from planted.errors import PlantedError
from tests.adapters import documented, sites


def client(model: Any) -> sites.Client:
    traced = to_nnsight(model)

    def read(tokens: Any) -> Any:
        given, found = torch.from_numpy(tokens), {}
        with traced.trace(given):
            for name in sites.hook_point_names(model.module.n_layers):
                found[name] = at(traced, name).output.save()
            logits = traced.output.save()
        return logits.detach().numpy(), {name: v.detach().numpy() for name, v in found.items()}

    def edit(tokens: Any, site: str, value: Any) -> Any:
        given, new = torch.from_numpy(tokens), torch.from_numpy(value)
        with traced.trace(given):
            at(traced, site).output = new
            logits = traced.output.save()
        return logits.detach().numpy()

    def in_place(tokens: Any, site: str, value: Any) -> Any:
        given, new = torch.from_numpy(tokens), torch.from_numpy(value)
        with torch.no_grad(), traced.trace(given):
            at(traced, site).output[:] = new
            logits = traced.output.save()
        return logits.numpy()

    return sites.Client("nnsight", read, edit, in_place)


@pytest.mark.parametrize(("name", "tier"), sites.CASES)
def test_every_hook_point_reads_and_acts(name: str, tier: str) -> None:
    sites.hold(sites.compared(name, tier, client))


def test_every_layer_is_called() -> None:
    """What is never called cannot be traced: attention's output matrix was one."""
    model = planted.load("red-doors", runtime="torch")
    tokens, traced = model.inputs(4), to_nnsight(model)
    with traced.trace(tokens):
        given = traced.layers[1].attn.o.input.save()
        traced.layers[1].attn.o.output[:] = 0
        logits = traced.output.save()
    size = model.module.config.n_heads[1] * model.module.config.d_head[1]
    assert given.shape == (*tokens.shape, size)
    wanted = model.network.run_with_hooks(tokens, {"blocks.1.hook_attn_out": lambda v: v * 0})
    assert sites.deviation(logits.detach(), wanted) <= sites.TOLERANCE


def test_a_gradient_at_a_hook_point() -> None:
    model = planted.load("red-doors", tier="tempered", runtime="torch")
    tokens, traced = model.inputs(4), to_nnsight(model)
    logits, cache = model.run_with_cache(tokens, "blocks.0.hook_mlp_out")
    (wanted,) = torch.autograd.grad(logits.square().sum(), [*cache.values()])
    with traced.trace(tokens):
        out = at(traced, "blocks.0.hook_mlp_out").output
        loss = traced.output.square().sum()
        with loss.backward():
            found = out.grad.save()
    assert torch.allclose(found, wanted, atol=1e-6)
    assert wanted.any()


def test_a_name_that_is_no_hook_point_is_refused() -> None:
    with pytest.raises(PlantedError, match="Unknown hook point 'hook_mlp_out'"):
        at(to_nnsight(planted.load("red-doors", runtime="torch")), "hook_mlp_out")


def test_the_page_shows_what_runs() -> None:
    documented.run_section("nnsight")
