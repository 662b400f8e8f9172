"""How long a default run takes, from the command line, and on what: writes docs/benchmark-runs.md.

`python -m tools.bench_runs crumbs wiping` times these alone, in runs/default/PLANT; the page is of
all that were timed. Each run is the first of a machine: the cache folder holds the plant's tier and
no compiled program. It needs a quiet machine.
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

from tools.provenance import commit

PLANTS = (
    "red-doors",
    "red-doors-small",
    "crumbs",
    "cookie-elimination",
    "keys-chests",
    "bottle-cap",
    "schemer-proxy",
    "diversity",
    "lookahead",
    "wiping",
)
RECIPES = ("pressure", "coincident", "read-out", "cued")
SEEDS = 5
PLACE = Path("runs/default")
PAGE = Path("docs/benchmark-runs.md")
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


def timed(name):
    """The seconds of a plant's default run: the whole, compiled again, and judged alone."""
    place, cache = PLACE / name, (PLACE / f"{name}-cache").absolute()
    shutil.rmtree(place, ignore_errors=True)
    shutil.rmtree(cache, ignore_errors=True)
    asked = [word for recipe in RECIPES for word in ("--recipe", recipe)]
    asked = [*WORDS, name, *asked, "--seeds", str(SEEDS), "--anyway", "--out"]
    plant, _ = spent(["-c", f"import planted; planted.load({name!r}, tier='tempered')"], cache)
    first = spent([*asked, str(place)], cache)
    shutil.rmtree(cache / "cells")  # which keeps the controls for other runs
    for folder in place.glob("cells/*/evidence"):
        shutil.rmtree(folder)
    judged = spent([*asked, str(place)], cache)
    shutil.rmtree(place)
    shutil.rmtree(cache / "cells", ignore_errors=True)
    again = spent([*asked, str(place)], cache)
    networks = len(list(place.glob("cells/*/cell.json")))
    return {
        "plant": name, "networks": networks,
        "planting": plant, "first": first, "again": again, "judging": judged,
        "imports": spent(["-c", IMPORTS], cache)[0], "commit": commit(),
    }  # fmt: skip


def row(found):
    """A line of the page."""
    first, again, judging = found["first"], found["again"], found["judging"]
    training = again[1] - judging[1]
    return [
        found["plant"], str(found["networks"]), f"{first[0]:.0f}", f"{again[0]:.0f}",
        f"{training:.0f}", f"{judging[1]:.0f}", f"{max(0.0, first[1] - again[1]):.0f}",
        f"{first[1] / first[0]:.2f}", f"{found['planting']:.0f}",
    ]  # fmt: skip


def page(every):
    """The page, from what was timed."""
    head = (
        "plant", "networks", "first run, s", "later run, s", "training, cpu s", "judging, cpu s",
        "compiling, cpu s", "cores busy", "planting, s",
    )  # fmt: skip
    imports = max(found["imports"] for found in every)
    lines = [
        "# How long a default run takes",
        "",
        f"`python -m tools.bench_runs`, commit {', '.join(sorted({e['commit'] for e in every}))}, "
        f"{os.cpu_count()} cores of {platform.machine()}. `planted run PLANT` by "
        f"{len(RECIPES)} recipes ({', '.join(RECIPES)}), {SEEDS} seeds each, beside negative "
        "controls and sham fine-tuning of which the release ships most; networks counts all that "
        "are trained. The first run of a machine compiles its programs with XLA; a later one, of "
        "any plant of that shape, finds them in the cache folder. Judging is what the same command "
        "takes where only the evidence is missing, so it includes importing (at most "
        f"{imports:.1f} s a process). Training is the rest of a later run. Planting is loading the "
        "tempered tier with an empty cache: an instant where the release ships it, otherwise it is "
        "compiled and certified, once a machine.",
        "",
        "| " + " | ".join(head) + " |",
        "| --- |" + " --- |" * (len(head) - 1),
        *("| " + " | ".join(row(found)) + " |" for found in every),
    ]
    PAGE.write_text("\n".join(lines) + "\n")


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", default=PLANTS, help="names in the catalogue")
    words.add_argument("--page", action="store_true", help="write the page from what is there")
    given = words.parse_args()
    PLACE.mkdir(parents=True, exist_ok=True)
    for name in () if given.page else given.plants:
        found = timed(name)
        (PLACE / f"{name}.json").write_text(json.dumps(found))
        print(" ".join(row(found)), flush=True)
    there = [PLACE / f"{name}.json" for name in PLANTS]
    page([json.loads(path.read_text()) for path in there if path.exists()])


if __name__ == "__main__":
    main()
