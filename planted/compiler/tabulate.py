"""The RASP program as tables over its finite value sets, for `planted.core.semantics` to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from planted.compiler.domains import Domains, ordered
from planted.core.semantics import NOTHING, Operation, Value
from planted.errors import CompileError


def tabulate(
    order: Sequence[Any], domains: Domains, vocabulary: Sequence[Value]
) -> tuple[Operation, ...]:
    """One operation an expression, inputs before readers.

    Args:
        order: From `planted.compiler.domains.expressions`.
        domains: Their value sets.
        vocabulary: Tokens, BOS first: their order is that of the codes.

    Raises:
        CompileError: If an expression cannot be tabulated.
    """
    from tracr.rasp import rasp

    def values(expression: Any) -> tuple[Value, ...]:
        if isinstance(expression, rasp.TokensType):
            return tuple(vocabulary[1:])
        if isinstance(expression, rasp.Aggregate) and not rasp.is_numerical(expression):
            return values(expression.sop)  # it passes codes on, so the order must be the same
        return ordered(domains.all(expression))

    return tuple(_operation(expression, values) for expression in order)


def _operation(expression: Any, values: Callable[[Any], tuple[Value, ...]]) -> Operation:
    """One expression as tables over `values`, which gives an expression's value set in order.

    Long because it is one dispatch over the kinds of expression.
    """
    from tracr.rasp import rasp

    name = expression.name
    if isinstance(expression, rasp.TokensType):
        return Operation(name=name, op="tokens", values=values(expression))
    if isinstance(expression, rasp.IndicesType):
        return Operation(name=name, op="indices", values=values(expression))
    if isinstance(expression, rasp.Select):
        k, q = values(expression.keys), values(expression.queries)
        return Operation(
            name=name,
            op="select",
            inputs=(expression.keys.name, expression.queries.name),
            table=tuple(int(bool(expression.predicate(a, b))) for a in k for b in q),
            shape=(len(k), len(q)),
        )
    known, numerical = values(expression), rasp.is_numerical(expression)
    code = {value: i for i, value in enumerate(known)}
    if isinstance(expression, rasp.Map):
        source = values(expression.inner)
        return Operation(
            name=name,
            op="map",
            inputs=(expression.inner.name,),
            values=known,
            table=tuple(code[expression.f(x)] for x in source),
            shape=(len(source),),
            numerical=numerical,
        )
    if isinstance(expression, rasp.SequenceMap):
        first, second = values(expression.fst), values(expression.snd)
        return Operation(
            name=name,
            op="sequence_map",
            inputs=(expression.fst.name, expression.snd.name),
            values=known,
            # what Tracr foresees beside what is possible may pair to neither, and never occurs
            table=tuple(code.get(expression.f(a, b), NOTHING) for a in first for b in second),
            shape=(len(first), len(second)),
            numerical=numerical,
        )
    if isinstance(expression, rasp.SelectorWidth):
        return Operation(
            name=name,
            op="width",
            inputs=(expression.selector.name,),
            values=known,
            numerical=numerical,
        )
    if isinstance(expression, rasp.Aggregate):
        return Operation(
            name=name,
            op="aggregate",
            inputs=(expression.selector.name, expression.sop.name),
            values=known,
            numerical=numerical,
            default=float(expression.default or 0) if numerical else None,
        )
    raise CompileError(f"Node {name!r}: {type(expression).__name__} cannot be tabulated.")
