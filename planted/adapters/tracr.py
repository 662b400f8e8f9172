"""Models of stock Tracr, read with the same numbers and written: networks, and with truth.

The truth of a stock model is recovered by compiling the same program: its tables come from the
program, and where each node stands from Tracr's labels of the residual stream.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planted.compiler import compile as compiling
from planted.compiler import guards
from planted.core.expression_tasks import ORIGIN, tasks_of
from planted.core.plant import Plant
from planted.core.semantics import Operation, Value
from planted.core.spec import Params, Spec, heads_per_layer, n_layers
from planted.core.truth import Node, Truth
from planted.errors import PlantedError
from planted.network.model import Model, Network

WIDTH = "_selector_width_attn_output"  # Tracr's suffix of the dimension between its two halves


def from_tracr(assembled: Any, output: str, read_out: int | None = None) -> Network:
    """Weights that `tracr.compiler.compiling.compile_rasp_to_model` gives, to run by numpy.

    Tracr pads every layer to the widest one; the padding is kept, so that heads and neurons have
    Tracr's own numbers. There is no truth in it: `model_from_tracr` recovers it.

    Args:
        assembled: Tracr's `AssembledTransformerModel`, without layer norm and not causal.
        output: Name of the program's output in `assembled.residual_labels`, as `program.label`.
        read_out: Position whose residual stream is unembedded, BOS counted; the last one if None.

    Returns:
        A network whose output columns are the values of `output` in the order of the residual
        stream's labels (one column if it is numerical). It chooses no candidate.

    Raises:
        PlantedError: If there is no such output, or the model is causal or has layer norms.

    Example:
        >>> from tracr.compiler import compiling, lib
        >>> program = lib.make_length()
        >>> made = compiling.compile_rasp_to_model(program, {"a", "b"}, 3)
        >>> network = from_tracr(made, program.label)
        >>> network([made.input_encoder.encode(["compiler_bos", "a", "b", "a"])]).round(3)
        array([[0., 0., 0., 1.]], dtype=float32)
    """
    config, labels = assembled.model_config, list(assembled.residual_labels)
    if config.causal or config.layer_norm:
        raise PlantedError(
            "A Tracr model that is causal or has layer norms cannot be run here: compile it with "
            "causal=False, and without layer norm."
        )
    columns = [i for i, label in enumerate(labels) if label.partition(":")[0] == output]
    if not columns:
        known = ", ".join(dict.fromkeys(label.partition(":")[0] for label in labels))
        raise PlantedError(f"No output {output!r} in the residual stream; it holds {known}.")
    found = assembled.params
    params: dict[str, Any] = {
        "embed.W_E": _floats(found["token_embed"]["embeddings"]),
        "pos_embed.W_pos": _floats(found["pos_embed"]["embeddings"]),
    }
    for layer in range(config.num_layers):
        params |= _block(found, layer, config)
    params["unembed.W_U"] = np.eye(len(labels), dtype=np.float32)[:, columns]
    last = params["pos_embed.W_pos"].shape[0] - 1
    spec = Spec(
        attn_scale=1 / math.sqrt(config.key_size),
        read_out=last if read_out is None else read_out,
        outputs=tuple(labels[i].partition(":")[2] or output for i in columns),
        n_choices=0,
    )
    return Network(params, spec, bos=assembled.input_encoder.bos_encoding)


def _block(found: Any, layer: int, config: Any) -> dict[str, Any]:
    """One layer's parameters by our names."""
    ours, theirs = f"blocks.{layer}.", f"transformer/layer_{layer}/"
    heads, size = config.num_heads, config.key_size
    params: dict[str, Any] = {}
    for name, part in (("Q", "query"), ("K", "key"), ("V", "value")):
        given = found[f"{theirs}attn/{part}"]
        weight = _floats(given["w"]).reshape(-1, heads, size).transpose(1, 0, 2)
        params[f"{ours}attn.W_{name}"] = np.ascontiguousarray(weight)
        params[f"{ours}attn.b_{name}"] = _floats(given["b"]).reshape(heads, size)
    out = found[f"{theirs}attn/linear"]
    params[f"{ours}attn.W_O"] = _floats(out["w"]).reshape(heads, size, -1)
    params[f"{ours}attn.b_O"] = _floats(out["b"])
    for name, part in (("in", "linear_1"), ("out", "linear_2")):
        given = found[f"{theirs}mlp/{part}"]
        params[f"{ours}mlp.W_{name}"] = _floats(given["w"])
        params[f"{ours}mlp.b_{name}"] = _floats(given["b"])
    return params


