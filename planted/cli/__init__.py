"""The command line: `planted`."""

from planted.cli.app import main as main
