"""The part of the training study on recipes that train the score alone (tools/study.py)."""

import numpy as np

from planted.finetune.tables import table_bound

RECIPES = ("scorer", "blend-scorer")


def bound(plant, recipe):
    """What share of the recipe's behaviour any table of scores can reach."""
    found = table_bound(plant, recipe.settings)
    return {"at_least": found and found.at_least, "at_most": found and found.at_most}


def section(rows, families, of, cell):
    """The recipes that train the score alone, beside what any table of scores can reach."""
    lines = [
        "## The score alone",
        "How many seeds reached the behaviour, the median of the steps after which they held it, "
        "the mean share of right choices at the end, and the seconds of processor time of a seed, "
        "the program's compilation included. Then the bounds of the share that any table over "
        "what the score's neurons read can reach on the disagreement set "
        "(`planted.finetune.tables`).",
        "",
        "| recipe | family | reached | right | seconds | a table reaches | no table exceeds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in RECIPES:
        for family in families:
            found = [r for r in of(rows, part="recipes", recipe=name, family=family)
                     if "at_most" in r]  # fmt: skip
            if not found:
                continue
            right = np.mean([row["share"] or 0 for row in found])
            bounds = [found[0][key] for key in ("at_least", "at_most")]
            cells = " | ".join("–" if each is None else f"{each:.2f}" for each in bounds)
            lines.append(
                f"| `{name}` | {family} | {cell(found)} | {right:.2f} | "
                f"{np.mean([row['cpu_s'] for row in found]):.0f} | {cells} |"
            )
    return [*lines, ""]
