"""A name for every direction, head and neuron of a plant: none is a number of the compiler's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.core.truth import Node

Vector = npt.NDArray[np.float32]
HALF = 0.5  # of a neuron's largest input weight: what it reads as a code


def directions(plant: Plant) -> dict[str, Vector]:
    """Every direction of the residual stream that anything writes: name -> vector [d_model].

    "score = 12" is a value of a node, "beaten_share" a number, "one" what every token carries,
    "BOS" what BOS carries beside it, and "count (width)" what a counting head writes for its MLP.
    """
    found: dict[str, Vector] = {}
    for node in plant.truth.nodes.values():
        for value, row in zip(node.values, node.basis, strict=False):
            found[node.name if node.numerical else f"{node.name} = {value}"] = row
        if node.heads and node.neurons:
            written = plant.params[f"blocks.{node.layer}.attn.W_O"][node.heads[0]]
            found[f"{node.name} (width)"] = written[np.abs(written).sum(axis=1).argmax()]
    found["one"] = _one(plant)
    found["BOS"] = plant.params["embed.W_E"][0] - found["one"]
    return found


def neurons(plant: Plant) -> dict[tuple[int, int], str]:
    """(block, neuron) -> its node and what makes it fire, as "score: state = 1 & tokens = key-3".

    A neuron that no node owns is "free".
    """
    found = {}
    for layer in range(n_layers(plant.params)):
        for number in range(plant.params[f"blocks.{layer}.mlp.W_in"].shape[1]):
            found[layer, number] = "free"
    for node in plant.truth.nodes.values():
        for number in node.neurons:
            weight = plant.params[f"blocks.{node.layer}.mlp.W_in"][:, number]
            found[node.layer, number] = f"{node.name}: {_fires(plant, node, weight)}"
    return found


def heads(plant: Plant) -> dict[tuple[int, int], str]:
    """(block, head) -> its node and what it reads, as "beaten_share: k score, q score, v ones"."""
    return {
        (node.layer, head): f"{node.name}: {', '.join(_inputs(plant, node))}"
        for node in plant.truth.nodes.values()
        for head in node.heads
    }


def _one(plant: Plant) -> Vector:
    embed, first = plant.params["embed.W_E"], plant.truth.nodes["tokens"].basis[0]
    return np.asarray(embed[1] - first)


def _inputs(plant: Plant, node: Node) -> list[str]:
    return [f"{e.input} {e.writer}" for e in plant.truth.edges if e.reader == node.name]


def _fires(plant: Plant, node: Node, weight: Vector) -> str:
    """What a neuron's input weights [d_model] ask of the nodes it reads."""
    asked = []
    scale = float(np.abs(weight).max())
    for name in node.reads if not node.heads else ():
        read = plant.truth.nodes[name]
        content = read.basis @ weight
        if read.numerical:
            slope, bias = float(content[0]), float(_one(plant) @ weight)
            moves = abs(slope) > 1e-3 * scale
            asked.append(f"{name} > {-bias / slope:.4g}" if moves else f"any {name}")
            continue
        values = [str(read.values[i]) for i in np.flatnonzero(content > HALF * scale)]
        if len(values) == 1:
            asked.append(f"{name} = {values[0]}")
        elif values:
            asked.append(f"{name} in {{{', '.join(values)}}}")
    return " & ".join(asked) or "counts"
