"""The weights that training starts from, where it does not start from the plant."""

from __future__ import annotations

import numpy as np

from planted.core.plant import Plant
from planted.core.spec import Params
from planted.network import surgery
from planted.network.forward import logits_of

N_TASKS = 256  # of D_ref, on which the first logits are looked at
LARGEST = 2.0  # standard deviation of the first logits; networks of every shipped plant start below
STEP = 2**-0.5
WRITERS = ("W_O", "W_out")  # what writes to the residual stream


def random_start(plant: Plant, seed: int) -> Params:
    """Random weights of a plant's shapes, from which a network without the plant is trained.

    They are those of `planted.network.surgery.start_anew`. With many heads a block, as in the dense
    tier, the residual stream then grows from block to block, the first choices are made with
    confidence, and training often fails. Where the first logits have a standard deviation above 2,
    all that heads and MLPs write is therefore made smaller, by the same factor, until they do not
    (as in the initialisation by scale of Mishkin and Matas 2016, "All you need is a good init").

    Args:
        plant: Whose shapes.
        seed: Of the weights.
    """
    tokens = plant.scenario.draw(np.random.default_rng(0), N_TASKS)
    drawn = surgery.start_anew(plant.params, seed)
    found, factor = drawn, 1.0
    while np.std(logits_of(found, plant.spec, tokens)) > LARGEST:
        factor *= STEP
        found = {
            name: value * np.float32(factor) if name.endswith(WRITERS) else value
            for name, value in drawn.items()
        }
    return found
