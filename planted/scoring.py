"""Scores an interpretability method against planted truth: one call, one table with its nulls.

`score` takes anyone's function, runs it on plants whose score node is known, on the twin that has
none, and on random networks, and gives a `Scoreboard`. How to write a method: docs/methods.md.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from planted.core import plugins
from planted.core.addresses import imported
from planted.core.arguments import one_of, texts, whole
from planted.core.plant import SHIPPED_TIERS, Plant
from planted.core.scenario import Scenario
from planted.errors import MethodError, PlantedError, need, unknown
from planted.eval.methods import measure, tasks
from planted.eval.methods.board import Scoreboard
from planted.eval.methods.locate import Method, positives
from planted.eval.methods.measure import Cell, Settings, Subject
from planted.eval.methods.selftest import SelfTest
from planted.eval.methods.tasks import Task
from planted.library import get, in_tier, matched, resolve
from planted.network.edges import INTERVENTIONS
from planted.network.model import RUNTIMES, Model
from planted.programs import catalogue

DEV = ("red-doors@1", "red-doors-small@1")  # the second has a twin


def score(
    locate: Method | str,
    task: str = "locate",
    models: str | Model | Plant | Sequence[str | Model | Plant] = "dev",
    runtime: str | None = None,
    *,
    twin: str | Model | Plant | None = None,
    tiers: Sequence[str] | None = None,
    intervention: str = "resample",
    normalise: bool = True,
    n_pairs: int = 64,
    n_redraws: int = 20,
    n_reinits: int = 100,
    twin_pairs: int | None = None,
    seed: int = 0,
    budget_s: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scoreboard:
    """Scores a method that says where in a network the objective is computed, or by which edges.

    Args:
        locate: For the task "locate" `locate(module, tokens, counterfactual) ->
            {"blocks.0.hook_mlp_out@3": score}`, for the task "edges" `edges(module, base, source)
            -> {("blocks.0.hook_mlp_out", "blocks.1.attn.hook_k.0"): score}`; or where to import it
            from ("package.module:function"), or a built-in: "exact-patching" and "linear-probe",
            "exact-edge-patching".
        task: "locate": which components compute the mesa-objective. "edges": on which reader's
            input that takes up which component's output the answer depends.
        models: "dev" (red-doors, and red-doors-small beside its twin), or one or several plants:
            names, "module:function", models or plants, your own among them.
        runtime: What the method is given: "torch" (the nn.Module and int64 tensors) or "numpy"
            (`planted.network.model.Network` and arrays). If None, torch where it is
            installed; built-in methods, which give the same scores in both, then use numpy.
        twin: A twin of your own, planted from a Program with searches=False: it makes the same
            choices as the plant, and has no score node. `models` must then be one plant. Both are
            zero-padded to common shapes. If None, the catalogue's twin of the same shapes is used
            where there is one.
        tiers: Tiers to average over; None for exact, tempered and rotated, of a plant in the wheel
            those that it carries. A plant of your own is compiled in each, and tempering it takes a
            minute.
        intervention: Of the task "edges": under which intervention an edge belongs to the circuit,
            "data-flow", "resample", "mean" or "zero" (`Model.circuit`).
        normalise: Whether the networks that the method is given have their logits scaled alike: by
            2 in all, on average, from a task to its counterfactual.
        n_pairs: Pairs of tasks in each redraw.
        n_redraws: Redraws of pairs; the interval is over them.
        n_reinits: Re-initialised networks whose largest scores give the twin's threshold.
        twin_pairs: Pairs of each redraw that are used for the largest scores on the twin; a quarter
            of `n_pairs` if None, because the threshold needs a hundred networks. The table states
            the number.
        seed: Seed of the first redraw. A method that draws random numbers must seed them itself.
        budget_s: Seconds after which no further redraw begins, once there are two; the table says
            how many there were.
        progress: Called after each redraw with the number done and the total.

    Raises:
        MethodError: If the method cannot be imported, raises, or returns anything but finite
            numbers at hook points of the network.
        PlantedError: If an argument is out of bounds, a plant is not known or has no score node,
            or torch is wanted and not installed.

    Example:
        >>> import planted
        >>> small = {"n_redraws": 2, "n_reinits": 2, "n_pairs": 16, "tiers": ["exact"]}
        >>> table = planted.score("linear-probe", models="red-doors-small", **small)
        >>> print(str(table).splitlines()[0])
        locate: linear-probe (numpy)
    """
    one_of("task", task, tasks.TASKS)
    one_of("intervention", intervention, INTERVENTIONS)
    whole("n_pairs", n_pairs, 2)
    whole("n_redraws", n_redraws, measure.AT_LEAST)
    whole("n_reinits", n_reinits, 1)
    whole("seed", seed)
    few = max(2, n_pairs // 4) if twin_pairs is None else twin_pairs
    whole("twin_pairs", few, 2, n_pairs)
    if budget_s is not None and (not isinstance(budget_s, int | float) or not budget_s >= 0):
        raise PlantedError(f"budget_s must be at least 0 seconds, got {budget_s!r}.")
    asked = tasks.under(tasks.TASKS[task], intervention)
    name, make = method_of(locate, asked)
    settings = Settings(n_pairs, n_redraws, n_reinits, few, seed, budget_s)
    runtime = _runtime("numpy" if runtime is None and name in asked.builtin else runtime)
    subject = Subject(name, make, runtime, asked, normalise)
    wanted = None if tiers is None else texts("tiers", tiers, "exact")
    pairs = _pairs(models, twin, asked)
    cells = [cell for pair in pairs for cell in _cells(*pair, wanted, asked)]
    if not cells:
        raise PlantedError("A score needs at least one model and one tier.")
    done = measure.measure(subject, cells, settings, progress)
    return Scoreboard(task, runtime, settings, done, subject, tuple(cells))


def selftest(
    method: Method | str,
    task: str = "locate",
    *,
    model: str | Model | Plant = "red-doors-small@1",
    tier: str = "exact",
    runtime: str | None = None,
    budget_s: float = 40,
) -> SelfTest:
    """Whether a method finds what is known to be there: passed, failed or undecided, for a CI.

    It passes if on a plant its AUROC, signed or absolute, is above what each null reaches (random
    scores, patching of random subspaces, itself on re-initialised networks), if the twin does not
    fool it, and if it gives the same scores when it is called again. That takes 30 calls, and
    seconds for a method that takes .1 s a call.

    Args:
        method: The method, "package.module:function", or the name of a built-in, as for `score`.
        task: "locate" or "edges".
        model: The plant; with a twin in the catalogue if it shall be tested against one.
        tier: Its tier.
        runtime: What the method is given; as for `score`.
        budget_s: Seconds after which no further redraw of tasks begins, once there are two.

    Raises:
        MethodError: If the method cannot be imported, raises, or returns no scores.
        PlantedError: If an argument is out of bounds.

    Example:
        >>> import planted
        >>> planted.selftest("linear-probe", model="red-doors@1").passed
        True
    """
    board = score(
        method, task, model, runtime, tiers=[tier], n_pairs=32, n_redraws=5, n_reinits=20,
        twin_pairs=8, budget_s=budget_s,
    )  # fmt: skip
    cell, subject = board.cells[0], board.subject
    again = subject.on(cell.plant, subject.task.pairs(cell.plant, 32, 0))
    same = bool(np.allclose(again, cell.scores[0], rtol=1e-3, atol=1e-6))
    return SelfTest(board, same)


def method_of(
    locate: Method | str, task: Task = tasks.LOCATE
) -> tuple[str, Callable[[Scenario], Method]]:
    """A method's name, and what makes it for a scenario (a user's function knows none).

    Args:
        locate: The function, its address or its name.
        task: What it is asked, which decides the built-in methods.

    Raises:
        MethodError: If it cannot be imported or called.
        UnknownNameError: If there is no such built-in, nor a method of an installed package.
    """
    if isinstance(locate, str) and ":" not in locate:
        if locate in task.builtin:
            return locate, task.builtin[locate]
        if locate not in plugins.names("methods", {}):
            known = [*task.builtin, *plugins.names("methods", {}), "package.module:function"]
            raise unknown("method", locate, known)
        installed = plugins.get("methods", locate, {}, "method")
        return method_of(installed, task)[0], lambda _: installed
    name = locate if isinstance(locate, str) else getattr(locate, "__name__", repr(locate))
    found = imported(locate, "a method", MethodError) if isinstance(locate, str) else locate
    if not callable(found):
        raise MethodError(f"{name} is {type(found).__name__}, not a function {task.form}.")
    return name, lambda _: found


def _runtime(runtime: str | None) -> str:
    if runtime is None:
        return "torch" if importlib.util.find_spec("torch") else "numpy"
    one_of("runtime", runtime, RUNTIMES)
    if runtime == "torch":
        need("torch", "score a method with runtime='torch'")
    return runtime


def _pairs(models: Any, twin: Any, task: Task) -> list[tuple[Plant, Plant | None]]:
    """The plants that are scored, each with a twin of the user's if there is one.

    A program of the user's own that has no search is the twin of the one plant among `models` that
    has its tasks.

    Raises:
        PlantedError: If they are no plants, or one without a score node is no plant's twin.
    """
    if isinstance(models, str):
        given: list[Any] = list(DEV) if models == "dev" else [models]
    elif isinstance(models, Model | Plant):
        given = [models]
    elif isinstance(models, Iterable):
        given = list(models)
    else:
        raise PlantedError(
            f"models is 'dev', a plant (a name, 'module:function', a model), or a list of them; "
            f"got {models!r}."
        )
    plants = [resolve(each) for each in given]
    # every plant has a circuit; where the score is looked for, one without a score is a twin
    scored = [plant for plant in plants if not task.twin_is_empty or positives(plant).any()]
    others = [plant for plant in plants if all(plant is not each for each in scored)]
    twins = others if twin is None else [*others, resolve(twin)]
    if twin is not None and len(scored) != 1:
        raise PlantedError(f"twin= is the twin of one plant; models has {len(scored)}.")
    found: dict[int, Plant] = {}
    for each in twins:
        of = [i for i, plant in enumerate(scored) if _same_tasks(plant, each)]
        if positives(each).any():
            raise PlantedError(
                f"twin= is {each.name}, which has a node of role 'score': a twin makes the same "
                "choices without one. Pass it as models, and as twin= a program planted with "
                "searches=False."
            )
        if twin is not None and not of:
            raise PlantedError(
                f"{each.name} cannot be the twin of {scored[0].name}: its tasks have another "
                "vocabulary or other candidates. A twin makes the same choices on the same tasks."
            )
        if len(of) != 1 or (twin is None and not each.origin) or of[0] in found:
            raise PlantedError(
                f"{each.name} has no node of role 'score', so there is nothing to locate in it. "
                "A twin is run beside its plant: pass the plant as models, and a twin of your own "
                "as twin=."
            )
        found[of[0]] = each
    return [(plant, found.get(i)) for i, plant in enumerate(scored)]


def _same_tasks(one: Plant, other: Plant) -> bool:
    mine, theirs = one.scenario, other.scenario
    return (mine.vocabulary, mine.candidates) == (theirs.vocabulary, theirs.candidates)


def _cells(
    plant: Plant, twin: Plant | None, tiers: Sequence[str] | None, task: Task
) -> Iterator[Cell]:
    entry = None if plant.origin else catalogue.entry(plant.name)
    for tier in tiers or (entry.shipped if entry is not None else ()) or SHIPPED_TIERS:
        beside: Plant | None = None
        if twin is not None:
            made, beside = (model.plant for model in matched([plant, twin], tier))
        else:
            made = in_tier(plant, tier)
            partner = entry.shares_shapes_with if entry is not None else None
            if partner and made.truth.of_role("score"):
                beside = get(partner, tier, dict(plant.scenario.parameters))
        if beside is not None:
            measure.check_twin(made, beside)
        yield Cell(made, beside, task.truth(made))
