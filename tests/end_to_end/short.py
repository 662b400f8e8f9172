"""The `planted` command with fewer and shorter networks beside a run: python short.py run NAME …"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import msgspec

from planted import runs
from planted.finetune import recipe

ARMS = ("random-to-base", "plant-to-mesa")
STEPS = 50


@contextmanager
def short_arms() -> Iterator[None]:
    """One short network of two arms instead of three long ones of four; what a run asks for."""
    arms = {name: msgspec.structs.replace(recipe.ARMS[name], steps=STEPS) for name in ARMS}
    with mock.patch.dict(recipe.ARMS, arms, clear=True), mock.patch.object(runs, "NULL_SEEDS", 1):
        yield


if __name__ == "__main__":
    from planted.cli import main

    # A shell ignores ctrl-C for what it runs in the background, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with short_arms():
        main()
