"""The circuit as edges: what the program says against what patching one edge does."""

import numpy as np
import pytest

import planted
from planted.core import circuit
from planted.errors import PlantedError
from planted.eval.methods.edges import pairs_of
from planted.network import edges
from planted.network.edges import EdgePatcher

NAMES = ("red-doors@1", "red-doors-small-table@1", "heuristics.small@1", "grid-doors.small@1")


@pytest.fixture(params=NAMES)
def model(request):
    return planted.load(request.param)


def test_the_links_of_a_network_are_those_of_its_forward_pass():
    names = [
        "blocks.0.hook_mlp_out",
        "blocks.1.attn.hook_result.0",
        "blocks.1.attn.hook_result.1",
        "blocks.1.hook_mlp_out",
    ]
    found = circuit.links(names)
    embeddings, first, *heads, last = ["hook_embed", "hook_pos_embed"], *names
    wanted = {(w, "blocks.0.hook_mlp_in") for w in embeddings}
    for head in (0, 1):
        for which in "qkv":
            wanted |= {(w, f"blocks.1.attn.hook_{which}.{head}") for w in (*embeddings, first)}
    wanted |= {(w, "blocks.1.hook_mlp_in") for w in (*embeddings, first, *heads)}
    wanted |= {(w, "logits") for w in (*embeddings, first, *heads, last)}
    assert set(found) == wanted
    assert len(found) == len(wanted)


@pytest.mark.slow
def test_what_the_program_says_is_what_patching_an_edge_does(model):
    """Two accounts that share nothing: tables of the program, and sums in the network."""
    pairs = pairs_of(model.plant, 150, 3)
    one, other = (EdgePatcher(model.plant.params, model.spec, side) for side in pairs)
    said = set(model.truth.circuit("resample", *pairs))
    moved = {
        link
        for link in circuit.links(model.network.components)
        if np.abs(
            one.patched(link, other.outputs[link[0]] - one.outputs[link[0]]) - one.logits
        ).max()
        > 0.05
    }
    assert moved == said
    assert said < set(model.truth.circuit()) < set(circuit.links(model.network.components))


@pytest.mark.parametrize("chunk", [200, 7])
def test_patching_an_edge_is_changing_that_input_alone(monkeypatch, chunk):
    """The same by hand, through the hook points of the whole network."""
    monkeypatch.setattr(edges, "_CHUNK", chunk)
    model = planted.load("red-doors@1")
    pairs = pairs_of(model.plant, 20, 0)
    run, other = (EdgePatcher(model.plant.params, model.spec, side) for side in pairs)
    change = other.outputs["blocks.0.hook_mlp_out"] - run.outputs["blocks.0.hook_mlp_out"]
    weight = model.plant.params["blocks.1.attn.W_K"][0]

    def keys(value):
        value = value.copy()
        value[:, :, 0] += change @ weight
        return value

    for reader, hooks in {
        "blocks.1.attn.hook_k.0": {"blocks.1.attn.hook_k": keys},
        "blocks.2.hook_mlp_in": {"blocks.2.hook_mlp_in": lambda value: value + change},
        "logits": {"blocks.5.hook_resid_post": lambda value: value + change},
    }.items():
        wanted = model.network.run_with_hooks(pairs.tokens, hooks)
        np.testing.assert_allclose(
            run.patched(("blocks.0.hook_mlp_out", reader), change), wanted, atol=1e-5
        )
    assert np.abs(run.patched(("", "blocks.1.attn.hook_k.0"), change) - run.logits).max() > 0.5


def test_all_of_the_writers_is_the_whole_input():
    """What a head reads is the sum of what was written: patching all of it is another task's."""
    model = planted.load("red-doors@1")
    pairs = pairs_of(model.plant, 20, 0)
    run, other = (EdgePatcher(model.plant.params, model.spec, side) for side in pairs)
    writers = [w for w, reader in circuit.links(model.network.components) if reader == "logits"]
    change = sum(other.outputs[w] - run.outputs[w] for w in writers)
    np.testing.assert_allclose(run.patched(("", "logits"), change), other.logits, atol=1e-4)


def test_interventions_differ():
    """A constant is read by a weight and the same in every task; without it nothing is compared."""
    model = planted.load("red-doors@1")
    constant = ("blocks.0.hook_mlp_out", "blocks.1.attn.hook_v.0")  # the node `ones`
    found = {
        kind: set(model.circuit(kind, n=200)) for kind in ("data-flow", "resample", "mean", "zero")
    }
    assert constant in found["data-flow"] & found["zero"]
    assert constant not in found["resample"] | found["mean"]
    assert found["resample"] < found["data-flow"]
    assert model.circuit() == model.truth.circuit()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.circuit("ablate"), "data-flow"),
        (lambda m: m.circuit("mean", n=0), "n must be a whole number"),
        (lambda m: m.truth.circuit("mean"), "data-flow"),
        (lambda m: m.truth.circuit("resample"), "takes tasks"),
        (lambda m: m.truth.circuit("resample", [[0, 99]], [[0, 1]]), "whole numbers"),
    ],
)
def test_a_mistake_is_said(call, message):
    with pytest.raises(PlantedError, match=message):
        call(planted.load("red-doors@1"))
