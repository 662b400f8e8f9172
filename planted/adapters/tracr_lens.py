"""State dicts of TransformerLens for Tracr's models: read with truth, and written.

A published state dict has lost Tracr's labels of the residual stream. They are recovered by
compiling the same program with stock Tracr and finding the order of dimensions in which both have
the same weights; where there is none, the state dict is not that program's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from planted.adapters.columns import matching
from planted.adapters.tracr import from_tracr, labelled, uniform
from planted.core.arguments import whole
from planted.core.semantics import Value
from planted.core.spec import Spec, n_layers
from planted.errors import PlantedError, need
from planted.network.model import Model

_KEPT = ("embed.W_E", "pos_embed.W_pos")


def model_from_state_dict(
    state: Mapping[str, Any],
    program: Any,
    vocabulary: Sequence[Value],
    length: int,
    *,
    exactness: float = 100,
    causal: bool = False,
    tokens: Sequence[Value] | None = None,
    bos: str = "compiler_bos",
    pad: str = "compiler_pad",
    runtime: str = "numpy",
    name: str = "tracr",
) -> Model:
    """A model of a TransformerLens state dict that was made from a Tracr model, with its truth.

    Args:
        state: Name -> array or tensor, as `HookedTransformer.state_dict()` or the file that was
            published; without layer norms. Masks, and what it unembeds by, are not read: the output
            is the program's.
        program: The program that Tracr compiled.
        vocabulary: Its tokens.
        length: Its `max_seq_len`.
        exactness: Its `mlp_exactness`.
        causal: Whether it is causal.
        tokens: The token of each row of `embed.W_E`, where that is not Tracr's own order.
        bos: What Tracr called BOS.
        pad: What Tracr called PAD.
        runtime: "numpy" or "torch".
        name: What the model is called.

    Returns:
        A model as `planted.compile` gives it; its logits are [task, pos, output].

    Raises:
        PlantedError: If a tensor is missing, or the weights are not those of the program.

    Example:
        >>> from tracr.compiler import compiling, lib
        >>> program = lib.make_length()
        >>> stock = compiling.compile_rasp_to_model(program, {"a", "b"}, 3)
        >>> state = dict(from_tracr(stock, program.label).params)  # as if it were read from a file
        >>> model = model_from_state_dict(state, program, "ab", 3)
        >>> model.expected(model.output, model.scenario.encode(["ab"]))
        array([[nan,  2.,  2.]])
    """
    need("tracr", "compile the program of a state dict")
    from tracr.compiler import compiling

    length = whole("length", length, 1)
    stock = compiling.compile_rasp_to_model(
        program,
        set(vocabulary),
        length,
        causal,
        bos,
        pad,
        exactness,
    )
    wanted = from_tracr(stock, program.label)
    params = _read(state, n_layers(wanted.params))
    ids = stock.input_encoder.encoding_map if stock.input_encoder else {}
    order = list(tokens) if tokens is not None else sorted(ids, key=ids.__getitem__)
    words = [word for word in sorted(ids, key=ids.__getitem__) if word not in (bos, pad)]
    missing = [word for word in (bos, *words) if word not in order]
    if missing or len(order) != len(params["embed.W_E"]):
        raise PlantedError(
            f"The state dict has {len(params['embed.W_E'])} tokens, which are {order!r} in Tracr's "
            f"order. Pass tokens= with the token of each row of 'embed.W_E'"
            + (f"; {missing[0]!r} is missing." if missing else ".")
        )
    mine = {**params, "embed.W_E": params["embed.W_E"][[order.index(w) for w in (bos, *words)]]}
    theirs = {
        **wanted.params,
        "embed.W_E": wanted.params["embed.W_E"][[ids[w] for w in (bos, *words)]],
    }
    where = matching(theirs, mine)
    labels = [""] * len(where)
    for column, label in zip(where, stock.residual_labels, strict=True):
        labels[column] = label
    size = mine["blocks.0.attn.W_Q"].shape[2]
    spec = Spec(1 / math.sqrt(size), length, (), 0)
    if causal:
        spec = Spec(1 / math.sqrt(size), length, (), 0, causal=True)
    return labelled(mine, labels, program, words, spec, runtime, name)


def to_state_dict(model: Model) -> tuple[dict[str, Any], dict[str, Any]]:
    """A model as TransformerLens has it: the state dict, and the fields of its config.

    Layers are padded to the widest one. In TransformerLens 2: `HookedTransformer(
    HookedTransformerConfig(**config))`, then `load_state_dict(state, strict=False)`, because the
    masks are its own.

    Args:
        model: From `planted.compile`, `planted.plant` or `planted.load`.

    Returns:
        Name -> float32 array, "unembed.W_U" [d_model, output] and "unembed.b_U" among them; and the
        config.

    Example:
        >>> import planted
        >>> state, config = to_state_dict(planted.load("red-doors"))
        >>> state["blocks.0.attn.W_Q"].shape == (
        ...     config["n_heads"], config["d_model"], config["d_head"])
        True
    """
    params = uniform(model.plant.params, model.spec.attn_scale)
    heads, width, size = params["blocks.0.attn.W_Q"].shape
    scaled = params["unembed.W_U"] * np.float32(model.spec.logit_scale)
    n_out = scaled.shape[1]
    state = {**params, "unembed.W_U": scaled, "unembed.b_U": np.zeros(n_out, np.float32)}
    causal = bool(getattr(model.spec, "causal", False))
    config = {
        "n_layers": n_layers(params),
        "d_model": width,
        "d_head": size,
        "n_heads": heads,
        "d_mlp": params["blocks.0.mlp.b_in"].shape[0],
        "n_ctx": params["pos_embed.W_pos"].shape[0],
        "d_vocab": params["embed.W_E"].shape[0],
        "d_vocab_out": n_out,
        "act_fn": "relu",
        "normalization_type": None,
        "attention_dir": "causal" if causal else "bidirectional",
    }
    return state, config


def _read(state: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The parameters of a state dict, without its unembedding.

    Raises:
        PlantedError: If one is missing, or it has another number of blocks.
    """
    parts = [f"attn.{kind}_{letter}" for kind in "Wb" for letter in "QKVO"]
    parts += ["mlp.W_in", "mlp.b_in", "mlp.W_out", "mlp.b_out"]
    names = [*_KEPT, *(f"blocks.{i}.{part}" for i in range(depth) for part in parts)]
    missing = [name for name in names if name not in state]
    if missing or any(name.startswith(f"blocks.{depth}.") for name in state):
        what = f"lacks {missing[0]!r}" if missing else "has more blocks"
        raise PlantedError(
            f"The state dict {what}; a Tracr model of this program has {depth} blocks, named as in "
            "TransformerLens."
        )
    return {name: _array(state[name]) for name in names}


def _array(value: Any) -> Any:
    given = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    return np.array(given, dtype=np.float32)
