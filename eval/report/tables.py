"""The tables of the page: figures as text, per seed and across seeds, beside their nulls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from planted.eval.evidence import Evidence, Null, Records, across_seeds
from planted.eval.reading import behaviour_class
from planted.eval.report.sources import explanation, heading, limits, measure
from planted.eval.report.words import SIDES

MISSING = "–"
NOT_MEASURED = "not measured"
ALONE = "one seed: no interval"
KEY = (  # the measures that stand beside every verdict
    "agreement.mesa",
    "agreement.base",
    "paths.scorer_share",
    "paths.interpolation",
    "presence.mesa_argmax",
)
Seeds = Mapping[int, Records]


class Cell(NamedTuple):
    """A figure as text.

    Attributes:
        value: The figure, or "–".
        interval: Its interval or range, or why there is none.
        note: What a reader may want to know besides.
    """

    value: str
    interval: str = ""
    note: str = ""


def number(value: float | None, digits: int = 3) -> str:
    """A figure with this many decimals, a true minus sign, and no negative zero."""
    if value is None:
        return MISSING
    shown = f"{value:.{digits}f}"
    return shown.lstrip("-") if float(shown) == 0 else shown.replace("-", "−")


def between(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval in brackets; empty where an end is missing."""
    if low is None or high is None:
        return ""
    return f"[{number(low, digits)}, {number(high, digits)}]"


def cell(record: Evidence | None, digits: int = 3) -> Cell:
    """One checkpoint's figure with its interval over tasks."""
    if record is None:
        return Cell(MISSING, note=NOT_MEASURED)
    if record.estimate is None or record.status != "ok":
        return Cell(MISSING, note=record.reason or record.status)
    return Cell(
        number(record.estimate, digits), between(record.lo, record.hi, digits), record.reason
    )


def values(seeds: Seeds, name: str, cue: str) -> list[float]:
    """The figure in each seed in which it could be measured."""
    found = [seeds[seed].get((name, cue)) for seed in sorted(seeds)]
    return [r.estimate for r in found if r is not None and r.status == "ok"
            and r.estimate is not None]  # fmt: skip


def mean(seeds: Seeds, name: str, cue: str, digits: int = 3) -> Cell:
    """Mean over seeds with a t interval: a claim about the recipe, which one seed cannot make.

    Of a sign, the number of seeds in which it is 1 and -1.
    """
    found = values(seeds, name, cue)
    if found and measure(name).unit == "sign":  # a t interval over 1 and −1 means nothing
        return Cell(_signs(found))
    if len(found) < 2:
        return Cell(number(found[0], digits), ALONE) if found else Cell(MISSING)
    middle, low, high = across_seeds(found)
    return Cell(number(middle, digits), between(low, high, digits), f"{len(found)} seeds")


def _signs(found: Sequence[float]) -> str:
    """In how many seeds a figure is 1, and in how many -1."""
    counts = [("1", sum(x > 0 for x in found)), ("−1", sum(x < 0 for x in found))]
    return ", ".join(f"{sign} in {n} of {len(found)} seeds" for sign, n in counts if n)


def middle(seeds: Seeds, name: str, cue: str, digits: int = 3) -> Cell:
    """Median over seeds with their range."""
    found = values(seeds, name, cue)
    if not found:
        return Cell(MISSING)
    low, high = number(min(found), digits), number(max(found), digits)
    return Cell(number(median(found), digits), f"{low} to {high}" if low != high else "")


# --- verdicts -----------------------------------------------------------------------------------


def verdict_rows(
    verdicts: Iterable[Mapping[str, Any]], seeds: Seeds, cues: Sequence[str]
) -> list[dict[str, Any]]:
    """A row a seed: verdict, explanation, comparisons, and the `KEY` measures of each cue."""
    rows = []
    for verdict in sorted(verdicts, key=lambda row: int(row["seed"])):
        records = seeds.get(verdict["seed"], {})
        said, *comparisons = explanation(verdict)
        rows.append(
            {
                "seed": verdict["seed"],
                "name": verdict["name"],
                "explanation": said,
                "comparisons": comparisons,
                "stamp": verdict.get("stamp", ""),
                "cues": [
                    {
                        "cue": cue,
                        "behaviour": _behaviour(records, cue),
                        "cells": [cell(records.get((name, cue)), 2) for name in KEY],
                    }
                    for cue in cues
                ],
            }
        )
    return rows


def _behaviour(records: Records, cue: str) -> str:
    """The class of behaviour in words, where what it is read from was measured."""
    if any((name, cue) not in records for name in ("agreement.mesa", "agreement.base")):
        return MISSING
    return SIDES.get(behaviour_class(records, cue), MISSING)


def recipe_means(seeds: Seeds, cues: Sequence[str]) -> list[dict[str, Any]]:
    """Means over the seeds of a recipe of the `KEY` measures, a row a cue."""
    return [{"cue": cue, "cells": [mean(seeds, name, cue, 2) for name in KEY]} for cue in cues]


# --- evidence -----------------------------------------------------------------------------------


def null_text(nulls: Sequence[Null]) -> Cell:
    """The range that the nulls of a figure span, and what they are."""
    if not nulls:
        return Cell(MISSING)
    low, high = min(null.lo for null in nulls), max(null.hi for null in nulls)
    kinds = sorted({null.kind for null in nulls})
    shown = number(low) if low == high else f"{number(low)} to {number(high)}"
    sizes = sorted({null.n for null in nulls})
    many = f"n {sizes[0]}" if len(sizes) == 1 else f"n {sizes[0]} to {sizes[-1]}"
    return Cell(shown, f"{'; '.join(kinds)}, {many}")


