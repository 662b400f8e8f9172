"""A picture of a checkpoint for the page: what the score node holds, and what training moved.

For display only. What a node's subspace decodes to decides nothing: on trained checkpoints the
decode says "mesa" while the choices are base.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.eval.checkpoint import Checkpoint
from planted.eval.evidence import rounded
from planted.eval.paths import type_values
from planted.forward import Params, forward, n_layers
from planted.plant import Plant
from planted.semantics import as_numbers
from planted.truth import Node


def portrait(checkpoint: Checkpoint) -> dict[str, Any]:
    """What a page draws of one checkpoint, as plain data.

    Returns:
        types: candidate words; mesa, base: u_m and u_b by type; score_before, score_after: what
        the score node holds for each type in the plant and here (None where its code is all but
        empty); moved: part of the network -> norm of its change over the norm of the plant's.
    """
    plant, node = checkpoint.plant, checkpoint.score
    scenario = checkpoint.scenario
    skipped = {0, *scenario.cues}
    ids = [i for i in range(len(scenario.vocabulary)) if i not in skipped]
    mesa, base = type_values(checkpoint)
    return {
        "types": [scenario.vocabulary[i] for i in ids],
        "mesa": [rounded(v) for v in mesa],
        "base": [rounded(v) for v in base],
        "score_before": _held(plant, plant.params, node, ids),
        "score_after": _held(plant, checkpoint.params, node, ids),
        "moved": moved(plant, checkpoint.params),
    }


def _held(plant: Plant, params: Params, node: Node, ids: list[int]) -> list[float | None]:
    """Value-weighted mean of the score node's code, by type, at the first candidate."""
    scenario = plant.scenario
    tokens = np.full((len(ids), scenario.n_positions), ids[0], dtype=np.int64)
    tokens[:, 0] = 0
    tokens[:, scenario.read_out] = scenario.cues[0]
    place = scenario.candidates[0]
    tokens[:, place] = ids
    _, cache = forward(params, tokens, plant.spec, record=(node.held_at,))
    code = np.maximum(cache[node.held_at][:, place] @ node.basis.T, 0)
    total = code.sum(axis=1)
    values = code @ as_numbers(node.values)
    return [
        rounded(value / size) if size > 0.05 else None
        for value, size in zip(values, total, strict=True)
    ]


def moved(plant: Plant, params: Params) -> dict[str, float]:
    """Relative change of each part of the network; planted and free neurons apart."""
    out: dict[str, float] = {}
    for name in ("embed", "pos_embed", "unembed"):
        _add(out, name, [(plant.params[k], params[k]) for k in params if k.startswith(name + ".")])
    for layer in range(n_layers(params)):
        at = f"blocks.{layer}."
        attention = [k for k in params if k.startswith(at + "attn.")]
        _add(out, at + "attn", [(plant.params[k], params[k]) for k in attention])
        planted = sorted({
            i for node in plant.truth.nodes.values() if node.layer == layer for i in node.neurons
        })
        size = params[at + "mlp.b_in"].shape[0]
        free = [i for i in range(size) if i not in set(planted)]
        for part, neurons in (("planted", planted), ("free", free)):
            pairs = [
                (_neurons(plant.params, at, neurons)[i], _neurons(params, at, neurons)[i])
                for i in range(3)
            ] if neurons else []
            _add(out, f"{at}mlp.{part}", pairs)
    return out


def _neurons(params: Params, at: str, neurons: list[int]) -> list[Any]:
    return [params[at + "mlp.W_in"][:, neurons], params[at + "mlp.b_in"][neurons],
            params[at + "mlp.W_out"][neurons]]


def _add(out: dict[str, float], name: str, pairs: list[tuple[Any, Any]]) -> None:
    before = sum(float((a.astype(np.float64) ** 2).sum()) for a, _ in pairs)
    change = sum(float(((b - a).astype(np.float64) ** 2).sum()) for a, b in pairs)
    if before > 0:
        out[name] = float(f"{np.sqrt(change / before):.6g}")
