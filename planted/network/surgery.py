"""Exact edits of a network: every function takes parameters (and truth) and gives new ones.

Nothing here trains. An edit either preserves what the network computes (rotate, pad, add free
neurons) or changes it in a way that is known (soften queries, start anew).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt

from planted.core.semantics import Operation
from planted.core.spec import Params, Spec, n_layers
from planted.core.truth import Matrix, Node, Truth
from planted.errors import PlantedError

READS = ("attn.W_Q", "attn.W_K", "attn.W_V", "mlp.W_in")  # first axis after head is d_model
WRITES = ("attn.W_O", "attn.b_O", "mlp.W_out", "mlp.b_out")  # last axis is d_model
FREE_NEURONS = 24  # at least as many as planted, and 16: without room the block is the whole layer


def part_of(name: str) -> str:
    """A parameter's name without its block: "mlp.W_in"."""
    return name.split(".", 2)[2] if name.startswith("blocks.") else name


def is_write(name: str) -> bool:
    """Whether a parameter's last axis is the residual stream."""
    return part_of(name) in (*WRITES, "embed.W_E", "pos_embed.W_pos")


def random_rotation(width: int, seed: int) -> Matrix:
    """A Haar-random orthogonal matrix [width, width] (Mezzadri 2007: QR with the signs fixed)."""
    normal = np.random.default_rng(seed).normal(size=(width, width))
    q, r = np.linalg.qr(normal)
    return (q * np.sign(np.diag(r))).astype(np.float32)


def rotate(params: Params, truth: Truth, rotation: Matrix) -> tuple[dict[str, Matrix], Truth]:
    """The same network in another basis of the residual stream.

    Exact up to rounding because Tracr's networks have no LayerNorm.

    Args:
        params: Parameters.
        truth: Truth in the old basis.
        rotation: Orthogonal [d_model, d_model]; new stream = old stream @ rotation.
    """
    return _in_basis(params, rotation, rotation), truth.in_basis(rotation)


def _in_basis(params: Params, to: Matrix, dual: Matrix) -> dict[str, Matrix]:
    """New stream = old stream @ `to`; `dual` is the transposed inverse, what readers change by."""
    turned: dict[str, Matrix] = {}
    for name, value in params.items():
        if part_of(name) in READS:
            turned[name] = np.ascontiguousarray(
                np.swapaxes(np.swapaxes(value, -1, -2) @ dual, -1, -2)
            )
        elif name == "unembed.W_U":
            turned[name] = dual.T @ value
        elif is_write(name):
            turned[name] = value @ to
        else:
            turned[name] = value
    return {k: v.astype(np.float32) for k, v in turned.items()}


def rescale(params: Params, node: Node, factor: float) -> dict[str, Matrix]:
    """A node's directions held `factor` times as large, and read by as much less: the same choices.

    Args:
        params: Parameters.
        node: Its basis is orthonormal, as in every tier but "compressed".
        factor: Above 0.
    """
    span = node.basis.T @ node.basis
    eye = np.eye(len(span), dtype=np.float32)
    return _in_basis(params, eye + (factor - 1) * span, eye + (1 / factor - 1) * span)


def permute_neurons(params: Params, seed: int) -> dict[str, Matrix]:
    """The neurons of each MLP in another order: the same network."""
    rng, moved = np.random.default_rng([seed, 0x9E12]), dict(params)
    for layer in range(n_layers(params)):
        at = f"blocks.{layer}.mlp."
        order = rng.permutation(len(params[at + "b_in"]))
        moved[at + "W_in"] = params[at + "W_in"][:, order]
        moved[at + "b_in"] = params[at + "b_in"][order]
        moved[at + "W_out"] = params[at + "W_out"][order]
    return moved


def write_unread(params: Params, columns: Sequence[int], seed: int) -> dict[str, Matrix]:
    """Normal numbers of deviation 1/2 in all that is written to directions that nothing reads.

    Args:
        params: Parameters.
        columns: The directions; only heads without an output may read them (`add_free_width`).
        seed: Of the numbers.
    """
    rng, written = np.random.default_rng([seed, 0x0DD5]), dict(params)
    for name in sorted(params):
        if is_write(name):
            value = written[name] = params[name].copy()
            value[..., list(columns)] = rng.normal(size=(*value.shape[:-1], len(columns))) / 2
    return written


