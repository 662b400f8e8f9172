"""The report page of a run folder, and the records that it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from planted.core import files
from planted.eval.evaluate import cues_of
from planted.runs import over_training
from planted.runs.folder import logs_of, open_run
from planted.runs.results import CheckpointResult, Run
from planted.runs.work import require


def report(folder: Path, plant: Any = None) -> Path:
    """Writes `report.html`, a pure function of the records in the folder.

    Args:
        folder: The run folder.
        plant: The plant, where it was given as a Python object, as for `open_run`.

    Raises:
        PlantedError: If jinja2 is missing.
        ArtefactError: If a file is missing or damaged.
    """
    require("report")
    from planted.eval.report.page import RunData, render

    opened = open_run(folder, plant)
    training, diagnostics = logs_of(opened)
    page = render(
        RunData(
            plant=opened.plant,
            request={**opened.request, "nulls": opened.request["controls"]},
            cues=cues_of(opened.plant.scenario),
            verdicts=_verdict_rows(opened.results),
            evidence=_records(opened.results),
            nulls=_records(opened.negative_controls),
            null_verdicts=_verdict_rows(opened.negative_controls),
            training=training,
            diagnostics=diagnostics,
            nulls_from=opened.results[0].nulls if opened.results else opened.nulls,
            over_training=_over_training(opened),
        )
    )
    path = folder / "report.html"
    files.write_bytes(path, page.encode())
    return path


def _over_training(opened: Run) -> dict[str, dict[int, list[tuple[int, str]]]]:
    return {
        recipe: {
            seed: [(one.step, one.verdict.name) for one in found] for seed, found in of.items()
        }
        for recipe, of in over_training.kept(opened).items()
    }


def _records(results: Iterable[CheckpointResult]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for result in results:
        found.setdefault(result.recipe, {})[result.seed] = result.records
    return found


def _verdict_rows(results: Iterable[CheckpointResult]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        row = {"seed": result.seed, **msgspec.to_builtins(result.verdict)}
        found.setdefault(result.recipe, []).append(row)
    return found
