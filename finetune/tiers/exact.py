"""The exact tier: Tracr's own numbers, trimmed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from planted.core.plant import Plant

if TYPE_CHECKING:
    from planted.finetune.tiers import TierContext


@dataclass(frozen=True)
class Exact:
    """The plant as it was compiled."""

    name: str = "exact"
    invariants: tuple[str, ...] = ("choices", "nodes")

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The plant itself."""
        return exact
