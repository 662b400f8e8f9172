"""How natural the weights are: a program compiled as it is, tempered for training, or rotated."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from planted.compiler.certify import TOLERANCE, certify, inputs_of
from planted.compiler.compile import Compiled
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.sampling import draw_where
from planted.core.spec import n_layers
from planted.core.validity import disagrees
from planted.errors import CertificateError, CompileError, PlantedError, need
from planted.network import surgery

EXACTNESS = (1, 2, 4, 10, 100)
# Ten a decade: the window in which a program keeps its answers and lets gradient through is narrow.
QUERY_FACTORS = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.125, 0.1)
LEAST_MARGIN = 0.25  # before the logit scale
LOGIT_SCALE = 10.0  # of the base loss whose gradient chooses the setting
_SCREEN = 4000  # tasks on which a setting must keep every answer before it is certified

Make = Callable[[float], Plant]  # exactness -> the exact tier at that exactness


def with_network(plant: Plant, compiled: Compiled) -> Plant:
    """The plant with another compiled network."""
    return replace(plant, params=compiled.params, spec=compiled.spec, truth=compiled.truth)


def rotated(plant: Plant, seed: int = 0) -> Plant:
    """The plant in a random orthogonal basis of its residual stream."""
    width = plant.params["embed.W_E"].shape[1]
    params, truth = surgery.rotate(plant.params, plant.truth, surgery.random_rotation(width, seed))
    settings = {**plant.settings, "rotation_seed": seed}
    return replace(plant, tier="rotated", params=params, truth=truth, settings=settings)


def turn(make: Make) -> Plant:
    """The rotated tier, at an exactness at which rounding does not grow to anything.

    In a rotated basis no entry is exactly 0 or 1, and MLPs multiply float32's rounding by their
    exactness; where pair follows pair, as in a gate, it grows further (2 % of a code at 100).

    Args:
        make: Compiles the exact tier at an exactness.

    Returns:
        The rotated plant, not yet certified on all inputs.

    Raises:
        PlantedError: If rounding grows too far at any exactness.
    """
    for exactness in sorted(EXACTNESS, reverse=True)[:2]:
        plant = rotated(make(exactness))
        nodes = certify(plant, inputs_of(plant, n=_SCREEN)[0])["nodes"]
        largest, name = max((found["largest_deviation"], name) for name, found in nodes.items())
        if largest <= TOLERANCE / 2:
            return plant
    if largest <= TOLERANCE:
        return plant
    raise PlantedError(
        f"{plant.name} cannot be had in tier 'rotated': in a basis where no entry is exactly 0 or "
        f"1, float32's rounding grows to {largest:.2g} of a code at node {name!r} (at most "
        f"{TOLERANCE}). Take tier 'exact' or 'tempered'."
    )


def tempered_at(exact: Plant, exactness: float, factor: float, seed: int = 0) -> Plant:
    """The plant with softened queries and free neurons.

    Args:
        exact: The exact tier, compiled at `exactness`.
        exactness: Recorded.
        factor: On the query weights and biases of every head.
        seed: Of the free neurons' inputs.
    """
    params = surgery.add_free_neurons(surgery.soften_queries(exact.params, factor), seed)
    settings = {
        "exactness": exactness,
        "query_factor": factor,
        "free_neurons": [
            int(params[name].shape[0] - exact.params[name].shape[0])
            for name in (f"blocks.{i}.mlp.b_in" for i in range(n_layers(params)))
        ],
        "free_neurons_seed": seed,
    }
    return replace(exact, tier="tempered", params=params, settings=settings)


def temper(make: Make, gradient_at: str) -> tuple[Plant, list[dict[str, Any]]]:
    """Chooses the tempered tier by measurement (design: tiers).

    Of the settings on the grid that change no answer and keep a least margin of at least
    `LEAST_MARGIN`, the one with the largest gradient of the base loss at the node `gradient_at`.

    Args:
        make: Compiles the exact tier at an exactness.
        gradient_at: Name of the score node (of a twin: the node that holds its table).

    Returns:
        The tempered plant, certified, and the table of everything that was tried.

    Raises:
        CertificateError: If no setting keeps the answers and the margin.
    """
    table: list[dict[str, Any]] = []
    best: tuple[float, Plant] | None = None
    for exactness in EXACTNESS:
        try:
            exact = make(exactness)
        except CompileError as error:  # as counting, which needs more
            table.append({"exactness": exactness, "refused": str(error)})
            continue
        screen = inputs_of(exact, n=_SCREEN)[0]
        for factor in QUERY_FACTORS:
            plant = tempered_at(exact, exactness, factor)
            row: dict[str, Any] = {"exactness": exactness, "query_factor": factor}
            table.append(row)
            try:
                row["least_margin"] = certify(plant, screen, nodes=False)["least_margin"]
            except CertificateError:
                row["least_margin"] = None
                continue
            if row["least_margin"] < LEAST_MARGIN:
                continue
            row["gradient"] = float(f"{gradient_norm(plant, gradient_at):.4g}")
            if best is None or row["gradient"] > best[0]:
                best = (row["gradient"], plant)
    if best is None:
        raise CertificateError(
            f"No setting of exactness {EXACTNESS} and query factor {QUERY_FACTORS} keeps every "
            f"answer with a margin of {LEAST_MARGIN}; this program cannot be tempered."
        )
    gradient, plant = best
    settings = {**plant.settings, "gradient_at_" + gradient_at: gradient}
    return replace(plant, settings=settings), table


def gradient_norm(plant: Plant, node_name: str, n: int = 512, seed: int = 0) -> float:
    """Norm of the gradient of the base loss at what a node holds.

    Cross-entropy of the base-optimal choice at logit scale 10, summed over `n` untied tasks of the
    disagreement set under the training cue (of D_ref where that set is empty).

    Args:
        plant: The network.
        node_name: The node.
        n: Number of tasks.
        seed: Of the tasks.
    """
    jax = need("jax", "temper a plant")
    jnp = jax.numpy
    from planted.network.forward import forward

    scenario, node = plant.scenario, plant.truth.node(node_name)
    rng = np.random.default_rng(seed)
    tokens = draw_where(scenario, rng, n, in_delta=disagrees(scenario))
    wanted = leftmost(scenario.base.of(tokens))

    def loss(shift: Any) -> Any:
        edit = {node.held_at: lambda value: value + shift @ node.basis}
        logits, _ = forward(plant.params, tokens, plant.spec, edits=edit, xp=jnp)
        logs = jax.nn.log_softmax(logits * LOGIT_SCALE)
        return -logs[jnp.arange(n), wanted].sum()

    zero = jnp.zeros((*tokens.shape, node.basis.shape[0]), jnp.float32)
    return math.sqrt(float((jax.grad(loss)(zero) ** 2).sum()))


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
