"""A planted network in nnsight: the module as it is, and the envoy of a hook point by its name."""

from __future__ import annotations

from typing import Any

from planted.adapters.modules import installed, module_of

WANTED = "nnsight>=0.8"


def to_nnsight(model: Any) -> Any:
    """An `NNsight` around `model.module` itself.

    Args:
        model: A model, or its module.

    Raises:
        PlantedError: If nnsight is not installed.
    """
    module = module_of(model, "nnsight")
    installed("nnsight", WANTED, "trace a model")
    from nnsight import NNsight

    return NNsight(module)


def at(traced: Any, name: str) -> Any:
    """The envoy of a hook point: its `.output` is the value, to read and to set.

    Args:
        traced: What `to_nnsight` gave.
        name: The hook point, as "blocks.0.hook_mlp_out".

    Raises:
        PlantedError: If the name is not a hook point.
    """
    return traced.get(traced._module.path_of(name))
