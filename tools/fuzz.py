"""Random programs: each compiles right or is refused by name; the counts go to docs/fuzz.md.

Run as `make fuzz`, or `python tools/fuzz.py --n 200 --seed 1` for another sample. A program that
is neither right nor refused is printed with its number, and makes the exit status 1; run it again
alone with `--only NUMBER`.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.planted import random_programs  # noqa: E402

STOCK_EVERY = 100  # programs: one of them is also given to stock Tracr, which takes far longer


def main() -> int:
    """Draws, checks, counts, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=10_000, help="how many programs")
    parser.add_argument("--seed", type=int, default=0, help="program i is drawn from 'seed-i'")
    parser.add_argument("--minutes", type=float, help="stops there, with fewer programs")
    parser.add_argument("--only", type=int, help="one program, by its number, with its steps")
    parser.add_argument("--out", type=Path, help="where the page goes", default=None)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)  # Tracr advises against what is drawn here on purpose
    if asked.only is not None:
        plan = random_programs.draw(Random(f"{asked.seed}-{asked.only}"))
        print(*plan.steps, sep="\n")
        print(random_programs.check(plan))
        return 0
    outcomes: Counter[tuple[str, str]] = Counter()
    stock: Counter[tuple[str, str]] = Counter()
    wrong, searched = [], 0
    start, commit = time.monotonic(), commit_now()
    for number in range(asked.n):
        if asked.minutes and time.monotonic() - start > 60 * asked.minutes:
            asked.n = number
            break
        plan = random_programs.draw(Random(f"{asked.seed}-{number}"))
        stage = "wrong"
        try:
            outcome = random_programs.check(plan)
            stage = outcome.stage or "right"
            outcomes[stage, outcome.reason] += 1
            searched += outcome.searched
        except random_programs.WrongError as error:
            wrong.append((number, str(error)))
            print(f"program {number}: {error}", flush=True)
        if number % STOCK_EVERY == 0:
            stock[stage, random_programs.by_stock_tracr(plan)] += 1
        if number % 1000 == 999:
            print(f"{number + 1} programs, {time.monotonic() - start:.0f} s", flush=True)
    page = written(asked, commit, outcomes, searched, stock, wrong, time.monotonic() - start)
    (asked.out or ROOT / "docs" / "fuzz.md").write_text(page, encoding="utf-8")
    print(page)
    return int(bool(wrong))


def commit_now() -> str:
    """The commit that is checked out, and whether anything differs from it."""
    asked = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(asked, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def written(
    asked: argparse.Namespace,
    commit: str,
    outcomes: Counter[tuple[str, str]],
    searched: int,
    stock: Counter[tuple[str, str]],
    wrong: list[tuple[int, str]],
    seconds: float,
) -> str:
    """The page."""
    count = Counter(stage for stage, _ in outcomes.elements())
    right, refused = count["right"], count["compiler"] + count["certificate"]
    none = sum(n for (_, reason), n in outcomes.items() if reason in random_programs.NO_PROGRAM)
    lines = [
        "# Random programs",
        "",
        f"`python tools/fuzz.py --n {asked.n} --seed {asked.seed}` at commit {commit}: "
        f"{asked.n} programs in {seconds / 60:.1f} minutes on one core.",
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
