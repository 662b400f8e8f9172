"""Options that several commands share."""

from __future__ import annotations

import importlib
from typing import Any

import click

from planted.errors import PlantedError

json_ = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


class Installed(click.Option):
    """An option whose help lists the names that there are, those of installed packages too."""

    def __init__(self, *given: Any, room: str, **how: Any) -> None:
        self.room = room  # whose `names` lists them
        super().__init__(*given, **how)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The record of the help page, with the names behind the text."""
        record = super().get_help_record(ctx)
        if record is None:
            return None
        option, said = record
        known = importlib.import_module(self.room).names()
        text, bracket, default = said.partition("  [")
        return option, f"{text} Installed: {', '.join(known)}.{bracket}{default}"


tier_ = click.option(
    "--tier",
    cls=Installed,
    room="planted.finetune.tiers",
    default="exact",
    show_default=True,
    help="Kind of weights: exact (as compiled), tempered (trainable), rotated (in another basis), "
    "dense (noise on all weights), compressed (superposition).",
)
start_tier = click.option(
    "--tier",
    cls=Installed,
    room="planted.finetune.tiers",
    help="Tier to train from.  [default: tempered]",
)
parameters_ = click.option(
    "--set",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A scenario parameter other than the default, for example --set levels=11. Repeatable.",
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
