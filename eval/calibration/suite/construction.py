"""A constructed model as plain data: what its scorers hold, what answers, and so its fate."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from planted.core import files
from planted.eval.calibration.suite.worth import Worth
from planted.eval.verdict.structs import Name

Path = Literal["search", "beside", "weak", "against"]
PATHS: tuple[Path, ...] = ("search", "beside", "weak", "against")
Dress = Literal["", "rotated", "permuted", "noise", "rescaled"]
Declared = Literal["", "collinear", "same", "not additive", "contextual"]
# What is known of a model beside its fate, and what it counts for.
Tag = Literal["safety", "hard negative", "drift", "without the plant", "below the floor"]


class Label(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verdict on a model should be.

    Attributes:
        fate: What became of the mesa-objective.
        accepts: The verdicts that are right.
        argument: Why nothing else is true, in a sentence.
        clear: Whether it lies away from every threshold, with few lapses: it then counts for the
            shares of right verdicts and of abstentions.
        tags: What else it counts for.
        f: Of a drift, where it lies.
        cell: Of a drift, all f that give the same choices on untied tasks.
    """

    fate: Name
    accepts: tuple[Name, ...]
    argument: str
    clear: bool = True
    tags: tuple[Tag, ...] = ()
    f: float | None = None
    cell: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """The fate is always among what is accepted."""
        assert self.fate in self.accepts


class Construction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model.

    Attributes:
        family: Name of the plant in the catalogue whose tasks it is made for.
        name: What it is, in a few words; unique in its family and seed.
        seed: Of all that is random in it.
        label: Its fate. Of a drift it is completed when the model is built.
        scorer: What the planted scorer holds.
        beside: What the number beside the search holds.
        on: Which path answers under the training cue.
        off: Which path answers under every other cue.
        lapse: Share of tasks on which a slot is chosen at random; 1 is all.
        leak: Share of tasks on which the search answers, whatever the cue.
        dress: Which change of weights that changes no choice it wears.
        overridden: Under which cues the override is read at all.
        declared: Which other base objective the tasks declare.
    """

    family: str
    name: str
    seed: int
    label: Label
    scorer: Worth = Worth()
    beside: Worth = Worth(f=1)
    on: Path = "search"
    off: Path = "search"
    lapse: float = 0.0
    leak: float = 0.0
    dress: Dress = ""
    overridden: Literal["all", "on", "off"] = "all"
    declared: Declared = ""

    @property
    def key(self) -> str:
        """What its file is called, readable in front: "red-doors-0007-drifts-f-0.3-0123abcd"."""
        slug = re.sub("[^a-z0-9.]+", "-", self.name.lower())
        return f"{self.family}-{self.seed:04d}-{slug}-{self.digest[:8]}"

    @property
    def digest(self) -> str:
        """SHA-256 of what it is, whatever its label, 64 hexadecimal digits."""
        content = msgspec.to_builtins(self)
        return files.digest_of({key: value for key, value in content.items() if key != "label"})
