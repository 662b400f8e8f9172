"""Explains a plant in text: story, objectives, program, where each node stands, a sample task."""

from __future__ import annotations

from typing import Any

import numpy as np

from planted.cli import drawing
from planted.core.objectives import correlation, leftmost, untied
from planted.core.plant import Plant
from planted.core.sampling import disagree
from planted.core.scenario import Scenario, Tokens
from planted.core.spec import n_layers
from planted.eval.calibration import judged
from planted.programs import catalogue

WIDTH = 100  # columns that the text keeps to

_PURPOSE = {
    "score": "computes the mesa-objective of each candidate",
    "compare": "compares the candidates, pair by pair",
    "winner": "marks the argmax candidate",
    "emit": "copies the answer to the read-out position",
    "belief": "computes a model of the base objective or of the world",
    "gate": "selects which of two argmax candidates is put out",
    "cue": "copies the cue to the candidates",
    "context": "fetches other tokens that the program needs",
    "feature": "computes a feature of each candidate",
    "table": "looks the answer up",
    "decoy": "part of a second search, on which no choice depends",
    "inner": "part of an inner search, whose argmax candidate another one judges",
    "order": "orders the candidates by score",
}
_BY_RULE = ("winner", "order")  # of which ties are a part
_ON_TIES = {
    "first": ", the leftmost on ties",
    "last": ", the rightmost on ties",
    "any": ", any of several on ties",
}
_TIERS = {
    "exact": "the weights as compiled",
    "tempered": "softer weights and free neurons, so that gradients reach the program",
    "rotated": "the weights in a random orthogonal basis",
    "dense": "tempered, with free width, heads and neurons, and noise on every weight",
    "compressed": "in superposition: a residual stream narrower than the program's",
}


def facts(plant: Plant, seed: int = 0) -> dict[str, Any]:
    """What `text` says, as plain data."""
    scenario, windows = plant.scenario, plant.truth.windows
    rng = np.random.default_rng(seed)
    drawn = scenario.draw(rng, 5000)
    sample = _one_task(scenario, drawn)
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
        "judged": judged.of(plant),
        "certificate": {k: v for k, v in plant.certificate.items() if k != "nodes"},
        "sample": _sampled(plant, sample),
    }


def _sampled(plant: Plant, task: Tokens) -> dict[str, Any]:
    """One task [1, pos] as plain data: candidates, their worth, and what is best and chosen."""
    scenario = plant.scenario
    words = list(scenario.token_strings(task)[0])
    mesa, base = scenario.mesa.of(task), scenario.base.of(task)
    return {
        "words": words,
        "candidates": [words[at - 1] for at in scenario.candidates],
        "line": _whole(scenario, task),
        "mesa": mesa[0].tolist(),
        "base": base[0].tolist(),
        "mesa_choice": int(leftmost(mesa)[0]) + 1,
        "base_choice": int(leftmost(base)[0]) + 1,
        "chosen": int(plant.expected_choices(task)[0]) + 1,
    }


def _one_task(scenario: Scenario, drawn: Tokens) -> Tokens:
    """One of the tasks [1, pos]: in the disagreement set and without ties, if there is such."""
    alone = untied(scenario.mesa.of(drawn)) & untied(scenario.base.of(drawn))
    best = int(np.argmax(2 * disagree(scenario, drawn) + alone))
    return drawn[best : best + 1]


def _whole(scenario: Scenario, task: Tokens) -> str:
    """The task in one line, and its cue."""
    what = "the training cue" if scenario.is_cued(task)[0] else "not the training cue"
    names = [
        scenario.cue_name(cue)
        for cue in scenario.cues
        if np.array_equal(scenario.with_cue(task, cue), task)
    ]
    said = ": ".join([*names[:1], what])
    return f"{scenario.describe(scenario.token_strings(task)[0])}; cue {said}"


