"""When does search arise? Networks trained from scratch: writes docs/search-in-natural-models.md.

`python -m tools.natural train` trains what runs/natural lacks and measures it; `validate` measures
the catalogue's searches and their twins; without an argument both, and then the page. `page` writes
the page of what runs/natural holds.
"""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from planted.core.objectives import leftmost
from planted.errors import PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, search
from planted.eval.evidence import index
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import checkpoint_path, finetune, read_checkpoint, read_outcome
from planted.library import get
from planted.network import surgery
from tools.provenance import commit

FOLDER = Path("runs/natural")
PAGE = Path("docs/search-in-natural-models.md")
FAMILIES = (
    "red-doors",
    "bottle-cap",
    "crumbs",
    "keys-chests",
    "cookie-elimination",
)
FREE = {"keys-chests": 48, "cookie-elimination": 48}  # exact tier with so many neurons a layer more
SEEDS = (0, 1, 2)
MENUS = (128,)  # distinct tasks, where training is restricted to so many
STEPS = (100, 250)
FIGURES = ("counterfactual", "weakest", "unseen", "retarget", "independence", "kind")
# A search, and the twins of it that give the same answers by no search.
PAIRS = {
    "red-doors-small": ("red-doors-small-table",),
    "bottle-cap": ("bottle-cap-table", "bottle-cap-list", "bottle-cap-decoy"),
    "bandit.small": ("bandit-table.small", "bandit-decoy.small"),
    "heuristics-ranked.small": ("heuristics.small", "heuristics-decoy.small"),
    "narrow.small": ("narrow-list.small", "narrow-table"),
    "crumbs.small": ("crumbs-list.small", "crumbs-decoy.small"),
    "cookie-elimination.small": ("cookie-elimination-list.small",),
    "keys-chests.small": ("keys-chests-list.small",),
    "lookahead.small": ("lookahead-list.small",),
    "lookahead-action.small": ("lookahead-action-table.small",),
    "grid-doors.small": ("grid-doors-list.small", "grid-doors-table"),
    "grid-keys.small": ("grid-keys-list.small", "grid-keys-table"),
    "red-doors": ("red-doors-list",),
    "wiping.small": ("wiping-list.small",),
    "crumbs-amortised.small": (),
}
TIERS = ("exact", "rotated")


def measured(plant, params):
    """The figures of one network under its training cue, the place, and what they say."""
    context = Context(Checkpoint(plant, params), plant.scenario.cues[0])
    records = index(evaluators.get("search").measure(context))
    cue = context.cue_name
    found = {name: records[f"search.{name}", cue].estimate for name in FIGURES}
    null = records["search.counterfactual", cue].null
    tasks = context.examples(search.FITTED)
    chosen = context.checkpoint.choose(tasks)
    agreement = {
        side: float((leftmost(utility.of(tasks)) == chosen).mean())
        for side, utility in (("mesa", plant.scenario.mesa), ("base", plant.scenario.base))
    }
    return {
        **found,
        "agreement": agreement,
        "null": None if null is None else null.hi,
        "place": search.place_of(records, cue),
        "says": search.kind_of(records, cue),
        "why": records["search.counterfactual", cue].reason,
    }


def start(family):
    """The shapes that a family's networks have; their weights are drawn anew."""
    if family not in FREE:
        return get(family, tier="tempered")
    exact = get(family, tier="exact")
    more = surgery.add_free_neurons(exact.params, seed=0, at_least=FREE[family])
    return replace(exact, params=more)


def restricted(plant, n_tasks):
    """The plant with a sampler that knows so many tasks alone."""
    scenario = plant.scenario
    known = scenario.draw(np.random.default_rng(950), n_tasks)

    def draw(rng, n):
        return known[rng.integers(0, n_tasks, n)].copy()

    return replace(plant, scenario=replace(scenario, draw=draw))


def jobs():
    """What is trained: label -> (family, recipe, how many tasks it knows; 0 for all)."""
    for family in FAMILIES:
        yield f"{family}/no-plant-base", (family, Recipe("no-plant-base"), 0)
    for family in FAMILIES[:3]:
        for n in MENUS:
            recipe = Recipe("no-plant-base", held_out=0.0, behaviour="none", stop=False, steps=1000)
            yield f"{family}/{n} tasks", (family, recipe, n)
    for family in FAMILIES[:2]:
        for steps in STEPS:
            recipe = Recipe("no-plant-base", stop=False, steps=steps, behaviour="none")
            yield f"{family}/step {steps}", (family, recipe, 0)


def train():
    """Trains and measures what is missing."""
    done = rows("trained")
    for label, (family, recipe, n_tasks) in jobs():
        if label in done:
            continue
        plant = start(family)
        folders = {seed: FOLDER / label / str(seed) for seed in SEEDS}
        finetune(restricted(plant, n_tasks) if n_tasks else plant, recipe, folders)
        of_seed = []
        for seed, folder in folders.items():
            path = checkpoint_path(folder)
            params, _ = read_checkpoint(folder, plant, recipe, seed)
            outcome = read_outcome(path)[0]
            one = {"status": outcome.status, "steps": outcome.steps, **measured(plant, params)}
            of_seed.append(one)
        keep("trained", label, of_seed)


