"""The circuit as edges between components: which writer's output which input of a reader takes up.

A link is a pair of names, as ("blocks.0.hook_mlp_out", "blocks.1.attn.hook_k.0"): the MLP of block
0, read by the keys of head 0 of block 1. Writers are the two embeddings, the heads and the MLPs;
readers are the query, key and value inputs of heads, the MLPs' inputs, and the logits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from planted.core.semantics import Codes, Floats, Operation, evaluate

if TYPE_CHECKING:
    from planted.core.truth import Node

Link = tuple[str, str]  # (writer, reader)

LOGITS = "logits"  # who reads the output
EMBEDDINGS = ("hook_embed", "hook_pos_embed")


@dataclass(frozen=True)
class Edge:
    """One node that another reads.

    Attributes:
        writer: Name of the node that is read.
        reader: Name of the node that reads it, or "logits".
        input: Which input of the reader: "q", "k" or "v" of its head, "mlp", or "unembed".
        layer: Block of the reader; the number of blocks for "logits".
        components: The reader's heads, or its neurons; empty for "logits".
    """

    writer: str
    reader: str
    input: str
    layer: int
    components: tuple[int, ...]

    @property
    def reads_from(self) -> str:
        """The residual-stream hook point that the reader takes it from."""
        if self.input == "unembed":
            return f"blocks.{self.layer - 1}.hook_resid_post"
        part = "hook_mlp_in" if self.input == "mlp" else "hook_resid_pre"
        return f"blocks.{self.layer}.{part}"

    @property
    def arrives_at(self) -> str:
        """The hook point at which this input of this reader alone can be changed."""
        if self.input == "unembed":
            return self.reads_from
        part = "mlp.hook_pre" if self.input == "mlp" else f"attn.hook_{self.input}"
        return f"blocks.{self.layer}.{part}"


def links(components: Iterable[str]) -> tuple[Link, ...]:
    """Every link that a network has room for, reader by reader in the order of the forward pass.

    Args:
        components: Every head and MLP in that order, as `module.components` gives them.

    Example:
        >>> links(["blocks.0.attn.hook_result.0", "blocks.0.hook_mlp_out"])[-1]
        ('blocks.0.hook_mlp_out', 'logits')
    """
    found: list[Link] = []
    earlier: list[str] = list(EMBEDDINGS)  # written before this block
    heads: list[str] = []  # of this block: they do not read each other
    for name in components:
        at, _, unit = name.partition(".attn.hook_result.")
        if unit:
            readers = [f"{at}.attn.hook_{which}.{unit}" for which in "qkv"]
            found += [(writer, reader) for reader in readers for writer in earlier]
            heads.append(name)
        else:
            reader = name.replace("hook_mlp_out", "hook_mlp_in")
            found += [(writer, reader) for writer in (*earlier, *heads)]
            earlier += [*heads, name]
            heads = []
    return (*found, *((writer, LOGITS) for writer in (*earlier, *heads)))


def links_of(edge: Edge, writer: Node) -> tuple[Link, ...]:
    """The links that carry one edge of the program.

    Args:
        edge: The edge.
        writer: The node that it reads.
    """
    at = f"blocks.{edge.layer}."
    if edge.input == "unembed":
        readers = [LOGITS]
    elif edge.input == "mlp":
        readers = [f"{at}hook_mlp_in"]
    else:
        readers = [f"{at}attn.hook_{edge.input}.{head}" for head in edge.components]
    return tuple((unit, reader) for unit in writer.hook_points for reader in readers)


def needed(edges: Collection[Edge]) -> tuple[Edge, ...]:
    """The edges on which the logits depend by data-flow, in their order."""
    wanted, found = {LOGITS}, {LOGITS}
    while wanted:
        wanted = {edge.writer for edge in edges if edge.reader in wanted} - found
        found |= wanted
    return tuple(edge for edge in edges if edge.reader in found)


def rewired(operations: tuple[Operation, ...], edges: Iterable[Edge]) -> tuple[Operation, ...]:
    """The program in which these edges read a copy of their writer, called "writer*".

    What the copy holds is then set by an override; every other reader still reads the writer.
    """
    changed = tuple(edges)
    by_name = {operation.name: operation for operation in operations}
    copies = {
        edge.writer: msgspec.structs.replace(by_name[edge.writer], name=f"{edge.writer}*")
        for edge in changed
    }
    made: list[Operation] = []
    for operation in operations:
        mine = [edge for edge in changed if edge.reader == operation.name]
        made += _reading_copies(operation, mine, by_name) if mine else [operation]
        if operation.name in copies:
            made.append(copies[operation.name])
    return tuple(made)


def _reading_copies(
    operation: Operation, edges: Iterable[Edge], by_name: dict[str, Operation]
) -> list[Operation]:
    """An operation whose inputs along some edges are the writers' copies; a select before it."""
    inputs, select = list(operation.inputs), None
    for edge in edges:
        star = f"{edge.writer}*"
        if edge.input in ("k", "q"):
            select = select or msgspec.structs.replace(
                by_name[inputs[0]], name=f"{inputs[0]}*{operation.name}"
            )
            keys, queries = select.inputs
            pair = (star, queries) if edge.input == "k" else (keys, star)
            select = msgspec.structs.replace(select, inputs=pair)
        elif edge.input == "v":
            inputs = [inputs[0], star]
        else:
            inputs = [star if name == edge.writer else name for name in inputs]
    if select is not None:
        inputs[0] = select.name
    own = msgspec.structs.replace(operation, inputs=tuple(inputs))
    return [own] if select is None else [select, own]


