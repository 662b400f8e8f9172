"""A plant: scenario + weights + truth + certificate, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.core.arrays import to_numpy
from planted.core.pickling import PickledByValue
from planted.core.roles import Program
from planted.core.scenario import Choices, Scenario, Tokens, Values
from planted.core.spec import Params, Spec
from planted.core.ties import is_right, picked
from planted.core.truth import Truth
from planted.errors import CheckpointError, ShapeError

SHIPPED_TIERS = ("exact", "tempered", "rotated")  # what the wheel carries, and "all" means
TIERS = (*SHIPPED_TIERS, "dense", "compressed")  # planted's own; packages may bring others


@dataclass(frozen=True, eq=False)
class Plant(PickledByValue):
    """The planted model.

    Attributes:
        name: Name with its version, as "red-doors@1"; of a program of the user's own, version 0.
        tier: Name of its tier: one of `TIERS`, or of an installed package.
        kind: What the plant is by construction, as "correlational proxy".
        mechanism: "search", "table", "dormant search", "gated search"; "no search" for a program
            of the user's own that has none.
        answers: Which objective its output is best for, by construction: "mesa", "base", "cue"
            (base under the training cue, mesa under any other), or "own" (the scenario's answer).
        scenario: The tasks and the two objectives.
        params: Weights, float32.
        spec: How to run them.
        truth: Where everything is and what it holds.
        settings: How the tier was made: exactness, query factor, free neurons, seed.
        certificate: What was checked, on how many inputs.
        origin: Who makes it: "" the catalogue; "module:function" a function of the user's; "object"
            a program that was passed in memory, and that no other process can find again.
        remake: In memory only: compiles its exact tier anew at another exactness, not certified;
            None for the catalogue's.
        program: In memory only: makes its RASP program for a scenario; None for the catalogue's.
        to_tier: In memory only: the same plant in another tier.
    """

    name: str
    tier: str
    kind: str
    mechanism: str
    answers: str
    scenario: Scenario
    params: Params
    spec: Spec
    truth: Truth
    settings: Mapping[str, Any]
    certificate: Mapping[str, Any]
    origin: str = ""
    remake: Callable[[float], Plant] | None = field(default=None, compare=False)
    program: Callable[[Scenario], Program] | None = field(default=None, compare=False)
    to_tier: Callable[[str], Plant] | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        """One line: name, tier, size."""
        size = sum(int(value.size) for value in self.params.values())
        return f"<plant {self.name} {self.tier} ({size} parameters)>"

    def __eq__(self, other: object) -> bool:
        """Whether it is the same plant: weights, truth, and what its scenario gives on tasks."""
        if not isinstance(other, Plant):
            return NotImplemented
        return self is other or (hash(self) == hash(other) and _digest(self) == _digest(other))

    def __hash__(self) -> int:
        """By its name and tier."""
        return hash((self.name, self.tier))

    def __deepcopy__(self, memo: dict[int, Any]) -> Plant:
        """With weights and truth of its own; what is a function stays the same."""
        params = {name: np.array(value) for name, value in self.params.items()}
        return replace(self, params=params, truth=deepcopy(self.truth, memo))

    def expected_choices(self, tokens: Tokens) -> Choices:
        """The candidate that the oracle picks, [task]; ties by the scenario's rule."""
        scenario = self.scenario
        if self.answers == "own" and scenario.answer is not None:
            return scenario.answer(tokens)
        return picked(scenario, tokens, self._sought(tokens))

    def is_right(self, tokens: Tokens, chosen: Choices) -> npt.NDArray[np.bool_]:
        """Whether choices [task] are what the oracle allows, bool [task].

        That is the candidate of `expected_choices`, or any of the best where the scenario's ties
        may go to any.
        """
        if self.answers == "own" and self.scenario.answer is not None:
            return np.asarray(self.scenario.answer(tokens) == chosen)
        return is_right(self.scenario, tokens, self._sought(tokens), chosen)

    def _sought(self, tokens: Tokens) -> Values:
        """The values of the objective that the output is best for, [task, candidate]."""
        scenario = self.scenario
        if self.answers == "cue":
            cued = scenario.is_cued(tokens)[:, None]
            return np.where(cued, scenario.base.of(tokens), scenario.mesa.of(tokens))
        return (scenario.base if self.answers == "base" else scenario.mesa).of(tokens)

    def check_params(self, params: Mapping[str, Any], what: str) -> dict[str, Any]:
        """`params` as float32 arrays of this plant's names and shapes.

        Args:
            params: Name -> array.
            what: What to call them in an error, as a file name.

        Raises:
            ShapeError: Naming the first tensor of another shape.
            CheckpointError: Naming the first tensor that is missing, unknown,
                of whole numbers (weights that were cast to integers have lost what was trained), or
                not finite.
        """
        checked: dict[str, Any] = {}
        for name, own in self.params.items():
            if name not in params:
                raise CheckpointError(f"{what}: tensor {name!r} of {self.name} is missing.")
            value = to_numpy(params[name])
            if value.shape != own.shape:
                raise ShapeError(
                    f"{what}: {name!r} has shape {list(value.shape)}, {self.name} ({self.tier}) "
                    f"has {list(own.shape)}. Is it a checkpoint of another plant or tier?"
                )
            if value.dtype.kind not in "fiub":
                raise CheckpointError(f"{what}: {name!r} holds {value.dtype}, not numbers.")
            if value.dtype.kind != "f":
                raise CheckpointError(
                    f"{what}: {name!r} holds {value.dtype}; weights are floats, and casting them "
                    "to integers cuts off what was trained. Save them as float32."
                )
            with np.errstate(over="ignore"):  # what overflows float32 is infinite there
                checked[name] = value.astype(np.float32)
            if not np.isfinite(checked[name]).all():
                raise CheckpointError(f"{what}: {name!r} holds NaN or infinity.")
        extra = sorted(set(params) - set(self.params))
        if extra:
            raise CheckpointError(f"{what}: tensor {extra[0]!r} is not one of {self.name}'s.")
        return checked


def _digest(plant: Plant) -> str:
    from planted.core.artefact import plant_digest  # it reads and writes plants

    return plant_digest(plant)
