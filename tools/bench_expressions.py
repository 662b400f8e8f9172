"""Compile time of RASP expressions beside stock Tracr: writes docs/benchmark-expressions.md."""

from __future__ import annotations

import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from tracr.compiler import compiling

from planted.compiler.compile import compile_expression
from tests.planted.construct_programs import KINDS, LIBRARY, Case
from tools.provenance import commit


def timed(work: Callable[[], Any], repeats: int = 1) -> float:
    """Least processor time: another process on the machine does not count."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measured(name: str, case: Case) -> tuple[float, float | None, str]:
    """Seconds of ours, of stock Tracr (None where it raises), and the row of a program."""
    vocabulary = ("BOS", *case.vocabulary)

    def own() -> Any:
        return compile_expression(case.build(), vocabulary, case.length, causal=case.causal)

    def stock() -> None:
        compiling.compile_rasp_to_model(
            case.build(), set(case.vocabulary), case.length, causal=case.causal
        )

    made, ours = own(), timed(own, 3)
    try:
        theirs: float | None = timed(stock)
    except Exception:  # of any type: it has no error of its own
        theirs = None
    beside = f"{theirs:.2f} | {theirs / ours:.0f} ×" if theirs else "raises | –"
    exactness = max([100.0, *made.exactness.values()])
    margin = min(made.margins.values(), default=1.0)
    row = f"| {name} | {case.length} | {ours:.3f} | {beside} | {exactness:g} | {margin:.4f} |"
    return ours, theirs, row


def main() -> None:
    """Measures, prints and writes the page."""
    logging.disable(logging.WARNING)
    cases = {
        f"{kind}: {name}": case for kind, found in KINDS.items() for name, case in found.items()
    }
    cases |= LIBRARY
    asked = sys.argv[1:]
    found = []
    for name, case in cases.items():
        if not asked or any(part in name for part in asked):
            found.append(measured(name, case))
            print(found[-1][2], file=sys.stderr, flush=True)
    ratios = sorted(theirs / ours for ours, theirs, _ in found if theirs)
    page = [
        "# Benchmark: compiling expressions",
        "",
        f"Made by `python -m tools.bench_expressions {' '.join(map(repr, asked))}` at commit "
        f"{commit()}, one core of {platform.machine()}, Python {platform.python_version()}. "
        "Seconds of processor time. Ours: least of three after one; stock: Tracr's "
        "`compile_rasp_to_model` once. Both build the program anew; what comes out of stock Tracr "
        "is often wrong ([fuzz.md](fuzz.md)).",
        "",
        f"Of {len(found)} programs stock Tracr compiles {len(ratios)}, in {ratios[0]:.0f} to "
        f"{ratios[-1]:.0f} times our time, in the median {ratios[len(ratios) // 2]:.0f}. Exactness "
        "is the largest of a node; margin is the least by which a node's right value is ahead.",
        "",
        "| program | length | ours, s | stock, s | ratio | exactness | margin |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(row for _, _, row in found),
    ]
    Path("docs/benchmark-expressions.md").write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
