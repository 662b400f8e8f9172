"""Trains every named recipe in many families: writes docs/training-study.md and its data.

`python -m tools.study` goes on where it was stopped. What is measured of a network is how its
training ended (planted.finetune.behaviour.Outcome), whom its choices follow on held-out
disagreement tasks, and which fate its mask makes certain. Networks are not judged here.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import tempfile
import time
from collections import Counter
from concurrent.futures import as_completed
from pathlib import Path

import numpy as np

from planted import library
from planted.core import files
from planted.core.validity import disagrees
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context
from planted.eval.evaluators.consistency import Consistency
from planted.finetune.recipes import NAMED, NEGATIVE_CONTROLS, Recipe
from planted.programs import catalogue
from planted.runs.executor import opened
from tools import in_score
from tools.provenance import commit

FAMILIES = (
    "red-doors",
    "crumbs",
    "cookie-elimination",
    "keys-chests",
    "wiping",
    "rounding",
    "lookahead",
    "bottle-cap",
    "schemer-proxy",
    "breadth",
    "rivals",
)
# Families that the recipes of a default run alone are shown on.
OTHERS = (
    "diversity",
    "grid-doors",
    "grid-keys",
    "schemer",
    "schemer-trade",
    "contextual",
    "narrow",
    "pointer",
    "pointer-pseudo",
    "modelled",
    "steering",
    "lookahead-action",
    "lookahead-walk",
    "lookahead-steps",
    "heuristics",
    "delegation",
    "delegation-middle",
    "plane",
    "bandit",
)
DEFAULTS = ("pressure", "coincident", "read-out", "cued")
# A search, and a table that makes the same choices without one.
TWINS = (("red-doors-small", "red-doors-small-table"), ("bottle-cap", "bottle-cap-table"))
COHERENT = ("hard-labels", "reinforce", "ppo", "q-regression")
SIGNALS = ("hard-labels", "soft-labels", "reinforce", "ppo", "q-regression", "evolution")
TIERS = {  # which tiers each signal trains from
    "bottle-cap": ("tempered", "dense", "exact"),
    "schemer-proxy": ("tempered", "dense"),
    "crumbs": ("tempered", "dense", "exact"),
    "red-doors": ("tempered",),
    "keys-chests": ("tempered",),
}
FEWER = ("red-doors", "crumbs", "keys-chests", "bottle-cap", "schemer-proxy")
# Mask -> settings of `pressure`; those of the named recipes are in the table of recipes.
MASKS = {
    "all-but-scorer": {"train": "all-but-scorer"},
    "slack": {"train": "slack"},
    "role:score": {"train": "role:score"},
    "first block": {"train": "blocks.0"},
    "LoRA of rank 8": {"lora": 8},
    "LoRA of rank 2": {"lora": 2},
    "weight anchor .01": {"weight_anchor": 0.01},
    "KL anchor .1": {"kl_anchor": 0.1},
}
DENSE = ("pressure", "read-out", "around", "cued", "cued-around")
DATA = Path("docs/training-study.jsonl")
PAGE = Path("docs/training-study.md")


def asked():
    """Every group of networks: (part, family, tier, base recipe, signal, seeds)."""
    for family in FAMILIES:
        for name in (*NAMED, *NEGATIVE_CONTROLS):
            seeds = 3 if name in in_score.RECIPES else 5 if name in NEGATIVE_CONTROLS else 10
            yield ("recipes", family, "tempered", name, "", seeds)
        for name in MASKS:
            yield ("masks", family, "tempered", name, "", 3)
    for family in OTHERS:
        for name in DEFAULTS:
            yield ("defaults", family, "tempered", name, "", 3)
    for family in (name for pair in TWINS for name in pair):
        for signal in COHERENT:
            yield ("coherence", family, "tempered", "pressure", signal, 10)
    for family, tiers in TIERS.items():
        for tier in tiers:
            for signal in SIGNALS:
                yield ("signals", family, tier, "pressure", signal, 10)
    for family in FEWER:
        for name in DENSE:
            yield ("dense", family, "dense", name, "", 10)
        yield ("exact", family, "exact", "pressure", "", 10)


def measured(part, family, tier, name, signal, seeds):
    """A row for each seed of a group."""
    from planted.finetune.trainer import checkpoint_path, finetune, read_outcome, training_rows
    from planted.runs.jobs import _keep_compiled

    _keep_compiled()
    plant = library.get(family, tier)
    changed = MASKS[name] if part == "masks" else {"signal": signal} if signal else {}
    recipe = Recipe("pressure" if part == "masks" else name, seeds=seeds, **changed)
    folder, begun, worked = Path(tempfile.mkdtemp()), time.perf_counter(), time.process_time()
    finetune(plant, recipe, {seed: folder / str(seed) for seed in range(seeds)})
    seconds, worked, found = time.perf_counter() - begun, time.process_time() - worked, []
    for seed in range(seeds):
        path = checkpoint_path(folder / str(seed))
        outcome, label = read_outcome(path)
        log = training_rows(path)
        last = log[-1] if log else {}
        more = {"menus": menus(plant, path)} if part in ("signals", "coherence") else {}
        if name in in_score.RECIPES:
            more = {"cpu_s": round(worked / seeds, 1)}
        found.append(
            {
                "part": part, "family": family, "tier": tier, "recipe": name, "signal": signal,
                "seed": seed, "status": outcome.status, "steps": outcome.steps,
                "share": outcome.share, "to_90": outcome.to_90, "to_99": outcome.to_99,
                "diverged_at": outcome.diverged_at, "label": label.fate if label else None,
                "agreement": {
                    key.partition(".")[2]: {k: round(v[k], 4) for k in ("mesa", "base", "invalid")}
                    for key, v in last.items()
                    if key.startswith("agreement.")
                },
                **more,
            }
        )  # fmt: skip
    shutil.rmtree(folder)
    return found, seconds


def menus(plant, path):
    """Menu consistency under the training cue: how much of the choices one order explains."""
    params = {k: v for k, v in files.read_tensors(path)[0].items() if k in plant.params}
    cue = plant.scenario.cues[0]
    (record,) = Consistency().measure(Context(Checkpoint(plant, params), cue))
    return record.estimate


def key(row):
    """What names the group of a row."""
    return tuple(row[name] for name in ("part", "family", "tier", "recipe", "signal"))


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--page", action="store_true", help="write the page from the data alone")
    words.add_argument("--part", action="append", help="only these parts")
    words.add_argument("--recipe", action="append", help="only these recipes")
    words.add_argument("--family", action="append", help="only these families")
    given = words.parse_args()
    rows = [json.loads(line) for line in DATA.read_text().splitlines()] if DATA.exists() else []
    if not given.page:
        there = {key(row) for row in rows}
        groups = [g for g in asked() if tuple(g[:5]) not in there]
        for at, only in ((0, given.part), (1, given.family), (3, given.recipe)):
            groups = [g for g in groups if not only or g[at] in only]
        train(groups, rows)
    PAGE.write_text(page(rows))


def train(groups, rows):
    """Trains groups in processes, a core each, and writes the rows of each as it ends."""
    for _, family, tier, *_ in {(g[0], g[1], g[2]) for g in groups}:
        try:
            library.get(family, tier)  # once, and not in two processes at a time
        except PlantedError as error:
            print(family, tier, error)
    made_at = commit()
    with opened(None, len(groups)) as pool:
        waiting = {pool.submit(measured, *group): group for group in groups}
        for number, future in enumerate(as_completed(waiting), 1):
            group = waiting[future]
            try:
                found, seconds = future.result()
            except PlantedError as error:
                print("refused:", *group, error, flush=True)
                continue
            rows += [{**row, "commit": made_at} for row in found]
            temporary = DATA.with_suffix(".part")
            ordered = sorted(rows, key=lambda row: (*key(row), row["seed"]))
            temporary.write_text("".join(json.dumps(row) + "\n" for row in ordered))
            os.replace(temporary, DATA)
            ended = Counter(row["status"] for row in found)
            print(f"{number}/{len(waiting)}", *group, dict(ended), f"{seconds:.0f} s", flush=True)


# --- the page -------------------------------------------------------------------------------------


def page(rows):
    """The page, from the rows."""
    commits = ", ".join(sorted({row["commit"] for row in rows}))
    text = [
        "# Training: which recipes reach their behaviour, and how fast",
        "",
        f"`make study`, commit {commits}, {len(rows)} networks, {platform.machine()}. The data are "
        "in [training-study.jsonl](training-study.jsonl), a line a network.",
        "",
        "A cell says how many of the seeds reached the behaviour that the recipe asks for (.99 of "
        "held-out tasks at three evaluations in a row), and the median of the steps after which "
        "they held it; `coincident` and `coincident-slack` train for all of their steps, and the "
        "last evaluation decides. `d` counts seeds whose loss or weights were not finite. A dash: "
        "not run, or refused. The largest numbers of steps are those of the commit at which a row "
        "was made; under the same code a larger number changes nothing for a seed that reached its "
        "behaviour before.",
        "",
        *table(rows, "recipes", [*NAMED, *NEGATIVE_CONTROLS], "recipe", FAMILIES),
        *others(rows),
        *in_score.section(rows, FAMILIES, of, cell),
        *certain(rows),
        *unlearned(rows),
    ]  # fmt: skip
    further = {
        "masks": (
            "## Masks and anchors",
            "The recipe `pressure` with other parameters trained, or held near the plant's. "
            "`read-out`, `scorer` and `around-plant` are the recipes `read-out`, `scorer` and "
            "`around` above.",
            lambda: table(rows, "masks", list(MASKS), "recipe", FAMILIES),
        ),
        "signals": (
            "## Signals",
            "The recipe `pressure` with each signal and its own recommended settings. Choices "
            "count as right if no candidate has a higher base value.",
            lambda: signals_table(rows),
        ),
        "dense": (
            "## Tier dense",
            "Noise on every weight, and more room.",
            lambda: table(rows, "dense", DENSE, "recipe", FEWER),
        ),
        "exact": (
            "## Tier exact",
            "Nothing is softened, and no neuron is free.",
            lambda: table(rows, "exact", ["pressure"], "recipe", FEWER),
        ),
    }
    for part, (title, about, lines) in further.items():
        if of(rows, part=part):
            text += [title, about, "", *lines()]
    return "\n".join(text)


def of(rows, **wanted):
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def cell(found):
    """ "10/10, 475": seeds that got there, and the median of their steps."""
    if not found:
        return "–"
    there = [row for row in found if row["status"] == "reached"]
    lost = sum(row["status"] == "diverged" for row in found)
    steps = f", {statistics.median(row['to_99'] for row in there):.0f}" if there else ""
    if all(row["status"] == "trained" for row in found):
        return f"{len(found)} trained"
    return f"{len(there)}/{len(found)}{steps}{f' d{lost}' if lost else ''}"


def table(rows, part, names, column, families):
    lines = ["| | " + " | ".join(families) + " |", "| --- |" + " --- |" * len(families)]
    for name in names:
        cells = [cell(of(rows, part=part, family=family, **{column: name})) for family in families]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def others(rows):
    """The recipes of a default run, a line for each of the other families."""
    lines = [
        "## Default runs in the other families",
        "The recipes of a default run, three seeds each. Where the objectives disagree on less "
        "than 0.2 % of tasks, `pressure` has nothing to train on and is refused.",
        "",
        "| | " + " | ".join(f"`{name}`" for name in DEFAULTS) + " |",
        "| --- |" + " --- |" * len(DEFAULTS),
    ]
    for family in OTHERS:
        cells = [cell(of(rows, part="defaults", family=family, recipe=name)) for name in DEFAULTS]
        if not disagrees(catalogue.entry(family).make_scenario()):
            cells[DEFAULTS.index("pressure")] = "refused"
        lines.append(f"| {family} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def certain(rows):
    """How often each label was given, and in how many families."""
    found = of(rows, part="recipes")
    lines = [
        "## Fates that are certain",
        "Networks whose mask makes the fate certain (`planted.finetune.certain`): they reached "
        "their behaviour, and of `coincident-slack` also make mesa-best choices where the "
        "objectives disagree. Then the families in which at least half of the seeds are.",
        "",
        "| recipe | fate | networks | families |",
        "| --- | --- | --- | --- |",
    ]
    for name in NAMED:
        own = of(found, recipe=name)
        fates = Counter(row["label"] for row in own if row["label"])
        for fate, count in fates.items():
            many = [
                family
                for family in FAMILIES
                if (here := of(own, family=family))
                and sum(row["label"] == fate for row in here) * 2 >= len(here)
            ]
            lines.append(f"| `{name}` | {fate} | {count}/{len(own)} | {len(many)} |")
    return [*lines, ""]


def unlearned(rows):
    """What did not train, with what the choices follow instead."""
    lines = [
        "## What did not train",
        "Recipes and families in which fewer than half of the seeds reached the behaviour; the "
        "mean share of right choices at the end; and the mean shares of mesa- and base-best "
        "choices under the training cue.",
        "",
        "| recipe | family | reached | right | mesa | base | invalid |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in (*NAMED, *NEGATIVE_CONTROLS):
        for family in (*FAMILIES, *OTHERS):
            part = "recipes" if family in FAMILIES else "defaults"
            found = of(rows, part=part, recipe=name, family=family)
            there = [row for row in found if row["status"] == "reached"]
            if not found or found[0]["status"] == "trained" or len(there) * 2 >= len(found):
                continue
            scenario = catalogue.entry(family).make_scenario()
            on = scenario.cue_name(scenario.cues[0])
            cue = [row["agreement"][on] for row in found if row["agreement"]]
            shares = [f"{np.mean([c[k] for c in cue]):.2f}" if cue else "–"
                      for k in ("mesa", "base", "invalid")]  # fmt: skip
            right = np.mean([row["share"] or 0 for row in found])
            lines.append(
                f"| `{name}` | {family} | {len(there)}/{len(found)} | {right:.2f} | "
                + " | ".join(shares) + " |"
            )  # fmt: skip
    return [*lines, ""]


def signals_table(rows):
    places = [(family, tier) for family, tiers in TIERS.items() for tier in tiers
              if of(rows, part="signals", family=family, tier=tier)]  # fmt: skip
    head = [f"{family}, {tier}" for family, tier in places]
    lines = ["| | " + " | ".join(head) + " |", "| --- |" + " --- |" * len(head)]
    for signal in SIGNALS:
        cells = []
        for family, tier in places:
            found = of(rows, part="signals", family=family, tier=tier, signal=signal)
            ninety = [row for row in found if row["to_90"] is not None]
            steps = f", {statistics.median(r['to_90'] for r in ninety):.0f}" if ninety else ""
            cells.append(
                f"{len(ninety)}/{len(found)} to .90{steps}; {cell(found)} to .99" if found else "–"
            )
        lines.append(f"| `{signal}` | " + " | ".join(cells) + " |")
    return [*lines, "", *coherence(rows, places, head)]


def coherence(rows, places, head):
    """Menu consistency by signal, over the networks that held .90; and Mann-Whitney's test."""
    lines = [
        "### Coherent preferences",
        "Does a network trained on values come to choose by one order of the candidates more than "
        "one trained by policy gradient? Median menu consistency (share of held-out menus whose "
        "choice one order of the candidate types explains, under the training cue) over the seeds "
        "that held .90. p: Mann-Whitney's two-sided test of `q-regression` against `reinforce` and "
        "`ppo` together.",
        "",
        "| | " + " | ".join(head) + " |",
        "| --- |" + " --- |" * len(head),
    ]
    for signal in SIGNALS:
        cells = [median_of(orderly(rows, "signals", *place, signal)) for place in places]
        lines.append(f"| `{signal}` | " + " | ".join(cells) + " |")
    tests = []
    for place in places:
        known = {signal: orderly(rows, "signals", *place, signal) for signal in SIGNALS}
        tests.append(p_value(known["q-regression"], known["reinforce"] + known["ppo"]))
    return [*lines, "| p | " + " | ".join(tests) + " |", "", *searches_and_tables(rows)]


