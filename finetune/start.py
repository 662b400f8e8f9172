"""The weights that training starts from, where it does not start from the plant."""

from __future__ import annotations

import numpy as np

from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.core.spec import Params, n_layers
from planted.network import surgery
from planted.network.forward import logits_of

N_TASKS = 256  # of D_ref, on which the first logits are looked at
LARGEST = 2.0  # standard deviation of the first logits; networks of every shipped plant start below
STEP = 2**-0.5
SMALLEST = 2**-20  # of the factor: it cannot make logits smaller that the embedding alone gives
DEEP = 12  # blocks, above which what each writes is made smaller by their number
WRITERS = ("W_O", "W_out")  # what writes to the residual stream


def random_start(plant: Plant, seed: int) -> Params:
    """Random weights of a plant's shapes, from which a network without the plant is trained.

    They are those of `planted.network.surgery.start_anew`. With many heads a block, as in the dense
    tier, the residual stream then grows from block to block, the first choices are made with
    confidence, and training often fails. Where the first logits have a standard deviation above 2,
    all that heads and MLPs write is therefore made smaller, by the same factor, until they do not
    (as in the initialisation by scale of Mishkin and Matas 2016, "All you need is a good init").

    In networks of more than 12 blocks, those of the mazes and of some twins, what heads and MLPs
    write is first divided by the square root of the number of residual layers, two a block (Radford
    et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3). Without it, 23
    of 24 networks of the small maze's dense tier diverged: it has 25 blocks and no LayerNorm. Less
    deep ones train without, and their shipped controls were trained so.

    Args:
        plant: Whose shapes.
        seed: Of the weights.
    """
    tokens = plant.scenario.draw(np.random.default_rng(0), N_TASKS)
    depth = n_layers(plant.params)
    drawn = surgery.start_anew(plant.params, seed)
    factor = (2 * depth) ** -0.5 if depth > DEEP else 1.0
    found = _writing_less(drawn, factor)
    # "not at most", because logits that are not finite have no standard deviation
    while factor > SMALLEST and not _spread(found, plant, tokens) <= LARGEST:
        factor *= STEP
        found = _writing_less(drawn, factor)
    return found


def _spread(params: Params, plant: Plant, tokens: Tokens) -> float:
    """Standard deviation of the logits; NaN where they are not finite."""
    with np.errstate(all="ignore"):
        return float(np.std(logits_of(params, plant.spec, tokens)))


def _writing_less(params: Params, factor: float) -> Params:
    """The weights with all that heads and MLPs write multiplied by a factor."""
    return {
        name: value * np.float32(factor) if name.endswith(WRITERS) else value
        for name, value in params.items()
    }
