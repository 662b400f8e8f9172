"""Objects named by the text "package.module:name", as a user's functions are."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from planted.errors import PlantedError, missing_extra, place_of


def is_address(given: object) -> bool:
    """Whether a text names an object of a module, as "my_module:make_plant"."""
    return isinstance(given, str) and ":" in given and "/" not in given and os.sep not in given


def imported(address: str, what: str, error: type[PlantedError] = PlantedError) -> Any:
    """What stands at "package.module:name"; the working folder counts as installed.

    The folder stays at the end of `sys.path`: what the module imports later, and the processes
    that train, find it there.

    Args:
        address: Where it stands; the name may have dots, as "my_module:Plants.red".
        what: What it should be, as "a method", for the error.
        error: The class of the error.

    Raises:
        PlantedError: Of the given class, if it cannot be imported.
    """
    module_name, _, attribute = address.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as raised:  # a module that ends the process is broken too
        said = f"Importing {address!r} raised {type(raised).__name__}{place_of(raised)}: {raised}."
        raise error(f"{said} {_remedy(address, what, raised)}".rstrip()) from raised
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)
    return found


def _remedy(address: str, what: str, raised: BaseException) -> str:
    """What to do about an import that failed; "" where only the user's own module knows."""
    module_name, _, attribute = address.partition(":")
    if extra := missing_extra(raised):
        return extra
    if module_name.endswith(".py"):
        return f"Leave out .py: {module_name.removesuffix('.py')}:{attribute}"
    named = isinstance(raised, ModuleNotFoundError) and f"{module_name}.".startswith(
        f"{raised.name}."
    )
    if named or isinstance(raised, AttributeError) or not module_name or not attribute:
        return f"{what.capitalize()} is named 'package.module:function'."
    return ""
