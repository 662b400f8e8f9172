"""Every submodule is called; an edit acts, in place or returned, in each runtime and wrapper."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, vmap

from planted import library
from planted.core.arrays import to_numpy
from planted.core.hook_points import head_axis, hook_point_names, of_head
from planted.core.spec import heads_per_layer
from planted.errors import CheckpointError, PlantedError
from planted.network import even
from planted.network.forward import Stream, forward, logits_of
from planted.network.model import Model, Network
from planted.network.torch_module import PlantedTransformer
from tests import helpers
from tests.equivalence.test_runtimes import relative_error

TOLERANCE = 1e-5
NAME = "red-doors-small"
OUT = "blocks.0.hook_mlp_out"


@functools.cache
def model(tier: str = "exact") -> Model:
    return library.load(NAME, tier)


@functools.cache
def tasks() -> tuple[Any, Any]:
    return helpers.draw(NAME, 8, seed=1), helpers.draw(NAME, 8, seed=2)


def module(tier: str = "exact") -> PlantedTransformer:
    return PlantedTransformer.from_params(model(tier).plant.params, model().spec)


def sites() -> tuple[str, ...]:
    return hook_point_names(model().network.n_layers)


def test_every_submodule_is_called_once() -> None:
    made, called = module(), []
    layers = [layer for layer in made.modules() if not isinstance(layer, nn.ModuleList)]
    for layer in layers:
        layer.register_forward_hook(lambda *given: called.append(given[0]))
    made(torch.from_numpy(tasks()[0]))
    assert len(called) == len(layers)
    assert set(called) == set(layers)


@pytest.mark.parametrize("grad", [False, True])
def test_an_edit_in_place_is_the_returned_edit_in_both_runtimes(grad: bool) -> None:
    """The value that is put there is another task's, in reverse where it has positions."""
    tokens, other = tasks()
    network, made = model().network, module()
    _, source = network.run_with_cache(other)
    plain, moved = network(tokens), 0
    for site in sites():
        value = source[site] if head_axis(site) == 1 else source[site][:, ::-1]
        tensor = torch.from_numpy(value.copy())

        def put(own: Any, value: Any = value) -> None:
            own[...] = value

        def put_tensor(own: torch.Tensor, tensor: torch.Tensor = tensor) -> None:
            own[...] = tensor

        wanted = network.run_with_hooks(tokens, {site: lambda _, value=value: value})
        assert relative_error(network.run_with_hooks(tokens, {site: put}), wanted) == 0, site
        with torch.set_grad_enabled(grad):
            for hook in (put_tensor, lambda _, tensor=tensor: tensor):
                got = made.run_with_hooks(torch.from_numpy(tokens), {site: hook})
                assert relative_error(got.detach(), wanted) < TOLERANCE, site
        if grad and got.requires_grad:
            got.sum().backward()
        moved += bool(np.abs(wanted - plain).max() > 0.1)
    assert moved > len(sites()) / 3


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_an_edit_in_place_reaches_nothing_else(runtime: str) -> None:
    """hook_mlp_in and the stream, hook_resid_pre and the block before: one value, two places."""
    tokens = tasks()[0]
    runner: Any = model().network if runtime == "numpy" else module()
    given = tokens if runtime == "numpy" else torch.from_numpy(tokens)
    _, before = runner.run_with_cache(given)
    seen: dict[str, Any] = {}

    def nothing(value: Any) -> None:
        value[...] = 0

    def look(value: Any) -> None:
        seen["mid"] = value

    with torch.no_grad():
        runner.run_with_hooks(
            given, {"blocks.1.hook_resid_mid": look, "blocks.1.hook_mlp_in": nothing}
        )
    wanted = to_numpy(before["blocks.1.hook_resid_mid"])
    assert relative_error(seen["mid"], wanted) < TOLERANCE


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_none_leaves_everything_as_it_is(runtime: str) -> None:
    tokens = tasks()[0]
    runner: Any = model().network if runtime == "numpy" else module()
    given = tokens if runtime == "numpy" else torch.from_numpy(tokens)
    with torch.no_grad():
        got = runner.run_with_hooks(given, {site: lambda _: None for site in sites()})
        assert relative_error(np.asarray(got), np.asarray(runner(given))) < TOLERANCE


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_one_head_is_read_and_edited_by_its_name(runtime: str) -> None:
    name = "red-doors-gate"
    plant = helpers.bare(name)
    tokens, other = helpers.draw(name, 8, seed=1), helpers.draw(name, 8, seed=2)
    # In double precision: an edit of one head leaves exact weights between two of their values,
    # where they magnify rounding by their exactness.
    network = Network({key: value.astype(float) for key, value in plant.params.items()}, plant.spec)
    made = PlantedTransformer.from_params(plant.params, plant.spec).double()
    runner: Any = network if runtime == "numpy" else made
    turn = (lambda v: v) if runtime == "numpy" else torch.from_numpy
    heads = made.config.n_heads
    layer = heads.index(max(heads))
    assert heads[layer] > 1
    for part in ("q", "k", "v", "attn_scores", "pattern", "z", "result"):
        point = f"blocks.{layer}.attn.hook_{part}"
        _, whole = network.run_with_cache(other, point)
        _, mine = network.run_with_cache(tokens, point)
        for head in range(heads[layer]):
            one = f"{point}.{head}"
            _, found = runner.run_with_cache(turn(other), one)
            new = of_head(whole[point], point, head)
            assert list(found) == [one]
            assert relative_error(to_numpy(found[one]), new) < TOLERANCE
            mixed = mine[point].copy()
            of_head(mixed, point, head)[...] = new
            wanted = network.run_with_hooks(tokens, {point: lambda _, mixed=mixed: mixed})
            with torch.no_grad():
                put = turn(new.copy())
                got = runner.run_with_hooks(turn(tokens), {one: lambda _, put=put: put})
            assert relative_error(np.asarray(got), wanted) < TOLERANCE, one
    with pytest.raises(PlantedError, match=rf"has heads 0 to {heads[layer] - 1}"):
        runner.run_with_cache(turn(tokens), f"blocks.{layer}.attn.hook_z.{heads[layer]}")


