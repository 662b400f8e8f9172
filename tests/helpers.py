"""What several test modules share: compiled programs, the stock Tracr compiler, small programs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from planted.compiler.compile import Compiled, compile_program
from planted.core.plant import Plant
from planted.core.roles import Program
from planted.core.scenario import Scenario
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import checkpoint_path, finetune
from planted.programs import catalogue
from planted.programs.entries import Entry

# in the wheel in every shipped tier, under the name of their defaults
SHIPPED = ("red-doors", "red-doors-aligned", "red-doors-small", "red-doors-small-table")
WORDS = ("a", "b", "c")  # vocabulary of the small programs of the tests


@functools.cache
def scenario(name: str) -> Scenario:
    return catalogue.entry(name).make_scenario()


def program(name: str) -> Program:
    """Fresh expressions every time."""
    return catalogue.entry(name).program(scenario(name))


@functools.cache
def compiled(name: str, exactness: float = 100.0) -> Compiled:
    return compile_afresh(name, exactness)


def compile_afresh(name: str, exactness: float = 100.0) -> Compiled:
    place = scenario(name)
    return compile_program(
        program(name), place.vocabulary, len(place.candidates), place.read_out, exactness
    )


def compile_small(
    output: Any, words: Sequence[str] = WORDS, length: int = 4, exactness: float = 100, n: int = 1
) -> Compiled:
    """Our compiler on a bare expression that can take the values 1..n."""
    return compile_program(
        Program(output, searches=False), ("BOS", *words), n, length, exactness=exactness
    )


def unique(expression: Any, name: str) -> Any:
    """Names an expression in place."""
    expression.annotations = {**dict(expression.annotations), "name": name}
    return expression


@contextmanager
def no_random_init() -> Iterator[None]:
    """Tracr draws random weights and overwrites all of them; drawing them is most of its time."""
    import haiku as hk

    zero = lambda *_, **__: hk.initializers.Constant(0.0)  # noqa: E731
    with (
        mock.patch.object(hk.initializers, "VarianceScaling", zero),
        mock.patch.object(hk.initializers, "TruncatedNormal", zero),
    ):
        yield


def stock(output: Any, words: Sequence[str], length: int, exactness: float = 100) -> Any:
    """What the stock Tracr compiler makes of an expression."""
    from tracr.compiler import compiling

    with no_random_init():
        return compiling.compile_rasp_to_model(output, set(words), length, mlp_exactness=exactness)


def stock_run(
    model: Any, output: Any, task: Sequence[Any], dtype: Any = np.float64
) -> SimpleNamespace:
    """Runs the stock weights on one task (words without BOS), written here from Tracr's model.

    Returns:
        decoded: what Tracr decodes, without BOS; output: the output's coordinates [pos, value];
        residual: the last residual stream [pos, d_model].
    """
    params = {k: {n: np.asarray(w, dtype) for n, w in v.items()} for k, v in model.params.items()}
    ids = model.input_encoder.encode(["compiler_bos", *task])
    x = params["token_embed"]["embeddings"][ids]
    x = x + params["pos_embed"]["embeddings"][: len(ids)]
    config = model.model_config
    for layer in range(config.num_layers):
        attn = {
            part: params[f"transformer/layer_{layer}/attn/{part}"]
            for part in ("query", "key", "value", "linear")
        }
        q, k, v = (
            (x @ attn[part]["w"] + attn[part]["b"]).reshape(len(ids), config.num_heads, -1)
            for part in ("query", "key", "value")
        )
        scores = np.einsum("qhd,khd->hqk", q, k) / dtype(np.sqrt(config.key_size))
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        z = np.einsum("hqk,khd->qhd", weights, v).reshape(len(ids), -1)
        x = x + z @ attn["linear"]["w"] + attn["linear"]["b"]
        first = params[f"transformer/layer_{layer}/mlp/linear_1"]
        second = params[f"transformer/layer_{layer}/mlp/linear_2"]
        hidden = np.maximum(x @ first["w"] + first["b"], 0)
        x = x + hidden @ second["w"] + second["b"]
    columns = [
        i
        for i, label in enumerate(model.residual_labels)
        if label == output.label or label.startswith(f"{output.label}:")
    ]
    got = x[1:, columns]
    encoding = getattr(model.output_encoder, "encoding_map", None)
    if encoding is None:
        return SimpleNamespace(decoded=got[:, 0].tolist(), output=got, residual=x)
    names = [model.residual_labels[i].partition(":")[2] for i in columns]
    value = {str(v): v for v in encoding}
    decoded = [value[names[i]] for i in got.argmax(axis=1)]
    return SimpleNamespace(decoded=decoded, output=got, residual=x)


def interpreted(output: Any, task: Sequence[Any]) -> list[Any]:
    """What Tracr's RASP interpreter says."""
    from tracr.rasp import rasp

    return list(rasp.DefaultRASPEvaluator().evaluate(output, list(task)))


def draw(name: str, n: int, seed: int = 0) -> Any:
    """Tasks of a scenario with any cue, a quarter of them with ties."""
    place = scenario(name)
    rng = np.random.default_rng(seed)
    tokens = place.draw(rng, n)
    tokens = place.with_any_cue(tokens, rng)
    for position in place.candidates[1::2]:
        tokens[: n // 4, position] = tokens[: n // 4, place.candidates[0]]
    return tokens


def plant_of(entry: Entry, place: Scenario) -> Plant:
    """An entry's exact tier for a scenario with other parameters, not yet certified."""
    made = compile_program(
        entry.program(place), place.vocabulary, len(place.candidates), place.read_out
    )
    return Plant(
        f"{entry.name}@{entry.version}", "exact", entry.kind, entry.mechanism, entry.answers, place,
        made.params, made.spec, made.truth, {}, {},
    )  # fmt: skip


def bare(name: str, planted: Program | None = None, exactness: float = 100) -> Plant:
    """A catalogue entry's exact tier, or another program for its scenario, not yet certified."""
    entry, place = catalogue.entry(name), scenario(name)
    made = (
        compiled(name, exactness)
        if planted is None
        else compile_program(
            planted, place.vocabulary, len(place.candidates), place.read_out, exactness
        )
    )
    return Plant(
        name=f"{name}@{entry.version}",
        tier="exact",
        kind=entry.kind,
        mechanism=entry.mechanism,
        answers=entry.answers,
        scenario=place,
        params=made.params,
        spec=made.spec,
        truth=made.truth,
        settings={"exactness": exactness},
        certificate={},
    )


def seed_folder(folder: Path, recipe: Recipe, seed: int) -> Path:
    return folder / recipe.slug / f"seed-{seed:03d}"


def train_seeds(
    plant: Plant, recipe: Recipe, seeds: Sequence[int], folder: Path, progress: Any = None
) -> None:
    """Trains seeds, each in its own folder below `folder`."""
    finetune(plant, recipe, {seed: seed_folder(folder, recipe, seed) for seed in seeds}, progress)


def checkpoint_of(folder: Path, recipe: Recipe, seed: int) -> Path:
    return checkpoint_path(seed_folder(folder, recipe, seed))