def evidence_table(seeds: Seeds, cues: Sequence[str]) -> list[dict[str, Any]]:
    """Every figure of a recipe, under the headings of their families, over its seeds.

    Returns:
        A list of {"title", "rows"}; a row has the record's name, label, explanation, cue,
        median and mean as cells, null, n, unit, and whether it has a null.
    """
    return _grouped(_keys(seeds, cues), lambda name, cue: _across(seeds, name, cue))


def by_null(table: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """The figures of `evidence_table` that have a null, under what that null is."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for group in table:
        for row in group["rows"]:
            if row["held"]:
                groups.setdefault(row["null"].interval, []).append(row)
    return list(groups.items())


def seed_table(records: Records, cues: Sequence[str]) -> list[dict[str, Any]]:
    """Every figure of one checkpoint, under the same headings."""
    return _grouped(_keys({0: records}, cues), lambda name, cue: _single(records[(name, cue)]))


def _keys(seeds: Seeds, cues: Sequence[str]) -> list[tuple[str, str]]:
    """Every measurement in any seed: by family, in the order met, the cues of a figure together."""
    met = dict.fromkeys(key for seed in sorted(seeds) for key in seeds[seed])
    names = list(dict.fromkeys(name for name, _ in met))
    order = {cue: i for i, cue in enumerate(cues)}
    return sorted(met, key=lambda key: (names.index(key[0]), order.get(key[1], -1), key[1]))


def _grouped(keys: Sequence[tuple[str, str]], row_of: Any) -> list[dict[str, Any]]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, cue in keys:
        known = measure(name)
        row = {
            "id": name, "name": known.label, "explanation": known.explanation, "cue": cue,
            **row_of(name, cue),
        }  # fmt: skip
        groups.setdefault(heading(name), []).append(row)
    return [{"title": title, "rows": rows} for title, rows in groups.items()]


def _across(seeds: Seeds, name: str, cue: str) -> dict[str, Any]:
    found = [r for seed in sorted(seeds) if (r := seeds[seed].get((name, cue))) is not None]
    nulls = [record.null for record in found if record.null is not None]
    sizes = sorted({record.n for record in found})
    return {
        "median": middle(seeds, name, cue),
        "mean": mean(seeds, name, cue),
        "null": null_text(nulls),
        "held": bool(nulls),
        "n": f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}",
        "unit": ", ".join(sorted({record.unit for record in found})),
    }


def _single(record: Evidence) -> dict[str, Any]:
    nulls = [] if record.null is None else [record.null]
    floor = "" if record.floor is None else f"floor {number(record.floor)}"
    shown = cell(record)
    notes = [part for part in (shown.note, floor) if part]
    return {
        "cell": shown._replace(note="; ".join(notes)), "null": null_text(nulls),
        "n": str(record.n) if record.n else MISSING, "unit": record.unit,
    }  # fmt: skip


# --- gaps and settings --------------------------------------------------------------------------


def gaps(evidence: Mapping[str, Seeds], cues: Sequence[str]) -> dict[str, Any]:
    """The three gaps, and whether base and mesa-objective are comparable.

    Returns:
        "declared": distance -> cell, of the base against the mesa-objective, which no training
        changes. "rows": a row a recipe and cue with f and both behavioural gaps. "facts":
        ρ, Δ, additivity. "comparable": in words.
    """
    one: Records = next((r for seeds in evidence.values() for r in seeds.values()), {})
    names = ("choice", "rank", "regret", "starc")
    rows = [
        {
            "recipe": recipe,
            "cue": cue,
            "interpolation": middle(seeds, "behavioural_objective.interpolation", cue, 2),
            "sides": [
                [middle(seeds, f"gap.{side}_behavioural.{name}", cue) for name in names]
                for side in ("mesa", "base")
            ],
        }
        for recipe, seeds in evidence.items()
        for cue in cues
    ]
    facts = [
        (measure(name).label, cell(one.get((name, "all"))))
        for name in ("objectives.rho", "objectives.delta", "objectives.additive")
    ]
    return {
        "names": [measure(f"gap.base_mesa.{name}").label for name in names],
        "declared": [cell(one.get((f"gap.base_mesa.{name}", "all"))) for name in names],
        "rows": rows,
        "facts": facts,
        "comparable": _comparable(one.get(("objectives.additive", "all"))),
    }


def _comparable(record: Evidence | None) -> tuple[bool | None, str]:
    """The check that the verdict rule makes first: the base objective adds up over tasks."""
    if record is None or record.at_least is None:
        return None, "Not tested: whether the base objective adds up over tasks was not measured."
    bound, limit = record.at_least, limits().valid
    figures = f"{number(record.estimate)} of {record.n} trials, at least {number(bound)}"
    if bound >= limit:
        return True, (
            "Comparable: the base objective depends on the choices alone and adds up over tasks "
            f"({figures})."
        )
    return False, f"Not comparable: the base objective does not add up over tasks ({figures})."


def settings(recipes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The settings of each recipe: what all share, and what they differ in."""
    listed = list(recipes)
    keys = list(dict.fromkeys(key for r in listed for key in r.get("settings", {})))
    rows = []
    for key in keys:
        shown = [plain(r.get("settings", {}).get(key)) for r in listed]
        rows.append({"name": key.replace("_", " "), "cells": shown, "same": len(set(shown)) == 1})
    seeds = [plain(r.get("seeds")) for r in listed]
    rows.append({"name": "seeds", "cells": seeds, "same": len(set(seeds)) == 1})
    if any(r.get("shipped") for r in listed):
        shipped = [plain((r.get("shipped") or {}).get("networks")) for r in listed]
        rows.append({"name": "networks that are shipped", "cells": shipped, "same": False})
    return {"recipes": [str(r.get("name", MISSING)) for r in listed], "rows": rows}


def plain(value: Any) -> str:
    """A setting as text."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)
    return str(value)
