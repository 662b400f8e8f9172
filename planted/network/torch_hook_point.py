"""A hook point as a torch module, whose hooks act on compiled modules too."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle


class HookPoint(nn.Module):
    """Gives its input on, as memory of its own: what a hook changes there, it changes nowhere else.

    A forward hook returns the new value, or None where it changed the value in place.

    Attributes:
        hooks: The numbers of its hooks. A compiled module asks whether this text is still the one
            that it was compiled with, and not for the hooks: they would be missed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.hooks = ""

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """The value, copied."""
        return value.clone() if self.hooks is not None else value

    def register_forward_hook(self, hook: Any, **how: Any) -> RemovableHandle:
        """As of any module."""
        return self._noted(super().register_forward_hook(hook, **how))

    def register_forward_pre_hook(self, hook: Any, **how: Any) -> RemovableHandle:
        """As of any module."""
        return self._noted(super().register_forward_pre_hook(hook, **how))

    def register_full_backward_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """As of any module."""
        return self._noted(super().register_full_backward_hook(hook, prepend))

    def register_full_backward_pre_hook(self, hook: Any, prepend: bool = False) -> RemovableHandle:
        """As of any module."""
        return self._noted(super().register_full_backward_pre_hook(hook, prepend))

    def _noted(self, handle: RemovableHandle) -> RemovableHandle:
        remove = handle.remove

        def note() -> None:
            forward = (*self._forward_pre_hooks, *self._forward_hooks)
            backward = (*self._backward_pre_hooks, *self._backward_hooks)
            self.hooks = " ".join(map(str, (*forward, *backward)))

        def remove_and_note() -> None:
            remove()
            note()

        handle.remove = remove_and_note  # type: ignore[method-assign]
        note()
        return handle
