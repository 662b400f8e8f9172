"""Plain forward hooks, without any library: the first column of the table, and what must fail."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from planted.network.model import Model
from tests.adapters import sites


def plain_hooks(model: Model) -> sites.Client:
    module = model.module

    def read(tokens: Any) -> Any:
        found = {}
        handles = [
            module.hook_point(name).register_forward_hook(
                lambda _, __, value, name=name: found.update({name: value.numpy()})
            )
            for name in sites.hook_point_names(module.n_layers)
        ]
        with torch.no_grad():
            logits = module(torch.from_numpy(tokens))
        for handle in handles:
            handle.remove()
        return logits.numpy(), found

    def edited(tokens: Any, site: str, hook: Any) -> Any:
        handle = module.hook_point(site).register_forward_hook(hook)
        with torch.no_grad():
            logits = module(torch.from_numpy(tokens))
        handle.remove()
        return logits.numpy()

    return sites.Client(
        "forward hooks",
        read,
        lambda t, site, v: edited(t, site, lambda *_: torch.from_numpy(v)),
        lambda t, site, v: edited(t, site, lambda _, __, own: write(own, v)),
    )


def write(own: torch.Tensor, value: Any) -> None:
    own[...] = torch.from_numpy(value)


@pytest.mark.parametrize(("name", "tier"), sites.CASES)
def test_every_hook_point_reads_and_acts(name: str, tier: str) -> None:
    sites.hold(sites.compared(name, tier, plain_hooks))


def test_a_client_whose_edits_do_nothing_fails() -> None:
    def dead(model: Model) -> sites.Client:
        client = plain_hooks(model)
        return sites.Client("dead", client.read, lambda t, site, v: client.read(t)[0])

    with pytest.raises(AssertionError, match=r"site='blocks\.1\.attn\.hook_pattern'"):
        sites.hold(sites.compared("red-doors", "exact", dead))


def test_a_client_that_gives_another_value_fails() -> None:
    def off(model: Model) -> sites.Client:
        client = plain_hooks(model)

        def read(tokens: Any) -> Any:
            logits, found = client.read(tokens)
            found["blocks.0.hook_mlp_out"] = found["blocks.0.hook_mlp_out"] + np.float32(1e-3)
            return logits, found

        return sites.Client("off", read, client.edit)

    with pytest.raises(AssertionError, match=r"site='blocks\.0\.hook_mlp_out'"):
        sites.hold(sites.compared("red-doors", "exact", off))
