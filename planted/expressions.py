"""Reads what a compiled network holds: a node's value at every position of a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from planted.errors import PlantedError
from planted.forward import forward
from planted.scenarios import Tokens
from planted.semantics import Value

if TYPE_CHECKING:
    from planted.compile import Compiled

LEAST = 0.9  # of a code, from which on a category is held


def held(compiled: Compiled, tokens: Tokens, name: str | None = None) -> list[list[Value | None]]:
    """What a node holds in the weights, for each task at each position but BOS.

    Args:
        compiled: From `planted.compile`.
        tokens: Token ids [task, pos], BOS (id 0) at position 0.
        name: The node; the output if None.

    Returns:
        Values of the node; None where it holds nothing, as RASP's interpreter has it.

    Raises:
        PlantedError: If there is no such node, or a content is no code: neither one value nor
            nothing, as where a head selects several values.
    """
    last = compiled.truth.operations[-1].name
    node = compiled.truth.node(last if name is None else name)
    _, cache = forward(compiled.params, tokens, compiled.spec, record=[node.held_at])
    content = np.asarray(cache[node.held_at][:, 1:] @ node.basis.T, dtype=np.float64)
    if node.numerical:
        return [[float(x) for x in row[:, 0]] for row in content]
    top, best = content.max(axis=-1), content.argmax(axis=-1)
    off = np.abs(content - np.eye(len(node.values))[best] * (top >= 0.5)[..., None]).max(axis=-1)
    if (off > 1 - LEAST).any():
        task, position = np.argwhere(off > 1 - LEAST)[0]
        raise PlantedError(
            f"Node {node.name!r} holds no single value at position {position + 1} of "
            f"{list(map(int, tokens[task]))}: {np.round(content[task, position], 2).tolist()} over "
            f"{', '.join(map(str, node.values))}. A head that selects several values averages "
            "them; select one."
        )
    return [
        [node.values[i] if t >= 0.5 else None for i, t in zip(codes, height, strict=True)]
        for codes, height in zip(best, top, strict=True)
    ]
