"""Validates the evaluators on the whole catalogue: docs/validation.md, eval/calibration/trust.json.

What a network was read as is kept in the cache folder, so that an interrupted run goes on. With a
number of minutes as argument no further network is begun after them: the files then leave out what
was not read, and nothing is trusted there.
"""

import json
import math
import os
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
from planted.eval.calibration import trust, validation
from planted.eval.calibration.validation import EVALUATORS, ROLES, Role, Row, ValidationResult
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.verdict.thresholds import default
from planted.programs.catalogue import ENTRIES, Entry
from tools.provenance import commit

# Mechanisms of which the scorer carries every choice; of others no cell is known.
SEARCHES = (
    "search",
    "additive search",
    "search over plans",
    "search by pairs",
    "search by rank",
    "nested search",
)
UNREAD = "never validated: these models were not read"
FIGURES = {
    "scorer share": "paths.scorer_share",
    "λ": "paths.interpolation",
    "accuracy": "paths.accuracy",
    "other": "paths.other",
    "retarget": "paths.retarget",
    "swap": "paths.swap",
    "argmax R²": "presence.mesa_argmax",
}
PROSE = Path("docs/validation.md")
TABLES = "<!-- What follows is written by `make validation`. -->"


def fours() -> dict[str, dict[Role, str]]:
    """Plant -> role -> name, of the plants that have all four validation models."""
    found = {}
    for name in ENTRIES:
        four = {role: name if role == "plant" else f"{name}-{role}" for role in ROLES}
        if all(each in ENTRIES for each in four.values()):
            found[name] = four
    return found


def four_of(entry: Entry) -> dict[Role, str] | None:
    """The models of the plant that an entry varies: of its family, the nearest by name."""
    related = {name: four for name, four in fours().items() if ENTRIES[name].family == entry.family}
    varied = [name for name in related if f"{entry.name}-".startswith(f"{name}-")]
    nearest = max(varied, key=len, default=next(iter(related), None))
    return None if nearest is None else related[nearest]


def role_of(name: str) -> Role:
    """Which validation model a network is; "plant" if none."""
    named = {each: role for four in fours().values() for role, each in four.items()}
    return named.get(name, "plant")


def read(name: str) -> dict[str, object]:
    """How one network is read: {"rows" or "refused" or "why", "weights", "digest", "seconds"}."""
    started, plant = time.perf_counter(), library.get(name)
    about = {
        "weights": artefact.params_digest(plant.params),
        "digest": trust.validation_digest(plant),
    }
    request = [about, plant.name, role_of(name), environment.source_digest()]
    request.append(environment.versions())
    key = files.sha256(json.dumps(request).encode())[:24]
    kept = environment.cache_folder() / "validation" / key
    if kept.exists():
        return files.read_json(kept)
    found = {**about, **_read(name, plant), "seconds": round(time.perf_counter() - started, 1)}
    files.write_json(kept, found)
    return found


def _read(name: str, plant: library.Plant) -> dict[str, object]:
    if not plant.truth.of_role("score"):
        try:
            evaluate(Checkpoint(plant, plant.params))
        except PlantedError:
            return {"refused": True}
        return {"refused": False}
    if not disagrees(plant.scenario):
        return {"why": "no cell: its objectives do not disagree"}
    if ENTRIES[name].mechanism.partition(",")[0] not in SEARCHES and role_of(name) == "plant":
        return {"why": f"no cell: its scorer does not carry every choice ({plant.mechanism})"}
    return {"rows": msgspec.to_builtins(validation.rows(plant, role_of(name)))}


