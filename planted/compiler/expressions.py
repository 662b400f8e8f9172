"""Any RASP expression's network: checked against the interpreter, and read at every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from planted.compiler.certify import TOLERANCE, interpret
from planted.compiler.copies import copied, expressions
from planted.compiler.values import identity, plain
from planted.core.roles import Program, name_apart
from planted.core.scenario import Tokens
from planted.core.semantics import Value
from planted.errors import CertificateError, PlantedError
from planted.network.forward import forward

if TYPE_CHECKING:
    from planted.compiler.compile import Compiled
    from planted.core.plant import Plant

LEAST = 0.9  # of a code, from which on a category is held


def verify(compiled: Compiled | Plant, output: Any, tasks: Sequence[Sequence[Value]]) -> int:
    """Compares tables, weights and Tracr's RASP interpreter on tasks, node by node.

    What depends on the task and not on the program alone ends up here: a head that selects several
    values, rounding that grows from node to node.

    Args:
        compiled: From `planted.compile`, or a plant of the exact tier.
        output: The same expression.
        tasks: Tokens of each task, without BOS; all of one length.

    Returns:
        How many values of the interpreter were compared.

    Raises:
        PlantedError: If there are no tasks, or they are of several lengths, too long, or of other
            tokens.
        CertificateError: Naming the node, the task and the values that differ; or the output, if it
            is no node of this network.
    """
    if not len(tasks):
        raise PlantedError("verify needs a task at least, got none.")
    tokens = _ids(compiled, tasks)
    _refuse_other_program(compiled, output)
    compared = interpret(Program(output), compiled.truth, [tuple(task) for task in tasks])
    values = compiled.truth.values(tokens)
    sites = {node.held_at for node in compiled.truth.nodes.values()}
    cache = _recorded(compiled, tokens, sites)
    for name, node in compiled.truth.nodes.items():
        code, _ = node.encode(values[name])
        off = np.abs(cache[node.held_at] @ node.basis.T - code)[:, 1:].max(axis=-1)
        if node.numerical:  # as float32 holds it
            off /= np.maximum(1, np.abs(code[:, 1:, 0]))
        if not off.max() <= TOLERANCE:  # a NaN too
            task, position = np.unravel_index(off.argmax(), off.shape)
            where = f"at position {position + 1} of {tuple(tasks[task])!r}"
            if np.isnan(values[name][task, position + 1]):
                raise CertificateError(
                    f"Node {name!r} holds a value {where}, where the program has none: a head "
                    "selects nothing, or several values. Make it select exactly one."
                )
            raise CertificateError(
                f"Node {name!r} is {off.max():.2g} away from what the program holds {where}: its "
                "rounding grew from node to node, or attention is too soft. Rewrite that node, or "
                "raise the exactness."
            )
    return compared


def _refuse_other_program(compiled: Compiled | Plant, output: Any) -> None:
    """Refuses a program whose output would be compared with nothing: nodes are known by name."""
    order = expressions(copied(output))
    name_apart(order)
    own, tip = compiled.truth.operations[-1].name, order[-1]
    inputs = {"TokensType": "tokens", "IndicesType": "indices"}  # whatever they are named
    said = inputs.get(type(tip).__name__, tip.name)
    if own != said and not (said in inputs.values() and own.startswith((said, tip.name))):
        raise CertificateError(
            f"The program puts out {said!r}, and the network's last node is {own!r}: this "
            "network was compiled from another program."
        )


def _ids(compiled: Compiled | Plant, tasks: Sequence[Sequence[Value]]) -> Tokens:
    """Tasks as token ids [task, pos], BOS in front.

    Raises:
        PlantedError: If there are none, or one is none.
    """
    known = compiled.truth.nodes["tokens"].values
    place = {identity(word): i for i, word in enumerate(known, start=1)}
    longest = compiled.params["pos_embed.W_pos"].shape[0] - 1
    wanted = (
        f"Tasks are of one length, 1 to {longest} (one call a length), and of the tokens "
        f"{', '.join(map(str, known))}."
    )
    if isinstance(tasks, str) or not len(tasks):
        raise PlantedError(f"There is no task to look at in {tasks!r}. {wanted}")
    for task in tasks:
        strange = [word for word in task if identity(plain(word)) not in place]
        if strange or len(task) != len(tasks[0]) or not 0 < len(task) <= longest:
            wrong = f"{strange[0]!r} is no token" if strange else f"it has {len(task)} tokens"
            raise PlantedError(f"Task {tuple(task)!r}: {wrong}. {wanted}")
    return np.array([[0, *(place[identity(plain(word))] for word in task)] for task in tasks])


def _checked(compiled: Compiled | Plant, tokens: Tokens) -> Tokens:
    """Token ids [task, pos].

    Raises:
        PlantedError: If they are none of this network's.
    """
    words, longest = len(compiled.params["embed.W_E"]), len(compiled.params["pos_embed.W_pos"]) - 1
    wanted = (
        f"Tokens are whole numbers [task, pos]: BOS (0) in front, then 1 to {longest} ids from 1 "
        f"to {words - 1}"
    )
    try:
        given = np.asarray(tokens)
    except (TypeError, ValueError):
        raise PlantedError(f"{wanted}; got {tokens!r}.") from None
    if given.ndim != 2 or given.dtype.kind not in "iu" or not 2 <= given.shape[1] <= longest + 1:
        raise PlantedError(f"{wanted}; got {given.dtype} {list(given.shape)}.")
    if (given[:, 0] != 0).any():
        task = int(np.flatnonzero(given[:, 0])[0])
        raise PlantedError(f"{wanted}; task {task} begins with {int(given[task, 0])}.")
    inside = given[:, 1:]
    if (strange := (inside < 1) | (inside >= words)).any():
        raise PlantedError(f"{wanted}; got {int(inside[strange][0])}.")
    return given


def _recorded(compiled: Compiled | Plant, tokens: Tokens, sites: set[str]) -> dict[str, Any]:
    spec = msgspec.structs.replace(
        compiled.spec, read_out=tokens.shape[1] - 1
    )  # tasks may be short
    return forward(compiled.params, tokens, spec, record=sites)[1]


def held(
    compiled: Compiled | Plant, tokens: Tokens, name: str | None = None
) -> list[list[Value | None]]:
    """What a node holds in the weights, for each task at each position but BOS.

    Args:
        compiled: From `planted.compile`.
        tokens: Token ids [task, pos], BOS (id 0) at position 0.
        name: The node; the output if None.

    Returns:
        Values of the node; None where it holds nothing, as RASP's interpreter has it.

    Raises:
        PlantedError: If the tokens are no tasks, there is no such node, or a content is no code,
            neither one value nor nothing, as where a head selects several values.
    """
    tokens = _checked(compiled, tokens)
    last = compiled.truth.operations[-1].name
    node = compiled.truth.node(last if name is None else name)
    cache = _recorded(compiled, tokens, {node.held_at})
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
