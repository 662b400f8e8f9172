"""Program -> trimmed weights and node map: the only file that touches Tracr's internals.

Runs Tracr's own six steps up to the craft model, whose matrices are the weights, and lays these out
without Haiku's initialisation (which is most of Tracr's compile time) and without padding. The
numbers are Tracr's own: `tests/planted/test_compile.py` compares every one with the stock compiler.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from planted.compiler import guards
from planted.compiler.domains import Domains
from planted.compiler.tabulate import tabulate
from planted.core.roles import Program, number_unnamed
from planted.core.semantics import Operation, Value
from planted.core.spec import Params, Spec
from planted.core.truth import Node, Truth
from planted.errors import CompileError, need

EXACT = 100.0  # Tracr's own exactness: a program below it is a softened one, whose answers count
TRACR_BOS, TRACR_PAD = "compiler_bos", "compiler_pad"


@dataclass(frozen=True)
class Compiled:
    """What compiling gives: parameters, how to run them, and where everything is."""

    params: Params
    spec: Spec
    truth: Truth
    residual_labels: tuple[str, ...]


def compile_program(
    program: Program,
    vocabulary: Sequence[str],
    n_choices: int,
    read_out: int,
    exactness: float = EXACT,
) -> Compiled:
    """Compiles a RASP program into a trimmed transformer.

    Args:
        program: The program; at the read-out its output takes the value k for candidate k.
        vocabulary: Token strings, BOS first.
        n_choices: Number of candidates.
        read_out: The read-out position, BOS counted: also the longest input without BOS.
        exactness: Tracr's `mlp_exactness`. Below 100 the weights are soft on purpose, for
            tempering, and are held to what the program says at 100.

    Raises:
        CompileError: If Tracr refuses the program, or would compile it silently wrong.
    """
    need("tracr", "compile programs")
    order = guards.order_of(program.output)
    guards.roles(program, order)
    steepness = max(exactness, EXACT)
    return _compile(order, vocabulary, read_out, exactness, steepness, n_choices)


def compile_expression(
    output: Any, vocabulary: Sequence[Value], length: int, exactness: float = EXACT
) -> Compiled:
    """Compiles any RASP expression into a trimmed transformer that chooses nothing.

    Its output columns are the values of the expression in order (one column if it is numerical);
    `planted.compiler.expressions.held` reads them at every position. What goes wrong on some tasks
    alone, as a head that selects several values, `planted.compiler.expressions.verify` finds on the
    tasks it is given.

    Args:
        output: The expression; its nodes need no roles.
        vocabulary: Tokens, BOS first; strings, or numbers.
        length: The longest input without BOS.
        exactness: Tracr's `mlp_exactness`.

    Raises:
        CompileError: If Tracr refuses it, or would compile it silently wrong.
    """
    need("tracr", "compile expressions")
    return _compile(guards.order_of(output), vocabulary, length, exactness, exactness, 0)


def _compile(
    order: Sequence[Any],
    vocabulary: Sequence[Value],
    read_out: int,
    exactness: float,
    steepness: float,
    n_choices: int,
) -> Compiled:
    number_unnamed(order)
    guards.before(order, vocabulary, exactness, TRACR_BOS, TRACR_PAD)
    domains = Domains(order, vocabulary[1:], read_out)
    guards.values(order, domains, read_out, exactness, steepness)
    guards.choices(order[-1], domains, n_choices)
    graph, sink, craft, spaces = _craft(order[-1], vocabulary, read_out, exactness)
    residual = spaces["residual"]
    column = {direction: i for i, direction in enumerate(residual.basis)}

    blocks = _slots(craft)
    depth = 1 + max(layer for layer, _ in blocks)
    key_size = max(
        (
            max(head.w_qk.matrix.shape)
            for (_, part), block in blocks.items()
            if part == "attn"
            for head in block.as_multi().heads()
        ),
        default=1,
    )
    params = _embeddings(vocabulary, read_out, spaces, column)
    for layer in range(depth):
        params |= _attention(layer, blocks.get((layer, "attn")), column)
        params |= _mlp(layer, blocks.get((layer, "mlp")), column)

    labels = [direction.value for direction in sink["OUTPUT_BASIS"]]
    chosen = [k for k in range(1, n_choices + 1) if k in labels]
    columns = chosen + [value for value in labels if value not in chosen]
    unembed = np.zeros((len(column), len(columns)), dtype=np.float32)
    for i, value in enumerate(columns):
        unembed[column[_direction(sink, value)], i] = 1
    params["unembed.W_U"] = unembed
    spec = Spec(
        attn_scale=1 / math.sqrt(key_size),
        read_out=read_out,
        outputs=tuple(sink["EXPR"].name if v is None else str(v) for v in columns),
        n_choices=n_choices,
    )
    operations = tabulate(order, domains, vocabulary)
    nodes = _nodes(graph, operations, blocks, column)
    return Compiled(
        params=params,
        spec=spec,
        truth=Truth(nodes, operations),
        residual_labels=tuple(str(direction) for direction in residual.basis),
    )


def _craft(
    output: Any, vocabulary: Sequence[Value], read_out: int, exactness: float
) -> tuple[Any, Any, Any, dict[str, Any]]:
    """Tracr's steps up to the craft model."""
    from tracr.compiler import (
        basis_inference,
        craft_graph_to_model,
        expr_to_craft_graph,
        nodes,
        rasp_to_graph,
        validating,
    )
    from tracr.craft import bases
    from tracr.rasp import rasp

    _canonical_ids(output)
    words = set(vocabulary[1:])
    try:
        refused = validating.static_validate(output)
        if refused:
            raise CompileError(
                "Tracr cannot compile this program: "
                + "; ".join(f"{item.expr.name!r}: {item.reason}" for item in refused)
            )
        extracted = rasp_to_graph.extract_rasp_graph(output)
        graph, sink = extracted.graph, extracted.sink
        basis_inference.infer_bases(graph, sink, words, read_out)
        with _hastened():
            expr_to_craft_graph.add_craft_components_to_rasp_graph(
                graph,
                bos_dir=bases.BasisDirection(rasp.tokens.label, TRACR_BOS),
                mlp_exactness=exactness,
            )
            craft = craft_graph_to_model.craft_graph_to_model(graph, extracted.sources)
    except CompileError:
        raise
    except Exception as error:  # whatever Tracr raises, of any type
        raise CompileError(
            f"Tracr cannot compile the program of {output.name!r}: {type(error).__name__}: {error}"
        ) from error
    guards.layers(graph, craft)

    tokens = bases.VectorSpaceWithBasis.from_values("tokens", words | {TRACR_BOS, TRACR_PAD})
    indices = bases.VectorSpaceWithBasis.from_values("indices", range(read_out))
    made = bases.VectorSpaceWithBasis(sink[nodes.OUTPUT_BASIS])
    residual = bases.join_vector_spaces(craft.residual_space, tokens, indices, made)
    return graph, sink, craft, {"tokens": tokens, "indices": indices, "residual": residual}


