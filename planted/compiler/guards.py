"""What stock Tracr would compile silently wrong, refused with the reason.

The numbers in the messages are those of twelve known ways; what no rule here foresees is caught by
`planted.compiler.certify`, which compares every node with the RASP interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from planted.compiler import steps
from planted.compiler.domains import Domains, expressions, ordered
from planted.core.roles import Program
from planted.errors import CompileError

MAX_KEY_SIZE = 100  # Tracr softens attention by 1/sqrt(key size); margins fall past this


def before(
    order: Sequence[Any], vocabulary: Sequence[Any], exactness: float, *reserved: str
) -> None:
    """Checks the expressions themselves, before anything is compiled.

    Args:
        order: Every expression, inputs before readers, the output last.
        vocabulary: Tokens, BOS first.
        exactness: Tracr's `mlp_exactness`.
        reserved: Words of Tracr's own.

    Raises:
        CompileError: For a clash of names, a constant program, or an unsupported expression.
    """
    from tracr.rasp import rasp

    _vocabulary(vocabulary, reserved)
    if not 0 < exactness < float("inf"):
        raise CompileError(f"The exactness is a positive number, as 100; got {exactness!r}.")
    names = Counter(expression.name for expression in order)
    output = order[-1]
    for expression in order:
        if isinstance(expression, rasp.TokensType | rasp.IndicesType):
            own = rasp.tokens if isinstance(expression, rasp.TokensType) else rasp.indices
            if expression is not own:
                raise CompileError(
                    f"{expression.name!r} is a copy of rasp.{own.name} and would be confused with "
                    f"it. Use rasp.{own.name} itself, or a Map of it."
                )
        if not isinstance(expression, rasp.Select | rasp.SOp):
            raise CompileError(
                f"{type(expression).__name__} {expression.name!r} cannot be compiled: only a plain "
                "Select can become attention. Put the condition into a SequenceMap."
            )
    unclear = [name for name, n in names.items() if n > 1]
    if unclear:
        raise CompileError(
            f"{names[unclear[0]]} nodes are called {unclear[0]!r}, and Tracr would take them for "
            "one node. Give every expression a name of its own, with planted.mark or a function "
            "of planted.programs.rasp_library."
        )
    if rasp.tokens.name not in names:
        raise CompileError(
            f"The program of {output.name!r} does not read rasp.tokens, so its network has no "
            "BOS for heads that select nothing to attend to. Read rasp.tokens in some node."
        )
    if isinstance(output, rasp.TokensType | rasp.IndicesType):
        raise CompileError(
            f"The program's output is its input, {output.name!r}; there is nothing to compile."
        )


def _vocabulary(vocabulary: Sequence[Any], reserved: Sequence[str]) -> None:
    """Refuses a vocabulary without BOS in front, with a reserved word, or with one word twice."""
    if not vocabulary or vocabulary[0] != "BOS":
        found = vocabulary[0] if vocabulary else "nothing"
        raise CompileError(f"A vocabulary begins with 'BOS', got {found!r}.")
    clash = set(vocabulary[1:]) & {*reserved, "BOS"}
    if clash:
        raise CompileError(
            f"The vocabulary holds {sorted(clash)[0]!r}, which is reserved. Rename that token."
        )
    repeated = [word for word, n in Counter(vocabulary).items() if n > 1]
    if repeated:
        raise CompileError(f"The vocabulary holds {repeated[0]!r} twice.")


def values(
    order: Sequence[Any], domains: Domains, length: int, exactness: float, steepness: float
) -> None:
    """Checks what the expressions' values come to in the weights.

    Args:
        order: Every expression, inputs before readers.
        domains: Their value sets.
        length: Longest input, without BOS.
        exactness: Tracr's `mlp_exactness`, which counts need.
        steepness: The exactness at which Maps of numbers are held to their program.

    Raises:
        CompileError: Naming the node and the reason.
    """
    from tracr.rasp import rasp

    softness = steps.softness_of(order, domains, length)
    for expression in order:
        name = expression.name
        if isinstance(expression, rasp.Map) and rasp.is_numerical(expression.inner):
            steps.check(expression, domains, softness, steepness)
        if isinstance(expression, rasp.SelectorWidth) and exactness < 2 * length * (length + 1):
            raise CompileError(
                f"Node {name!r} counts up to {length} with exactness {exactness:g}; counts are "
                f"told apart only from {2 * length * (length + 1)} on. Raise the exactness, or use "
                "planted.programs.rasp_library.any_bit, which tests for any instead of counting."
            )
        if isinstance(expression, rasp.Select):
            _refuse_at_bos(expression.keys, domains, f"as the keys of {name!r}")
            sides = (expression.keys, expression.queries)
            widest = max(len(domains.foreseen[id(side)]) for side in sides)
            if widest + 2 > MAX_KEY_SIZE:
                raise CompileError(
                    f"Selector {name!r} compares {widest} values; past {MAX_KEY_SIZE - 2} Tracr's "
                    "attention is too soft (1/sqrt(key size)). Use fewer values."
                )
        if isinstance(expression, rasp.Aggregate):
            _refuse_at_bos(expression.sop, domains, f"as the value of {name!r}")


def choices(output: Any, domains: Domains, emitted: Sequence[Any]) -> None:
    """Checks that the output can choose every candidate.

    Args:
        output: The program's output.
        domains: Value sets.
        emitted: What the output is for each candidate; empty where nothing is chosen.

    Raises:
        CompileError: If it cannot take one of these values.
    """
    from tracr.rasp import rasp

    known = domains.foreseen[id(output)]
    missing = [value for value in emitted if value not in known]
    if missing or (emitted and rasp.is_numerical(output)):
        what = "it is numerical" if rasp.is_numerical(output) else "its values are"
        shown = "" if rasp.is_numerical(output) else f" {list(ordered(known))!r}"
        numbered = tuple(emitted) == tuple(range(1, len(emitted) + 1))
        values = f"1..{len(emitted)}" if numbered else ", ".join(map(repr, emitted))
        raise CompileError(
            f"The output must be able to take the values {values}, one a candidate; "
            f"{what}{shown}. Emit the slot number, as planted.programs.rasp_library.emit does, or "
            "say what it puts out for each candidate (emits of the scenario)."
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


def layers(graph: Any, craft: Any) -> None:
    """Checks what meets in one layer.

    Raises:
        CompileError: If two SelectorWidths share an MLP layer, or a neuron has two owners.
    """
    from tracr.rasp import rasp

    for block in craft.blocks:
        hidden = {str(d) for d in getattr(block, "fst", _Empty).output_space.basis}
        owners = [
            data["EXPR"].name
            for data in graph.nodes.values()
            if isinstance(data["EXPR"], rasp.SelectorWidth)
            and f"_hidden_{data['EXPR'].label}_start" in hidden
        ]
        if len(owners) > 1:
            raise CompileError(
                f"SelectorWidths {', '.join(map(repr, owners))} share one layer, where Tracr "
                "subtracts their common BOS neuron once for each. Use "
                "planted.programs.rasp_library.any_bit."
            )


class _Empty:
    class output_space:  # noqa: N801
        basis: tuple[str, ...] = ()


def _refuse_at_bos(node: Any, domains: Domains, use: str) -> None:
    """A Map of a number writes its value at 0 at BOS too, where there is none; so do readers."""
    origin = _written_at_bos(node, domains, {})
    if origin is not None:
        because = "it is" if origin is node else f"{origin.name!r} is"
        raise CompileError(
            f"Node {node.name!r} is used {use} and has a value at BOS too, because {because} a "
            "Map of a number. Pass it through a SequenceMap with the indices first."
        )


def _written_at_bos(node: Any, domains: Domains, known: dict[int, Any]) -> Any:
    """The node because of which this one has a value at BOS; None if it has none there."""
    from tracr.rasp import rasp

    if id(node) in known:
        return known[id(node)]

    def of(child: Any) -> Any:
        return _written_at_bos(child, domains, known)

    found = None
    if isinstance(node, rasp.Map):
        found = of(node.inner)
        if found is None and rasp.is_numerical(node.inner):
            nearest = min(domains.foreseen[id(node.inner)], key=lambda v: abs(float(v)))
            if rasp.is_categorical(node) or node.f(nearest) != 0:
                found = node
    elif isinstance(node, rasp.SequenceMap):
        live = [side for side in map(of, (node.fst, node.snd)) if side is not None]
        if live and (rasp.is_numerical(node) or len(live) == 2):  # a category needs both sides
            found = live[0]
    elif isinstance(node, rasp.Aggregate | rasp.SelectorWidth):
        found = of(node.selector.queries)
    known[id(node)] = found
    return found
