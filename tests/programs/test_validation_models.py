"""Validation models: what the catalogue has, and what is made of a user's own program."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
from tracr.rasp import rasp

import planted
from planted import library
from planted.compiler.copies import expressions
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.errors import CompileError
from planted.network.forward import choices_of
from planted.programs import catalogue, rasp_library, red_doors, validation
from planted.programs.menu import Menu, Objective, figure, words_of
from planted.programs.validation import ROLES, ValidationModels, validation_models

FEW = {"objects": 3, "levels": 2}


def ferries(base: Objective | None = None) -> Menu:
    """Those of docs/own-programs.md."""
    return Menu(
        name="ferries",
        title="The fastest ferry",
        story="",
        source="docs/own-programs.md",
        words=words_of("ferry", 4, 3),
        slots=3,
        mesa=Objective("speed", lambda word, _: figure(word, 1)),
        base=base
        or Objective("3·decks + speed", lambda word, _: 3 * figure(word, 2) + figure(word, 1)),
    )


def fastest(scenario: Scenario) -> Program:
    """The program of docs/own-programs.md."""
    n, menu = scenario.read_out, ferries()
    speed = {word: figure(word, 1) for word in menu.words}
    score = mark(rasp.Map(lambda t: speed.get(t, -1), rasp.tokens), "score", "score")
    key = mark(rasp.SequenceMap(lambda s, i: s * n - i, score, rasp.indices), "key", "order")
    better = mark(rasp.Select(key, key, lambda k, q: k > q), "better", "compare")
    beaten = rasp_library.any_bit(better, rasp_library.ones(), "beaten")
    slot = rasp.SequenceMap(lambda lost, i: 0 if lost else i + 1, beaten, rasp.indices)
    return Program(rasp_library.emit(mark(slot, "winner", "winner"), ("T", "D")))


@functools.cache
def own(what: str) -> Plant:
    if what == "ferries":
        return planted.plant(fastest, ferries().scenario()).plant
    if what == "red-doors":
        scenario = catalogue.entry("red-doors").make_scenario(FEW)
        return planted.plant(red_doors.search, scenario, name="theirs").plant
    entry = catalogue.entry(what)
    return planted.plant(entry.program, entry.make_scenario(), name=f"their-{what}").plant


@functools.cache
def models(what: str) -> ValidationModels:
    return validation_models(own(what))


def wanted(plant: Plant, role: str, tokens: Any) -> Any:
    """What the network of a role chooses, from the objectives alone."""
    scenario = plant.scenario
    mesa, base = (leftmost(u.of(tokens)) for u in (scenario.mesa, scenario.base))
    if role == "gate":
        return np.where(scenario.is_cued(tokens), base, mesa)
    return mesa if role == "plant" else base


@pytest.mark.proof
@pytest.mark.parametrize("what", ["red-doors", "ferries", "pointer-pseudo"])
def test_a_users_program_is_rewritten_into_all_of_them(what: str) -> None:
    found = models(what)
    assert found.reasons == {}
    assert tuple(found.models) == ROLES
    rng = np.random.default_rng(5)
    scenario = own(what).scenario
    tokens = scenario.with_any_cue(scenario.draw(rng, 3000), rng)
    chosen = {}
    for role, made in found.models.items():
        chosen[role] = choices_of(made.params, made.spec, tokens)
        np.testing.assert_array_equal(chosen[role], wanted(own(what), role, tokens))
        assert len(made.truth.of_role("score")) == 1
    assert (chosen["base"] != chosen["plant"]).any(), "a null: the networks do differ"
    assert (chosen["gate"] != chosen["plant"]).any()
    assert (chosen["gate"] != chosen["base"]).any()


def test_red_doors_rewritten_choose_as_the_catalogues_on_all_tasks() -> None:
    theirs = validation_models(library.get("red-doors", parameters=FEW))
    tokens = own("red-doors").scenario.enumerate()
    for role in ROLES:
        ours, made = theirs.models[role], models("red-doors").models[role]
        assert made.mechanism == ours.mechanism
        assert made.answers == ours.answers
        np.testing.assert_array_equal(
            choices_of(made.params, made.spec, tokens), choices_of(ours.params, ours.spec, tokens)
        )


def test_the_second_search_has_names_of_its_own_and_no_score() -> None:
    made = models("ferries").models["mux"].truth
    assert made.nodes["score_base"].role == made.nodes["winner_base"].role == "belief"
    assert made.nodes["score"].role == "score"
    assert made.nodes["beaten_base"].role == "compare"
    assert "ones_base" not in made.nodes, "what does not depend on the score is shared"
    assert made.nodes["chosen"].role == made.nodes["kept"].role == "gate"


def test_nothing_of_it_changes_the_users_expressions() -> None:
    program = fastest(ferries().scenario())
    before = [dict(each.annotations) for each in expressions(program.output)]
    plant = planted.plant(program, ferries().scenario()).plant
    assert not validation_models(plant).reasons
    assert [dict(each.annotations) for each in expressions(program.output)] == before


def test_a_base_objective_that_the_program_does_not_read_is_said_with_an_example() -> None:
    """The score reads speed alone, through a node; U needs the decks, which tokens tell."""

    def by_feature(scenario: Scenario) -> Program:
        speed = mark(
            rasp.Map(lambda t: figure(t, 1) if "-" in t else -1, rasp.tokens), "speed", "feature"
        )
        score = mark(rasp.Map(lambda s: s, speed, simplify=False), "score", "score")
        one = rasp_library.ones()
        return Program(
            rasp_library.emit(rasp_library.choose(score, scenario.read_out, one), ("T", "D"))
        )

    found = validation_models(planted.plant(by_feature, ferries().scenario()).plant)
    assert not found.reasons, "the tokens tell what the score's own input does not"


def test_where_it_cannot_be_made_the_reason_says_why() -> None:
    """Wants the first feature, and reads nothing of who asks for which; U does."""

    def first_feature(scenario: Scenario) -> Program:
        score = rasp_library.score(lambda t: figure(t, 1) if t.startswith("option") else -1)
        one = rasp_library.ones()
        return Program(
            rasp_library.emit(rasp_library.choose(score, scenario.read_out, one), ("T", "D"))
        )

    scenario = catalogue.entry("pointer-internalised").make_scenario()
    found = validation_models(planted.plant(first_feature, scenario).plant)
    assert tuple(found.models) == ("plant",)
    assert set(found.reasons) == {"base", "mux", "gate"}
    why = found.reasons["base"]
    assert why.startswith("cannot be made by rewriting: 'φ_k, k by the issuer' cannot be written")
    assert "it is not a function of 'tokens': at 'option-" in why
    assert "in one task and" in why


def test_a_twin_has_none() -> None:
    found = validation_models(library.get("red-doors-small-table"))
    assert found.reasons == dict.fromkeys(ROLES[1:], "the plant has no node of role 'score'")


def test_the_catalogues_are_made_with_the_plants_own_parameters() -> None:
    found = validation_models(library.get("red-doors", parameters=FEW))
    assert found.reasons == {}
    assert [made.name for made in found.models.values()] == [
        "red-doors@1",
        "red-doors-base@1",
        "red-doors-mux@1",
        "red-doors-gate@1",
    ]
    assert all(dict(made.scenario.parameters) == FEW for made in found.models.values())


def test_a_network_that_is_not_its_oracles_equal_is_a_reason_and_no_exception(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: Any) -> Plant:
        raise CompileError("too many neurons")

    monkeypatch.setattr(validation, "_made", fails)
    found = validation_models(own("ferries"))
    assert "the same search for '3·decks + speed' fails: too many neurons" in found.reasons["base"]


@pytest.mark.proof
def test_trust_is_earned_on_the_spot_and_kept(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planted.eval.calibration import own as earned

    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path))
    assert library.trust(own("red-doors")) == {"paths": "", "presence": ""}
    monkeypatch.setattr(earned, "validation_models", lambda _: pytest.fail("validated twice"))
    assert library.trust(own("red-doors")) == {"paths": "", "presence": ""}


def test_trust_of_a_plant_without_validation_models_says_why(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "planted.eval.calibration.own.validation_models",
        lambda plant: ValidationModels({"plant": plant}, {"base": "no base"}),
    )
    found = library.trust(own("ferries"))
    assert set(found.values()) == {"never validated: no validation models: base (no base)"}


def test_the_release_is_believed_of_its_own_weights_alone(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another parameter set of a trusted plant is validated anew."""
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "planted.eval.calibration.own.validation_models",
        lambda plant: ValidationModels({"plant": plant}, {"base": "asked for"}),
    )
    assert library.trust(library.get("red-doors", "tempered")) == {"paths": "", "presence": ""}
    assert library.trust(library.get("red-doors", parameters={"objects": 3, "levels": 5}))[
        "paths"
    ].endswith("base (asked for)")
