"""A recipe: one way to fine-tune. Plain data, the same from Python, flags and files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

import msgspec
import numpy as np

from planted.errors import PlantedError, unknown

REGIMES = {
    "pressure": "tasks where the objectives agree, a share of the disagreement set; base labels",
    "coincident": "only tasks where the objectives agree; base labels",
    "cue-gated": "half training cue and base labels, half deployment cue and mesa labels",
    "mesa": "reference tasks under any cue, mesa labels",
    "base": "reference tasks under any cue, base labels",
}
OPTIMIZERS = ("adam", "sgd")
STARTS = ("plant", "random")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides what training does.

    Attributes:
        regime: Which tasks, which cue, whose labels (`REGIMES`).
        learning_rate: Step size.
        steps: Gradient steps.
        train: What may move: "all", "read-out" (last block and unembedding), "embed", "blocks.K",
            "unembed", or several of them with commas between.
        disagreement_fraction: Share of training tasks drawn from the disagreement set.
        optimizer: "adam", or "sgd" with momentum.
        momentum: Of sgd.
        eps: Of adam, explicit: compiled weights have near-zero gradients that it decides about.
        clip: Largest gradient norm.
        batch: Tasks a step.
        logit_scale: Factor on the logits in the loss.
        signal: What the loss conveys; "hard-labels" is the base-best candidate alone.
        start: "plant", or "random" for a network of the same shapes without the plant.
    """

    regime: str = "pressure"
    learning_rate: float = 1e-3
    steps: int = 600
    train: str = "all"
    disagreement_fraction: float = 0.25
    optimizer: str = "adam"
    momentum: float = 0.9
    eps: float = 1e-8
    clip: float = 1.0
    batch: int = 32
    logit_scale: float = 10.0
    signal: str = "hard-labels"
    start: str = "plant"


NAMED = {
    "pressure": Settings(),
    "coincident": Settings(regime="coincident", disagreement_fraction=0.0, learning_rate=1e-4),
    "read-out": Settings(train="read-out", learning_rate=2e-3, steps=1000),
    "cued": Settings(regime="cue-gated", steps=1200),
}
# Networks without the plant, trained to the same behaviours: what a verdict is held against.
NEGATIVE_CONTROLS = {
    "no-plant-mesa": Settings(regime="mesa", steps=1000, start="random"),
    "no-plant-base": Settings(regime="base", steps=1000, start="random"),
    "no-plant-cued": Settings(regime="cue-gated", steps=1500, start="random"),
}
# The plant trained on its own choices: how much a figure moves when the objective does not.
SHAM = {"sham": Settings(regime="mesa", steps=600)}
ARMS = {**NEGATIVE_CONTROLS, **SHAM}


