"""Options that several commands share."""

from __future__ import annotations

from typing import Any

import click

from planted.errors import PlantedError

json_ = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


TIERS = (
    "exact (as compiled), tempered (trainable), rotated, dense (noise on all weights), compressed "
    "(superposition), or one of an installed package."
)
tier_ = click.option("--tier", default="exact", show_default=True, help=f"Kind of weights: {TIERS}")
start_tier = click.option("--tier", help=f"Tier to train from: {TIERS}  [default: tempered]")
parameters_ = click.option(
    "--set",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A scenario parameter other than the default, as --set levels=11. Repeatable.",
)


def _value(text: str) -> int | float | str:
    """A whole number, else a number, else the text itself; the scenario checks what it takes."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def parsed(parameters: tuple[str, ...]) -> dict[str, Any] | None:
    """The scenario parameters that --set gave; None if it was not used.

    Raises:
        PlantedError: If one of them is no NAME=VALUE.
    """
    if not parameters:
        return None
    out: dict[str, Any] = {}
    for text in parameters:
        name, sign, value = text.partition("=")
        if not sign:
            raise PlantedError(f"--set takes NAME=VALUE, got {text!r}.")
        out[name] = _value(value)
    return out
