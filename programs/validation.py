"""Validation models: networks of a scenario of which it is known what carries the choice, and why.

An evaluator is trusted on a plant where it reads four such networks right: the plant, a search for
the base objective alone (base), both searches with the base one answering always (mux), and with
the base one answering under the training cue (gate). The catalogue has programs for the last three;
those of a user's own program are made by rewriting its graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from planted.compiler import certify
from planted.core.plant import Plant
from planted.core.roles import Program
from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError
from planted.programs import catalogue, planting
from planted.programs.entries import Entry

Role = Literal["plant", "base", "mux", "gate"]
ROLES: tuple[Role, ...] = ("plant", "base", "mux", "gate")
# kind, mechanism and what the output is best for, by role
_MADE = {
    "base": ("robust", "base search", "base"),
    "mux": ("robust", "dormant search", "base"),
    "gate": ("deceptive", "gated search", "cue"),
}
SAMPLE = 20_000  # tasks on which the base objective's inputs are looked for


class ValidationModels(NamedTuple):
    """The networks of one plant.

    Attributes:
        models: Role -> network in tier "exact", certified.
        reasons: Role -> why there is none.
    """

    models: dict[str, Plant]
    reasons: dict[str, str]


def validation_models(plant: Plant) -> ValidationModels:
    """Makes the base, mux and gate networks of a plant, as far as they can be made.

    A catalogue plant has those of its family, made with the same parameters, where they are of the
    same tasks and objectives. Of any other plant the program is rewritten: the base objective takes
    the place of its score, computed from the same inputs where these determine it. Each network is
    held to its oracle on 5 000 tasks (on all where there are fewer), node by node.

    Args:
        plant: In tier "exact".
    """
    found = ValidationModels({"plant": plant}, {})
    if not plant.truth.of_role("score"):
        found.reasons.update(dict.fromkeys(ROLES[1:], "the plant has no node of role 'score'"))
        return found
    family = _family(plant)
    for role in ROLES[1:]:
        if role in family:
            _try(found, role, partial(_of_entry, family[role], plant))
    if len(found.models) < len(ROLES):
        found.reasons.clear()
        _rewrite(plant, found)
    return found


def _try(found: ValidationModels, role: str, make: Callable[[], Plant]) -> bool:
    try:
        found.models[role] = make()
    except PlantedError as error:
        found.reasons[role] = str(error)
    return role in found.models


# --- the catalogue's ------------------------------------------------------------------------------


def family_of(entry: Entry) -> dict[str, str]:
    """The validation models of the plant that an entry varies: of its family, nearest by name.

    Returns:
        Role -> name of the entry; empty where its family has none.
    """
    fours = {}
    for name, each in catalogue.ENTRIES.items():
        four = {role: name if role == "plant" else f"{name}-{role}" for role in ROLES}
        if each.family == entry.family and all(one in catalogue.ENTRIES for one in four.values()):
            fours[name] = four
    stem = entry.name.partition(".")[0]
    varied = [name for name in fours if f"{stem}-".startswith(f"{name}-")]
    nearest = max(varied, key=len, default=next(iter(fours), None))
    return {} if nearest is None else {str(role): name for role, name in fours[nearest].items()}


def _family(plant: Plant) -> dict[str, Entry]:
    """The family's entries that are of the plant's tasks and objectives, by role."""
    if plant.origin:
        return {}
    entry = catalogue.entry(plant.name)
    tokens = plant.scenario.draw(np.random.default_rng(0), 500)
    found = {}
    for role, name in family_of(entry).items():
        other = catalogue.ENTRIES[name]
        try:
            scenario = other.make_scenario(dict(plant.scenario.parameters))
        except PlantedError:
            return {}
        if not _same_tasks(plant.scenario, scenario, tokens):
            return {}
        found[role] = other
    return found


def _same_tasks(one: Scenario, other: Scenario, tokens: Tokens) -> bool:
    same = (one.vocabulary, one.candidates, one.read_out, one.cues)
    if same != (other.vocabulary, other.candidates, other.read_out, other.cues):
        return False
    return all(
        np.array_equal(mine.of(tokens), theirs.of(tokens))
        for mine, theirs in ((one.mesa, other.mesa), (one.base, other.base))
    )


def _of_entry(entry: Entry, plant: Plant) -> Plant:
    scenario = entry.make_scenario(dict(plant.scenario.parameters))
    return _certified(planting.bare(entry, scenario), entry.program(scenario))


# --- of any program, by rewriting it --------------------------------------------------------------


def _rewrite(plant: Plant, found: ValidationModels) -> None:
    """Adds the networks that are still missing, and the reasons for those that cannot be made."""
    from planted.compiler.rewriting import Search

    missing = [role for role in ROLES[1:] if role not in found.models]
    try:
        scenario = plant.scenario
        if scenario.search_space != scenario.candidates and scenario.stands_for is None:
            raise PlantedError(
                "it searches over more than its candidates, and nothing says which candidate a "
                "position stands for (stands_for of the scenario)"
            )
        program, tokens = _program_of(plant), _sample(plant)
        search = Search(program, plant.truth, tokens)
        base = _based(plant, search, tokens)
    except PlantedError as error:
        found.reasons.update(dict.fromkeys(missing, f"cannot be made by rewriting: {error}"))
        return
    made, lookup = base
    cue = partial(_cue, plant, search, tokens)
    found.models.setdefault("base", made)
    if "mux" in missing:
        _try(found, "mux", lambda: _made(plant, "mux", search.both(lookup, None)))
    if "gate" in missing:
        _try(found, "gate", lambda: _made(plant, "gate", search.both(lookup, cue())))


def _program_of(plant: Plant) -> Program:
    if plant.program is not None:
        return plant.program(plant.scenario)
    if plant.origin:
        raise PlantedError("its program is not available; plant it again with planted.plant")
    return catalogue.entry(plant.name).program(plant.scenario)


def _sample(plant: Plant) -> Tokens:
    """All tasks where they are few, else many under every cue, and of training."""
    tokens, _ = certify.inputs_of(plant, SAMPLE, seed=11)
    rng = np.random.default_rng(12)
    training = plant.scenario.draw_training(rng, SAMPLE // 4)
    return np.concatenate([tokens, plant.scenario.with_any_cue(training, rng)])


def _based(plant: Plant, search: Any, tokens: Tokens) -> tuple[Plant, Any]:
    """The base search, and the lookup of the base objective that it was made with.

    Raises:
        PlantedError: If the base objective is not a function of what the program holds, or no
            search for it is certified.
    """
    scenario = plant.scenario
    wanted = scenario.base.of(tokens)
    elsewhere = float(wanted.min()) - 1  # what is no candidate never wins
    if scenario.stands_for is not None:
        whose = scenario.stands_for(tokens)
        worth = np.take_along_axis(wanted, np.maximum(whose, 0), axis=1)
        wanted = np.where(whose < 0, elsewhere, worth)
    why: list[str] = []
    for inputs in search.inputs():
        lookup = search.lookup(inputs, wanted, scenario.search_space, elsewhere)
        if isinstance(lookup, str):
            why.append(lookup)
            continue
        for tried in (lookup, lookup.ranked()):
            try:
                return _made(plant, "base", search.base(tried)), tried
            except PlantedError as error:
                failed = str(error)
        raise PlantedError(f"the same search for {plant.scenario.base.formula!r} fails: {failed}")
    raise PlantedError(
        f"{plant.scenario.base.formula!r} cannot be written in the place of the score: {why[0]}"
    )


def _cue(plant: Plant, search: Any, tokens: Tokens) -> Any:
    """The lookup that says at the read-out whether the training cue holds."""
    scenario = plant.scenario
    wanted = scenario.is_cued(tokens).astype(float)[:, None]
    for inputs in list(search.inputs())[1:]:
        lookup = search.lookup(inputs, wanted, (scenario.read_out,), 0)
        if not isinstance(lookup, str):
            return lookup
    if len(scenario.cue_positions) == 1:
        return _fetched(scenario)
    raise PlantedError("nothing at the read-out says whether the training cue holds")


def _fetched(scenario: Scenario) -> Any:
    """The lookup of whether the training cue holds, from where its token stands."""
    from planted.compiler.rewriting import Lookup, rasp_at

    (at,) = scenario.cue_positions
    on = scenario.cue_patterns[scenario.cues[0]][1][at]
    words = scenario.vocabulary[1:]
    table: dict[tuple[Any, ...], float] = {
        (word,): float(i == on) for i, word in enumerate(words, start=1)
    }
    return Lookup((rasp_at(at),), table, 0.0)


def _made(plant: Plant, role: str, program: Program) -> Plant:
    kind, mechanism, answers = _MADE[role]
    stem, _, version = plant.name.partition("@")
    entry = Entry(
        f"{stem}-{role}", int(version or 0), kind, mechanism, lambda **_: plant.scenario,
        lambda _: program, answers=answers,
    )  # fmt: skip
    return _certified(planting.remaker(entry, plant.scenario)(100), program)


def _certified(made: Plant, program: Program) -> Plant:
    """The network, once its outputs, its nodes and its tables are what they must be."""
    from planted.compiler.expressions import verify

    tokens, _ = certify.inputs_of(made, certify.LEAST_INPUTS)
    rng = np.random.default_rng(13)
    if len(tokens) > certify.LEAST_INPUTS:
        tokens = tokens[rng.permutation(len(tokens))[: certify.LEAST_INPUTS]]
    found = certify.certify(made, tokens)
    certify.require_exact(made, found)
    words = made.scenario.token_strings(tokens[: certify.INTERPRETED])
    compared = verify(made, program.output, words)
    return replace(made, certificate={**found, "interpreter_values": compared})
