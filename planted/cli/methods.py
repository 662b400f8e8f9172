"""The commands about interpretability methods: score."""

from __future__ import annotations

from typing import Any

import click

from planted.cli.options import json_


@click.command()
@click.argument("method")
@click.option("--task", default="locate", metavar="[locate]", help="What the method should find.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Plant to score on, or your own as module:function; red-doors and red-doors-small if not "
    "given. Repeatable.",
)
@click.option(
    "--runtime",
    type=click.Choice(["numpy", "torch"]),
    help="What the method is given: torch modules and tensors, or numpy arrays. Torch by default "
    "where it is installed.",
)
@click.option(
    "--redraws",
    "n_redraws",
    type=int,
    default=20,
    show_default=True,
    help="How often the pairs of tasks are redrawn.",
)
@click.option(
    "--reinits",
    "n_reinits",
    type=int,
    default=100,
    show_default=True,
    help="Re-initialised networks that set the twin's threshold.",
)
@click.option("--budget-s", type=float, help="Begin no further redraw after this many seconds.")
@json_
def score(method: str, models: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Scores an interpretability METHOD against ground truth.

    METHOD is a built-in name (exact-patching, linear-probe) or your own as package:function.
    """
    from planted.scoring import score as score_method

    table = score_method(method, models=models or "dev", **how)
    if as_json:
        click.echo(table.to_json())
    else:
        click.echo(str(table))


COMMANDS = (score,)
