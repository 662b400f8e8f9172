"""Weights that run by numpy, with the methods of the torch module."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core import hook_points
from planted.core.arrays import to_numpy
from planted.core.hook_points import Edit
from planted.core.scenario import Tokens
from planted.core.spec import Params, Spec, heads_per_layer, n_layers
from planted.core.tokens import BOS_ID, check_tokens
from planted.errors import PlantedError
from planted.network.forward import forward


@dataclass(frozen=True, eq=False)
class Network:
    """Weights that run by numpy, with the methods that the torch module has too.

    Attributes:
        params: Parameters, float32.
        spec: How to run them.
        bos: Id of the token at position 0 and nowhere else; None if there is no such rule.
    """

    params: Params
    spec: Spec
    bos: int | None = BOS_ID

    @property
    def n_layers(self) -> int:
        """Number of blocks."""
        return n_layers(self.params)

    @property
    def components(self) -> tuple[str, ...]:
        """Every head and MLP, as "blocks.2.attn.hook_result.0" and "blocks.2.hook_mlp_out"."""
        return hook_points.components(heads_per_layer(self.params))

    def __call__(self, tokens: npt.ArrayLike) -> Any:
        """Logits before the argmax, [task, output].

        Raises:
            PlantedError: If the tokens are no tasks.
        """
        return forward(self.params, self._tokens(tokens), self.spec)[0]

    def run_with_cache(
        self,
        tokens: npt.ArrayLike,
        names: str | Iterable[str] | Callable[[str], bool] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Logits [task, output] and the value of hook points.

        Args:
            tokens: Token ids [task, pos], BOS included.
            names: All hook points if None; or one, several, or a function from a name to whether
                it is wanted. "blocks.1.attn.hook_result.0" is one head's part.

        Raises:
            PlantedError: If a name is not a hook point, or the tokens are no tasks.
        """
        wanted = hook_points.selected(names, heads_per_layer(self.params))
        return forward(self.params, self._tokens(tokens), self.spec, record=wanted)

    def run_with_hooks(self, tokens: npt.ArrayLike, hooks: Mapping[str, Edit]) -> Any:
        """Logits [task, output] when hooks replace the values of their hook points.

        Args:
            tokens: Token ids [task, pos], BOS included.
            hooks: Hook point, or a head of one as "blocks.1.attn.hook_z.0", -> function of its
                value that returns the new one, or None where it changed it in place.

        Raises:
            PlantedError: If a name is not a hook point, the tokens are no tasks, or a hook returns
                another shape.
        """
        return forward(self.params, self._tokens(tokens), self.spec, edits=hooks)[0]

    def _tokens(self, tokens: npt.ArrayLike) -> Tokens:
        array = np.asarray(to_numpy(tokens))
        if array.dtype.kind not in "iu":
            raise PlantedError(f"Tokens are whole numbers [task, pos], got {array.dtype}.")
        vocabulary, positions = (self.params[n].shape[0] for n in ("embed.W_E", "pos_embed.W_pos"))
        check_tokens(array, vocabulary, self.spec.needed, positions, self.bos)
        return array
