"""What tiers share: plants with another network."""

from __future__ import annotations

from dataclasses import replace

from planted.compiler.compile import Compiled
from planted.core.plant import Plant


def with_network(plant: Plant, compiled: Compiled) -> Plant:
    """The plant with another compiled network."""
    return replace(plant, params=compiled.params, spec=compiled.spec, truth=compiled.truth)
