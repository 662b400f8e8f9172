"""Plants what the wheel carries and does not hold yet, into planted/models.

A plant that is there is left alone: the bytes of a version never change, and its margins, which are
measured, would differ in the last digit on another processor. To have one made anew, as for a new
version, remove its two files.
"""

import sys

from planted.core import artefact
from planted.library import build, shipped_folder
from planted.programs.shipped import SHIPPED


def main():
    folder = shipped_folder()
    wanted = [(tier, name) for name, tiers in SHIPPED.items() for tier in tiers]
    for tier, name in sorted(wanted):  # the quick ones, exact, first
        stem = f"{name}-{tier}"
        if not (folder / f"{stem}.json").exists():
            made = build(name.partition("@")[0], only=tier)[tier]
            artefact.save_plant(folder, made, stem, packed=True)
            print(stem, (folder / f"{stem}{artefact.PACKED}").stat().st_size, file=sys.stderr)


if __name__ == "__main__":
    main()
