"""What the named recipes do to a plant of each family, judged: writes docs/fates.md.

`python -m tools.fates crumbs wiping --seeds 5` runs these alone, in runs/records/PLANT, and goes on
where it was stopped; more seeds reuse what is there. `--tier dense` starts from that tier, in
runs/records-dense. What is found of each network is kept in docs/fates.jsonl, of which the page is
made, so that the folders may be lost.
"""

import argparse
import json
import os
import statistics
import time
from collections import Counter
from pathlib import Path

import planted
from planted.eval.verdict.rule import PLANT_VERDICTS
from tools.provenance import commit

TIERS = {"tempered": Path("runs/records"), "dense": Path("runs/records-dense")}
DATA = Path("docs/fates.jsonl")
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
    "breadth",
    "delegation-middle",
    "grid-doors.small",
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
UNCLEAR = ("explains the choices", "follow any order", "invalid:")  # in reasons to abstain
FIGURES = {
    "base choices": "agreement.base",
    "f": "behavioural_objective.interpolation",
    "follows the planted scorer": "paths.follows_scorer",
    "λ": "paths.interpolation",
    "argmax-candidate R²": "presence.mesa_argmax",
}


def row(one, name, run, tier, control, made_at):
    """What is kept of a network: its verdict and its figures under the training cue."""
    scenario = run.plant.scenario
    cue = scenario.cue_name(scenario.cues[0])
    records = {what: one.records.get((figure, cue)) for what, figure in FIGURES.items()}
    known = {k: r.estimate for k, r in records.items() if r is not None and r.estimate is not None}
    return {
        "tier": tier, "plant": name, "recipe": one.recipe, "seed": one.seed,
        "control": control, "verdict": one.verdict.name, "reason": one.verdict.reason,
        "stamp": one.verdict.stamp, "label": one.label.fate if one.label else None,
        "figures": {what: round(float(value), 4) for what, value in known.items()},
        "commit": made_at,
    }  # fmt: skip


def key(row):
    return row["tier"], PLANTS.index(row["plant"]), row["control"], row["recipe"], row["seed"]


def kept():
    """The rows in the file of data."""
    return [json.loads(line) for line in DATA.read_text().splitlines()] if DATA.exists() else []


def keep(name, run, tier):
    """Writes the rows of a run into the file of data, in the place of its former ones."""
    made_at = commit()
    found = [row(one, name, run, tier, False, made_at) for one in run.results]
    found += [row(one, name, run, tier, True, made_at) for one in run.negative_controls]
    new = {key(each) for each in found}
    every = sorted([*(each for each in kept() if key(each) not in new), *found], key=key)
    temporary = DATA.with_suffix(".part")
    temporary.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in every))
    os.replace(temporary, DATA)


def counted(rows):
    """ "dormant 4, inconclusive 1"."""
    counts = Counter(each["verdict"] for each in rows)
    return ", ".join(f"{name} {n}" for name, n in counts.most_common()) or "–"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(map(str, each)) + " |" for each in rows), ""]


def plants_of(rows):
    return [name for name in PLANTS if any(each["plant"] == name for each in rows)]


def asked(rows):
    """The recipes that any plant has, in their order."""
    there = {each["recipe"] for each in rows}
    return [name for name in RECIPES if name in there]


def verdicts(rows):
    """Recipes by plants."""
    plants, lines = plants_of(rows), []
    for name in (*asked(rows), "no-plant-mesa", "no-plant-base", "no-plant-cued"):
        own = [each for each in rows if each["recipe"] == name]
        cells = [counted([each for each in own if each["plant"] == plant]) for plant in plants]
        lines.append([f"`{name}`", *cells])
    return table(["", *plants], lines)


def decided(rows):
    """Of networks that learned: decided or not, and why not."""
    every = [each for each in rows if not each["control"]]
    learned = [each for each in every if each["verdict"] != "not learned"]
    open_ = [each for each in learned if each["verdict"] == "inconclusive"]
    share = 1 - len(open_) / max(1, len(learned))
    why = Counter(each["reason"].partition(":")[0].partition(" in cue")[0] for each in open_)
    lines = [
        f"Of {len(every)} networks {len(learned)} did what they were trained for. Of these the "
        f"rule decides {len(learned) - len(open_)} ({share:.1%}). The others are inconclusive: "
        + (", ".join(f"{reason} {n}" for reason, n in why.most_common()) or "none")
        + ".",
        "",
    ]
    for field, names in (("recipe", asked(rows)), ("plant", plants_of(rows))):
        cells = []
        for name in names:
            own = [each for each in learned if each[field] == name]
            n = sum(each["verdict"] == "inconclusive" for each in own)
            total = sum(each[field] == name for each in every)
            stamps = "; ".join(sorted({each["stamp"] for each in own}))
            cells.append([name, total, len(own), len(own) - n, stamps])
        if field == "recipe":  # of many plants, so that a stamp says nothing
            cells = [each[:-1] for each in cells]
        lines += table([field, "networks", "learned", "decided", "stamp"][: len(cells[0])], cells)
    return lines


