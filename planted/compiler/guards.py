"""What cannot be compiled, refused with the reason before anything large is built.

What no rule here foresees is caught by `planted.compiler.certify` and by
`planted.compiler.expressions.verify`, which compare every node with the RASP interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from planted.compiler.copies import expressions
from planted.compiler.items import Item
from planted.compiler.values import identity, shown, supported, text
from planted.core.roles import Program
from planted.errors import CompileError

MAX_KEY_SIZE = 100  # Tracr softens attention by 1/sqrt(key size): past this, queries are scaled
MOST_BYTES = 2 * 2**30  # of weights


def before(
    order: Sequence[Any],
    vocabulary: Sequence[Any],
    length: int,
    exactness: float,
    causal: bool,
    *reserved: str,
) -> None:
    """Checks what is given, before any function of the program is called.

    Args:
        order: Every expression, inputs before readers, the output last.
        vocabulary: Tokens, BOS first.
        length: Longest input, without BOS.
        exactness: Tracr's `mlp_exactness`.
        causal: Whether a position sees no later one.
        reserved: Words of Tracr's own.

    Raises:
        CompileError: For a vocabulary, a length or an exactness that is none, an expression that
            is none of RASP's, or `rasp.length` in a causal program.
    """
    from tracr.rasp import rasp

    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise CompileError(
            f"The length is how many tokens the longest task has, a whole number from 1; got "
            f"{length!r}."
        )
    _vocabulary(vocabulary, reserved)
    fits((len(vocabulary) + length) ** 2, f"{len(vocabulary)} tokens and {length} positions")
    number = isinstance(exactness, int | float) and not isinstance(exactness, bool)
    if not number or not 0 < exactness < float("inf"):
        raise CompileError(f"The exactness is a positive number, as 100; got {exactness!r}.")
    for expression in order:
        if not isinstance(expression, rasp.Selector | rasp.SOp):
            raise CompileError(
                f"{type(expression).__name__} {expression.name!r} cannot be compiled: it is no "
                "selector and no sequence of RASP."
            )
        if causal and isinstance(expression, rasp.LengthType):
            raise CompileError(
                f"Node {expression.name!r}: a causal program has no rasp.length, because a "
                "position does not see how many tokens follow it. Count those up to it with "
                "rasp.SelectorWidth, or leave out causal=True."
            )


def fits(n_weights: float, what: str) -> None:
    """Checks that weights fit into memory, before they are made.

    Raises:
        CompileError: Saying how much they need.
    """
    need = 4 * n_weights
    if need > MOST_BYTES:
        raise CompileError(
            f"This program needs {need / 2**30:,.1f} GiB of weights ({what}); the limit is "
            f"{MOST_BYTES / 2**30:g} GiB. Each value of each node is a direction of the residual "
            "stream: use a shorter length, a smaller vocabulary, or nodes of fewer values."
        )


def memory(items: Sequence[Item]) -> None:
    """Checks that a lowered program fits into memory.

    Raises:
        CompileError: Saying how much it needs, and which nodes are the largest.
    """
    held = {item: 1 if item.numerical else len(item.values) for item in items}
    width = sum(held.values())
    neurons = {
        item: len(item.pairs) if item.pairs is not None else item.table.size
        for item in items
        if item.op == "sequence_map"
    }
    neurons |= {item: 2 * len(item.reads[0].values) for item in items if item.op == "map"}
    sizes = [
        max(len(table.reads[0].values), len(table.reads[1].values), held[item]) + 2
        for item in items
        if item.op in ("aggregate", "width")
        for table in item.reads[:1]
    ]
    count = width * (2.0 * sum(neurons.values()) + 4.0 * sum(sizes) + len(items[0].values))
    largest = sorted(held | neurons, key=lambda item: -max(held[item], neurons.get(item, 0)))[:2]
    named = " and ".join(
        f"{item.name!r} with {held[item]} values"
        + (f" and {neurons[item]} neurons" if item in neurons else "")
        for item in largest
    )
    fits(count, f"a residual stream {width} wide; the largest nodes are {named}")


def _vocabulary(vocabulary: Sequence[Any], reserved: Sequence[str]) -> None:
    """Refuses a vocabulary without BOS in front, with a reserved word, or with one word twice."""
    if isinstance(vocabulary, str | bytes) or not isinstance(vocabulary, Sequence):
        raise CompileError(
            f"A vocabulary is a sequence of tokens, 'BOS' first, got {vocabulary!r}: the order of "
            "the tokens is that of their ids."
        )
    if not len(vocabulary) or vocabulary[0] != "BOS":
        found = vocabulary[0] if len(vocabulary) else "nothing"
        raise CompileError(f"A vocabulary begins with 'BOS', got {found!r}.")
    if len(vocabulary) == 1:
        raise CompileError("The vocabulary holds 'BOS' alone; a task needs tokens.")
    strange = [word for word in vocabulary[1:] if word is None or not supported(word)]
    if strange:
        raise CompileError(
            f"The vocabulary holds {strange[0]!r}; tokens are strings, numbers, or tuples and "
            "frozensets of these. None is what RASP has where there is no value."
        )
    clash = [word for word in vocabulary[1:] if word in (*reserved, "BOS")]
    if clash:
        raise CompileError(
            f"The vocabulary holds {clash[0]!r}, which is reserved. Rename that token."
        )
    known: dict[Any, Any] = {}
    for word in vocabulary[1:]:
        other = known.setdefault(word, word)
        if other is not word and identity(other) != identity(word):
            raise CompileError(
                f"The vocabulary holds {text(other)} and {text(word)}, which are equal, so that a "
                "task cannot say which it has. Keep one of them."
            )
    repeated = [word for word, n in Counter(vocabulary).items() if n > 1]
    if repeated:
        raise CompileError(f"The vocabulary holds {repeated[0]!r} twice.")


def choices(output: Item, emitted: Sequence[Any]) -> None:
    """Checks that the output can choose every candidate.

    Args:
        output: The program's output.
        emitted: What the output is for each candidate; empty where nothing is chosen.

    Raises:
        CompileError: If it cannot take one of these values.
    """
    known = [value for value, there in zip(output.values, output.foreseen, strict=True) if there]
    if emitted and (output.numerical or any(value not in known for value in emitted)):
        what = "it is numerical" if output.numerical else f"its values are [{shown(output.values)}]"
        numbered = tuple(emitted) == tuple(range(1, len(emitted) + 1))
        values = f"1..{len(emitted)}" if numbered else ", ".join(map(repr, emitted))
        raise CompileError(
            f"The output must be able to take the values {values}, one a candidate; {what}. Emit "
            "the slot number, as planted.programs.rasp_library.emit does, or say what it puts out "
            "for each candidate (emits of the scenario)."
        )


def reads_tokens(order: Sequence[Any]) -> None:
    """Checks that a program that chooses looks at the task.

    Raises:
        CompileError: If it does not read the tokens.
    """
    from tracr.rasp import rasp

    if not any(isinstance(expression, rasp.TokensType) for expression in order):
        raise CompileError(
            f"The program of {order[-1].name!r} does not read rasp.tokens, so that it chooses the "
            "same in every task. Read rasp.tokens in some node."
        )


def kept(output: Any, marked: Sequence[Any]) -> None:
    """Checks that every marked node is part of what will be compiled.

    Args:
        output: The program's output.
        marked: Every expression that was marked while the program was built.

    Raises:
        CompileError: Naming one that nothing reads any more.
    """
    there = {dict(expression.annotations).get("name") for expression in order_of(output)}
    for node in marked:
        name, role = (dict(node.annotations)[key] for key in ("name", "role"))
        if name not in there:
            raise CompileError(
                f"Node {name!r} is marked as {role!r}, but the output does not depend on it. "
                "Tracr merges a Map of a Map and drops the inner one: pass simplify=False to the "
                "outer. Or let something read it, or do not mark it."
            )


def order_of(output: Any) -> list[Any]:
    """Every expression of the program, inputs before readers.

    Raises:
        CompileError: If the output is no expression.
    """
    require_expression(output)
    return expressions(output)


def require_expression(output: Any) -> None:
    """Checks that an output can be computed at every position.

    Raises:
        CompileError: If it is no such expression.
    """
    from tracr.rasp import rasp

    if not isinstance(output, rasp.SOp):
        raise CompileError(
            "A program's output is a RASP expression with a value at every position, as an "
            f"Aggregate; got {type(output).__name__}."
        )


def roles(program: Program, order: Sequence[Any]) -> None:
    """Checks, before anything is compiled, that the marked nodes are there.

    Raises:
        CompileError: If a searching program has no score or no winner node.
    """
    from tracr.rasp import rasp

    holding = [expression for expression in order if isinstance(expression, rasp.SOp)]
    found = {dict(expression.annotations).get("role", "") for expression in holding}
    if program.searches and not {"score", "winner"} <= found:
        raise CompileError(
            "A program that searches needs nodes of the roles 'score' and 'winner'; it has "
            f"{', '.join(sorted(found - {''})) or 'none'}. Mark them with planted.mark. A "
            "marked node vanishes where Tracr simplifies Map(Map(...)): pass simplify=False. For a "
            "twin, set searches=False."
        )