def _floats(value: Any) -> Any:
    return np.array(value, dtype=np.float32)


def model_from_tracr(
    assembled: Any, program: Any, *, runtime: str = "numpy", name: str = "tracr"
) -> Model:
    """A stock model with its truth, recovered by compiling the same program.

    The weights are Tracr's own, padding included; only the rows of the embedding are put in the
    order of this package: BOS first, then the tokens in Tracr's order, without PAD. Whether they
    compute the program is another question: `planted.compiler.expressions.verify` answers it.

    Args:
        assembled: From `compile_rasp_to_model(program, ...)`.
        program: The very expression that was compiled: Tracr's labels hold its number.
        runtime: "numpy" or "torch".
        name: What the model is called.

    Returns:
        A model as `planted.compile` gives it; its logits are [task, pos, output].

    Raises:
        PlantedError: If the labels are not those of the program, or a node is written nowhere.
        CompileError: If the program cannot be compiled here.

    Example:
        >>> from tracr.compiler import compiling, lib
        >>> program = lib.make_length()
        >>> made = compiling.compile_rasp_to_model(program, {"a", "b"}, 3)
        >>> model = model_from_tracr(made, program)
        >>> tokens = model.scenario.encode(["aba"])
        >>> int(model.network(tokens)[0, 1].argmax()), model.expected(model.output, tokens)
        (3, array([[nan,  3.,  3.,  3.]]))
    """
    network = from_tracr(assembled, program.label)
    ids = assembled.input_encoder.encoding_map
    special = (assembled.input_encoder.bos_token, assembled.input_encoder.pad_token)
    words = sorted((word for word in ids if word not in special), key=ids.__getitem__)
    rows = [ids[special[0]], *(ids[word] for word in words)]
    params = {**network.params, "embed.W_E": network.params["embed.W_E"][rows]}
    return labelled(
        params, list(assembled.residual_labels), program, words, network.spec, runtime, name
    )


def labelled(
    params: Params,
    labels: Sequence[str],
    program: Any,
    words: Sequence[Value],
    spec: Spec,
    runtime: str = "numpy",
    name: str = "tracr",
) -> Model:
    """A model of weights whose dimensions of the residual stream have Tracr's labels.

    Args:
        params: Parameters by this package's names; embedding rows are BOS, then `words`.
        labels: Tracr's label of each dimension.
        program: The expression whose labels they are.
        words: The tokens.
        spec: Attention scale, and whether it is causal.
        runtime: "numpy" or "torch".
        name: What the model is called.

    Raises:
        PlantedError: If the labels are not those of the program, or a node is written nowhere.
        CompileError: If the program cannot be compiled here.
    """
    length = params["pos_embed.W_pos"].shape[0] - 1
    causal: Mapping[str, Any] = {"causal": True} if getattr(spec, "causal", False) else {}
    made = compiling.compile_expression(program, ("BOS", *words), length, **causal)
    truth = _truth(params, labels, program, made.truth)
    output = truth.nodes[truth.operations[-1].name]
    kept = {"outputs": made.spec.outputs, "read_out": length, "n_choices": 0, "everywhere": True}
    plant = Plant(
        name=name,
        tier="exact",
        kind="expression",
        mechanism="no search",
        answers="own",
        scenario=tasks_of(words, length, name),
        params={**params, "unembed.W_U": np.ascontiguousarray(output.basis.T)},
        spec=Spec(**{field: getattr(spec, field) for field in spec.__struct_fields__} | kept),
        truth=truth,
        settings={"compiler": "tracr"},
        certificate={},
        origin=ORIGIN,
    )
    return Model(plant, runtime)


def _truth(params: Params, labels: Sequence[str], program: Any, compiled: Truth) -> Truth:
    """The truth of a program in weights whose dimensions are labelled."""
    ours = compiling._private_order(program)
    named = {
        mine.name: theirs.label for mine, theirs in zip(ours, guards.order_of(program), strict=True)
    }
    at = {label: i for i, label in enumerate(labels)}
    columns = {
        operation.name: _columns(operation, named[operation.name], at)
        for operation in compiled.operations
        if operation.op != "select" and operation.name in named
    }
    between = {name: at[named[name] + WIDTH] for name in columns if f"{named[name]}{WIDTH}" in at}
    nodes = {}
    for name, where in columns.items():
        node = compiled.nodes[name]
        basis = np.zeros((len(where), len(labels)), dtype=np.float32)
        basis[range(len(where)), where] = 1
        place: tuple[int, tuple[int, ...], tuple[int, ...]] = (-1, (), ())
        if node.layer >= 0:
            place = _writers(params, where, between.get(name), name)
        nodes[name] = Node(name, node.role, *place, node.values, node.numerical, node.reads, basis)
    return Truth(nodes, compiled.operations)


