"""The commands about runs: run, finetune, evaluate, report, explain, compare."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from planted.cli.options import Installed, json_, parameters_, parsed, start_tier
from planted.cli.printing import (
    print_figures,
    print_json,
    print_kinds,
    print_run,
    print_verdict,
    shown_progress,
)
from planted.errors import PlantedError

# Verdicts of choices that are made outside the planted search.
_MADE_ELSEWHERE = ("replaced", "bypassed", "not planted")

_folder = click.argument("folder", type=click.Path(path_type=Path))
_given = click.option(
    "--plant",
    "plant",
    metavar="MODULE:FUNCTION",
    help="The plant, where the run was made in Python from a model object.",
)


def _recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the options that say how to train.

    Long because it is one list of options with their help.
    """
    for option in reversed(
        [
            click.option(
                "--recipe",
                "names",
                multiple=True,
                metavar="NAME",
                help="A named recipe: pressure (default), coincident, read-out, cued and others; "
                "see docs/training.md. Repeatable.",
            ),
            click.option(
                "--recipe-file",
                "recipe_files",
                multiple=True,
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="A TOML file of recipes; settings stand in a table of their own, for example: "
                '[[recipe]] base = "pressure" seeds = 3 settings = { steps = 300 }, each key on a '
                "line. Repeatable.",
            ),
            click.option("--seeds", type=int, help="Training seeds of each recipe.  [default: 5]"),
            click.option("--steps", type=int, help="Largest number of gradient steps."),
            click.option(
                "--behaviour",
                help="What to train until: base, mesa, gated, agreed, blend, or none to train for "
                "all steps.  [default: the recipe's]",
            ),
            click.option("--learning-rate", type=float, help="Step size."),
            click.option(
                "--disagreement-fraction",
                type=float,
                help="Share of training tasks from the disagreement set.",
            ),
            click.option("--optimizer", type=click.Choice(["adam", "sgd"]), help="Optimiser."),
            click.option(
                "--signal",
                cls=Installed,
                room="planted.finetune.signals",
                help="How the base objective enters training.",
            ),
            click.option(
                "--train",
                help='Parameters to train: "all", "read-out", "scorer", "around-plant", "slack", '
                'or for example "blocks.4,unembed".',
            ),
            click.option(
                "--cue",
                is_flag=True,
                default=None,
                help="Reward the base objective only under the training cue.",
            ),
            click.option(
                "--controls",
                type=int,
                help="Seeds of each negative control and of sham fine-tuning, all trained here; by "
                "fewer than 3 verdicts on controls are inconclusive, by fewer than 5 all "
                "UNCALIBRATED.  [default: 2 beside shipped records, else 8]",
            ),
            click.option(
                "--control-steps",
                type=int,
                help="Gradient steps of each control, whatever it learns in them: for a quick "
                "trial run.",
            ),
            click.option(
                "--anyway",
                is_flag=True,
                help="Train even if every verdict is known beforehand to be inconclusive.",
            ),
        ]
    ):
        command = option(command)
    return command


def _request(
    folder: Path,
    names: tuple[str, ...],
    recipe_files: tuple[Path, ...],
    seeds: int | None,
    cue: bool | None,
    controls: int | None,
    control_steps: int | None,
    anyway: bool,
    **changes: Any,
) -> dict[str, Any]:
    """The recipes, controls and `anyway` that the options ask for; None where they say nothing."""
    from planted.finetune.recipes import ARMS, Recipe, load_recipes
    from planted.runs.asked import CONTROL_SEEDS
    from planted.runs.request import recipes_in

    changes["seeds"] = seeds
    given = {name: value for name, value in changes.items() if value is not None}
    if cue:
        given |= {"regime": "cue-gated", "cue_share": 0.5}
    recipes = [recipe for path in recipe_files for recipe in load_recipes(path)]
    if set(given) == {"seeds"} and not names and not recipes:
        recipes = recipes_in(folder)  # more of what is there
    if given:
        recipes = [recipe.changed(**given) for recipe in recipes]
    if names or (given and not recipes):
        recipes += [Recipe(name, **given) for name in names or ("pressure",)]
    asked: Any = controls
    if control_steps is not None:
        number = CONTROL_SEEDS if controls is None else controls
        asked = [Recipe(name, seeds=number, steps=control_steps, behaviour="none") for name in ARMS]
    return {"recipes": recipes or None, "controls": asked, "anyway": anyway}


