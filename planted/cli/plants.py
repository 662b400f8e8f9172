"""The commands about plants: list, show, plant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from planted.cli.options import json_, parameters_, parsed, tier_
from planted.cli.printing import print_json, print_table
from planted.errors import RunFolderError


@click.command("list")
@click.option("--family", help="Only plants of this family, for example red-doors.")
@click.option("--kind", help="Only plants of this kind, for example deceptive.")
@click.option("--mechanism", help="Only this mechanism, for example 'decision list'.")
@click.option(
    "--size",
    help="Only plants that come in this size, for example large (then named NAME.large).",
)
@click.option("--twin-of", metavar="NAME", help="Only twins of this plant, for example crumbs.")
@click.option("--tier", help="Only plants that come in this tier, for example tempered.")
@click.option("--shipped", is_flag=True, help="The models that are installed, with their sizes.")
@json_
def list_plants(shipped: bool, as_json: bool, **asked: str | None) -> None:
    """Lists the plants of the catalogue.

    The column "judged" says whether verdicts can be given on checkpoints of a plant: at once, after
    its first run has validated the evaluators on it, or not.

    Name a plant in another size NAME.SIZE, for example crumbs.large.
    """
    if shipped:
        _list_shipped(as_json, asked)
        return
    from planted.eval.calibration import judged
    from planted.programs.catalogue import listed

    rows: list[dict[str, Any]] = [
        {
            "name": f"{e.name}@{e.version}",
            "family": e.family,
            "kind": e.kind,
            "mechanism": e.mechanism,
            "twin_of": e.twin_of,
            "twin_on": e.twin_on if e.twin_of else "",
            "shipped": list(e.shipped),
            "tiers": list(e.tiers),
            "parameters": dict(e.defaults),
            "sizes": {name: dict(changed) for name, changed in e.sizes.items()},
            "judged": judged.by_name(f"{e.name}@{e.version}", e.mechanism),
        }
        for e in listed(**asked)
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "kind", "mechanism", "twin of", "sizes", "shipped", "judged"],
        [
            [r["name"], r["kind"], r["mechanism"], r["twin_of"], ", ".join(r["sizes"]),
             ", ".join(r["shipped"]), r["judged"]]
            for r in rows
        ],
    )  # fmt: skip


def _list_shipped(as_json: bool, asked: dict[str, str | None]) -> None:
    """The models in the wheel that are as asked for.

    Raises:
        UnknownNameError: With the near names, if no model in the wheel has what is asked for.
    """
    from planted.core.saved import shipped_index
    from planted.errors import unknown

    rows = every = list(shipped_index().values())
    for what, wanted in asked.items():
        if wanted is None:
            continue
        known = {_shipped_as(row, what) for row in every} - {""}
        if wanted not in known:
            named = "plant with twins" if what == "twin_of" else what
            raise unknown(f"{named} in the wheel", wanted, known)
        rows = [row for row in rows if _shipped_as(row, what) == wanted]
    if as_json:
        print_json(rows)
        return
    columns = ["name", "tier", "kind", "mechanism", "twin of", "parameters", "bytes"]
    print_table(columns, [[str(r[c.replace(" ", "_")]) for c in columns] for r in rows])


def _shipped_as(row: Mapping[str, Any], what: str) -> str:
    """What a model in the wheel has for an option; a size, as "small", is part of its name."""
    if what == "size":
        return str(row["name"]).rpartition("@")[0].partition(".")[2]
    return str(row[what])


@click.command()
@click.argument("name")
@tier_
@parameters_
@click.option("--dot", is_flag=True, help="Print the circuit as a Graphviz graph instead.")
@json_
def show(name: str, tier: str, parameters: tuple[str, ...], dot: bool, as_json: bool) -> None:
    """Describes a plant: objectives, a task, the circuit.

    NAME is a name from `planted list`, or your own plant as module:function.
    """
    from planted.cli import drawing, showing
    from planted.library import resolve

    plant = resolve(name, tier, parsed(parameters))
    if dot:
        click.echo(drawing.dot(plant.truth))
    elif as_json:
        print_json(showing.facts(plant))
    else:
        click.echo(showing.text(plant))


@click.command()
@click.argument("name")
@tier_
@parameters_
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@json_
def plant(name: str, tier: str, parameters: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Compiles a plant, certifies it, writes it to a folder.

    NAME is a name from `planted list`, or your own plant as module:function.
    """
    from planted import library
    from planted.core import addresses, artefact, files
    from planted.programs import catalogue

    own = addresses.is_address(name)
    if not own:  # a wrong name is said before all else
        catalogue.entry(name).make_scenario(parsed(parameters))
    if obstacle := files.write_obstacle(out):
        raise RunFolderError(obstacle)
    if own:
        made = library.resolve(name, tier, parsed(parameters))
    else:
        made = library.build(name, parsed(parameters), only=tier)[tier]
    artefact.save_plant(out, made, f"{made.name}-{tier}")
    facts = {
        "name": made.name,
        "tier": tier,
        "folder": str(out),
        "certificate": dict(made.certificate),
    }
    if as_json:
        print_json(facts)
        return
    certificate = made.certificate
    where = "all" if certificate["exhaustive"] else "drawn"
    declared = certificate.get("declared")
    if declared:
        click.echo(
            f"On {declared['n']} tasks of {declared['name']!r} it chooses as a search would, with "
            f"{declared['mismatches']} mismatches; elsewhere it has choices of its own."
        )
    click.echo(
        f"{made.name} ({tier}): {certificate['n']} inputs ({where}), "
        f"{certificate['mismatches']} mismatches, least margin {certificate['least_margin']}\n"
        f"{out / made.name}-{tier}.safetensors"
    )


COMMANDS = (list_plants, show, plant)
