"""Reads the controls of the whole catalogue: writes docs/validation.md and eval/validation.json.

What a network was read as is kept in the cache folder, so that an interrupted run goes on. With a
number of minutes as argument no further network is begun after them: the files then name what was
not read, which counts as not trusted.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

import msgspec

from planted import library
from planted.core import artefact, environment, files
from planted.core.validity import disagrees
from planted.errors import PlantedError
from planted.eval.calibration import validation
from planted.eval.calibration.validation import ROLES, Controls, Row
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.programs.catalogue import ENTRIES, Entry

# Mechanisms of which the scorer carries every choice; of others no cell is known.
SEARCHES = ("search", "additive search")
NOTES = """## Why some are not
- **Rounding**: u_m is U seen coarsely. It has three levels, fewer than there are slots, so that no
  order can be written through its block; and the two correlate too much to tell λ of the base
  search within .1. The verdict would call them collinear in any case.
- **Wiping with a pointer**: what a plan is worth lies on one scale where wiping is wanted and on
  another where a clean table is. Only differences within a task are seen, never between scales, and
  one table over both rises and falls.
- **Approximate, aligned**: no task tells the objectives apart.
- **Amortised, trading, nested, lapsing**: the scorer does not carry every choice, or the choice is
  best for neither objective; what the figures must be is not known by construction.
- **No control**: the catalogue has no base, mux and gate of that scenario.
"""
UNREAD = "no control was read yet"
TWINS = ("table", "decision list", "decoy search", "heuristics")  # they hold no score
FIGURES = {
    "scorer share": "paths.scorer_share",
    "λ": "paths.interpolation",
    "accuracy": "paths.accuracy",
    "other": "paths.other",
    "retarget": "paths.retarget",
    "swap": "paths.swap",
    "winner R²": "presence.mesa_argmax",
}


def fours() -> dict[str, dict[str, str]]:
    """Plant -> role -> name, of the plants that have all four controls."""
    found = {}
    for name in ENTRIES:
        four = {role: name if role == "plant" else f"{name}-{role}" for role in ROLES}
        if all(each in ENTRIES for each in four.values()):
            found[name] = four
    return found


def four_of(entry: Entry) -> dict[str, str] | None:
    """The controls of the plant that an entry varies: of its family, the nearest by name."""
    related = {name: four for name, four in fours().items() if ENTRIES[name].family == entry.family}
    varied = [name for name in related if f"{entry.name}-".startswith(f"{name}-")]
    nearest = max(varied, key=len, default=next(iter(related), None))
    return None if nearest is None else related[nearest]


def role_of(name: str) -> str:
    named = {each: role for four in fours().values() for role, each in four.items()}
    return named.get(name, "plant")


def read(name: str) -> dict[str, object]:
    """How one network is read: {"rows" or "refused" or "why", "weights", "seconds"}."""
    started, plant = time.perf_counter(), library.get(name)
    weights = artefact.params_digest(plant.params)
    if plant.truth.of_role("score") and not disagrees(plant.scenario):
        why = "no cell: its objectives do not disagree"
        return {"weights": weights, "why": why, "seconds": 0.0}
    request = [
        weights,
        plant.name,
        role_of(name),
        environment.source_digest(),
        environment.versions(),
    ]
    kept = environment.cache_folder() / "controls" / files.sha256(json.dumps(request).encode())[:24]
    if kept.exists():
        return files.read_json(kept)
    found: dict[str, object] = {"weights": weights}
    if not plant.truth.of_role("score"):
        try:
            evaluate(Checkpoint(plant, plant.params))
            found["refused"] = False
        except PlantedError:
            found["refused"] = True
    elif ENTRIES[name].mechanism.partition(",")[0] not in SEARCHES and role_of(name) == "plant":
        found["why"] = f"no cell: its scorer does not carry every choice ({plant.mechanism})"
    else:
        found["rows"] = msgspec.to_builtins(validation.rows(plant, role_of(name)))
    found["seconds"] = round(time.perf_counter() - started, 1)
    files.write_json(kept, found)
    return found


def standing(entry: Entry, results: dict[str, dict]) -> dict[str, str]:
    """Evaluator -> why it is not trusted on a plant: the family's controls, then its own cell."""
    own, four = results[entry.name], four_of(entry)
    if four is None:
        return Controls(rows_of(own)).standing
    if missing := [name for name in four.values() if name not in results]:
        return dict.fromkeys(validation.EVALUATORS, f"{UNREAD}: {', '.join(missing)}")
    of_four = tuple(r for name in four.values() for r in rows_of(results[name]))
    found = Controls(of_four).standing
    if entry.name in four.values():
        return found
    return {
        name: why or own.get("why", "") or validation.failure(rows_of(own), name)
        for name, why in found.items()
    }


def rows_of(result: dict) -> tuple[Row, ...]:
    return msgspec.convert(result.get("rows", []), tuple[Row, ...])


