"""The task "edges": which input of which head or MLP takes up which component's output?

A method sees a network and pairs of tasks and gives every link (`planted.core.circuit`) a score.
Positive are the links on which the answer depends under the intervention that is asked for. Under
"resample", what patching and its gradient approximations ask, the RASP program says so: it is run
again with the content of one edge taken from the other task of a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from planted.core.circuit import Link, links
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.errors import MethodError
from planted.eval.methods.builtin import Part, as_network, beyond_rounding
from planted.eval.methods.locate import (
    Mask,
    Method,
    Pairs,
    Scores,
    auroc,
    components_of,
    draw_pairs,
    number_of,
    precision_at_k,
    written_by,
)
from planted.network.edges import EdgePatcher, circuit
from planted.network.model import Network

TRUTH_PAIRS = 500  # of tasks, by which it is decided what an answer depends on


class EdgeMetrics(NamedTuple):
    """How well scores rank the links of the circuit, as they are and by their absolute values.

    Attributes:
        auroc: Chance that a link of the circuit scores above another, ties counting a half.
        precision: Share of links of the circuit among the k highest, k their number.
        auroc_absolute: The first of |score|.
        precision_absolute: The second of |score|.
    """

    auroc: float
    precision: float
    auroc_absolute: float
    precision_absolute: float


def links_in(plant: Plant) -> tuple[Link, ...]:
    """Every link of a plant, in the order of scores."""
    return links(components_of(plant))


def pairs_of(plant: Plant, n: int, seed: int) -> Pairs:
    """Pairs that differ in one candidate and in what this plant must choose."""
    return draw_pairs(plant.scenario, n, seed, plant.expected_choices)


def in_circuit(plant: Plant, intervention: str) -> Mask:
    """Which links are in the circuit under an intervention, [link]."""
    pairs = pairs_of(plant, TRUTH_PAIRS, 0)
    tokens = np.concatenate([pairs.tokens, pairs.counterfactual])
    source = np.concatenate([pairs.counterfactual, pairs.tokens])
    found = set(circuit(plant, intervention, tokens, source))
    return np.array([link in found for link in links_in(plant)])


def metrics(scores: Scores, positive: Mask) -> EdgeMetrics:
    """All four of one scoring."""
    size = np.abs(scores)
    return EdgeMetrics(
        auroc(scores, positive),
        precision_at_k(scores, positive),
        auroc(size, positive),
        precision_at_k(size, positive),
    )


def carried_by(plant: Plant, index: int) -> tuple[str, str]:
    """A link as "writer -> reader", and what the compile map says its writer holds."""
    writer, reader = links_in(plant)[index]
    return f"{writer} -> {reader}", written_by(plant, writer)


def read_scores(returned: object, known: Sequence[Link], who: str) -> Scores:
    """What a method returned, as numbers [link].

    Args:
        returned: A dict from (writer, reader), or from "writer->reader", to a number; a link that
            no key names scores 0.
        known: Every link.
        who: What to call the method in an error.

    Raises:
        MethodError: Naming the first key or value that is wrong, and a right one.
    """
    example = f"{known[-1]!r}; planted.core.circuit.links(module.components) lists them all"
    if not isinstance(returned, Mapping):
        raise MethodError(
            f"{who} returned {type(returned).__name__}, not a dict from (writer, reader) to "
            f"numbers. A key is {example}."
        )
    place = {link: i for i, link in enumerate(known)}
    scores = np.zeros(len(known))
    for key, value in returned.items():
        link = tuple(part.strip() for part in key.split("->")) if isinstance(key, str) else key
        if link not in place:
            raise MethodError(
                f"{who} returned the key {key!r}: there is no such link. Right: {example}."
            )
        scores[place[link]] = number_of(value, key, who)
    return scores


def exact_edges(_: Scenario) -> Method:
    """Patches one edge at a time with its content on the other task of the pair, both ways round.

    The score is the mean absolute change of the logits, divided by the mean absolute change when
    all of the input is exchanged: the share of the effect that this edge carries by itself. It
    needs no labels, and is never negative.
    """

    def edges(module: Any, base: Any, source: Any) -> dict[Link, float]:
        return patched(as_network(module), base, source, lambda _, change: change)

    return edges


def blind(plant: Plant, pairs: Pairs, seed: Sequence[int]) -> Scores:
    """The null without directions: patches a random subspace of the rank of the largest node."""
    rank = max(node.basis.shape[0] for node in plant.truth.nodes.values())
    rng = np.random.default_rng([*seed, 0x5B5])
    width = plant.params["embed.W_E"].shape[1]

    def part(_: int, change: Any) -> Any:
        basis = np.linalg.qr(rng.normal(size=(width, min(rank, width))))[0].astype(np.float32)
        return (change @ basis) @ basis.T

    found = patched(Network(plant.params, plant.spec), *pairs, part)
    return read_scores(found, links_in(plant), "matched-rank")


def patched(network: Network, base: Any, source: Any, part: Part) -> dict[Link, float]:
    """Scores of patching each link with `part` of its change: link -> share of the effect."""
    batch = np.concatenate([np.asarray(base), np.asarray(source)])
    run = EdgePatcher(network.params, network.spec, batch)
    changes = {
        name: np.roll(output, len(base), axis=0) - output for name, output in run.outputs.items()
    }
    whole = np.abs(np.roll(run.logits, len(base), axis=0) - run.logits).sum()
    found: dict[Link, float] = {}
    for i, link in enumerate(links(network.components)):
        change = changes[link[0]]
        if whole and change.any():
            moved = run.patched(link, part(i, change)) - run.logits
            found[link] = float(np.abs(beyond_rounding(moved, run.logits)).sum() / whole)
    return found


BUILTIN = {"exact-edge-patching": exact_edges}
