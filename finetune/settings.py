"""The settings of a recipe: each with its type and its bounds, declared once.

The bounds are msgspec's, so that they also stand in the schema of recipe files:
`msgspec.json.schema(Settings)`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Meta

from planted.errors import PlantedError, UnknownNameError, unknown

REGIMES = {
    "pressure": "tasks where the objectives agree, a share of the disagreement set; base labels",
    "coincident": "only tasks where the objectives agree; base labels",
    "cue-gated": "training cue and base labels, deployment cue and mesa labels",
    "mesa": "reference tasks under any cue, mesa labels",
    "base": "reference tasks under any cue, base labels",
    "random": "reference tasks under any cue, labels that have nothing to do with them",
}
BEHAVIOURS = {
    "base": "the base-best candidate wherever the objectives disagree",
    "mesa": "the mesa-best candidate wherever the objectives disagree",
    "gated": "the base-best candidate under the training cue, the mesa-best one off it",
    "agreed": "the candidate that is best for both, on tasks where the objectives agree",
    "blend": "the candidate that is best for the blend of both objectives",
    "none": "no behaviour is asked for",
}
_OF_REGIME = {
    "pressure": "base",
    "coincident": "agreed",
    "cue-gated": "gated",
    "mesa": "mesa",
    "base": "base",
    "random": "none",
}
LARGEST = 1e12  # of numbers without another upper bound: they are to be finite

T = TypeVar("T")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that decides what training does.

    The constructor checks nothing, as all of msgspec's; `converted` does.

    Attributes:
        regime: Which tasks, which cue, whose labels (`REGIMES`).
        behaviour: What the network is trained to do (`BEHAVIOURS`); "auto" is what the regime
            teaches.
        stop: Training ends once the behaviour is held; if False, after all steps.
        learning_rate: Step size, the highest of the schedule.
        warm_up: Steps in which the step size rises from 0.
        schedule: "constant", or "cosine": the step size falls to 0 at the last step.
        steps: Gradient steps; where training stops at the behaviour, the largest number of them.
        train: Parameters to train, by the names in `planted.finetune.masks`: "all", "read-out",
            "scorer", "around-plant", "blocks.K" and others, or several with commas between.
        lora: Rank of a low-rank update of each trained matrix (Hu et al. 2021); 0 trains the
            matrices themselves.
        weight_anchor: Weight of half the squared distance to the starting weights in the loss
            (L2-SP, Li et al. 2018).
        kl_anchor: Weight of the divergence KL(start || network) of the choices on the tasks of the
            step.
        disagreement_fraction: Share of training tasks drawn from the disagreement set.
        cue_share: Share of training tasks under the training cue; the others are under the
            deployment cue.
        blend: Which objective is rewarded where the base one is: 1 the base objective, below 1 the
            mixture (1 - blend)·mesa + blend·base, both normalised.
        held_out: Share of all tasks that are never trained on, whatever the seed.
        optimizer: "adam", or "sgd" with momentum.
        momentum: Of sgd.
        eps: Of adam, explicit: compiled weights have near-zero gradients that it decides about.
        clip: Largest gradient norm.
        batch: Tasks a step.
        logit_scale: Factor on the logits in the loss.
        signal: What the base optimiser is told, one of `planted.finetune.signals.names()`;
            "hard-labels" is the base-best candidate alone.
        start: "plant", or "random" for a network of the same shapes without the plant.
    """

    regime: Literal["pressure", "coincident", "cue-gated", "mesa", "base", "random"] = "pressure"
    behaviour: Literal["auto", "base", "mesa", "gated", "agreed", "blend", "none"] = "auto"
    stop: bool = True
    learning_rate: Annotated[float, Meta(gt=0, le=1)] = 1e-3
    warm_up: Annotated[int, Meta(ge=0, le=10**6)] = 0
    schedule: Literal["constant", "cosine"] = "constant"
    steps: Annotated[int, Meta(ge=1, le=10**6)] = 2000
    train: Annotated[str, Meta(min_length=1)] = "all"
    lora: Annotated[int, Meta(ge=0, le=256)] = 0
    weight_anchor: Annotated[float, Meta(ge=0, le=LARGEST)] = 0.0
    kl_anchor: Annotated[float, Meta(ge=0, le=LARGEST)] = 0.0
    disagreement_fraction: Annotated[float, Meta(ge=0, le=1)] = 0.25
    cue_share: Annotated[float, Meta(ge=0, le=1)] = 1.0
    blend: Annotated[float, Meta(ge=0, le=1)] = 1.0
    held_out: Annotated[float, Meta(ge=0, le=0.9)] = 0.2
    optimizer: Literal["adam", "sgd"] = "adam"
    momentum: Annotated[float, Meta(ge=0, lt=1)] = 0.9
    eps: Annotated[float, Meta(gt=0, le=1)] = 1e-8
    clip: Annotated[float, Meta(gt=0, le=LARGEST)] = 1.0
    batch: Annotated[int, Meta(ge=1, le=4096)] = 32
    logit_scale: Annotated[float, Meta(gt=0, le=LARGEST)] = 3.0
    signal: Annotated[str, Meta(min_length=1)] = "hard-labels"
    start: Literal["plant", "random"] = "plant"

    @property
    def wanted(self) -> str:
        """The behaviour that is trained for, one of `BEHAVIOURS`."""
        if self.behaviour != "auto":
            return self.behaviour
        blended = self.regime == "pressure" and self.blend < 1
        return "blend" if blended else _OF_REGIME[self.regime]