def main() -> None:
    names, found = list(ENTRIES), {}
    workers = int(os.environ.get("PLANTED_WORKERS", os.cpu_count() or 1))
    in_four = {name for four in fours().values() for name in four.values()}
    until = time.monotonic() + 60 * float(sys.argv[1]) if len(sys.argv) > 1 else math.inf
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        first = sorted(names, key=lambda name: name not in in_four)
        asked = {pool.submit(read, name): name for name in first}
        for done in as_completed(asked):
            if done.cancelled():
                continue
            name = asked[done]
            found[name] = done.result()
            print(f"{name}: {told(found[name])} ({found[name]['seconds']} s)", flush=True)
            if time.monotonic() > until:
                for each in asked:
                    each.cancel()
    results = {name: found[name] for name in names if name in found}
    write(results)


def write(results: dict[str, dict]) -> None:
    """Writes both files from what was read."""
    judged = {n: standing(ENTRIES[n], results) for n in results if "refused" not in results[n]}
    judged |= {
        name: dict.fromkeys(validation.EVALUATORS, UNREAD)
        for name, entry in ENTRIES.items()
        if name not in results and entry.mechanism not in TWINS
    }
    table = {
        f"{name}@{ENTRIES[name].version}": {
            "family": ENTRIES[name].family,
            **found,
            "weights": results.get(name, {}).get("weights"),
        }
        for name, found in judged.items()
    }
    text = json.dumps(table, indent=1, ensure_ascii=False, sort_keys=True)
    Path("eval/validation.json").write_text(text + "\n", "utf-8")
    parts = head() + trusted(judged) + [NOTES] + refused(results)
    page = "\n".join(parts + read_as(results)) + "\n"
    Path("docs/validation.md").write_text(page, "utf-8")
    print(page)


def told(result: dict) -> str:
    if "refused" in result:
        return "refused" if result["refused"] else "NOT REFUSED"
    if "why" in result:
        return result["why"]
    failed = [f for row in rows_of(result) for f in misses(row)]
    return "; ".join(dict.fromkeys(failed)) or "in its cell"


def misses(row: Row) -> list[str]:
    return [each for found in row.failed.values() for each in found]


def head() -> list[str]:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return [
        "# Controls",
        "",
        "On which plants the evaluators `paths` and `presence` are trusted: `make controls` at "
        f"commit {commit or 'unknown'}, on the networks as compiled and rotated. A control must "
        "be read twice as near the truth as the verdict's thresholds ask of a checkpoint, by "
        "one-sided 95 % bounds. Where an evaluator is not trusted its records are gated, and the "
        "verdict abstains.",
        "",
    ]


def trusted(judged: dict[str, dict[str, str]]) -> list[str]:
    lines = ["## Trusted", "| family | plant | paths | presence |", "| --- | --- | --- | --- |"]
    for name, found in judged.items():
        cells = (why or "yes" for why in found.values())
        lines.append(f"| {ENTRIES[name].family} | {name} | " + " | ".join(cells) + " |")
    unread = sum(why.startswith(UNREAD) for found in judged.values() for why in [found["paths"]])
    if unread:
        lines += ["", f"{unread} plants count as not trusted because controls are still unread."]
    return [*lines, ""]


def refused(results: dict[str, dict]) -> list[str]:
    asked = {name: result["refused"] for name, result in results.items() if "refused" in result}
    wrong = [name for name, was in asked.items() if not was]
    return [
        "## Twins",
        f"{len(asked)} networks hold no score and must be refused: "
        + (", ".join(asked) + ". ")
        + ("All are." if not wrong else f"NOT REFUSED: {', '.join(wrong)}."),
        "",
    ]


def read_as(results: dict[str, dict]) -> list[str]:
    lines = [
        "## How they were read",
        "Cell: what carries the choice, which objective it follows, whether the planted winner is "
        "computed. Figures of the network as compiled; where the rotated one differs, after a "
        "slash.",
        "",
        "| network | cue | cell | " + " | ".join(FIGURES) + " | result |",
        "| --- | --- | --- |" + " --- |" * (len(FIGURES) + 1),
    ]
    for result in results.values():
        rows = rows_of(result)
        for exact in (row for row in rows if row.tier == "exact"):
            (turned,) = (r for r in rows if r.tier == "rotated" and r.cue == exact.cue)
            lines.append(line(exact, turned))
    return lines


def line(exact: Row, turned: Row) -> str:
    def shown(row: Row, name: str) -> str:
        value = row.figures.get(name)
        return "–" if value is None else f"{value:.2f}"

    def both(name: str) -> str:
        pair = shown(exact, name), shown(turned, name)
        return pair[0] if pair[0] == pair[1] else "/".join(pair)

    def failed(rows: Iterable[Row]) -> str:
        return "; ".join(f"{row.tier}: {each}" for row in rows for each in misses(row))

    cells = [exact.plant, exact.cue, exact.cell or "none", *map(both, FIGURES.values())]
    return "| " + " | ".join([*cells, failed((exact, turned)) or "pass"]) + " |"


if __name__ == "__main__":
    main()
