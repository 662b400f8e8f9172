"""Prints a scoreboard: the same lines as plain text and as rich tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from planted.errors import need
from planted.eval.methods.measure import PERCENTILE

if TYPE_CHECKING:
    from planted.eval.methods.board import Row, Scoreboard


class Block(NamedTuple):
    """One table: a heading, the names of the columns, and the cells."""

    heading: str
    columns: tuple[str, ...]
    lines: list[tuple[str, ...]]


def blocks(board: Scoreboard) -> list[Block]:
    """The tables: the score, the same by tier, and the twins."""
    rows = board.rows
    heading = f"{board.task}: {board.subject.name} ({board.runtime})"
    columns = ("model", "", "yours", "random", "matched-rank", "re-init", "twin", "exact", "cost")
    found = [Block(heading, columns, [_line(board, r) for r in rows if r["tier"] == "mean"])]
    tiers = list(dict.fromkeys(row["tier"] for row in rows if row["tier"] != "mean"))
    by_tier = []
    for row in (row for row in rows if row["tier"] == "mean"):
        same = [
            next(r for r in rows if (r["model"], r["metric"], r["tier"]) == wanted)
            for wanted in ((row["model"], row["metric"], tier) for tier in tiers)
        ]
        by_tier.append((row["model"], _metric(board, row), *(_number(r, "yours") for r in same)))
    found.append(Block("yours, by tier", ("model", "", *tiers), by_tier))
    twins: list[tuple[str, ...]] = [
        (
            row["twin"],
            row["tier"],
            f"{row['twin_largest']:.3f}",
            f"{row['plant_largest']:.3f}",
            f"{row['threshold']:.3f}",
            f"{row['twin_above']:.2f}",
            f"{row['plant_above']:.2f}",
            row["claim"],
        )
        for row in board.twins
    ]
    if twins:
        names = ("twin", "tier", "its largest", "plant's", "threshold", "above", "plant above", "")
        found.append(Block("largest scores", names, twins))
    return found


def notes(board: Scoreboard) -> list[str]:
    """What the columns are, and what was left out."""
    settings = board.settings
    found = [
        f"{board.n_redraws} redraws of {settings.n_pairs} pairs; mean over tiers "
        f"{', '.join(dict.fromkeys(cell.plant.tier for cell in board.cells))}; in brackets the "
        "2.5th and 97.5th percentiles over redraws.",
    ]
    if board.n_redraws < settings.n_redraws:
        found.append(
            f"STOPPED EARLY: {board.n_redraws} of {settings.n_redraws} redraws, the budget of "
            f"{settings.budget_s:g} s is spent."
        )
    fresh = [len(cell.fresh_largest) for cell in board.cells if cell.fresh_largest]
    if fresh:
        found.append(
            "twin: share of redraws in which the largest score on the twin, which computes no "
            f"score, is above the threshold: the {PERCENTILE}th percentile of the largest score "
            f"on {min(fresh)} re-initialised networks; in brackets the same on the plant. From "
            f"{settings.twin_pairs} pairs a redraw."
        )
    if any(cell.twin_yours for cell in board.cells):
        found.append(
            "twin: scores on the twin, which answers alike through another circuit, against the "
            "circuit of the plant; in brackets what the twin's own circuit scores against it. "
            "|score|: by absolute values."
        )
    return found


def as_text(board: Scoreboard) -> str:
    """The tables in plain text."""
    parts = []
    for block in blocks(board):
        lines = [block.columns, *block.lines]
        widths = [max(len(line[i]) for line in lines) for i in range(len(block.columns))]
        text = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        parts.append("\n".join([block.heading, *text]))
    return "\n\n".join([*parts, "\n".join(notes(board))])


def as_rich(board: Scoreboard) -> Iterator[Any]:
    """The tables for a terminal."""
    box, table = need("rich.box", "print a table"), need("rich.table", "print a table")
    for block in blocks(board):
        made = table.Table(title=block.heading, title_justify="left", box=box.SIMPLE_HEAD)
        for i, column in enumerate(block.columns):
            made.add_column(column, overflow="fold", no_wrap=i == 0, min_width=len(column))
        for line in block.lines:
            made.add_row(*map(_narrow, line))
        yield made
    yield from (note.replace("[", "\\[") for note in notes(board))


def _narrow(text: str) -> str:
    """An interval goes below its mean; its bracket would be markup to rich."""
    return text.replace(" [", "\n\\[").replace(" calls, ", " calls\n")


def _line(board: Scoreboard, row: Row) -> tuple[str, ...]:
    """One line of the score; twin and cost stand on a model's first."""
    first = row["metric"] == "auroc"
    twin = cost = ""
    if first or (row["twin"] is not None and not board.twins):
        twin = "none" if row["twin"] is None else f"{row['twin']:.2f} ({row['power']:.2f})"
    if first:
        model = row["model"]
        cost = f"{board.subject.calls[model]} calls, {board.subject.seconds[model]:.1f} s"
    columns: Sequence[str] = ("yours", "random", "matched_rank", "re_init")
    figures = [_number(row, column) for column in columns]
    exact = f"{row['exact']:.2f}"
    return (row["model"], _metric(board, row), *figures, twin, exact, cost)


def _metric(board: Scoreboard, row: Row) -> str:
    cell = next(cell for cell in board.cells if cell.plant.name == row["model"])
    name, _, absolute = row["metric"].partition("_")
    label = "AUROC" if name == "auroc" else f"precision at {int(cell.truth.sum())}"
    return f"{label} |score|" if absolute else label


def _number(row: Row, column: str) -> str:
    ends = (row[f"{column}_lo"], row[f"{column}_hi"])
    return f"{row[column]:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
