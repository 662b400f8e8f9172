"""Makes the networks of a run folder, and settles where its nulls come from."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import msgspec

from planted.runs import nulls
from planted.runs.executor import Executor
from planted.runs.folder import nulls_of
from planted.runs.progress import Progress
from planted.runs.request import Request, write_request
from planted.runs.work import PHASES, work


def make(
    folder: Path,
    request: Request,
    phases: Sequence[str] = PHASES,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Request:
    """Trains and judges what a run lacks, and holds its controls against those that are shipped.

    Where these may not stand beside the networks that were trained here, the other controls are
    trained and judged too, with a warning.

    Args:
        folder: The run folder.
        request: What it was asked for.
        phases: "train", "judge" or both; only judged networks can be compared.
        executor: As for `planted.run`.
        progress: As for `planted.run`.

    Returns:
        The request; without the shipped controls where they are not used.

    Raises:
        PlantedError: What a job reported.
        ArtefactError: If a network is to be judged that is not trained, or a file is damaged.
    """
    logging.getLogger(__name__).debug("nulls: %s", nulls.said_of(request.controls))
    work(request.plant, request.networks(folder), phases, executor=executor, progress=progress)
    if "judge" not in phases or not any(asked.shipped for asked in request.controls):
        return request
    if not (why := nulls_of(folder, request).refused):
        return request
    warnings.warn(nulls.REFUSED.format(why), stacklevel=3)
    request = msgspec.structs.replace(request, controls=nulls.alone(request.controls, why))
    write_request(folder, request)
    work(request.plant, request.networks(folder), executor=executor, progress=progress)
    return request
