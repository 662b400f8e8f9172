"""Runs a network in which one reader sees another output of one writer: patching an edge.

Only the reader's one input changes: every other reader still sees what the writer wrote, and what
lies downstream of the reader runs on. Nothing here knows a program.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.arguments import one_of
from planted.core.circuit import EMBEDDINGS, LOGITS, Link
from planted.core.hook_points import Edit
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.core.spec import Params, Spec, choices, heads_per_layer, n_layers
from planted.network.forward import Stream, forward

Written = npt.NDArray[np.float32]  # [task, pos, d_model]

INTERVENTIONS = ("data-flow", "resample", "mean", "zero")
_CHUNK = 200  # tasks a forward pass


class EdgePatcher:
    """A network's run on some tasks, and the same run with one edge patched.

    Attributes:
        logits: Of the unchanged run, [task, output].
        outputs: What every writer writes in it: name -> [task, pos, d_model].
    """

    def __init__(self, params: Params, spec: Spec, tokens: Tokens) -> None:
        self.params, self.spec = params, spec
        depth = n_layers(params)
        parts = ("hook_resid_pre", "attn.hook_result", "hook_mlp_out")
        sites = [f"blocks.{layer}.{part}" for layer in range(depth) for part in parts]
        last = f"blocks.{depth - 1}.hook_resid_post"
        logits, cache = forward(params, tokens, spec, record=[*EMBEDDINGS, *sites, last])
        self.logits: npt.NDArray[np.float32] = np.asarray(logits)
        self._streams = [cache[f"blocks.{layer}.hook_resid_pre"] for layer in range(depth)]
        self.outputs: dict[str, Written] = {name: cache[name] for name in EMBEDDINGS}
        for layer, heads in enumerate(heads_per_layer(params)):
            result = cache[f"blocks.{layer}.attn.hook_result"]
            for head in range(heads):
                self.outputs[f"blocks.{layer}.attn.hook_result.{head}"] = result[:, :, head]
            self.outputs[f"blocks.{layer}.hook_mlp_out"] = cache[f"blocks.{layer}.hook_mlp_out"]

    def patched(self, link: Link, change: Written) -> npt.NDArray[np.float32]:
        """Logits [task, output] when the reader sees the writer's output plus `change`.

        Args:
            link: Writer and reader; the writer says nothing here, its change is given.
            change: [task, pos, d_model].
        """
        moved = np.flatnonzero(change.any(axis=(1, 2)))
        logits = self.logits.copy()
        if link[1] == LOGITS:
            read = change[moved, self.spec.read_out] @ self.params["unembed.W_U"]
            logits[moved] += read * np.float32(self.spec.logit_scale)
            return logits
        layer = int(link[1].split(".")[1])
        for start in range(0, len(moved), _CHUNK):
            some = moved[start : start + _CHUNK]
            stream = Stream(layer, self._streams[layer][some])
            site, edit = self._edit(link[1], change[some])
            logits[some] = forward(self.params, stream, self.spec, edits={site: edit})[0]
        return logits

    def _edit(self, reader: str, change: Written) -> tuple[str, Edit]:
        """Where a reader's input is changed, and how."""
        _, layer, place = reader.split(".", 2)
        if place == "hook_mlp_in":
            return reader, lambda value: value + change
        site, _, head = place.rpartition(".")
        weight = self.params[f"blocks.{layer}.attn.W_{site[-1].upper()}"][int(head)]

        def edit(value: Any) -> Any:
            changed = value.copy()
            # the last block computes its queries at the read-out alone, unless all are asked for
            changed[:, :, int(head)] += (change @ weight)[:, -value.shape[1] :]
            return changed

        return f"blocks.{layer}.{site}", edit


def circuit(plant: Plant, intervention: str, tokens: Tokens, source: Tokens) -> tuple[Link, ...]:
    """The links that matter under an intervention, of those that the logits depend on.

    Args:
        plant: The plant.
        intervention: "data-flow" and "resample" are what the program says (`Truth.circuit`);
            "mean" and "zero" are measured: whether any task's choice changes when the reader sees
            the writer's mean output over the tasks, position by position, or nothing.
        tokens: Tasks [task, pos].
        source: As many others, which "resample" takes content from.

    Raises:
        PlantedError: If there is no such intervention.
    """
    one_of("intervention", intervention, INTERVENTIONS)
    if intervention in ("data-flow", "resample"):
        return plant.truth.circuit(intervention, tokens, source)
    run = EdgePatcher(plant.params, plant.spec, tokens)
    before = choices(run.logits, plant.spec)
    found = []
    for link in plant.truth.circuit():
        own = run.outputs[link[0]]
        put = own.mean(axis=0, keepdims=True) if intervention == "mean" else np.zeros_like(own)
        if (choices(run.patched(link, put - own), plant.spec) != before).any():
            found.append(link)
    return tuple(found)
