"""The command line: results on standard output, progress on standard error.

Exit code 0: done; 1: a bug or a failed check, with traceback; 2: the user can mend it, one message.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from planted import __version__
from planted.cli.printing import print_json, print_run, print_table, print_verdict, shown_progress
from planted.errors import PlantedError


class _Group(click.Group):
    """Answers a PlantedError with one message and exit code 2, a warning with one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                return super().invoke(ctx)
        except PlantedError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo(
                "Interrupted. What was finished is kept; the same command again resumes.", err=True
            )
            ctx.exit(2)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"Warning: {message}", err=True)


@click.group(
    cls=_Group,
    context_settings={
        "auto_envvar_prefix": "PLANTED",
        "max_content_width": 100,
        "help_option_names": ["-h", "--help"],
    },
)
@click.version_option(__version__, prog_name="planted")
def main() -> None:
    """Transformers with a planted mesa-objective, and what training does to them."""


_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def _tier_option(default: str, says: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    says += " exact, tempered, rotated, or one of an installed package."
    return click.option("--tier", default=default, show_default=True, help=says)


_tier = _tier_option("exact", "How natural the weights are.")
_start_tier = _tier_option("tempered", "Where training starts.")
_parameters = click.option(
    "--set",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="A scenario parameter other than the default, as --set levels=11. Repeatable.",
)


@main.command("list")
@click.option("--family", help="Only plants of this family, as red-doors.")
@click.option("--kind", help="Only plants of this kind, as deceptive.")
@click.option("--mechanism", help="Only plants of this mechanism, as 'decision list'.")
@click.option("--size", help="Only plants that have this size, as large; named as NAME.large.")
@click.option("--twin-of", metavar="NAME", help="Only twins of this plant, as crumbs.")
@click.option("--tier", help="Only plants that can be had in this tier, as tempered.")
@_json
def list_plants(as_json: bool, **asked: str | None) -> None:
    """The plants there are.

    A plant of a size is named NAME.SIZE, as crumbs.large, wherever a plant is named.
    """
    from planted.programs.catalogue import listed

    rows: list[dict[str, Any]] = [
        {
            "name": f"{e.name}@{e.version}",
            "family": e.family,
            "kind": e.kind,
            "mechanism": e.mechanism,
            "twin_of": e.twin_of,
            "twin_on": e.twin_on if e.twin_of else "",
            "shipped": e.shipped,
            "tiers": list(e.tiers),
            "parameters": dict(e.defaults),
            "sizes": {name: dict(changed) for name, changed in e.sizes.items()},
        }
        for e in listed(**asked)
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ["name", "kind", "mechanism", "twin of", "sizes", "shipped"],
        [
            [r["name"], r["kind"], r["mechanism"], r["twin_of"], ", ".join(r["sizes"]),
             "yes" if r["shipped"] else "no"]
            for r in rows
        ],
    )  # fmt: skip


@main.command()
@click.argument("name")
@_tier
@_parameters
@click.option("--dot", is_flag=True, help="Print the circuit as a Graphviz graph instead.")
@_json
def show(name: str, tier: str, parameters: tuple[str, ...], dot: bool, as_json: bool) -> None:
    """Explains a plant: both objectives, a sample task, the circuit and where it stands."""
    from planted.cli import drawing, showing
    from planted.library import get

    plant = get(name, tier, _parsed(parameters))
    if dot:
        click.echo(drawing.dot(plant.truth))
    elif as_json:
        print_json(showing.facts(plant))
    else:
        click.echo(showing.text(plant))


@main.command()
@click.argument("name")
@_tier
@_parameters
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@_json
def plant(name: str, tier: str, parameters: tuple[str, ...], out: Path, as_json: bool) -> None:
    """Compiles a plant anew from its RASP program, certifies it and writes it."""
    from planted import library
    from planted.core import artefact

    made = library.build(name, _parsed(parameters), only=tier)[tier]
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


def _recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option(
                "--recipe",
                "names",
                multiple=True,
                metavar="NAME",
                help="pressure (default), coincident, read-out, cued. Repeatable.",
            ),
            click.option(
                "--seeds",
                type=int,
                default=5,
                show_default=True,
                help="Training seeds of each recipe.",
            ),
            click.option("--steps", type=int, help="Gradient steps."),
            click.option("--learning-rate", type=float, help="Step size."),
            click.option(
                "--disagreement-fraction",
                type=float,
                help="Share of training tasks from the disagreement set.",
            ),
            click.option("--optimizer", type=click.Choice(["adam", "sgd"]), help="Base optimiser."),
            click.option(
                "--train",
                help='Parameters to train: "all", "read-out", or e.g. "blocks.4,blocks.5,unembed".',
            ),
            click.option(
                "--cue", is_flag=True, default=None, help="Train with a cue: the cue-gated regime."
            ),
        ]
    ):
        command = option(command)
    return command


def _recipes(names: tuple[str, ...], seeds: int, cue: bool | None, **changes: Any) -> list[Any]:
    from planted.finetune.recipes import Recipe

    given = {name: value for name, value in changes.items() if value is not None}
    if cue:
        given["regime"] = "cue-gated"
    return [Recipe(name, seeds=seeds, **given) for name in names or ("pressure",)]