@contextmanager
def _hastened() -> Iterator[None]:
    """Two helpers of Tracr with the same results in less time, while a program is compiled.

    Its unit vectors are rows of an identity matrix that is built anew for each, and its depths
    walk every path to a node: 2^n of them where n nodes are read twice.
    """
    from tracr.compiler import craft_graph_to_model, nodes
    from tracr.craft import bases
    from tracr.rasp import rasp

    def unit_vector(self: Any, basis_direction: Any) -> Any:
        magnitudes = np.zeros(self.num_dims)
        magnitudes[self.index_by_direction[basis_direction]] = 1
        return self.make_vector(magnitudes)

    def depths(graph: Any, sources: Any) -> dict[Any, int]:
        found = dict.fromkeys(graph.nodes, -1)
        found |= dict.fromkeys(sources, 0)
        waiting = {node: graph.in_degree(node) for node in graph.nodes}
        ready = [node for node, n in waiting.items() if n == 0]
        while ready:
            node = ready.pop()
            for reader in graph.successors(node):
                step = isinstance(graph.nodes[reader][nodes.EXPR], rasp.SOp)
                if found[node] >= 0:
                    found[reader] = max(found[reader], found[node] + step)
                waiting[reader] -= 1
                if not waiting[reader]:
                    ready.append(reader)
        return found

    space = bases.VectorSpaceWithBasis
    own = space.vector_from_basis_direction, craft_graph_to_model.compute_computational_depth
    space.vector_from_basis_direction = unit_vector
    craft_graph_to_model.compute_computational_depth = depths
    try:
        yield
    finally:
        space.vector_from_basis_direction = own[0]
        craft_graph_to_model.compute_computational_depth = own[1]


def _canonical_ids(tip: Any) -> None:
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


