"""Our trimmed weights are the stock Tracr compiler's, number by number, and each has an owner."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from typing import Any
from unittest import mock

import numpy as np
import pytest

from planted import library
from planted.core import artefact
from planted.core.roles import Program, mark
from planted.errors import CompileError
from planted.network.forward import forward
from planted.programs import rasp_library
from tests import helpers

NAMES = ("red-doors", "red-doors-small", "red-doors-small-table", "red-doors-gate",
         "bottle-cap-mux", "grid-keys")  # fmt: skip
WIDE = "abcdefghi"
key_sizes: dict[str, int] = {}  # what stock Tracr would have taken, where it was helped
FORGETFUL = "red-doors-small-table"  # its values are wider than its keys, where stock Tracr crashes


@functools.cache
def stock(name: str) -> tuple[Any, str]:
    """The stock model and the label of its output, as if nothing had been compiled before."""
    from tracr.rasp import rasp

    with mock.patch.object(rasp.RASPExpr, "_ids", itertools.count(1)):
        return _stock(name)


def _stock(name: str) -> tuple[Any, str]:
    from tracr.compiler import assemble, compiling

    place = helpers.scenario(name)
    output, words = helpers.program(name).output, place.vocabulary[1:]
    if name == "red-doors":  # one without any help, random initialisation included
        return compiling.compile_rasp_to_model(output, set(words), place.read_out), output.label
    original = assemble._get_model_config_and_module_names

    def wide_enough(craft: Any) -> Any:
        config, modules = original(craft)
        heads = [
            h
            for block in craft.blocks
            if not hasattr(block, "fst")
            for h in block.as_multi().heads()
        ]
        key_sizes[name] = config.key_size
        config.key_size = max(config.key_size, *(h.w_ov.matrix.shape[1] for h in heads))
        return config, modules

    fixed = wide_enough if name == FORGETFUL else original
    with mock.patch.object(assemble, "_get_model_config_and_module_names", fixed):
        return helpers.stock(output, words, place.read_out), output.label


def test_stock_tracr_is_as_it_was_once_a_program_is_compiled() -> None:
    from tracr.compiler import craft_graph_to_model
    from tracr.craft import bases

    slow = (
        bases.VectorSpaceWithBasis.vector_from_basis_direction,
        craft_graph_to_model.compute_computational_depth,
    )
    assert [found.__module__ for found in slow] == [
        "tracr.craft.bases",
        "tracr.compiler.craft_graph_to_model",
    ]
    helpers.bare("red-doors-small")
    assert slow == (
        bases.VectorSpaceWithBasis.vector_from_basis_direction,
        craft_graph_to_model.compute_computational_depth,
    )


def test_values_wider_than_keys_crash_stock_tracr_and_compile_here() -> None:
    from tracr.rasp import rasp

    def moved() -> Any:
        words = list(WIDE)
        number = helpers.unique(rasp.Map(words.index, rasp.tokens), "number")
        other = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key != query)
        return helpers.unique(rasp.Aggregate(helpers.unique(other, "other"), number), "moved")

    with pytest.raises(ValueError, match="could not broadcast"):
        helpers.stock(moved(), WIDE, 2)
    made = helpers.compile_small(moved(), words=WIDE, length=2, n=len(WIDE) - 1)
    logits, _ = forward(made.params, np.array([[0, 5, 8], [0, 3, 2]]), made.spec)
    assert [made.spec.outputs[i] for i in logits.argmax(axis=1)] == ["4", "2"]  # the other word


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_stock_tracr_bit_for_bit(name: str) -> None:
    theirs, _ = stock(name)
    ours = dict(helpers.compiled(name).params)
    place = helpers.scenario(name)
    rows = [theirs.input_encoder.encoding_map[w] for w in ("compiler_bos", *place.vocabulary[1:])]
    expected = {
        "embed.W_E": np.asarray(theirs.params["token_embed"]["embeddings"])[rows],
        "pos_embed.W_pos": np.asarray(theirs.params["pos_embed"]["embeddings"]),
    }
    for tensor, value in expected.items():
        got = ours.pop(tensor)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, value.astype(np.float32), err_msg=tensor)
    config = theirs.model_config
    ours.pop("unembed.W_U")
    for layer in range(config.num_layers):
        at = f"blocks.{layer}."
        for letter, part in (("Q", "query"), ("K", "key"), ("V", "value"), ("O", "linear")):
            weight = ours.pop(f"{at}attn.W_{letter}")
            bias = ours.pop(f"{at}attn.b_{letter}")
            their = theirs.params[f"transformer/layer_{layer}/attn/{part}"]
            padded = np.zeros(their["w"].shape, np.float32)
            for head, matrix in enumerate(weight):
                start = head * config.key_size
                if letter == "O":
                    padded[start : start + matrix.shape[0]] = matrix
                else:
                    padded[:, start : start + matrix.shape[1]] = matrix
            where = f"{at}{part}"
            np.testing.assert_array_equal(padded, np.asarray(their["w"]), err_msg=where)
            assert not np.any(their["b"]), where
            assert not bias.any(), where
        for ours_name, part in (("in", "linear_1"), ("out", "linear_2")):
            weight, bias = ours.pop(f"{at}mlp.W_{ours_name}"), ours.pop(f"{at}mlp.b_{ours_name}")
            their = theirs.params[f"transformer/layer_{layer}/mlp/{part}"]
            padded = np.zeros(their["w"].shape, np.float32)
            padded[: weight.shape[0], : weight.shape[1]] = weight
            where = f"{at}{part}"
            np.testing.assert_array_equal(padded, np.asarray(their["w"]), err_msg=where)
            assert not np.any(their["b"]), where
            assert not bias.any(), where
    assert not ours, "parameters that Tracr does not have"


@pytest.mark.parametrize("name", NAMES)
def test_labels_scale_and_output_columns_are_those_of_stock_tracr(name: str) -> None:
    theirs, label = stock(name)
    ours = helpers.compiled(name)
    assert list(ours.residual_labels) == theirs.residual_labels
    key_size = key_sizes.get(name, theirs.model_config.key_size)
    assert ours.spec.attn_scale == 1 / np.sqrt(key_size)
    place = helpers.scenario(name)
    assert ours.spec.n_choices == len(place.candidates)
    assert ours.spec.outputs[: ours.spec.n_choices] == tuple(
        str(k + 1) for k in range(len(place.candidates))
    )
    assert set(ours.spec.outputs) == {str(v) for v in theirs.output_encoder.encoding_map}
    wanted = np.zeros_like(ours.params["unembed.W_U"])
    for column, value in enumerate(ours.spec.outputs):
        wanted[theirs.residual_labels.index(f"{label}:{value}"), column] = 1
    np.testing.assert_array_equal(ours.params["unembed.W_U"], wanted)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_are_trimmed(name: str) -> None:
    """No head and no neuron is empty, and no head is wider than its layer needs."""
    params = helpers.compiled(name).params
    for tensor, value in params.items():
        part = tensor.rsplit(".", 1)[1]
        if part == "W_in":
            assert value.any(axis=0).all(), tensor
        elif part in ("W_Q", "W_O") and value.size:
            assert value.any(axis=(1, 2)).all(), tensor


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_has_one_owner_that_reads_only_its_inputs(name: str) -> None:
    made = helpers.compiled(name)
    params, truth, labels = made.params, made.truth, made.residual_labels
    own = {n: set(np.flatnonzero(node.basis.any(axis=0))) for n, node in truth.nodes.items()}
    for node in truth.nodes.values():  # the basis is one direction a value, named after it
        assert (node.basis.sum(axis=1) == 1).all()
        assert (node.basis.sum(axis=0) <= 1).all()
        for value, row in zip(node.values, node.basis, strict=node.numerical is False):
            label = labels[int(row.argmax())]
            assert label.startswith(node.name)
            assert node.numerical or label.endswith(f":{value}")
    columns = [c for dims in own.values() for c in dims]
    assert len(columns) == len(set(columns)), "two nodes share a direction"
    one, bos, pad = (labels.index(x) for x in ("one", "tokens:compiler_bos", "tokens:compiler_pad"))
    assert set(columns) | {one, bos, pad} == set(range(len(labels)))

    operations = {operation.name: operation for operation in truth.operations}
    depth = 1 + max(node.layer for node in truth.nodes.values())
    assert max(int(t.split(".")[1]) for t in params if t.startswith("blocks")) == depth - 1
    for layer in range(depth):
        at = f"blocks.{layer}."
        here = [node for node in truth.nodes.values() if node.layer == layer]
        heads = sorted(head for node in here for head in node.heads)
        neurons = sorted(neuron for node in here for neuron in node.neurons)
        assert heads == list(range(params[at + "attn.W_Q"].shape[0]))
        assert neurons == list(range(params[at + "mlp.b_in"].shape[0]))
        for node in here:
            operation = operations[node.name]
            for head in node.heads:
                select, carried = operation.inputs
                keys, queries = operations[select].inputs
                for letter, allowed in (
                    ("Q", own[queries] | {one, bos}),
                    ("K", own[keys] | {bos}),
                    ("V", own[carried]),
                ):
                    matrix = params[f"{at}attn.W_{letter}"][head]
                    assert set(np.flatnonzero(matrix.any(axis=1))) <= allowed, (node.name, letter)
                written = params[at + "attn.W_O"][head]
                assert set(np.flatnonzero(written.any(axis=0))) == own[node.name], node.name
            if node.neurons:
                inputs = set().union(*(own[name] for name in operation.inputs))
                assert set(node.reads) == set(operation.inputs)
                read = params[at + "mlp.W_in"][:, list(node.neurons)]
                assert set(np.flatnonzero(read.any(axis=1))) <= inputs | {one}, node.name
                written = params[at + "mlp.W_out"][list(node.neurons)]
                assert set(np.flatnonzero(written.any(axis=0))) <= own[node.name], node.name
    assert set(np.flatnonzero(params["embed.W_E"].any(axis=0))) == own["tokens"] | {one, bos}
    if "indices" in own:
        assert set(np.flatnonzero(params["pos_embed.W_pos"].any(axis=0))) == own["indices"]


def test_a_node_is_written_before_it_is_read() -> None:
    for name in NAMES:
        nodes = helpers.compiled(name).truth.nodes
        for node in nodes.values():
            for source in node.reads:
                at = (nodes[source].layer, bool(nodes[source].neurons))
                assert at < (node.layer, bool(node.neurons)) or nodes[source].layer < 0


def digests() -> dict[str, str]:
    found = {}
    for name in NAMES:
        made = helpers.compile_afresh(name)
        found[name] = artefact.params_digest(made.params) + repr(made.residual_labels)
    return found


def test_same_bytes_whatever_was_compiled_before_and_whatever_the_hash_seed() -> None:
    here = digests()
    helpers.compile_small(rasp_library.emit(tiny_winner(), "a"), n=1)
    assert digests() == here
    script = (
        "import json, sys\n"
        "from planted.core import artefact\n"
        "from planted.compiler.compile import compile_program\n"
        "from planted.programs import catalogue\n"
        "found = {}\n"
        "for name in sys.argv[1:]:\n"
        "    entry = catalogue.entry(name)\n"
        "    place = entry.make_scenario()\n"
        "    made = compile_program(entry.program(place), place.vocabulary,\n"
        "                           len(place.candidates), place.read_out)\n"
        "    found[name] = artefact.params_digest(made.params) + repr(made.residual_labels)\n"
        "print(json.dumps(found))\n"
    )
    for seed, order in (("1", NAMES[::-1]),):
        done = subprocess.run(
            [sys.executable, "-c", script, *order],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert json.loads(done.stdout) == here


def tiny_winner() -> object:
    from tracr.rasp import rasp

    return mark(rasp.Map(lambda t: int(t == "a"), rasp.tokens), "winner", "winner")


@pytest.mark.parametrize("name", ["red-doors", "red-doors-aligned"])
def test_the_shipped_exact_weights_are_what_compiles_today(name: str) -> None:
    shipped, made = library.get(name), helpers.compiled(name)
    assert artefact.params_digest(shipped.params) == artefact.params_digest(made.params)
    assert shipped.spec == made.spec
    assert shipped.truth.operations == made.truth.operations
    for node, ours in zip(shipped.truth.nodes.values(), made.truth.nodes.values(), strict=True):
        np.testing.assert_array_equal(node.basis, ours.basis)
        assert (node.heads, node.neurons, node.layer) == (ours.heads, ours.neurons, ours.layer)


def test_the_output_must_be_able_to_choose_every_candidate() -> None:
    with pytest.raises(
        CompileError, match=r"values 1\.\.3, one a candidate; its values are \[0, 1\]"
    ):
        helpers.compile_small(tiny_winner(), n=3)


def test_a_searching_program_needs_its_roles() -> None:
    place = helpers.scenario("red-doors-small")
    twin = Program(helpers.program(FORGETFUL).output, searches=True)
    from planted.compiler.compile import compile_program

    with pytest.raises(CompileError, match="'score' and 'winner'; it has context, emit, table"):
        compile_program(twin, place.vocabulary, 3, place.read_out)
