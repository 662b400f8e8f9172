"""Arguments of public calls are checked in one way: argument, value, expectation, near names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import planted
from planted import library
from planted.core import arguments
from planted.errors import CheckpointError, PlantedError, UnknownNameError

model = planted.load("red-doors")
tokens = model.inputs(n=2)


@pytest.mark.parametrize("n", [-1, 2.5, "4", None, True, [4]])
def test_how_many_inputs_is_a_whole_number(n: Any) -> None:
    with pytest.raises(PlantedError, match="n must be a whole number, at least 0, got ") as error:
        model.inputs(n=n)
    assert repr(n) in str(error.value)


@pytest.mark.parametrize("seed", [-1, 0.5, "0", None])
def test_so_is_a_seed(seed: Any) -> None:
    with pytest.raises(PlantedError, match="seed must be a whole number"):
        model.inputs(n=2, seed=seed)


def test_whole_numbers_of_numpy_are_taken() -> None:
    assert len(model.inputs(n=np.int64(3), seed=np.uint8(1))) == 3  # type: ignore[arg-type]
    assert arguments.whole("n", 0) == 0


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda: model.intervene(None, tokens), r"values is a mapping of node names .* got None"),  # type: ignore[arg-type]
        (lambda: model.intervene([1], tokens), r"values is a mapping .* got \[1\]"),  # type: ignore[arg-type]
        (lambda: model.intervene({3: 1}, tokens), "it has the key 3"),  # type: ignore[dict-item]
        (
            lambda: model.intervene({"score": "x"}, tokens),
            r"Values of node 'score' are numbers \[task, pos\] = \[2, 6\], got 'x'",
        ),
        (lambda: model.intervene({"scor": [[1.0]]}, tokens), "Unknown node 'scor'.*'score'"),
        (lambda: model.run_with_cache(tokens, 3), "names is a list of texts, .* got 3"),  # type: ignore[arg-type]
        (lambda: model.run_with_cache("abc"), "Tokens of 'red-doors' are integers"),
        (lambda: model.run_with_cache([[1], [1, 2]]), "Tokens of 'red-doors' are integers"),
        (lambda: model.expected("scor", tokens), r"Unknown node 'scor'\. Did you mean 'score'"),
        (lambda: model.expected(None, tokens), "A node is named by a text, .* got None"),  # type: ignore[arg-type]
        (lambda: model.scenario.encode(None), "Tasks of 'red-doors' are lists of token strings"),  # type: ignore[arg-type]
        (lambda: model.scenario.encode("T"), "Tasks of 'red-doors' are lists of .* got 'T'"),  # type: ignore[arg-type]
        (lambda: model.scenario.encode({}), "Tasks of 'red-doors' are lists of .* got {}"),  # type: ignore[arg-type]
        (lambda: model.scenario.encode(b"T"), "Tasks of 'red-doors' are lists of .* got b'T'"),  # type: ignore[arg-type]
        (lambda: model.scenario.encode([3]), "a task is a list of texts, .* got 3"),  # type: ignore[list-item]
        (lambda: model.scenario.encode([[1, 2, 3, 4, 5]]), "a task is a list of texts"),  # type: ignore[list-item]
        (lambda: model.truth.nodes["scor"], r"Unknown node 'scor'\. Did you mean 'score'"),
        (lambda: model.truth.node("scor"), r"Unknown node 'scor'\. Did you mean 'score'"),
        (lambda: model.truth.of_role("scor"), r"Unknown role 'scor'\. Did you mean 'score'"),
        (
            lambda: model.truth.nodes["score"].decode(np.zeros((1, 6, 3))),
            r"'score' is read from a residual stream \[task, pos, 84\], got \[1, 6, 3\]",
        ),
        (lambda: model.truth.nodes["score"].decode(3.0), r"\[task, pos, 84\], got \[\]"),
        (
            lambda: model.truth.nodes["score"].compare(np.zeros((2, 6, 3)), np.ones((2, 6))),
            r"\[task, pos, 84\], got \[2, 6, 3\]",
        ),
        *(
            (
                lambda which=which: model.truth.circuit(which),
                rf"'data-flow' or 'resample'.*, got '{which}': model\.circuit\('{which}'\)",
            )
            for which in ("mean", "zero")
        ),
        (lambda: model.truth.circuit("resampel"), "'resampel'. Did you mean 'resample'"),
        (
            lambda: model.run_with_cache(tokens, "blocks.0.hook_mlp_ou"),
            r"'blocks\.0\.hook_mlp_ou'\. Did you mean 'blocks\.0\.hook_mlp_out'\?",
        ),
        (
            lambda: model.run_with_cache(tokens, "blocks.1.atn.hook_result.0"),
            r"Did you mean 'blocks\.1\.attn\.hook_result\.0'\?",
        ),
        (lambda: model.run_with_cache(tokens, "score"), "Unknown hook point 'score'. They are"),
        (lambda: model.truth.of_role(3), "role is one of .*'score'.* got 3"),  # type: ignore[arg-type]
        (lambda: model.effects(n=0), "n must be a whole number, at least 1, got 0"),
        (lambda: planted.load(3), "A plant is named by a text, .* got 3"),  # type: ignore[arg-type]
        (lambda: planted.load("red-doors", tier=3), "Unknown tier"),  # type: ignore[arg-type]
        (lambda: planted.load("red-doors", runtime="jax"), "Unknown runtime 'jax'.*numpy; torch"),
        (lambda: planted.load("red-doors", runtime=3), "runtime is one of 'numpy', 'torch', got 3"),  # type: ignore[arg-type]
        (lambda: planted.load("RED-DOORS"), "Unknown plant 'RED-DOORS'.*'red-doors'"),
        (lambda: planted.load("../red-doors"), "Unknown plant '../red-doors'.*'red-doors'"),
        (lambda: planted.score("exact-patching", models=None), "models is 'dev', .* got None"),  # type: ignore[arg-type]
        (lambda: planted.score("exact-patching", models=3), "models is 'dev', .* got 3"),  # type: ignore[arg-type]
        (lambda: planted.score("exact-patching", models=[3]), "A plant is a name .* got 3"),  # type: ignore[list-item]
        (lambda: planted.score("exact-patching", tiers="exact"), "tiers is a list of texts"),
        (lambda: planted.score("exact-patching", budget_s="x"), "budget_s must be"),  # type: ignore[arg-type]
        (lambda: library.matched(None), "names is a list of texts"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(call: Any, why: str) -> None:
    with pytest.raises(PlantedError, match=why):
        call()


def test_nodes_are_a_mapping_whose_errors_are_key_errors_too() -> None:
    nodes = model.truth.nodes
    assert isinstance(nodes, Mapping)
    assert nodes["score"].name == "score"
    assert "scor" not in nodes
    assert nodes.get("scor") is None
    with pytest.raises(KeyError):
        nodes["scor"]
    with pytest.raises(UnknownNameError) as error:
        nodes["scor"]
    assert str(error.value).startswith("Unknown node 'scor'. Did you mean 'score'")
    assert model.truth.of_role("belief") == ()


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_weights_that_were_cast_to_integers_are_refused(dtype: Any) -> None:
    plant = model.plant
    whole = {name: np.trunc(value).astype(dtype) for name, value in plant.params.items()}
    with pytest.raises(CheckpointError, match=r"holds \w+; weights are floats.*float32"):
        plant.check_params(whole, "mine")
    floats = {name: value.astype(np.float64) for name, value in plant.params.items()}
    assert set(plant.check_params(floats, "mine")) == set(plant.params)