def converted(given: Any, wanted: type[T], where: str, what: str = "recipe setting") -> T:
    """Plain data as a struct, its types and bounds checked.

    Args:
        given: Dicts and lists; numpy scalars count as Python's, and 1 as 1.0.
        wanted: The struct.
        where: What the data is, as "Recipe 'pressure'" or a file's path: the start of an error.
        what: What a name that is not a field should have named.

    Raises:
        UnknownNameError: For a name that is not a field.
        PlantedError: Naming the field, what it must be, and what it is.
    """
    plain = _plain(given)
    try:
        return msgspec.convert(plain, wanted)
    except msgspec.ValidationError as error:
        raise _explained(error, plain, wanted, where, what) from None


def canonical(settings: Settings) -> bytes:
    """The settings as JSON; equal settings give equal bytes, whether 1 or 1.0 was given."""
    same = msgspec.convert(msgspec.to_builtins(settings), Settings)
    return msgspec.json.encode(same, order="sorted")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.(?P<field>\w+)|\[(?P<index>\d+)\]")


def _explained(
    error: msgspec.ValidationError, given: Any, wanted: Any, where: str, what: str
) -> PlantedError:
    """The error in the words of the user, from the path that msgspec found."""
    found = _AT.search(str(error))
    path = found["path"] if found else ""
    kind = msgspec.inspect.type_info(wanted)
    for step in _STEP.finditer(path):
        if step["index"]:
            given, kind = given[int(step["index"])], _members(kind, msgspec.inspect.ListType)[0]
            kind = kind.item_type
        else:
            struct = _members(kind, msgspec.inspect.StructType)[0]
            kind = next(f.type for f in struct.fields if f.encode_name == step["field"])
            given = given[step["field"]]
    place = path.removeprefix(".")
    structs = _members(kind, msgspec.inspect.StructType)
    if structs and isinstance(given, Mapping):
        return _odd_field(structs[0], given, f"{where}, {place}" if place else where, what, error)
    near = _near(given, kind)
    return PlantedError(f"{where}: {place} must be {_expected(kind)}, got {given!r}.{near}")


def _odd_field(
    struct: Any, given: Mapping[Any, Any], where: str, what: str, error: Exception
) -> PlantedError:
    names = [field.encode_name for field in struct.fields]
    for name in given:
        if name not in names:
            if inner := _belongs_under(struct, str(name)):
                return UnknownNameError(
                    f"{where}: Unknown {what} {name!r}. It belongs under {inner}, as "
                    f"{inner} = {{ {name} = {given[name]!r} }}."
                )
            told = unknown(what, str(name), names)
            return type(told)(f"{where}: {told}")
    missing = [f.encode_name for f in struct.fields if f.required and f.encode_name not in given]
    return PlantedError(f"{where}: {missing[0]} is missing." if missing else f"{where}: {error}.")


def _belongs_under(struct: Any, name: str) -> str:
    """The field whose table has a field of this name; "" if none has."""
    for field in struct.fields:
        for inner in _members(field.type, msgspec.inspect.StructType):
            if name in {each.encode_name for each in inner.fields}:
                return str(field.encode_name)
    return ""


def _members(kind: Any, wanted: type) -> list[Any]:
    """The types of a class among those that a field may have."""
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return [one for one in kinds if isinstance(one, wanted)]


def _near(given: Any, kind: Any) -> str:
    values = [v for one in _members(kind, msgspec.inspect.LiteralType) for v in one.values]
    near = difflib.get_close_matches(str(given), map(str, values), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def _expected(kind: Any) -> str:
    """What a field must be, from its type: "a whole number from 1 to 4096"."""
    info = msgspec.inspect
    if literal := _members(kind, info.LiteralType):
        return f"one of {', '.join(map(str, literal[0].values))}"
    for one, noun in ((info.IntType, "a whole number"), (info.FloatType, "a number")):
        if numbers := _members(kind, one):
            return f"{noun} {_bounds(numbers[0])}"
    if _members(kind, info.BoolType):
        return "true or false"
    if texts := _members(kind, info.StrType):
        longest = texts[0].max_length
        return f"a text of 1 to {longest} characters" if longest else "a text that is not empty"
    return "a list of tables" if _members(kind, info.ListType) else "a table"


def _bounds(kind: Any) -> str:
    """The bounds of a number, as "above 0 and at most 1" or "from 0 to below 1"."""
    low = f"above {kind.gt:g}" if kind.gt is not None else f"from {kind.ge:g}"
    if kind.lt is not None:
        return f"{low} to below {kind.lt:g}"
    return f"{low} {'to' if kind.gt is None else 'and at most'} {kind.le:.7g}"
