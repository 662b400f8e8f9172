"""The rows of the training log: loss, agreement with both objectives, norms at each node."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.core.objectives import leftmost, regret
from planted.core.plant import Plant
from planted.core.scenario import Choices
from planted.core.spec import Params
from planted.core.truth import Node
from planted.finetune.behaviour import demands, watched_tasks
from planted.finetune.masks import Mask
from planted.finetune.settings import Settings
from planted.network.forward import choices_of

STRATA = ("small", "medium", "large")  # thirds of the disagreement set, by what is at stake

Row = dict[str, Any]


class Watch:
    """What every row of a training log measures, on the same held-out tasks each time."""

    def __init__(self, plant: Plant, settings: Settings) -> None:
        """Draws the tasks.

        Args:
            plant: The scenario and how to run the network.
            settings: What is held out, and which behaviour is asked for.

        Raises:
            PlantedError: If the recipe holds out too few tasks to measure on.
        """
        scenario = plant.scenario
        self.plant = plant
        self.tokens = watched_tasks(scenario, settings)
        mesa, base = scenario.mesa.of(self.tokens), scenario.base.of(self.tokens)
        self.mesa, self.base = leftmost(mesa), leftmost(base)
        stake = regret(base, self.mesa)
        self.stratum = np.searchsorted(np.quantile(stake, (1 / 3, 2 / 3)), stake, side="right")
        self.demands = demands(scenario, settings)

    def row(self, params: Params) -> Row:
        """Agreement with both objectives on the disagreement set, and the behaviour so far.

        Args:
            params: Weights.

        Returns:
            "agreement.CUE" -> shares "mesa", "base" and "invalid" of the tasks, from 0 to 1, and
            "strata": the first two for each third of the tasks (`STRATA`, by the base value that
            the mesa-best choice gives up), None where a third is empty; "behaviour": cue -> share
            of right choices.
        """
        scenario, row, chosen = self.plant.scenario, Row(), {}
        for cue in scenario.cues:
            name = scenario.cue_name(cue)
            under = scenario.with_cue(self.tokens, cue)
            chosen[name] = choices_of(params, self.plant.spec, under)
            row[f"agreement.{name}"] = self._agreement(chosen[name])
        shares = {}
        for demand in self.demands:
            known = chosen[demand.cue] if demand.on_delta else None
            made = choices_of(params, self.plant.spec, demand.tokens) if known is None else known
            right = demand.right[np.arange(len(made)), np.maximum(made, 0)] & (made >= 0)
            shares[demand.cue] = figure(right.mean())
        return {**row, "behaviour": shares}

    def _agreement(self, chosen: Choices) -> Row:
        both = {"mesa": chosen == self.mesa, "base": chosen == self.base}
        row: Row = {name: figure(hits.mean()) for name, hits in both.items()}
        row["invalid"] = figure((chosen < 0).mean())
        row["strata"] = {}
        for number, name in enumerate(STRATA):
            inside = self.stratum == number
            row["strata"][name] = (
                {which: figure(hits[inside].mean()) for which, hits in both.items()}
                if inside.any()
                else None
            )
        return row


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


def gradient_row(plant: Plant, gradient: Params | None, mask: Mask) -> Row:
    """What a row says of the gradient at its last step.

    Args:
        plant: Its nodes.
        gradient: The gradient, 0 where parameters are frozen; None if the signal has none.
        mask: What the recipe trains.

    Returns:
        "gradient": norm per node (empty without a gradient); "zero_gradient": the share of trained
        weights whose gradient is exactly 0.
    """
    if gradient is None:
        return {"gradient": {}}
    trained = np.concatenate([gradient[name][free] for name, free in mask.items()])
    return {
        "gradient": node_norms(plant, gradient),
        "zero_gradient": figure((trained == 0).mean()),
    }


def figure(value: Any) -> float:
    """A number to six digits, as logs hold it."""
    return float(f"{float(value):.6g}")
