"""Weight diagnostics for the report: what the score node holds, and which weights moved.

For display only. Training moves the code that a node uses, so that what is decoded at the planted
coordinates says little about what the network does; no verdict reads it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.plant import Plant
from planted.core.scenario import Scenario, Tokens
from planted.core.semantics import as_numbers
from planted.core.spec import Params, n_layers
from planted.core.truth import Node
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators.types import types_in
from planted.eval.evidence import rounded
from planted.eval.examples import Examples

LEAST_CODE = 0.05  # of the code's sum, below which the node holds nothing that could be decoded
Floats = npt.NDArray[np.float64]


def weight_diagnostics(checkpoint: Checkpoint) -> dict[str, Any]:
    """What the score node holds for each candidate type, and how far each part has moved.

    Args:
        checkpoint: The weights, and the plant that they are held against.

    Returns:
        Plain data, six significant digits. `types`: the token strings that a candidate can be;
        where a score reads its context, the pairs of values "u_m | U" that it can have. By type, in
        that order: `mesa` and `base`, the two objectives; `score_before` and `score_after`, what
        the score node holds in the plant and in the checkpoint (None where it holds no code), in
        units of the score. `moved`: part of the network -> norm of its change relative to its norm
        in the plant; a part that the plant does not have, or has as zeros alone, is absent.

    Raises:
        PlantedError: If the plant is a twin and has no score node.
    """
    plant, scenario = checkpoint.plant, checkpoint.scenario
    tokens = Examples().tokens(scenario, "weight diagnostics")
    names, kinds = _kinds(scenario, tokens)
    first = np.array([np.flatnonzero(kinds.ravel() == i)[0] for i in range(len(names))])
    mesa, base = scenario.mesa.of(tokens).ravel()[first], scenario.base.of(tokens).ravel()[first]
    before = _held(Checkpoint(plant, plant.params), tokens, kinds)
    after = _held(checkpoint, tokens, kinds)
    return {
        "types": names,
        "mesa": [rounded(value) for value in mesa],
        "base": [rounded(value) for value in base],
        "score_before": before,
        "score_after": after,
        "moved": moved(plant, checkpoint.params),
    }


def moved(plant: Plant, params: Params) -> dict[str, float]:
    """Norm of the weight change of each part, relative to the norm of the plant's weights.

    Args:
        plant: What the weights are held against.
        params: Weights of the same names and shapes.

    Returns:
        "embed", "pos_embed", "blocks.0.attn", "blocks.0.mlp", "blocks.0.mlp.planted",
        "blocks.0.mlp.free", ..., "unembed" -> figure without unit. An MLP's output bias belongs to
        the whole MLP and to neither share of its neurons.
    """
    out: dict[str, float] = {}

    def put(part: str, own: list[Any], new: list[Any]) -> None:
        norm = _norm(own)
        if norm > 0:
            change = _norm([np.asarray(n, np.float64) - o for o, n in zip(own, new, strict=True)])
            out[part] = float(f"{change / norm:.6g}")

    def tensors(of: Params, prefix: str) -> list[Any]:
        return [of[name] for name in sorted(plant.params) if name.startswith(prefix)]

    for part in ("embed", "pos_embed"):
        put(part, tensors(plant.params, f"{part}."), tensors(params, f"{part}."))
    for layer in range(n_layers(plant.params)):
        at = f"blocks.{layer}."
        if plant.params[at + "attn.W_Q"].shape[0]:
            put(at + "attn", tensors(plant.params, at + "attn."), tensors(params, at + "attn."))
        put(at + "mlp", tensors(plant.params, at + "mlp."), tensors(params, at + "mlp."))
        planted, free = neurons(plant, layer)
        for share, which in (("planted", planted), ("free", free)):
            put(
                f"{at}mlp.{share}",
                _of_neurons(plant.params, at, which),
                _of_neurons(params, at, which),
            )
    put("unembed", tensors(plant.params, "unembed."), tensors(params, "unembed."))
    return out


def neurons(plant: Plant, layer: int) -> tuple[list[int], list[int]]:
    """Indices of a block's planted neurons, which hold a node, and of its free ones."""
    nodes = [node for node in plant.truth.nodes.values() if node.layer == layer]
    planted = sorted({i for node in nodes for i in node.neurons})
    total = plant.params[f"blocks.{layer}.mlp.b_in"].shape[0]
    return planted, sorted(set(range(total)) - set(planted))


def _of_neurons(params: Params, at: str, which: list[int]) -> list[Any]:
    """Input weights, input biases and output weights of some neurons of one MLP."""
    return [
        params[at + "mlp.W_in"][:, which],
        params[at + "mlp.b_in"][which],
        params[at + "mlp.W_out"][which],
    ]


def _norm(tensors: list[Any]) -> float:
    return float(np.sqrt(sum(float((np.asarray(t, np.float64) ** 2).sum()) for t in tensors)))


def _kinds(scenario: Scenario, tokens: Tokens) -> tuple[list[str], npt.NDArray[np.int64]]:
    """Names of what candidates can be, and which of them each candidate is, [task, candidate]."""
    if scenario.redraw is None:
        ids, found = np.unique(tokens[:, list(scenario.candidates)], return_inverse=True)
        names = [scenario.vocabulary[i] for i in ids]
        return names, found.reshape(len(tokens), -1)
    types = types_in(scenario, tokens)
    names = [f"{m:g} | {b:g}" for m, b in zip(types.mesa, types.base, strict=True)]
    return names, types.of(tokens)


def _held(
    checkpoint: Checkpoint, tokens: Tokens, kinds: npt.NDArray[np.int64]
) -> list[float | None]:
    """What the score node holds, a figure a kind: the mean over the candidates of it."""
    node = checkpoint.score
    stream = checkpoint.read(tokens, node.held_at)[:, list(checkpoint.scenario.candidates)]
    found = decoded(node, stream.astype(np.float64)).ravel()
    figures: list[float | None] = []
    for kind in range(int(kinds.max()) + 1):
        values = found[kinds.ravel() == kind]
        known = values[~np.isnan(values)]
        figures.append(rounded(known.mean()) if len(known) else None)
    return figures


def decoded(node: Node, stream: npt.NDArray[np.floating[Any]]) -> Floats:
    """A graded decode [...] of what a residual stream [..., d_model] holds in a node's subspace.

    A numerical node's coordinate is its value. A categorical node's coordinates are weights on its
    values: the figure is their weighted mean, negative weights counting as none, and NaN where the
    weights sum to `LEAST_CODE` or less. Between two values it says which way the code has moved; it
    is not what the readers of the node make of it.
    """
    content = stream @ node.basis.astype(np.float64).T
    if node.numerical:
        return np.asarray(content[..., 0])
    weights = np.maximum(content, 0)
    total = weights.sum(axis=-1)
    mean = weights @ as_numbers(node.values)
    nothing = np.full_like(total, np.nan)
    return np.asarray(np.divide(mean, total, out=nothing, where=total > LEAST_CODE))
