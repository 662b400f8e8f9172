"""The errors that a user can correct: each names the value, what was expected and what to do."""

from __future__ import annotations

import difflib
import importlib
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

_EXTRAS = {
    "tracr": "train",
    "jax": "train",
    "lifelines": "revival",
    "loky": "train",
    "optax": "train",
    "scipy": "train",
    "sklearn": "cues",
    "statsmodels": "cues",
    "torch": "torch",
    "jinja2": "report",
}


class PlantedError(ValueError):
    """An error that the user can correct; the command line prints no traceback and exits with 2."""


class UnknownNameError(PlantedError):
    """A name that is not in the catalogue."""


class UnknownNodeError(UnknownNameError, KeyError):
    """A node that a plant does not have; a KeyError too, as any mapping of nodes raises."""

    def __str__(self) -> str:
        """The message itself, where a KeyError shows it quoted."""
        return str(self.args[0])


class UnknownFigureError(UnknownNameError, KeyError):
    """A figure that a checkpoint's evidence does not have; a KeyError too."""

    def __str__(self) -> str:
        """The message itself, where a KeyError shows it quoted."""
        return str(self.args[0])


class NoSuchResultError(PlantedError, IndexError):
    """A number past the last checkpoint of a run; an IndexError too."""


class ScenarioError(PlantedError):
    """A scenario that fails a validity check which it does not waive."""


class CompileError(PlantedError):
    """A program that Tracr would refuse, or would compile wrongly without an error."""


class CertificateError(PlantedError):
    """A plant whose weights do not do what its program says."""


class ArtefactError(PlantedError):
    """A file that is missing, truncated, altered, or made by something else."""


class CheckpointError(PlantedError):
    """Weights that cannot be this plant's: a wrong shape, a missing tensor, NaN."""


class ShapeError(CheckpointError):
    """Weights of other shapes than this plant's in this tier."""


class RunFolderError(PlantedError):
    """A run folder that belongs to another request, or cannot be written."""


class MethodError(PlantedError):
    """An interpretability method that raised, or returned anything but finite scores."""


class VerdictError(PlantedError):
    """A verdict that was asked for on evidence that is malformed or does not support it."""


MOST_NAMES = 40  # that a message lists where near ones are known


def unknown(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """The error for a name that is not known, with the near ones.

    Args:
        kind: What the name should have named, as "plant" or "recipe".
        name: The offending name.
        known: The names that exist.
    """
    names = sorted(known)
    lower = {each.lower(): each for each in names}
    near = [lower[n] for n in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.5)]
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    where = "; `planted list` shows them" if kind == "plant" else ""
    if near and len(names) > MOST_NAMES:
        return UnknownNameError(f"Unknown {kind} {name!r}.{hint} There are {len(names)}{where}.")
    rest = f"; and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    shown = "; ".join(names[:MOST_NAMES])
    if rest and where:
        return UnknownNameError(f"Unknown {kind} {name!r}. There are {len(names)}{where}.")
    return UnknownNameError(f"Unknown {kind} {name!r}.{hint} Known: {shown}{rest}{where}.")


def need(module: str, purpose: str) -> ModuleType:
    """Imports an optional dependency, or says which pip line brings it.

    Args:
        module: The module to import, as "jax".
        purpose: What it is wanted for, completing "... is needed to".

    Raises:
        PlantedError: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != root:
            raise
        raise PlantedError(
            f"{root!r} is needed to {purpose} and is not installed. {_pip_line(root)}"
        ) from None


def missing_extra(error: BaseException) -> str:
    """The pip line that brings a module whose import failed; "" where no extra brings it.

    Args:
        error: What an import raised.
    """
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    root = (name or "").partition(".")[0]
    return f"{root!r} is not installed. {_pip_line(root)}" if root in _EXTRAS else ""


def _pip_line(root: str) -> str:
    line = f"Run: pip install 'planted[{_EXTRAS.get(root, 'all')}]'"
    if root != "torch":
        return line
    return (
        "Install torch first, as https://pytorch.org says (without a GPU its CPU build, which is "
        f"much smaller). {line}"
    )


def place_of(error: BaseException) -> str:
    """Where an error was raised in the user's code, as " at my_module.py:9"; "" if nowhere.

    Args:
        error: What a function of the user's raised.
    """
    others = {Path(__file__).resolve().parent, Path(traceback.__file__).resolve().parent}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if "site-packages" in path.parts or not path.is_file():
            continue
        if not others & set(path.resolve().parents):
            return f" at {path.name}:{frame.lineno}"
    return ""