@main.command()
@click.argument("name")
@_recipe_options
@_start_tier
@_parameters
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Run folder; runs/NAME if not given. The same command resumes.",
)
@_json
def run(
    name: str, tier: str, parameters: tuple[str, ...], out: Path | None, as_json: bool, **how: Any
) -> None:
    """The whole flow: plant, fine-tune, evaluate, report."""
    from planted import experiment

    folder = out or Path("runs") / name.partition("@")[0]
    with shown_progress() as progress:
        done = experiment.run(
            name,
            _recipes(**how),
            out=folder,
            tier=tier,
            parameters=_parsed(parameters),
            progress=progress,
        )
    print_run(done, as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--plant", "name", default="red-doors", show_default=True, help="What to plant.")
@_recipe_options
@_start_tier
@_parameters
@_json
@click.pass_context
def finetune(
    ctx: click.Context,
    /,
    folder: Path,
    name: str,
    tier: str,
    parameters: tuple[str, ...],
    as_json: bool,
    **how: Any,
) -> None:
    """Trains the seeds of a run folder and writes their checkpoints.

    Without options it goes on with the request that the folder holds; with options, they must be
    that request.
    """
    from planted import experiment

    given = {
        option
        for option in ctx.params
        if ctx.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT
    }
    if given - {"folder", "as_json"} or not (folder / "run.json").exists():
        experiment.plant_into(folder, name, _recipes(**how), tier, _parsed(parameters))
    with shown_progress() as progress:
        experiment.work(folder, "train", progress)
    checkpoints = sorted((folder / "checkpoints").glob("*/seed-*/step-*.safetensors"))
    if as_json:
        print_json({"folder": str(folder), "checkpoints": [str(path) for path in checkpoints]})
    else:
        click.echo(f"{len(checkpoints)} checkpoints in {folder / 'checkpoints'}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_json
def evaluate(folder: Path, as_json: bool) -> None:
    """Judges the checkpoints of a run folder: evidence, readings, verdicts."""
    from planted import experiment

    experiment.open_request(folder)
    with shown_progress() as progress:
        experiment.work(folder, "judge", progress)
    print_run(experiment.settle(folder), as_json)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@_json
def report(folder: Path, as_json: bool) -> None:
    """Writes the page of a judged run folder."""
    from planted import experiment

    page = str(experiment.report(folder))
    if as_json:
        print_json({"folder": str(folder), "report": page})
    else:
        click.echo(page)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--recipe", "recipe", help="Recipe; the run's first if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Training seed.")
@click.option("--all", "whole", is_flag=True, help="Every figure too, with interval and null.")
@_json
def explain(folder: Path, recipe: str | None, seed: int, whole: bool, as_json: bool) -> None:
    """Why a checkpoint got its verdict: each comparison, with its figures."""
    from msgspec import to_builtins

    from planted import experiment

    opened = experiment.open_run(folder)
    every = [*opened.seeds, *opened.nulls]
    wanted = recipe or every[0].recipe
    found = [s for s in every if (s.recipe, s.seed) == (wanted, seed)]
    if not found:
        known = ", ".join(sorted({f"{s.recipe} {s.seed}" for s in every}))
        raise PlantedError(f"No seed {seed} of recipe {wanted!r} in {folder}. There are: {known}.")
    one = found[0]
    if as_json:
        print_json(
            {
                "recipe": one.recipe,
                "seed": one.seed,
                "verdict": str(one.verdict),
                "reasons": list(one.verdict.reasons),
                "reading": one.reading,
                "evidence": {key: to_builtins(record) for key, record in one.evidence.items()},
            }
        )
        return
    print_verdict(one, folder / "report.html", whole)


@main.command()
@click.argument("method")
@click.option("--task", default="locate", show_default=True, help="What the method should find.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Plant to score on; red-doors and red-doors-small if not given. Repeatable.",
)
@click.option(
    "--runtime",
    type=click.Choice(["numpy", "torch"]),
    help="What the method is handed; torch where it is installed.",
)
@click.option("--redraws", "n_redraws", type=int, default=20, show_default=True, help="Of pairs.")
@click.option(
    "--reinits",
    "n_reinits",
    type=int,
    default=100,
    show_default=True,
    help="Random networks behind the twin's threshold.",
)
@click.option("--budget-s", type=float, help="Stop redrawing pairs after this many seconds.")
@_json
def score(method: str, models: tuple[str, ...], as_json: bool, **how: Any) -> None:
    """Scores an interpretability METHOD against ground truth.

    METHOD is a built-in name (exact-patching, linear-probe) or your own as package:function.
    """
    from planted.scoring import score as score_method

    table = score_method(method, models=models or "dev", **how)
    if as_json:
        click.echo(table.to_json())
    else:
        click.echo(str(table))


def _value(text: str) -> int | float | str:
    """A whole number, else a number, else the text itself; the scenario checks what it takes."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _parsed(parameters: tuple[str, ...]) -> dict[str, Any] | None:
    if not parameters:
        return None
    out: dict[str, Any] = {}
    for text in parameters:
        name, sign, value = text.partition("=")
        if not sign:
            raise PlantedError(f"--set wants NAME=VALUE, got {text!r}.")
        out[name] = _value(value)
    return out


if __name__ == "__main__":
    main()
