"""What each figure is called and means: declared once, by the evaluator that gives it.

Records, the reading, tables, `planted explain`, the docs and the page take names and words from
here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from planted.errors import PlantedError, unknown


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One figure that an evaluator gives.

    Attributes:
        name: How records name it: "paths.scorer_share".
        label: What a researcher calls it, without a full stop: "planted scorer share".
        unit: "share" (from 0 to 1), "R²", "interpolation λ", "interpolation f", "regret",
            "distance", "correlation", "difference of shares", "sign", or words of your own.
        direction: What a high and what a low value mean, in one short sentence.
        family: The evaluator that gives it.
        null: What it must stand beside: "negative controls" (networks that never held the plant),
            "sham" (the plant trained on its own choices), "random subspace", "random weights",
            "coin", "chance"; "" if nothing.
        per_cue: Whether there is one under each cue; else one for the checkpoint, cue "all".
        explanation: One plain sentence on how it is measured.
        heading: The heading that tables list it under; the family if empty.
        shown: "sentence" for a figure of the reading and of its one-line form, "reading" for one of
            the reading alone, "" for one that only tables show.

    Examples:
        >>> get("paths.scorer_share").label
        'planted scorer share'
        >>> get("paths.scorer_share").null
        'negative controls'
    """

    name: str
    label: str
    unit: str
    direction: str
    family: str
    explanation: str
    null: str = ""
    per_cue: bool = True
    heading: str = ""
    shown: Literal["", "reading", "sentence"] = ""


def all_measures() -> tuple[Measure, ...]:
    """Every figure of the evaluators that judge a checkpoint, in the order of records.

    Raises:
        PlantedError: If two evaluators declare the same name, or one of another package cannot be
            imported.
    """
    from planted.eval import evaluators

    found: dict[str, Measure] = {}
    for name in evaluators.names():
        for measure in evaluators.get(name).measures:
            if measure.name in found:
                raise PlantedError(
                    f"The evaluators {found[measure.name].family!r} and {name!r} both declare the "
                    f"measure {measure.name!r}. Rename one of them, as '{name}.…'."
                )
            found[measure.name] = measure
    return tuple(found.values())


def get(name: str) -> Measure:
    """The declaration of a figure.

    Raises:
        UnknownNameError: If no evaluator declares the name; the near ones are listed.
    """
    found = find(name)
    if found is None:
        raise unknown("measure", name, (measure.name for measure in all_measures()))
    return found


def find(name: str) -> Measure | None:
    """The declaration of a figure; None where no evaluator that is installed declares it."""
    from planted.eval import evaluators

    own = evaluators.own_measures()
    if name in own:  # without a look at what other packages bring
        return own[name]
    return next((measure for measure in all_measures() if measure.name == name), None)


def label(name: str) -> str:
    """What a figure is called; its own name where no evaluator that is installed declares it."""
    found = find(name)
    return name if found is None else found.label


def heading(name: str) -> str:
    """The heading that tables list a figure under; "Other" where nobody declares it."""
    found = find(name)
    return "Other" if found is None else found.heading or found.family


def held_against(null: str) -> tuple[str, ...]:
    """Names of the figures that must stand beside this null, in the order of records."""
    return tuple(measure.name for measure in all_measures() if measure.null == null)


def names_of(measures: Iterable[Measure]) -> tuple[str, ...]:
    """The names of some measures, in their order."""
    return tuple(measure.name for measure in measures)
