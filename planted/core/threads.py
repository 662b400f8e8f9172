"""One BLAS thread while the library works.

The matrices of a planted network are tens of columns wide: several threads take many times longer
over them than one, and sum in an order that changes from run to run.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def one_thread() -> Iterator[None]:
    """Limits numpy's BLAS to one thread inside, and restores what was set before."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@functools.cache
def _controller() -> Any:
    # Looks up the loaded libraries once: asking anew takes a millisecond a call.
    import numpy  # noqa: F401 - its BLAS must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
