"""The compressed tier: the program in superposition, in a residual stream too narrow for it.

What is written is projected, stream' = stream @ P with P [d_model, width], as in Tracr (Lindner et
al. 2023, section 5, where P is called W transposed). P is learned on the program's own activations,
so that every node can be read where it is written along the direction in which it is written. Every
reader is then fitted by least squares to give on the narrow stream what it gave on the wide one,
also where nodes hold what they hold on other tasks: fitted on the program's own activations alone,
a reader takes the score from the tokens, and does not follow the node that it should read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from planted.compiler.certify import certify, inputs_of
from planted.core.plant import Plant
from planted.core.spec import choices as chosen_of
from planted.core.spec import n_layers
from planted.core.threads import one_thread
from planted.errors import CertificateError, CompileError, need
from planted.network import surgery
from planted.network.forward import forward
from planted.network.interventions import overwrite

if TYPE_CHECKING:
    from planted.finetune.tiers import TierContext

WIDTHS = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3)  # of the exact tier's residual width, in turn
EXACTNESS = (100, 10)  # at each width, in the order in which they are tried
LEAST_MARGIN = 0.25  # before the logit scale
SAMPLE = 2000  # tasks that the projection and the readers are fitted on
ITERATIONS = 600  # of L-BFGS
OBEYED = 1000  # tasks on which the choice must follow what is written to the score node
DISOBEYED = 10  # of them, at most; without resampling the fit it is more than half
_SCREEN = 4000  # tasks on which a width is looked at before it is on all
RIDGE = 1e-10  # of a reader's fit, relative: float32's rounding of activations is smaller

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Compressed:
    """The plant in the narrowest residual stream of a grid in which it keeps its choices."""

    name: str = "compressed"
    invariants: tuple[str, ...] = ("choices",)

    def make(self, exact: Plant, context: TierContext) -> Plant:
        """The plant at the smallest width that keeps every choice, and every value readable.

        Raises:
            CertificateError: If it does not at any width; with what failed at each.
        """
        at: dict[float, Plant] = {100: exact}
        for exactness in EXACTNESS[1:]:
            try:
                at[exactness] = context.compile(exactness)
            except CompileError:  # as counting, which needs more
                continue
        kept, table = squeeze(at, context.seed)
        if kept is None:
            failed = "; ".join(f"{row['width']}: {row['failed']}" for row in table)
            raise CertificateError(
                f"{exact.name} cannot be made in tier 'compressed': of its residual width of "
                f"{_width(exact)} no smaller one that was tried keeps its choices ({failed}). "
                "Take tier 'rotated'."
            )
        return replace(kept, settings={**kept.settings, "widths": table})


def squeeze(at: Mapping[float, Plant], seed: int = 0) -> tuple[Plant | None, list[dict[str, Any]]]:
    """Compresses a plant further and further, until it no longer keeps its choices.

    A width is kept where no answer changes, the least margin is at least `LEAST_MARGIN`, no node's
    value decodes as another one, and the choice follows what is written to the score node: on some
    tasks, and the narrowest one on all that the certificate will check.

    Args:
        at: Exactness -> the exact tier compiled there, 100 among them.
        seed: Of the basis of the narrow stream.

    Returns:
        The narrowest plant that is kept, not yet certified, or None; and a table of what was tried.
    """
    wide = at[100]
    held, read = moments(wide)
    kept: list[tuple[Plant, dict[str, Any]]] = []
    table: list[dict[str, Any]] = []
    for share in WIDTHS:
        width = math.ceil(share * _width(wide))
        projection = learned(held, width, seed)
        for exactness, plant in at.items():
            made = project(plant, projection, read)
            row: dict[str, Any] = {"share": share, "width": width, "exactness": exactness}
            row |= _figures(certify(made, inputs_of(made, n=_SCREEN)[0], choices=False))
            disobeyed = disobedience(made)
            row["disobeyed"] = disobeyed
            if disobeyed > DISOBEYED and "failed" not in row:
                row["failed"] = f"{disobeyed} of {OBEYED} choices do not follow the score node"
            if "failed" not in row:
                settings = {
                    "exactness": exactness,
                    "width": width,
                    "width_share": share,
                    "exact_width": _width(wide),
                    "basis_seed": seed,
                }
                kept.append((replace(made, settings=settings), row))
                break
        table.append(row)
        if "failed" in row:
            break
    for plant, row in reversed(kept):
        row |= _figures(certify(plant, choices=False))
        if "failed" not in row:
            return plant, table
    return None, table


def moments(plant: Plant) -> tuple[list[tuple[Floats, Floats]], dict[str, Floats]]:
    """Second moments of the residual stream on the program's own activations.

    Args:
        plant: The exact tier.

    Returns:
        For each hook point at which a node is written, the sum of its nodes' projectors and the
        second moment there, both [d_model, d_model]; and the second moment at each hook point that
        heads, MLPs and the unembedding read, by its name, over the activations and over those in
        which each node holds what it holds on another task.
    """
    last = f"blocks.{n_layers(plant.params) - 1}.hook_resid_post"
    read = [
        f"blocks.{layer}.hook_resid_{part}"
        for layer in range(n_layers(plant.params))
        for part in ("pre", "mid")
    ]
    projectors: dict[str, Floats] = {}
    for node in plant.truth.nodes.values():
        rows = node.basis.astype(np.float64)
        projectors[node.held_at] = projectors.get(node.held_at, 0) + rows.T @ rows
    tokens = inputs_of(plant, n=SAMPLE)[0]
    if len(tokens) > SAMPLE:
        tokens = np.random.default_rng(0).choice(tokens, SAMPLE, replace=False)
    _, cache = forward(plant.params, tokens, plant.spec, record={*read, *projectors, last})

    def moment(stream: Any) -> Floats:
        rows = stream.reshape(-1, stream.shape[-1]).astype(np.float64)
        return np.asarray(rows.T @ rows / len(rows))

    rng = np.random.default_rng(1)
    others = {name: rng.permutation(len(tokens)) for name in plant.truth.nodes}

    def resampled(stream: Any) -> Any:
        changed = stream.copy()
        for name, node in plant.truth.nodes.items():
            content = stream @ node.basis.T
            changed += (content[others[name]] - content) @ node.basis
        return changed

    with one_thread():
        held = [(projector, moment(cache[at])) for at, projector in projectors.items()]
        cache[last] = cache[last][:, [plant.spec.read_out]]
        reads = (*read, last)
        return held, {at: moment(cache[at]) + moment(resampled(cache[at])) for at in reads}


def learned(held: list[tuple[Floats, Floats]], width: int, seed: int = 0) -> Floats:
    """The projection P [d_model, width] that lets every node be read along what writes it.

    Minimises the mean square of (x P Pᵀ - x) Bᵀ, the error in a node's code, summed over the nodes,
    by L-BFGS from the largest principal components; then turns the narrow stream at random.

    Args:
        held: From `moments`.
        width: Of the narrow stream.
        seed: Of the turn.
    """
    need("scipy", "compress a plant")
    from scipy.optimize import minimize

    wide = len(held[0][0])
    identity = np.eye(wide)

    def error(flat: Floats) -> tuple[float, Floats]:
        projection = flat.reshape(wide, width)
        off = projection @ projection.T - identity
        total, slope = 0.0, np.zeros((wide, wide))
        for projector, moment in held:
            weighed = projector @ off @ moment
            total += float((weighed * off).sum())
            slope += 2 * weighed
        return total, ((slope + slope.T) @ projection).ravel()

    with one_thread():
        _, components = np.linalg.eigh(sum(moment for _, moment in held))
        start = components[:, ::-1][:, :width].ravel()
        limits = {"maxiter": ITERATIONS, "maxfun": 2 * ITERATIONS}
        found = minimize(error, start, jac=True, method="L-BFGS-B", options=limits)
        turn = surgery.random_rotation(width, seed)
        return np.asarray(found.x.reshape(wide, width) @ turn.astype(np.float64))


def project(plant: Plant, projection: Floats, read: Mapping[str, Floats]) -> Plant:
    """The plant in the narrow stream; nodes and truth are mapped together.

    Args:
        plant: The exact tier, at any exactness.
        projection: From `learned`.
        read: Second moments at the hook points of the readers, from `moments`.
    """

    def fitted(weight: Floats, at: str) -> Floats:
        gram = projection.T @ read[at] @ projection
        ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        return np.asarray(np.linalg.solve(gram + ridge, projection.T @ read[at] @ weight))

    last = f"blocks.{n_layers(plant.params) - 1}.hook_resid_post"
    narrow: dict[str, Any] = {}
    with one_thread():
        for name, value in plant.params.items():
            block, part = name.rpartition(".")[0].rpartition(".")[0], surgery.part_of(name)
            weight = value.astype(np.float64)
            if part == "unembed.W_U":
                narrow[name] = fitted(weight, last)
            elif part == "mlp.W_in":
                narrow[name] = fitted(weight, f"{block}.hook_resid_mid")
            elif part in surgery.READS:
                heads = [fitted(head, f"{block}.hook_resid_pre") for head in weight]
                shape = (len(weight), projection.shape[1], weight.shape[2])
                narrow[name] = np.array(heads).reshape(shape)
            else:
                narrow[name] = weight @ projection if surgery.is_write(name) else weight
        truth = plant.truth.in_basis(projection.astype(np.float32))
    params = {name: np.ascontiguousarray(v, dtype=np.float32) for name, v in narrow.items()}
    return replace(plant, tier="compressed", params=params, truth=truth)


def disobedience(plant: Plant) -> int:
    """On how many of `OBEYED` tasks the choice is not the program's when the score is another's.

    The score node (of a twin: the node that holds its table) is given what it holds on another
    task; what the program then answers is computed from its tables, never from the weights.
    """
    truth = plant.truth
    named = [node for role in ("score", "table") for node in truth.of_role(role)]
    if not named:
        return 0
    rng = np.random.default_rng(2)
    tokens = rng.permutation(inputs_of(plant, n=OBEYED)[0])[:OBEYED]
    node = named[0]
    other = np.roll(truth.values(tokens)[node.name], 1, axis=0)
    output = truth.values(tokens, {node.name: other})[truth.operations[-1].name]
    content, held = node.encode(other)
    edits = {node.held_at: overwrite(node.basis, content, held)}
    logits, _ = forward(plant.params, tokens, plant.spec, edits=edits)
    wanted = output[:, plant.spec.read_out]
    answered = ~np.isnan(wanted)
    return int((chosen_of(logits, plant.spec)[answered] + 1 != wanted[answered]).sum())


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """A least margin and the largest deviation from a certificate; and what failed."""
    nodes = found["nodes"].items()
    off, node = max((each["largest_deviation"], name) for name, each in nodes)
    row = {"least_margin": found["least_margin"], "largest_deviation": off, "at": node}
    misread = {name: each["wrong"] for name, each in nodes if each["wrong"]}
    if found["mismatches"]:
        row["failed"] = f"{found['mismatches']} of {found['n']} choices differ"
    elif found["least_margin"] < LEAST_MARGIN:
        row["failed"] = f"the least margin is {found['least_margin']:g}"
    elif misread:
        row["failed"] = f"{sum(misread.values())} values decode as others, at {', '.join(misread)}"
    return row


def _width(plant: Plant) -> int:
    return int(plant.params["embed.W_E"].shape[1])
