"""The commands about interpretability methods: score."""

from __future__ import annotations

from typing import Any

import click

from planted.cli.options import json_


@click.command()
@click.argument("method")
@click.option("--task", default="locate", show_default=True, help="What the method should find.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Plant to score on; red-doors and red-doors-small if not given. Repeatable.",
)
@click.option(
    "--runtime",
    type=click.Choice(["numpy", "torch"]),
    help="What the method is handed; torch where it is installed.",
)
@click.option("--redraws", "n_redraws", type=int, default=20, show_default=True, help="Of pairs.")
@click.option(
    "--reinits",
    "n_reinits",
    type=int,
    default=100,
    show_default=True,
    help="Random networks behind the twin's threshold.",
)
@click.option("--budget-s", type=float, help="Stop redrawing pairs after this many seconds.")
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
