"""The command line: results on standard output, progress on standard error.

Exit code 0: done; 1: a bug or a failed check, with traceback; 2: the user can mend it, one message.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from typing import Any

import click

from planted import __version__
from planted.cli import calibrate, methods, plants, runs
from planted.errors import PlantedError

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class _Group(click.Group):
    """Answers a PlantedError with one message and exit code 2, a warning with one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", UserWarning)
                warnings.showwarning = _warn
                result = super().invoke(ctx)
                sys.stdout.flush()
                return result
        except PlantedError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)
        except KeyboardInterrupt:
            click.echo(
                "Interrupted. What was finished is kept; running the same command again resumes.",
                err=True,
            )
            ctx.exit(2)
        except OSError as error:
            if error.errno not in NO_ROOM or error.filename is not None:
                raise
            _drop_output()
            click.echo(f"Error: Cannot write the output: {error.strerror}.", err=True)
            ctx.exit(2)


def _drop_output() -> None:
    """Sends what is still buffered nowhere, so that the end of Python does not write it again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


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


for _command in (*plants.COMMANDS, *runs.COMMANDS, *methods.COMMANDS, *calibrate.COMMANDS):
    main.add_command(_command)


if __name__ == "__main__":
    main()