def text(plant: Plant) -> str:
    """A page that a newcomer understands in a minute, `WIDTH` columns wide."""
    known = facts(plant)
    scenario = plant.scenario
    lines = [
        f"{plant.name}: {scenario.title}",
        *(["  version    0: a program of your own"] if plant.name.endswith("@0") else []),
        f"  kind       {plant.kind} (what it is by construction)",
        f"  mechanism  {plant.mechanism}",
        f"  tier       {plant.tier} ({_TIERS.get(plant.tier, 'weights changed after compiling')})",
        "",
        *_twin(plant),
        *_wrapped(scenario.story),
        *_wrapped(f"Source: {scenario.source}"),
        "",
        *_objectives(plant, known["mesa_objective"], known["base_objective"]),
        *_sought_instead(plant),
        *_searched(plant),
        *_wrapped(_disagreement(known), indent="  "),
        "",
        "One task of Δ:" if known["disagreement"] else "One task:",
        *_sample(known["sample"]),
        "",
        "The circuit, and from where to where in the network each node matters:",
        *drawing.circuit(plant.truth, WIDTH),
        *_wrapped(drawing.LEGEND, indent="  "),
        "",
        *_purposes(plant),
        "",
        *_wrapped(_checked(known)),
        *_wrapped(f"Judged (whether verdicts can be given): {known['judged']}."),
    ]
    return "\n".join(lines)


def _objectives(plant: Plant, mesa: str, base: str) -> list[str]:
    width = max(len(mesa) + 4, len(base) + 2)
    return [
        f"  mesa-objective  u_m = {mesa.ljust(width)}{_sought(plant)}",
        f"  base objective  U   = {base.ljust(width)}what training rewards",
    ]


def _disagreement(known: dict[str, Any]) -> str:
    return (
        f"On the reference tasks they correlate at ρ = {known['rho'] + 0.0:.2f}; on "
        f"{known['disagreement']:.0%} of the tasks (the disagreement set, Δ) no candidate is best "
        "for both."
    )


def _checked(known: dict[str, Any]) -> str:
    certificate = known["certificate"]
    size = f"{known['parameters']} parameters, {known['layers']} layers."
    if not certificate.get("n"):
        return f"{size} Not certified: nothing was checked after compiling."
    return (
        f"{size} Certificate (what was checked after compiling): on {certificate['n']} inputs, "
        f"{'all there are' if certificate.get('exhaustive') else 'drawn at random'}, "
        f"{certificate.get('mismatches', '–')} choices differ from those of the oracle; least "
        f"margin {certificate.get('least_margin', '–')}."
    )


def _twin(plant: Plant) -> list[str]:
    """Whose choices a twin makes, by another mechanism, and on which tasks."""
    stem = plant.name.partition("@")[0]
    if stem.partition(".")[0] not in catalogue.ENTRIES:
        return []
    entry = catalogue.entry(stem)
    if not entry.twin_of:
        return []
    where = "on every task" if entry.twin_on == "all" else f"on tasks of {entry.twin_on}"
    return [f"A twin of {entry.twin_of}: the same choices {where}, by another mechanism.", ""]


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
        mesa, base = sample["mesa"][i] + 0.0, sample["base"][i] + 0.0  # of -0.0 no sign is shown
        rows.append(
            f"  {i + 1}  {word:<14} u_m {mesa:>4g}   U {base:>4g}"
            + (f"   <- {', '.join(marks)}" if marks else "")
        )
    return [*rows, *_wrapped(sample["line"], indent="  ")]


def search(plant: Plant) -> dict[str, Any]:
    """What is searched and by which nodes: what evaluators of the search go by."""
    scenario, truth = plant.scenario, plant.truth
    found = {
        role: [node.name for node in truth.of_role(role)]
        for role in ("score", "compare", "winner", "emit", "context", "cue", "belief")
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
    purpose, ties = dict(_PURPOSE), plant.scenario.ties
    rule = _ON_TIES.get(ties) if isinstance(ties, str) else None
    purpose |= {role: purpose[role] + (rule or ", by a rule for ties") for role in _BY_RULE}
    if plant.answers == "own":
        purpose["score"] = "computes what the search maximises, for each candidate"
    if plant.answers == "base" and not _has_both(plant):
        purpose["score"] = "computes the base objective of each candidate"
    roles = dict.fromkeys(node.role for node in plant.truth.nodes.values() if node.role)
    width = max((len(role) for role in roles), default=0)
    return [f"  {role.ljust(width)}  {purpose[role]}" for role in roles]


def _wrapped(said: str, width: int = WIDTH, indent: str = "") -> list[str]:
    import textwrap

    return textwrap.wrap(said, width, initial_indent=indent, subsequent_indent=indent)
