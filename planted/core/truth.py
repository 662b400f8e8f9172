"""Ground truth of a plant: which heads and neurons hold each node, where, with what value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core import circuit
from planted.core.arguments import mapping, one_of
from planted.core.arrays import to_numpy
from planted.core.circuit import LOGITS as LOGITS
from planted.core.circuit import Edge as Edge
from planted.core.roles import ROLES
from planted.core.scenario import Tokens
from planted.core.semantics import Codes, Floats, Operation, Value, as_numbers, codes_of, evaluate
from planted.errors import PlantedError, UnknownNameError, UnknownNodeError, unknown

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Node:
    """One node of the planted program, as it stands in the network.

    Attributes:
        name: The node's name in the program.
        role: What it is for (`planted.core.roles.ROLES`), or "" for plumbing.
        layer: Block that writes it; -1 for the embeddings.
        heads: Heads of that block that write it.
        neurons: Neurons of that block's MLP that write it.
        values: What it can hold; value i is held as direction i of the basis.
        numerical: It holds one number along one direction instead.
        reads: Names of the nodes it reads.
        basis: Rows [dim, d_model] that span its subspace of the residual stream: orthonormal, but
            in tier "compressed", where nodes share directions.
    """

    name: str
    role: str
    layer: int
    heads: tuple[int, ...]
    neurons: tuple[int, ...]
    values: tuple[Value, ...]
    numerical: bool
    reads: tuple[str, ...]
    basis: Matrix = field(repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, the basis number by number."""
        if not isinstance(other, Node):
            return NotImplemented
        names = [each.name for each in fields(self) if each.name != "basis"]
        return np.array_equal(self.basis, other.basis) and all(
            getattr(self, name) == getattr(other, name) for name in names
        )

    def __hash__(self) -> int:
        """By its name and place."""
        return hash((self.name, self.layer, self.heads, self.neurons))

    @property
    def hook_points(self) -> tuple[str, ...]:
        """Where it is written: head results, the MLP output, or an embedding."""
        if self.layer < 0:
            return ("hook_pos_embed",) if self.name == "indices" else ("hook_embed",)
        at = f"blocks.{self.layer}."
        heads = tuple(f"{at}attn.hook_result.{head}" for head in self.heads)
        return heads + ((f"{at}hook_mlp_out",) if self.neurons else ())

    @property
    def held_at(self) -> str:
        """The first residual-stream hook point that holds it."""
        if self.layer < 0:
            return "blocks.0.hook_resid_pre"
        part = "hook_resid_post" if self.neurons else "hook_resid_mid"
        return f"blocks.{self.layer}.{part}"

    def checked(self, numbers: npt.ArrayLike, tokens: Tokens) -> Floats:
        """Values given for this node as float [task, pos].

        Raises:
            PlantedError: If the shape is not that of the tokens, BOS is given a value, or a value
                is not one that the node can hold.
        """
        wanted = f"Values of node {self.name!r} are numbers [task, pos] = {list(tokens.shape)}"
        try:
            given: Floats = to_numpy(numbers).astype(np.float64)
        except (TypeError, ValueError):
            raise PlantedError(f"{wanted}, got {numbers!r}.") from None
        if given.shape != tokens.shape:
            raise PlantedError(f"{wanted}, got {list(given.shape)}.")
        if not np.isnan(given[:, 0]).all():
            raise PlantedError(
                f"Node {self.name!r} has no value at BOS (position 0): put NaN there, got "
                f"{float(given[~np.isnan(given[:, 0]), 0][0])!r}."
            )
        self._codes(given)
        return given

    def _codes(self, numbers: Floats) -> Codes:
        operation = Operation(name=self.name, op="map", values=self.values)
        try:
            return codes_of(operation, numbers)
        except ValueError as error:
            raise PlantedError(str(error)) from None

    def encode(self, numbers: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """The code of values [task, pos]: coordinates [task, pos, dim] and where there is one.

        Raises:
            PlantedError: If a number is not one that the node can hold.
        """
        held = ~np.isnan(numbers)
        if self.numerical:
            return np.nan_to_num(numbers)[..., None], held
        codes = self._codes(numbers)
        return np.eye(len(self.values))[np.maximum(codes, 0)] * held[..., None], held

    def compare(self, stream: Any, numbers: Floats) -> tuple[float, int, int]:
        """How far a residual stream [task, pos, d] is from holding these values [task, pos].

        Returns:
            The largest deviation from the code of a value, how many values decode as another one
            (0 where it holds a number), and how many values there are.

        Raises:
            PlantedError: If a number is not one that the node can hold.
        """
        held = ~np.isnan(numbers)
        n = int(held.sum())
        if not n:
            return 0.0, 0, 0
        content = self._content(stream)[held]
        if self.numerical:
            return float(np.abs(content[:, 0] - numbers[held]).max()), 0, n
        codes = self._codes(numbers)[held]
        wrong = int((content.argmax(axis=1) != codes).sum())
        content[np.arange(n), codes] -= 1
        return float(np.abs(content).max()), wrong, n

    def decode(self, stream: Any) -> Floats:
        """The value with the largest entry (or the number) in a residual stream [task, pos, d].

        The stream is an array, or a tensor on any device, of any float type, in a graph or not.

        Raises:
            PlantedError: If the stream has another width than the node's basis.
        """
        content = self._content(stream)
        if self.numerical:
            return np.asarray(content[..., 0], dtype=np.float64)
        return np.asarray(as_numbers(self.values)[content.argmax(axis=-1)])

    def _content(self, stream: Any) -> Any:
        """A stream's coordinates in the basis, or the error that its width is another."""
        given, wide = to_numpy(stream), self.basis.shape[1]
        if given.shape[-1:] != (wide,):
            asked = f"Node {self.name!r} is read from a residual stream [task, pos, {wide}]"
            raise PlantedError(f"{asked}, got {list(given.shape)}. Is it another plant's?")
        return given @ self.basis.T


@dataclass(frozen=True)
class Window:
    """How long what a node wrote matters.

    Attributes:
        node: The node.
        written: The first residual-stream hook point that holds it.
        last_read: The last residual-stream hook point that it is read from; "" if there is none.
        dead: Later hook points, where it can be decoded and nothing depends on it.
    """

    node: str
    written: str
    last_read: str
    dead: tuple[str, ...]


class Nodes(dict[str, Node]):
    """Nodes by name, in the order of the program."""

    def __missing__(self, name: object) -> Node:
        """Nothing is made up: the error names the near ones.

        Raises:
            UnknownNodeError: Always; it is a KeyError too.
        """
        raise UnknownNodeError(str(unknown("node", str(name), self)))


@dataclass(frozen=True)
class Truth:
    """All that is known of a plant by construction.

    Attributes:
        nodes: Every node of the program, by name, inputs first.
        operations: The tabulated program, which gives each node's value on any input.
        causal: Whether a position attends to itself and earlier ones alone.
    """

    nodes: Mapping[str, Node]
    operations: tuple[Operation, ...]
    causal: bool = False

    def __post_init__(self) -> None:
        """Gives the nodes a mapping that says which names are near one that it lacks."""
        if not isinstance(self.nodes, Nodes):
            object.__setattr__(self, "nodes", Nodes(self.nodes))

    def __hash__(self) -> int:
        """By its nodes' names; a mapping has no hash."""
        return hash(tuple(self.nodes))

    def of_role(self, role: str) -> tuple[Node, ...]:
        """Nodes with this role, in program order.

        Raises:
            UnknownNameError: If there is no such role, whatever the program.
        """
        one_of("role", role, ("", *ROLES))
        return tuple(node for node in self.nodes.values() if node.role == role)

    def node(self, name: str) -> Node:
        """The node of this name.

        Raises:
            UnknownNameError: Naming the nodes there are, and the near ones.
        """
        if not isinstance(name, str):
            raise UnknownNodeError(f"A node is named by a text, as 'score', got {name!r}.")
        return self.nodes[name]

    @property
    def depth(self) -> int:
        """Number of blocks up to the last node's."""
        return max(1, 1 + max(node.layer for node in self.nodes.values()))

    @property
    def edges(self) -> tuple[Edge, ...]:
        """Every edge, in the order of the program; the output's to the logits is the last one."""
        selects = {made.name: made.inputs for made in self.operations if made.op == "select"}
        found: dict[Edge, None] = {}
        for operation in self.operations:
            if operation.name not in self.nodes or not operation.inputs:
                continue
            node = self.nodes[operation.name]
            if operation.op in ("map", "sequence_map"):
                read = [(name, "mlp") for name in operation.inputs]
            else:
                keys, queries = selects[operation.inputs[0]]
                read = [
                    (keys, "k"),
                    (queries, "q"),
                    *((name, "v") for name in operation.inputs[1:]),
                ]
            for writer, which in read:
                units = node.neurons if which == "mlp" else node.heads
                found[Edge(writer, node.name, which, node.layer, units)] = None
        output = self.operations[-1].name
        return (*found, Edge(output, LOGITS, "unembed", self.depth, ()))

    @property
    def circuit_components(self) -> tuple[str, ...]:
        """Heads and MLPs that hold a node on which the logits depend by data-flow, block by block.

        Named as "blocks.2.attn.hook_result.0" and "blocks.2.hook_mlp_out"; embeddings do not count.
        """
        found = {edge.writer for edge in circuit.needed(self.edges)}
        units = {
            (node.layer, "mlp" in site, site)
            for node in self.nodes.values()
            if node.name in found and node.layer >= 0
            for site in node.hook_points
        }
        return tuple(site for *_, site in sorted(units))

    def circuit(
        self,
        intervention: str = "data-flow",
        tokens: Tokens | None = None,
        source: Tokens | None = None,
    ) -> tuple[circuit.Link, ...]:
        """The circuit as edges: (writer, input of a reader), in the order of the program.

        Args:
            intervention: "data-flow": what the logits depend on through weights that read it.
                "resample": of these, what changes an answer when it carries what it does in
                another task, by the RASP program. `Model.circuit` also measures "mean" and "zero",
                for which the program has no answer.
            tokens: Tasks [task, pos], for "resample".
            source: As many other tasks.

        Raises:
            PlantedError: If the intervention is neither, or the tokens are none of the program's.

        Example:
            >>> import planted
            >>> planted.load("red-doors@1").truth.circuit()[2]
            ('blocks.0.hook_mlp_out', 'blocks.1.attn.hook_q.0')
        """
        if isinstance(intervention, str) and intervention in ("mean", "zero"):
            asked = "truth.circuit takes 'data-flow' or 'resample', which the program answers"
            has = f"model.circuit({intervention!r}) measures it in the network"
            raise UnknownNameError(f"{asked}, got {intervention!r}: {has}.")
        one_of("intervention", intervention, ("data-flow", "resample"))
        edges = circuit.needed(self.edges)
        if intervention == "data-flow":
            found = [link for e in edges for link in circuit.links_of(e, self.nodes[e.writer])]
            return tuple(dict.fromkeys(found))
        if tokens is None or source is None:
            raise PlantedError("circuit('resample') takes tasks: tokens=..., source=....")
        codes, others = self._checked(tokens)[:, 1:] - 1, self._checked(source)[:, 1:] - 1
        return circuit.resampled(self.operations, edges, self.nodes, codes, others)

    @property
    def windows(self) -> dict[str, Window]:
        """The live window of every node, by name."""
        parts = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post")
        stream = [f"blocks.{layer}.{part}" for layer in range(self.depth) for part in parts]
        found = {}
        for name, node in self.nodes.items():
            read = [
                stream.index(edge.reads_from.replace("hook_mlp_in", "hook_resid_mid"))
                for edge in self.edges
                if edge.writer == name
            ]
            written = stream.index(node.held_at)
            last = max(read, default=-1)
            found[name] = Window(
                name,
                node.held_at,
                stream[last] if read else "",
                tuple(stream[max(last + 1, written) :]),
            )
        return found

    def values(
        self, tokens: Tokens, overrides: Mapping[str, Floats] | None = None
    ) -> dict[str, Floats]:
        """What every node holds, by the RASP program: name -> float [task, pos]; NaN is nothing.

        Args:
            tokens: Token ids [task, pos]; BOS at position 0 has no values.
            overrides: Values [task, pos] put in the place of a node's own; NaN keeps its own.

        Raises:
            PlantedError: If the tokens are none of the program's, there is no such node, a shape is
                wrong, or a value is not one that the node can hold.
        """
        tokens = self._checked(tokens)
        overrides = mapping("overrides", overrides or {}, "node names to values [task, pos]")
        inner = {
            name: self.node(name).checked(value, tokens)[:, 1:] for name, value in overrides.items()
        }
        try:
            found = evaluate(self.operations, tokens[:, 1:] - 1, inner, self.causal)
        except ValueError as error:
            raise PlantedError(str(error)) from None
        empty = np.full((len(tokens), 1), np.nan)
        return {name: np.hstack([empty, value]) for name, value in found.items()}

    def _checked(self, tokens: Tokens) -> Tokens:
        """Tokens as int64 [task, pos], as far as the program alone can tell."""
        most = max((len(one.values) for one in self.operations if one.op == "tokens"), default=0)
        wanted = f"Tokens are whole numbers [task, pos] from 1 to {most}, 0 (BOS) in front"
        try:
            given = np.asarray(tokens)
        except (TypeError, ValueError):
            raise PlantedError(f"{wanted}, got {tokens!r}.") from None
        if given.ndim != 2 or given.shape[1] < 2 or given.dtype.kind not in "iu":
            raise PlantedError(f"{wanted}, got {given.dtype} {list(given.shape)}.")
        inside = given[:, 1:]
        if (bad := (inside < 1) | (inside > most)).any():
            raise PlantedError(f"{wanted}, got {int(inside[bad][0])}.")
        return given.astype(np.int64)

    def in_basis(self, rotation: Matrix) -> Truth:
        """The same truth after the residual stream was multiplied by `rotation` [d, new d].

        Raises:
            PlantedError: If it is no matrix of finite numbers with d rows.
        """
        d_model = next(iter(self.nodes.values())).basis.shape[1]
        wanted = f"rotation is a matrix of finite numbers [{d_model}, new d]"
        try:
            given = np.asarray(rotation, dtype=np.float64)
        except (TypeError, ValueError):
            raise PlantedError(f"{wanted}, got {rotation!r}.") from None
        if given.ndim != 2 or len(given) != d_model or not np.isfinite(given).all():
            raise PlantedError(f"{wanted}, got {list(given.shape)} or numbers that are not finite.")
        nodes = {
            name: replace(node, basis=(node.basis @ rotation).astype(np.float32))
            for name, node in self.nodes.items()
        }
        return Truth(nodes, self.operations, self.causal)
