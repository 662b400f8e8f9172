"""How long a default run takes, from the command line, and on what: writes docs/benchmark-runs.md.

`python -m tools.bench_runs crumbs wiping` times these alone, in runs/default/PLANT; without names,
every plant whose controls are shipped. `--parts` also times a second run and the judging alone.
What was timed is a line of docs/benchmark-runs.jsonl, and the page is of all of them. Each run is
the first of a machine: the cache folder holds the plant's tier and no compiled program. It needs a
quiet machine.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.controls import PLANTS
from tools.provenance import commit

RECIPES = ("pressure", "coincident", "read-out", "cued")
SEEDS = 5
PLACE = Path("runs/default")
PAGE = Path("docs/benchmark-runs.md")
DATA = PAGE.with_suffix(".jsonl")
IMPORTS = "import jax, optax, planted.finetune.trainer, planted.eval.evaluate, scipy.stats"
WORDS = [str(Path(sys.executable).with_name("planted")), "run"]


def spent(words, cache):
    """(wall, processor) seconds of a Python process and of those it starts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PLANTED_CACHE": str(cache)}
    quiet = subprocess.DEVNULL
    subprocess.run(
        [sys.executable, *words], env=environment, check=True, stdout=quiet, stderr=quiet
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - started, used


def timed(name, parts):
    """The seconds of a plant's first default run; of `parts` a second run and the judging too."""
    place, cache = PLACE / name, (PLACE / f"{name}-cache").absolute()
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(cache, ignore_errors=True)
    asked = [word for recipe in RECIPES for word in ("--recipe", recipe)]
    asked = [*WORDS, name, *asked, "--seeds", str(SEEDS), "--anyway", "--out", str(place)]
    plant, _ = spent(["-c", f"import planted; planted.load({name!r}, tier='tempered')"], cache)
    found = {
        "plant": name, "planting": plant, "first": spent(asked, cache),
        "networks": len(list(place.glob("cells/*/cell.json"))),
        "cores": os.cpu_count(), "machine": platform.machine(), "commit": commit(),
    }  # fmt: skip
    if not parts:
        return found
    shutil.rmtree(cache / "cells")  # which keeps the controls for other runs
    for folder in place.glob("cells/*/evidence"):
        shutil.rmtree(folder)
    judged = spent(asked, cache)
    shutil.rmtree(place)
    shutil.rmtree(cache / "cells", ignore_errors=True)
    again = spent(asked, cache)
    imports, _ = spent(["-c", IMPORTS], cache)
    return {**found, "again": again, "judging": judged, "imports": imports}


def row(found):
    """A line of the page."""
    wall, processor = found["first"]
    planted = [found["plant"], str(found["networks"]), f"{found['planting']:.0f}", f"{wall:.0f}"]
    busy = f"{processor / wall:.2f}"
    if "again" not in found:
        return [*planted, busy, "–", "–", "–", "–", found["commit"]]
    again, judging = found["again"], found["judging"]
    training, compiling = again[1] - judging[1], max(0.0, processor - again[1])
    parts = [f"{seconds:.0f}" for seconds in (again[0], training, judging[1], compiling)]
    return [*planted, busy, *parts, found["commit"]]


def page(every):
    """The page, from what was timed."""
    head = (
        "plant", "networks", "planting, s", "first run, s", "cores busy", "later run, s",
        "training, cpu s", "judging, cpu s", "compiling, cpu s", "commit",
    )  # fmt: skip
    machines = {f"{each['cores']} cores of {each['machine']}" for each in every}
    imports = max((each["imports"] for each in every if "imports" in each), default=0.0)
    lines = [
        "# How long a default run takes",
        "",
        f"`python -m tools.bench_runs`, on {', '.join(sorted(machines))}; the data are in "
        f"[{DATA.name}]({DATA.name}). `planted run PLANT` by "
        f"{len(RECIPES)} recipes ({', '.join(RECIPES)}), {SEEDS} seeds each, beside negative "
        "controls and sham fine-tuning of which the release ships most; networks counts all that "
        "are trained. Planting is loading the tempered tier with an empty cache: an instant where "
        "the release ships it, otherwise it is compiled and certified, once a machine. The first "
        "run of a machine compiles its programs with XLA; a later one, of any plant of that shape, "
        "finds them in the cache folder. Where the parts were timed: judging is what the same "
        "command takes where only the evidence is missing, so it includes importing (at most "
        f"{imports:.1f} s a process); training is the rest of a later run.",
        "",
        "| " + " | ".join(head) + " |",
        "| --- |" + " --- |" * (len(head) - 1),
        *("| " + " | ".join(row(found)) + " |" for found in every),
    ]
    PAGE.write_text("\n".join(lines) + "\n")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", default=PLANTS, help="names in the catalogue")
    words.add_argument("--parts", action="store_true", help="time a second run and judging too")
    words.add_argument("--page", action="store_true", help="write the page from what is there")
    given = words.parse_args()
    lines = DATA.read_text().splitlines() if DATA.exists() else []
    every = {found["plant"]: found for found in map(json.loads, lines)}
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in () if given.page else given.plants:
        found = every[name] = timed(name, given.parts)
        DATA.write_text("".join(json.dumps(each) + "\n" for each in every.values()))
        print(" ".join(row(found)), flush=True)
    page(every.values())


if __name__ == "__main__":
    main()
