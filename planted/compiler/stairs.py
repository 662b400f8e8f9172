"""How an MLP reads a number: a staircase that rises between the numbers it must tell apart.

A step rises over 1/exactness above the middle of two numbers, by two ReLUs, in float32. Tracr has a
step between any two numbers that it foresees, at one exactness for the whole program. Where that is
right for every number that can occur it is kept, and a program has Tracr's own weights. Where it is
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

from planted.compiler.items import Item, UnreadableNumberError
from planted.compiler.values import text
from planted.core.semantics import DEAD
from planted.errors import CompileError

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.01  # of a node's code, half of what a certificate allows
SPARE = (1.05, 2.0, 4.0, 16.0)  # times what the closest two numbers need: tried in this order
EPSILON = 2.0**-24  # of float32, relative


@dataclass(frozen=True)
class Stairs:
    """A staircase.

    Attributes:
        numbers: What is told apart, rising; a step between any two neighbours.
        codes: What each becomes: a code, NOTHING or DEAD.
        exactness: 1 / the width of a step's rise.
        margin: The least, over the numbers that can occur, of how much the right value stands
            above the next one: 1 at best; of numbers, 1 less twice the largest error.
        bos_score: Of a count, BOS's attention score, of which that of a selected position is 1.
    """

    numbers: tuple[float, ...]
    codes: tuple[int, ...]
    exactness: float
    margin: float
    bos_score: float = 1.0

    @property
    def of_zero(self) -> int:
        """What becomes of the number 0, which BOS holds."""
        known = np.array(self.numbers)
        return self.codes[int(np.searchsorted((known[:-1] + known[1:]) / 2, 0.0, side="left"))]


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
    stock = problem.tracrs()
    margin = problem.margin(*stock, held, noise=False)
    if margin >= 1 - 2 * TOLERANCE:
        return Stairs(*stock, asked, margin)
    if item.op == "width":
        problem = _Reading(item, cold, weight=len(item.values) - 1)
    numbers, codes = problem.needed()
    tried = problem.steep_enough(numbers, codes, asked)
    for exactness in tried if chosen else [asked, *(e for e in tried if held <= e < asked)]:
        margin = problem.margin(numbers, codes, exactness if chosen else max(exactness, held))
        if margin >= 1 - 2 * TOLERANCE:
            return Stairs(numbers, codes, exactness, margin, problem.bos_score)
    return problem.refuse(numbers, codes, asked, chosen)


def coldness(key_size: int) -> float:
    """How far the scores of what is and is not attended to are apart in Tracr's softmax."""
    return 100 / math.sqrt(key_size)


class _Reading:
    """A number that is read: which ones occur, how far off they can be, what becomes of each."""

    def __init__(self, item: Item, cold: float, weight: int = 1) -> None:
        """Finds them.

        Args:
            item: A width, or a map of a number.
            cold: From `coldness`.
            weight: Of a count d, how many positions BOS stands for: weight / (weight + d) is read.
                Tracr's 1 puts large counts 1/d**2 apart, the length about 1/(4 length).
        """
        self.item, self.inner = item, item.reads[0]
        self.bos_score = 1 + math.log(weight) / cold
        if item.op == "width":
            counts = np.arange(len(item.values))[::-1]
            self.numbers = weight / (weight + counts)
            self.codes = counts.astype(np.int64)
            self.possible = item.possible[::-1] | (counts == 0)  # which it is at BOS
            self.foreseen = np.ones(len(counts), dtype=np.bool_)
            rounded = 100 * EPSILON * (weight > 1)  # of the score, which is not 100 any more
            self.slack = self.numbers * (len(counts) * math.exp(-cold) + 2 * rounded)
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

    def steep_enough(
        self, numbers: Sequence[float], codes: Sequence[int], asked: float
    ) -> list[float]:
        """Exactnesses at which a step rises within half the distance of the closest two numbers."""
        gaps = np.diff(np.array(numbers))[np.diff(np.array(codes)) != 0]
        room = float(gaps.min(initial=math.inf)) / 2 - float(self.slack.max(initial=0))
        if room <= 0:
            return [asked]
        fine = [_two_digits(spare / room) for spare in SPARE]
        return [asked, *fine] if asked >= fine[0] else fine

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
                least = min(least, 1 - 2 * float((EPSILON * sums @ self._jumps(codes)).max()))
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
        """How much of each rise a direction takes, [rise, direction]."""
        at = np.array(codes)
        rows = (at[:, None] == np.unique(at)[None, :]).astype(np.float64)
        if self.item.numerical:
            rows = np.where(at >= 0, self.values[np.maximum(at, 0)], 0.0)[:, None]
        return np.abs(np.diff(rows, axis=0)) if len(at) > 1 else np.zeros((0, 1))

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
            raise CompileError(
                f"Node {name!r} counts up to {len(self.item.values) - 1}. At exactness {asked:g} "
                f"counts must be at least {2 / asked:.2g} apart as the share of attention that BOS "
                f"keeps; these are {gaps[i]:.2g} apart. Leave the exactness out, so that the "
                "program's is chosen, or use planted.programs.rasp_library.any_bit, which tests "
                "for any instead of counting."
            )
        shown = [text(float(number)) for number in known[i : i + 2]]
        if not chosen and gaps[i] < 2 / asked:
            raise CompileError(
                f"Node {name!r} must tell {read!r} = {shown[0]} from {shown[-1]}. They are "
                f"{gaps[i]:.2g} apart, and at exactness {asked:g} a Map of a number tells apart "
                f"what is at least {2 / asked:g} apart. Leave the exactness out, so that the "
                "program's is chosen, or scale the values up."
            )
        largest = float(np.abs(self.numbers).max())
        raise UnreadableNumberError(
            f"Node {name!r} must tell {read!r} = {shown[0]} from {shown[-1]}, which are "
            f"{gaps[i]:.2g} apart, where float32 holds numbers up to {largest:.3g} to about "
            f"{largest * 2**-20:.1g} after the sums of an MLP and attention: no exactness tells "
            "them apart. Make the node categorical, or its numbers fewer and smaller.",
            self.inner,
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


def _two_digits(number: float) -> float:
    """The number rounded up to two digits."""
    unit = 10.0 ** (math.floor(math.log10(number)) - 1)
    return float(f"{math.ceil(number / unit) * unit:.3g}")


def _slack(node: Item, cold: float) -> float:
    """The most that a number can be off, since attention is a softmax."""
    if node.op == "aggregate":
        largest = max(1.0, float(np.abs(node.reads[1].numbers).max()))
        return node.over * math.exp(-cold / 2) * largest
    if node.op == "linear":
        first, second = (_slack(read, cold) for read in node.reads)
        return float(abs(node.factors[0]) * first + abs(node.factors[1]) * second)
    return 0.0  # a map's steps are flat, and so are tables
