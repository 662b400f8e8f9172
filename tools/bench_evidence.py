"""Seconds that each evaluator takes on one checkpoint, and the verdict after them."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from planted import library
from planted.core.plant import Plant
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of, evidence_by_evaluator
from planted.eval.evidence import Evidence, index
from planted.eval.verdict.rule import decide

Row = tuple[str, str, str]  # what, as a ratio, the figures
REPEATS = 3
# Of the catalogue's searches in their default size: the median by parameters, and the largest.
NAMES = ("wiping", "grid-doors")
VERDICT = "verdict"


def spent(plant: Plant) -> dict[str, float]:
    """Seconds of processor time by evaluator, and of the verdict, on the plant's own weights.

    Every evaluator is run, whether or not it is trusted on the plant. Processor time, because the
    pass is on one thread and a machine may have other work.
    """
    took: dict[str, float] = {}
    trust = dict.fromkeys(evaluators.names(), "")
    checkpoint = Checkpoint(plant, plant.params)
    last = time.process_time()

    def keep(name: str, records: list[Evidence]) -> None:
        nonlocal last
        took[name], last = time.process_time() - last, time.process_time()

    found = evidence_by_evaluator(checkpoint, trust, keep=keep)
    records = index(record for each in found.values() for record in each)
    last = time.process_time()
    decide(records, cues_of(plant.scenario))
    took[VERDICT] = time.process_time() - last
    return took


def evidence_rows(names: Sequence[str] = NAMES, tier: str = "tempered") -> list[Row]:
    """A row for each plant: the median of each evaluator, after a run that is not counted."""
    rows: list[Row] = []
    for name in names:
        plant = library.get(name, tier)
        runs = [spent(plant) for _ in range(REPEATS + 1)][1:]
        median = {part: float(np.median([run[part] for run in runs])) for part in runs[0]}
        total = float(np.median([sum(run.values()) for run in runs]))
        by_cost = sorted(median.items(), key=lambda item: -item[1])
        share = median["paths"] / total
        rows.append(
            (
                f"evidence and verdict of one checkpoint of {name} ({tier}): paths, against all",
                f"{share:.0%}",
                f"{total:.2f} s of processor time: "
                + ", ".join(f"{part} {seconds:.3f}" for part, seconds in by_cost),
            )
        )
    return rows


def main() -> None:
    """Prints the rows of some plants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plants", nargs="*", default=NAMES)
    parser.add_argument("--tier", default="tempered")
    asked = parser.parse_args()
    for row in evidence_rows(asked.plants, asked.tier):
        print("| {} | {} | {} |".format(*row), flush=True)


if __name__ == "__main__":
    main()