def _slots(craft: Any) -> dict[tuple[int, str], Any]:
    """(layer, "attn" or "mlp") -> craft block, as Tracr folds a series of blocks into layers."""
    from tracr.craft import transformers

    placed: dict[tuple[int, str], Any] = {}
    half = 0
    for block in craft.blocks:
        wanted = 1 if isinstance(block, transformers.MLP) else 0
        half += (wanted - half) % 2
        placed[half // 2, ("attn", "mlp")[wanted]] = block
        half += 1
    return placed


def _embeddings(
    vocabulary: Sequence[Value], read_out: int, spaces: dict[str, Any], column: dict[Any, int]
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    from tracr.craft import bases

    words = [TRACR_BOS, *vocabulary[1:]]
    embed = np.zeros((len(words), len(column)), dtype=np.float32)
    for i, word in enumerate(words):
        embed[i, column[bases.BasisDirection("tokens", word)]] = 1
    one = bases.BasisDirection("one")
    if one in column:
        embed[:, column[one]] = 1
    positions = np.zeros((read_out + 1, len(column)), dtype=np.float32)
    for i in range(read_out):
        positions[i + 1, column[bases.BasisDirection("indices", i)]] = 1
    return {"embed.W_E": embed, "pos_embed.W_pos": positions}


def _columns(space: Any, column: dict[Any, int]) -> list[int]:
    return [column[direction] for direction in space.basis]


def _attention(layer: int, block: Any, column: dict[Any, int]) -> dict[str, Any]:
    heads = list(block.as_multi().heads()) if block is not None else []
    width = len(column)
    size = max((max(h.w_qk.matrix.shape[1], h.w_ov.matrix.shape[1]) for h in heads), default=0)
    q, k, v = (np.zeros((len(heads), width, size), dtype=np.float32) for _ in range(3))
    o = np.zeros((len(heads), size, width), dtype=np.float32)
    for i, head in enumerate(heads):
        n_key, n_value = head.w_qk.matrix.shape[1], head.w_ov.matrix.shape[1]
        q[i, _columns(head.w_qk.left_space, column), :n_key] = head.w_qk.matrix
        k[i, _columns(head.w_qk.right_space, column), range(n_key)] = 1
        v[i, _columns(head.w_ov.input_space, column), :n_value] = head.w_ov.matrix
        o[i, range(n_value), _columns(head.w_ov.output_space, column)] = 1
    at = f"blocks.{layer}.attn."
    zeros = {f"{at}b_{x}": np.zeros((len(heads), size), dtype=np.float32) for x in "QKV"}
    return {
        at + "W_Q": q,
        at + "W_K": k,
        at + "W_V": v,
        at + "W_O": o,
        at + "b_O": np.zeros(width, dtype=np.float32),
        **zeros,
    }


def _mlp(layer: int, block: Any, column: dict[Any, int]) -> dict[str, Any]:
    n = block.fst.output_space.num_dims if block is not None else 0
    w_in = np.zeros((len(column), n), dtype=np.float32)
    w_out = np.zeros((n, len(column)), dtype=np.float32)
    if block is not None:
        w_in[_columns(block.fst.input_space, column)] = block.fst.matrix
        w_out[:, _columns(block.snd.output_space, column)] = block.snd.matrix
    at = f"blocks.{layer}.mlp."
    return {
        at + "W_in": w_in,
        at + "b_in": np.zeros(n, dtype=np.float32),
        at + "W_out": w_out,
        at + "b_out": np.zeros(len(column), dtype=np.float32),
    }


def _direction(node: Any, value: Value) -> Any:
    return next(d for d in node["OUTPUT_BASIS"] if d.value == value)


def _nodes(
    graph: Any,
    operations: tuple[Operation, ...],
    blocks: dict[tuple[int, str], Any],
    column: dict[Any, int],
) -> dict[str, Node]:
    """Where each node of the program stands, found by the identity of Tracr's own objects."""
    by_name = {data["EXPR"].name: data for data in graph.nodes.values()}
    nodes: dict[str, Node] = {}
    for operation in operations:
        if operation.op == "select":  # no block of its own: it is the QK matrix of its readers
            continue
        data = by_name[operation.name]
        layer = -1
        heads: tuple[int, ...] = ()
        neurons: tuple[int, ...] = ()
        block = data.get("MODEL_BLOCK")
        for part in getattr(block, "blocks", [block] if block is not None else []):
            layer, found_heads, found_neurons = _place(part, blocks)
            heads, neurons = heads + found_heads, neurons + found_neurons
        selects = {op.name: op.inputs for op in operations if op.op == "select"}
        reads = tuple(
            dict.fromkeys(r for name in operation.inputs for r in selects.get(name, (name,)))
        )
        directions = data["OUTPUT_BASIS"]
        if not operation.numerical:
            directions = [_direction(data, value) for value in operation.values]
        basis = np.zeros((len(directions), len(column)), dtype=np.float32)
        basis[range(len(directions)), [column[d] for d in directions]] = 1
        nodes[operation.name] = Node(
            name=operation.name,
            role=dict(data["EXPR"].annotations).get("role", ""),
            layer=layer,
            heads=heads,
            neurons=neurons,
            values=operation.values,
            numerical=operation.numerical,
            reads=reads,
            basis=basis,
        )
    return nodes


def _place(
    block: Any, blocks: dict[tuple[int, str], Any]
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    for (layer, part), merged in blocks.items():
        if part == "attn":
            for i, head in enumerate(merged.as_multi().heads()):
                if head is block:
                    return layer, (i,), ()
        elif hasattr(block, "fst") and set(block.fst.output_space.basis) <= set(
            merged.fst.output_space.basis
        ):
            where = {d: i for i, d in enumerate(merged.fst.output_space.basis)}
            return layer, (), tuple(where[d] for d in block.fst.output_space.basis)
    raise CompileError(f"Tracr dropped a block of the program: {block!r}.")
