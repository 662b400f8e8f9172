"""Pickling of objects that hold functions made inside functions, as samplers and utilities are."""

from __future__ import annotations

from contextvars import ContextVar
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
        """Itself by cloudpickle, as one piece: its functions may refer to it again."""
        if _by_cloudpickle.get():
            return _empty, (type(self),), self.__dict__
        cloudpickle = need("cloudpickle", "pickle a plant or its scenario")
        token = _by_cloudpickle.set(True)
        try:
            return _restored, (cloudpickle.dumps(self),)
        finally:
            _by_cloudpickle.reset(token)


_by_cloudpickle = ContextVar("_by_cloudpickle", default=False)


def _empty(kind: type) -> Any:
    return object.__new__(kind)


def _restored(pickled: bytes) -> Any:
    return need("cloudpickle", "open the pickle of a plant or its scenario").loads(pickled)
