"""The page: one self-contained HTML file, a pure function of verdicts and records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from planted.core.plant import Plant
from planted.eval.evidence import Evidence
from planted.eval.measures import held_against
from planted.eval.report import fates, figures, tables
from planted.eval.report.circuit import circuit
from planted.eval.report.sources import limits, measure
from planted.eval.report.svg import el, swatch
from planted.eval.report.task import sample
from planted.eval.report.words import TONES, VERDICTS, cautions, terms

VerdictRow = dict[str, Any]  # seed, name, reason, reasons, stamp
SeedRecords = dict[int, dict[tuple[str, str], Evidence]]


@dataclass(frozen=True)
class RunData:
    """All that a page is made of.

    Attributes:
        plant: The planted model.
        request: What was asked for: plant, tier, parameters, recipes and nulls with their settings
            and seeds, versions.
        cues: Names of the cues, the training cue first.
        verdicts: Recipe -> a row for each seed.
        evidence: Recipe -> seed -> (name, cue) -> record, its null beside it.
        nulls: The same of the negative controls, by the behaviour that they were trained to.
        null_verdicts: Arm -> a row for each seed.
        training: Recipe -> seed -> rows of its training log.
        diagnostics: Recipe -> seed -> weight diagnostics (`planted.eval.weight_diagnostics`).
        nulls_from: Where the nulls come from, in a sentence without a full stop.
        over_training: Recipe -> seed -> (step, name of the verdict then), of the networks that
            were judged at every saved step.
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
    nulls_from: str = ""
    over_training: Mapping[str, dict[int, list[tuple[int, str]]]] = field(default_factory=dict)


def render(data: RunData) -> str:
    """The page as HTML.

    What is missing shows as "–". Nothing but `data` decides a byte of it: no clock, no chance.

    Args:
        data: Verdicts, records, logs, diagnostics.

    Returns:
        A whole document that needs no other file.
    """
    recipes = [_recipe(data, name) for name in _names(data)]
    arms = [_arm(data, name) for name in dict.fromkeys([*data.null_verdicts, *data.nulls])]
    return (
        _environment()
        .get_template("page.html")
        .render(
            **_top(recipes, arms),
            **_plant(data),
            **_evidence(data, recipes),
            recipes=recipes,
            arms=arms,
            cues=data.cues,
            key=[(measure(name).label, measure(name).explanation) for name in tables.KEY],
            terms=terms(limits()),
            verdict_words=VERDICTS,
            tones=TONES,
            cautions=cautions(limits()),
            swatch=swatch,
            nulls_from=data.nulls_from,
            over_training=fates.over_training(data.over_training),
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _top(recipes: list[dict[str, Any]], arms: list[dict[str, Any]]) -> dict[str, Any]:
    """The result, the stamps, and what each verdict that was given claims."""
    return {
        "result": fates.result(recipes),
        "stamps": fates.stamps([row for r in [*recipes, *arms] for row in r["rows"]]),
        "occurring": fates.occurring(recipes),
        "wrong": fates.claims_of_the_plant(arms),
        "n_null": sum(len(arm["rows"]) for arm in arms),
    }


def _plant(data: RunData) -> dict[str, Any]:
    """The task, the plant, and how it was made."""
    plant, request = data.plant, data.request
    listed = [*request.get("recipes", ()), *request.get("nulls", ())]
    return {
        "plant": plant,
        "scenario": plant.scenario,
        "request": request,
        "story": _emphasised(plant.scenario.story),
        "task": sample(plant.scenario),
        "circuit": circuit(plant),
        "settings": tables.settings(listed),
        "certificate": _certificate(plant),
        "made": {k: tables.plain(v) for k, v in plant.settings.items() if k != "grid"},
    }


def _evidence(data: RunData, recipes: list[dict[str, Any]]) -> dict[str, Any]:
    """What is shown across recipes."""
    found = {recipe["name"]: recipe["evidence"] for recipe in recipes}
    panels = {
        measure(name).label: figures.against_nulls(measure(name).label, name, found, data.cues)
        for name in held_against("negative controls")
    }
    return {
        "gaps": tables.gaps(found, data.cues),
        "beside": [(label, panel) for label, panel in panels.items() if panel is not None],
        "moved": _moved(data.plant, data),
    }


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
    return {
        "name": name,
        "rows": rows,
        "counts": fates.counts(rows),
        "about": fates.about(asked[0].get("settings", {}) if asked else {}),
        "means": tables.recipe_means(evidence, data.cues),
        "evidence": evidence,
        "table": table,
        "held": tables.by_null(table),
        "seeds": {s: tables.seed_table(records, data.cues) for s, records in evidence.items()},
        "training": figures.training(name, data.training.get(name, {}), data.cues),
        "score": figures.score_node(name, data.diagnostics.get(name, {})),
        "attribution": figures.attribution(name, evidence, data.cues),
        "interpolation": figures.interpolation(name, evidence, data.cues),
    }


def _arm(data: RunData, name: str) -> dict[str, Any]:
    """The verdicts on negative controls that were trained to one behaviour."""
    evidence = dict(sorted(data.nulls.get(name, {}).items()))
    rows = tables.verdict_rows(data.null_verdicts.get(name, ()), evidence, data.cues)
    return {
        "name": name,
        "rows": rows,
        "counts": fates.counts(rows),
        "means": tables.recipe_means(evidence, data.cues),
    }


def _moved(plant: Plant, data: RunData) -> dict[str, Any] | None:
    """Relative change of the weights: a row for each part, a column for each recipe."""
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
