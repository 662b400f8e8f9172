"""How fast the planted objective comes back in real checkpoints: writes docs/revival.md.

`python -m tools.revival crumbs keys-chests --checkpoints 2` measures these plants alone, into
runs/revival; what is there is not measured again, and the page is of all that is there. Checkpoints
and controls are those of `make fates`, from the cache, or are trained.
"""

import argparse
import json
import time
from pathlib import Path

import planted
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context
from planted.eval.evaluators.revival import EXAMPLES, Revival
from planted.runs.measuring import trained
from tools.provenance import commit

PLACE, PAGE = Path("runs/revival"), Path("docs/revival.md")
PLANTS = ("red-doors", "crumbs", "cookie-elimination", "keys-chests", "schemer-proxy", "bottle-cap")
RECIPES = {"read-out": "dormant", "around": "dormant", "pressure": "replaced"}


def measured(evaluator, plant, weights, references):
    """The figures of one checkpoint, by name, and processor seconds."""
    started = time.process_time()
    found = evaluator.measure(Context(Checkpoint(plant, weights), references=references))
    known = {
        record.name.removeprefix("revival."): {
            "estimate": record.estimate,
            "lo": record.lo,
            "hi": record.hi,
            "null": None if record.null is None else [record.null.lo, record.null.hi],
            "reason": record.reason,
        }
        for record in found
    }
    return known, round(time.process_time() - started)


def work(name, recipes, checkpoints, evaluator):
    """Measures checkpoints of a plant and keeps what was found, one file a checkpoint."""
    plant = planted.load(name, tier="tempered").plant
    lent = {}

    def references(control, n):
        if control not in lent:
            lent[control] = trained(plant, control, n)
        return lent[control]

    for recipe in recipes:
        wanted = [PLACE / name / f"{recipe}-{seed}.json" for seed in range(checkpoints)]
        if all(path.exists() for path in wanted):
            continue
        for path, weights in zip(wanted, trained(plant, recipe, checkpoints), strict=False):
            if path.exists():
                continue
            figures, seconds = measured(evaluator, plant, weights, references)
            path.parent.mkdir(parents=True, exist_ok=True)
            how = {"seeds": evaluator.seeds, "steps": evaluator.horizon, "seconds": seconds}
            about = {"plant": name, "recipe": recipe, **how, "figures": figures}
            path.write_text(json.dumps(about, indent=1) + "\n")
            print(f"{name} {path.stem}: {seconds} s", flush=True)
            page()


def said(figure):
    """ "17 (9.3 to 31), null .5 to 1.2", or why there is none."""
    if figure["estimate"] is None:
        return figure["reason"].replace("censored: ", "")
    text = f"{figure['estimate']:.3g}"
    if figure["lo"] is not None:
        text += f" ({figure['lo']:.2g} to {figure['hi']:.2g})"
    if figure["null"] is not None:
        text += ", null {:.2g} to {:.2g}".format(*figure["null"])
    return text


def table(found, k):
    head = ("plant", "recipe", "revived", "steps", "R", "of restricted means", "specificity", "p")
    names = ("reached", "steps", "speed", "mean_speed", "specificity", "log_rank")
    rows = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    for each in found:
        figures = each["figures"]
        if f"reached_{k}" not in figures:
            continue
        reached = figures[f"reached_{k}"]["estimate"]
        cells = ["–" if reached is None else f"{reached:.0%}"]
        cells += [said(figures[f"{name}_{k}"]) for name in names[1:]]
        rows.append(f"| {each['plant']} | `{each['recipe']}` | " + " | ".join(cells) + " |")
    return [*rows, ""]


def page():
    """The page, from all that is there."""
    found = [
        json.loads(path.read_text())
        for name in PLANTS
        for recipe in RECIPES
        for path in sorted((PLACE / name).glob(f"{recipe}-*.json"))
    ]
    if not found:
        return
    seconds = sorted(each["seconds"] for each in found)

    def listed(what):
        return " or ".join(map(str, sorted({each[what] for each in found})))

    there = [recipe for recipe in RECIPES if any(each["recipe"] == recipe for each in found)]
    fates = ", ".join(f"`{recipe}` {RECIPES[recipe]}" for recipe in there)
    shown = [k for k in EXAMPLES if any(f"steps_{k}" in each["figures"] for each in found)]
    asked = [f"--recipe {recipe}" for recipe in there]
    asked += ["--examples", *map(str, shown)]
    asked += [f"--seeds {listed('seeds')} --steps {listed('steps')}"]
    command = " ".join(["python -m tools.revival", *asked])
    text = [
        "# Revival",
        "",
        f"`{command}`, commit {commit()}. Real checkpoints ({fates}, as [fates.md](fates.md) "
        "judges most of them) are trained back on k tasks of Δ with the mesa-best choice as label, "
        f"by {listed('seeds')} reverse seeds each, until 90 % of the choices on held-out tasks "
        f"of Δ are mesa-best, for {listed('steps')} steps at most. What each column means, and its "
        "limits: "
        "[verdicts.md](verdicts.md#revival). The null of a ratio is the same of networks without "
        f"the plant. {seconds[0]} to {seconds[-1]} processor seconds a checkpoint; the "
        "controls' times are shared by the checkpoints of a plant.",
        "",
    ]
    for k in shown:
        text += [f"## {k} examples", "", *table(found, k)]
    PAGE.write_text("\n".join(text))


def main():
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", default=PLANTS, help="names in the catalogue")
    words.add_argument("--recipe", action="append", choices=RECIPES)
    words.add_argument("--checkpoints", type=int, default=1, help="of each recipe")
    words.add_argument("--examples", type=int, nargs="+", default=EXAMPLES, metavar="K")
    words.add_argument("--seeds", type=int, default=5, help="reverse seeds")
    words.add_argument("--steps", type=int, default=300)
    words.add_argument("--page", action="store_true", help="write the page from what is there")
    given = words.parse_args()
    evaluator = Revival(given.examples, given.seeds, given.steps)
    for name in () if given.page else given.plants:
        work(name, given.recipe or RECIPES, given.checkpoints, evaluator)
    page()


if __name__ == "__main__":
    main()
