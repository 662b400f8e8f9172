"""The task "locate": at which head or MLP, and at which position, is the objective computed?

A method sees a network and pairs of tasks and gives every component a score. A component is a head
or an MLP at one position, BOS included. Positive are the components that write a node of role
"score" at the position of a candidate, by the compile map; nothing here asks another
interpretability method.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.scenario import Choices, Scenario, Tokens
from planted.errors import MethodError, PlantedError
from planted.network.model import Network

# (module, tokens, counterfactual) -> {"blocks.0.hook_mlp_out@3": score}
Method = Callable[[Any, Any, Any], Any]
Scores = npt.NDArray[np.float64]  # [component, position]
Mask = npt.NDArray[np.bool_]  # [component, position]

_PAIRS = 0x9A1  # separates the stream of random numbers from others with the same seed


class Pairs(NamedTuple):
    """Tasks and their counterfactuals, both [task, pos].

    Attributes:
        tokens: Tasks of D_ref.
        counterfactual: The same tasks with one candidate replaced, so that another one wins.
    """

    tokens: Tokens
    counterfactual: Tokens


class Metrics(NamedTuple):
    """How well scores rank the positive components.

    Attributes:
        auroc: Chance that a positive component scores above a negative one, ties counting a half.
        precision: Share of positives among the k highest, k the number of positives.
    """

    auroc: float
    precision: float


def draw_pairs(
    scenario: Scenario,
    n: int,
    seed: int,
    choose: Callable[[Tokens], Choices] | None = None,
) -> Pairs:
    """Draws pairs that differ in exactly one candidate and in the choice.

    The replacement is drawn from the same distribution as what it replaces, and both ways occur:
    the best candidate gets worse, or another one gets better.

    Args:
        scenario: The tasks.
        n: Pairs.
        seed: Of the draw.
        choose: The choice on tasks [task, pos]; the mesa-choice if None.

    Raises:
        PlantedError: If fewer than one pair in a thousand qualifies.
    """
    chosen = choose or (lambda tokens: leftmost(scenario.mesa.of(tokens)))
    rng = np.random.default_rng([seed, _PAIRS])
    slots = np.array(scenario.candidates)
    kept: list[Pairs] = []
    have, drawn = 0, 0
    while have < n:
        tokens = scenario.draw(rng, max(64, 4 * (n - have)))
        source_inputs = scenario.draw(rng, len(tokens))
        rows, at = np.arange(len(tokens)), rng.choice(slots, len(tokens))
        other = tokens.copy()
        other[rows, at] = source_inputs[rows, at]
        differ = chosen(tokens) != chosen(other)
        kept.append(Pairs(tokens[differ], other[differ]))
        have, drawn = have + int(differ.sum()), drawn + len(tokens)
        if drawn > 1000 * (n + 64) and have < drawn / 1000:
            raise PlantedError(
                f"Replacing one candidate of {scenario.name!r} changed the winner in only {have} "
                f"of {drawn} tasks: too few for pairs."
            )
    tokens, other = (np.concatenate(side)[:n] for side in zip(*kept, strict=True))
    return Pairs(tokens, other)


def components_of(plant: Plant) -> tuple[str, ...]:
    """Every head and MLP of a plant, in the order of the rows of scores."""
    return Network(plant.params, plant.spec).components


def positives(plant: Plant) -> Mask:
    """Which components write a score node at a candidate's position, [component, position]."""
    names = components_of(plant)
    found = np.zeros((len(names), plant.scenario.n_positions), dtype=bool)
    for node in plant.truth.of_role("score"):
        for site in node.hook_points:
            found[names.index(site), list(plant.scenario.candidates)] = True
    return found


def compile_map(plant: Plant) -> dict[str, float]:
    """What a method that knows the truth returns: 1 at each positive component."""
    names = components_of(plant)
    return {f"{names[i]}@{position}": 1.0 for i, position in np.argwhere(positives(plant))}


def written_by(plant: Plant, key: str) -> str:
    """What the compile map says a component holds, as "pair (table)", or "nothing"."""
    site, _, position = key.partition("@")
    nodes = [
        f"{node.name} ({node.role or 'plumbing'})"
        for node in plant.truth.nodes.values()
        if site in node.hook_points
    ]
    return ("nothing" if position == "0" else ", ".join(nodes)) or "nothing"


def read_scores(returned: object, components: Sequence[str], n_positions: int, who: str) -> Scores:
    """What a method returned, as numbers [component, position].

    Args:
        returned: A dict from "hook_point" (all positions) or "hook_point@position" to a number.
            Where both name a component, the key with the position counts; a component that no key
            names scores 0.
        components: Every head and MLP.
        n_positions: Length of a task, BOS included.
        who: What to call the method in an error.

    Raises:
        MethodError: Naming the first key or value that is wrong, and a right one.
    """
    example = f"{components[0]!r} (all positions) or '{components[0]}@{n_positions - 1}' (one)"
    if not isinstance(returned, Mapping):
        raise MethodError(
            f"{who} returned {type(returned).__name__}, not a dict from hook points to "
            f"numbers. A key "
            f"is {example}."
        )
    place = {name: i for i, name in enumerate(components)}
    whole, single = np.zeros((len(components), n_positions)), {}
    for key, value in returned.items():
        if not isinstance(key, str):
            raise MethodError(f"{who} returned the key {key!r}, not a string. Right: {example}.")
        site, at, position = key.partition("@")
        if site not in place:
            raise MethodError(
                f"{who} returned the key {key!r}: there is no head or MLP {site!r}. Right: "
                f"{example}; module.components lists them all."
            )
        if at and not (position.isascii() and position.isdigit() and int(position) < n_positions):
            raise MethodError(
                f"{who} returned the key {key!r}: positions are 0 (BOS) to {n_positions - 1}. "
                f"Right: {example}."
            )
        number = number_of(value, key, who)
        if at:
            single[place[site], int(position)] = number
        else:
            whole[place[site]] = number
    for where, number in single.items():
        whole[where] = number
    return whole


def number_of(value: object, key: object, who: str) -> float:
    """A finite float from a number, or from an array or tensor that holds just one."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    if not isinstance(value, Real) or not np.isfinite(float(value)):
        raise MethodError(
            f"{who} returned {value!r} for {key!r}: scores are finite numbers, as {{{key!r}: 0.5}}."
        )
    return float(value)


def auroc(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Area under the ROC curve: every positive against every negative, a tie counting a half."""
    values, truth = np.ravel(scores), np.ravel(positive).astype(bool)
    above = values[truth][:, None] - values[~truth][None, :]
    return float(((above > 0) + 0.5 * (above == 0)).mean())


def precision_at_k(scores: npt.ArrayLike, positive: npt.ArrayLike) -> float:
    """Share of positives among the k highest scores, k the number of positives.

    Where a tie crosses rank k, its places are shared evenly: the expectation over orders.
    """
    values, truth = np.ravel(scores), np.ravel(positive).astype(bool)
    k = int(truth.sum())
    last = np.sort(values)[-k]
    above, level = values > last, values == last
    share = (k - above.sum()) / level.sum()
    return float((truth[above].sum() + share * truth[level].sum()) / k)


def metrics(scores: Scores, positive: Mask) -> Metrics:
    """Both metrics of one scoring."""
    return Metrics(auroc(scores, positive), precision_at_k(scores, positive))
