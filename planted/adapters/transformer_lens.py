"""A planted network in TransformerLens: version 4's bridge, or version 3's HookedTransformer.

In both, every hook point of planted's has its own name, fires once, and acts when it is edited.
"""

from __future__ import annotations

import functools
from typing import Any

from planted.adapters.modules import installed, module_of, uniform, with_shared_weights
from planted.errors import PlantedError

BRIDGE = "transformer-lens>=4.3"
HOOKED = "transformer-lens<4"


def to_bridge(model: Any, *, uniform_blocks: bool = False) -> Any:
    """A `TransformerBridge` around a model (TransformerLens 4).

    Logits are planted's, [task, output], at the read-out. The bridge has the very parameters of
    `model.module`: what trains one trains the other.

    Args:
        model: A model, or its module.
        uniform_blocks: Give all blocks the heads, head size and neurons of the largest, as tools
            want that stack weights over layers (`bridge.W_Q`). The parameters are then a copy.

    Returns:
        The bridge, in evaluation mode. Folding and centring of weights would change the numbers,
        so `enable_compatibility_mode` takes `no_processing=True` alone.

    Raises:
        PlantedError: If TransformerLens 4 is not installed.
    """
    module = module_of(model, "TransformerLens")
    _major(4, BRIDGE, "to_hooked_transformer")
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    own = uniform(module) if uniform_blocks else with_shared_weights(module)
    made = build_bridge_from_module(
        own, "TransformerLensNative", tl_config=_config(own.config), model_name="planted"
    )
    for layer, block in enumerate(made.blocks):
        _connect(block, _config(own.config, layer))
    made.clear_hook_registry()
    made._initialize_hook_registry()
    made.enable_compatibility_mode = functools.partial(
        _unprocessed, made.enable_compatibility_mode
    )
    return made.eval()


def _connect(block: Any, config: Any) -> None:
    """Fires the bridge's hook points where planted's stand, in the shapes of this block's heads."""
    from transformer_lens.hook_points import HookPoint

    block.hook_aliases = {k: v for k, v in block.hook_aliases.items() if k != "hook_resid_mid"}
    block._hook_alias_registry.pop("hook_resid_mid", None)
    block.__dict__.pop("hook_resid_mid", None)
    block.hook_resid_mid = HookPoint()
    block.attn.config = config  # heads differ between blocks
    block.attn._setup_qkv_hook_reshaping()
    attention = block.attn.original_component
    for theirs, ours in (
        (block.hook_resid_mid, block.original_component.hook_resid_mid),
        (block.hook_mlp_in, block.original_component.hook_mlp_in),
        (block.attn.hook_attn_scores, attention.hook_attn_scores),
        (block.attn.hook_result, attention.o.original_component.hook_result),
    ):
        ours.register_forward_hook(lambda _, __, value, theirs=theirs: theirs(value))


def _config(config: Any, layer: int | None = None) -> Any:
    """TransformerLens's configuration of a network, or with one block's number and size of heads.

    Args:
        config: The module's.
        layer: The block; None for the largest of each.
    """
    from transformer_lens.config import TransformerBridgeConfig

    heads, sizes = config.n_heads, config.d_head
    return TransformerBridgeConfig(
        d_model=config.d_model,
        d_head=max(sizes) if layer is None else sizes[layer],
        n_heads=max(heads) if layer is None else heads[layer],
        n_layers=config.n_layers,
        n_ctx=config.n_ctx,
        d_vocab=config.d_vocab,
        d_vocab_out=config.d_vocab_out,
        d_mlp=max(config.d_mlp),
        act_fn=config.act_fn,
        normalization_type=config.normalization_type,
        attention_dir=config.attention_dir,
        attn_scale=1 / config.attn_scale,  # it divides
    )


def _unprocessed(
    enable: Any, disable_warnings: bool = False, no_processing: bool = False, **folding: Any
) -> None:
    """Compatibility mode without what changes the weights.

    Raises:
        PlantedError: If weights would be folded or centred.
    """
    if not no_processing:
        raise PlantedError(
            "enable_compatibility_mode() folds and centres weights, after which logits and hook "
            "points are no longer the plant's: call it with no_processing=True."
        )
    enable(disable_warnings=disable_warnings, no_processing=True, **folding)


def _major(wanted: int, requirement: str, otherwise: str) -> None:
    """Refuses another TransformerLens than the one that a function is for.

    Raises:
        PlantedError: If it is not installed, or of another major version.
    """
    found = installed("transformer-lens", requirement, "make a model of TransformerLens")[0]
    if (found >= 4) != (wanted >= 4):
        raise PlantedError(
            f"TransformerLens {found} is installed, and this needs {requirement!r}: an environment "
            f"holds one of them. Use planted.adapters.transformer_lens.{otherwise}, or install "
            "the other in an environment of its own."
        )
