"""Whether what a file describes can be a plant at all: shapes, numbers, and names that fit.

A file may be damaged, or made by someone who wants it to be read. What passes here runs: no index
is out of range, no number is infinite, and nothing is larger than the tensors that came with it.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from planted.core.plant import Plant
from planted.core.roles import ROLES
from planted.core.semantics import DEAD, Operation
from planted.core.spec import Params, n_layers
from planted.core.truth import Node

# Block's tensor -> its axes: h heads, k key size, d width, m neurons.
_BLOCK = {
    "attn.W_Q": "hdk", "attn.W_K": "hdk", "attn.W_V": "hdk", "attn.W_O": "hkd",
    "attn.b_Q": "hk", "attn.b_K": "hk", "attn.b_V": "hk", "attn.b_O": "d",
    "mlp.W_in": "dm", "mlp.b_in": "m", "mlp.W_out": "md", "mlp.b_out": "d",
}  # fmt: skip
_INPUTS = {"tokens": 0, "indices": 0, "map": 1, "sequence_map": 2, "select": 2, "width": 1}
_AGGREGATE = 2  # inputs of an aggregate: a select and what is fetched


def check(plant: Plant) -> None:
    """Refuses a plant that cannot run.

    Raises:
        ValueError: Saying what does not fit.
    """
    scenario, spec, params = plant.scenario, plant.spec, plant.params
    for text in (plant.name, plant.tier, plant.kind, plant.mechanism, plant.answers, plant.origin):
        _require(isinstance(text, str), f"{text!r} is no text")
    _require(isinstance(plant.settings, dict), "its settings are no mapping")
    _require(isinstance(plant.certificate, dict), "its certificate is no mapping")
    depth, width = _check_params(params, len(scenario.vocabulary), scenario.n_positions)
    outputs = params["unembed.W_U"].shape[1]
    _require(len(spec.outputs) == outputs, f"{len(spec.outputs)} labels of {outputs} outputs")
    _require(
        len(scenario.candidates) == spec.n_choices <= outputs, "its choices are not the task's"
    )
    _require(isfinite(spec.attn_scale) and isfinite(spec.logit_scale), "a scale is not finite")
    _require(spec.read_out == scenario.read_out, "its read-out is not the task's")
    nodes = plant.truth.nodes
    for node in nodes.values():
        _check_node(node, params, depth, width)
        _require(
            all(name in nodes for name in node.reads), f"{node.name!r} reads what is not there"
        )
    _check_program(plant.truth.operations, len(scenario.vocabulary), scenario.read_out)
    computed = {each.name for each in plant.truth.operations if each.op != "select"}
    _require(computed == set(nodes), "its nodes are not those of its program")


def _require(holds: bool, says: str) -> None:
    if not holds:
        raise ValueError(says)


def _check_params(params: Params, vocabulary: int, positions: int) -> tuple[int, int]:
    """Number of blocks and width of weights that fit each other and the task."""
    for name, value in params.items():
        _require(value.dtype == np.float32, f"{name!r} holds {value.dtype}, not float32")
        _require(bool(np.isfinite(value).all()), f"{name!r} holds NaN or infinity")
    depth, width = n_layers(params), params["embed.W_E"].shape[-1]
    known = {"embed.W_E", "pos_embed.W_pos", "unembed.W_U"}
    known |= {f"blocks.{layer}.{part}" for layer in range(depth) for part in _BLOCK}
    _require(set(params) == known, f"its tensors are not those of {depth} blocks")
    _require(params["embed.W_E"].shape == (vocabulary, width), "its embedding is not the task's")
    pos = params["pos_embed.W_pos"].shape
    _require(len(pos) == 2 and pos[0] >= positions and pos[1] == width, "its positions are too few")
    unembed = params["unembed.W_U"].shape
    _require(len(unembed) == 2 and unembed[0] == width, "its unembedding has another width")
    for layer in range(depth):
        sizes: dict[str, int] = {"d": width}
        for part, axes in _BLOCK.items():
            shape = params[f"blocks.{layer}.{part}"].shape
            fits = len(shape) == len(axes)
            fits = fits and all(
                sizes.setdefault(a, n) == n for a, n in zip(axes, shape, strict=True)
            )
            _require(fits, f"blocks.{layer}.{part} has the shape {list(shape)}")
    return depth, width


def _whole(value: Any, below: int) -> bool:
    return type(value) is int and 0 <= value < below


def _check_node(node: Node, params: Params, depth: int, width: int) -> None:
    """Refuses a node that stands nowhere in these weights."""
    name = node.name
    _require(isinstance(name, str) and node.role in ("", *ROLES), f"{name!r} has no such role")
    _require(node.layer == -1 or _whole(node.layer, depth), f"{name!r} is in block {node.layer!r}")
    heads = neurons = 0
    if node.layer >= 0:
        heads = params[f"blocks.{node.layer}.attn.W_Q"].shape[0]
        neurons = params[f"blocks.{node.layer}.mlp.W_in"].shape[1]
        _require(bool(node.heads or node.neurons), f"{name!r} is written by nothing")
    _require(all(_whole(head, heads) for head in node.heads), f"{name!r} has a head too many")
    _require(all(_whole(unit, neurons) for unit in node.neurons), f"{name!r}: a neuron too many")
    _require(type(node.numerical) is bool, f"{name!r} is numerical: {node.numerical!r}")
    rows = 1 if node.numerical else len(node.values)
    _require(node.basis.shape == (rows, width), f"{name!r} has {list(node.basis.shape)} directions")
    _require(node.basis.dtype == np.float32, f"the directions of {name!r} are no float32")
    _require(bool(np.isfinite(node.basis).all()), f"the directions of {name!r} are not finite")


def _check_program(operations: tuple[Operation, ...], vocabulary: int, length: int) -> None:
    """Refuses a program whose tables do not fit each other."""
    by_name: dict[str, Operation] = {}
    for each in operations:
        _require(each.name not in by_name, f"{each.name!r} is there twice")
        _require(
            all(name in by_name for name in each.inputs), f"{each.name!r} reads what is not there"
        )
        _require(len(each.inputs) == _INPUTS.get(each.op, _AGGREGATE), f"{each.name!r}: inputs")
        numbers = all(isinstance(v, int | float) and isfinite(v) for v in each.values)
        _require(numbers or not each.numerical, f"{each.name!r}: values")
        read = [by_name[name] for name in each.inputs]
        selects = [one.op == "select" for one in read]
        _require(
            selects == [each.op in ("aggregate", "width"), False][: len(read)],
            f"{each.name!r}: inputs",
        )
        if each.op == "tokens":
            _require(len(each.values) == vocabulary - 1, "its words are not the task's")
        elif each.op == "indices":
            _require(len(each.values) == length, "its positions are not the task's")
        elif each.op in ("map", "sequence_map", "select"):
            shape = tuple(len(one.values) for one in read)
            fitting = [shape, (shape[0] + 1,)] if each.op == "map" else [shape]  # of nothing too
            said = each.shape or (len(each.table),)
            fits = said in fitting and len(each.table) == int(np.prod(said))
            _require(fits, f"{each.name!r}: table")
            least, most = (0, 2) if each.op == "select" else (DEAD, len(each.values))
            codes = (min(each.table, default=0), max(each.table, default=0))
            _require(codes[0] >= least and codes[1] < most, f"{each.name!r}: codes")
        _require(
            each.op == "select" or each.values != () or each.numerical, f"{each.name!r}: no values"
        )
        by_name[each.name] = each
    _require(bool(operations) and operations[-1].op != "select", "its program has no output")
