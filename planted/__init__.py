"""Transformers with a planted mesa-objective, and what training does to them.

The public names are imported when they are first used: `import planted` imports neither jax nor
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from planted.compiler.plain import compile as compile
    from planted.core.roles import Program as Program
    from planted.core.roles import mark as mark
    from planted.core.scenario import Scenario as Scenario
    from planted.core.scenario import Utility as Utility
    from planted.experiment import evaluate as evaluate
    from planted.experiment import forecast as forecast
    from planted.experiment import measure as measure
    from planted.experiment import open_run as open_run
    from planted.experiment import run as run
    from planted.finetune.recipes import Recipe as Recipe
    from planted.library import load as load
    from planted.library import plant as plant
    from planted.programs.own_tasks import scenario_of as scenario_of
    from planted.scoring import score as score
    from planted.scoring import selftest as selftest

__version__ = "0.1.0"

_WHERE = {
    "Program": "planted.core.roles",
    "Recipe": "planted.finetune.recipes",
    "Scenario": "planted.core.scenario",
    "Utility": "planted.core.scenario",
    "compile": "planted.compiler.plain",
    "evaluate": "planted.experiment",
    "forecast": "planted.experiment",
    "load": "planted.library",
    "mark": "planted.core.roles",
    "measure": "planted.experiment",
    "open_run": "planted.experiment",
    "plant": "planted.library",
    "run": "planted.experiment",
    "scenario_of": "planted.programs.own_tasks",
    "score": "planted.scoring",
    "selftest": "planted.scoring",
}

_ROOMS = ("eval", "finetune", "library", "programs")

__all__ = [
    "Program",
    "Recipe",
    "Scenario",
    "Utility",
    "__version__",
    "compile",
    "evaluate",
    "forecast",
    "load",
    "mark",
    "measure",
    "open_run",
    "plant",
    "run",
    "scenario_of",
    "score",
    "selftest",
]


def __getattr__(name: str) -> Any:
    """Binds a public name, or a module, when it is first used (PEP 562)."""
    if name in _ROOMS:  # importing a module binds it here
        return importlib.import_module(f"planted.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'planted' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