def rewrite_table(
    params: Params, truth: Truth, name: str, table: npt.NDArray[np.int64]
) -> tuple[dict[str, Matrix], Truth]:
    """Another table in the neurons of a map: each writes the value that the new table has for it.

    Exact: the network is what compiling a program with that table gives. A map of one node has a
    neuron a value, which reads all that is mapped to it; one of two nodes has a neuron an entry.

    Args:
        params: Parameters, as compiled (in any basis of the residual stream).
        truth: Their truth.
        name: A node that is a map of one or of two others.
        table: Codes of the new values (places in the node's `values`), by the codes of the inputs:
            of the shape of the operation's table.

    Raises:
        PlantedError: If the node is no such map, or the table has another shape or codes.
    """
    node, operation = truth.node(name), _operation(truth, name)
    shape = operation.shape or (len(operation.table),)
    codes = np.asarray(table, dtype=np.int64)
    if operation.op not in ("map", "sequence_map") or node.numerical or not node.neurons:
        raise PlantedError(f"{name!r} is no map of values, whose neurons hold its table.")
    if codes.shape != shape or codes.min() < 0 or codes.max() >= len(node.values):
        raise PlantedError(
            f"The table of {name!r} is {list(shape)} codes below {len(node.values)}, got "
            f"{list(codes.shape)} from {codes.min()} to {codes.max()}."
        )
    changed = dict(params)
    before = np.reshape(operation.table, shape)
    if operation.op == "map":
        _rewrite_reads(changed, truth, node, operation.inputs[0], before, codes)
    else:
        at, where = f"blocks.{node.layer}.mlp.W_out", list(node.neurons)
        entries = entries_of(params, truth, name)
        old, new = before[entries], codes[entries]
        held = (params[at][where] * node.basis[old]).sum(axis=1)
        changed[at] = params[at].copy()
        changed[at][where] += held[:, None] * (node.basis[new] - node.basis[old])
    operations = tuple(
        msgspec.structs.replace(each, table=tuple(map(int, codes.ravel())))
        if each.name == name
        else each
        for each in truth.operations
    )
    return changed, Truth(truth.nodes, operations)


def _rewrite_reads(
    changed: dict[str, Matrix],
    truth: Truth,
    node: Node,
    of: str,
    before: npt.NDArray[np.int64],
    after: npt.NDArray[np.int64],
) -> None:
    """The table of a map of one node: it has a neuron a value, which reads what is mapped to it."""
    at = f"blocks.{node.layer}.mlp."
    read, where = truth.node(of).basis, np.array(node.neurons)
    of_value = (changed[at + "W_out"][where] @ node.basis.T).argmax(axis=0)
    old, new = where[of_value[before]], where[of_value[after]]
    weights = changed[at + "W_in"].copy()
    held = (read * changed[at + "W_in"][:, old].T).sum(axis=1)
    for code in range(len(read)):
        weights[:, old[code]] -= held[code] * read[code]
    for code in range(len(read)):
        weights[:, new[code]] += held[code] * read[code]
    changed[at + "W_in"] = weights


def entries_of(params: Params, truth: Truth, name: str) -> tuple[npt.NDArray[np.int64], ...]:
    """Which entry of its table each neuron of a map of two nodes holds: codes [neuron], twice.

    A neuron reads the directions of the values that it stands for, and no other of its inputs'.
    """
    node = truth.node(name)
    reads = params[f"blocks.{node.layer}.mlp.W_in"][:, list(node.neurons)]
    inputs = _operation(truth, name).inputs
    return tuple((truth.node(each).basis @ reads).argmax(axis=0) for each in inputs)


def _operation(truth: Truth, name: str) -> Operation:
    return next(each for each in truth.operations if each.name == truth.node(name).name)


def soften_queries(params: Params, factor: float) -> dict[str, Matrix]:
    """Query weights and biases of every head times `factor`: attention less like a hard maximum."""
    return {
        name: (value * np.float32(factor) if name.endswith((".W_Q", ".b_Q")) else value)
        for name, value in params.items()
    }


