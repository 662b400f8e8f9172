"""What every node and edge does to the answer, by intervening on the network: typed, and certified.

Whether a node "matters" depends on what is put in its place. Each is asked four ways: data-flow (a
weight reads it), resample (its content in another task), mean (its mean content), zero (nothing).
Under resample the RASP program says what the answer must then be, and the network is held to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from planted.core import hook_points
from planted.core.arguments import one_of
from planted.core.circuit import rewired
from planted.core.hook_points import Edit
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.core.semantics import Floats, Operation, evaluate
from planted.core.spec import choices, heads_per_layer, n_layers
from planted.core.truth import Edge
from planted.errors import CertificateError, PlantedError, unknown
from planted.network.forward import forward
from planted.network.interventions import overwrite

INTERVENTIONS = ("resample", "mean", "zero")
ABLATIONS = ("interchange", *INTERVENTIONS)
MEAN_TASKS = 1000  # drawn for a mean
DISTRIBUTION = "D_ref under every cue"
READS = 1e-4  # of a weight matrix, at least, between a subspace and a reader
AGREE = 0.05  # of a logit, at most, between the network and the program
STILL = 1e-3  # of a logit, at most, where nothing may depend on what was changed


@dataclass(frozen=True)
class Effect:
    """What happens when one node, or one edge, carries something else.

    Attributes:
        name: The node's name, or "writer -> reader.input".
        resample: Share of tasks whose choice changes with its content in another task.
        mean: With its mean content over tasks, position by position.
        zero: With nothing.
        n: Tasks.
        certified: Tasks on which the resampled network was held to the program's answer; the rest
            have none, as where a head is left with nothing to select.
    """

    name: str
    resample: float
    mean: float
    zero: float
    n: int
    certified: int


def effects(plant: Plant, n: int = 200, seed: int = 0) -> tuple[list[Effect], list[Effect]]:
    """The effect of every node and of every edge.

    Args:
        plant: The plant, in any tier.
        n: Tasks drawn from D_ref under every cue; as many others to resample from.
        seed: Of the draws.

    Raises:
        CertificateError: If a resampled network does not answer as the program says, a declared
            edge is read by no weight, a weight reads a node that the program does not, or
            something still depends on a node after its window.
    """
    for what, value, least in (("n", n, 1), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise PlantedError(f"{what} must be a whole number from {least} on, got {value!r}.")
    if plant.spec.everywhere:
        raise PlantedError(
            f"{plant.name} is an expression: it has a value at every position, and no choice that "
            "could change. model.effect(node, intervention, tokens) gives the logits."
        )
    _refuse_strangers(plant)
    bench = _Bench(plant, n, seed)
    read = reading(plant)
    declared = {(e.writer, e.reader, e.input) for e in plant.truth.edges}
    if read != declared:
        raise CertificateError(
            f"{plant.name} ({plant.tier}): the program's edges and those in the weights differ: "
            + "; ".join(f"{a} -> {b}.{c}" for a, b, c in sorted(read ^ declared))
            + ". The compiler dropped one or made one of its own."
        )
    edges = [bench.edge(edge) for edge in plant.truth.edges]
    nodes = [bench.node(name) for name in plant.truth.nodes]
    for name in plant.truth.nodes:
        bench.dead(name)
    return nodes, edges


def ablated(
    plant: Plant,
    site: str,
    intervention: str,
    tokens: Tokens,
    source: Tokens | None = None,
    seed: int = 0,
) -> npt.NDArray[np.float32]:
    """Logits [task, output] when a node, or a component's output, is replaced by something else.

    Args:
        plant: The plant, in any tier.
        site: A node, as "score": its subspace is overwritten where it is written, and what shares
            the residual stream with it stays. Or a component, as "blocks.0.hook_mlp_out" or
            "blocks.1.attn.hook_result.0": all that it writes. With "@3", at that position alone.
        intervention: "interchange": what is there on `source`, task by task. "resample": the same
            on tasks that are drawn here. "mean": its mean over tasks, position by position.
            "zero": nothing.
        tokens: Tasks [task, pos].
        source: Tasks that content is taken from: as many, or for "mean" any number. If None (not
            for "interchange"), they are drawn from D_ref under every cue.
        seed: Of that draw.

    Raises:
        PlantedError: If there is no such site, position or intervention, or the tasks do not match.
    """
    one_of("intervention", intervention, ABLATIONS)
    if intervention == "interchange" and source is None:
        raise PlantedError("intervention='interchange' takes source=..., as many tasks as tokens.")
    if source is None:
        rng = np.random.default_rng(seed)
        n = MEAN_TASKS if intervention == "mean" else len(tokens)
        source = plant.scenario.with_any_cue(plant.scenario.draw(rng, n), rng)
        source = source[:, : tokens.shape[1]]  # tasks of an expression may be shorter
    if intervention in ("interchange", "resample") and source.shape != tokens.shape:
        raise PlantedError(
            f"{intervention!r} takes one source task for each task: tokens are "
            f"{list(tokens.shape)}, source is {list(source.shape)}."
        )
    if source.shape[1] != tokens.shape[1]:
        raise PlantedError(
            f"Tasks and source have one length: tokens are {list(tokens.shape)}, source is "
            f"{list(source.shape)}."
        )
    name, where = _positions(site, tokens.shape[1])
    point, basis, head = _held(plant, name)
    content = np.zeros(1, dtype=np.float32)
    if intervention != "zero":
        _, cache = forward(plant.params, source, plant.spec, record=[point])
        content = cache[point] if head is None else cache[point][:, :, head]
    if intervention == "mean":
        content = content.mean(axis=0, keepdims=True)

    def edit(value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        own = value if head is None else value[:, :, head]
        change = np.broadcast_to(content, own.shape) - own
        if basis is not None:
            change = (change @ basis.T) @ basis
        change = (change * where[:, None]).astype(value.dtype)
        if head is None:
            return np.asarray(value + change)
        edited = value.copy()
        edited[:, :, head] += change
        return edited

    return np.asarray(forward(plant.params, tokens, plant.spec, edits={point: edit})[0])


def _positions(site: str, n: int) -> tuple[str, npt.NDArray[np.bool_]]:
    """A site without its position, and at which of n positions it stands."""
    name, at, position = str(site).partition("@")
    if at and not (position.isascii() and position.isdigit() and int(position) < n):
        raise PlantedError(
            f"Unknown position in {site!r}: {name}@0 (BOS) to {name}@{n - 1}, or {name} for all."
        )
    where = np.zeros(n, dtype=bool) if at else np.ones(n, dtype=bool)
    where[[int(position)] if at else []] = True
    return name, where


def _held(plant: Plant, name: str) -> tuple[str, npt.NDArray[np.float32] | None, int | None]:
    """Hook point of a node or component; the node's basis, the component's head."""
    if name in plant.truth.nodes:
        node = plant.truth.nodes[name]
        return node.held_at, node.basis, None
    known = hook_points.components(heads_per_layer(plant.params))
    if name not in known:
        raise unknown("node or component", name, [*plant.truth.nodes, *known])
    point, _, head = name.rpartition(".")
    return (point, None, int(head)) if head.isdigit() else (name, None, None)


def _refuse_strangers(plant: Plant) -> None:
    """Refuses a head or neuron that no node owns and that writes something."""
    owned = {
        (node.layer, part, unit)
        for node in plant.truth.nodes.values()
        for part, units in (("attn.W_O", node.heads), ("mlp.W_out", node.neurons))
        for unit in units
    }
    for layer in range(n_layers(plant.params)):
        for part in ("attn.W_O", "mlp.W_out"):
            weight = np.abs(plant.params[f"blocks.{layer}.{part}"])
            writes = weight.max(axis=tuple(range(1, weight.ndim)), initial=0)
            for unit in np.flatnonzero(writes > 0):
                if (layer, part, int(unit)) not in owned:
                    what = "head" if part.startswith("attn") else "neuron"
                    raise CertificateError(
                        f"{plant.name} ({plant.tier}): {what} {unit} of block {layer} belongs to "
                        f"no node and writes up to {writes[unit]:.2g}: an edge that the program "
                        "lacks."
                    )


def reading(plant: Plant) -> set[tuple[str, str, str]]:
    """(writer, reader, input) wherever a reader's weights touch a writer's subspace."""
    found = set()
    truth = plant.truth
    targets = {(e.reader, e.input): e for e in truth.edges}
    for node in truth.nodes.values():
        for which in ("q", "k", "v") if node.heads else ():
            targets.setdefault(
                (node.name, which), Edge("", node.name, which, node.layer, node.heads)
            )
    for (reader, which), edge in targets.items():
        weight = _weight(plant, edge)
        for writer, node in truth.nodes.items():
            touched = np.abs(node.basis @ weight).max(initial=0.0)
            if touched > READS * max(1.0, float(np.abs(weight).max(initial=0.0))):
                found.add((writer, reader, which))
    return found


def _weight(plant: Plant, edge: Edge) -> npt.NDArray[np.float64]:
    """What the edge's reader multiplies the residual stream with, [d_model, unit]."""
    at = f"blocks.{edge.layer}."
    if edge.input == "unembed":
        weight = plant.params["unembed.W_U"]
    elif edge.input == "mlp":
        weight = plant.params[f"{at}mlp.W_in"][:, list(edge.components)]
    else:
        heads = plant.params[f"{at}attn.W_{edge.input.upper()}"][list(edge.components)]
        weight = heads.transpose(1, 0, 2).reshape(heads.shape[1], -1)
    return np.asarray(weight, dtype=np.float64)


