"""Low-rank updates: W + A·B in place of W (Hu et al. 2021, section 4.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planted.core.plant import Plant
from planted.errors import PlantedError
from planted.finetune.masks import Mask

Layout = tuple[tuple[str, tuple[int, ...]], ...]  # names and shapes, sorted


def factors(plant: Plant, mask: Mask, rank: int) -> Layout:
    """Names and shapes of the factors A [..., in, rank] and B [..., rank, out].

    Args:
        plant: The network.
        mask: What the recipe trains: a matrix gets factors where all of it is trained. Vectors
            (biases) stay as they are.
        rank: Of the update.

    Raises:
        PlantedError: If no matrix is trained as a whole.
    """
    found = []
    for name in sorted(plant.params):
        shape = plant.params[name].shape
        if len(shape) >= 2 and min(shape) and mask[name].all():
            found.append((f"{name}.A", (*shape[:-1], rank)))
            found.append((f"{name}.B", (*shape[:-2], rank, shape[-1])))
    if not found:
        raise PlantedError(
            "lora trains whole matrices, and this recipe trains none. Take another `train`, or "
            "lora=0."
        )
    return tuple(sorted(found))


def start(layout: Layout, seed: int) -> dict[str, Any]:
    """The factors before the first step: A normal with variance 1/in, B zero."""
    rng = np.random.default_rng([seed, 0x10EA])
    made = {}
    for name, shape in layout:
        size = 1 / np.sqrt(shape[-2]) if name.endswith(".A") else 0.0
        made[name] = (rng.normal(size=shape) * size).astype(np.float32)
    return made


def merged(weights: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The weights with A·B added where there are factors; of numpy or jax."""
    return {
        name: value + found[f"{name}.A"] @ found[f"{name}.B"] if f"{name}.A" in found else value
        for name, value in weights.items()
    }
