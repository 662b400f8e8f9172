"""A planted network in pyvene: interventions at hook points, at heads, and in nodes' subspaces."""

from __future__ import annotations

from typing import Any

from planted.adapters.modules import installed, module_of, with_shared_weights
from planted.core.hook_points import check_hook_points, head_axis, hook_point_names, split
from planted.errors import PlantedError, unknown
from planted.network.model import Model

WANTED = "pyvene>=0.1.8"
# What pyvene calls the same places in any transformer.
_ABSTRACT = {
    "block_input": "hook_resid_pre",
    "block_output": "hook_resid_post",
    "attention_output": "hook_attn_out",
    "mlp_input": "hook_mlp_in",
    "mlp_activation": "mlp.hook_post",
    "mlp_output": "hook_mlp_out",
}


def to_pyvene(model: Any) -> Any:
    """A module for `pyvene.IntervenableModel(…, model=…)`, whose hook points pyvene knows by name.

    It has the weights of `model.module`, in the same memory. pyvene switches off the gradient of
    the parameters it is given; these are not the module's own.

    Args:
        model: A model, or its module.

    Raises:
        PlantedError: If pyvene is not installed.
    """
    module = module_of(model, "pyvene")
    installed("pyvene", WANTED, "intervene by it")
    from pyvene.models import intervenable_modelcard as card
    from pyvene.models.constants import CONST_OUTPUT_HOOK
    from torch import nn

    made = with_shared_weights(module)
    for layer in made.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            setattr(layer, name, nn.Parameter(parameter.data))
    names = hook_point_names(module.n_layers)
    places = {name: (made.path_of(name), CONST_OUTPUT_HOOK) for name in names}
    places |= {
        theirs: (f"layers[%s].{ours}", CONST_OUTPUT_HOOK) for theirs, ours in _ABSTRACT.items()
    }
    kind = type(made)
    card.type_to_module_mapping.setdefault(kind, {}).update(places)
    wide = {name: ("hidden_size",) for name in places if _is_wide(name)}
    card.type_to_dimension_mapping.setdefault(kind, {}).update(wide)
    return made


def place(model: Any, name: str) -> dict[str, Any]:
    """An interchange intervention by name, for `pyvene.IntervenableModel`.

    What stands there in the source's run is put there in the base's, at every position: no
    `unit_locations` are wanted. For a node, only what its subspace holds is.

    Args:
        model: A model; or its module, in which no node is known.
        name: A hook point, as "blocks.0.hook_mlp_out"; a head of one, as "blocks.1.attn.hook_z.0";
            or a node, as "score".

    Raises:
        UnknownNameError: If there is no such node.
        PlantedError: If the name is not a hook point, or a node's beside a module, or pyvene is
            not installed.
    """
    module = module_of(model, "pyvene")
    if isinstance(model, Model) and "hook_" not in name:
        node = model.truth.node(name)
        return {"component": node.held_at, "intervention": _swap(node.basis, None, None)}
    if "hook_" not in name and name.isidentifier():
        raise PlantedError(
            f"{name!r} is no hook point, and a module does not know the plant's nodes: give "
            "place() the model for a node, as place(model, 'score')."
        )
    if "hook_" not in name:
        raise unknown("hook point", name, hook_point_names(module.n_layers))
    check_hook_points([name], module.config.n_heads)
    point, head = split(name)
    return {"component": point, "intervention": _swap(None, head_axis(point), head)}


def _is_wide(name: str) -> bool:
    """Whether a place holds vectors of the residual stream."""
    return (name in _ABSTRACT and name != "mlp_activation") or (
        ".attn." not in name and ".mlp." not in name and name not in _ABSTRACT
    )


def _swap(basis: Any, axis: int | None, head: int | None) -> Any:
    """Pyvene's intervention that takes the source's value: all of it, a subspace's, or a head's."""
    installed("pyvene", WANTED, "intervene by it")
    import pyvene
    import torch

    class Swap(pyvene.Intervention):  # type: ignore[misc]
        """Interchange of a whole value, of what a subspace holds, or of one head."""

        def __init__(self) -> None:
            super().__init__(keep_last_dim=True)
            self.register_buffer("basis", None if basis is None else torch.from_numpy(basis))

        def forward(self, base: Any, source: Any, subspaces: Any = None) -> Any:
            if self.basis is not None:
                rows = self.basis.to(base)
                return base + ((source - base) @ rows.T) @ rows
            if head is None:
                return source
            changed = base.clone()
            changed.select(axis, head).copy_(source.select(axis, head))
            return changed

    return Swap()
