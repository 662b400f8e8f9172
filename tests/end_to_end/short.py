"""The `planted` command as a script, with ctrl-C as in a terminal: python short.py run NAME …"""

from __future__ import annotations

import signal
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from planted.finetune.recipes import Recipe

# A short run: one short recipe beside one short network of two controls.
SHORT = Recipe("pressure", steps=250, behaviour="none", seeds=2)
LABEL = SHORT.name  # "pressure behaviour=none steps=250"
CONTROLS = [Recipe(name, steps=50, behaviour="none", seeds=1) for name in ("no-plant-base", "sham")]


class Inline:
    """An executor that does each job at once, in this process."""

    def __init__(self) -> None:
        self.jobs: list[str] = []

    def submit(self, function: Callable[..., Any], /, *args: Any) -> Future[Any]:
        self.jobs.append(function.__name__)
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self) -> None:
        self.jobs.append("shutdown")


if __name__ == "__main__":
    from planted.cli.app import main

    # A shell ignores ctrl-C for what it runs in the background, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
