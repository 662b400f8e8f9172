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
_REFUSED = (  # of a HookedTransformer: each makes weights under which the numbers are others
    "process_weights_",
    "load_and_process_state_dict",
    "fold_layer_norm",
    "fold_value_biases",
    "center_writing_weights",
    "center_unembed",
    "refactor_factored_attn_matrices",
)


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
        so `enable_compatibility_mode` takes `no_processing=True` alone, and `process_weights` is
        refused. `copy.deepcopy` makes a bridge with weights of its own.

    Raises:
        PlantedError: If TransformerLens 4 is not installed.
    """
    module = module_of(model, "TransformerLens")
    _major(4, BRIDGE, "to_hooked_transformer")
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    own = uniform(module) if uniform_blocks else with_shared_weights(module)
    made = build_bridge_from_module(
        own,
        "TransformerLensNative",
        tl_config=_config(own.config),
        model_name="planted",
        post_adapter_hook=_free_resid_mid,
    )
    for layer, block in enumerate(made.blocks):
        _connect(block, _config(own.config, layer))
    for flag in ("use_attn_result", "use_hook_mlp_in"):  # without which their hooks are refused
        made.cfg._set_bridge_managed_hook_flag(flag, True)
    made.clear_hook_registry()
    made._initialize_hook_registry()
    made.enable_compatibility_mode = functools.partial(_unprocessed, made.enable_compatibility_mode)
    made.process_weights = functools.partial(_refused, "process_weights")
    if not uniform_blocks:
        made._stack_block_params = functools.partial(_stacked, made._stack_block_params)
    return made.eval()


def to_hooked_transformer(model: Any) -> Any:
    """A `HookedTransformer` with a model's weights (TransformerLens 3 and before).

    Blocks are padded with zeros to the heads, head size and neurons of the largest, which write
    nothing. Logits are [task, pos, output]: planted's are those at `model.spec.read_out`. The
    weights are a copy.

    Args:
        model: A model, or its module.

    Returns:
        The HookedTransformer, in evaluation mode, on the module's device, with every hook point of
        planted's switched on. Its methods that fold, centre or refactor weights are refused: the
        numbers would be others.

    Raises:
        PlantedError: If no TransformerLens before version 4 is installed.
    """
    module = module_of(model, "TransformerLens")
    _major(3, HOOKED, "to_bridge")
    import torch
    from transformer_lens import HookedTransformer, HookedTransformerConfig

    padded = uniform(module)
    made = HookedTransformer(
        HookedTransformerConfig(
            **_sizes(padded.config),
            use_attn_result=True,
            use_hook_mlp_in=True,
            init_weights=False,
            device=str(module.device),
            dtype=module.dtype,
        ),
        move_to_device=False,
    )
    weights = {name: torch.from_numpy(value) for name, value in padded.to_params().items()}
    weights["unembed.W_U"] = weights["unembed.W_U"] * padded.config.logit_scale
    weights["unembed.b_U"] = torch.zeros(padded.config.d_vocab_out)
    left = made.load_state_dict(weights, strict=False).missing_keys
    missing = [name for name in left if not name.endswith((".mask", ".IGNORE"))]
    if missing:
        raise PlantedError(
            f"This version of TransformerLens wants weights that a planted network does not have: "
            f"{', '.join(missing)}. Install {HOOKED!r}."
        )
    for name in _REFUSED:
        setattr(made, name, functools.partial(_refused, name))
    return made.to(module.device).eval()


def _free_resid_mid(adapter: Any) -> None:
    """Takes the name of hook_resid_mid from the MLP's input, where an edit misses the stream."""
    blocks = adapter.component_mapping["blocks"]
    blocks.hook_aliases = {k: v for k, v in blocks.hook_aliases.items() if k != "hook_resid_mid"}


def _connect(block: Any, config: Any) -> None:
    """Fires the bridge's hook points where planted's stand, in the shapes of this block's heads."""
    from transformer_lens.hook_points import HookPoint

    block.hook_resid_mid = HookPoint()
    block._capture_hooks_wired = True  # the bridge's own hook_mlp_in shares memory with the stream
    block.attn.config = config  # heads differ between blocks
    block.attn._setup_qkv_hook_reshaping()
    attention = block.attn.original_component
    for theirs, ours in (
        (block.hook_resid_mid, block.original_component.hook_resid_mid),
        (block.hook_mlp_in, block.original_component.hook_mlp_in),
        (block.attn.hook_attn_scores, attention.hook_attn_scores),
        (block.attn.hook_result, attention.o.original_component.hook_result),
    ):
        # a deepcopy makes a partial anew, of the copy's hook point; a closure would keep this one
        ours.register_forward_hook(functools.partial(_fire, theirs))


def _fire(hook_point: Any, module: Any, given: Any, value: Any) -> Any:
    """A forward hook that gives a value to another hook point, and what that makes of it on."""
    return hook_point(value)


def _config(config: Any, layer: int | None = None) -> Any:
    """TransformerLens's configuration of a network, or with one block's number and size of heads.

    Args:
        config: The module's.
        layer: The block; None for the largest of each.
    """
    from transformer_lens.config import TransformerBridgeConfig

    return TransformerBridgeConfig(**_sizes(config, layer))


def _sizes(config: Any, layer: int | None = None) -> dict[str, Any]:
    """What both versions call the sizes of a network; `layer` as for `_config`."""
    heads, sizes = config.n_heads, config.d_head
    return {
        "d_model": config.d_model,
        "d_head": max(sizes) if layer is None else sizes[layer],
        "n_heads": max(heads) if layer is None else heads[layer],
        "n_layers": config.n_layers,
        "n_ctx": config.n_ctx,
        "d_vocab": config.d_vocab,
        "d_vocab_out": config.d_vocab_out,
        "d_mlp": max(config.d_mlp),
        "act_fn": config.act_fn,
        "normalization_type": config.normalization_type,
        "attention_dir": config.attention_dir,
        "attn_scale": 1 / config.attn_scale,  # it divides
    }


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


def _refused(name: str, *given: Any, **named: Any) -> None:
    """Stands where TransformerLens has a method that changes the weights.

    Raises:
        PlantedError: Always.
    """
    raise PlantedError(
        f"{name}() folds, centres or refactors weights, after which logits and hook points are no "
        "longer the plant's. Leave it out: a planted network has no layer norm to fold."
    )


def _stacked(stack: Any, name: str, *given: Any, **named: Any) -> Any:
    """A weight of all blocks in one tensor, where they have one shape.

    Raises:
        PlantedError: If they have not.
    """
    try:
        return stack(name, *given, **named)
    except (ArithmeticError, RuntimeError) as error:  # no heads to divide by; unequal shapes
        raise PlantedError(
            f"{name!r} cannot be stacked: blocks of this network have different numbers of heads, "
            "head sizes or neurons. Call to_bridge(model, uniform_blocks=True)."
        ) from error


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
