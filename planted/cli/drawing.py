"""Draws a plant's circuit in text: what each node reads, and how long what it wrote matters."""

from __future__ import annotations

from planted.core.truth import LOGITS, Edge, Node, Truth

LEGEND = (
    "(● written, ┼ read, ┤ last read; a number is a block: its attention, then its MLP. k, q, v: "
    "the input of a head that the node is read into. …: more, which --dot shows.)"
)
_MOST = 28  # columns of what a node reads; the graph has the whole list


def circuit(truth: Truth, width: int = 100) -> list[str]:
    """One line for each node: name, role, place, what it reads, and its live window.

    The window's columns are the embedding, then attention and MLP of each block, then the logits:
    `●` is where it is written, `┼` a read, `┤` the last one; after that nothing reads it. Where
    the drawing does not fit, the last read is written instead.

    Args:
        truth: Whose nodes.
        width: Columns that there are.
    """
    nodes = sorted(truth.nodes.values(), key=_written)
    rows = [[n.name, n.role or _own(n), _place(n), _reads(truth, n)] for n in nodes]
    head = ["node", "role", "where (neurons)", "reads"]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    lead = len(_row(head, widths)) + 2
    drawn = lead + max(2 * truth.depth + 2, len(_scale(truth.depth))) <= width
    scale = _scale(truth.depth) if drawn else "last read at"
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
    parts += [f"MLP ({n})"] if n else []
    return f"block {node.layer} {' and '.join(parts)}"


def _reads(truth: Truth, node: Node) -> str:
    read = [edge for edge in truth.edges if edge.reader == node.name]
    names = [f"{e.input} {e.writer}" if node.heads else e.writer for e in read]
    if len(", ".join(names)) <= _MOST:
        return ", ".join(names)
    shown = names[:1]
    while len(", ".join([*shown, names[len(shown)], "…"])) <= _MOST:
        shown.append(names[len(shown)])
    return ", ".join([*shown, "…"])


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
