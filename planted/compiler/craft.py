"""A RASP program -> Tracr's craft model, whose matrices are the weights: Tracr's own steps.

Runs a private copy of Tracr up to the craft model, without Haiku's initialisation, which is most of
Tracr's compile time. The numbers are Tracr's own: `tests/planted/test_compile.py` compares every
one with the stock compiler.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from planted.compiler import guards, private_tracr
from planted.core.semantics import Value
from planted.errors import CompileError

TRACR_BOS, TRACR_PAD = "compiler_bos", "compiler_pad"


class Crafted(NamedTuple):
    """What Tracr makes of a program.

    Attributes:
        graph: Its graph of expressions with their value sets and blocks.
        sink: The graph's data of the output.
        model: The craft model: a series of attention and MLP blocks.
        spaces: The spaces of the tokens, of the indices and of the residual stream.
    """

    graph: Any
    sink: Any
    model: Any
    spaces: dict[str, Any]


def craft(output: Any, vocabulary: Sequence[Value], read_out: int, exactness: float) -> Crafted:
    """Tracr's steps up to the craft model; expressions are numbered in place.

    Args:
        output: The output of a private copy of the program.
        vocabulary: Tokens, BOS first.
        read_out: The longest input without BOS.
        exactness: Tracr's `mlp_exactness`.

    Raises:
        CompileError: If Tracr refuses the program, or two counts meet in one layer.
    """
    from tracr.rasp import rasp

    tracr = private_tracr.module
    bases, nodes = tracr("craft.bases"), tracr("compiler.nodes")
    canonical_ids(output)
    words = set(vocabulary[1:])
    try:
        refused = tracr("compiler.validating").static_validate(output)
        if refused:
            raise CompileError(
                "Tracr cannot compile this program: "
                + "; ".join(f"{item.expr.name!r}: {item.reason}" for item in refused)
            )
        extracted = tracr("compiler.rasp_to_graph").extract_rasp_graph(output)
        graph, sink = extracted.graph, extracted.sink
        tracr("compiler.basis_inference").infer_bases(graph, sink, words, read_out)
        tracr("compiler.expr_to_craft_graph").add_craft_components_to_rasp_graph(
            graph,
            bos_dir=bases.BasisDirection(rasp.tokens.label, TRACR_BOS),
            mlp_exactness=exactness,
        )
        model = tracr("compiler.craft_graph_to_model").craft_graph_to_model(
            graph, extracted.sources
        )
    except CompileError:
        raise
    except Exception as error:  # whatever Tracr raises, of any type
        raise CompileError(
            f"Tracr cannot compile the program of {output.name!r}: {type(error).__name__}: {error}"
        ) from error
    guards.layers(graph, model)

    tokens = bases.VectorSpaceWithBasis.from_values("tokens", words | {TRACR_BOS, TRACR_PAD})
    indices = bases.VectorSpaceWithBasis.from_values("indices", range(read_out))
    made = bases.VectorSpaceWithBasis(sink[nodes.OUTPUT_BASIS])
    residual = bases.join_vector_spaces(model.residual_space, tokens, indices, made)
    return Crafted(graph, sink, model, {"tokens": tokens, "indices": indices, "residual": residual})


def canonical_ids(tip: Any) -> None:
    """Numbers the expressions breadth first: labels do not depend on what was built before."""
    counter = itertools.count(1)
    queue, seen = [tip], set()
    while queue:
        expression = queue.pop(0)
        if id(expression) in seen:
            continue
        seen.add(id(expression))
        if expression.label not in ("tokens", "indices"):
            expression.__dict__["unique_id"] = next(counter)
        queue.extend(expression.children)


def slots(model: Any) -> dict[tuple[int, str], Any]:
    """(layer, "attn" or "mlp") -> craft block, as Tracr folds a series of blocks into layers."""
    transformers = private_tracr.module("craft.transformers")
    placed: dict[tuple[int, str], Any] = {}
    half = 0
    for block in model.blocks:
        wanted = 1 if isinstance(block, transformers.MLP) else 0
        half += (wanted - half) % 2
        placed[half // 2, ("attn", "mlp")[wanted]] = block
        half += 1
    return placed