def test_edits_of_two_heads_and_of_all_act_in_turn() -> None:
    tokens = tasks()[0]
    point = next(f"blocks.{i}.attn.hook_z" for i, n in enumerate(module().config.n_heads) if n)
    zero = {f"{point}.0": lambda v: v * 0, point: lambda v: v + 1}
    wanted = model().network.run_with_hooks(tokens, {point: np.ones_like})
    assert relative_error(model().network.run_with_hooks(tokens, zero), wanted) < TOLERANCE
    with torch.no_grad():
        got = module().run_with_hooks(torch.from_numpy(tokens), zero)
    assert relative_error(got, wanted) < TOLERANCE


def test_components_are_names_that_are_read() -> None:
    made = module()
    _, cache = made.run_with_cache(torch.from_numpy(tasks()[0]), made.components)
    assert tuple(cache) == made.components
    assert {value.shape for value in cache.values()} == {(*tasks()[0].shape, made.config.d_model)}
    _, by_numpy = model().network.run_with_cache(tasks()[0], model().network.components)
    for name, value in by_numpy.items():
        assert relative_error(cache[name].detach(), value) < TOLERANCE


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_names_are_one_several_or_a_filter(runtime: str) -> None:
    made = Model(model().plant, runtime)
    tokens = made.inputs(2)
    assert list(made.run_with_cache(tokens, OUT)[1]) == [OUT]
    ends = made.run_with_cache(tokens, lambda name: name.endswith("hook_z"))[1]
    assert list(ends) == [site for site in sites() if site.endswith("hook_z")]
    assert made.run_with_cache(tokens, ())[1] == {}
    for wrong in (3, [3], {"a": 1}.values()):
        with pytest.raises(PlantedError, match=r"names is a list of texts"):
            made.run_with_cache(tokens, wrong)


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_an_edit_that_is_none_is_refused(runtime: str) -> None:
    runner: Any = model().network if runtime == "numpy" else module()
    tokens = tasks()[0] if runtime == "numpy" else torch.from_numpy(tasks()[0])
    for wrong, why in (
        ({OUT: lambda v: v[:, :1]}, r"The edit of 'blocks\.0\.hook_mlp_out' returned shape \[8, 1"),
        ({OUT: lambda v: 0.0}, r"returned 0\.0; what stands there is \[8,"),
        ({OUT: 3}, "is a function of its value, got 3"),
        ([(OUT, lambda v: v)], "hooks is a mapping of hook points"),
    ):
        with pytest.raises(PlantedError, match=why):
            runner.run_with_hooks(tokens, wrong)


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda t: t[:, 1:], r"Position 0 is BOS"),
        (lambda t: t[0], r"\[task, 6\], got \[6\]\. One task is a batch of one: tokens\[None\]"),
        (lambda t: t * 0 + 1, r"BOS \(id 0\) stands at position 0"),
        (lambda t: t * 0, r"BOS \(id 0\) stands at position 0"),
        (lambda t: t + 1000, r"Token id 1000 is outside 0\.\."),
        (lambda t: t * 1.0, r"Tokens are whole numbers \[task, pos\], got .*float"),
    ],
)
def test_a_bare_network_refuses_what_is_no_task(runtime: str, change: Any, why: str) -> None:
    name = "red-doors"
    made = library.load(name, runtime=runtime)
    runner: Any = made.network if runtime == "numpy" else made.module
    tokens = change(made.inputs(3))
    for call in (runner, runner.run_with_cache, lambda t: runner.run_with_hooks(t, {})):
        with pytest.raises(PlantedError, match=why):
            call(tokens)


