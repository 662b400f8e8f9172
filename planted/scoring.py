"""Scores an interpretability method against planted truth: one call, one table with its nulls.

`score` takes anyone's function, runs it on plants whose score node is known, on the twin that has
none, and on random networks, and gives a `Scoreboard`. How to write a method: docs/methods.md.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from planted.core.plant import TIERS
from planted.core.scenario import Scenario
from planted.errors import MethodError, PlantedError, need, unknown
from planted.eval.methods import builtin, measure
from planted.eval.methods.board import Scoreboard
from planted.eval.methods.locate import Method, positives
from planted.eval.methods.measure import Cell, Settings, Subject
from planted.library import get
from planted.network.model import RUNTIMES
from planted.programs import catalogue

TASKS = ("locate",)
DEV = ("red-doors@1", "red-doors-small@1")  # the second has a twin


def score(
    locate: Method | str,
    task: str = "locate",
    models: str | Sequence[str] = "dev",
    runtime: str | None = None,
    *,
    tiers: Sequence[str] = TIERS,
    n_pairs: int = 64,
    n_redraws: int = 20,
    n_reinits: int = 100,
    twin_pairs: int | None = None,
    seed: int = 0,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scoreboard:
    """Scores a method that says where in a network the objective is computed.

    Args:
        locate: `locate(module, tokens, counterfactual) -> {"blocks.0.hook_mlp_out@3": score}`, or
            where to import it from ("package.module:function"), or a built-in: "exact-patching",
            "linear-probe".
        task: "locate".
        models: "dev" (red-doors, and red-doors-small beside its twin), or names of plants.
        runtime: What the method is handed: "torch" (the nn.Module and int64 tensors) or "numpy"
            (`planted.network.model.Network` and arrays). If None, torch where it is
            installed; built-ins,
            which give the same either way, then run by numpy.
        tiers: Tiers to average over.
        n_pairs: Pairs of tasks a redraw.
        n_redraws: Redraws of pairs; the interval is over them.
        n_reinits: Random networks that set the twin's threshold.
        twin_pairs: Pairs of each redraw behind the largest scores by which the twin is judged; a
            quarter of them if None, because that takes a hundred networks. The table says so.
        seed: Of the first redraw. A method that draws random numbers seeds itself.
        budget_s: Seconds after which no further redraw begins, once there are two; the table says
            how many there were.
        progress: Called after each redraw with how many are done, and of how many.

    Raises:
        MethodError: If the method cannot be imported, raises, or returns anything but finite
            numbers at hook points of the network.
        PlantedError: If an argument is out of bounds, a plant is not known or has no score node,
            or torch is wanted and not installed.
    """
    if task not in TASKS:
        raise PlantedError(f"Unknown task {task!r}; there is {', '.join(TASKS)}.")
    _whole("n_pairs", n_pairs, 2)
    _whole("n_redraws", n_redraws, measure.AT_LEAST)
    _whole("n_reinits", n_reinits, 1)
    _whole("seed", seed, 0)
    few = max(2, n_pairs // 4) if twin_pairs is None else twin_pairs
    _whole("twin_pairs", few, 2, n_pairs)
    if budget_s is not None and not budget_s >= 0:
        raise PlantedError(f"budget_s must be at least 0 seconds, got {budget_s!r}.")
    name, make = resolve(locate)
    settings = Settings(n_pairs, n_redraws, n_reinits, few, seed, budget_s)
    runtime = _runtime("numpy" if runtime is None and name in builtin.BUILTIN else runtime)
    subject = Subject(name, make, runtime)
    names = DEV if models == "dev" else (models,) if isinstance(models, str) else tuple(models)
    cells = [cell for model in names for cell in _cells(model, tiers)]
    if not cells:
        raise PlantedError("A score needs at least one model and one tier.")
    done = measure.measure(subject, cells, settings, progress)
    return Scoreboard(task, runtime, settings, done, subject, tuple(cells))


def _whole(what: str, value: object, least: int, most: int | None = None) -> None:
    if type(value) is not int or value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"from {least} to {most}"
        raise PlantedError(f"{what} must be a whole number, {bounds}, got {value!r}.")


def resolve(locate: Method | str) -> tuple[str, Callable[[Scenario], Method]]:
    """A method's name, and what makes it for a scenario (a user's function knows none).

    Raises:
        MethodError: If it cannot be imported or called.
        UnknownNameError: If there is no such built-in.
    """
    if isinstance(locate, str) and ":" not in locate:
        if locate not in builtin.BUILTIN:
            raise unknown("method", locate, [*builtin.BUILTIN, "package.module:function"])
        return locate, builtin.BUILTIN[locate]
    name = locate if isinstance(locate, str) else getattr(locate, "__name__", repr(locate))
    found = _imported(locate) if isinstance(locate, str) else locate
    if not callable(found):
        raise MethodError(
            f"{name} is {type(found).__name__}, not a function "
            "locate(module, tokens, counterfactual)."
        )
    return name, lambda _: found


def _imported(address: str) -> Any:
    """What stands at "package.module:function"; the working folder counts as installed."""
    module_name, _, attribute = address.partition(":")
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module_name)
        for part in attribute.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise MethodError(
            f"Importing {address!r} raised {type(error).__name__}: {error}. A method is named "
            "'package.module:function'."
        ) from error
    finally:
        sys.path.remove(here)
    return found


def _runtime(runtime: str | None) -> str:
    if runtime is None:
        return "torch" if importlib.util.find_spec("torch") else "numpy"
    if runtime not in RUNTIMES:
        raise PlantedError(f"runtime is one of {', '.join(RUNTIMES)}, got {runtime!r}.")
    if runtime == "torch":
        need("torch", "score a method with runtime='torch'")
    return runtime


def _cells(model: str, tiers: Sequence[str]) -> Iterator[Cell]:
    partner = catalogue.entry(model).shares_shapes_with
    for tier in tiers:
        plant = get(model, tier)
        if not positives(plant).any():
            raise PlantedError(
                f"{plant.name} has no node of role 'score', so there is nothing to locate in it. "
                "A twin is run beside its plant."
            )
        twin = get(partner, tier) if partner else None
        if twin is not None:
            measure.check_twin(plant, twin)
        yield Cell(plant, twin)
