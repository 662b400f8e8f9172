"""Where the planted program stands in the network: a band a block, its nodes, its free neurons."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from planted.eval.portrait import neurons
from planted.eval.report.svg import el, figure, line, rect, text
from planted.forward import n_layers
from planted.plant import Plant
from planted.truth import Node

WIDTH = 480
ATTENTION, MLP, END = 58, 186, 474  # left edges of the two columns, right edge of the drawing
BOX, TALL = 112, 28  # a node's box
SQUARE, PER_ROW = 7, 22  # a neuron, and how many stand side by side
FILLED = {"score": "mesa", "belief": "base"}  # roles that hold an objective, in its colour

Place = tuple[float, float]  # left and top of a node's box


def circuit(plant: Plant) -> Markup:
    """The network from the embeddings (top) to the read-out (bottom), and who reads whom."""
    nodes = list(plant.truth.nodes.values())
    places: dict[str, Place] = {}
    below: list[Markup] = []
    boxes: list[Markup] = []

    inputs = [node for node in nodes if node.layer < 0]
    y = 18.0
    below += _band(y, TALL + 14, "inputs")
    for i, node in enumerate(inputs):
        places[node.name] = (ATTENTION + 10 + i * (BOX + 16), y + 7)
        boxes += _box(node, places[node.name])
    y += TALL + 20
    for layer in range(n_layers(plant.params)):
        here = [node for node in nodes if node.layer == layer]
        heads = [node for node in here if node.heads]
        mlp = [node for node in here if not node.heads]
        planted, free = neurons(plant, layer)
        heights = [max(TALL, _rows(len(node.neurons)) * SQUARE) + 6 for node in mlp]
        left_over = _rows(len(free)) * SQUARE + 8 if free else 0
        height = max(len(heads) * (TALL + 6), sum(heights) + left_over) + 8
        below += _band(y, height, f"block {layer}")
        at = y + 7
        for node in heads:
            places[node.name] = (ATTENTION + 10, at)
            boxes += _box(node, places[node.name])
            at += TALL + 6
        at = y + 7
        for node, tall in zip(mlp, heights, strict=True):
            places[node.name] = (MLP + 8, at)
            boxes += _box(node, places[node.name])
            boxes += _neurons(len(node.neurons), at + 1, f"neuron {_tone(node)}")
            at += tall
        if free:
            boxes.append(text(MLP + 8 + BOX, at + 7, f"{len(free)} free", "tick small", "end"))
            boxes += _neurons(len(free), at, "neuron free")
        y += height + 6
    arrows = [
        _arrow(places[source], places[node.name])
        for node in nodes
        for source in node.reads
        if source in places and node.name in places
    ]
    heading = [
        text(ATTENTION + 10, 12, "attention heads", "label"),
        text(MLP + 8, 12, "MLP: node and its neurons", "label"),
    ]
    label = f"Where the planted program of {plant.name} stands, block by block"
    return figure(WIDTH, y, label, [*heading, *below, *arrows, *boxes])


def _band(y: float, height: float, name: str) -> list[Markup]:
    return [
        rect(ATTENTION, y, END - ATTENTION, height, "block-band", rx=4),
        line(MLP - 2, y + 4, MLP - 2, y + height - 4, "grid"),
        text(ATTENTION - 8, y + 18, name, "label", "end"),
    ]


def _box(node: Node, place: Place) -> list[Markup]:
    x, y = place
    note = f"{node.name}: {node.role or 'input'}; holds {len(node.values)} values"
    return [
        rect(x, y, BOX, TALL, f"node {_tone(node)}", note, 4),
        text(x + 7, y + 12, _short(node.name, 17), "node-name"),
        text(x + 7, y + 23, node.role or "input", "tick small"),
    ]


def _tone(node: Node) -> str:
    return FILLED.get(node.role, "plain")


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _rows(n: int) -> int:
    return -(-n // PER_ROW)


def _neurons(n: int, y: float, class_: str) -> Sequence[Markup]:
    left = MLP + 8 + BOX + 8
    return [
        rect(left + (i % PER_ROW) * SQUARE - 0.0, y + (i // PER_ROW) * SQUARE, SQUARE - 2,
             SQUARE - 2, class_)
        for i in range(n)
    ]  # fmt: skip


def _arrow(source: Place, reader: Place) -> Markup:
    """From the bottom of a box to the top of its reader's."""
    x1, y1 = source[0] + BOX / 2, source[1] + TALL
    x2, y2 = reader[0] + BOX / 2, reader[1]
    bend = max(10.0, (y2 - y1) / 2)
    d = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
    return el("path", d=d, class_="reads")
