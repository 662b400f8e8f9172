"""Tracr's own models, read and written: numbers are Tracr's, and truth is the program's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tracr.compiler import lib
from tracr.rasp import rasp

import planted
from planted.adapters.tracr import from_tracr, model_from_tracr, to_tracr
from planted.adapters.tracr_lens import model_from_state_dict, to_state_dict
from planted.compiler.expressions import verify
from planted.errors import PlantedError, UnknownNodeError
from planted.network.model import Model
from tests import helpers

PROGRAMS = {
    "length": lib.make_length,
    "hist": lib.make_hist,
    "sort": lambda: lib.make_sort_unique(rasp.tokens, rasp.tokens),
}
TASKS = (("a", "b", "c", "a"), ("c", "c", "b", "a"), ("b", "a", "a", "a"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_output_is_what_tracrs_weights_give(name: str) -> None:
    output = PROGRAMS[name]()
    stock = helpers.stock(output, ("a", "b", "c"), 4)
    network = from_tracr(stock, output.label)
    for task in TASKS:
        ids = np.array([stock.input_encoder.encode(["compiler_bos", *task])])
        wanted = helpers.stock_run(stock, output, task)
        _, cache = network.run_with_cache(ids)
        last = cache[f"blocks.{network.n_layers - 1}.hook_resid_post"][0]
        np.testing.assert_allclose(last, wanted.residual, atol=1e-4)
        np.testing.assert_allclose(network(ids)[0], wanted.output[-1], atol=1e-4)


def test_altered_weights_are_not_those_of_tracr() -> None:
    output = lib.make_hist()
    stock = helpers.stock(output, ("a", "b", "c"), 4)
    network = from_tracr(stock, output.label)
    network.params["blocks.0.mlp.W_out"][:] = 0
    ids = np.array([stock.input_encoder.encode(["compiler_bos", *TASKS[0]])])
    off = np.abs(network(ids)[0] - helpers.stock_run(stock, output, TASKS[0]).output[-1])
    assert off.max() > 0.5


def test_an_output_that_is_not_there_is_named() -> None:
    stock = helpers.stock(lib.make_hist(), ("a", "b", "c"), 4)
    with pytest.raises(PlantedError, match="No output 'lenght' in the residual stream; it holds"):
        from_tracr(stock, "lenght")


def pinned() -> dict[str, tuple[Any, Any, str]]:
    """Program, vocabulary and a task of it, by name."""
    return {
        "length": (lib.make_length(), "abc", "abca"),
        "hist": (lib.make_hist(), "abc", "abca"),
        "sort": (lib.make_sort_unique(rasp.tokens, rasp.tokens), "abcd", "cbda"),
        "prevs": (lib.make_frac_prevs(rasp.tokens == "a"), "ab", "abba"),
    }


@pytest.mark.parametrize("name", pinned())
class TestTruth:
    """Truth of a stock model: every node is where it says, with what the interpreter says."""

    def both(self, name: str) -> tuple[Any, Model, Any, str]:
        program, vocabulary, task = pinned()[name]
        stock = helpers.stock(program, tuple(vocabulary), 4)
        return stock, model_from_tracr(stock, program), program, task

    def test_every_node_holds_what_the_interpreter_says(self, name: str) -> None:
        _, model, program, task = self.both(name)
        assert verify(model.plant, program, [task, task[::-1]]) >= 8

    def test_its_writers_are_those_that_matter(self, name: str) -> None:
        _, model, _, task = self.both(name)
        tokens = model.scenario.encode([task])
        whole = model.network(tokens)
        node = model.truth.nodes[model.output]
        params = {key: value.copy() for key, value in model.plant.params.items()}
        at = f"blocks.{node.layer}."
        if node.neurons:
            params[at + "mlp.W_out"][list(node.neurons)] = 0
        else:
            params[at + "attn.W_O"][list(node.heads)] = 0
        silent = type(model.network)(params, model.spec)(tokens)
        assert np.abs(silent - whole)[:, 1:].max() > 0.2
        assert np.abs(silent[:, 1:]).max() < 1e-4

    def test_it_is_written_as_tracr_runs_it(self, name: str) -> None:
        stock, model, _, task = self.both(name)
        again = to_tracr(model).apply(["BOS", *task])
        first = stock.apply(["compiler_bos", *task])
        assert again.decoded[1:] == first.decoded[1:]
        np.testing.assert_allclose(
            np.asarray(again.residuals[-1]), np.asarray(first.residuals[-1]), atol=1e-5
        )

    def test_a_shuffled_state_dict_finds_its_labels_again(self, name: str) -> None:
        stock, model, program, task = self.both(name)
        state = shuffled(dict(from_tracr(stock, program.label).params), seed=3)
        _, vocabulary, _ = pinned()[name]
        found = model_from_state_dict(state, program, vocabulary, 4)
        assert verify(found.plant, program, [task, task[::-1]]) >= 8
        tokens = model.scenario.encode([task])
        np.testing.assert_allclose(found.network(tokens), model.network(tokens), atol=1e-5)

    def test_trained_or_other_weights_have_no_truth(self, name: str) -> None:
        stock, _, program, _ = self.both(name)
        state = shuffled(dict(from_tracr(stock, program.label).params), seed=3)
        state["blocks.0.mlp.W_in"] = state["blocks.0.mlp.W_in"] * np.float32(1.1)
        state["blocks.0.attn.W_O"] = state["blocks.0.attn.W_O"] * np.float32(1.1)
        with pytest.raises(PlantedError, match="The weights are not those of this program"):
            model_from_state_dict(state, program, pinned()[name][1], 4)


def shuffled(state: dict[str, Any], seed: int) -> dict[str, Any]:
    """The same network with its residual dimensions and neurons in another order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(state["embed.W_E"].shape[1])
    axes = {"W_E": 1, "W_pos": 1, "W_Q": 1, "W_K": 1, "W_V": 1, "W_O": 2, "b_O": 0, "W_in": 0}
    axes |= {"W_out": 1, "b_out": 0}
    found = {}
    for name, value in state.items():
        axis = axes.get(name.rpartition(".")[2])
        found[name] = value if axis is None else np.take(value, order, axis)
    for name in [name for name in state if name.endswith("mlp.W_in")]:
        at = name.removesuffix("W_in")
        neurons = rng.permutation(found[name].shape[1])
        found[name] = found[name][:, neurons]
        found[at + "b_in"], found[at + "W_out"] = (
            found[at + "b_in"][neurons],
            found[at + "W_out"][neurons],
        )
    return found


