"""Whether a method finds what is known to be there: a score turned into passed or failed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from planted.eval.methods.board import ENOUGH, LEVEL, Scoreboard, is_fooled
from planted.eval.methods.measure import NEGATIVE_CONTROLS, Cell


@dataclass(frozen=True, repr=False)
class SelfTest:
    """The result of `planted.selftest`; prints as its table and what it failed; true if it passed.

    Attributes:
        board: The score behind it.
        repeatable: Whether the method gave the same scores when it was called again.
    """

    board: Scoreboard
    repeatable: bool

    @property
    def failed(self) -> tuple[str, ...]:
        """What it failed, each in a sentence; empty if it passed."""
        found = [] if self.repeatable else [NOT_REPEATABLE]
        for cell in self.board.cells:
            where = _where(cell)
            # signs are no fault: a method passes by its scores or by their absolute values
            names = [n for n in cell.exact[0]._fields if n.startswith("auroc")]
            yours = max(_mean(cell.yours, name) for name in names)
            for null in NEGATIVE_CONTROLS:
                above = max(_upper(cell.nulls[null], name) for name in names)
                if yours <= above:
                    found.append(
                        f"On {where} its AUROC, {yours:.2f}, is not above that of {null}, which "
                        f"reaches {above:.2f}."
                    )
            if cell.twin is not None and is_fooled(cell):
                found.append(f"It takes {cell.twin.name}, the twin of {where}, for the plant.")
        return tuple(found)

    @property
    def undecided(self) -> tuple[str, ...]:
        """What there was no time to decide, each in a sentence; empty if there was."""
        return tuple(
            f"Whether {cell.twin.name}, the twin of {_where(cell)}, fools it is undecided: there "
            f"was time for {len(cell.fresh_largest)} re-initialised networks, and {ENOUGH} are "
            "needed. Give it a larger budget_s."
            for cell in self.board.cells
            if cell.twin is not None and _lacks_networks(cell)
        )

    @property
    def untested(self) -> tuple[str, ...]:
        """What is not part of the result, each in a sentence: twins of plants that have none."""
        return tuple(
            f"{_where(cell)} has no twin: whether one would fool it was not tested."
            for cell in self.board.cells
            if cell.twin is None
        )

    @property
    def passed(self) -> bool:
        """Whether it failed nothing, and nothing is undecided."""
        return not self.failed and not self.undecided

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return "\n".join([str(self.board), "", *self._verdict()])

    __repr__ = __str__

    def _verdict(self) -> Iterator[str]:
        yield from self.untested
        verdict = "FAILED" if self.failed else "undecided" if self.undecided else "passed"
        yield f"{self.board.subject.name}: {verdict}"
        yield from (f"- {each}" for each in (*self.failed, *self.undecided))


NOT_REPEATABLE = (
    "Called again on the same network and tasks it gave other scores: seed what it draws at random."
)


def _where(cell: Cell) -> str:
    """The plant and tier of a cell, in words."""
    return f"{cell.plant.name} ({cell.plant.tier})"


def _lacks_networks(cell: Cell) -> bool:
    """Whether the twin is judged by a threshold, and too few random networks set it."""
    return not cell.twin_yours and len(cell.fresh_largest) < ENOUGH


def _mean(figures: Sequence[object], name: str) -> float:
    return float(np.mean([getattr(each, name) for each in figures]))


def _upper(figures: Sequence[object], name: str) -> float:
    """The upper end of the interval over redraws."""
    return float(np.quantile([getattr(each, name) for each in figures], (1 + LEVEL) / 2))
