"""A program's items -> Tracr's craft model, whose matrices are the weights.

Tracr's own steps put the blocks into layers and join the spaces; the blocks are made by
`planted.compiler.blocks`. Haiku's initialisation, which is most of Tracr's compile time, is left
out. `tests/planted/test_compile.py` compares every number with the stock compiler's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from planted.compiler import private_tracr
from planted.compiler.blocks import Blocks
from planted.compiler.items import Item, breadth_first
from planted.compiler.stairs import Stairs

TRACR_PAD = "compiler_pad"


class Crafted(NamedTuple):
    """What Tracr makes of a program.

    Attributes:
        blocks: (layer, "attn" or "mlp") -> the craft block there.
        parts: id of an item -> its own block; None of an input or a selector.
        directions: id of an item -> its directions in the residual stream, by code.
        residual: The space of the residual stream.
    """

    blocks: dict[tuple[int, str], Any]
    parts: dict[int, Any]
    directions: dict[int, list[Any]]
    residual: Any


def craft(
    items: Sequence[Item], stairs: Mapping[int, Stairs], length: int, sharpness: float = 1.0
) -> Crafted:
    """Lays out a program.

    Args:
        items: The program, labelled; the tokens among them, the output last.
        stairs: id of an item -> how it reads its number.
        length: The longest input without BOS.
        sharpness: Factor on every query, 1 in Tracr.
    """
    made = Blocks(items, stairs, sharpness)
    found = _layered(items, made)
    if _counts_meet(items, found):
        made = Blocks(items, stairs, sharpness, own_bos=True)
        found = _layered(items, made)
    placed, parts = found
    bases = private_tracr.module("craft.bases")
    tokens = next(item for item in items if item.op == "tokens")
    words = [*made.directions[id(tokens)], made.bos, bases.BasisDirection("tokens", TRACR_PAD)]
    places = bases.VectorSpaceWithBasis.from_values("indices", range(length))
    residual = bases.join_vector_spaces(
        *(block.residual_space for block in placed.values()),
        bases.VectorSpaceWithBasis(words),
        places,
        bases.VectorSpaceWithBasis(made.directions[id(items[-1])]),
    )
    return Crafted(placed, parts, made.directions, residual)


def _layered(
    items: Sequence[Item], made: Blocks
) -> tuple[dict[tuple[int, str], Any], dict[int, Any]]:
    """Each item's own block, and what Tracr makes of them by layer."""
    import networkx

    nodes = private_tracr.module("compiler.nodes")
    graph = networkx.DiGraph()
    parts: dict[int, Any] = {id(item): made.of(item) for item in items}
    order = breadth_first(items[-1])
    for item in order:
        graph.add_node(item.label, **{nodes.ID: item.label, nodes.EXPR: item})
        if item.op != "select":
            graph.nodes[item.label][nodes.MODEL_BLOCK] = parts[id(item)]
    for item in order:
        for read in item.reads:
            graph.add_edge(read.label, item.label)
    if not any(part is not None for part in parts.values()):
        return {}, parts  # the output is an input
    sources = [graph.nodes[item.label] for item in order if not item.reads]
    model = private_tracr.module("compiler.craft_graph_to_model").craft_graph_to_model(
        graph, sources
    )
    return _slots(model), parts


def _slots(model: Any) -> dict[tuple[int, str], Any]:
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


def _counts_meet(
    items: Sequence[Item], found: tuple[dict[tuple[int, str], Any], dict[int, Any]]
) -> bool:
    """Whether two counts share a layer's MLP, where Tracr has one neuron to clear BOS for both."""
    placed, parts = found
    heads = [parts[id(item)].blocks[0] for item in items if item.op == "width"]
    for (_, part), block in placed.items():
        if part == "attn":
            there = {id(head) for head in block.as_multi().heads()}
            if sum(id(head) in there for head in heads) > 1:
                return True
    return False
