"""The part of the training study on recipes that train the score alone (tools/study.py)."""

import numpy as np

from planted import library
from planted.finetune.recipes import NAMED
from planted.finetune.tables import table_bound

RECIPES = ("scorer", "blend-scorer")


def section(rows, families, of, cell):
    """What these recipes reached, beside what any table of scores can reach."""
    lines = [
        "## The score alone",
        "How many seeds reached the behaviour, the median of the steps after which they held it, "
        "the mean share of right choices at the end, and the seconds of processor time of a seed, "
        "the program's compilation included. Then the bounds of the share that any table over "
        "what the score's neurons read can reach on the disagreement set "
        "(`planted.finetune.tables`), measured as the page is written.",
        "",
        "| recipe | family | reached | right | seconds | a table reaches | no table exceeds |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in RECIPES:
        for family in families:
            found = of(rows, part="recipes", recipe=name, family=family)
            timed = [row["cpu_s"] for row in found if "cpu_s" in row]
            right = f"{np.mean([row['share'] or 0 for row in found]):.2f}" if found else "–"
            bound = table_bound(library.get(family, "exact"), NAMED[name])
            bounds = f"{bound.at_least:.2f} | {bound.at_most:.2f}" if bound else "– | –"
            lines.append(
                f"| `{name}` | {family} | {cell(found)} | {right} | "
                f"{f'{np.mean(timed):.0f}' if timed else '–'} | {bounds} |"
            )
    return [*lines, ""]
