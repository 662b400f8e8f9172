"""The command about the error rates of verdicts: calibrate."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from planted.cli.options import json_

if TYPE_CHECKING:
    from planted.runs.calibration import Result


@click.command()
@click.option("--quick", is_flag=True, help="60 models of four families, for a check of the rule.")
@click.option(
    "--families",
    multiple=True,
    metavar="NAME",
    help="Only these families. Repeatable; all if none.",
)
@click.option("--out", default="runs/calibration", show_default=True, help="Folder; resumes there.")
@click.option(
    "--records",
    multiple=True,
    metavar="DIR",
    help="Run folder, or folder of them, whose negative controls are the nulls, and whose networks "
    "of certain fate are judged too, beside the controls that are shipped. Repeatable.",
)
@click.option("--most", type=int, help="At most so many constructed models, spread over all.")
@json_
def calibrate(
    quick: bool,
    families: tuple[str, ...],
    out: str,
    records: tuple[str, ...],
    most: int | None,
    as_json: bool,
) -> None:
    """Measures how often verdicts are right.

    It judges models of known fate, counts, and writes the gate file. The exit status is 1 where a
    figure on the sealed models misses what is asked of it.
    """
    import msgspec

    from planted.eval.calibration.gate import summary
    from planted.eval.calibration.suite import fates
    from planted.runs.calibration import calibrate as judge_all

    models = fates.chosen(families, quick=quick, most=most)
    result = judge_all(out, models, records, made_by=_made_by(), tell=_tell)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(result.gate), indent=2))
    else:
        _show(result, summary(result.gate.families))
    if not all(figure.met for figure in result.gate.pooled):
        sys.exit(1)


def _show(result: Result, families: Sequence[str]) -> None:
    """What verdicts were given to which fates, and the figures."""
    from planted.eval.calibration.scores import matrix

    for name, half in (("sealed", True), ("development", False)):
        rows = [r for r in result.rows if r.sealed == half and r.source == "constructed"]
        click.echo(f"{name}: {len(rows)} constructed models")
        for fate, found in matrix(rows).items():
            click.echo(f"  {fate:<22}" + ", ".join(f"{v} {n}" for v, n in found.items()))
    for figure in result.gate.pooled:
        click.echo(f"  {figure}")
    for line in families:
        click.echo(line)
    click.echo(f"Page: {result.folder / 'calibration.md'}")


def _tell(done: int, total: int, left: float | None, what: str) -> None:
    rest = "" if left is None else f", {left / 60:.1f} min left"
    click.echo(f"judged {done} of {total}{rest} {what}", err=True)


def _made_by() -> dict[str, str]:
    """The command that was given, and the commit or the version of planted that it ran at."""
    import planted

    made_by = {"command": "planted " + " ".join(sys.argv[1:])}
    if commit := _commit(Path(planted.__file__).parent):
        return made_by | {"commit": commit}
    return made_by | {"version": planted.__version__}


def _commit(folder: Path) -> str:
    """Short hash of the commit of the repository that tracks a package; "" if none does.

    A package that is installed may lie in a folder of somebody else's repository.
    """

    def git(*words: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(folder), *words], capture_output=True, text=True, check=False
            )
        except OSError:  # there is no git here
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    return git("rev-parse", "--short", "HEAD") if git("ls-files", "__init__.py") else ""


COMMANDS = (calibrate,)
