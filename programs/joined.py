"""Entries of other packages: scenarios that join the catalogue by entry point.

    [project.entry-points."planted.scenarios"]
    ferries = "my_package.ferries:entry"

The object is an `Entry` whose name is that of the entry point, or a function that returns one.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from planted.core import files, plugins
from planted.errors import PlantedError, UnknownNameError, unknown
from planted.programs.entries import Entry

GROUP = "scenarios"


def entry(name: str, own: Mapping[str, Entry], asked: str) -> Entry:
    """The entry of another package by its name.

    Args:
        name: The name, without size and version.
        own: The catalogue's own entries.
        asked: What was asked for, for the error.

    Raises:
        UnknownNameError: If nobody has the name; the near ones are named.
        PlantedError: If it cannot be imported, or is no entry of that name.
    """
    known = plugins.names(GROUP, own)
    if name not in known:
        if "/" in asked:
            said = unknown("plant", asked, known)
            raise UnknownNameError(f"{said} There is no file or folder {asked!r} either.")
        raise unknown("plant", name, known)
    found: Any = plugins.get(GROUP, name, own, "plant")
    where = getattr(found, "__module__", "")
    if callable(found) and not isinstance(found, Entry):
        try:
            found = found()
        except PlantedError:
            raise
        except (Exception, SystemExit) as error:
            raise PlantedError(
                f"The entry point of plant {name!r} raised {type(error).__name__}: {error}"
            ) from error
    if not isinstance(found, Entry) or found.name != name:
        got = f"one named {found.name!r}" if isinstance(found, Entry) else type(found).__name__
        raise PlantedError(
            f"The entry point of plant {name!r} must give a planted.programs.entries.Entry of that "
            f"name, or a function that returns one; got {got}."
        )
    modules = {where, getattr(found.scenario, "__module__", ""), found.program.__module__}
    return replace(found, shipped=(), source=_source_of(modules))


def entries(own: Mapping[str, Entry]) -> list[Entry]:
    """Every entry of other packages, by name; a warning names what is broken and left out."""
    found = []
    for name in plugins.names(GROUP, own)[len(own) :]:
        try:
            found.append(entry(name, own, name))
        except PlantedError as error:
            warnings.warn(f"{error} It is left out.", stacklevel=3)
    return found


def _source_of(modules: set[str]) -> str:
    """SHA-256 over the source of the packages that some modules are from, planted left out."""
    found = []
    for package in sorted({name.partition(".")[0] for name in modules} - {"planted", ""}):
        spec = importlib.util.find_spec(package)
        places = list(spec.submodule_search_locations or ()) if spec is not None else []
        single = [Path(spec.origin)] if spec is not None and spec.origin and not places else []
        for path in single or sorted(p for place in places for p in Path(place).rglob("*.py")):
            found.append(files.sha256(path.read_bytes()))
    return files.sha256("".join(found).encode())
