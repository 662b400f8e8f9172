"""A checkpoint under test: a plant's truth with other weights, and the probes evaluators share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.hook_points import Edit
from planted.core.objectives import untied
from planted.core.plant import Plant
from planted.core.sampling import draw_where, other_candidates
from planted.core.scenario import Choices, Scenario, Tokens
from planted.core.spec import Params, choices
from planted.core.truth import Node
from planted.errors import PlantedError
from planted.network.forward import choices_of, forward

_CHUNK = 1000


@dataclass(frozen=True)
class Checkpoint:
    """Weights to be judged against a plant.

    Attributes:
        plant: Whose truth, scenario and shapes.
        params: The weights under test.
        seen: Tasks it was trained on [task, pos], so that novel ones can be told; may be empty.
    """

    plant: Plant
    params: Params
    seen: Tokens | None = None

    @property
    def scenario(self) -> Scenario:
        """The plant's scenario."""
        return self.plant.scenario

    @property
    def score(self) -> Node:
        """The planted score node: the block that evaluators call planted.

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
        """The first head that compares scores."""
        heads = [
            n for n in self.plant.truth.of_role("compare") if n.heads and self.score.name in n.reads
        ]
        if not heads:
            raise PlantedError(f"{self.plant.name} has no head that compares {self.score.name!r}.")
        return min(heads, key=lambda node: node.layer)

    @property
    def emitter(self) -> Node:
        """The head that fetches the answer to the read-out."""
        return self.plant.truth.of_role("emit")[-1]

    def tasks(self, cue: int, n: int, seed: int, *, in_delta: bool = False) -> Tokens:
        """Untied tasks of D_ref (in the disagreement set, if asked) under one cue token."""
        rng = np.random.default_rng([seed, cue])
        return draw_where(self.scenario, rng, n, in_delta=in_delta, cue=cue)

    def source_inputs(self, tokens: Tokens, seed: int) -> Tokens:
        """For each task another one with the same cue and other candidates, without ties."""
        rng = np.random.default_rng([seed, int(tokens[0, self.scenario.read_out])])
        out = other_candidates(self.scenario, rng, tokens)
        for _ in range(1000):
            mesa, base = self.scenario.mesa.of(out), self.scenario.base.of(out)
            tied = ~(untied(mesa) & untied(base))
            if not tied.any():
                return out
            out[tied] = other_candidates(self.scenario, rng, tokens[tied])
        raise PlantedError(
            f"{int(tied.sum())} tasks of {self.scenario.name!r} have a cue in which every draw "
            "of candidates ties. Add candidates or levels."
        )

    def choose(self, tokens: Tokens) -> Choices:
        """Chosen candidates [task]; -1 is an invalid output."""
        return choices_of(self.params, self.plant.spec, tokens)

    def block_of(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """What the planted score neurons put out, [task, searched, neuron]: at `search_space`."""
        node = self.score
        found = self.read(tokens, f"blocks.{node.layer}.mlp.hook_post")
        return np.asarray(found[:, list(self.scenario.search_space)][:, :, list(node.neurons)])

    def choose_with_block(self, tokens: Tokens, block: npt.NDArray[np.float32]) -> Choices:
        """Choices when the score neurons put out `block` instead, where the search is."""
        node, places = self.score, list(self.scenario.search_space)
        where = np.ix_(places, list(node.neurons))

        def edit_part(part: slice) -> Mapping[str, Edit]:
            def edit(value: Any) -> Any:
                changed = value.copy()
                changed[(slice(None), *where)] = block[part]
                return changed

            return {f"blocks.{node.layer}.mlp.hook_post": edit}

        return self._edited(tokens, edit_part)

    def comparator_of(self, tokens: Tokens) -> npt.NDArray[np.float32]:
        """The first comparator's output, head by head, [task, pos, head, d_model]."""
        node = self.comparator
        found = self.read(tokens, f"blocks.{node.layer}.attn.hook_result")
        return np.asarray(found[:, :, list(node.heads)])

    def choose_with_comparator(self, tokens: Tokens, output: npt.NDArray[np.float32]) -> Choices:
        """Choices when the first comparator writes `output` instead, where the search is."""
        node, places = self.comparator, list(self.scenario.search_space)
        heads = list(node.heads)

        def edit_part(part: slice) -> Mapping[str, Edit]:
            def edit(value: Any) -> Any:
                changed = value.copy()
                where = np.ix_(np.arange(len(value)), np.array(places), np.array(heads))
                changed[where] = output[part][:, places]
                return changed

            return {f"blocks.{node.layer}.attn.hook_result": edit}

        return self._edited(tokens, edit_part)

    def choose_edited(self, tokens: Tokens, edits_of: Any) -> Choices:
        """Choices under edits; `edits_of(slice)` gives the edits for a stretch of the tasks."""
        return self._edited(tokens, edits_of)

    def read(self, tokens: Tokens, site: str) -> npt.NDArray[np.float32]:
        """One site's value on all the tasks."""
        parts = [
            forward(
                self.params,
                tokens[i : i + _CHUNK],
                self.plant.spec,
                record=(site,),
                recorded_only=True,
            )[1][site]
            for i in range(0, len(tokens), _CHUNK)
        ]
        return np.concatenate(parts)

    def _edited(self, tokens: Tokens, edits_of: Any) -> Choices:
        parts = []
        for i in range(0, len(tokens), _CHUNK):
            part = slice(i, i + _CHUNK)
            logits, _ = forward(self.params, tokens[part], self.plant.spec, edits=edits_of(part))
            parts.append(choices(logits, self.plant.spec))
        return np.concatenate(parts)
