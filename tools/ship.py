"""Plants what the wheel carries and does not hold yet, into planted/models.

A plant that is there is left alone: the bytes of a version never change, and its margins, which are
measured, would differ in the last digit on another processor. To have one made anew, as for a new
version, remove its two files.
"""

import sys
from pathlib import Path

from planted import library
from planted.core import artefact, files
from planted.programs import catalogue
from planted.programs.shipped import SHIPPED


def main():
    folder = library.shipped_folder()
    wanted = [(tier, name) for name, tiers in SHIPPED.items() for tier in tiers]
    # the quick ones first: exact, and of those the small
    for tier, name in sorted(wanted, key=lambda each: (each[0], "-" in each[1], each)):
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
    files.write_bytes(Path("docs/models.md"), page(rows).encode())


def page(rows):
    """The list for people: a line a plant, its tiers with their bytes."""
    lines = [
        "# The models in the wheel",
        "",
        f"Made by `make ship`. {len({row['name'] for row in rows.values()})} plants of "
        f"{len({row['family'] for row in rows.values()})} families, {len(rows)} models with their "
        f"tiers, {sum(row['bytes'] for row in rows.values()) / 1e6:.1f} MB: each family in its "
        "small size, exact, beside twins that answer alike by another mechanism; most in their "
        "default size; both searches, dormant and gated by the cue, where they are small. Other "
        "tiers are there for small plants: random numbers do not compress. `planted.load(name, "
        "tier)` reads one without compiling; any other plant or tier is compiled and kept in the "
        "cache, which needs `pip install 'planted[train]'`.",
        "",
        "| plant | kind | mechanism | twin of | parameters | bytes in the wheel, by tier |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(row["name"] for row in rows.values()):
        mine = [row for row in rows.values() if row["name"] == name]
        exact = next(row for row in mine if row["tier"] == "exact")
        sizes = ", ".join(f"{row['tier']} {row['bytes']}" for row in mine)
        cells = (name, *(exact[k] for k in ("kind", "mechanism", "twin_of", "parameters")), sizes)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
    index()
