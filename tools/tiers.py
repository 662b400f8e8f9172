"""Makes a plant of every family in every tier: writes docs/tiers.md.

`python tools/tiers.py red-doors crumbs` makes these alone; the rows of others stay in the page.
"""

import subprocess
import sys
import time
from pathlib import Path

from planted import library
from planted.core.plant import TIERS
from planted.errors import PlantedError
from planted.programs import catalogue

PAGE = Path("docs/tiers.md")
MARK = "| plant | tier "
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
    names = sys.argv[1:] or list(reversed(families.values()))
    text, _, table = PAGE.read_text().partition(MARK)
    rows = {
        tuple(cell.strip() for cell in line.split("|")[1:3]): line
        for line in (MARK + table).splitlines()[2:]
    }
    for name in names:
        for tier in TIERS:
            start = time.perf_counter()
            rows[name, tier] = row(name, tier)
            print(f"{time.perf_counter() - start:.0f} s", rows[name, tier], flush=True)
            PAGE.write_text("\n".join([text.rstrip("\n"), "", *HEADER, *rows.values()]) + "\n")
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(f"made at commit {commit}")


if __name__ == "__main__":
    main()
