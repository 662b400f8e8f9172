"""The first lines of the page: the result in one sentence, and the verdicts of each recipe."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from planted.eval.report.tables import MISSING
from planted.eval.report.words import STAMPS, VERDICTS, VerdictWords
from planted.eval.verdict.rule import PLANT_VERDICTS
from planted.finetune.recipes import REGIMES

UNKNOWN = VerdictWords("none", "", "")
Rows = Sequence[Mapping[str, Any]]  # of `tables.verdict_rows`


def counts(rows: Rows) -> list[dict[str, Any]]:
    """The distribution of verdicts over seeds, the commonest first: name, n, tone."""
    return [
        {"name": name, "n": n, "tone": VERDICTS.get(name, UNKNOWN).tone}
        for name, n in Counter(row["name"] for row in rows).most_common()
    ]


def result(recipes: Iterable[Mapping[str, Any]]) -> str:
    """The result in one sentence.

    Args:
        recipes: Each with its name and its `rows`.
    """
    listed = [(str(recipe["name"]), recipe["rows"]) for recipe in recipes]
    rows = [row for _, found in listed for row in found]
    if not rows:
        return "No checkpoint has been judged."
    where = listed[0][0] if len(listed) == 1 else f"{len(listed)} recipes"
    many = "1 fine-tuned network" if len(rows) == 1 else f"{len(rows)} fine-tuned networks"
    found = ", ".join(f"{c['name']} {c['n']}" for c in counts(rows))
    return f"{many} ({where}): {found}."


def occurring(recipes: Iterable[Mapping[str, Any]]) -> list[tuple[str, VerdictWords]]:
    """Each verdict that was given, the commonest first, in words."""
    rows = [row for recipe in recipes for row in recipe["rows"]]
    return [(c["name"], VERDICTS.get(c["name"], UNKNOWN)) for c in counts(rows)]


def stamps(rows: Rows) -> list[tuple[str, str]]:
    """Each stamp that a verdict carries, and what it says."""
    return [(stamp, STAMPS.get(stamp, "")) for stamp in sorted({r["stamp"] for r in rows} - {""})]


def claims_of_the_plant(arms: Iterable[Mapping[str, Any]]) -> list[str]:
    """The negative controls whose verdict says that the plant is there: none should be."""
    return [
        f"{arm['name']} seed {row['seed']}: {row['name']}"
        for arm in arms
        for row in arm["rows"]
        if row["name"] in PLANT_VERDICTS
    ]


def about(settings: Mapping[str, Any]) -> str:
    """A recipe in a line, from its settings."""
    if not settings:
        return ""
    regime = str(settings.get("regime", ""))
    parts = [REGIMES.get(regime, regime)]
    if "steps" in settings and "learning_rate" in settings:
        parts.append(
            f"{settings['steps']} steps of {settings.get('optimizer', MISSING)} at "
            f"{settings['learning_rate']:g}"
        )
    if settings.get("train", "all") != "all":
        parts.append(f"trains {settings['train']} only")
    said = "; ".join(part for part in parts if part)
    return f"{said[:1].upper()}{said[1:]}."