def test_tokens_come_to_the_modules_type() -> None:
    made, tokens = module(), tasks()[0]
    wanted = made(torch.from_numpy(tokens))
    for given in (tokens, tokens.tolist(), torch.from_numpy(tokens).int(), tokens.astype(np.uint8)):
        assert torch.equal(made(given), wanted)


def test_a_layer_in_the_place_of_attentions_output_acts() -> None:
    """As an adapter of low rank: it used to be read past."""

    class Doubled(nn.Module):
        def __init__(self, base: nn.Module) -> None:
            super().__init__()
            self.base = base

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = 2 * self.base(z)
            return out

    plant = library.get("red-doors", "tempered")
    made = PlantedTransformer.from_params(plant.params, plant.spec)
    network, tokens = Model(plant).network, helpers.draw("red-doors", 64)
    layer = next(i for i, n in enumerate(made.config.n_heads) if n)
    made.layers[layer].attn.o = Doubled(made.layers[layer].attn.o)  # type: ignore[union-attr, assignment]
    wanted = network.run_with_hooks(tokens, {f"blocks.{layer}.hook_attn_out": lambda v: 2 * v})
    with torch.no_grad():
        got = made(torch.from_numpy(tokens))
    assert relative_error(got, wanted) < TOLERANCE
    assert np.abs(wanted - network(tokens)).max() > 0.01
    with pytest.raises(CheckpointError, match=rf"layers\.{layer}\.attn\.o is a Doubled"):
        made.to_params()


def test_hooks_act_on_a_compiled_module_before_and_after() -> None:
    tokens, made = torch.from_numpy(tasks()[0]), module()
    with torch.no_grad():
        plain, compiled = made(tokens), torch.compile(made, backend="eager")
        wanted = made.run_with_hooks(tokens, {OUT: torch.zeros_like})
        assert (wanted - plain).abs().max() > 0.1
        assert torch.allclose(compiled(tokens), plain, atol=1e-6)
        handle = made.hook_point(OUT).register_forward_hook(lambda *a: torch.zeros_like(a[2]))
        assert torch.allclose(compiled(tokens), wanted, atol=1e-6)
        handle.remove()
        assert torch.allclose(compiled(tokens), plain, atol=1e-6)
        got = compiled.run_with_hooks(tokens, {OUT: torch.zeros_like})
        assert torch.allclose(got, wanted, atol=1e-6)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor")  # torch reads it, compiling
