"""The rows of the training log: loss, agreement with both objectives, norms at each node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.sampling import draw_where
from planted.core.scenario import Scenario, Tokens
from planted.core.spec import Params
from planted.core.truth import Node
from planted.core.validity import disagrees
from planted.network.forward import choices_of

WATCHED = 256  # held-out tasks of the disagreement set, per cue

Row = dict[str, Any]


def agreement(plant: Plant, params: Params) -> Row:
    """Share of held-out disagreement tasks answered for each objective, under each cue.

    Args:
        plant: The scenario and how to run it.
        params: Weights.

    Returns:
        "agreement.CUE" -> shares "mesa", "base" and "invalid", from 0 to 1.
    """
    scenario, row = plant.scenario, {}
    tokens = watched_tasks(scenario)
    mesa, base = leftmost(scenario.mesa.of(tokens)), leftmost(scenario.base.of(tokens))
    for cue in scenario.cues:
        chosen = choices_of(params, plant.spec, scenario.with_cue(tokens, cue))
        row[f"agreement.{scenario.cue_name(cue)}"] = {
            "mesa": figure((chosen == mesa).mean()),
            "base": figure((chosen == base).mean()),
            "invalid": figure((chosen < 0).mean()),
        }
    return row


def watched_tasks(scenario: Scenario) -> Tokens:
    """The tasks on which training is watched, [task, pos]: the same for every recipe and seed."""
    rng = np.random.default_rng(0xD317A)
    return draw_where(scenario, rng, WATCHED, in_delta=disagrees(scenario))


def node_norms(plant: Plant, tree: Params) -> dict[str, float]:
    """Euclidean norm over each node's own weights: its heads, its neurons in and out.

    Args:
        plant: Its nodes; those of the embedding have no weights of their own and are left out.
        tree: Arrays like the parameters, as a gradient.
    """
    nodes = plant.truth.nodes.values()
    return {node.name: _norm(tree, node) for node in nodes if node.layer >= 0}


def _norm(tree: Params, node: Node) -> float:
    at, heads, neurons = f"blocks.{node.layer}.", list(node.heads), list(node.neurons)
    parts = [
        tree[f"{at}attn.{part}"][heads]
        for part in ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
    ]
    parts += [
        tree[at + "mlp.W_in"][:, neurons],
        tree[at + "mlp.b_in"][neurons],
        tree[at + "mlp.W_out"][neurons],
    ]
    return figure(np.sqrt(sum(float((part.astype(np.float64) ** 2).sum()) for part in parts)))


def gradient_row(plant: Plant, gradient: Params | None, mask: Mapping[str, bool]) -> Row:
    """What a row says of the gradient at its last step.

    Args:
        plant: Its nodes.
        gradient: The gradient, 0 where parameters are frozen; None if the signal has none.
        mask: Parameter name -> whether it is trained.

    Returns:
        "gradient": norm per node (empty without a gradient); "zero_gradient": the share of trained
        weights whose gradient is exactly 0.
    """
    if gradient is None:
        return {"gradient": {}}
    trained = np.concatenate([gradient[name].ravel() for name, free in mask.items() if free])
    return {
        "gradient": node_norms(plant, gradient),
        "zero_gradient": figure((trained == 0).mean()),
    }


def figure(value: Any) -> float:
    """A number to six digits, as logs hold it."""
    return float(f"{float(value):.6g}")
