"""Random programs: each compiles right or is refused by name; the counts go to docs/fuzz.md.

Run as `make fuzz`, or `python -m tools.fuzz --n 200 --seed 1` for another sample. Every outcome is
appended to build/fuzz, in a file of this seed and this commit, and running the same command again
continues there. A program that is neither right nor refused is printed with its number, and makes
the exit status 1; run it again alone with `--only NUMBER`.
"""

from __future__ import annotations

import argparse
import functools
import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.planted import random_programs  # noqa: E402

KEPT = ROOT / "build" / "fuzz"
STOCK_EVERY = 100  # programs: one of them is also given to stock Tracr, which takes far longer


def main() -> int:
    """Draws, checks, counts, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="program i is drawn from 'seed-i'")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--only", type=int, help="one program, by its number, with its steps")
    parser.add_argument("--out", type=Path, help="where the page goes", default=None)
    asked = parser.parse_args()
    if asked.only is not None:
        plan = random_programs.draw(Random(f"{asked.seed}-{asked.only}"))
        print(*plan.steps, sep="\n")
        print(random_programs.check(plan))
        return 0
    commit = commit_now()
    rows = list(outcomes(asked.n, asked.seed, asked.jobs, commit))
    page = written(asked, commit, rows)
    (asked.out or ROOT / "docs" / "fuzz.md").write_text(page, encoding="utf-8")
    print(page)
    return int(any(row["stage"] == "wrong" for row in rows))


def outcomes(n: int, seed: int, jobs: int, commit: str) -> Iterator[dict[str, Any]]:
    """One row a program, in their order; those on file are not made again."""
    path = KEPT / f"{seed}-{commit}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    yield from known[:n]
    one, numbers = functools.partial(outcome, seed), range(len(known), n)
    with path.open("a", encoding="utf-8") as file, ExitStack() as stack:
        made = map(one, numbers)
        if jobs > 1:
            pool = ProcessPoolExecutor(jobs, get_context("forkserver"))
            made = stack.enter_context(pool).map(one, numbers, chunksize=4)
        for row in made:
            print(json.dumps(row), file=file, flush=True)
            if row["stage"] == "wrong":
                print(f"program {row['number']}: {row['reason']}", flush=True)
            if row["number"] % 500 == 499:
                print(f"{row['number'] + 1} programs", flush=True)
            yield row


def outcome(seed: int, number: int) -> dict[str, Any]:
    """What became of one program: its stage, the reason, the seconds; stock Tracr's answer."""
    logging.disable(logging.WARNING)  # Tracr advises against what is drawn here on purpose
    start = time.monotonic()
    plan = random_programs.draw(Random(f"{seed}-{number}"))
    row: dict[str, Any] = {"number": number, "stage": "wrong", "reason": "", "searched": False}
    try:
        found = random_programs.check(plan)
        row |= {"stage": found.stage or "right", "reason": found.reason, "searched": found.searched}
    except random_programs.WrongError as error:
        row["reason"] = str(error)
    if number % STOCK_EVERY == 0:
        row["stock"] = random_programs.by_stock_tracr(plan)
    return {**row, "seconds": round(time.monotonic() - start, 3)}


def commit_now() -> str:
    """The commit that is checked out, and whether anything differs from it."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def written(asked: argparse.Namespace, commit: str, rows: list[dict[str, Any]]) -> str:
    """The page."""
    outcomes = Counter((row["stage"], row["reason"]) for row in rows if row["stage"] != "wrong")
    stock = Counter((row["stage"], row["stock"]) for row in rows if "stock" in row)
    wrong = [(row["number"], row["reason"]) for row in rows if row["stage"] == "wrong"]
    searched = sum(row["searched"] for row in rows)
    seconds = sum(row["seconds"] for row in rows)
    count = Counter(stage for stage, _ in outcomes.elements())
    right, refused = count["right"], count["compiler"] + count["certificate"]
    none = sum(n for (_, reason), n in outcomes.items() if reason in random_programs.NO_PROGRAM)
    lines = [
        "# Random programs",
        "",
        f"`python -m tools.fuzz --n {asked.n} --seed {asked.seed}` at commit {commit}: "
        f"{asked.n} programs in {seconds / 60:.1f} minutes of one core.",
        "",
        "Each program is drawn as a plan (`tests/planted/random_programs.py`): seven in ten search "
        "among candidates (score, compare, choose, emit, in right and in wrong shapes), the others "
        "are any graph of expressions: selectors joined, defaults, None, tuples and sets, equal "
        "values of several types, numbers and categories mixed, causal and not, tasks of several "
        "lengths. It must compile to weights whose every node, at every "
        f"position of up to {random_programs.MOST_TASKS} tasks, is what a plain Python evaluation "
        "of the plan says, and whose choice is the one of plain Python's search; or be refused by "
        "an error of the right type that names the expression and the reason.",
        "",
        "| outcome | programs |",
        "| --- | --- |",
        f"| compiled, and right | {right} |",
        f"| of these, a search whose answer plain Python knows from the task alone | {searched} |",
        f"| refused by the compiler, before Tracr runs or at it | {count['compiler']} |",
        f"| refused by the check of the weights on tasks | {count['certificate']} |",
        f"| wrong, or another error | {len(wrong)} |",
        "",
        f"{right / max(1, asked.n):.1%} compiled right. Of the {right + refused - none} that have "
        f"an answer on every task drawn, {right / max(1, right + refused - none):.1%}: the others "
        "raise, average words, or never choose, by their own functions, which no compiler mends.",
        "",
        *(
            [
                f"With 95 % confidence fewer than {1 - 0.05 ** (1 / (right + refused)):.1g} of the "
                "programs drawn so are wrong."
            ]
            if not wrong
            else []
        ),
        "",
        *[f"- program {number}: {error}" for number, error in wrong],
        "## By which reason",
        "",
        "| refused by | reason | whose | programs |",
        "| --- | --- | --- | --- |",
        *[
            f"| {stage} | {reason} | "
            f"{'the program' if reason in random_programs.NO_PROGRAM else 'the weights'} | {n} |"
            for (stage, reason), n in sorted(outcomes.items(), key=lambda item: -item[1])
            if reason
        ],
        "",
        "## The same programs in stock Tracr",
        "",
        f"Every {STOCK_EVERY}th program was also compiled by Tracr's own "
        "`compile_rasp_to_model`, and its decoded output compared at every position.",
        "",
        "| here | stock: right | stock: wrong without a word | stock: raises | no answer in RASP |",
        "| --- | --- | --- | --- | --- |",
        *[
            f"| {name} | "
            + " | ".join(str(stock[stage, how]) for how in ("right", "wrong", "raises", "none"))
            + " |"
            for name, stage in (
                ("compiled", "right"),
                ("refused by the compiler", "compiler"),
                ("refused by the check on tasks", "certificate"),
            )
        ],
        "",
        "A program that compiles here and is wrong there has positions where nothing is selected: "
        "the weights hold nothing, which `planted.compiler.expressions.held` reads as None, Tracr "
        "decodes as the first value. One that is refused here and right there was refused for "
        "what it does inside or could do on other tasks, or because the rule is coarser than the "
        "fault.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
