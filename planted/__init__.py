"""Transformers with a planted mesa-objective, and what training does to them.

The public names below are bound when first used: importing planted pulls in neither jax nor torch.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planted.experiment import evaluate as evaluate
    from planted.experiment import open_run as open_run
    from planted.experiment import run as run
    from planted.finetune.recipe import Recipe as Recipe
    from planted.library import load as load
    from planted.library import plant as plant
    from planted.scoring import score as score

__version__ = "0.1.0"

_WHERE = {
    "Recipe": "planted.finetune.recipe",
    "evaluate": "planted.experiment",
    "load": "planted.library",
    "open_run": "planted.experiment",
    "plant": "planted.library",
    "run": "planted.experiment",
    "score": "planted.scoring",
}

__all__ = [
    "Recipe",
    "__version__",
    "evaluate",
    "load",
    "open_run",
    "plant",
    "run",
    "score",
]


def __getattr__(name: str) -> Any:
    """Binds a public name when it is first used (PEP 562)."""
    if name not in _WHERE:
        raise AttributeError(f"module 'planted' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """Keeps `planted.plant` the function, whoever imports the module planted/plant.py."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuses to bind a submodule under a public name: importing it would do so."""
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