def add_free_neurons(
    params: Params, seed: int, at_least: int = FREE_NEURONS, multiple: int = 1
) -> dict[str, Matrix]:
    """Neurons with random inputs and zero outputs in each MLP: room for training to write.

    Each MLP gets `multiple` times as many as it has, and at least `at_least`. What the network
    computes does not change.
    """
    planted = [params[f"blocks.{layer}.mlp.b_in"].shape[0] for layer in range(n_layers(params))]
    return add_neurons(params, seed, [max(at_least, multiple * n) for n in planted])


def add_neurons(
    params: Params, seed: int | Sequence[int], numbers: Sequence[int]
) -> dict[str, Matrix]:
    """So many neurons with random inputs and zero outputs in each MLP, after those it has.

    Input weights are normal with standard deviation 1/sqrt(d_model); at four times that, training
    moves so much into them that the planted block keeps .7 instead of .9 of the control off cue.
    """
    rng = np.random.default_rng(seed)
    grown = dict(params)
    for layer, n in enumerate(numbers):
        at = f"blocks.{layer}.mlp."
        width = params[at + "W_in"].shape[0]
        inputs = (rng.normal(size=(width, n)) / np.sqrt(width)).astype(np.float32)
        grown[at + "W_in"] = np.hstack([params[at + "W_in"], inputs])
        grown[at + "b_in"] = np.concatenate([params[at + "b_in"], np.zeros(n, np.float32)])
        grown[at + "W_out"] = np.vstack([params[at + "W_out"], np.zeros((n, width), np.float32)])
    return grown


def add_free_width(
    params: Params, truth: Truth, seed: int, width: int, heads: int
) -> tuple[dict[str, Matrix], Truth]:
    """Residual directions that hold random numbers, and heads with zero outputs in each block.

    The embeddings of tokens and of positions have normal entries in the new directions, of norm
    about 1 together, as a compiled embedding's; nothing planted reads them. New heads read the
    whole stream, with standard deviation 1/sqrt(d_model). What the network computes does not
    change.

    Args:
        params: Parameters.
        truth: Its truth.
        seed: Of all that is random.
        width: Number of new directions.
        heads: Number of new heads in each block; they come after the planted ones.
    """
    rng = np.random.default_rng([seed, 0xF1DE])
    to = {name: list(shape) for name, shape in shapes(params).items()}
    size = max(params[name].shape[1] for name in to if name.endswith("attn.b_Q"))
    for name, shape in to.items():
        if is_write(name):
            shape[-1] += width
        elif part_of(name) in READS or name == "unembed.W_U":
            shape[-2] += width
        if part_of(name).startswith("attn.") and not name.endswith("b_O"):
            shape[0] += heads
            at = -2 if name.endswith("W_O") else -1
            shape[at] = shape[at] or size
    grown: dict[str, Matrix] = {}
    for name in sorted(params):
        old, part = params[name], part_of(name)
        new = grown[name] = np.zeros(to[name], np.float32)
        new[tuple(slice(n) for n in old.shape)] = old
        if name in ("embed.W_E", "pos_embed.W_pos"):
            new[:, old.shape[1] :] = rng.normal(size=(len(new), width)) / np.sqrt(2 * width)
        elif part in READS and part.startswith("attn."):
            drawn = rng.normal(size=(heads, *new.shape[1:]))
            new[old.shape[0] :] = drawn / np.sqrt(new.shape[1])
    return grown, _widened(truth, width)


def add_noise(params: Params, sigma: float, seed: int) -> dict[str, Matrix]:
    """Normal noise of standard deviation `sigma` on every weight; the same draw for every sigma."""
    rng = np.random.default_rng([seed, 0x0153])
    return {
        name: (params[name] + sigma * rng.normal(size=params[name].shape)).astype(np.float32)
        for name in sorted(params)
    }


def _widened(truth: Truth, more: int) -> Truth:
    """The truth in a residual stream with more directions at its end."""
    nodes = {
        name: replace(node, basis=np.pad(node.basis, ((0, 0), (0, more))))
        for name, node in truth.nodes.items()
    }
    return Truth(nodes, truth.operations, truth.causal)


