"""Where the planted program stands in the network: a band a block, its nodes, its free neurons."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from markupsafe import Markup

from planted.core.plant import Plant
from planted.core.spec import n_layers
from planted.core.truth import Node
from planted.eval.report.svg import el, figure, line, rect, text
from planted.eval.weight_diagnostics import neurons

WIDTH = 512
BAND, END = 60, 506  # left and right edge of a block
ATTENTION, MLP = 80, 232  # left edges of the boxes in the two columns
BOX, TALL = 110, 28  # a node's box
SQUARE, PER_ROW = 6.3, 24  # a neuron, and how many stand side by side
FILLED = {"score": "mesa", "belief": "base"}  # roles that hold an objective, in its colour

Place = tuple[float, float]  # left and top of a node's box


def circuit(plant: Plant) -> Markup:
    """The network from the embeddings (top) to the read-out (bottom), and who reads whom.

    Long because it lays out from top to bottom in one pass, each block below the one before.
    """
    nodes = list(plant.truth.nodes.values())
    places: dict[str, Place] = {}
    below: list[Markup] = []
    boxes: list[Markup] = []

    inputs = [node for node in nodes if node.layer < 0]
    y = 18.0
    below += _band(y, TALL + 14, "inputs")
    for i, node in enumerate(inputs):
        places[node.name] = (ATTENTION + i * (MLP - ATTENTION), y + 7)
        boxes += _box(node, places[node.name])
    y += TALL + 20
    for layer in range(n_layers(plant.params)):
        here = [node for node in nodes if node.layer == layer]
        heads = [node for node in here if node.heads]
        mlp = [node for node in here if not node.heads]
        _, free = neurons(plant, layer)
        heights = [max(TALL, _rows(len(node.neurons)) * SQUARE) + 6 for node in mlp]
        left_over = _rows(len(free)) * SQUARE + 8 if free else 0
        height = max(len(heads) * (TALL + 6), sum(heights) + left_over) + 8
        below += _band(y, height, f"block {layer}")
        at = y + 7
        for node in heads:
            places[node.name] = (ATTENTION, at)
            boxes += _box(node, places[node.name])
            at += TALL + 6
        at = y + 7
        for node, tall in zip(mlp, heights, strict=True):
            places[node.name] = (MLP, at)
            boxes += _box(node, places[node.name])
            boxes += _neurons(len(node.neurons), at + 1, f"neuron {_tone(node)}")
            at += tall
        if free:
            boxes.append(text(MLP + BOX + 2, at + 7, f"{len(free)} free", "tick small", "end"))
            boxes += _neurons(len(free), at, "neuron free")
        y += height + 6
    arrows = [
        _arrow(places[source], places[node.name], places.values())
        for node in nodes
        for source in node.reads
        if source in places and node.name in places
    ]
    heading = [
        text(ATTENTION, 12, "attention heads", "label"),
        text(MLP, 12, "MLP: node and its neurons", "label"),
    ]
    label = f"Where the planted program of {plant.name} stands, block by block"
    return figure(WIDTH, y, label, [*heading, *below, *arrows, *boxes])


def _band(y: float, height: float, name: str) -> list[Markup]:
    return [
        rect(BAND, y, END - BAND, height, "block-band", rx=4),
        text(BAND - 8, y + 18, name, "label", "end"),
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
    left = MLP + BOX + 10
    return [
        rect(left + (i % PER_ROW) * SQUARE, y + (i // PER_ROW) * SQUARE, SQUARE - 2,
             SQUARE - 2, class_)
        for i in range(n)
    ]  # fmt: skip


def _arrow(source: Place, reader: Place, places: Collection[Place]) -> Markup:
    """From a node to its reader, beside the boxes that stand between."""
    (x1, y1), (x2, y2) = source, reader
    half = TALL / 2
    if x1 != x2:  # between the columns
        out, into = (x1 + BOX, x2) if x1 < x2 else (x1, x2 + BOX)
        bend = 26 if x1 < x2 else -26
        return _curve((out, y1 + half), bend, (into, y2 + half), -bend)
    if any(x == x1 and y1 < y < y2 for x, y in places):
        return _curve((x1, y1 + half), -26, (x2, y2 + half), -26)
    return line(x1 + BOX / 2, y1 + TALL, x2 + BOX / 2, y2, "reads")


def _curve(start: Place, bend: float, end: Place, bend_end: float) -> Markup:
    points = (start, (start[0] + bend, start[1]), (end[0] + bend_end, end[1]), end)
    first, *others = (f"{x:.1f} {y:.1f}" for x, y in points)
    d = f"M{first}C{' '.join(others)}"
    return el("path", d=d, class_="reads")
