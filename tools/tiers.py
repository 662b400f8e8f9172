"""Makes a plant of every family in every tier: writes docs/tiers.md.

`python -m tools.tiers red-doors crumbs --tier dense` makes these alone; the rows of others stay in
the page. A row that is there is not made again, unless its plant is named.
"""

import argparse
import time
from pathlib import Path

from planted import library
from planted.core.plant import TIERS
from planted.errors import PlantedError
from planted.programs import catalogue
from tools.provenance import commit

PAGE = Path("docs/tiers.md")
MARK = "| plant | tier "
TITLE = "## A plant of every family"
STATED = "`make tiers`, commit "
HEADER = [
    "| plant | tier | certified | least margin | width | largest deviation of a node | noise σ | "
    "free neurons a layer |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
]


def row(name, tier):
    """What the table says of one plant in one tier; of one that cannot be had, why not."""
    try:
        plant = library.get(name, tier)
    except PlantedError as error:
        return f"| {name} | {tier} | no: {str(error).replace('|', '/')} | | | | | |"
    found, settings = plant.certificate, plant.settings
    off = max(node["largest_deviation"] for node in found["nodes"].values())
    width, wide = plant.params["embed.W_E"].shape[1], settings.get("exact_width")
    free = settings.get("free_neurons")
    cells = [
        name,
        tier,
        f"{'all' if found['exhaustive'] else 'on'} {found['n']}",
        f"{found['least_margin']:.3f}",
        f"{width} of {wide}" if wide else width,
        f"{off:.2g}",
        settings.get("sigma", ""),
        ("" if not free else free[0] if len(set(free)) == 1 else f"{min(free)} to {max(free)}"),
    ]
    return f"| {' | '.join(map(str, cells))} |"


def main():
    families = {entry.family or name: name for name, entry in reversed(catalogue.ENTRIES.items())}
    every = list(reversed(families.values()))
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", help="names in the catalogue")
    words.add_argument("--tier", action="append", choices=TIERS)
    given = words.parse_args()
    text, _, table = PAGE.read_text().partition(MARK)
    rows = {
        tuple(cell.strip() for cell in line.split("|")[1:3]): line
        for line in (MARK + table).splitlines()[2:]
        if line.startswith("|")
    }
    asked = [(name, tier) for tier in given.tier or TIERS for name in given.plants or every]
    for name, tier in asked:
        if (name, tier) in rows and not given.plants:
            continue
        start = time.perf_counter()
        rows[name, tier] = row(name, tier)
        print(f"{time.perf_counter() - start:.0f} s", rows[name, tier], flush=True)
        write(text, rows, every)
    write(text, rows, every)


def write(text, rows, every):
    """Writes the page: the table by family and tier, below the text and the commit."""
    text, _, before = text.partition(TITLE)
    text = text.rstrip("\n")
    earlier = before.partition(STATED)[2].partition(". ")[0].split(", ")  # of rows that stay
    commits = ", ".join(dict.fromkeys(filter(None, (*earlier, commit()))))
    order = [key for name in every for tier in TIERS if (key := (name, tier)) in rows]
    order += [key for key in rows if key not in order]
    said = f"{STATED}{commits}. Tiers of a plant that are not listed were not made for this page."
    table = [rows[key] for key in order]
    PAGE.write_text("\n".join([text, "", TITLE, said, "", *HEADER, *table]) + "\n")


if __name__ == "__main__":
    main()
