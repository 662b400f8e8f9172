"""The tempered tier, where training starts: softened, so that gradients reach the score node."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from planted.compiler.certify import certify, inputs_of
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.sampling import draw_where
from planted.core.spec import n_layers
from planted.core.validity import disagrees
from planted.errors import CertificateError, CompileError, PlantedError, need
from planted.network import surgery

if TYPE_CHECKING:
    from planted.finetune.tiers import TierContext

EXACTNESS = (1, 2, 4, 10, 100)
# Ten a decade: the window in which a program keeps its answers and lets gradient through is narrow.
QUERY_FACTORS = (1.0, 0.8, 0.63, 0.5, 0.4, 0.32, 0.25, 0.2, 0.16, 0.125, 0.1)
LEAST_MARGIN = 0.25  # before the logit scale
LOGIT_SCALE = 10.0  # of the base loss whose gradient chooses the setting
_SCREEN = 4000  # tasks on which a setting must keep every answer before it is certified
_GLANCE = 200  # of them, which most settings that change an answer already fail

Compile = Callable[[float], Plant]  # exactness -> the exact tier at that exactness


@dataclass(frozen=True)
class Tempered:
    """Lower MLP exactness, softer queries, and free neurons beside the planted ones."""

    name: str = "tempered"
    invariants: tuple[str, ...] = ("choices",)

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The setting of the grid through which most gradient reaches the score node.

        Raises:
            PlantedError: If no node says where the gradient is to be measured.
            CertificateError: If no setting keeps the answers and the margin.
        """
        at = [node.name for role in ("score", "table") for node in exact.truth.of_role(role)]
        if not at:
            raise PlantedError(
                f"{exact.name} has no node of role 'score' or 'table'; the settings of tier "
                "'tempered' are chosen by the gradient there. Mark one, or take tier='exact'."
            )
        soft, grid = temper(context.compile, at[0], context.seed)
        return replace(soft, settings={**soft.settings, "grid": grid})


def tempered_at(exact: Plant, exactness: float, factor: float, seed: int = 0) -> Plant:
    """The plant with softened queries and free neurons.

    Args:
        exact: The exact tier, compiled at `exactness`.
        exactness: Recorded.
        factor: On the query weights and biases of every head.
        seed: Of the free neurons' inputs.
    """
    rule, share = room(exact)
    softer = _softened(exact, factor).params
    params = surgery.add_free_neurons(softer, seed, **rule)
    settings = {
        "exactness": exactness,
        "query_factor": factor,
        "free_neurons": [
            int(params[name].shape[0] - exact.params[name].shape[0])
            for name in (f"blocks.{i}.mlp.b_in" for i in range(n_layers(params)))
        ],
        "free_neurons_seed": seed,
        "room": {**rule, "share_without_the_plant": share},
    }
    return replace(exact, tier="tempered", params=params, settings=settings)


def _softened(exact: Plant, factor: float) -> Plant:
    return replace(exact, tier="tempered", params=surgery.soften_queries(exact.params, factor))


def room(exact: Plant) -> tuple[dict[str, int], float | str]:
    """How many free neurons a layer has, and how much room that was measured to be.

    The smallest room of those that were measured in which networks without the plant give at most
    a share of .15 of the choice to the neurons in the place of its scorer (`make room`, room.json).

    Args:
        exact: The exact tier.

    Returns:
        The rule, as arguments of `surgery.add_free_neurons`; and the largest share, "not measured"
        for a plant that is not among the measured ones.
    """
    found = _measured_room()
    measured = found["families"].get(exact.name.partition("@")[0], {})
    same = measured.get("planted") == planted_neurons(exact) and not exact.origin
    rows = measured["measured"] if same else []
    kept = [row for row in rows if row["share"] is not None and row["share"] <= found["bound"]]
    if not kept:
        return _rule(found["rule"]), "not measured"
    smallest = min(kept, key=lambda row: int(row["parameters"]))
    return _rule(smallest), float(smallest["share"])


def planted_neurons(exact: Plant) -> list[int]:
    """How many neurons each MLP of the exact tier has, from the first block on."""
    params = exact.params
    return [params[f"blocks.{i}.mlp.b_in"].shape[0] for i in range(n_layers(params))]


def _rule(row: Any) -> dict[str, int]:
    return {name: int(row[name]) for name in ("at_least", "multiple")}


@functools.cache
def _measured_room() -> Any:
    return json.loads((files(__package__) / "room.json").read_text(encoding="utf-8"))


def temper(
    compile_at: Compile, gradient_at: str, seed: int = 0
) -> tuple[Plant, list[dict[str, Any]]]:
    """Chooses the tempered tier by measurement.

    Of the settings on the grid that change no answer and keep a least margin of at least
    `LEAST_MARGIN`, the one with the largest gradient of the base loss at the node `gradient_at`.

    Args:
        compile_at: Compiles the exact tier at an exactness.
        gradient_at: Name of the score node (of a twin: the node that holds its table).
        seed: Of the free neurons' inputs.

    Returns:
        The tempered plant, not yet certified on all inputs, and the table of all that was tried.

    Raises:
        CertificateError: If no setting keeps the answers and the margin.
    """
    table: list[dict[str, Any]] = []
    best: tuple[float, Plant] | None = None
    for exactness in EXACTNESS:
        try:
            exact = compile_at(exactness)
        except CompileError as error:  # as counting, which needs more
            table.append({"exactness": exactness, "refused": str(error)})
            continue
        screen = inputs_of(exact, n=_SCREEN)[0]
        for factor in QUERY_FACTORS:
            plant = _softened(exact, factor)  # free neurons write nothing yet, and cost time
            row: dict[str, Any] = {"exactness": exactness, "query_factor": factor}
            table.append(row)
            try:
                certify(plant, screen[:_GLANCE], nodes=False)
                row["least_margin"] = certify(plant, screen, nodes=False)["least_margin"]
            except CertificateError:
                row["least_margin"] = None
                continue
            if row["least_margin"] < LEAST_MARGIN:
                continue
            full = tempered_at(exact, exactness, factor, seed)
            row["gradient"] = float(f"{gradient_norm(full, gradient_at):.4g}")
            if best is None or row["gradient"] > best[0]:
                best = (row["gradient"], full)
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
