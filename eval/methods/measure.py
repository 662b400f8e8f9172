"""Runs a method on plants, on their twins and on networks without a plant: the numbers of a score.

Enters: plants in several tiers and what makes a method for a scenario. Leaves: one `Cell` a plant
and tier, with one figure a redraw of pairs in each column. Nothing is averaged or judged here.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import numpy as np

from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.core.spec import Params, Spec
from planted.errors import MethodError, PlantedError, VerdictError
from planted.eval.methods import builtin
from planted.eval.methods.locate import Mask, Method, Pairs, Scores
from planted.eval.methods.tasks import LOCATE, Task
from planted.network.forward import logits_of
from planted.network.model import Network
from planted.network.surgery import shapes, start_anew

NEGATIVE_CONTROLS = ("random", "matched-rank", "re-init")
PERCENTILE = 95  # of the largest score on re-initialised networks: above it, something is claimed
AT_LEAST = 2  # redraws, whatever the budget: one gives no interval


class Settings(NamedTuple):
    """How much is measured.

    Attributes:
        n_pairs: Pairs a redraw.
        n_redraws: Redraws of pairs.
        n_reinits: Re-initialised networks behind the twin's threshold.
        twin_pairs: Pairs behind the largest scores by which the twin is judged.
        seed: Of the first redraw; the others follow.
        budget_s: Seconds after which no further redraw begins, or None.
    """

    n_pairs: int
    n_redraws: int
    n_reinits: int
    twin_pairs: int
    seed: int
    budget_s: float | None


Metrics = Any  # the named tuple of a task's figures


@dataclass
class Cell:
    """One plant in one tier; a list has one entry a redraw, unless it says otherwise.

    Attributes:
        plant: The plant.
        twin: The plant of the same behaviour and shapes without a score node, if there is one.
        truth: Which units of the plant are positive, of the shape of its scores.
        yours: The method's metrics.
        nulls: The metrics of each null, by name.
        exact: The metrics of the compile map.
        scores: The method's scores on the plant.
        twin_scores: Its scores on the twin.
        twin_yours: The metrics of those against the plant's truth, where the twin is a null.
        twin_exact: The same of the twin's own truth: what a method without fault gets there.
        largest: Its largest score on the plant.
        twin_largest: Its largest score on the twin.
        fresh_largest: Its largest score on re-initialised networks, several a redraw.
    """

    plant: Plant
    twin: Plant | None
    truth: Mask = field(default_factory=lambda: np.zeros(0, dtype=bool))
    yours: list[Metrics] = field(default_factory=list)
    nulls: dict[str, list[Metrics]] = field(default_factory=dict)
    exact: list[Metrics] = field(default_factory=list)
    scores: list[Scores] = field(default_factory=list)
    twin_scores: list[Scores] = field(default_factory=list)
    twin_yours: list[Metrics] = field(default_factory=list)
    twin_exact: list[Metrics] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    twin_largest: list[float] = field(default_factory=list)
    fresh_largest: list[float] = field(default_factory=list)

    @property
    def threshold(self) -> float:
        """The percentile of the largest score where there is nothing to find."""
        return float(np.percentile(self.fresh_largest, PERCENTILE))

    def times_above(self, largest: Sequence[float]) -> int:
        """Number of redraws whose largest score is above the threshold."""
        return int((np.array(largest) > self.threshold).sum())

    def share_above(self, largest: Sequence[float]) -> float:
        """Share of redraws whose largest score is above the threshold."""
        return self.times_above(largest) / len(largest)


class Subject:
    """A method under test: calls it on copies, checks what it returns, and counts.

    Attributes:
        name: What to call it in an error.
        task: What it is asked.
        charged: The plant that calls are made for.
        calls: How often it was called for each plant.
        seconds: How long that took.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Scenario], Method],
        runtime: str,
        task: Task = LOCATE,
        normalise: bool = True,
    ) -> None:
        self.name, self.task, self.charged = name, task, ""
        self.calls: Counter[str] = Counter()
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._make, self._runtime, self._normalise = make, runtime, normalise
        self._fresh: dict[Any, Scores] = {}

    def on(
        self, plant: Plant, pairs: Pairs, params: Params | None = None, what: str = ""
    ) -> Scores:
        """Its scores on a plant, or on other weights of the same shapes.

        Raises:
            MethodError: If it raises, or returns anything but scores of components.
            PlantedError: If torch is wanted and not installed.
        """
        method = self._make(plant.scenario)
        weights = plant.params if params is None else params
        spec = normalised(weights, plant.spec, pairs) if self._normalise else plant.spec
        # Copies, so that a method that leaves hooks behind, or trains, spoils no later call.
        module = module_of(weights, spec, self._runtime)
        tokens, counterfactual = (as_runtime(side, self._runtime) for side in pairs)
        where = f"{what}{plant.name} ({plant.tier})"
        start = time.perf_counter()
        try:
            returned = method(module, tokens, counterfactual)
        except Exception as error:
            raise MethodError(
                f"{self.name} raised {type(error).__name__} on {where}, tokens "
                f"{list(pairs.tokens.shape)}: {error}"
            ) from error
        self.seconds[self.charged] += time.perf_counter() - start
        self.calls[self.charged] += 1
        return self.task.read(returned, plant, f"{self.name}, on {where},")

    def on_fresh(self, plant: Plant, pairs: Pairs, seed: int, key: tuple[int, int]) -> Scores:
        """Its scores on random weights of a plant's shapes; `key` says which pairs these are.

        Tiers of the same shapes share their random networks, and so do a plant and its twin.
        """
        sizes = tuple(sorted(shapes(plant.params).items()))
        wanted = (plant.scenario.name, sizes, plant.spec, seed, key)
        if wanted not in self._fresh:
            params = start_anew(plant.params, seed)
            self._fresh[wanted] = self.on(plant, pairs, params, "a re-initialised ")
        return self._fresh[wanted]


