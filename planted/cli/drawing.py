"""Draws a plant's circuit in text: what each node reads, and how long what it wrote matters."""

from __future__ import annotations

from planted.core.truth import LOGITS, Edge, Node, Truth

_WIDEST = 60  # columns of a drawing: past this the windows are written, not drawn


def circuit(truth: Truth) -> list[str]:
    """One line a node: name, role, place, what it reads, and its live window from left to right.

    The window's columns are the embedding, then attention and MLP of each block, then the logits:
    `●` is where it is written, `┼` a read, `┤` the last one; after that it is there and dead.
    """
    nodes = sorted(truth.nodes.values(), key=_written)
    rows = [[n.name, n.role or _own(n), _place(n), _reads(truth, n)] for n in nodes]
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    drawn = 2 * truth.depth + 2 <= _WIDEST
    scale = _scale(truth.depth) if drawn else "last read at"
    head = ["node", "role", "where", "reads"]
    widths = [max(width, len(word)) for width, word in zip(widths, head, strict=True)]
    lines = [_row(head, widths) + "  " + scale]
    for node, row in zip(nodes, rows, strict=True):
        end = _bar(truth, node) if drawn else truth.windows[node.name].last_read
        lines.append((_row(row, widths) + "  " + end).rstrip())
    return lines


def dot(truth: Truth) -> str:
    """The circuit as a Graphviz graph: nodes by block, edges named by the input they feed."""
    lines = ["digraph circuit {", "  rankdir=LR;", "  node [shape=box];"]
    for node in truth.nodes.values():
        label = f"{node.name}\\n{node.role or _own(node)}\\n{_place(node)}"
        lines.append(f'  "{node.name}" [label="{label}"];')
    for layer in range(-1, truth.depth):
        same = [f'"{node.name}"' for node in truth.nodes.values() if node.layer == layer]
        lines.append(f"  {{ rank=same; {'; '.join(same)}; }}")
    lines += [f'  "{e.writer}" -> "{e.reader}" [label="{e.input}"];' for e in truth.edges]
    return "\n".join([*lines, "}"])


def _own(node: Node) -> str:
    return "input" if node.layer < 0 else "plumbing"


def _place(node: Node) -> str:
    if node.layer < 0:
        return "embedding"
    n = len(node.neurons)
    parts = [f"head {head}" for head in node.heads]
    parts += [f"MLP, {n} neuron{'s' * (n != 1)}"] if n else []
    return f"block {node.layer} {' and '.join(parts)}"


def _reads(truth: Truth, node: Node) -> str:
    read = [edge for edge in truth.edges if edge.reader == node.name]
    return ", ".join(f"{e.input} {e.writer}" if node.heads else e.writer for e in read)


def _scale(depth: int) -> str:
    """The number of each block (of every fifth, where there are many) above its two columns."""
    every = 5 if depth > 10 else 1
    numbers = [str(layer) if layer % every == 0 else "" for layer in range(depth)]
    numbers[-1] = "" if depth > 10 else numbers[-1]  # it would run into what follows
    return " " + "".join(f"{number:<2}" for number in numbers) + "out"


def _written(node: Node) -> int:
    """The column in which a node is written."""
    return 0 if node.layer < 0 else 1 + 2 * node.layer + bool(node.neurons)


def _column(edge: Edge) -> int:
    if edge.reader == LOGITS:
        return 2 * edge.layer + 1
    return 1 + 2 * edge.layer + (edge.input == "mlp")


def _bar(truth: Truth, node: Node) -> str:
    written = _written(node)
    read = {_column(edge) for edge in truth.edges if edge.writer == node.name}
    last = max(read, default=written)
    cells = ["─"] * (last - written)
    for column in read:
        cells[column - written - 1] = "┤" if column == last else "┼"
    return " " * written + "●" + "".join(cells)


def _row(cells: list[str], widths: list[int]) -> str:
    return "  " + "  ".join(c.ljust(width) for c, width in zip(cells, widths, strict=True))
