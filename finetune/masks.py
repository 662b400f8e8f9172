"""Which parameters a recipe trains, entry by entry, by the names of parts of the planted network.

The names are `PARTS`, and these:

    blocks.K               one block
    role:ROLE, node:NAME   the neurons and heads of the nodes of a role, or of one node
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from planted.core.plant import Plant
from planted.core.roles import ROLES
from planted.core.spec import n_layers
from planted.core.truth import Node
from planted.errors import PlantedError, unknown

Mask = dict[str, npt.NDArray[np.bool_]]  # parameter name -> which entries, of the parameter's shape

PARTS = {
    "all": "every parameter",
    "read-out": "the last block and the unembedding",
    "embed": "the embeddings of tokens and positions",
    "unembed": "the unembedding",
    "scorer": "the neurons (or heads) that write the score, into the score's own directions",
    "all-but-scorer": "everything but those neurons and heads",
    "slack": "what the plant does not use: free neurons and free heads",
    "around-plant": "the last block, the unembedding, and free neurons of the blocks before it, "
    "which may write wherever the planted search no longer reads",
}
_ATTENTION = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")  # first axis: head


def trainable(train: str, plant: Plant) -> Mask:
    """Which entries of each parameter a recipe trains.

    Args:
        train: Names of parts (see the module), with commas between.
        plant: The network, and where its nodes are.

    Returns:
        Parameter name -> bool array of the parameter's shape.

    Raises:
        UnknownNameError: If `train` names something that is not in the network.
        PlantedError: If a part has no parameters in this network.

    Example:
        >>> import planted
        >>> plant = planted.load("red-doors", tier="tempered").plant
        >>> {name: int(entries.sum()) for name, entries in trainable("scorer", plant).items()
        ...  if entries.any()}
        {'blocks.0.mlp.W_in': 1428, 'blocks.0.mlp.W_out': 289, 'blocks.0.mlp.b_in': 17}
    """
    mask = _nothing(plant)
    for part in (part.strip() for part in train.split(",")):
        found = _part(part, plant)
        if not any(entries.any() for entries in found.values()):
            raise PlantedError(
                f"train={train!r}: {part!r} has no parameters in {plant.name} (tier "
                f"{plant.tier!r}). {_why_none(part, plant)}"
            )
        mask = _joined(mask, found)
    return mask


def _why_none(part: str, plant: Plant) -> str:
    """Why a part has no parameters, and what to train instead."""
    if part == "slack":
        return "Free neurons and heads are there from tier 'tempered' on."
    written = [node for node in plant.truth.nodes.values() if node.layer >= 0]
    roles = dict.fromkeys(f"role:{node.role}" for node in written if node.role)
    return f"No head and no neuron writes it here. Roles that some write: {', '.join(roles)}."


def _part(part: str, plant: Plant) -> Mask:
    depth = n_layers(plant.params)
    blocks = [f"blocks.{layer}" for layer in range(depth)]
    kind, _, name = part.partition(":")
    if kind == "role" and name in ROLES:
        return _of_nodes(plant, plant.truth.of_role(name))
    if kind == "node" and name in plant.truth.nodes:
        return _of_nodes(plant, [plant.truth.node(name)])
    makers: dict[str, Callable[[], Mask]] = {
        "all": lambda: _whole(plant, ("embed", "pos_embed", "unembed", *blocks)),
        "read-out": lambda: _whole(plant, (blocks[-1], "unembed")),
        "embed": lambda: _whole(plant, ("embed", "pos_embed")),
        "scorer": lambda: _scorer(plant),
        "all-but-scorer": lambda: _but_scorer(plant),
        "slack": lambda: _slack(plant),
        "around-plant": lambda: _joined(_beside_search(plant), _part("read-out", plant)),
    }
    if part in ("unembed", *blocks):
        return _whole(plant, (part,))
    if part not in makers:
        roles = dict.fromkeys(node.role for node in plant.truth.nodes.values() if node.role)
        made = (node for node in plant.truth.nodes.values() if node.heads or node.neurons)
        nodes = (f"node:{node.name}" for node in made)
        known = [*makers, "unembed", *blocks, *(f"role:{role}" for role in roles), *nodes]
        raise unknown("part of the network to train", part, known)
    return makers[part]()


def _nothing(plant: Plant) -> Mask:
    return {name: np.zeros(value.shape, dtype=bool) for name, value in plant.params.items()}


def _joined(one: Mask, other: Mask) -> Mask:
    return {name: one[name] | other[name] for name in one}


def _whole(plant: Plant, parts: Iterable[str]) -> Mask:
    heads = tuple(f"{part}." for part in parts)
    return {
        name: np.full(value.shape, name.startswith(heads)) for name, value in plant.params.items()
    }


def _of_nodes(plant: Plant, nodes: Iterable[Node]) -> Mask:
    """The weights in and out of the nodes' neurons, and all weights of their heads."""
    mask = _nothing(plant)
    for node in nodes:
        if node.layer < 0:
            continue
        at, heads, neurons = f"blocks.{node.layer}.", list(node.heads), list(node.neurons)
        for part in _ATTENTION:
            mask[f"{at}attn.{part}"][heads] = True
        mask[f"{at}mlp.W_in"][:, neurons] = True
        mask[f"{at}mlp.b_in"][neurons] = True
        mask[f"{at}mlp.W_out"][neurons] = True
    return mask


