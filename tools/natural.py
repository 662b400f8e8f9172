"""When does search arise? Networks trained from scratch: writes docs/search-in-natural-models.md.

`python tools/natural.py train` trains what runs/natural lacks and measures it; `validate` measures
the catalogue's searches and their twins; without an argument both, and then the page. `page` writes
the page of what runs/natural holds.
"""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

import planted
from planted.errors import PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, search
from planted.eval.evidence import index
from planted.finetune.recipes import Recipe
from planted.finetune.trainer import checkpoint_path, finetune, read_checkpoint, read_outcome
from planted.library import get

FOLDER = Path("runs/natural")
PAGE = Path("docs/search-in-natural-models.md")
FAMILIES = (
    "red-doors",
    "bottle-cap",
    "crumbs",
    "keys-chests",
    "cookie-elimination",
)
SEEDS = (0, 1, 2)
MENUS = (128,)  # distinct tasks, where training is restricted to so many
STEPS = (250, 1000)
FIGURES = ("counterfactual", "weakest", "unseen", "retarget", "independence", "kind")
# A search, and the twins of it that give the same answers by no search.
PAIRS = {
    "red-doors-small": ("red-doors-small-table",),
    "red-doors": ("red-doors-list", "red-doors-decoy"),
    "bottle-cap": ("bottle-cap-table", "bottle-cap-list", "bottle-cap-decoy"),
    "crumbs.small": ("crumbs-list.small", "crumbs-decoy.small"),
    "cookie-elimination.small": ("cookie-elimination-list.small",),
    "keys-chests.small": ("keys-chests-list.small", "keys-chests-decoy.small"),
    "wiping.small": ("wiping-list.small",),
    "lookahead.small": ("lookahead-list.small",),
    "lookahead-action": ("lookahead-action-table", "lookahead-action-decoy"),
    "narrow.small": ("narrow-list.small", "narrow-table"),
    "grid-doors.small": ("grid-doors-list.small", "grid-doors-table"),
    "grid-keys.small": ("grid-keys-list.small", "grid-keys-table"),
    "bandit.small": ("bandit-table.small", "bandit-decoy.small"),
    "heuristics-ranked.small": ("heuristics.small", "heuristics-decoy.small"),
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
    chosen = context.checkpoint.choose(context.examples("disputed tasks"))
    agreement = {
        side: float((utility.of(context.examples("disputed tasks")).argmax(1) == chosen).mean())
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
    for family in FAMILIES:
        for n in MENUS:
            recipe = Recipe("no-plant-base", held_out=0.0, behaviour="none", stop=False, steps=1000)
            yield f"{family}/{n} tasks", (family, recipe, n)
    for family in FAMILIES:
        for steps in STEPS:
            recipe = Recipe("no-plant-base", stop=False, steps=steps, behaviour="none")
            yield f"{family}/step {steps}", (family, recipe, 0)


def train():
    """Trains and measures what is missing."""
    done = rows("trained")
    for label, (family, recipe, n_tasks) in jobs():
        if label in done:
            continue
        plant = get(family, tier="tempered")
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
    for plant_name, twins in PAIRS.items():
        for name in (plant_name, *twins):
            for tier in TIERS:
                if f"{name} {tier}" in done:
                    continue
                try:
                    plant = get(name, tier=tier)
                except PlantedError as error:
                    keep("validated", f"{name} {tier}", {"missing": str(error)})
                    continue
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


def page():
    pass


if __name__ == "__main__":
    main()
