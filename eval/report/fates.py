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
    return [
        (stamp, STAMPS.get(stamp.partition(":")[0], ""))
        for stamp in sorted({r["stamp"] for r in rows} - {""})
    ]


def claims_of_the_plant(arms: Iterable[Mapping[str, Any]]) -> list[str]:
    """The negative controls whose verdict says that the plant is there: none should be."""
    return [
        f"{arm['name']} seed {row['seed']}: {row['name']}"
        for arm in arms
        for row in arm["rows"]
        if row["name"] in PLANT_VERDICTS
    ]


def over_training(found: Mapping[str, Mapping[int, Sequence[tuple[int, str]]]]) -> list[Any]:
    """A row for each network that was judged at every saved step, and when its fate changed.

    Args:
        found: Recipe -> seed -> (step, name of the verdict then), the earliest first.
    """
    return [
        {
            "recipe": recipe,
            "seed": seed,
            "steps": [
                {"step": step, "name": name, "tone": VERDICTS.get(name, UNKNOWN).tone}
                for step, name in steps
            ],
            "said": changes(steps),
        }
        for recipe, seeds in found.items()
        for seed, steps in sorted(seeds.items())
    ]


def changes(steps: Sequence[tuple[int, str]]) -> str:
    """When a fate changed, in words.

    Examples:
        >>> changes([(25, "persists"), (50, "persists"), (100, "replaced")])
        'persists to step 50, replaced from step 100 on'
        >>> changes([(25, "persists"), (50, "persists")])
        'persists at every saved step'
    """
    runs: list[tuple[str, int, int]] = []
    for step, name in steps:
        if runs and runs[-1][0] == name:
            runs[-1] = (name, runs[-1][1], step)
        else:
            runs.append((name, step, step))
    if len(runs) == 1:
        return f"{runs[0][0]} at every saved step"
    first, *between, last = runs
    said = [f"{first[0]} to step {first[2]}"]
    said += [f"{name} from {a} to {b}" if a < b else f"{name} at {a}" for name, a, b in between]
    return ", ".join([*said, f"{last[0]} from step {last[1]} on"])


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