def _scorer(plant: Plant) -> Mask:
    """The score's neurons, whose outputs may change only in the directions that hold the score.

    With other directions free they could write the choice itself, past the comparison of scores. In
    a basis where these directions are no coordinates, all outputs are free.
    """
    mask = _of_nodes(plant, plant.truth.of_role("score"))
    for node in plant.truth.of_role("score"):
        if node.neurons and (at := coordinates(node)) is not None:
            outputs = mask[f"blocks.{node.layer}.mlp.W_out"]
            outputs[:, [i for i in range(outputs.shape[1]) if i not in at]] = False
    return mask


def coordinates(node: Node) -> list[int] | None:
    """The coordinates of the residual stream that hold a node; None if its basis has others."""
    one_hot = np.isclose(np.abs(node.basis).max(axis=1), 1.0, atol=1e-6)
    return [int(i) for i in np.abs(node.basis).argmax(axis=1)] if one_hot.all() else None


def _but_scorer(plant: Plant) -> Mask:
    scorer = _of_nodes(plant, plant.truth.of_role("score"))
    return {name: ~entries for name, entries in scorer.items()}


def search_nodes(plant: Plant) -> dict[str, Node]:
    """The nodes of the planted search: its winners and all that they are computed from."""
    found = {node.name: node for node in plant.truth.of_role("winner")}
    waiting = list(found.values())
    while waiting:
        for name in waiting.pop().reads:
            if name not in found:
                found[name] = plant.truth.node(name)
                waiting.append(found[name])
    return found


def _beside_search(plant: Plant) -> Mask:
    """Free neurons before the last block, without the outputs that could change the search.

    A neuron may not write where a weight of the search in a later block reads, nor where a winner
    is held. In a basis in which every direction is read, no output is left.
    """
    mask, search = _slack(plant), search_nodes(plant)
    winners = [coordinates(node) for node in search.values() if node.role == "winner"]
    for layer in range(n_layers(plant.params)):
        for part in _ATTENTION:
            mask[f"blocks.{layer}.attn.{part}"][:] = False
        outputs = mask[f"blocks.{layer}.mlp.W_out"]
        for at in winners:
            outputs[:, slice(None) if at is None else at] = False
        for node in search.values():
            if node.layer > layer:
                outputs[:, _read_by(plant, node)] = False
    return mask


def _read_by(plant: Plant, node: Node) -> npt.NDArray[np.bool_]:
    """Coordinates of the residual stream that the weights of a node read, [d_model]."""
    at, heads, neurons = f"blocks.{node.layer}.", list(node.heads), list(node.neurons)
    read = (plant.params[f"{at}mlp.W_in"][:, neurons] != 0).any(axis=1)
    for part in ("W_Q", "W_K", "W_V"):
        read |= (plant.params[f"{at}attn.{part}"][heads] != 0).any(axis=(0, 2))
    return np.asarray(read)


def _slack(plant: Plant) -> Mask:
    mask = _nothing(plant)
    used = _of_nodes(plant, plant.truth.nodes.values())
    for name, entries in used.items():
        part = name.rsplit(".", 1)[-1]
        if part in (*_ATTENTION, "W_in", "b_in", "W_out"):
            mask[name] = ~entries
    return mask