def start_anew(params: Params, seed: int) -> dict[str, Matrix]:
    """Random weights of the same shapes: a network without the plant.

    Embeddings are normal with standard deviation 1/2, other matrices 1/sqrt(fan-in), biases zero;
    the read-out is a tenth of that, so that the first logits are near uniform at any logit scale.
    """
    rng = np.random.default_rng([seed, 0xA11])
    fresh: dict[str, Matrix] = {}
    for name in sorted(params):
        shape = params[name].shape
        part = name.rsplit(".", 1)[1]
        if part.startswith("b_"):
            fresh[name] = np.zeros(shape, np.float32)
            continue
        fan_in = 4 if part in ("W_E", "W_pos") else max(1, shape[-2])
        scale = (0.1 if part == "W_U" else 1.0) / np.sqrt(fan_in)
        fresh[name] = (rng.normal(size=shape) * scale).astype(np.float32)
    return fresh


def shapes(params: Params) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter."""
    return {name: tuple(value.shape) for name, value in params.items()}


def common_shapes(*networks: Params) -> dict[str, tuple[int, ...]]:
    """The smallest shapes that all the networks fit into."""
    depth = max(n_layers(params) for params in networks)
    width = max(params["embed.W_E"].shape[1] for params in networks)
    sizes: dict[str, tuple[int, ...]] = {
        name: tuple(np.max([p[name].shape for p in networks], axis=0))
        for name in ("embed.W_E", "pos_embed.W_pos", "unembed.W_U")
    }
    for layer in range(depth):
        at = f"blocks.{layer}."
        have = [p for p in networks if at + "mlp.b_in" in p]
        neurons = max(p[at + "mlp.b_in"].shape[0] for p in have)
        heads = max(p[at + "attn.b_Q"].shape[0] for p in have)
        size = max(p[at + "attn.b_Q"].shape[1] for p in have)
        sizes |= {f"{at}attn.W_{x}": (heads, width, size) for x in "QKV"}
        sizes |= {f"{at}attn.b_{x}": (heads, size) for x in "QKV"}
        sizes |= {at + "attn.W_O": (heads, size, width), at + "attn.b_O": (width,)}
        sizes |= {at + "mlp.W_in": (width, neurons), at + "mlp.b_in": (neurons,)}
        sizes |= {at + "mlp.W_out": (neurons, width), at + "mlp.b_out": (width,)}
    return {name: tuple(int(n) for n in shape) for name, shape in sizes.items()}


def pad(
    params: Params,
    spec: Spec,
    truth: Truth,
    to: Mapping[str, tuple[int, ...]],
    attn_scale: float,
    outputs: tuple[str, ...],
) -> tuple[dict[str, Matrix], Spec, Truth]:
    """The same network with zeros appended, so that twins have one set of shapes.

    Args:
        params: Parameters.
        spec: Its spec.
        truth: Its truth.
        to: Shapes at least as large, as from `common_shapes`.
        attn_scale: The common attention scale; the difference goes into the query weights.
        outputs: The common output columns; a missing one is a zero column.

    Raises:
        PlantedError: If a parameter does not fit.
    """
    factor = np.float32(spec.attn_scale / attn_scale)
    grown: dict[str, Matrix] = {}
    for name, shape in to.items():
        value = params.get(name, np.zeros([0] * len(shape), np.float32))
        if name.endswith((".W_Q", ".b_Q")):
            value = value * factor
        if any(have > want for have, want in zip(value.shape, shape, strict=True)):
            raise PlantedError(f"{name} of shape {value.shape} does not fit into {shape}.")
        grown[name] = filled_up(value, shape)
    unembed = np.zeros_like(grown["unembed.W_U"])
    for i, label in enumerate(spec.outputs):
        unembed[:, outputs.index(label)] = grown["unembed.W_U"][:, i]
    grown["unembed.W_U"] = unembed
    width = to["embed.W_E"][1]
    new_spec = msgspec.structs.replace(spec, attn_scale=attn_scale, outputs=outputs)
    return grown, new_spec, _widened(truth, width - params["embed.W_E"].shape[1])


def filled_up(value: Matrix, shape: tuple[int, ...]) -> Matrix:
    """An array in the first corner of zeros of a shape at least as large."""
    grown = np.zeros(shape, np.float32)
    grown[tuple(slice(n) for n in value.shape)] = value
    return grown