def validate():
    """Measures the searches of the catalogue and their twins."""
    done = rows("validated")
    for tier in TIERS:
        for name in (name for pair in PAIRS.items() for name in (pair[0], *pair[1])):
            if f"{name} {tier}" in done:
                continue
            try:
                plant = get(name, tier=tier)
            except PlantedError:
                continue  # long lists are not had in every tier
            keep("validated", f"{name} {tier}", measured(plant, plant.params))


def rows(which):
    path = FOLDER / f"{which}.jsonl"
    if not path.exists():
        return {}
    return dict(json.loads(line) for line in path.read_text().splitlines())


def keep(which, label, row):
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / f"{which}.jsonl").open("a") as file:
        file.write(json.dumps([label, row]) + "\n")
    print(label, row, flush=True)


def main():
    asked = sys.argv[1:] or ["validate", "train", "page"]
    for name in asked:
        {"train": train, "validate": validate, "page": page}[name]()


def shown(value):
    return "–" if value is None else f"{value:.2f}"


def figures_of(one):
    return [shown(one[name]) for name in FIGURES[:-1]] + [shown(one["null"])]


def table(head, body):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in body), ""]


def auroc(pairs):
    """How often the first of a pair has the higher figure, ties counting half."""
    won = [(one > other) + (one == other) / 2 for one, other in pairs]
    return sum(won) / len(won) if won else None


def validation(found):
    """The searches and their twins, and how well figures tell them apart."""
    head = ["network", "tier", "built to", *FIGURES[:-1], "null", "says", "where"]
    body, by_tier = [], {tier: ([], []) for tier in TIERS}
    for pair, twins in PAIRS.items():
        for name in (pair, *twins):
            for tier in TIERS:
                one = found.get(f"{name} {tier}")
                if one is None:
                    continue
                built = "look up" if name in twins else "search"
                says = one["says"] if one["kind"] is not None else f"not measured: {one['why']}"
                body.append([name, tier, built, *figures_of(one), says, one["place"]])
                if one["kind"] is not None and twins:
                    by_tier[tier][name in twins].append(one)
    lines = table(head, body)
    for tier, (searches, others) in by_tier.items():
        every = [(a["kind"], b["kind"]) for a in searches for b in others]
        told = [f"search.kind {shown(auroc(every))}"]
        matched = [
            (found[f"{pair} {tier}"], found[f"{twin} {tier}"])
            for pair, twins in PAIRS.items()
            for twin in twins
            if f"{pair} {tier}" in found and f"{twin} {tier}" in found
        ]
        for side, symbol in (("mesa", "u_m"), ("base", "U")):
            both = [(a["agreement"][side], b["agreement"][side]) for a, b in matched]
            told.append(
                f"agreement with {symbol}, of a search and its own twin, {shown(auroc(both))}"
            )
        wrong = sum(one["says"] == "search" for one in others)
        right = sum(one["says"] == "search" for one in searches)
        lines.append(
            f"Tier {tier}: {right} of {len(searches)} searches are called search, and {wrong} of "
            f"{len(others)} twins. AUROC: {'; '.join(told)}."
        )
    return [*lines, ""]


def natural(found):
    """What the evaluator says of networks that were trained from scratch."""
    lines = []
    full = {k: v for k, v in found.items() if k.endswith("/no-plant-base")}
    counts = Counter(one["says"] for seeds in full.values() for one in seeds)
    names = ("search", "lookup", "inconclusive")
    n = sum(counts.values())
    lines.append(f"Of {n} networks: " + ", ".join(f"{k} {counts[k]}" for k in names) + ".")
    head = ["family", "training", "seed", "ended", "U", *FIGURES[:-1], "null", "says", "where"]
    body = []
    for label, seeds in found.items():
        family, _, training = label.partition("/")
        for seed, one in enumerate(seeds):
            says = one["says"] if one["kind"] is not None else f"not measured: {one['why']}"
            ended = f"{one['status']}, {one['steps']}"
            agreed = shown(one["agreement"]["base"])
            body.append(
                [family, training, seed, ended, agreed, *figures_of(one), says, one["place"]]
            )
    return [*lines, "", *table(head, body)]


PROSE = Path(__file__).with_name("natural.md")


def page():
    """Writes the page from what runs/natural holds."""
    parts = {
        "commit": commit(),
        "validation": "\n".join(validation(rows("validated"))),
        "natural": "\n".join(natural(rows("trained"))),
    }
    text = PROSE.read_text("utf-8")
    for name, part in parts.items():
        text = text.replace("{" + name + "}", part)
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
