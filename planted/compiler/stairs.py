"""How an MLP reads a number: a staircase, which rises between the numbers that it must tell apart.

A step rises over 1/exactness above the middle of two numbers, by two ReLUs, in float32. Tracr puts a
step between any two numbers that it foresees, at one exactness for the whole program. Where that is
right for every number that can occur it is kept, so that a program's weights are Tracr's. Where it is
not, the steps stand between numbers that can occur and have different values, and are as steep as
their distance asks for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler.items import Item
from planted.compiler.values import text
from planted.core.semantics import DEAD
from planted.errors import CompileError

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.01  # of a node's code, half of what a certificate allows
STEEPER = (1e3, 1e4, 1e5, 1e6)  # tried above what is asked for, in this order
FLATTER = (10.0, 1.0, 0.1, 0.01)  # where float32 rounds the sums: numbers far apart need no more
EPSILON = 2.0**-24  # of float32, relative


@dataclass(frozen=True)
class Stairs:
    """A staircase.

    Attributes:
        numbers: What is told apart, rising; a step between any two neighbours.
        codes: What each becomes: a code, NOTHING or DEAD.
        exactness: 1 / the width of a step's rise.
        margin: The least, over the numbers that can occur, of how much the right value stands
            above the next one: 1 at best; of numbers, 1 less the largest error.
    """

    numbers: tuple[float, ...]
    codes: tuple[int, ...]
    exactness: float
    margin: float


def reads_number(item: Item) -> bool:
    """Whether an item has stairs."""
    return item.op == "width" or (item.op == "map" and item.reads[0].numerical)


def stairs_of(item: Item, cold: float, asked: float, held: float, chosen: bool) -> Stairs:
    """The stairs of an item.

    Args:
        item: A width, or a map of a number.
        cold: How far apart attention's scores are, after its scale; from `coldness`.
        asked: The exactness that the stairs are built with.
        held: The exactness at which Tracr's stairs are held to the program.
        chosen: Whether another exactness may be chosen where the program needs it.

    Raises:
        CompileError: Naming the item, the numbers, and the bound.
    """
    held = asked if item.op == "width" else held  # counts that run together are no soft answers
    problem = _Reading(item, cold)
    stock = Stairs(*problem.tracrs(), asked, 0.0)
    margin = problem.margin(stock.numbers, stock.codes, held, noise=False)
    if margin >= 1 - 2 * TOLERANCE:
        return Stairs(stock.numbers, stock.codes, asked, margin)
    numbers, codes = problem.needed()
    tried = (asked, *(e for e in STEEPER if e > asked), *FLATTER) if chosen else (asked,)
    least = -math.inf
    for exactness in tried:
        margin = problem.margin(numbers, codes, max(exactness, held) if not chosen else exactness)
        if margin >= 1 - 2 * TOLERANCE:
            return Stairs(numbers, codes, exactness, margin)
        least = max(least, margin)
    return problem.refuse(numbers, codes, asked, chosen)


def coldness(key_size: int) -> float:
    """How far the scores of what is and is not attended to are apart in Tracr's softmax."""
    return 100 / math.sqrt(key_size)


