"""Pickling of objects that hold functions made inside functions, as samplers and utilities are."""

from __future__ import annotations

from typing import Any

from planted.errors import need


class PickledByValue:
    """What a class inherits whose functions pickle cannot find by a name: they go by value.

    A pickle holds the code of such functions, so that it is for the same version of Python, and
    like any pickle nothing to open from a stranger. A plant is kept with
    `planted.core.artefact.save_plant`.

    Raises (when it is pickled):
        PlantedError: If cloudpickle is not installed.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Its class and its fields, the latter by cloudpickle."""
        cloudpickle = need("cloudpickle", "pickle a plant or its scenario")
        return _restored, (type(self), cloudpickle.dumps(self.__dict__))


def _restored(kind: type, fields: bytes) -> Any:
    cloudpickle = need("cloudpickle", "open the pickle of a plant or its scenario")
    made: Any = object.__new__(kind)
    made.__dict__.update(cloudpickle.loads(fields))
    return made
