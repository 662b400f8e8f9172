"""How the command line prints: JSON, tables, the outcome of a run, bars."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from planted.eval.evidence import Records


def print_run(done: Any, as_json: bool) -> None:
    """The verdicts of a run over its seeds, the negative controls' below them."""
    if not as_json:
        click.echo(str(done))
        return
    print_json(
        {
            "folder": str(done.folder),
            "nulls": done.nulls,
            "verdicts": done.verdicts,
            "seeds": [
                {
                    "recipe": result.recipe,
                    "seed": result.seed,
                    "verdict": result.verdict.name,
                    "reason": result.verdict.reason,
                    "stamp": result.verdict.stamp,
                    "reading": result.reading,
                }
                for result in done.results
            ],
            "findings": [str(finding) for finding in done.findings],
        }
    )


def print_verdict(one: Any, page: Path, whole: bool) -> None:
    """A checkpoint's verdict in words, then each comparison of the rule, every figure if asked."""
    from planted.eval.verdict.explain import paragraph

    verdict = one.verdict
    stamp = f" [{verdict.stamp}]" if verdict.name != "not learned" else ""
    click.echo(f"{one.recipe}, seed {one.seed}: {verdict}{stamp}\n")
    click.echo(click.wrap_text(paragraph(verdict), width=96))
    click.echo()
    for note in verdict.notes:
        click.echo(f"  {note}")
    if verdict.comparisons:
        click.echo(
            '  Comparisons, in the order in which they were made. "At least" and "at most" are\n'
            "  one-sided 95 % bounds; of a measure without an interval, its estimate.\n"
            f"  Thresholds: {verdict.thresholds}."
        )
    for comparison in verdict.comparisons:
        click.echo(f"  - {comparison.sentence()}")
    click.echo(f"  Nulls: {one.nulls}.")
    click.echo(f"  The page explains every figure: {page}")
    if not whole:
        click.echo(f"  What each figure is, and all {len(one.evidence)} with intervals: --all")
        return
    _print_definitions(verdict)
    _print_evidence(one)


def _print_definitions(verdict: Any) -> None:
    """What each compared figure is."""
    from planted.eval.measures import find

    if verdict.comparisons:
        click.echo("  The figures:")
    for name in dict.fromkeys(comparison.measure for comparison in verdict.comparisons):
        if (measure := find(name)) is not None:
            click.echo(f"  - {measure.label}: {measure.explanation}")


def _print_evidence(one: Any) -> None:
    print_figures(one.records.values())


def print_figures(records: Iterable[Any]) -> None:
    """A row a record: what it is, estimate, interval, null; the reason where it has none."""
    from planted.eval.measures import label

    rows = []
    for record in records:
        key = record.name if record.cue == "all" else f"{record.name}[{record.cue}]"
        if record.estimate is None:
            rows.append([key, label(record.name), "–", record.reason, ""])
            continue
        null = record.null
        rows.append(
            [
                key,
                label(record.name),
                f"{record.estimate:.3f}",
                "" if record.lo is None else f"{record.lo:.3f} to {record.hi:.3f}",
                "" if null is None else f"{null.lo:.3f} to {null.hi:.3f}: {null.kind}",
            ]
        )
    print_table(["evidence", "", "estimate", "interval", "null"], rows)


def print_json(value: Any) -> None:
    """JSON with sorted keys, on standard output."""
    click.echo(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, default=list))


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """A table without rules, as wide as the terminal, or 120 columns."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for i, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=i == 0)
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 120, markup=False).print(table)


@contextmanager
def shown_progress() -> Iterator[Callable[[Any], None] | None]:
    """What is done and how long it may take, on standard error.

    On a terminal a line that is rewritten; elsewhere a line for what takes a minute before
    training, then one whenever a tenth of the networks was trained or judged.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from planted.runs.progress import sentence

    console = Console(stderr=True)
    if not console.is_terminal:
        with _phases(lambda phase: click.echo(f"{phase} …", err=True)):
            yield _tenths(lambda said: click.echo(sentence(said), err=True))
        return
    with Progress(
        BarColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as bars:
        task = bars.add_task("planting", total=None)

        def progress(said: Any) -> None:
            bars.update(
                task, description=sentence(said), completed=said["done"], total=said["total"]
            )

        with _phases(lambda phase: bars.update(task, description=phase)):
            yield progress


def _tenths(tell: Callable[[Any], None]) -> Callable[[Any], None]:
    """A callback that tells of every tenth of the work, counted in networks trained and judged."""
    told = -1

    def progress(said: Any) -> None:
        nonlocal told
        tenths = 10 * (said["trained"] + said["done"]) // max(1, 2 * said["total"])
        begun = told >= 0 or tenths < 10  # of work that was done before there is nothing to tell
        if tenths != told and begun:
            tell(said)
        told = tenths

    return progress


@contextmanager
def _phases(tell: Callable[[str], Any]) -> Iterator[None]:
    """Tells what long work begins, as the package logs it."""

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell(record.getMessage())

    log, handler = logging.getLogger("planted"), Handler(logging.INFO)
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)


def print_kinds(found: Records) -> None:
    """What the figures of `search` say under each cue, and where in the network."""
    from planted.eval.evaluators.search import kind_of, place_of

    for name, cue in found:
        if name == "search.kind":
            place = place_of(found, cue)
            click.echo(f"search[{cue}]: {kind_of(found, cue)}{place and f' at {place!r}'}")