def trusted(entry: Entry, results: dict[str, dict]) -> dict[str, str]:
    """Evaluator -> why it is not trusted on a plant: its family's models, then its own cell."""
    own, four = results[entry.name], four_of(entry)
    if own.get("why"):  # which says more than that the family then lacks its plant
        return dict.fromkeys(EVALUATORS, own["why"])
    if four is None:
        return ValidationResult(rows_of(own)).trust
    if missing := [name for name in four.values() if name not in results]:
        return dict.fromkeys(EVALUATORS, f"{UNREAD}: {', '.join(missing)}")
    of_four = tuple(row for name in four.values() for row in rows_of(results[name]))
    found = ValidationResult(of_four).trust
    if entry.name in four.values():
        return found
    return {name: why or validation.failure(rows_of(own), name) for name, why in found.items()}


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
    write({name: found[name] for name in names if name in found})


def write(results: dict[str, dict]) -> None:
    """Writes the table that is shipped, and the tables of the page below its prose."""
    judged = {n: trusted(ENTRIES[n], results) for n in results if "refused" not in results[n]}
    table = {
        results[name]["digest"]: {
            "plant": f"{name}@{ENTRIES[name].version}",
            "evaluators": why,
            "weights": results[name]["weights"],
        }
        for name, why in judged.items()
    }
    trust.write_shipped(Path("eval/calibration/trust.json"), table, default().label)
    prose = PROSE.read_text("utf-8").partition(TABLES)[0]
    parts = [prose + TABLES, *measured_at(), *trust_table(judged)]
    page = "\n".join(parts + refused(results) + read_as(results)) + "\n"
    PROSE.write_text(page, "utf-8")
    print(page)


def told(result: dict) -> str:
    """One network's result on one line."""
    if "refused" in result:
        return "refused" if result["refused"] else "NOT REFUSED"
    if "why" in result:
        return result["why"]
    failed = [each for row in rows_of(result) for each in misses(row)]
    return "; ".join(dict.fromkeys(failed)) or "in its cell"


def misses(row: Row) -> list[str]:
    return [each for found in row.failed.values() for each in found]


def measured_at() -> list[str]:
    return ["", f"Measured at commit {commit()}, thresholds {default().label}.", ""]


def trust_table(judged: dict[str, dict[str, str]]) -> list[str]:
    lines = ["## Where they are trusted", "| family | plant | paths | presence |"]
    lines.append("| --- | --- | --- | --- |")
    for name, found in judged.items():
        cells = (why or "yes" for why in found.values())
        lines.append(f"| {ENTRIES[name].family} | {name} | " + " | ".join(cells) + " |")
    unread = [name for name, entry in ENTRIES.items() if name not in judged and not entry.twin_of]
    if unread:
        lines += ["", f"Not read, so not trusted: {', '.join(unread)}."]
    return [*lines, ""]


def refused(results: dict[str, dict]) -> list[str]:
    asked = {name: result["refused"] for name, result in results.items() if "refused" in result}
    wrong = [name for name, was in asked.items() if not was]
    return [
        "## Networks without a score",
        f'{len(asked)} twins hold no score; the evaluators must report "not measured" on them: '
        f"{', '.join(asked)}. "
        + ("They do." if not wrong else f"NOT REFUSED: {', '.join(wrong)}."),
        "",
    ]


def read_as(results: dict[str, dict]) -> list[str]:
    lines = [
        "## How the models were read",
        "Each cell says: what carries the choice, which objective it follows, whether the planted "
        "argmax candidate is computed. Figures of the network as compiled; where the rotated one "
        "differs, after a slash.",
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

    cells = [exact.plant, exact.cue, exact.cell or "none", *map(both, FIGURES.values())]
    return "| " + " | ".join([*cells, outcome((exact, turned))]) + " |"


def outcome(rows: Iterable[Row]) -> str:
    """ "pass", or what failed; then what was skipped."""
    rows = tuple(rows)
    failed = [f"{row.tier}: {each}" for row in rows for each in misses(row)]
    skipped = dict.fromkeys(e for row in rows for found in row.skipped.values() for e in found)
    said = failed or ["pass"]
    return "; ".join([*said, *(f"skipped: {each}" for each in skipped)])


if __name__ == "__main__":
    main()