def test_a_compiled_module_sees_each_kind_of_hook_come_and_go() -> None:
    """One point, one compiled module: it runs between all changes, so that none is seen by luck."""
    tokens, made, fired = torch.from_numpy(tasks()[0]), module(), list[str]()
    compiled, point = torch.compile(made, backend="eager"), made.hook_point(OUT)
    kinds = {
        "forward": point.register_forward_hook,
        "forward pre": point.register_forward_pre_hook,
        "backward": point.register_full_backward_hook,
        "backward pre": point.register_full_backward_pre_hook,
    }

    def run() -> list[str]:
        fired.clear()
        compiled(tokens).sum().backward()
        return sorted(fired)

    assert run() == []
    for name, register in kinds.items():
        handle = register(lambda *_, name=name: fired.append(name))
        assert run() == [name]
        handle.remove()
        assert run() == []
    handles = [reg(lambda *_, name=name: fired.append(name)) for name, reg in kinds.items()]
    for name, handle in zip(list(kinds), handles, strict=True):
        assert name in run()
        handle.remove()
        assert name not in run()


def no_bias(made: Any) -> None:
    out = made.layers[0].mlp.fc_out
    made.layers[0].mlp.fc_out = torch.nn.Linear(out.in_features, out.out_features, bias=False)


def head_bias(made: Any) -> None:
    made.head = torch.nn.Linear(made.head.in_features, made.head.out_features)


def a_norm(made: Any) -> None:
    made.layers[0].ln1 = torch.nn.LayerNorm(made.tok_embed.embedding_dim)


def a_bare_norm(made: Any) -> None:
    made.ln_out = torch.nn.LayerNorm(made.tok_embed.embedding_dim, elementwise_affine=False)


def a_wrapped_part(made: Any) -> None:
    made.layers[0].mlp = torch.nn.Sequential(made.layers[0].mlp)


