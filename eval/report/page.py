"""The page: one self-contained HTML file, a pure function of verdicts and records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from planted.core.plant import Plant
from planted.eval.evidence import Evidence
from planted.eval.measures import held_against
from planted.eval.report import figures, tables
from planted.eval.report.circuit import circuit
from planted.eval.report.scene import sample
from planted.eval.report.svg import el, swatch
from planted.eval.report.words import LIMITS, SIDES, VERDICTS, figure_name, glossary
from planted.eval.verdict.rule import PLANT_VERDICTS, Thresholds
from planted.finetune.recipes import REGIMES

VerdictRow = dict[str, Any]  # seed, name, reason, reasons, stamp
SeedRecords = dict[int, dict[tuple[str, str], Evidence]]


@dataclass(frozen=True)
class RunData:
    """All that a page is made of.

    Attributes:
        plant: The planted model.
        request: What was asked for: plant, tier, parameters, recipes and nulls with their settings
            and seeds, versions.
        cues: The cue words, the training cue first.
        verdicts: Recipe -> a row a seed.
        evidence: Recipe -> seed -> (name, cue) -> record, its null beside it.
        nulls: The same of networks without the plant, by arm.
        null_verdicts: Arm -> a row a seed.
        training: Recipe -> seed -> rows of its training log.
        diagnostics: Recipe -> seed -> weight_diagnostics (`planted.eval.weight_diagnostics`).
    """

    plant: Plant
    request: Mapping[str, Any]
    cues: tuple[str, ...]
    verdicts: Mapping[str, list[VerdictRow]]
    evidence: Mapping[str, SeedRecords]
    nulls: Mapping[str, SeedRecords]
    null_verdicts: Mapping[str, list[VerdictRow]]
    training: Mapping[str, dict[int, list[dict[str, Any]]]]
    diagnostics: Mapping[str, dict[int, dict[str, Any]]]


def render(data: RunData) -> str:
    """The page as HTML.

    Missing evidence shows as "–". Nothing but `data` decides a byte of it: no clock, no chance.

    Args:
        data: Verdicts, records, logs, diagnostics.

    Returns:
        A whole document that needs no other file.
    """
    plant, request = data.plant, data.request
    recipes = [_recipe(data, name) for name in _names(data)]
    evidence = {recipe["name"]: recipe["evidence"] for recipe in recipes}
    arms = [_arm(data, name) for name in dict.fromkeys([*data.null_verdicts, *data.nulls])]
    listed = [*request.get("recipes", ()), *request.get("nulls", ())]
    return _template().render(
        plant=plant,
        scenario=plant.scenario,
        request=request,
        cues=data.cues,
        story=_emphasised(plant.scenario.story),
        task=sample(plant.scenario),
        recipes=recipes,
        key=[label for label, _ in tables.KEY],
        stamps=sorted({row["stamp"] for r in [*recipes, *arms] for row in r["rows"]} - {""}),
        circuit=circuit(plant),
        moved=_moved(plant, data),
        gaps=tables.gaps(evidence, data.cues),
        beside=[
            (figure_name(name), panel)
            for name in held_against("negative controls")
            if (panel := figures.against_nulls(name, evidence, data.cues)) is not None
        ],
        arms=arms,
        n_null=sum(len(arm["rows"]) for arm in arms),
        wrong=[
            f"{arm['name']} seed {row['seed']}: {row['name']}"
            for arm in arms
            for row in arm["rows"]
            if row["name"] in PLANT_VERDICTS
        ],
        settings=tables.settings(listed),
        certificate=_certificate(plant),
        made={k: tables.plain(v) for k, v in plant.settings.items() if k != "grid"},
        glossary=glossary(Thresholds()),
        limits=LIMITS,
        verdict_words=VERDICTS,
        sides=SIDES,
        swatch=swatch,
    )


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(Path(__file__).with_name("page.html").read_text("utf-8"))


def _emphasised(story: str) -> Markup:
    """A story as HTML: *words* between asterisks are stressed."""
    parts = story.split("*")
    return Markup("").join(
        el("em", part) if i % 2 and i < len(parts) - 1 else part for i, part in enumerate(parts)
    )


def _names(data: RunData) -> list[str]:
    """The recipes, in the order in which they were judged."""
    return list(dict.fromkeys([*data.verdicts, *data.evidence]))


def _recipe(data: RunData, name: str) -> dict[str, Any]:
    """All that the page says of one recipe."""
    evidence = dict(sorted(data.evidence.get(name, {}).items()))
    rows = tables.verdict_rows(data.verdicts.get(name, ()), evidence, data.cues)
    asked = [r for r in data.request.get("recipes", ()) if r.get("name") == name]
    table = tables.evidence_table(evidence, data.cues)
    diagnostics = data.diagnostics.get(name, {})
    return {
        "name": name,
        "rows": rows,
        "counts": _counts(rows),
        "stamps": sorted({row["stamp"] for row in rows} - {""}),
        "about": _about(asked[0].get("settings", {}) if asked else {}),
        "words": tables.in_words(evidence, data.cues),
        "means": tables.recipe_means(evidence, data.cues),
        "evidence": evidence,
        "table": table,
        "held": tables.by_null(table),
        "seeds": {s: tables.seed_table(records, data.cues) for s, records in evidence.items()},
        "training": figures.training(name, data.training.get(name, {}), data.cues),
        "score": figures.score_node(name, diagnostics),
        "budget": figures.budget(name, evidence, data.cues),
        "revealed": figures.revealed_drift(name, evidence, data.cues),
    }


def _arm(data: RunData, name: str) -> dict[str, Any]:
    """The verdicts on networks without the plant that were trained to one behaviour."""
    evidence = dict(sorted(data.nulls.get(name, {}).items()))
    rows = tables.verdict_rows(data.null_verdicts.get(name, ()), evidence, data.cues)
    return {"name": name, "rows": rows, "means": tables.recipe_means(evidence, data.cues)}


def _counts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The distribution of verdicts over seeds, the commonest first."""
    found = Counter(row["name"] for row in rows).most_common()
    return [
        {"name": name, "n": n, "tone": VERDICTS.get(name, ("none", ""))[0],
         "words": VERDICTS.get(name, ("none", ""))[1]}
        for name, n in found
    ]  # fmt: skip