@click.command()
@click.argument("plant", required=False, default=None)
@_recipe_options
@start_tier
@parameters_
@click.option(
    "--out",
    help="Run folder; runs/PLANT if not given. Running the same command again resumes the run.",
)
@json_
def run(
    plant: str | None,
    tier: str | None,
    parameters: tuple[str, ...],
    out: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Plants, fine-tunes, evaluates, reports: verdicts by seed.

    PLANT is a name from `planted list`, or your own as module:function. Without it, the run in
    --out continues. More seeds (without --recipe of all its recipes) and other recipes are added.
    """
    from planted import experiment

    if plant is None and out is None:
        raise PlantedError(
            "Name a plant, for example red-doors, or an existing run's folder with --out."
        )
    if out is None:
        out = str(Path("runs") / str(plant).partition("@")[0].replace(":", "."))
    with shown_progress() as progress:
        done = experiment.run(
            plant,
            out=out,
            tier=tier,
            parameters=parsed(parameters),
            progress=progress,
            **_request(experiment.run_folder(out), **how),
        )
    print_run(done, as_json)


@click.command()
@_folder
@click.option(
    "--plant",
    "plant",
    help="Plant to start from; for a run made in Python from a model object: MODULE:FUNCTION that "
    "returns it.  [default: the folder's, red-doors in a new one]",
)
@_recipe_options
@start_tier
@parameters_
@json_
@click.pass_context
def finetune(
    ctx: click.Context,
    /,
    folder: Path,
    plant: str | None,
    tier: str | None,
    parameters: tuple[str, ...],
    as_json: bool,
    **how: Any,
) -> None:
    """Trains the networks of a run folder.

    Without options it continues with the request in the folder, and trains damaged networks again.
    Options are added to that request.
    """
    from planted import experiment

    folder = experiment.run_folder(str(folder))
    given = {
        option
        for option in ctx.params
        if ctx.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT
    }
    begun, made = (folder / "run.json").exists(), None
    if given - {"folder", "as_json"} or not begun:
        start = plant if plant is not None or begun else "red-doors"
        how = {**_request(folder, **how), "tier": tier, "parameters": parsed(parameters)}
        made = experiment.plant_into(folder, start, **how).plant
    with shown_progress() as progress:
        request = experiment.resume(folder, ("train",), progress, plant=made)
    checkpoints = [str(network.checkpoint) for network in request.networks(folder)]
    if as_json:
        print_json({"folder": str(folder), "checkpoints": checkpoints})
    else:
        click.echo(f"{len(checkpoints)} checkpoints in {folder / 'cells'}")


@click.command()
@_folder
@_given
@json_
def evaluate(folder: Path, plant: str | None, as_json: bool) -> None:
    """Judges the checkpoints of a run folder and gives the verdicts."""
    from planted import experiment

    with shown_progress() as progress:
        request = experiment.resume(folder, ("judge",), progress, plant=plant)
    print_run(experiment.settle(folder, request.plant), as_json)


@click.command()
@_folder
@click.option(
    "--steps",
    "over_steps",
    is_flag=True,
    help="Also judge the first network of each recipe at every saved step of its training; some "
    "seconds a step. The page then shows when its fate changed.",
)
@_given
@json_
def report(folder: Path, over_steps: bool, plant: str | None, as_json: bool) -> None:
    """Writes the HTML report of a judged run folder."""
    from planted import experiment

    if over_steps:
        opened = experiment.open_run(folder, plant)
        for recipe, seed in {one.recipe: one.seed for one in opened.results[::-1]}.items():
            opened.over_training(recipe, seed or 0)
    page = str(experiment.report(folder, plant))
    if as_json:
        print_json({"folder": str(folder), "report": page})
    else:
        click.echo(page)


@click.command()
@_folder
@click.option("--recipe", "recipe", help="Recipe; the first of the run if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Training seed.")
@click.option(
    "--all", "whole", is_flag=True, help="Also print what each figure is, and all their intervals."
)
@click.option(
    "--steps",
    "over_steps",
    is_flag=True,
    help="Instead, the verdict at every saved step of training; some seconds a step.",
)
@_given
@json_
def explain(
    folder: Path,
    recipe: str | None,
    seed: int,
    whole: bool,
    over_steps: bool,
    plant: str | None,
    as_json: bool,
) -> None:
    """Explains a verdict in words.

    Then follow the comparisons of the rule, with their figures.
    """
    from msgspec import to_builtins

    from planted import experiment
    from planted.eval.verdict.explain import as_data

    experiment.check_asked(folder, recipe, seed, plant)
    opened = experiment.open_run(folder, plant)
    of_recipe = opened.of(opened[0].recipe if recipe is None else recipe)
    one = next(result for result in of_recipe if result.seed == seed)
    if over_steps:
        found = opened.over_training(one.recipe, seed)
        if as_json:
            print_json([{"step": s, "verdict": str(v), "reading": line} for s, v, line in found])
        else:
            for step, verdict, line in found:
                click.echo(f"{step:6d}  {verdict}\n        {line}")
        return
    if as_json:
        print_json(
            {
                "recipe": one.recipe,
                "seed": one.seed,
                "verdict": str(one.verdict),
                **as_data(one.verdict),
                "reading": one.reading,
                "nulls": one.nulls,
                "evidence": {key: to_builtins(record) for key, record in one.evidence.items()},
            }
        )
        return
    print_verdict(one, folder / "report.html", whole)
    if one.verdict.name in _MADE_ELSEWHERE:
        words = ["planted", "measure", str(folder), "search", "--recipe", one.recipe]
        words += ["--seed", str(one.seed), *(["--plant", plant] if plant else [])]
        click.echo(f"Whether what makes the choices searches or looks up: {shlex.join(words)}")


@click.command()
@_folder
@click.argument("names", metavar="EVALUATOR...", nargs=-1, required=True)
@click.option("--recipe", "recipe", help="Recipe; the first of the run if not given.")
@click.option("--seed", type=int, default=0, show_default=True, help="Training seed.")
@_given
@json_
def measure(
    folder: Path,
    names: tuple[str, ...],
    recipe: str | None,
    seed: int,
    plant: str | None,
    as_json: bool,
) -> None:
    """Runs evaluators on one network of a run folder.

    For those that take too long to run on every network; docs/verdicts.md lists them.
    """
    from msgspec import to_builtins

    from planted import experiment

    opened = experiment.open_run(folder, plant)
    found = opened.measure(*names, recipe=recipe or opened[0].recipe, seed=seed)
    if as_json:
        print_json([to_builtins(record) for record in found.values()])
        return
    print_figures(found.values())
    for record in found.values():
        if record.reason and record.estimate is not None:
            click.echo(f"{record.name}: {record.reason}")
    print_kinds(found)


@click.command()
@click.argument("first", metavar="A", type=click.Path(path_type=Path))
@click.argument("second", metavar="B", type=click.Path(path_type=Path))
@_given
@json_
def compare(first: Path, second: Path, plant: str | None, as_json: bool) -> None:
    """Compares two run folders: verdicts, key figures, requests."""
    from msgspec import to_builtins

    from planted import experiment

    one, other = (experiment.open_run(folder, plant) for folder in (first, second))
    found = one.compare(other)
    if as_json:
        print_json(to_builtins(found))
    else:
        click.echo(str(found))


COMMANDS = (run, finetune, evaluate, explain, measure, report, compare)