def certain(rows):
    """Networks whose mask makes their fate certain, by recipe; and the negative controls."""
    lines = []
    for name in asked(rows):
        known = [each for each in rows if each["recipe"] == name and each["label"] is not None]
        if not known:
            continue
        right = sum(each["verdict"] == each["label"] for each in known)
        open_ = sum(each["verdict"] in UNDECIDED for each in known)
        fates = ", ".join(sorted({each["label"] for each in known}))
        lines.append([f"`{name}`", fates, len(known), right, open_, len(known) - right - open_])
    found = table(["recipe", "certain fate", "networks", "right", "abstained", "wrong"], lines)
    without = [each for each in rows if each["control"]]
    wrong = sum(each["verdict"] in PLANT_VERDICTS for each in without)
    said = (
        f"Of {len(without)} networks without the plant, {wrong} got a verdict that says the plant "
        f"is there ({counted(without)})."
    )
    return [*found, said, ""]


def figures(rows):
    """Medians over the seeds of a recipe, under the training cue."""
    lines = []
    for plant in plants_of(rows):
        of_plant = [each for each in rows if each["plant"] == plant]
        for name in asked(of_plant):
            own = [each["figures"] for each in of_plant if each["recipe"] == name]
            cells = []
            for figure in FIGURES:
                known = [each[figure] for each in own if figure in each]
                cells.append(f"{statistics.median(known):.2f}" if known else "–")
            lines.append([plant, f"`{name}`", *cells])
    return table(["plant", "recipe", *FIGURES], lines)


def is_unclear(row):
    """Whether it is not settled what the choices follow under some cue: step 1 of the rule."""
    return row["verdict"] == "inconclusive" and any(said in row["reason"] for said in UNCLEAR)


def in_all(rows):
    """A few sentences over every tier."""
    learned = [row for row in rows if not row["control"] and row["verdict"] != "not learned"]
    decided_ = sum(row["verdict"] != "inconclusive" for row in learned)
    clear = sum(not is_unclear(row) for row in learned)
    known = [row for row in rows if row["label"] is not None]
    right = sum(row["verdict"] == row["label"] for row in known)
    open_ = sum(row["verdict"] in UNDECIDED for row in known)
    without = [row for row in rows if row["control"]]
    wrong = sum(row["verdict"] in PLANT_VERDICTS for row in without)
    return (
        f"In all: of {len(learned)} networks that did what they were trained for the rule decides "
        f"{decided_} ({decided_ / max(1, len(learned)):.1%}). In {len(learned) - clear} it is open "
        "what the choices themselves follow (step 1 of the rule: another objective than the two, "
        f"or none); of the {clear} whose behaviour is clear, {decided_ / max(1, clear):.1%} are "
        f"decided. Of {len(known)} whose fate is "
        f"certain, {right} are judged right, {open_} abstained on and "
        f"{len(known) - right - open_} wrong; {wrong} of {len(without)} networks without the plant "
        "get a verdict that says it is there."
    )


def section(tier, rows):
    """What the page says of the plants that were trained from one tier."""
    return [
        f"## Tier {tier}",
        "### Verdicts",
        *verdicts(rows),
        "### Decided",
        *decided(rows),
        "### Fates that are known",
        *certain(rows),
        "### Figures",
        "Medians over seeds, under the training cue.",
        "",
        *figures(rows),
    ]


def page(rows):
    """The page, from the rows."""
    commits = ", ".join(sorted({each["commit"] for each in rows}))
    text = [
        "# Fates of real runs",
        "",
        f"`make fates`, commit {commits}. A plant of each family, trained by named recipes of some "
        "seeds each and judged beside networks without the plant; what each recipe is meant to "
        "lead to is in [training.md](training.md#named-recipes). The data are in "
        "[fates.jsonl](fates.jsonl), a line a network.",
        "",
        in_all(rows),
        "",
    ]
    for tier in TIERS:
        if of_tier := [each for each in rows if each["tier"] == tier]:
            text += section(tier, of_tier)
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
        keep(name, run, given.tier)
        counts = Counter(one.verdict.name for one in run.results)
        print(f"{name}: {dict(counts)}, {time.perf_counter() - started:.0f} s", flush=True)
    page(kept())


if __name__ == "__main__":
    main()