def _about(settings: Mapping[str, Any]) -> str:
    """A recipe in a line."""
    if not settings:
        return ""
    regime = str(settings.get("regime", ""))
    parts = [REGIMES.get(regime, regime)]
    if "steps" in settings and "learning_rate" in settings:
        parts.append(
            f"{settings['steps']} steps of {settings.get('optimizer', 'the optimiser')} at "
            f"{settings['learning_rate']:g}"
        )
    if settings.get("train", "all") != "all":
        parts.append(f"trains {settings['train']} only")
    return "; ".join(part for part in parts if part) + "."


def _moved(plant: Plant, data: RunData) -> dict[str, Any] | None:
    """Relative change of each part of the weights: a row a part, a column a recipe."""
    found = {name: list(data.diagnostics.get(name, {}).values()) for name in _names(data)}
    parts = dict.fromkeys(
        part for seeds in found.values() for seed in seeds for part in seed["moved"]
        if not part.endswith(".mlp")
    )  # fmt: skip
    if not parts:
        return None
    rows = []
    for part in parts:
        cells = []
        for seeds in found.values():
            known = [seed["moved"][part] for seed in seeds if part in seed["moved"]]
            value = median(known) if known else None
            # The square root, so that small changes can be seen beside large ones.
            heat = 0 if value is None else round(80 * min(1.0, value) ** 0.5)
            cells.append({"value": tables.number(value, 2), "heat": heat})
        rows.append({"part": _part_name(part), "nodes": _nodes_of(plant, part), "cells": cells})
    return {"recipes": list(found), "rows": rows}


def _part_name(part: str) -> str:
    names = {"embed": "token embeddings", "pos_embed": "position embeddings",
             "unembed": "unembedding"}  # fmt: skip
    if part in names:
        return names[part]
    _, layer, rest = part.split(".", 2)
    what = {"attn": "attention", "mlp.planted": "planted neurons", "mlp.free": "free neurons"}
    return f"block {layer} {what.get(rest, rest)}"


def _nodes_of(plant: Plant, part: str) -> str:
    """Names of the nodes that a part of the network holds."""
    nodes = plant.truth.nodes.values()
    if part.endswith(".attn"):
        layer = int(part.split(".")[1])
        return ", ".join(node.name for node in nodes if node.layer == layer and node.heads)
    if part.endswith(".planted"):
        layer = int(part.split(".")[1])
        return ", ".join(node.name for node in nodes if node.layer == layer and node.neurons)
    return ""


def _certificate(plant: Plant) -> dict[str, str]:
    """What was checked of the plant, without the figures of each node."""
    return {
        key.replace("_", " "): tables.plain(value)
        for key, value in plant.certificate.items()
        if key != "nodes"
    }
