"""Which catalogue plants are judged at once, from the table that is shipped; needs numpy alone."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib.resources import files as resources
from pathlib import Path
from typing import Any

from planted.core import files
from planted.core.plant import Plant
from planted.eval.calibration.digest import validation_digest

JUDGED, REFUSED, FIRST = "yes", "no", "after validation"
TWINS = ("controller", "decision list", "decoy search", "heuristics", "table")  # mechanisms


def by_name(name: str, mechanism: str) -> str:
    """Whether verdicts can be given on a catalogue plant: "yes", "no", or "after validation".

    "no" where an evaluator failed its validation, and for twins, which have no objective to judge.
    A plant that the table does not name, as one in another size, is validated in its first run.

    Args:
        name: Name, size and version.
        mechanism: How it comes to its answer.

    Examples:
        >>> by_name("red-doors@1", "search"), by_name("crumbs.large@1", "search")
        ('yes', 'after validation')
    """
    told = next((told for told in _table().values() if told["plant"] == name), None)
    if told is None:
        return REFUSED if mechanism in TWINS else FIRST
    return REFUSED if any(told["evaluators"].values()) else JUDGED


def of(plant: Plant) -> str:
    """A sentence: whether verdicts on a plant's checkpoints can be given, and why not.

    Raises:
        ScenarioError: If the scenario's parameters are no plain data.
    """
    if not plant.truth.of_role("score"):
        return "no: a twin has no planted objective whose fate could be judged"
    told = _table().get(validation_digest(plant))
    if told is None:
        return f"{FIRST}: its first run validates the evaluators on it, which takes a few minutes"
    reasons = {f"{name} ({why})" for name, why in told["evaluators"].items() if why}
    return f"no: not trusted on it are {'; '.join(sorted(reasons))}" if reasons else JUDGED


@functools.cache
def _table() -> Mapping[str, Any]:
    path = Path(str(resources("planted.eval.calibration") / "trust.json"))
    table: Mapping[str, Any] = files.read_json(path)["trust"]
    return table