def answers(
    operations: tuple[Operation, ...],
    codes: Codes,
    edges: Iterable[Edge] = (),
    source: Mapping[str, Floats] | None = None,
) -> Floats:
    """The program's answers when some edges carry what their writers hold in other tasks, [task].

    Args:
        operations: The tabulated program.
        codes: Codes of the tokens without BOS, [task, pos - 1]; the answer is at the last.
        edges: Which edges; none gives the program's own answers.
        source: What every node holds in the other tasks, [task, pos - 1].

    Returns:
        The value of the output; NaN where the program has none, as where a head is left with
        nothing to select.
    """
    changed = rewired(operations, edges)
    names = {edge.writer for edge in edges}
    found = evaluate(changed, codes, {f"{name}*": (source or {})[name] for name in names})
    return np.array(found[changed[-1].name][:, -1])


def resampled(
    operations: tuple[Operation, ...],
    edges: Collection[Edge],
    nodes: Mapping[str, Node],
    codes: Codes,
    others: Codes,
) -> tuple[Link, ...]:
    """The links whose content in another task changes an answer, of those that carry edges.

    A link carries every edge that its writer and its reader hold, and all of them are exchanged at
    once. Where a node holds a value in one of both tasks and nothing in the other, the program does
    not say what a reader makes of it: such pairs of tasks are passed over.

    Args:
        operations: The tabulated program.
        edges: The edges that may matter.
        nodes: The nodes, by name.
        codes: Codes of the tokens without BOS, [task, pos - 1].
        others: The tasks that content is taken from.
    """
    own, other = evaluate(operations, codes), evaluate(operations, others)
    before = answers(operations, codes)
    carried: dict[Link, list[Edge]] = {}
    for edge in edges:
        for link in links_of(edge, nodes[edge.writer]):
            carried.setdefault(link, []).append(edge)
    found = []
    for link, mine in carried.items():
        said = np.ones(len(codes), dtype=bool)
        for edge in mine:
            empty = np.isnan(own[edge.writer]) != np.isnan(other[edge.writer])
            said &= ~empty.any(axis=1)
        after = answers(operations, codes, mine, other)
        if ((after != before) & said).any():
            found.append(link)
    return tuple(found)
