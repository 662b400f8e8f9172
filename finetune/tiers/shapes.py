"""What tiers and comparisons share: plants with another network, or padded to common shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from planted.compiler.compile import Compiled
from planted.core.plant import Plant
from planted.network import surgery


def with_network(plant: Plant, compiled: Compiled) -> Plant:
    """The plant with another compiled network."""
    return replace(plant, params=compiled.params, spec=compiled.spec, truth=compiled.truth)


def common(plants: Iterable[Plant]) -> list[Plant]:
    """The plants zero-padded to common shapes, attention scale and output columns."""
    group = list(plants)
    to = surgery.common_shapes(*(plant.params for plant in group))
    scale = min(plant.spec.attn_scale for plant in group)
    widest = max(group, key=lambda plant: len(plant.spec.outputs))
    padded = []
    for plant in group:
        params, spec, truth = surgery.pad(
            plant.params, plant.spec, plant.truth, to, scale, widest.spec.outputs
        )
        padded.append(replace(plant, params=params, spec=spec, truth=truth))
    return padded
