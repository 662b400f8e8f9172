"""What stock Tracr would compile silently wrong, refused with the reason.

The numbers in the messages are those of twelve known ways; what no rule here foresees is caught by
`planted.certify`, which compares every node with the RASP interpreter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from planted.errors import CompileError
from planted.roles import Program
from planted.truth import Node

MAX_KEY_SIZE = 100  # Tracr softens attention by 1/sqrt(key size); margins fall past this


def before(program: Program, vocabulary: Sequence[str], *reserved: str) -> None:
    """Checks the expressions themselves, before anything is compiled.

    Raises:
        CompileError: For a clash of names, a constant program, or an unsupported expression.
    """
    from tracr.rasp import rasp

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
    names: Counter[str] = Counter()
    seen: set[int] = set()
    queue = [program.output]
    while queue:
        expression = queue.pop()
        if id(expression) in seen:
            continue
        seen.add(id(expression))
        queue.extend(expression.children)
        if isinstance(expression, rasp.Select | rasp.SOp):
            names[expression.name] += 1
        else:
            raise CompileError(
                f"{type(expression).__name__} {expression.name!r} cannot be compiled: only a plain "
                "Select can become attention. Put the condition into a SequenceMap."
            )
    unclear = [name for name, n in names.items() if n > 1]
    if unclear:
        raise CompileError(
            f"{names[unclear[0]]} nodes are called {unclear[0]!r}: one would stand for the other. "
            "Give every expression a name of its own with planted.roles.mark or a piece of "
            "planted.programs.pieces."
        )
    if rasp.tokens.name not in names:
        raise CompileError("The program never reads its tokens.")
    if isinstance(program.output, rasp.TokensType | rasp.IndicesType):
        raise CompileError("The program's output is its input; there is nothing to compile.")


def values(graph: Any, length: int, exactness: float) -> None:
    """Checks the value sets that Tracr inferred.

    Raises:
        CompileError: Naming the node and the reason.
    """
    from tracr.rasp import rasp

    for data in graph.nodes.values():
        expression, found = data["EXPR"], data.get("VALUE_SET", set())
        name = expression.name
        kinds = {_kind(value) for value in found}
        if "None" in kinds or (isinstance(expression, rasp.Map | rasp.SequenceMap) and not found):
            raise CompileError(
                f"Node {name!r} can be None, which compiles to an all-zero vector and decodes as "
                "its first value. Use a value of its own for 'nothing', as -1."
            )
        if isinstance(expression, rasp.Map | rasp.SequenceMap) and _gives_none(expression, graph):
            raise CompileError(
                f"Node {name!r} is None or raises for some input, which compiles to an all-zero "
                "vector. Give it a value there, as -1."
            )
        if len(kinds) > 1 and not kinds <= {"int", "float"}:
            raise CompileError(
                f"Node {name!r} mixes {' and '.join(sorted(kinds))} values "
                f"{sorted(map(str, found))}: Tracr sorts them inconsistently. Use one type a node."
            )
        if (
            isinstance(expression, rasp.Map)
            and rasp.is_numerical(expression)
            and rasp.is_categorical(expression.inner)
            and min(found) < 0
        ):
            raise CompileError(
                f"Node {name!r} maps a categorical input to the number {min(found)!r}, and a "
                "ReLU clips negative numbers to 0. Shift its values to be at least 0."
            )
        if isinstance(expression, rasp.Aggregate) and rasp.is_numerical(expression):
            carried = graph.nodes[expression.sop.label]["VALUE_SET"]
            if not set(carried) <= {0, 1}:
                raise CompileError(
                    f"Node {name!r} averages the values {sorted(carried)!r}; only 0 and 1 average "
                    "to a value that Tracr enumerates."
                )
        if isinstance(expression, rasp.Map) and rasp.is_numerical(expression.inner):
            _refuse_unforeseen(expression, graph, length)
        if isinstance(expression, rasp.SelectorWidth) and exactness < 2 * length * (length + 1):
            raise CompileError(
                f"Node {name!r} counts up to {length} with exactness {exactness:g}; counts are "
                f"told apart only from {2 * length * (length + 1)} on. Raise the exactness, or ask "
                "whether there is any with planted.programs.pieces.any_bit."
            )
        if isinstance(expression, rasp.Select):
            for side, what in ((expression.keys, "keys"), (expression.queries, "queries")):
                if rasp.is_numerical(side):
                    raise CompileError(
                        f"Selector {name!r} has numerical {what} {side.name!r}; Tracr compares "
                        "categorical nodes only."
                    )
            _refuse_at_bos(expression.keys, f"as the keys of {name!r}")
            sides = (expression.keys, expression.queries)
            widest = max(len(graph.nodes[side.label]["VALUE_SET"]) for side in sides)
            if widest + 2 > MAX_KEY_SIZE:
                raise CompileError(
                    f"Selector {name!r} compares {widest} values; past {MAX_KEY_SIZE - 2} Tracr's "
                    "attention is too soft (1/sqrt(key size)). Use fewer values."
                )
        if isinstance(expression, rasp.Aggregate):
            _refuse_at_bos(expression.sop, f"as the value of {name!r}")


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
                "subtracts their common BOS neuron once for each. Use pieces.any_bit."
            )


def after(program: Program, nodes: Mapping[str, Node]) -> None:
    """Checks that what was marked is there.

    Raises:
        CompileError: If a searching program has no score node, or nothing emits.
    """
    roles = {node.role for node in nodes.values()}
    if program.searches and not {"score", "winner"} <= roles:
        raise CompileError(
            "A program that searches needs nodes of the roles 'score' and 'winner'; it has "
            f"{', '.join(sorted(roles - {''})) or 'none'}. A marked node vanishes where Tracr "
            "simplifies Map(Map(...)): pass simplify=False. For a twin, set searches=False."
        )


class _Empty:
    class output_space:  # noqa: N801
        basis: tuple[str, ...] = ()


def _kind(value: Any) -> str:
    return "None" if value is None else type(value).__name__


def _gives_none(expression: Any, graph: Any) -> bool:
    from tracr.rasp import rasp

    def domain(node: Any) -> list[Any]:
        return list(graph.nodes[node.label]["VALUE_SET"])

    points: list[tuple[Any, ...]]
    if isinstance(expression, rasp.Map):
        points = [(x,) for x in domain(expression.inner)]
    else:
        points = [(x, y) for x in domain(expression.fst) for y in domain(expression.snd)]
    for point in points:
        try:
            if expression.f(*point) is None:
                return True
        except Exception:
            return True
    return False


def shares(length: int) -> set[float]:
    """Every average of zeros and ones over 1 to `length` positions."""
    return {k / n for n in range(1, length + 1) for k in range(n + 1)}


def _refuse_unforeseen(expression: Any, graph: Any, length: int) -> None:
    """A Map of an average: Tracr foresees the averages 1/n, and rounds the others to the next."""
    from tracr.rasp import rasp

    inner = expression.inner
    if not isinstance(inner, rasp.Aggregate) or 0 not in graph.nodes[inner.sop.label]["VALUE_SET"]:
        return
    known = sorted(graph.nodes[inner.label]["VALUE_SET"])
    for share in sorted(shares(length)):
        least = min(abs(value - share) for value in known)
        for value in known:
            if abs(value - share) <= least + 1e-9 and expression.f(value) != expression.f(share):
                raise CompileError(
                    f"Node {expression.name!r} reads {inner.name!r}, an average of zeros and ones. "
                    f"Tracr foresees 0 and 1/n alone and would take {share:.4g} for {value:.4g}, "
                    "where the program says something else. Ask whether there is any with "
                    "planted.programs.pieces.any_bit."
                )


def _refuse_at_bos(node: Any, use: str) -> None:
    """A Map of a number writes its value at 0 at BOS too, where there is none; so do readers."""
    origin = _written_at_bos(node, {})
    if origin is not None:
        because = "it turns" if origin is node else f"{origin.name!r} turns"
        raise CompileError(
            f"Node {node.name!r} is used {use} and has a value at BOS too, because {because} a "
            "number into something else. Pass it through a SequenceMap with the indices first."
        )


def _written_at_bos(node: Any, known: dict[int, Any]) -> Any:
    """The node because of which this one has a value at BOS; None if it has none there."""
    from tracr.rasp import rasp

    if id(node) in known:
        return known[id(node)]
    found = None
    if isinstance(node, rasp.Map):
        if not rasp.is_numerical(node.inner):
            found = _written_at_bos(node.inner, known)
        elif rasp.is_categorical(node) or node.f(0) != 0:
            found = node
    elif isinstance(node, rasp.SequenceMap):
        sides = [_written_at_bos(side, known) for side in (node.fst, node.snd)]
        live = [side for side in sides if side is not None]
        if live and (rasp.is_numerical(node) or len(live) == 2):  # a category needs both sides
            found = live[0]
    elif isinstance(node, rasp.Aggregate):
        found = _written_at_bos(node.selector.queries, known)
    known[id(node)] = found
    return found
