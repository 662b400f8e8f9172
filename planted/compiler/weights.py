"""The trimmed layout: Tracr's matrices as parameters by name, and where each node stands in them.

Without padding: each layer has the heads, the key size and the neurons that its nodes use.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from planted.compiler import private_tracr
from planted.compiler.blocks import TRACR_BOS
from planted.compiler.craft import Crafted
from planted.compiler.items import Item
from planted.core.semantics import Operation
from planted.core.truth import Node
from planted.errors import CompileError

Column = dict[Any, int]  # a direction of the residual stream -> its place


def embeddings(
    tokens: Item, read_out: int, made: Crafted, column: Column
) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    """The embeddings of tokens (BOS first) and of positions (BOS's is zero)."""
    named = private_tracr.module("craft.bases").BasisDirection
    words = [named("tokens", TRACR_BOS), *made.directions[id(tokens)]]
    embed = np.zeros((len(words), len(column)), dtype=np.float32)
    embed[range(len(words)), [column[word] for word in words]] = 1
    if named("one") in column:
        embed[:, column[named("one")]] = 1
    positions = np.zeros((read_out + 1, len(column)), dtype=np.float32)
    for i in range(read_out):
        positions[i + 1, column[named("indices", i)]] = 1
    return {"embed.W_E": embed, "pos_embed.W_pos": positions}


def _columns(space: Any, column: Column) -> list[int]:
    return [column[direction] for direction in space.basis]


def attention(layer: int, block: Any, column: Column) -> dict[str, Any]:
    """The heads of one layer, of a common key size; no heads where there is no block."""
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


def mlp(layer: int, block: Any, column: Column) -> dict[str, Any]:
    """The MLP of one layer; no neurons where there is no block."""
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


def nodes(
    items: Sequence[Item], operations: Sequence[Operation], made: Crafted, column: Column
) -> dict[str, Node]:
    """Where each node of the program stands, found by the identity of Tracr's own objects."""
    found: dict[str, Node] = {}
    selects = {item.name: item.reads for item in items if item.op == "select"}
    for item, operation in zip(items, operations, strict=True):
        if item.op == "select":  # no block of its own: it is the QK matrix of its readers
            continue
        layer = -1
        heads: tuple[int, ...] = ()
        neurons: tuple[int, ...] = ()
        block = made.parts[id(item)]
        for part in getattr(block, "blocks", [block] if block is not None else []):
            layer, found_heads, found_neurons = _place(part, made.blocks)
            heads, neurons = heads + found_heads, neurons + found_neurons
        reads = [each for read in item.reads for each in selects.get(read.name, (read,))]
        directions = made.directions[id(item)]
        basis = np.zeros((len(directions), len(column)), dtype=np.float32)
        basis[range(len(directions)), [column[d] for d in directions]] = 1
        found[item.name] = Node(
            name=item.name,
            role=item.role,
            layer=layer,
            heads=heads,
            neurons=neurons,
            values=operation.values,
            numerical=item.numerical,
            reads=tuple(dict.fromkeys(read.name for read in reads)),
            basis=basis,
        )
    return found


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
