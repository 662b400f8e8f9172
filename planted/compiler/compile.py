"""Program -> checked, compiled, laid out: trimmed weights and where every node stands in them.

The steps are `guards` (what is no program), `lowering` (RASP to items with tables), `stairs` (how
exact each node must be), `craft` (Tracr's blocks and layers) and `weights` (the layout). A private
copy of the program is compiled: the user's expressions stay as they are, and can be compiled again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler import bos, evidence, guards, weights
from planted.compiler.blocks import TRACR_BOS as TRACR_BOS
from planted.compiler.copies import copied
from planted.compiler.craft import TRACR_PAD as TRACR_PAD
from planted.compiler.craft import Crafted, craft
from planted.compiler.items import Item, UnreadableNumberError, breadth_first, number
from planted.compiler.lowering import Lowering
from planted.compiler.stairs import Stairs, coldness, reads_number, stairs_of
from planted.core.roles import Program, name_apart
from planted.core.scenario import Tokens
from planted.core.semantics import Value
from planted.core.spec import Params, Spec
from planted.core.truth import Truth
from planted.errors import CompileError, need

EXACT = 100.0  # Tracr's own exactness: a program below it is a softened one, whose answers count


@dataclass(frozen=True)
class Compiled:
    """What compiling gives: parameters, how to run them, and where everything is.

    Attributes:
        params: Parameters by name, float32.
        spec: What a forward pass needs besides them.
        truth: Where each node stands, and what it holds on any input.
        residual_labels: Tracr's name of each dimension of the residual stream.
        exactness: Name -> the exactness of a node that needs another one than the program's.
        margins: Name of a node that reads a number -> how far the right value is ahead of others,
            at least, over the numbers that can occur and how far off these can be; 1 at best.
    """

    params: Params
    spec: Spec
    truth: Truth
    residual_labels: tuple[str, ...]
    exactness: Mapping[str, float] = field(default_factory=dict)
    margins: Mapping[str, float] = field(default_factory=dict)


def compile_program(
    program: Program,
    vocabulary: Sequence[str],
    n_choices: int | Sequence[Value],
    read_out: int,
    exactness: float = EXACT,
    *,
    tasks: Tokens | None = None,
) -> Compiled:
    """Compiles a RASP program into a trimmed transformer.

    Args:
        program: The program; at the read-out its output takes the value k for candidate k.
        vocabulary: Token strings, BOS first.
        n_choices: Number of candidates; or what the output is for each, where not 1, 2, ...
        read_out: The read-out position, BOS counted: also the longest input without BOS.
        exactness: Tracr's `mlp_exactness`. At 100, its default, nodes that need more get more; any
            other is kept for all. Below 100 the weights are soft on purpose, for tempering, and are
            held to what the program says at 100.
        tasks: A sample [task, pos], BOS in front, on which heads that average, and functions that
            raise, are found.

    Raises:
        CompileError: If no network of this kind computes the program, or a node needs more than
            the given exactness.
    """
    need("tracr", "compile programs")
    order = _private_order(program.output)
    guards.roles(program, order)
    guards.reads_tokens(order)
    sample = [np.asarray(tasks)[:, 1:] - 1] if tasks is not None else []
    emitted = range(1, n_choices + 1) if isinstance(n_choices, int) else n_choices
    how = _How(exactness, max(exactness, EXACT), exactness == EXACT, empty=False)
    return _compile(order, vocabulary, read_out, how, sample, tuple(emitted))


def compile_expression(
    output: Any,
    vocabulary: Sequence[Value],
    length: int,
    exactness: float | None = None,
    *,
    causal: bool = False,
    tasks: Tokens | None = None,
) -> Compiled:
    """Compiles any RASP expression into a trimmed transformer that chooses nothing.

    Its output columns are the values of the expression in order (one column if it is numerical);
    `planted.compiler.expressions.held` reads them at every position. What depends on the tasks and
    not on the program alone, as whether a head selects several values, is found on a sample; what
    occurs in other tasks only, `planted.compiler.expressions.verify` finds on those it is given.

    Args:
        output: The expression; its nodes need no roles.
        vocabulary: Tokens, BOS first; strings, numbers, tuples.
        length: The longest input without BOS.
        exactness: Tracr's `mlp_exactness` for all nodes; chosen by each node's need if None.
        causal: Whether a position attends to itself and earlier ones alone.
        tasks: The sample [task, pos], token ids with BOS in front; drawn evenly if None, of several
            lengths.

    Raises:
        CompileError: If no network of this kind computes it, with the reason and the bound.
    """
    need("tracr", "compile expressions")
    chosen = exactness is None
    asked = EXACT if exactness is None else exactness
    how = _How(asked, asked, chosen, empty=True, causal=causal)
    order = _private_order(output)
    guards.before(order, vocabulary, length, asked, causal, TRACR_BOS, TRACR_PAD)
    sample = (
        evidence.sample(len(vocabulary) - 1, length)
        if tasks is None
        else [np.asarray(tasks)[:, 1:] - 1]
    )
    return _compile(order, vocabulary, length, how, sample, ())


@dataclass(frozen=True)
class _How:
    """How a program is compiled.

    Attributes:
        exactness: What the stairs are built with.
        held: What they are held to the program at.
        chosen: Whether a node may get another one.
        empty: Whether a head that selects nothing is reckoned with wherever it can be.
        causal: Whether a position attends to itself and earlier ones alone.
    """

    exactness: float
    held: float
    chosen: bool
    empty: bool
    causal: bool = False


def _private_order(output: Any) -> list[Any]:
    """Every expression of a private copy, inputs before readers, each with a name of its own."""
    guards.require_expression(output)
    order = guards.order_of(copied(output))
    name_apart(order)
    return order


def _compile(
    order: Sequence[Any],
    vocabulary: Sequence[Value],
    length: int,
    how: _How,
    sample: Sequence[Tokens],
    emitted: Sequence[Value],
) -> Compiled:
    """From expressions to weights. Long because it is read top to bottom, a stage a line."""
    guards.before(order, vocabulary, length, how.exactness, how.causal, TRACR_BOS, TRACR_PAD)
    coded: frozenset[str] = frozenset()
    while True:
        try:
            items = _lowered(order, vocabulary[1:], length, how, sample, coded)
            guards.choices(items[-1], emitted)
            guards.memory(items)
            number(breadth_first(items[-1]))
            key_size = _key_size(items)
            stairs, sharpness = _stairs(items, key_size, how)
            break
        except UnreadableNumberError as error:
            if not error.of_category or error.read in coded:
                raise
            coded |= {error.read}
    bos.keep_clear(items, stairs)
    made = craft(items, stairs, length, sharpness)
    column = {direction: i for i, direction in enumerate(made.residual.basis)}
    depth = 1 + max((layer for layer, _ in made.blocks), default=0)
    params: dict[str, Any] = weights.embeddings(
        next(item for item in items if item.op == "tokens"), length, made, column
    )
    for layer in range(depth):
        params |= weights.attention(layer, made.blocks.get((layer, "attn")), column)
        params |= weights.mlp(layer, made.blocks.get((layer, "mlp")), column)
    params["unembed.W_U"], outputs = _unembedding(items[-1], made, column, emitted)
    operations = tuple(item.operation() for item in items)
    return Compiled(
        params=params,
        spec=Spec(
            attn_scale=1 / math.sqrt(key_size),
            read_out=length,
            outputs=outputs,
            n_choices=len(emitted),
            causal=how.causal,
        ),
        truth=Truth(weights.nodes(items, operations, made, column), operations, how.causal),
        residual_labels=tuple(str(direction) for direction in made.residual.basis),
        exactness={
            item.name: stairs[id(item)].exactness
            for item in items
            if id(item) in stairs and stairs[id(item)].exactness != how.exactness
        },
        margins={item.name: stairs[id(item)].margin for item in items if id(item) in stairs},
    )


def _lowered(
    order: Sequence[Any],
    words: Sequence[Value],
    length: int,
    how: _How,
    sample: Sequence[Tokens],
    coded: frozenset[str],
) -> list[Item]:
    """The items of a program; aggregates that are seen to average are lowered again, as numbers."""
    mean: frozenset[str] = frozenset()
    while True:
        items = Lowering(words, length, how.empty, mean, coded).run(order)
        if not sample:
            return items
        more = evidence.averaging(items, sample, how.causal) - mean
        if not more:
            evidence.refuse_raising(items, words, sample, how.causal)
            return items
        mean |= more


def _key_size(items: Sequence[Item]) -> int:
    """Tracr's: the widest queries (with BOS and one) or keys (with BOS) of any head."""
    sizes = [
        max(_width_of(keys) + 1, _width_of(queries) + 2)
        for keys, queries in (
            item.reads[0].reads for item in items if item.op in ("aggregate", "width")
        )
    ]
    return max(sizes, default=1)


