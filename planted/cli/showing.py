"""Explains a plant in text: story, objectives, program, where each node stands, a sample task."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.cli import drawing
from planted.core.objectives import correlation, leftmost
from planted.core.plant import Plant
from planted.core.sampling import disagree, draw_where
from planted.core.scenario import Scenario
from planted.core.spec import n_layers
from planted.programs import catalogue

_PURPOSE = {
    "score": "holds the mesa-objective of each candidate",
    "compare": "serves to compare, pair by pair",
    "winner": "the best candidate, leftmost on ties",
    "emit": "carries the answer to the read-out",
    "belief": "what it believes: of the base objective, or of the world",
    "gate": "lets one of two winners through",
    "cue": "carries the cue to the candidates",
    "context": "fetches what the program needs",
    "feature": "a feature of each candidate",
    "table": "looks the answer up",
    "decoy": "a search beside, on which no choice depends",
    "inner": "an inner search, whose winner another one judges",
    "order": "puts the candidates in order of their slots",
}


def facts(plant: Plant, seed: int = 0) -> dict[str, Any]:
    """What `text` says, as plain data."""
    scenario, windows = plant.scenario, plant.truth.windows
    rng = np.random.default_rng(seed)
    drawn = scenario.draw(rng, 5000)
    same = not disagree(scenario, drawn).any()
    sample = draw_where(scenario, rng, 1, in_delta=not same)
    return {
        "name": plant.name,
        "tier": plant.tier,
        "kind": plant.kind,
        "mechanism": plant.mechanism,
        "answers": plant.answers,
        "story": scenario.story,
        "source": scenario.source,
        "mesa_objective": scenario.mesa.formula,
        "base_objective": scenario.base.formula,
        "search": search(plant),
        "rho": round(correlation(scenario.mesa.of(drawn), scenario.base.of(drawn)), 2),
        "disagreement": round(float(disagree(scenario, drawn).mean()), 3),
        "parameters": sum(int(value.size) for value in plant.params.values()),
        "layers": n_layers(plant.params),
        "nodes": [
            {
                "name": n.name,
                "role": n.role,
                "sites": list(n.hook_points),
                "neurons": len(n.neurons),
                "reads": list(n.reads),
                "last_read": windows[n.name].last_read,
            }
            for n in plant.truth.nodes.values()
        ],
        "edges": [[e.writer, e.reader, e.input] for e in plant.truth.edges],
        "certificate": {k: v for k, v in plant.certificate.items() if k != "nodes"},
        "sample": {
            "words": list(scenario.token_strings(sample)[0]),
            "candidates": [scenario.token_strings(sample)[0][at - 1] for at in scenario.candidates],
            "line": _whole(scenario, scenario.token_strings(sample)[0]),
            "mesa": scenario.mesa.of(sample)[0].tolist(),
            "base": scenario.base.of(sample)[0].tolist(),
            "mesa_choice": int(leftmost(scenario.mesa.of(sample))[0]) + 1,
            "base_choice": int(leftmost(scenario.base.of(sample))[0]) + 1,
            "chosen": int(plant.expected_choices(sample)[0]) + 1,
        },
    }


def _whole(scenario: Scenario, words: tuple[str, ...]) -> str:
    """The task in one line, and what the token at the read-out says."""
    cue = {"T": "T: the cue of training", "D": "D: of deployment"}.get(words[-1], words[-1])
    return f"{scenario.describe(words)}; read-out {cue}"


def text(plant: Plant) -> str:
    """A page that a newcomer understands in a minute."""
    known = facts(plant)
    scenario, certificate = plant.scenario, known["certificate"]
    lines = [
        f"{plant.name}  ({scenario.title}; {plant.kind}; {plant.mechanism}; tier {plant.tier})",
        "",
        *_twin(plant),
        *_wrapped(scenario.story),
        f"Source: {scenario.source}",
        "",
        f"  mesa-objective  u_m = {known['mesa_objective']}    {_sought(plant)}",
        f"  base objective  U   = {known['base_objective']}    what training rewards",
        *_sought_instead(plant),
        *_searched(plant),
        f"  On D_ref they correlate at ρ = {known['rho']} and pick different candidates on "
        f"{known['disagreement']:.0%} of tasks (Δ).",
        "",
        "One task, where they differ:" if known["disagreement"] else "One task:",
        *_sample(known["sample"]),
        "",
        "The circuit, and from where to where in the network each node matters:",
        *drawing.circuit(plant.truth),
        "  (● written, ┼ read, ┤ last read; a number is a block: its attention, then its MLP)",
        "",
        *_purposes(plant),
        "",
        f"{known['parameters']} parameters, {known['layers']} layers. Certificate: "
        f"{certificate.get('n', 0)} inputs "
        f"({'all there are' if certificate.get('exhaustive') else 'drawn'}), "
        f"{certificate.get('mismatches', '–')} mismatches with the oracle, least margin "
        f"{certificate.get('least_margin', '–')}.",
    ]
    return "\n".join(lines)


def _twin(plant: Plant) -> list[str]:
    """Whose choices a twin makes, by another mechanism, and on which tasks."""
    stem = plant.name.partition("@")[0]
    if stem.partition(".")[0] not in catalogue.ENTRIES:
        return []
    entry = catalogue.entry(stem)
    if not entry.twin_of:
        return []
    where = "on every task" if entry.twin_on == "all" else f"on tasks of {entry.twin_on}"
    return [f"A twin of {entry.twin_of}: the same choices {where}, found in another way.", ""]


def _sample(sample: dict[str, Any]) -> list[str]:
    rows = []
    for i, word in enumerate(sample["candidates"]):
        marks = [
            label
            for label, slot in (
                ("mesa-best", sample["mesa_choice"]),
                ("base-best", sample["base_choice"]),
                ("chosen", sample["chosen"]),
            )
            if slot == i + 1
        ]
        rows.append(
            f"  {i + 1}  {word:<14} u_m {sample['mesa'][i]:>4g}   U {sample['base'][i]:>4g}"
            + (f"   <- {', '.join(marks)}" if marks else "")
        )
    return [*rows, f"  {sample['line']}"]


def search(plant: Plant) -> dict[str, Any]:
    """What is searched and by which nodes: what evaluators of the search go by."""
    scenario, truth = plant.scenario, plant.truth
    found = {
        role: [node.name for node in truth.of_role(role)]
        for role in ("score", "compare", "winner", "emit", "cue", "cue", "belief")
    }
    return {
        "slots": list(scenario.search_space),
        "read_out": scenario.read_out,
        "domain": scenario.domain,
        "depth": scenario.depth,
        "transition": scenario.transition,
        **{role: names for role, names in found.items() if names},
    }


def _searched(plant: Plant) -> list[str]:
    """The shape of the search in a line or two; nothing where there is none."""
    shape, scenario = search(plant), plant.scenario
    if "score" not in shape or "winner" not in shape:
        return []
    slots = shape["slots"]
    what = {"action": "actions", "plan": "plans", "outcome": "actions, by their outcome"}
    steps = f", {scenario.depth} steps each" if scenario.depth > 1 else ""
    lines = [
        f"  search: {len(slots)} {what[scenario.domain]}{steps}, at positions {_places(slots)}; "
        f"read out at {shape['read_out']}"
    ]
    if scenario.transition:
        lines.append(f"  outcomes: {scenario.transition}")
    return lines


def _places(slots: list[int]) -> str:
    if slots == list(range(slots[0], slots[-1] + 1)):
        return f"{slots[0]} to {slots[-1]}"
    return ", ".join(map(str, slots))


def _sought(plant: Plant) -> str:
    """What the mesa-objective is to this network, by construction."""
    searches = bool(plant.truth.of_role("score"))
    if plant.answers == "mesa":
        return "what the network searches for" if searches else "what its choices are best for"
    if plant.answers == "cue":
        return "what the network searches for, except under the training cue"
    if plant.answers == "own":
        return "not all that its choices follow: see the story"
    return "computed, but not what the choice follows" if _has_both(plant) else "not in the network"


def _sought_instead(plant: Plant) -> list[str]:
    """What the program maximises where that is neither objective."""
    formula = plant.scenario.sought
    searches = plant.answers == "own" and plant.truth.of_role("score")
    return [f"  the network searches for {formula}"] if formula and searches else []


def _has_both(plant: Plant) -> bool:
    return bool(plant.truth.of_role("belief"))


def _purposes(plant: Plant) -> list[str]:
    """What the roles of the circuit mean, one a line."""
    purpose = dict(_PURPOSE)
    if plant.answers == "own":
        purpose["score"] = "what the search maximises, for each candidate"
    if plant.answers == "base" and not _has_both(plant):
        purpose["score"] = "holds the base objective of each candidate"
    roles = dict.fromkeys(node.role for node in plant.truth.nodes.values() if node.role)
    width = max((len(role) for role in roles), default=0)
    return [f"  {role.ljust(width)}  {purpose[role]}" for role in roles]


def _wrapped(story: str, width: int = 92) -> list[str]:
    import textwrap

    return textwrap.wrap(story, width)
