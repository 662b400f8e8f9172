"""What an adapter starts from: the torch module of a model, as it is, twice, or padded."""

from __future__ import annotations

import copy
import importlib.metadata
from typing import Any

from planted.errors import PlantedError, need
from planted.network import even
from planted.network.model import Model


def module_of(given: Any, client: str) -> Any:
    """The torch module of a model, or the module that was given.

    Args:
        given: A `Model`, or a module that `Model.module` made, trained on or not.
        client: The library it is for, for the error.

    Raises:
        PlantedError: If it is neither, or torch is not installed.
    """
    need("torch", f"give a model to {client}")
    from planted.network.torch_module import PlantedTransformer

    found = given.module if isinstance(given, Model) else given
    if not isinstance(found, PlantedTransformer):
        raise PlantedError(
            f"{client} is given a model from planted.load or planted.plant, or its module, got "
            f"{type(given).__name__}."
        )
    return found


def with_shared_weights(module: Any) -> Any:
    """A second module with the very parameters of the first; hooks and changes of layers its own.

    Libraries that put layers of their own into a module are given this one.
    """
    shared = {id(parameter): parameter for parameter in module.parameters()}
    return copy.deepcopy(module, shared)


def uniform(module: Any) -> Any:
    """A copy, with weights of its own, whose blocks all have the shapes of the largest.

    Heads and neurons that are appended come after the others and write nothing.
    """
    return type(module).from_params(even.uniform(module.to_params()), module.spec, module.bos)


def installed(package: str, wanted: str, purpose: str) -> tuple[int, ...]:
    """The version of a client's package.

    Args:
        package: As pip names it.
        wanted: What to install, as "transformer-lens>=4.3".
        purpose: What it is needed to do, for the error.

    Raises:
        PlantedError: If it is not installed.
    """
    try:
        version = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise PlantedError(
            f"{package!r} is needed to {purpose} and is not installed. Run: pip install '{wanted}'"
        ) from None
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