def another_mask(made: Any) -> None:
    made.layers[1].attn.causal = not made.layers[1].attn.causal


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (no_bias, "fc_out has no bias"),
        (head_bias, "head.bias is a parameter that a plant has not"),
        (a_norm, "layers.0.ln1.weight is a parameter"),
        (a_bare_norm, "ln_out is a LayerNorm"),
        (a_wrapped_part, "there is no layers.0.mlp.fc_in"),
        (another_mask, "layers.1.attn.causal is"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_module_that_is_no_longer_a_plants_gives_no_weights(change: Any, why: str) -> None:
    """Else the model would choose by weights that leave out what was changed."""
    made = module()
    change(made)
    with pytest.raises(CheckpointError, match=why):
        made.to_params()


@pytest.mark.parametrize("name", ["layers.1.ln1", "layers.0.ln2"])
def test_an_edit_in_place_of_a_norm_does_what_a_returned_value_does(name: str) -> None:
    tokens, logits = torch.from_numpy(tasks()[0]), []

    def in_place(_module: Any, _given: Any, value: torch.Tensor) -> None:
        value.fill_(1.0)

    for hook in (in_place, lambda _module, _given, value: torch.ones_like(value)):
        made = module()
        made.get_submodule(name).register_forward_hook(hook)
        with torch.no_grad():
            logits.append(made(tokens))
    assert torch.equal(*logits)
    assert (logits[0] - module()(tokens)).abs().max() > 0.1


def test_tracing_exporting_and_vmap_give_the_same_logits() -> None:
    tokens, made = torch.from_numpy(tasks()[0]), module()
    wanted = made(tokens)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of tracing itself
        assert torch.equal(torch.jit.trace(made, tokens)(tokens), wanted)
    assert torch.allclose(torch.export.export(made, (tokens,)).module()(tokens), wanted)
    assert torch.allclose(vmap(lambda task: made(task[None])[0])(tokens), wanted, atol=1e-6)
    twice = {name: torch.stack([p, p]) for name, p in made.named_parameters()}
    both = vmap(lambda given: functional_call(made, given, (tokens,)))(twice)
    assert torch.allclose(both, wanted.expand_as(both), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions_run_and_come_back(dtype: torch.dtype) -> None:
    tokens, made = tasks()[0], module().to(dtype)
    logits, cache = made.run_with_cache(torch.from_numpy(tokens))
    assert made.dtype == logits.dtype == dtype
    assert {value.dtype for value in cache.values()} == {dtype}
    np.testing.assert_array_equal(
        logits.float().argmax(dim=1).numpy(), model().network(tokens).argmax(axis=1)
    )
    back = made.to_params()
    for name, value in model().plant.params.items():
        want = torch.from_numpy(np.array(value)).to(dtype).float().numpy()
        np.testing.assert_array_equal(back[name], want, err_msg=name)


def test_making_a_module_takes_nothing_from_torchs_random_state() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    module()
    assert torch.equal(torch.rand(4), wanted)


def test_it_says_what_it_is() -> None:
    made, params = module(), model().plant.params
    config = made.config
    assert config.n_layers == made.n_layers
    assert config.d_model == config.hidden_size == params["embed.W_E"].shape[1]
    assert config.n_heads == tuple(
        params[f"blocks.{i}.attn.W_Q"].shape[0] for i in range(made.n_layers)
    )
    assert config.to_dict()["d_vocab_out"] == len(made.spec.outputs)
    assert made.device == torch.device("cpu")
    assert made.dtype == torch.float32


def test_the_position_embedding_has_the_batch_and_is_edited() -> None:
    tokens = tasks()[0]
    _, cache = module().run_with_cache(torch.from_numpy(tokens))
    assert cache["hook_pos_embed"].shape == cache["hook_embed"].shape == (*tokens.shape, 116)


def test_uniform_blocks_give_the_same_logits() -> None:
    params, tokens = model("tempered").plant.params, tasks()[0]
    made = even.uniform(params)
    shapes = {
        tuple(made[f"blocks.{i}.{part}"].shape for part in ("attn.W_Q", "attn.W_O", "mlp.W_in"))
        for i in range(model().network.n_layers)
    }
    assert len(shapes) == 1
    wanted = forward(params, tokens, model("tempered").spec)[0]
    got = forward(made, tokens, model("tempered").spec)[0]
    assert relative_error(got, wanted) < TOLERANCE


def test_jax_takes_edits_of_one_head_too() -> None:
    tokens = tasks()[0]
    point = next(f"blocks.{i}.attn.hook_z" for i, n in enumerate(module().config.n_heads) if n)
    edits = {f"{point}.0": lambda v: v * 0}
    got, cache = forward(
        dict(model().plant.params), tokens, model().spec, edits=edits, record=[point], xp=jnp
    )
    wanted = model().network.run_with_hooks(tokens, edits)
    assert relative_error(got, wanted) < TOLERANCE
    assert not np.asarray(cache[point])[:, :, 0].any()


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
@pytest.mark.parametrize("kind", ["float64", "float16", "int64", "bool"])
def test_an_edit_of_another_type_of_number_is_taken_as_the_networks(
    runtime: str, kind: str
) -> None:
    plant = helpers.bare("red-doors")
    tokens, point = helpers.draw("red-doors", 8, seed=1), "blocks.0.attn.hook_pattern"
    network = Model(plant).network
    runner: Any = network
    if runtime == "torch":
        runner = PlantedTransformer.from_params(plant.params, plant.spec)
    given = tokens if runtime == "numpy" else torch.from_numpy(tokens)

    def ones(value: Any) -> Any:
        if runtime == "numpy":
            return np.ones(value.shape, dtype=kind)
        return torch.ones(value.shape, dtype=getattr(torch, kind))

    wanted = network.run_with_hooks(tokens, {point: lambda value: np.ones_like(value)})
    got = runner.run_with_hooks(given, {point: ones})
    assert got.dtype == (np.float32 if runtime == "numpy" else torch.float32)
    assert relative_error(to_numpy(got), wanted) < TOLERANCE


def test_an_array_of_numpy_is_no_edit_where_torch_runs() -> None:
    plant = helpers.bare("red-doors")
    made = PlantedTransformer.from_params(plant.params, plant.spec)
    tokens = torch.from_numpy(helpers.draw("red-doors", 4, seed=1))
    edit = {"hook_embed": lambda value: value.detach().numpy()}
    with pytest.raises(PlantedError, match=r"array of numpy where torch runs: return a tensor"):
        made.run_with_hooks(tokens, edit)


def test_sums_that_are_made_in_place_change_no_bit_nor_what_is_recorded() -> None:
    """By numpy a pass adds where nothing else holds the array; recording has it hold every one."""
    plant, (tokens, _) = model("tempered").plant, tasks()
    last = f"blocks.{model().network.n_layers - 1}."  # asked for, it is computed at all positions
    names = [s for s in sites() if not s.startswith(last) and not s.endswith("hook_result")]
    logits, held = forward(plant.params, tokens, plant.spec, record=names)
    np.testing.assert_array_equal(forward(plant.params, tokens, plant.spec)[0], logits)
    for name in names:
        one = forward(plant.params, tokens, plant.spec, record=[name], recorded_only=True)[1]
        assert list(one) == [name]
        np.testing.assert_array_equal(one[name], held[name])


@pytest.mark.parametrize("site", ["hook_attn_out", "mlp.hook_pre", "mlp.hook_post", "hook_mlp_out"])
def test_what_an_edit_returns_is_not_written_to(site: str) -> None:
    plant, (tokens, other) = model("tempered").plant, tasks()
    name = f"blocks.1.{site}"
    given = forward(plant.params, other, plant.spec, record=[name])[1][name] - 0.25
    before = given.copy()
    edited, _ = forward(plant.params, tokens, plant.spec, edits={name: lambda value: given})
    np.testing.assert_array_equal(given, before)
    assert (edited != forward(plant.params, tokens, plant.spec)[0]).any()


@pytest.mark.parametrize("tier", ["exact", "tempered", "rotated"])
def test_a_pass_from_the_stream_before_any_block_is_the_whole_pass(tier: str) -> None:
    plant, (tokens, other) = model(tier).plant, tasks()
    depth = model(tier).network.n_layers
    logits, _ = forward(plant.params, tokens, plant.spec)
    for layer in range(depth + 1):
        at = f"blocks.{layer}.hook_resid_pre" if layer < depth else f"blocks.{depth - 1}."
        name = at if layer < depth else at + "hook_resid_post"
        held = forward(plant.params, tokens, plant.spec, record=[name], recorded_only=True)[1]
        stream = Stream(layer, held[name])
        before = stream.held.copy()
        got, _ = forward(plant.params, stream, plant.spec)
        # products of other sizes are rounded otherwise
        np.testing.assert_allclose(got, logits, atol=1e-5)
        part, _ = forward(plant.params, stream[2:5], plant.spec)
        np.testing.assert_allclose(part, got[2:5], atol=1e-5)
        np.testing.assert_array_equal(stream.held, before)
        if layer:
            with pytest.raises(
                PlantedError, match=f"'blocks.{layer - 1}.hook_mlp_out' lies before"
            ):
                forward(
                    plant.params, stream, plant.spec, record=[f"blocks.{layer - 1}.hook_mlp_out"]
                )
            with pytest.raises(PlantedError, match=r"'hook_embed' lies before the stream"):
                forward(plant.params, stream, plant.spec, edits={"hook_embed": lambda value: value})
    assert (forward(plant.params, other, plant.spec)[0] != logits).any()


def test_a_stream_of_tasks_that_are_there_twice_has_as_many_as_it_says() -> None:
    plant, (tokens, _) = model("tempered").plant, tasks()
    name = "blocks.1.hook_resid_pre"
    held = forward(plant.params, tokens, plant.spec, record=[name], recorded_only=True)[1][name]
    place = np.array([4, 1, 1, 4, 0, 3, 4, 2, 2, 1] * 3)
    stream = Stream(1, held, place)
    assert len(stream) == len(place) > len(held[:6])
    assert len(stream[5:]) == len(place) - 5
    expected = forward(plant.params, tokens[place], plant.spec)[0]
    np.testing.assert_allclose(logits_of(plant.params, plant.spec, stream), expected, atol=1e-5)
    got = forward(plant.params, stream[5:], plant.spec)[0]
    np.testing.assert_allclose(got, expected[5:], atol=1e-5)


def test_a_network_without_heads_runs_many_tasks_as_few() -> None:
    plant = model("exact").plant
    headless = {
        name: value[:0] if ".attn." in name and not name.endswith("b_O") else value
        for name, value in plant.params.items()
    }
    tokens = plant.scenario.draw(np.random.default_rng(4), 300)
    site = "blocks.1.hook_resid_pre"
    whole = forward(headless, tokens, plant.spec, record=[site])
    parts = [
        forward(headless, tokens[i : i + 3], plant.spec, record=[site]) for i in range(0, 300, 3)
    ]
    np.testing.assert_allclose(whole[0], np.concatenate([part[0] for part in parts]), atol=1e-5)
    held = np.concatenate([part[1][site] for part in parts])
    np.testing.assert_allclose(whole[1][site], held, atol=1e-5)
    assert np.ptp(held, axis=0).max() > 0.5
    logits = logits_of(headless, plant.spec, tokens)
    np.testing.assert_allclose(logits, whole[0], atol=1e-5)


def test_an_edit_after_the_stream_acts_as_in_the_whole_pass() -> None:
    plant, (tokens, _) = model("tempered").plant, tasks()
    name = "blocks.1.hook_resid_pre"
    held = forward(plant.params, tokens, plant.spec, record=[name], recorded_only=True)[1][name]
    edits = {"blocks.1.hook_mlp_out": lambda value: -value}
    whole, cache = forward(plant.params, tokens, plant.spec, edits=edits, record=[name])
    np.testing.assert_array_equal(cache[name], held)
    got, _ = forward(plant.params, Stream(1, held), plant.spec, edits=edits)
    np.testing.assert_array_equal(got, whole)
    assert (whole != forward(plant.params, tokens, plant.spec)[0]).any()


@pytest.mark.parametrize("name", ["red-doors", "wiping", "grid-doors.small"])
def test_many_tasks_at_once_are_as_few_at_a_time(name: str) -> None:
    """Of many tasks the blocks before the first head are run once a token."""
    plant = helpers.bare(name)
    params, spec = plant.params, plant.spec
    few = len(params["embed.W_E"]) // 2  # not more tasks than tokens: run position by position
    tokens = plant.scenario.draw(np.random.default_rng(4), 5 * few)
    n_headless = next(i for i, n in enumerate(heads_per_layer(params)) if n)
    assert n_headless
    last = f"blocks.{n_headless}.hook_resid_pre"
    asked = ["hook_embed", "blocks.0.mlp.hook_post", "blocks.0.hook_mlp_out", last]
    turned = {"blocks.0.hook_mlp_out": lambda value: -value}
    for record in ([], [last], asked):
        for edits in ({}, turned, {last: lambda value: value * 0.5}):
            whole, cache = forward(params, tokens, spec, record=record, edits=edits)
            parts = [
                forward(params, tokens[i : i + few], spec, record=record, edits=edits)
                for i in range(0, len(tokens), few)
            ]
            logits = np.concatenate([part[0] for part in parts])
            assert relative_error(whole, logits) < TOLERANCE
            for each in record:
                held = np.concatenate([part[1][each] for part in parts])
                assert relative_error(cache[each], held) < TOLERANCE
    plain, _ = forward(params, tokens, spec)
    assert (forward(params, tokens, spec, edits=turned)[0] != plain).any()
