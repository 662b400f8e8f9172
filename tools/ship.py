"""Plants what the wheel carries and does not hold yet, into planted/models.

A plant that is there is left alone: the bytes of a version never change, and its margins, which are
measured, would differ in the last digit on another processor. To have one made anew, as for a new
version, remove its two files.
"""

import sys

from planted import library
from planted.core import artefact, files
from planted.programs import catalogue
from planted.programs.shipped import SHIPPED


def main():
    folder = library.shipped_folder()
    wanted = [(tier, name) for name, tiers in SHIPPED.items() for tier in tiers]
    for tier, name in sorted(wanted):  # the quick ones, exact, first
        stem = f"{name}-{tier}"
        if not (folder / f"{stem}.json").exists():
            made = library.build(name.partition("@")[0], only=tier)[tier]
            artefact.save_plant(folder, made, stem, packed=True)
            print(stem, (folder / f"{stem}{artefact.PACKED}").stat().st_size, file=sys.stderr)


def index():
    """What is there, as plain data, so that nothing must be read to choose among the models."""
    rows, folder = {}, library.shipped_folder()
    for name, tiers in sorted(SHIPPED.items()):
        entry = catalogue.entry(name)
        for tier in tiers:
            stem = f"{name}-{tier}"
            plant = artefact.load_plant(folder, stem, entry.make_scenario())
            rows[stem] = {
                "name": name,
                "tier": tier,
                "family": entry.family,
                "kind": entry.kind,
                "mechanism": entry.mechanism,
                "twin_of": entry.twin_of,
                "parameters": sum(int(value.size) for value in plant.params.values()),
                "bytes": (folder / f"{stem}{artefact.PACKED}").stat().st_size,
                "manifest": files.file_digest(folder / f"{stem}.json"),
            }
    files.write_json(folder / "index.json", rows)


if __name__ == "__main__":
    main()
    index()
