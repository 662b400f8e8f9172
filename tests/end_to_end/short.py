"""The `planted` command with fewer and shorter networks beside a run: python short.py run NAME …"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import msgspec

from planted.finetune import recipes
from planted.runs import folder as run_folder

ARMS = ("no-plant-base", "sham")
STEPS = 50


@contextmanager
def short_arms() -> Iterator[None]:
    """One short network of two arms instead of three long ones of four; what a run asks for."""
    arms = {name: msgspec.structs.replace(recipes.ARMS[name], steps=STEPS) for name in ARMS}
    with (
        mock.patch.dict(recipes.ARMS, arms, clear=True),
        mock.patch.object(run_folder, "CONTROL_SEEDS", 1),
    ):
        yield


if __name__ == "__main__":
    from planted.cli.app import main

    # A shell ignores ctrl-C for what it runs in the background, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with short_arms():
        main()