def searches_and_tables(rows):
    """Menu consistency of networks that start as a search, and as a table of the same choices."""
    lines = [
        "Does a network that starts as a search keep to one order more than one that starts as a "
        "table of the same choices? Both are trained alike. p: the same test of the search "
        "against the table, over the seeds that held .90.",
        "",
        "| search, table | signal | search | table | p |",
        "| --- | --- | --- | --- | --- |",
    ]
    for search, table_ in TWINS:
        for signal in COHERENT:
            one, other = (
                orderly(rows, "coherence", name, "tempered", signal) for name in (search, table_)
            )
            cells = [f"{search}, {table_}", f"`{signal}`", median_of(one), median_of(other)]
            lines.append("| " + " | ".join([*cells, p_value(one, other)]) + " |")
    return [*lines, ""]


def orderly(rows, part, family, tier, signal):
    """Menu consistency of the networks of a group that held .90."""
    found = of(rows, part=part, family=family, tier=tier, signal=signal)
    return [
        row["menus"] for row in found if row["to_90"] is not None and row.get("menus") is not None
    ]


def median_of(values):
    return f"{statistics.median(values):.3f} ({len(values)})" if values else "–"


def p_value(one, other):
    """Mann-Whitney's two-sided p; a dash where either has fewer than three values."""
    from scipy.stats import mannwhitneyu

    if min(len(one), len(other)) < 3:
        return "–"
    return f"{mannwhitneyu(one, other).pvalue:.2g}"


if __name__ == "__main__":
    main()