def _columns(operation: Operation, label: str, at: Mapping[str, int]) -> list[int]:
    """The dimensions of a node, one for each of its values."""
    wanted = [label] if operation.numerical else [f"{label}:{v}" for v in operation.values]
    missing = [one for one in wanted if one not in at]
    if missing:
        raise PlantedError(
            f"The residual stream has no dimension {missing[0]!r}, so this model was not compiled "
            f"from this very expression. It holds {', '.join(list(at)[:8])}..."
        )
    return [at[one] for one in wanted]


def _writers(
    params: Params, columns: Sequence[int], between: int | None, name: str
) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """The last block that writes a node's dimensions, and its heads and neurons that do.

    Args:
        params: The weights.
        columns: The node's dimensions.
        between: The dimension in which a SelectorWidth's head leaves its share, if it is one.
        name: The node's name.
    """
    head_writes = list(columns) if between is None else [between]
    heads: dict[int, tuple[int, ...]] = {}
    neurons: dict[int, tuple[int, ...]] = {}
    for layer in range(n_layers(params)):
        out = params[f"blocks.{layer}.attn.W_O"][:, :, head_writes]
        heads[layer] = tuple(map(int, np.flatnonzero(np.abs(out).sum(axis=(1, 2)))))
        rows = params[f"blocks.{layer}.mlp.W_out"][:, list(columns)]
        neurons[layer] = tuple(map(int, np.flatnonzero(np.abs(rows).sum(axis=1))))
    written = [layer for layer in heads if heads[layer] or neurons[layer]]
    if not written:
        raise PlantedError(
            f"Node {name!r} is written by no head and no neuron: the weights are not those of this "
            "program."
        )
    last = max(written)
    found = [head for layer in written for head in heads[layer]]
    return last, tuple(found), neurons[last]


def to_tracr(model: Model) -> Any:
    """A model as Tracr's own `AssembledTransformerModel`, with the same numbers.

    Its layers are padded to the widest one, and its query weights take up our attention scale. Its
    `apply` decodes every position by the output's values; there is no PAD token.

    Args:
        model: From `planted.compile`, `planted.plant` or `planted.load`.

    Raises:
        PlantedError: If Tracr or haiku is not installed.

    Example:
        >>> from tracr.compiler import lib
        >>> import planted
        >>> model = planted.compile(lib.make_hist(), "ab", 3, exactness=100)
        >>> to_tracr(model).apply(["BOS", "a", "b", "a"]).decoded
        ['BOS', 2, 1, 2]
    """
    from planted.adapters.tracr_model import assembled

    return assembled(model)


def uniform(params: Params, attn_scale: float) -> dict[str, Any]:
    """Parameters padded with zeros to one number of heads, one head size and one number of neurons.

    Queries are scaled so that attention divides by the square root of the head size, as Tracr and
    TransformerLens do.

    Args:
        params: Parameters by name.
        attn_scale: The factor on query-key products that they were made for.
    """
    depth = n_layers(params)
    heads = max(1, *heads_per_layer(params))
    shapes = [params[f"blocks.{layer}.attn.W_Q"].shape for layer in range(depth)]
    size = max(1, *(shape[2] for shape in shapes))
    neurons = max(1, *(params[f"blocks.{i}.mlp.b_in"].shape[0] for i in range(depth)))
    factor = np.float32(attn_scale * math.sqrt(size))
    width = params["embed.W_E"].shape[1]
    want = {
        "W_Q": (heads, width, size), "W_K": (heads, width, size), "W_V": (heads, width, size),
        "b_Q": (heads, size), "b_K": (heads, size), "b_V": (heads, size),
        "W_O": (heads, size, width), "b_O": (width,),
        "W_in": (width, neurons), "b_in": (neurons,), "W_out": (neurons, width), "b_out": (width,),
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, value in params.items():
        part = name.rpartition(".")[2]
        if not name.startswith("blocks."):
            found[name] = value
            continue
        grown = np.zeros(want[part], dtype=np.float32)
        grown[tuple(slice(n) for n in value.shape)] = value
        found[name] = grown * factor if part in ("W_Q", "b_Q") else grown
    return found
