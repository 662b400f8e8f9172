"""Two runs side by side: verdicts by recipe, key figures with intervals over seeds, requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from planted.errors import PlantedError, need
from planted.eval.evidence import LEVEL
from planted.eval.measures import label
from planted.runs.results import CheckpointResult, Run

FIGURES = (
    "agreement.mesa",
    "agreement.base",
    "paths.scorer_share",
    "paths.interpolation",
    "presence.mesa_argmax",
)


class Difference(msgspec.Struct, frozen=True):
    """How a figure of a recipe differs between two runs.

    Attributes:
        recipe: The recipe.
        figure: Name of the record, with its cue, as "agreement.base[T]".
        first: Mean over the seeds of the first run.
        second: Mean over the seeds of the second run.
        difference: second - first.
        lo: Lower end of its 95 % interval over seeds (Welch 1947); None with fewer than two seeds
            in a run, or no scatter.
        hi: Upper end.
        why_no_interval: Why there is none; "" where there is one.
    """

    recipe: str
    figure: str
    first: float
    second: float
    difference: float
    lo: float | None = None
    hi: float | None = None
    why_no_interval: str = ""


class Comparison(msgspec.Struct, frozen=True):
    """Two runs side by side.

    Attributes:
        names: The two run folders.
        verdicts: Recipe -> verdict -> number of seeds in the first and in the second run.
        differences: Key figures of the recipes that both runs have.
        requests: What differs in the requests: place -> value in the first and in the second.
    """

    names: tuple[str, str]
    verdicts: dict[str, dict[str, tuple[int, int]]]
    differences: tuple[Difference, ...]
    requests: dict[str, tuple[Any, Any]]

    def __str__(self) -> str:
        """Three tables in text."""
        lines = [f"A: {self.names[0]}", f"B: {self.names[1]}", "verdicts (seeds in A, in B)"]
        for recipe, counts in self.verdicts.items():
            shown = ", ".join(f"{name} {a} | {b}" for name, (a, b) in counts.items())
            lines.append(f"  {recipe}: {shown}")
        if self.differences:
            lines.append("figures: mean over seeds in A, in B, and B − A with its 95 % interval")
        else:
            lines.append("figures: none, because no recipe is in both runs with figures")
        names = [f"{d.recipe}: {_in_words(d.figure)}" for d in self.differences]
        width = max(map(len, names), default=0)
        for name, d in zip(names, self.differences, strict=True):
            span = f"({d.why_no_interval})" if d.lo is None or d.hi is None else _span(d.lo, d.hi)
            lines.append(
                f"  {name:<{width}}  {d.first:.3f}  {d.second:.3f}  {_signed(d.difference)} {span}"
            )
        lines.append("requests: " + ("the same" if not self.requests else "A | B"))
        lines += [f"  {place}: {a} | {b}" for place, (a, b) in self.requests.items()]
        return "\n".join(lines)


def compare(first: Run, second: Run) -> Comparison:
    """Two opened runs side by side.

    Raises:
        PlantedError: If one of them is no opened run.
    """
    for run in (first, second):
        if not isinstance(run, Run):
            raise PlantedError(
                f"Two runs are compared, each from planted.open_run(folder); got {run!r}."
            )
    recipes = dict.fromkeys([*first.verdicts, *second.verdicts])
    verdicts: dict[str, dict[str, tuple[int, int]]] = {}
    for recipe in recipes:
        one, two = first.verdicts.get(recipe, {}), second.verdicts.get(recipe, {})
        verdicts[recipe] = {k: (one.get(k, 0), two.get(k, 0)) for k in {**one, **two}}
    shared = [
        recipe for recipe in recipes if recipe in first.verdicts and recipe in second.verdicts
    ]
    differences = [
        found
        for recipe in shared
        for found in _figures(recipe, first.of(recipe), second.of(recipe))
    ]
    return Comparison(
        (str(first.folder), str(second.folder)),
        verdicts,
        tuple(differences),
        dict(_differing("", _plain(first.request), _plain(second.request))),
    )


def _figures(
    recipe: str, first: Iterable[CheckpointResult], second: Iterable[CheckpointResult]
) -> Iterable[Difference]:
    one, two = _values(first), _values(second)
    for name in one:
        if name in two:
            yield _difference(recipe, name, one[name], two[name])


def _values(results: Iterable[CheckpointResult]) -> dict[str, list[float]]:
    """Figure -> its estimates over seeds, where it was measured."""
    found: dict[str, list[float]] = {}
    for result in results:
        for key, record in result.evidence.items():
            if record.name in FIGURES and record.estimate is not None:
                found.setdefault(key, []).append(record.estimate)
    return found


def _difference(recipe: str, name: str, one: list[float], two: list[float]) -> Difference:
    need("scipy", "compare two runs")
    from scipy import stats

    first, second = sum(one) / len(one), sum(two) / len(two)
    lo = hi = None
    why = ""
    if min(len(one), len(two)) < 2:
        why = "no interval: fewer than two seeds in a run"
    elif len(set(one)) == len(set(two)) == 1:
        why = "no interval: the seeds of each run have one value"
    else:
        found = stats.ttest_ind(two, one, equal_var=False).confidence_interval(LEVEL)
        lo, hi = float(found.low), float(found.high)
    return Difference(recipe, name, first, second, second - first, lo, hi, why)


def _in_words(figure: str) -> str:
    """A figure by its label, as "mesa choices on Δ [T]"."""
    name, bracket, cue = figure.partition("[")
    return f"{label(name)} {bracket}{cue}".rstrip()


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}"  # + 0.0: of a rounded -0.0 no sign is shown


def _span(lo: float, hi: float) -> str:
    return f"({_signed(lo)} to {_signed(hi)})"


def _plain(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request with its recipes by name, so that they are compared with their like."""
    named = {key: {r["name"]: r for r in request.get(key, ())} for key in ("recipes", "controls")}
    own = {
        "first": 0,
        "shipped": None,
        "why": "",
    }  # of a control of an older run, which trained all
    named["controls"] = {name: {**own, **each} for name, each in named["controls"].items()}
    return {**request, **named, "findings": [f["name"] for f in request.get("findings", ())]}


def _differing(place: str, first: Any, second: Any) -> Iterable[tuple[str, tuple[Any, Any]]]:
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted({*first, *second}):
            where = f"{place}.{key}" if place else key
            yield from _differing(where, first.get(key), second.get(key))
    elif first != second:
        yield place, (_short(first), _short(second))


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return f"{value.get('seeds', len(value))} seeds" if "seeds" in value else value
    return "–" if value is None else value
