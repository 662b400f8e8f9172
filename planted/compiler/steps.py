"""What Tracr's MLPs make of a number: steps between the values that Tracr foresees.

A Map of a number is compiled as a staircase. Between two foreseen values it rises half way, over
1/exactness below that point, in float32. What stands on a slope, or on another step than its own,
comes out wrong without a word; here it is computed beforehand, for every value that can occur.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from planted.compiler.domains import Domains, call
from planted.errors import CompileError

TOLERANCE = 0.01  # of a node's code, half of what a certificate allows


def check(expression: Any, domains: Domains, softness: float, exactness: float) -> None:
    """Refuses a Map of a number that takes one value for another.

    Args:
        expression: A Map whose input is numerical.
        domains: The program's value sets.
        softness: How far attention may be off; from `softness_of`.
        exactness: How steep the stairs are: Tracr's `mlp_exactness`.

    Raises:
        CompileError: Naming the node, the number, and what the weights would make of it.
    """
    from tracr.rasp import rasp

    inner = expression.inner
    known = sorted(float(v) for v in domains.foreseen[id(inner)])
    said = [call(expression, expression.f, v) for v in sorted(domains.foreseen[id(inner)])]
    slack = _slack(inner, softness)
    for number in sorted(float(v) for v in domains.possible[id(inner)]):
        want = call(expression, expression.f, number)
        for exact in (number, number - slack, number + slack):
            parts = _mixture(np.float32(exact), known, exactness)
            if rasp.is_numerical(expression):
                got = sum(share * float(said[i]) for i, share in parts.items())
                wrong = abs(got - float(want)) > TOLERANCE
            else:
                right = sum(share for i, share in parts.items() if said[i] == want)
                wrong = abs(right - 1) > TOLERANCE
            if wrong:
                _refuse(expression, number, known, parts, said, want, exactness)


def softness_of(order: Sequence[Any], domains: Domains, length: int) -> float:
    """The most that an average of zeros and ones can be off, since attention is a softmax."""
    from tracr.rasp import rasp

    widest = max(
        (
            len(domains.foreseen[id(side)])
            for expression in order
            if isinstance(expression, rasp.Select)
            for side in (expression.keys, expression.queries)
        ),
        default=0,
    )
    return length * math.exp(-50 / math.sqrt(widest + 2))


def _slack(node: Any, softness: float) -> float:
    from tracr.rasp import rasp

    if isinstance(node, rasp.Aggregate):
        return softness
    if isinstance(node, rasp.LinearSequenceMap):
        first, second = _slack(node.fst, softness), _slack(node.snd, softness)
        return float(abs(node.fst_fac) * first + abs(node.snd_fac) * second)
    return 0.0  # a Map's steps are flat, and so are tables


def _mixture(number: np.float32, known: list[float], exactness: float) -> dict[int, float]:
    """Which of the foreseen values' steps the number stands on, and how much on each."""
    middles = (np.array(known[:-1]) + np.array(known[1:])) / 2
    slope = np.float32(exactness)
    high = slope * number + (1 - exactness * middles).astype(np.float32)
    low = slope * number - (exactness * middles).astype(np.float32)
    risen = np.maximum(high, 0) - np.maximum(low, 0)  # float32, as in the network
    up = np.concatenate([[1.0], risen.astype(np.float64), [0.0]])
    share = up[:-1] - up[1:]
    return {int(i): float(share[i]) for i in np.flatnonzero(np.abs(share) > 1e-9)}


def _refuse(
    expression: Any,
    number: float,
    known: list[float],
    parts: dict[int, float],
    said: list[Any],
    want: Any,
    exactness: float,
) -> None:
    from tracr.rasp import rasp

    name, inner = expression.name, expression.inner
    if isinstance(inner, rasp.Aggregate | rasp.LinearSequenceMap) and number not in known:
        near = known[max(parts, key=lambda i: parts[i])]
        raise CompileError(
            f"Node {name!r} reads {inner.name!r}, an average of zeros and ones. Tracr enumerates "
            f"only 0 and 1/n, and would treat {number:.4g} as {near:.4g}, for which the program "
            "has another value. To test for any one, use planted.programs.rasp_library.any_bit."
        )
    there = known.index(number) if number in known else max(parts, key=lambda i: parts[i])
    gaps = {
        abs(known[there] - known[i]): known[i]
        for i in (there - 1, there + 1)
        if 0 <= i < len(known) and said[i] != want
    }
    if gaps and min(gaps) < 2 / exactness:
        raise CompileError(
            f"Node {name!r} must tell {inner.name!r} = {number!r} from {gaps[min(gaps)]!r}. They "
            f"are {min(gaps):.2g} apart, and at exactness {exactness:g} a Map of a number tells "
            f"apart what is at least {2 / exactness:g} apart. Scale the values up, or raise the "
            "exactness."
        )
    raise CompileError(
        f"Node {name!r} cannot tell {inner.name!r} = {number!r} from the values beside it: at "
        f"exactness {exactness:g} float32 rounds the sums of its MLP, or attention is too soft. "
        "Use numbers of a few hundred at most, and selectors of fewer values."
    )
