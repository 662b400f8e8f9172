"""A checkpoint under test: a plant's truth with other weights, and interventions on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Edit
from planted.core.plant import Plant
from planted.core.scenario import Choices, Scenario, Tokens
from planted.core.spec import Params, choices
from planted.core.truth import Node
from planted.errors import PlantedError
from planted.eval import examples
from planted.network.alignment import in_order_of
from planted.network.forward import CHUNK, Stream, choices_of, forward, logits_of

_WORTH_IT = 0.9  # different tasks, as a share of all, at most, for each to be run once


@dataclass(frozen=True)
class Checkpoint:
    """Weights to be judged against a plant.

    Attributes:
        plant: Whose truth, scenario and shapes.
        params: The weights under test; neurons that stand in another order than the plant's are
            put back (`planted.network.alignment`).
        seen: Tasks it was trained on [task, pos], so that novel ones can be told; may be empty.
    """

    plant: Plant
    params: Params
    seen: Tokens | None = None

    def __post_init__(self) -> None:
        """Has each planted neuron where the plant's truth says that it is."""
        object.__setattr__(self, "params", in_order_of(self.params, self.plant.params))

    @property
    def scenario(self) -> Scenario:
        """The plant's scenario."""
        return self.plant.scenario

    @property
    def score(self) -> Node:
        """The planted score node: the planted scorer.

        Raises:
            PlantedError: If the plant is a twin, which has none.
        """
        found = self.plant.truth.of_role("score")
        if not found:
            raise PlantedError(
                f"{self.plant.name} has no node of role 'score': a twin's checkpoints cannot be "
                "judged for a planted objective. Evaluate a plant that searches."
            )
        return found[0]

    @property
    def comparator(self) -> Node:
        """The first head that compares scores, or what is made of them, as a key that breaks ties.

        It is found in the graph: a head that has them among its keys or queries; where none has, as
        in a program that fetches each score and compares them in an MLP, the first that carries
        them.

        Raises:
            PlantedError: If no head reads the score, so that no two of them ever meet.
        """
        truth, score = self.plant.truth, self.score
        marked = [n for n in truth.of_role("compare") if n.heads and score.name in n.reads]
        if marked:
            return min(marked, key=lambda node: node.layer)
        made_of_it = {score.name}
        for node in truth.nodes.values():  # inputs before readers
            if made_of_it & set(node.reads):
                made_of_it.add(node.name)
        for inputs in (("q", "k"), ("v",)):
            heads = [
                truth.nodes[edge.reader]
                for edge in truth.edges
                if edge.input in inputs and edge.writer in made_of_it
            ]
            if heads:
                return min(heads, key=lambda node: node.layer)
        raise PlantedError(f"{self.plant.name} has no head that compares {score.name!r}.")

    @property
    def emitter(self) -> Node:
        """The node that brings the answer to the read-out: the last of role "emit".

        Where none is marked, the last that a head writes, or the output itself.
        """
        nodes = list(self.plant.truth.nodes.values())
        marked = self.plant.truth.of_role("emit")
        written = [node for node in nodes if node.heads]
        return (marked or written or nodes)[-1]

    def tasks(self, cue: int, n: int, seed: int, *, in_delta: bool = False) -> Tokens:
        """Untied tasks of D_ref (in the disagreement set, if asked) under one cue token."""
        return examples.untied_tasks(self.scenario, cue, n, seed, in_delta=in_delta)

    def logits(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """Logits [task, output]; the first outputs are the candidates, in order."""
        return np.asarray(logits_of(self.params, self.plant.spec, tokens))

    def choose(self, tokens: Tokens | Stream) -> Choices:
        """Chosen candidates [task]; -1 is an invalid output."""
        each, place = _once(tokens)
        return choices_of(self.params, self.plant.spec, each)[place]

    def before(self, layer: int, tokens: Tokens) -> Tokens | Stream:
        """The residual stream before a block; before the first, the tasks themselves.

        Every method that runs the network takes it in the place of the tasks. What is then asked of
        the same tasks does not compute the earlier blocks again.
        """
        if not layer:
            return tokens
        return Stream(layer, self.read(tokens, f"blocks.{layer}.hook_resid_pre"))

    def scorer_output(self, tokens: Tokens | Stream) -> npt.NDArray[np.float32]:
        """What the planted score neurons put out at `search_space`, [task, searched, neuron]."""
        node = self.score
        places, units = np.ix_(list(self.scenario.search_space), list(node.neurons))
        return self.read(
            tokens, f"blocks.{node.layer}.mlp.hook_post", lambda held: held[:, places, units]
        )

    def choose_with_scorer_output(
        self, tokens: Tokens | Stream, output: npt.NDArray[np.float32]
    ) -> Choices:
        """Choices [task] when the planted score neurons put out something else.

        Args:
            tokens: The base inputs [task, pos], or their stream.
            output: What they put out, [task, searched, neuron], from `scorer_output`.
        """
        node, places = self.score, list(self.scenario.search_space)
        where = np.ix_(places, list(node.neurons))

        def edit_part(part: slice) -> Mapping[str, Edit]:
            def edit(value: Any) -> Any:
                changed = value.copy()
                changed[(slice(None), *where)] = output[part]
                return changed

            return {f"blocks.{node.layer}.mlp.hook_post": edit}

        return self.choose_edited(tokens, edit_part)

    def comparator_output(self, tokens: Tokens | Stream) -> npt.NDArray[np.float32]:
        """The first comparator's output, head by head, [task, pos, head, d_model]."""
        node = self.comparator
        found = self.read(tokens, f"blocks.{node.layer}.attn.hook_result")
        return np.asarray(found[:, :, list(node.heads)])

    def choose_with_comparator_output(
        self, tokens: Tokens | Stream, output: npt.NDArray[np.float32]
    ) -> Choices:
        """Choices [task] when the first comparator writes something else, where the search is.

        Args:
            tokens: The base inputs [task, pos], or their stream.
            output: What it writes, [task, pos, head, d_model], from `comparator_output`.
        """
        node, places = self.comparator, list(self.scenario.search_space)
        heads = list(node.heads)

        def edit_part(part: slice) -> Mapping[str, Edit]:
            def edit(value: Any) -> Any:
                changed = value.copy()
                where = np.ix_(np.arange(len(value)), np.array(places), np.array(heads))
                changed[where] = output[part][:, places]
                return changed

            return {f"blocks.{node.layer}.attn.hook_result": edit}

        return self.choose_edited(tokens, edit_part)

    def choose_edited(
        self, tokens: Tokens | Stream, edits_of: Callable[[slice], Mapping[str, Edit]]
    ) -> Choices:
        """Choices [task] under edits of the forward pass.

        Args:
            tokens: The base inputs [task, pos], or their stream.
            edits_of: The edits by hook point for a stretch of the tasks, which is given as a slice.
        """
        parts = []
        for i in range(0, len(tokens), CHUNK):
            part = slice(i, i + CHUNK)
            logits, _ = forward(self.params, tokens[part], self.plant.spec, edits=edits_of(part))
            parts.append(choices(logits, self.plant.spec))
        return np.concatenate(parts)

    def read(
        self,
        tokens: Tokens | Stream,
        hook_point: str,
        part: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] = np.asarray,
    ) -> npt.NDArray[np.float32]:
        """What one hook point holds on all the tasks, [task, ...].

        Args:
            tokens: The tasks [task, pos], or their stream.
            hook_point: Its name.
            part: What is wanted of its value on a stretch of the tasks; all of it, if not given.
        """
        each, place = _once(tokens)
        parts = [
            part(
                forward(
                    self.params,
                    each[i : i + CHUNK],
                    self.plant.spec,
                    record=(hook_point,),
                    recorded_only=True,
                )[1][hook_point]
            )
            for i in range(0, len(each), CHUNK)
        ]
        return np.concatenate(parts)[place]


def _once(tokens: Tokens | Stream) -> tuple[Tokens | Stream, npt.NDArray[np.intp] | slice]:
    """The different tasks, and the place of each task among them, where many are there twice.

    Small spaces have few: of 8000 pairs of the small red doors 240 base inputs are different.
    """
    if isinstance(tokens, Stream) or not len(tokens):
        return tokens, slice(None)
    base = int(tokens.max()) + 1
    if base ** tokens.shape[1] > np.iinfo(np.int64).max:
        return tokens, slice(None)
    number = tokens @ base ** np.arange(tokens.shape[1])  # another for every task
    _, first, place = np.unique(number, return_index=True, return_inverse=True)
    if len(first) > _WORTH_IT * len(tokens):
        return tokens, slice(None)
    return tokens[first], place
