"""Writes a model as Tracr's `AssembledTransformerModel`: the only part that needs haiku."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.adapters.tracr import uniform
from planted.core.spec import n_layers
from planted.errors import need
from planted.network.model import Model


def assembled(model: Model) -> Any:
    """Tracr's model with the same numbers; see `planted.adapters.tracr.to_tracr`.

    Long because haiku wants the network as functions inside functions.
    """
    need("tracr", "write a model as Tracr's")
    import haiku as hk
    import jax
    import jax.numpy as jnp
    from tracr.compiler.assemble import AssembledTransformerModel
    from tracr.transformer import model as theirs

    params = uniform(model.plant.params, model.spec.attn_scale)
    shape = params["blocks.0.attn.W_Q"].shape
    config = theirs.TransformerConfig(
        num_heads=shape[0],
        num_layers=n_layers(params),
        key_size=shape[2],
        mlp_hidden_size=params["blocks.0.mlp.b_in"].shape[0],
        dropout_rate=0.0,
        activation_function=jax.nn.relu,
        layer_norm=False,
        causal=bool(getattr(model.spec, "causal", False)),
    )
    node = model.truth.nodes[model.output]
    out = params["unembed.W_U"] * model.spec.logit_scale

    def get_compiled_model() -> Any:
        def unembed(x: Any, use_unembed_argmax: bool) -> Any:
            read = x @ out
            if use_unembed_argmax:
                return jnp.argmax(read, axis=-1)
            return read.squeeze(-1) if read.shape[-1] == 1 else read

        return theirs.CompiledTransformerModel(
            transformer=theirs.Transformer(config),
            token_embed=hk.Embed(embedding_matrix=params["embed.W_E"], name="token_embed"),
            position_embed=hk.Embed(embedding_matrix=params["pos_embed.W_pos"], name="pos_embed"),
            unembed=hk.to_module(unembed)(),
            use_unembed_argmax=not node.numerical,
        )

    def run(tokens: Any) -> Any:
        return get_compiled_model()(tokens, use_dropout=False)

    forward: Any = hk.without_apply_rng(hk.transform(run))
    inputs, outputs = _encoders(model)
    return AssembledTransformerModel(
        forward=forward.apply,
        get_compiled_model=get_compiled_model,
        params=jax.tree_util.tree_map(jnp.array, _haiku(params)),
        model_config=config,
        residual_labels=_labels(model),
        input_encoder=inputs,
        output_encoder=outputs,
    )


def _haiku(params: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameters by haiku's names."""
    found: dict[str, dict[str, Any]] = {
        "token_embed": {"embeddings": params["embed.W_E"]},
        "pos_embed": {"embeddings": params["pos_embed.W_pos"]},
    }
    for layer in range(n_layers(params)):
        ours, at = f"blocks.{layer}.", f"transformer/layer_{layer}/"
        for letter, part in (("Q", "query"), ("K", "key"), ("V", "value")):
            weight = params[f"{ours}attn.W_{letter}"]
            flat = weight.transpose(1, 0, 2).reshape(weight.shape[1], -1)
            bias = params[f"{ours}attn.b_{letter}"].reshape(-1)
            found[f"{at}attn/{part}"] = {"w": flat, "b": bias}
        out = params[f"{ours}attn.W_O"]
        found[f"{at}attn/linear"] = {
            "w": out.reshape(-1, out.shape[2]),
            "b": params[f"{ours}attn.b_O"],
        }
        for part, name in (("in", "linear_1"), ("out", "linear_2")):
            found[f"{at}mlp/{name}"] = {
                "w": params[f"{ours}mlp.W_{part}"],
                "b": params[f"{ours}mlp.b_{part}"],
            }
    return found


def _encoders(model: Model) -> tuple[Any, Any]:
    """Tracr's encoders of tokens, in the order of our ids, and of outputs."""
    from tracr.craft.bases import BasisDirection
    from tracr.transformer import encoder

    words = [BasisDirection("tokens", word) for word in model.scenario.vocabulary]
    inputs = encoder.CategoricalEncoder(
        words,
        enforce_bos=True,
        bos_token=model.scenario.vocabulary[0],
        pad_token=None,
        max_seq_len=model.plant.params["pos_embed.W_pos"].shape[0],
    )
    node = model.truth.nodes[model.output]
    if node.numerical:
        return inputs, encoder.NumericalEncoder()
    by_name = {str(value): value for value in node.values}
    values = [by_name.get(label, label) for label in model.spec.outputs]
    basis = [BasisDirection(model.output, value) for value in values]
    return inputs, encoder.CategoricalEncoder(basis, enforce_bos=False)


def _labels(model: Model) -> list[str]:
    """A name for each dimension of the residual stream that holds one value of one node."""
    labels = [f"dim_{i}" for i in range(model.plant.params["embed.W_E"].shape[1])]
    for name, node in model.truth.nodes.items():
        for row, value in zip(node.basis, node.values or ("",), strict=False):
            if np.count_nonzero(row) == 1:
                at = int(np.flatnonzero(row)[0])
                labels[at] = name if node.numerical else f"{name}:{value}"
    return labels
