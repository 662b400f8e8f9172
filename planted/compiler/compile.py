"""Program -> checked, compiled, laid out: trimmed weights and where every node stands in them.

The steps are those of `guards` (what Tracr would compile wrong), `craft` (Tracr's own) and
`weights` (the layout). A private copy of the program is compiled: the user's expressions stay as
they are, and can be compiled again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler import guards, weights
from planted.compiler.copies import copied
from planted.compiler.craft import TRACR_BOS as TRACR_BOS
from planted.compiler.craft import TRACR_PAD as TRACR_PAD
from planted.compiler.craft import craft, slots
from planted.compiler.domains import Domains
from planted.compiler.tabulate import tabulate
from planted.core.roles import Program, number_unnamed
from planted.core.semantics import Value
from planted.core.spec import Params, Spec
from planted.core.truth import Truth
from planted.errors import need

EXACT = 100.0  # Tracr's own exactness: a program below it is a softened one, whose answers count


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
    n_choices: int | Sequence[Value],
    read_out: int,
    exactness: float = EXACT,
) -> Compiled:
    """Compiles a RASP program into a trimmed transformer.

    Args:
        program: The program; at the read-out its output takes the value k for candidate k.
        vocabulary: Token strings, BOS first.
        n_choices: Number of candidates; or what the output is for each, where not 1, 2, ...
        read_out: The read-out position, BOS counted: also the longest input without BOS.
        exactness: Tracr's `mlp_exactness`. Below 100 the weights are soft on purpose, for
            tempering, and are held to what the program says at 100.

    Raises:
        CompileError: If Tracr refuses the program, or would compile it silently wrong.
    """
    need("tracr", "compile programs")
    order = _private_order(program.output)
    guards.roles(program, order)
    steepness = max(exactness, EXACT)
    emitted = range(1, n_choices + 1) if isinstance(n_choices, int) else n_choices
    return _compile(order, vocabulary, read_out, exactness, steepness, tuple(emitted))


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
    return _compile(_private_order(output), vocabulary, length, exactness, exactness, ())


def _private_order(output: Any) -> list[Any]:
    """Every expression of a private copy, inputs before readers, each with a name of its own."""
    guards.require_expression(output)
    order = guards.order_of(copied(output))
    number_unnamed(order)
    return order


def _compile(
    order: Sequence[Any],
    vocabulary: Sequence[Value],
    read_out: int,
    exactness: float,
    steepness: float,
    emitted: Sequence[Value],
) -> Compiled:
    guards.before(order, vocabulary, exactness, TRACR_BOS, TRACR_PAD)
    domains = Domains(order, vocabulary[1:], read_out)
    guards.values(order, domains, read_out, exactness, steepness)
    guards.choices(order[-1], domains, emitted)
    made = craft(order[-1], vocabulary, read_out, exactness)
    residual = made.spaces["residual"]
    column = {direction: i for i, direction in enumerate(residual.basis)}

    blocks = slots(made.model)
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
    params: dict[str, Any] = weights.embeddings(vocabulary, read_out, made.spaces, column)
    for layer in range(depth):
        params |= weights.attention(layer, blocks.get((layer, "attn")), column)
        params |= weights.mlp(layer, blocks.get((layer, "mlp")), column)

    params["unembed.W_U"], columns = _unembedding(made.sink, column, emitted)
    spec = Spec(
        attn_scale=1 / math.sqrt(key_size),
        read_out=read_out,
        outputs=tuple(made.sink["EXPR"].name if v is None else str(v) for v in columns),
        n_choices=len(emitted),
    )
    operations = tabulate(order, domains, vocabulary)
    return Compiled(
        params=params,
        spec=spec,
        truth=Truth(weights.nodes(made.graph, operations, blocks, column), operations),
        residual_labels=tuple(str(direction) for direction in residual.basis),
    )


def _unembedding(
    sink: Any, column: dict[Any, int], emitted: Sequence[Value]
) -> tuple[npt.NDArray[np.float32], list[Any]]:
    """The unembedding [residual, output], and the value of each output: candidates first."""
    labels = [direction.value for direction in sink["OUTPUT_BASIS"]]
    chosen = [value for value in emitted if value in labels]
    columns = chosen + [value for value in labels if value not in chosen]
    unembed = np.zeros((len(column), len(columns)), dtype=np.float32)
    for i, value in enumerate(columns):
        unembed[column[weights.direction(sink, value)], i] = 1
    return unembed, columns