def test_the_program_must_be_the_one_that_was_compiled() -> None:
    stock = helpers.stock(lib.make_length(), ("a", "b"), 3)
    with pytest.raises(PlantedError, match=r"No output|has no dimension"):
        model_from_tracr(stock, lib.make_hist())


def test_what_a_state_dict_lacks_is_named() -> None:
    program = lib.make_length()
    stock = helpers.stock(program, ("a", "b"), 3)
    state = dict(from_tracr(stock, program.label).params)
    del state["blocks.0.attn.W_K"]
    with pytest.raises(PlantedError, match=r"lacks .blocks\.0\.attn\.W_K."):
        model_from_state_dict(state, program, "ab", 3)
    state = dict(from_tracr(stock, program.label).params)
    with pytest.raises(PlantedError, match=r"has 4 tokens, .*'b' is missing"):
        model_from_state_dict(state, program, "ab", 3, tokens=("a", "compiler_bos", "x", "y"))


def lens(state: dict[str, Any], config: dict[str, Any], tokens: Any) -> Any:
    """TransformerLens's forward pass, written from its config: pre-norm blocks without norms."""
    x = state["embed.W_E"][tokens] + state["pos_embed.W_pos"][: tokens.shape[1]]
    for layer in range(config["n_layers"]):
        at = f"blocks.{layer}."
        q, k, v = (
            np.einsum("bpd,hds->bhps", x, state[f"{at}attn.W_{part}"])
            + state[f"{at}attn.b_{part}"][None, :, None]
            for part in "QKV"
        )
        scores = np.einsum("bhqs,bhks->bhqk", q, k) / np.sqrt(config["d_head"])
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        weight /= weight.sum(-1, keepdims=True)
        z = np.einsum("bhqk,bhks->bqhs", weight, v)
        x = x + np.einsum("bqhs,hsd->bqd", z, state[f"{at}attn.W_O"]) + state[f"{at}attn.b_O"]
        hidden = np.maximum(x @ state[f"{at}mlp.W_in"] + state[f"{at}mlp.b_in"], 0)
        x = x + hidden @ state[f"{at}mlp.W_out"] + state[f"{at}mlp.b_out"]
    return x @ state["unembed.W_U"] + state["unembed.b_U"]


@pytest.mark.parametrize("name", ["red-doors", "red-doors-small"])
@pytest.mark.parametrize("tier", ["exact", "rotated"])
def test_a_plant_is_written_for_transformer_lens(name: str, tier: str) -> None:
    model = planted.load(name, tier)
    state, config = to_state_dict(model)
    tokens = model.inputs(16)
    logits = lens(state, config, tokens)[:, model.spec.read_out]
    np.testing.assert_allclose(logits, model.network(tokens), atol=2e-4)
    for part, value in state.items():
        if part.endswith("attn.W_Q"):
            assert value.shape == (config["n_heads"], config["d_model"], config["d_head"])
    assert len(state["pos_embed.W_pos"]) == config["n_ctx"]


def test_a_model_of_another_expression_has_other_nodes() -> None:
    program = lib.make_length()
    model = model_from_tracr(helpers.stock(program, ("a", "b"), 3), program)
    with pytest.raises(UnknownNodeError):
        model.expected("hist", model.inputs(2))