class _Reading:
    """A number that is read: which ones occur, how far off they can be, what becomes of each."""

    def __init__(self, item: Item, cold: float) -> None:
        self.item, self.cold = item, cold
        self.inner = item.reads[0]
        if item.op == "width":
            length = len(item.values) - 1
            counts = range(length, -1, -1)
            self.numbers = np.array([1 / (count + 1) for count in counts])
            self.codes = np.array(list(counts), dtype=np.int64)
            self.possible = item.possible[::-1]
            self.foreseen = np.ones(length + 1, dtype=np.bool_)
            self.slack = self.numbers * length * math.exp(-cold)
        else:
            order = np.argsort(self.inner.numbers)
            self.numbers = self.inner.numbers[order]
            self.codes = item.table[order]
            self.possible = self.inner.possible[order] & (self.codes != DEAD)
            self.foreseen = self.inner.foreseen[order] & (self.codes != DEAD)
            self.slack = np.full(len(order), _slack(self.inner, cold))
        self.values = item.numbers if item.numerical else np.zeros(0)

    def tracrs(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """The numbers that Tracr foresees, and what becomes of them."""
        return tuple(self.numbers[self.foreseen]), tuple(self.codes[self.foreseen].tolist())

    def needed(self) -> tuple[tuple[float, ...], tuple[int, ...]]:
        """The numbers that can occur at either side of a change, and what becomes of them."""
        numbers, codes = self.numbers[self.possible], self.codes[self.possible]
        if not len(numbers):
            return self.tracrs()
        change = codes[1:] != codes[:-1]
        kept = np.append(True, change) | np.append(change, True)
        return tuple(numbers[kept]), tuple(codes[kept].tolist())

    def margin(
        self, known: Sequence[float], codes: Sequence[int], exactness: float, noise: bool = True
    ) -> float:
        """The margin of stairs, over the numbers that can occur and how far off these can be."""
        if not self.possible.any():
            return 1.0
        least = math.inf
        numbers = self.numbers[self.possible]
        slack = self.slack[self.possible] + (8 * EPSILON * np.abs(numbers) if noise else 0)
        wanted = self.codes[self.possible]
        for off in (0.0, -1.0, 1.0):
            exact = (numbers + off * slack).astype(np.float32)
            share, sums = mixture(exact, known, exactness)
            least = min(least, self._right(share, codes, wanted))
            if noise:
                jumps = self._jumps(codes)
                least = min(least, 1 - float((EPSILON * sums @ jumps).max(initial=0)) * 2)
        return least

    def _right(self, share: Floats, codes: Sequence[int], wanted: Any) -> float:
        """How far the right value is ahead, at worst; `share` is [number, step]."""
        at = np.array(codes)
        if self.item.numerical:
            value = np.where(at >= 0, self.values[np.maximum(at, 0)], 0.0)
            right = np.where(wanted >= 0, self.values[np.maximum(wanted, 0)], 0.0)
            return float(1 - 2 * np.abs(share @ value - right).max())
        agree = at[None, :] == wanted[:, None]
        right_share = (share * agree).sum(axis=1)
        return float((1 - 2 * np.abs(right_share - 1)).min())

    def _jumps(self, codes: Sequence[int]) -> Floats:
        if not self.item.numerical:
            return np.ones(max(len(codes) - 1, 0))
        at = np.array(codes)
        value = np.where(at >= 0, self.values[np.maximum(at, 0)], 0.0)
        return np.abs(np.diff(value))

    def refuse(
        self, known: Sequence[float], codes: Sequence[int], asked: float, chosen: bool
    ) -> Stairs:
        """Refuses, with the two closest numbers.

        Raises:
            CompileError: Always.
        """
        name, read = self.item.name, self.inner.name
        gaps = np.diff(np.array(known)) if len(known) > 1 else np.array([math.inf])
        gaps = np.where(np.diff(np.array(codes)) != 0, gaps, math.inf) if len(known) > 1 else gaps
        i = int(gaps.argmin())
        if self.item.op == "width":
            need = 2 * (len(self.item.values) - 1) * len(self.item.values)
            raise CompileError(
                f"Node {name!r} counts up to {len(self.item.values) - 1}. At exactness {asked:g} "
                f"counts are told apart up to {int((math.sqrt(1 + 2 * asked) - 1) / 2)}; these "
                f"need {need}. Leave the exactness out, so that the program's is chosen, or use "
                "planted.programs.rasp_library.any_bit, which tests for any instead of counting."
            )
        shown = [text(float(number)) for number in known[i : i + 2]]
        if not chosen:
            raise CompileError(
                f"Node {name!r} must tell {read!r} = {shown[0]} from {shown[-1]}. They are "
                f"{gaps[i]:.2g} apart, and at exactness {asked:g} a Map of a number tells apart "
                f"what is at least {2 / asked:g} apart. Leave the exactness out, so that the "
                "program's is chosen, or scale the values up."
            )
        largest = float(np.abs(self.numbers).max())
        raise CompileError(
            f"Node {name!r} must tell {read!r} = {shown[0]} from {shown[-1]}, which are "
            f"{gaps[i]:.2g} apart, where float32 holds numbers up to {largest:.3g} to about "
            f"{largest * 2**-20:.1g} after the sums of an MLP and attention: no exactness tells "
            "them apart. Make the node categorical, or its numbers fewer and smaller."
        )


def mixture(exact: Any, known: Sequence[float], exactness: float) -> tuple[Floats, Floats]:
    """On which steps numbers stand, as shares [number, step], in float32 as in the network.

    Returns:
        The shares, and [number, rise] the size of the sums whose difference a rise is.
    """
    middles = (np.array(known[:-1]) + np.array(known[1:])) / 2
    slope = np.float32(exactness)
    high = slope * exact[:, None] + (1 - exactness * middles).astype(np.float32)
    low = slope * exact[:, None] - (exactness * middles).astype(np.float32)
    high, low = np.maximum(high, 0), np.maximum(low, 0)
    risen = (high - low).astype(np.float64)
    ends = np.ones((len(exact), 1)), np.zeros((len(exact), 1))
    up = np.concatenate([ends[0], risen, ends[1]], axis=1)
    return up[:, :-1] - up[:, 1:], (high + low).astype(np.float64)


def _slack(node: Item, cold: float) -> float:
    """The most that a number can be off, since attention is a softmax."""
    if node.op == "aggregate":
        largest = max(1.0, float(np.abs(node.reads[1].numbers).max()))
        return node.over * math.exp(-cold / 2) * largest
    if node.op == "linear":
        first, second = (_slack(read, cold) for read in node.reads)
        return float(abs(node.factors[0]) * first + abs(node.factors[1]) * second)
    return 0.0  # a map's steps are flat, and so are tables