def _width_of(item: Item) -> int:
    return len(item.values)


def _stairs(items: Sequence[Item], key_size: int, how: _How) -> tuple[dict[int, Stairs], float]:
    """How each node reads its number, and the factor on every query.

    Tracr's scores are 100 / sqrt(key size) apart. Where that leaves numbers too far off, or keys
    are too many, queries are scaled so that they are 100 apart.
    """
    readers = [item for item in items if reads_number(item)]
    sharp = math.sqrt(key_size)
    tried = [1.0, sharp] if key_size <= guards.MAX_KEY_SIZE else [sharp]
    for sharpness in tried:
        cold = coldness(key_size) * sharpness
        try:
            return {
                id(item): stairs_of(item, cold, how.exactness, how.held, how.chosen)
                for item in readers
            }, sharpness
        except CompileError:
            if sharpness == tried[-1]:
                raise
    raise AssertionError("one of them is the last")


def _unembedding(
    output: Item, made: Crafted, column: Mapping[Any, int], emitted: Sequence[Value]
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """The unembedding [residual, output], and the label of each output: candidates first."""
    directions = sorted(made.directions[id(output)])
    value = dict(zip(made.directions[id(output)], output.values, strict=False))
    chosen = [direction for k in emitted for direction in directions if value[direction] == k]
    columns = chosen + [direction for direction in directions if direction not in chosen]
    unembed = np.zeros((len(column), len(columns)), dtype=np.float32)
    unembed[[column[direction] for direction in columns], range(len(columns))] = 1
    if output.numerical:
        return unembed, (output.name,)
    return unembed, tuple(str(value[direction]) for direction in columns)
