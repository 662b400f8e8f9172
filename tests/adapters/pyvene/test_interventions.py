"""pyvene: every hook point, heads, and the subspaces of nodes, with the counterfactual known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pyvene
import torch

import planted
from planted.adapters.pyvene import place, to_pyvene
from planted.errors import PlantedError, UnknownNameError
from planted.network.model import Network
from planted.network.torch_module import PlantedTransformer
from tests.adapters import documented, sites


def counterfactual(where: Any, module: Any, base: Any, source: Any = None, **how: Any) -> Any:
    intervenable = pyvene.IntervenableModel(where, model=module)
    sources = None if source is None else [{"tokens": source}]
    return intervenable(base={"tokens": base}, sources=sources, **how)[1].detach().numpy()


def client(model: Any) -> sites.Client:
    module = to_pyvene(model)

    def read(tokens: Any) -> Any:
        given = torch.from_numpy(tokens)
        names = sites.hook_point_names(module.n_layers)
        collect = [
            {"component": name, "intervention": pyvene.CollectIntervention(keep_last_dim=True)}
            for name in names
        ]
        (logits, found), _ = pyvene.IntervenableModel(collect, model=module)(
            base={"tokens": given}, output_original_output=True
        )
        values = dict(zip(names, found, strict=True))
        return logits.numpy(), {name: value.numpy() for name, value in values.items()}

    def edit(tokens: Any, site: str, value: Any) -> Any:
        put = pyvene.VanillaIntervention(
            source_representation=torch.from_numpy(value), keep_last_dim=True
        )
        where = {"component": site, "intervention": put}
        return counterfactual(where, module, torch.from_numpy(tokens))

    return sites.Client("pyvene", read, edit)


@pytest.mark.parametrize(("name", "tier"), sites.CASES)
def test_every_hook_point_reads_and_acts(name: str, tier: str) -> None:
    sites.hold(sites.compared(name, tier, client))


@pytest.mark.parametrize("tier", ["exact", "rotated"])
def test_the_counterfactual_of_every_node_is_planteds_own(tier: str) -> None:
    model = planted.load("red-doors", tier, runtime="torch")
    module, base, source = to_pyvene(model), model.inputs(32, seed=1), model.inputs(32, seed=2)
    plain, moved = model.network(base), 0
    for node in model.truth.nodes:
        if np.isnan(model.expected(node, source)[:, 1:]).any():
            continue  # nothing stands there in some task
        found = counterfactual(place(model, node), module, base, source)
        wanted = model.intervene({node: model.expected(node, source)}, base)
        assert np.abs(found - wanted).max() < 0.02, node
        moved += bool(np.abs(wanted - plain).max() > 0.5)
    assert moved > 2


@pytest.mark.parametrize("shares", [(0.75, 0.25), (0.25, 0.75)])
def test_one_head_is_exchanged_alone(shares: tuple[float, float]) -> None:
    """Each head is made two, which share its result by three to one: the larger decides."""
    model = planted.load("red-doors")
    params = dict(model.plant.params)
    for name, value in params.items():
        if ".attn." in name and not name.endswith("b_O"):
            each = shares if name.endswith("W_O") else (1, 1)
            params[name] = np.concatenate([value * np.float32(share) for share in each])
    module = PlantedTransformer.from_params(params, model.spec)
    network, split = Network(params, model.spec), to_pyvene(module)
    base, source = model.inputs(16, seed=1), model.inputs(16, seed=2)
    assert sites.deviation(network(base), model.network(base)) <= sites.TOLERANCE
    effects = []
    for head in (0, 1):
        name = f"blocks.1.attn.hook_result.{head}"
        _, other = network.run_with_cache(source, name)
        given = torch.from_numpy(base), torch.from_numpy(source)
        found = counterfactual(place(module, name), split, *given)
        wanted = network.run_with_hooks(base, {name: lambda _, o=other[name]: o})
        assert sites.deviation(found, wanted) <= sites.TOLERANCE
        effects.append(np.abs(wanted - network(base)).max())
    assert effects[shares.index(0.75)] > 0.1


def test_pyvenes_own_names_and_learned_subspaces_work() -> None:
    model = planted.load("red-doors", runtime="torch")
    module, base, source = to_pyvene(model), model.inputs(8, seed=1), model.inputs(8, seed=2)
    config = pyvene.IntervenableConfig(
        [pyvene.RepresentationConfig(0, "block_output", "pos", 1)],
        intervention_types=pyvene.VanillaIntervention,
    )
    at_two = {"unit_locations": {"sources->base": 2}}
    found = counterfactual(config, module, base, source, **at_two)
    _, other = model.network.run_with_cache(source, "blocks.0.hook_resid_post")

    def put(value: Any) -> None:
        value[:, 2] = other["blocks.0.hook_resid_post"][:, 2]

    wanted = model.network.run_with_hooks(base, {"blocks.0.hook_resid_post": put})
    assert sites.deviation(found, wanted) <= sites.TOLERANCE
    assert np.abs(wanted - model.network(base)).max() > 0.5
    learned = pyvene.IntervenableConfig(
        [pyvene.RepresentationConfig(0, "block_output", "pos", 1, low_rank_dimension=2)],
        intervention_types=pyvene.LowRankRotatedSpaceIntervention,
    )
    assert counterfactual(learned, module, base, source, **at_two).shape == found.shape


def test_the_module_keeps_its_gradients() -> None:
    model = planted.load("red-doors", runtime="torch")
    module = to_pyvene(model)
    pyvene.IntervenableModel(place(model, "score"), model=module)
    assert all(parameter.requires_grad for parameter in model.module.parameters())
    assert module.head.weight.data_ptr() == model.module.head.weight.data_ptr()


def test_names_that_are_not_there_are_refused() -> None:
    model = planted.load("red-doors", runtime="torch")
    with pytest.raises(UnknownNameError, match=r"Unknown node 'scor'.*'score'"):
        place(model, "scor")
    with pytest.raises(PlantedError, match=r"Unknown hook point 'blocks\.9\.hook_mlp_out'"):
        place(model, "blocks.9.hook_mlp_out")
    with pytest.raises(PlantedError, match=r"a module does not know.*place\(model, 'score'\)"):
        place(model.module, "score")
    with pytest.raises(PlantedError, match=r"Unknown hook point 'blocks\.9\.mlp'"):
        place(model.module, "blocks.9.mlp")
    with pytest.raises(PlantedError, match="its block has no heads"):
        place(model, "blocks.0.attn.hook_z.0")


def test_the_page_shows_what_runs() -> None:
    documented.run_section("pyvene")


def test_the_known_counterfactuals() -> None:
    agreed = documented.run_example("known_counterfactual")
    assert {"score", "beaten"} <= set(agreed)
    for name, (by_planted, by_program) in agreed.items():
        assert by_planted == 1, name
        assert by_program == 1, name
