"""The rotated tier: the exact one in a random orthogonal basis of the residual stream."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from planted.compiler.certify import TOLERANCE, certify, inputs_of
from planted.core.plant import Plant
from planted.errors import PlantedError
from planted.network import surgery

if TYPE_CHECKING:
    from planted.finetune.tiers import TierContext

EXACTNESS = (100, 10)  # in the order in which they are tried
SCREEN = 4000  # tasks on which rounding is measured before the plant is certified


@dataclass(frozen=True)
class Rotated:
    """The plant in another basis: nothing is aligned with a coordinate any more."""

    name: str = "rotated"
    invariants: tuple[str, ...] = ("choices", "nodes")

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The rotated plant, at an exactness at which rounding does not grow to anything.

        Raises:
            PlantedError: If rounding grows too far at any exactness.
        """
        return turn(context.compile, context.seed)


def rotate(plant: Plant, seed: int = 0) -> Plant:
    """The plant in a random orthogonal basis of its residual stream.

    Args:
        plant: Any tier.
        seed: Of the rotation.

    Returns:
        The plant in tier "rotated", weights and truth turned together, not certified.
    """
    width = plant.params["embed.W_E"].shape[1]
    params, truth = surgery.rotate(plant.params, plant.truth, surgery.random_rotation(width, seed))
    settings = {**plant.settings, "rotation_seed": seed}
    return replace(plant, tier="rotated", params=params, truth=truth, settings=settings)


def turn(compile_at: Callable[[float], Plant], seed: int = 0) -> Plant:
    """The rotated tier, at the highest exactness that it can be had at.

    In a rotated basis no entry is exactly 0 or 1, and MLPs multiply float32's rounding by their
    exactness; where pair follows pair, as in a gate, it grows further (2 % of a code at 100).

    Args:
        compile_at: Compiles the exact tier at an exactness.
        seed: Of the rotation.

    Returns:
        The rotated plant, not yet certified on all inputs.

    Raises:
        PlantedError: If rounding grows too far at any exactness.
    """
    for exactness in EXACTNESS:
        plant = rotate(compile_at(exactness), seed)
        nodes = certify(plant, inputs_of(plant, n=SCREEN)[0])["nodes"]
        largest, name = max((found["largest_deviation"], name) for name, found in nodes.items())
        if largest <= TOLERANCE / 2:
            return plant
    if largest <= TOLERANCE:
        return plant
    raise PlantedError(
        f"{plant.name} cannot be made in tier 'rotated': float32's rounding error in a basis "
        f"where no entry is exactly 0 or 1 is {largest:.2g} at node {name!r}, and may be at most "
        f"{TOLERANCE}. Take tier 'exact' or 'tempered'."
    )