class _Bench:
    """Tasks, others to resample from, and what stands at every hook point in both."""

    def __init__(self, plant: Plant, n: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        scenario = plant.scenario
        self.plant = plant
        self.tokens, self.others = (
            scenario.with_any_cue(scenario.draw(rng, n), rng) for _ in range(2)
        )
        truth = plant.truth
        sites = {edge.reads_from for edge in truth.edges}
        sites |= {node.held_at for node in truth.nodes.values()}
        sites |= {site for window in truth.windows.values() for site in window.dead}
        self.logits, self.own = self._run(self.tokens, {}, sites)
        _, self.other = self._run(self.others, {}, sites)
        self.chosen = choices(self.logits, plant.spec)
        self.own_values = truth.values(self.tokens)
        self.other_values = truth.values(self.others)

    def _run(
        self, tokens: Tokens, edits: Mapping[str, Edit], record: set[str]
    ) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.float32]]]:
        logits, cache = forward(
            self.plant.params, tokens, self.plant.spec, edits=edits, record=record
        )
        return np.asarray(logits), cache

    def _content(self, name: str, site: str) -> dict[str, npt.NDArray[np.float32]]:
        """What is put in the place of a node at a hook point, by intervention, [task, pos, dim]."""
        basis = self.plant.truth.nodes[name].basis
        own = self.own[site] @ basis.T
        mean = np.broadcast_to(own.mean(axis=0, keepdims=True), own.shape)
        return {"resample": self.other[site] @ basis.T, "mean": mean, "zero": np.zeros_like(own)}

    def edge(self, edge: Edge) -> Effect:
        """One reader's input is changed; every other reader still sees what was written."""
        basis = self.plant.truth.nodes[edge.writer].basis
        through = basis if edge.input == "unembed" else basis @ _weight(self.plant, edge)
        own = self.own[edge.reads_from] @ basis.T
        edits = {
            kind: {edge.arrives_at: _adding(edge, ((content - own) @ through).astype(np.float32))}
            for kind, content in self._content(edge.writer, edge.reads_from).items()
        }
        changed = rewired(self.plant.truth.operations, [edge])
        answer = self._answer(changed, edge.writer, edge.writer + "*")
        return self._effect(f"{edge.writer} -> {edge.reader}.{edge.input}", edits, answer)

    def node(self, name: str) -> Effect:
        """The node's content is replaced where it is written, for all its readers."""
        node = self.plant.truth.nodes[name]
        everywhere = np.ones(self.tokens.shape, dtype=bool)
        edits = {
            kind: {node.held_at: overwrite(node.basis, content, everywhere)}
            for kind, content in self._content(name, node.held_at).items()
        }
        return self._effect(name, edits, self._answer(self.plant.truth.operations, name, name))

    def dead(self, name: str) -> None:
        """Nothing may change when a node's content does after its window."""
        window, node = self.plant.truth.windows[name], self.plant.truth.nodes[name]
        if not window.dead:
            return
        site = window.dead[0]
        everywhere = np.ones(self.tokens.shape, dtype=bool)
        edit = overwrite(node.basis, self._content(name, site)["resample"], everywhere)
        logits, _ = self._run(self.tokens, {site: edit}, set())
        if np.abs(logits - self.logits).max() > STILL:
            raise CertificateError(
                f"{self.plant.name} ({self.plant.tier}): logits depend on {name!r} at {site}, "
                f"after it was last read at {window.last_read or 'no hook point'}."
            )

    def _effect(self, name: str, edits: Mapping[str, Mapping[str, Edit]], answer: Floats) -> Effect:
        changed, certified = {}, 0
        for kind, edit in edits.items():
            logits, _ = self._run(self.tokens, edit, set())
            chosen = choices(logits, self.plant.spec)
            changed[kind] = float((chosen != self.chosen).mean())
            if kind == "resample":
                certified = self._hold(name, logits, answer)
        return Effect(name, **changed, n=len(self.tokens), certified=certified)

    def _answer(self, operations: tuple[Operation, ...], name: str, given_to: str) -> Floats:
        """The output at the read-out, [task], when a node holds what it does in other tasks.

        NaN where the program has no answer, or the node holds nothing in one of both tasks.
        """
        own, other = self.own_values[name][:, 1:], self.other_values[name][:, 1:]
        causal = self.plant.spec.causal
        found = evaluate(operations, self.tokens[:, 1:] - 1, {given_to: other}, causal)
        answer = np.array(found[operations[-1].name][:, self.plant.spec.read_out - 1])
        answer[(np.isnan(own) != np.isnan(other)).any(axis=1)] = np.nan
        return answer

    def _hold(self, name: str, logits: npt.NDArray[np.float32], answer: Floats) -> int:
        """Holds the network to the program's answers; how many there are."""
        plant = self.plant
        said = ~np.isnan(answer)
        columns = np.array([float(label) for label in plant.spec.outputs])
        code = answer[said, None] == columns
        if plant.tier == "tempered":  # its logits are no codes, its choices are the program's
            off = (logits[said].argmax(axis=1) != code.argmax(axis=1)).astype(np.float32)
        else:
            off = np.abs(logits[said] - code).max(axis=1, initial=0.0)
        if (off > AGREE).any():
            at = int(np.flatnonzero(said)[off.argmax()])
            raise CertificateError(
                f"{plant.name} ({plant.tier}): with {name} resampled, the network and the program "
                f"differ on {int((off > AGREE).sum())} of {len(off)} tasks, by {off.max():.2g}, as "
                f"on {' '.join(plant.scenario.token_strings(self.tokens[at : at + 1])[0])}."
            )
        return int(said.sum())


def _adding(edge: Edge, change: npt.NDArray[np.float32]) -> Edit:
    """Adds to what arrives at the edge's reader, [task, pos, unit]."""

    def edit(value: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        if edge.input == "unembed":
            return value + change
        changed = value.copy()
        units = list(edge.components)
        changed[:, :, units] += change.reshape(changed[:, :, units].shape)
        return changed

    return edit