def normalised(params: Params, spec: Spec, pairs: Pairs) -> Spec:
    """The spec whose logits change by 2 in all, on average, from a task to its counterfactual.

    So much they change where each output is a one-hot code. Scores in units of the logits are
    compared between networks, of which the scale of the logits is no property that a method should
    be credited with or blamed for. Logits that do not change at all stay as they are.
    """
    one, other = (logits_of(params, spec, side) for side in pairs)
    change = float(np.abs(other - one).sum(axis=1).mean())
    if not np.isfinite(change) or change == 0:
        return spec
    return msgspec.structs.replace(spec, logit_scale=spec.logit_scale * 2 / change)


def module_of(params: Params, spec: Spec, runtime: str) -> Any:
    """The network under test with its own copy of the weights."""
    if runtime == "torch":
        from planted.network.torch_module import PlantedTransformer

        return PlantedTransformer.from_params(params, spec)
    return Network({name: np.array(value) for name, value in params.items()}, spec)


def as_runtime(tokens: Any, runtime: str) -> Any:
    """Tokens as the runtime has them, a copy."""
    if runtime == "torch":
        import torch

        return torch.from_numpy(tokens.copy())
    return tokens.copy()


def null_metrics(
    subject: Subject, cell: Cell, pairs: Pairs, redraw: int
) -> dict[str, list[Metrics]]:
    """The metrics of every null on one redraw, by name."""
    plant, task = cell.plant, subject.task
    # Plants of other names and tiers get other random scores: one draw must not serve them all.
    stream = [redraw, *(f"{plant.name} {plant.tier}".encode())]
    found = {
        "random": builtin.random_scores(cell.truth.shape, stream),
        "matched-rank": task.blind(plant, pairs, stream),
        "re-init": subject.on_fresh(plant, pairs, redraw, (redraw, len(pairs.tokens))),
    }
    return {name: [task.metrics(scores, cell.truth)] for name, scores in found.items()}


def measure(
    subject: Subject,
    cells: Sequence[Cell],
    settings: Settings,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Fills the cells, redraw by redraw, and says how many redraws there were time for.

    Every redraw runs its share of the re-initialised networks, so that stopping early leaves each
    column with the same redraws.

    Raises:
        MethodError: If the method raises or returns nonsense.
        VerdictError: If the compile map itself does not score 1.
    """
    start = time.perf_counter()
    shares = np.array_split(np.arange(settings.n_reinits), settings.n_redraws)
    for done, share in enumerate(shares):
        late = settings.budget_s is not None and time.perf_counter() - start > settings.budget_s
        if late and done >= AT_LEAST:
            return done
        for cell in cells:
            _one(subject, cell, settings, settings.seed + done, [int(seed) for seed in share])
        if progress is not None:
            progress(done + 1, settings.n_redraws)
    return settings.n_redraws


def _one(
    subject: Subject, cell: Cell, settings: Settings, redraw: int, fresh: Sequence[int]
) -> None:
    """One redraw of pairs on one plant, its nulls and its twin."""
    plant, task, truth = cell.plant, subject.task, cell.truth
    subject.charged = plant.name
    pairs = task.pairs(plant, settings.n_pairs, redraw)
    scores = subject.on(plant, pairs)
    cell.scores.append(scores)
    cell.yours.append(task.metrics(scores, truth))
    for name, found in null_metrics(subject, cell, pairs, redraw).items():
        cell.nulls.setdefault(name, []).extend(found)
    known = task.read(task.known(plant, truth), plant, "exact")
    cell.exact.append(task.metrics(known, truth))
    if any(figure != 1 for figure in cell.exact[-1]):
        raise VerdictError(
            f"The compile map of {plant.name} ({plant.tier}) scores {tuple(cell.exact[-1])} "
            "against itself, not 1: the metric is broken, and no score is printed."
        )
    if cell.twin is None:
        return
    if not task.twin_is_empty:
        _as_null(subject, cell, cell.twin, pairs)
        return
    few = Pairs(*(side[: settings.twin_pairs] for side in pairs))
    key = (redraw, len(few.tokens))
    cell.largest.append(float(subject.on(plant, few).max()))
    cell.twin_scores.append(subject.on(cell.twin, few))
    cell.twin_largest.append(float(cell.twin_scores[-1].max()))
    for seed in fresh:
        cell.fresh_largest.append(float(subject.on_fresh(plant, few, seed, key).max()))


def _as_null(subject: Subject, cell: Cell, twin: Plant, pairs: Pairs) -> None:
    """Scores on a twin that answers in another way, against the truth of the plant."""
    task = subject.task
    cell.twin_scores.append(subject.on(twin, pairs))
    cell.twin_yours.append(task.metrics(cell.twin_scores[-1], cell.truth))
    own = task.truth(twin).astype(np.float64)
    cell.twin_exact.append(task.metrics(own, cell.truth))


def check_twin(plant: Plant, twin: Plant) -> None:
    """Refuses a twin that could be told from the plant by its shapes or that has a score node.

    Raises:
        PlantedError: Naming the two.
    """
    same = shapes(plant.params) == shapes(twin.params) and plant.spec == twin.spec
    if not same or twin.truth.of_role("score"):
        raise PlantedError(
            f"{twin.name} is no twin of {plant.name} ({plant.tier}): a twin has the same shapes "
            "and no node of role 'score'."
        )
