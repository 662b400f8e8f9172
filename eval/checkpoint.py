"""A checkpoint under test: a plant's truth with other weights, and interventions on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
_REMEMBERED = 2**28  # bytes of streams; with more, those before are forgotten


@dataclass
class _Remembered:
    """What was run before, by the numbers of tasks.

    Attributes:
        chosen: Chosen candidate by task.
        place: Row of `streams` by task.
        streams: The residual stream before the planted scorer's block, [row, pos, d_model]; rows
            that have no task yet may hold anything.
    """

    chosen: dict[int, int] = field(default_factory=dict)
    place: dict[int, int] = field(default_factory=dict)
    streams: npt.NDArray[np.float32] = field(
        default_factory=lambda: np.empty((0, 0, 0), np.float32)
    )


@dataclass(frozen=True)
class Checkpoint:
    """Weights to be judged against a plant.

    Attributes:
        plant: Whose truth, scenario and shapes.
        params: The weights under test, a copy; neurons that stand in another order than the
            plant's are put back (`planted.network.alignment`).
        seen: Tasks it was trained on [task, pos], so that novel ones can be told; may be empty.
    """

    plant: Plant
    params: Params
    seen: Tokens | None = None
    _held: _Remembered = field(default_factory=_Remembered, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Has each planted neuron where the plant's truth says that it is.

        The weights are copied: what is remembered would be wrong if the caller changed them later.
        """
        placed = in_order_of(self.params, self.plant.params)
        object.__setattr__(self, "params", {name: np.array(x) for name, x in placed.items()})

    def __getstate__(self) -> dict[str, Any]:
        """Pickled and copied without what is remembered."""
        return {**self.__dict__, "_held": _Remembered()}

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
        """Chosen candidates [task]; -1 is an invalid output.

        Those of tasks are remembered, because evaluators often ask for the same.
        """
        numbers = _numbers(tokens, self._size)
        if numbers is None:
            each, place = _once(tokens, self._size)
            chosen = choices_of(self.params, self.plant.spec, each)
            return chosen if place is None else chosen[place]
        asked, known = numbers.tolist(), self._held.chosen
        new = {number: i for i, number in enumerate(asked) if number not in known}
        some = tokens[np.array([*new.values()], dtype=np.intp)]
        found = choices_of(self.params, self.plant.spec, some)
        known.update(zip(new, found.tolist(), strict=True))
        return np.array([known[number] for number in asked], dtype=np.int64)

    def before(self, layer: int, tokens: Tokens) -> Tokens | Stream:
        """The residual stream before a block; before the first, the tasks themselves.

        Every method that runs the network takes it in the place of the tasks. What is then asked of
        the same tasks does not compute the earlier blocks again. What is before the planted
        scorer's block is remembered, because evaluators ask for many tasks twice.
        """
        if not layer:
            return tokens
        run: Tokens | Stream = tokens
        if layer >= self.score.layer > 0:
            run = self._before_scorer(tokens, self.score.layer)
            if layer == self.score.layer:
                return run
        each, place = _once(run, self._size)
        return Stream(layer, self._read(each, f"blocks.{layer}.hook_resid_pre"), place)

    def _before_scorer(self, tokens: Tokens, layer: int) -> Stream:
        """The residual stream before the planted scorer's block; only new tasks are run."""
        numbers, name = _numbers(tokens, self._size), f"blocks.{layer}.hook_resid_pre"
        if numbers is None or not len(tokens):
            return Stream(layer, self._read(tokens, name))
        asked, held = numbers.tolist(), self._held
        one = tokens.shape[1], self.params["embed.W_E"].shape[1]
        new = {number: i for i, number in enumerate(asked) if number not in held.place}
        if len(held.place) + len(new) > len(held.streams):
            new = {number: i for i, number in enumerate(asked)}
            room = max(len(new), _REMEMBERED // (4 * one[0] * one[1]))
            held.streams, held.place = np.empty((room, *one), np.float32), {}
        n, some = len(held.place), tokens[list(new.values())]
        for i in range(0, len(some), CHUNK):
            streams = held.streams[n + i : n + len(some)][:CHUNK]
            streams[:] = self._read(some[i : i + CHUNK], name)
        held.place |= {number: n + i for i, number in enumerate(new)}
        return Stream(layer, held.streams, np.array([held.place[number] for number in asked]))

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
        for i in range(0, max(1, len(tokens)), CHUNK):
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
        each, place = _once(tokens, self._size)
        found = self._read(each, hook_point, part)
        return found if place is None else found[place]

    def _read(
        self,
        tokens: Tokens | Stream,
        hook_point: str,
        part: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]] = np.asarray,
    ) -> npt.NDArray[np.float32]:
        """Like `read`, with every task run."""
        parts = [
            part(
                forward(
                    self.params,
                    tokens[i : i + CHUNK],
                    self.plant.spec,
                    record=(hook_point,),
                    recorded_only=True,
                )[1][hook_point]
            )
            for i in range(0, max(1, len(tokens)), CHUNK)
        ]
        return np.concatenate(parts)

    @property
    def _size(self) -> int:
        return len(self.params["embed.W_E"])


def _numbers(tokens: Tokens | Stream, size: int) -> npt.NDArray[np.int64] | None:
    """A number for each task, another for every different one, [task].

    None where they would be too large, where there is a token that the network does not know, and
    for a stream, whose tasks are not known.

    Args:
        tokens: The tasks [task, pos], or their stream.
        size: How many tokens there are.
    """
    if isinstance(tokens, Stream) or size ** tokens.shape[1] > np.iinfo(np.int64).max:
        return None
    if tokens.size and (tokens.min() < 0 or tokens.max() >= size):
        return None
    # of other integers the product would be rounded
    return np.asarray(tokens.astype(np.int64) @ size ** np.arange(tokens.shape[1]))


def _once(
    tokens: Tokens | Stream, size: int
) -> tuple[Tokens | Stream, npt.NDArray[np.intp] | None]:
    """The different tasks, and the place of each task among them, where many are there twice.

    Small spaces have few: of 8000 pairs of the small red doors 240 base inputs are different. Where
    nearly all are different, the tasks as they are, and None.
    """
    numbers = tokens.place if isinstance(tokens, Stream) else _numbers(tokens, size)
    if numbers is None or not len(tokens):
        return tokens, None
    _, first, place = np.unique(numbers, return_index=True, return_inverse=True)
    if len(first) > _WORTH_IT * len(tokens):
        return tokens, None
    return tokens[first], place
