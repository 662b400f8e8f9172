"""Objects named by the text "package.module:name", as a user's functions are."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from planted.errors import PlantedError


def is_address(given: object) -> bool:
    """Whether a text names an object of a module, as "my_module:make_plant"."""
    return isinstance(given, str) and ":" in given and "/" not in given and os.sep not in given


def imported(address: str, what: str, error: type[PlantedError] = PlantedError) -> Any:
    """What stands at "package.module:name"; the working folder counts as installed.

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
    except Exception as raised:
        raise error(
            f"Importing {address!r} raised {type(raised).__name__}: {raised}. {what.capitalize()} "
            "is named 'package.module:function'."
        ) from raised
    finally:
        sys.path.remove(here)
    return found
