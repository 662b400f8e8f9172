"""A model that stock Tracr assembled, as a network of ours with the same numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from planted.core.spec import Spec
from planted.errors import PlantedError
from planted.network.model import Network


def from_tracr(assembled: Any, output: str, read_out: int | None = None) -> Network:
    """Weights that `tracr.compiler.compiling.compile_rasp_to_model` gives, to run by numpy.

    Tracr pads every layer to the widest one; the padding is kept, so that heads and neurons have
    Tracr's own numbers. There is no truth in it: to have that, plant the program.

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
