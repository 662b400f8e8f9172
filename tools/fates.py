"""What the named recipes do to a plant of each family, judged: writes docs/fates.md.

`python tools/fates.py crumbs wiping --seeds 5` runs these alone, in runs/records/PLANT, and goes on
where it was stopped; more seeds reuse what is there. `--tier dense` starts from that tier, in
runs/records-dense. The page is of all that the folders hold.
"""

import argparse
import statistics
import subprocess
import time
from collections import Counter
from pathlib import Path

import planted
from planted.eval.verdict.rule import PLANT_VERDICTS

TIERS = {"tempered": Path("runs/records"), "dense": Path("runs/records-dense")}
PAGE = Path("docs/fates.md")
PLANTS = (
    "red-doors",
    "crumbs",
    "cookie-elimination",
    "keys-chests",
    "bottle-cap",
    "schemer-proxy",
    "red-doors-small",
    "lookahead",
    "wiping",
    "grid-doors",
)
RECIPES = (
    "pressure",
    "coincident",
    "read-out",
    "cued",
    "around",
    "cued-around",
    "coincident-slack",
    "blend",
    "cued-rare",
    "cued-only",
    "random-labels",
    "scorer",
    "blend-scorer",
)
ASKED = RECIPES[:7]  # without --recipe
UNDECIDED = ("inconclusive", "not learned")
FIGURES = {
    "base choices": "agreement.base",
    "f": "behavioural_objective.interpolation",
    "follows the planted scorer": "paths.follows_scorer",
    "λ": "paths.interpolation",
    "argmax-candidate R²": "presence.mesa_argmax",
}


def runs(place):
    """Plant -> its run, of those in the folder that are judged."""
    there = [name for name in PLANTS if (place / name / "verdicts.json").exists()]
    return {name: planted.open_run(place / name) for name in there}


def asked(found):
    """The recipes that any run has, in their order."""
    there = {one.recipe for run in found.values() for one in run.results}
    return [name for name in RECIPES if name in there]


def counted(results):
    """ "dormant 4, inconclusive 1"."""
    counts = Counter(one.verdict.name for one in results)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common()) or "–"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def verdicts(found):
    """Recipes by plants."""
    names = [*asked(found), "no-plant-mesa", "no-plant-base", "no-plant-cued"]
    rows = []
    for name in names:
        row = [f"`{name}`"]
        for run in found.values():
            every = [*run.results, *run.negative_controls]
            row.append(counted([one for one in every if one.recipe == name]))
        rows.append(row)
    return table(["", *found], rows)


def decided(found):
    """Of networks that learned: decided or not, and why not."""
    every = [one for run in found.values() for one in run.results]
    learned = [one for one in every if one.verdict.name != "not learned"]
    open_ = [one for one in learned if one.verdict.name == "inconclusive"]
    share = 1 - len(open_) / max(1, len(learned))
    why = Counter(one.verdict.reason.partition(":")[0].partition(" in cue")[0] for one in open_)
    lines = [
        f"Of {len(every)} networks {len(learned)} did what they were trained for. Of these the "
        f"rule decides {len(learned) - len(open_)} ({share:.1%}). The others are inconclusive: "
        + (", ".join(f"{reason} {n}" for reason, n in why.most_common()) or "none")
        + ".",
        "",
    ]
    rows = []
    for plant, run in found.items():
        own = [one for one in run.results if one.verdict.name != "not learned"]
        n = sum(one.verdict.name == "inconclusive" for one in own)
        stamps = "; ".join(sorted({one.verdict.stamp for one in own}))
        rows.append([plant, len(run.results), len(own), len(own) - n, stamps])
    return [*lines, *table(["plant", "networks", "learned", "decided", "stamp"], rows)]


def certain(found):
    """Networks whose mask makes their fate certain, by recipe; and the negative controls."""
    rows = []
    for name in asked(found):
        own = [one for run in found.values() for one in run.results if one.recipe == name]
        known = [one for one in own if one.label is not None]
        if not known:
            continue
        right = sum(one.verdict.name == one.label.fate for one in known)
        open_ = sum(one.verdict.name in UNDECIDED for one in known)
        fates = ", ".join(sorted({one.label.fate for one in known}))
        rows.append([f"`{name}`", fates, len(known), right, open_, len(known) - right - open_])
    lines = table(["recipe", "certain fate", "networks", "right", "abstained", "wrong"], rows)
    without = [one for run in found.values() for one in run.negative_controls]
    wrong = sum(one.verdict.name in PLANT_VERDICTS for one in without)
    said = (
        f"Of {len(without)} networks without the plant, {wrong} got a verdict that says the plant "
        f"is there ({counted(without)})."
    )
    return [*lines, said, ""]


def figures(found):
    """Medians over the seeds of a recipe, under the training cue."""
    rows = []
    for plant, run in found.items():
        for name in asked({plant: run}):
            own = [one for one in run.results if one.recipe == name]
            row = [plant, f"`{name}`"]
            for figure in FIGURES.values():
                cue = run.plant.scenario.cue_name(run.plant.scenario.cues[0])
                records = [one.records.get((figure, cue)) for one in own]
                known = [r.estimate for r in records if r is not None and r.estimate is not None]
                row.append(f"{statistics.median(known):.2f}" if known else "–")
            rows.append(row)
    return table(["plant", "recipe", *FIGURES], rows)


def section(tier, found):
    """What the page says of the plants that were trained from one tier."""
    return [
        f"## Tier {tier}",
        "### Verdicts",
        *verdicts(found),
        "### Decided",
        *decided(found),
        "### Fates that are known",
        *certain(found),
        "### Figures",
        "Medians over seeds, under the training cue.",
        "",
        *figures(found),
    ]


def page():
    """The page, from all that the folders hold."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    text = [
        "# Fates of real runs",
        "",
        f"`make fates`, commit {commit}. A plant of each family, trained by named recipes of some "
        "seeds each and judged beside networks without the plant; what each recipe is meant to "
        "lead to is in [training.md](training.md#named-recipes).",
        "",
    ]
    for tier, place in TIERS.items():
        if found := runs(place):
            text += section(tier, found)
    PAGE.write_text("\n".join(text))


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", default=PLANTS, help="names in the catalogue")
    words.add_argument("--seeds", type=int, default=10)
    words.add_argument("--recipe", action="append", choices=RECIPES)
    words.add_argument("--tier", choices=TIERS, default="tempered")
    words.add_argument("--controls", type=int, help="seeds of each control, all trained here")
    words.add_argument("--page", action="store_true", help="write the page from what is there")
    given = words.parse_args()
    for name in () if given.page else given.plants:
        recipes = [planted.Recipe(recipe, seeds=given.seeds) for recipe in given.recipe or ASKED]
        out, started = TIERS[given.tier] / name, time.perf_counter()
        run = planted.run(
            name, recipes, out=out, tier=given.tier, controls=given.controls, anyway=True
        )
        seconds = time.perf_counter() - started
        print(f"{name}: {counted(run.results)}, {seconds:.0f} s", flush=True)
        page()
    page()


if __name__ == "__main__":
    main()
