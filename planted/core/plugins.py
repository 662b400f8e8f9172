"""What joins from outside: scenarios, signals, tiers, evaluators and methods by entry point.

A package of the reader's own names an object under one of the groups below, as in

    [project.entry-points."planted.signals"]
    graded-labels = "my_package.signals:graded_labels"

and it is found by that name wherever planted's own are. Nothing is imported before its name is
asked for, and own names cannot be replaced.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from planted.core import files
from planted.errors import PlantedError, unknown

GROUPS = ("scenarios", "signals", "tiers", "evaluators", "methods")


def names(group: str, own: Mapping[str, Any]) -> list[str]:
    """Every name of a group: planted's own in their order, then those of other packages, sorted.

    Args:
        group: One of `GROUPS`.
        own: Name -> object, planted's own.
    """
    return [*own, *sorted({point.name for point in _points(group)} - set(own))]


def get(group: str, name: str, own: Mapping[str, Any], kind: str) -> Any:
    """The object of a name, planted's own or from another package.

    Args:
        group: One of `GROUPS`.
        name: The name asked for.
        own: Name -> object, planted's own.
        kind: What the name names, as "signal", for the error.

    Raises:
        UnknownNameError: If nobody has the name; the near ones are listed.
        PlantedError: If two packages have it, or the one that has it cannot be imported.
    """
    if name in own:
        return own[name]
    found = [point for point in _points(group) if point.name == name]
    if not found:
        raise unknown(kind, name, names(group, own))
    if len({point.value for point in found}) > 1:
        places = " and ".join(sorted(f"{point.value!r}" for point in found))
        raise PlantedError(
            f"Two packages name a {kind} {name!r} ({places}). Uninstall one of them."
        )
    try:
        return found[0].load()
    except (Exception, SystemExit) as error:  # a module that ends the process is broken too
        raise PlantedError(
            f"The {kind} {name!r} of entry point {found[0].value!r} cannot be imported: "
            f"{type(error).__name__}: {error}. Uninstall or mend that package."
        ) from error


def source_digest(found: Any) -> str:
    """SHA-256 of the source of the module that defines an object; of nothing where it has none.

    An object made by a function, such as `planted.finetune.signals.by_gradient`, counts as its
    functions do.
    """
    made_of = [found]
    if not inspect.ismodule(found):
        parts = getattr(found, "__dict__", {}).values()
        made_of = [type(found), *(part for part in parts if inspect.isfunction(part))]
    paths = sorted({path for each in made_of if (path := _source(each))})
    return files.sha256(b"".join(Path(path).read_bytes() for path in paths))


def _source(found: Any) -> str:
    try:
        return inspect.getsourcefile(found) or ""
    except (TypeError, OSError):  # built in, or made where there is no file
        return ""


def _points(group: str) -> tuple[metadata.EntryPoint, ...]:
    if group not in GROUPS:
        raise ValueError(f"no group {group!r}; there are {', '.join(GROUPS)}")
    return tuple(metadata.entry_points(group=f"planted.{group}"))
