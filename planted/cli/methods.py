"""The commands about interpretability methods: score."""

from __future__ import annotations

from typing import Any

import click

from planted.cli.options import json_

TASK = "What the method should find: components, or edges of the circuit."


@click.command()
@click.argument("method")
@click.option("--task", default="locate", metavar="[locate|edges]", help=TASK)
@click.option(
    "--intervention",
    default="resample",
    show_default=True,
    metavar="[data-flow|resample|mean|zero]",
    help="Of the task edges: under which intervention an edge belongs to the circuit.",
)
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

    METHOD is a built-in name (exact-patching, linear-probe; exact-edge-patching for edges) or your
    own as package:function.
    """
    from planted.scoring import score as score_method

    table = score_method(method, models=models or "dev", **how)
    if as_json:
        click.echo(table.to_json())
    else:
        click.echo(str(table))


@click.command()
@click.argument("method")
@click.option("--task", default="locate", metavar="[locate|edges]", help=TASK)
@click.option("--model", default="red-doors-small@1", show_default=True, help="Plant to test on.")
@click.option("--tier", default="exact", show_default=True, help="Its tier.")
@click.option(
    "--budget-s", type=float, default=40, show_default=True, help="As of the command score."
)
def selftest(method: str, **how: Any) -> None:
    """Tests an interpretability METHOD.

    The exit code is 0 if it passed, and 1 if it failed or its twin is undecided.

    It passes if it is above every null on a network with known answers, its twin does not fool it,
    and it gives the same scores twice. METHOD is named as for the command score.
    """
    from planted.scoring import selftest as test_method

    result = test_method(method, **how)
    click.echo(str(result))
    if not result:
        raise SystemExit(1)


COMMANDS = (score, selftest)