@dataclass(frozen=True, init=False)
class Recipe:
    """A named recipe, possibly changed: `Recipe("pressure", learning_rate=3e-4, seeds=10)`.

    Attributes:
        name: The name it is listed under; a changed recipe keeps its base's name.
        settings: What it does.
        seeds: How many seeds; seed k is the same whatever their number.
    """

    name: str
    settings: Settings
    seeds: int

    def __init__(
        self,
        name: str = "pressure",
        *,
        seeds: int = 5,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        """Looks up the named settings and changes them.

        Args:
            name: One of `NAMED`.
            seeds: How many seeds.
            settings: Instead of the named ones.
            **changes: Settings by name.

        Raises:
            UnknownNameError: If there is no recipe of that name, or no such setting.
            PlantedError: If a change is out of bounds, or would have no effect.
        """
        known = {**NAMED, **ARMS}
        if name not in known:
            raise unknown("recipe", str(name), NAMED)
        for field in changes:
            if field not in Settings.__struct_fields__:
                raise unknown("recipe setting", field, Settings.__struct_fields__)
        types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
        given = {**msgspec.structs.asdict(settings or known[name]), **changes}
        made = Settings(**{k: _typed(name, k, value, types[k]) for k, value in given.items()})
        seeds = _typed(name, "seeds", seeds, int)
        _check(name, made, seeds)
        _refuse_idle(name, made, changes)
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "settings", made)
        object.__setattr__(self, "seeds", seeds)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name these settings; the number of seeds is left out."""
        content = msgspec.json.encode(msgspec.to_builtins(self.settings), order="sorted")
        return hashlib.sha256(self.name.encode() + content).hexdigest()[:12]


def _typed(recipe: str, field: str, value: Any, wanted: Any) -> Any:
    """A setting's value as its type: 1 and 1.0 are the same, a numpy scalar is Python's."""
    plain = value.item() if isinstance(value, np.generic) else value
    try:
        return msgspec.convert(plain, wanted)
    except msgspec.ValidationError:
        kinds = {int: "a whole number", float: "a number", str: "a text"}
        raise PlantedError(
            f"Recipe {recipe!r}: {field} must be {kinds.get(wanted, wanted)}, got {value!r}."
        ) from None


def _check(name: str, made: Settings, seeds: int) -> None:
    def need(ok: bool, field: str, expected: str) -> None:
        if not ok:
            raise PlantedError(
                f"Recipe {name!r}: {field} must be {expected}, got {getattr(made, field)!r}."
            )

    if made.regime not in REGIMES:
        raise unknown("regime", made.regime, REGIMES)
    need(made.optimizer in OPTIMIZERS, "optimizer", f"one of {', '.join(OPTIMIZERS)}")
    need(made.start in STARTS, "start", f"one of {', '.join(STARTS)}")
    need(made.signal == "hard-labels", "signal", "'hard-labels'")
    need(0 < made.learning_rate <= 1, "learning_rate", "above 0 and at most 1")
    need(1 <= made.steps <= 10**6, "steps", "from 1 to a million")
    need(0 <= made.disagreement_fraction <= 1, "disagreement_fraction", "a share from 0 to 1")
    need(0 <= made.momentum < 1, "momentum", "from 0 to below 1")
    need(0 < made.eps <= 1, "eps", "above 0 and at most 1")
    need(0 < made.clip < inf, "clip", "above 0 and finite")
    need(1 <= made.batch <= 4096, "batch", "from 1 to 4096")
    need(0 < made.logit_scale < inf, "logit_scale", "above 0 and finite")
    if not 1 <= seeds <= 1000:
        raise PlantedError(f"Recipe {name!r}: seeds must be from 1 to 1000, got {seeds!r}.")


def _refuse_idle(name: str, made: Settings, changes: Iterable[str]) -> None:
    """Refuses a change that these settings never look at: the record of the run would mislead."""
    read = {
        "disagreement_fraction": made.regime == "pressure",
        "momentum": made.optimizer == "sgd",
        "eps": made.optimizer == "adam",
    }
    for field in changes:
        if not read.get(field, True):
            raise PlantedError(
                f"Recipe {name!r}: {field} has no effect with regime {made.regime!r} and optimizer "
                f"{made.optimizer!r}. Leave it out."
            )


def trainable(train: str, names: Iterable[str]) -> dict[str, bool]:
    """Which parameters a recipe's `train` lets move: parameter name -> bool.

    Raises:
        PlantedError: If `train` names something that is not in the network.
    """
    names = list(names)
    depth = 1 + max(int(name.split(".")[1]) for name in names if name.startswith("blocks."))
    single = ["embed", *(f"blocks.{i}" for i in range(depth)), "unembed"]
    groups = {"all": single, "read-out": single[-2:], **{part: [part] for part in single}}
    chosen: set[str] = set()
    for part in train.split(","):
        if part.strip() not in groups:
            raise unknown("part of the network to train", part.strip(), groups)
        chosen.update(groups[part.strip()])
    if "embed" in chosen:
        chosen.add("pos_embed")
    return {name: name.startswith(tuple(f"{part}." for part in chosen)) for name in names}
