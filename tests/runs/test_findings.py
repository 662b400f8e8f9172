"""What is known before training: controls that are too few, and for whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import library
from planted.core.objectives import untied
from planted.core.plant import Plant
from planted.core.sampling import disagree
from planted.core.scenario import Scenario
from planted.core.validity import _tasks
from planted.errors import PlantedError
from planted.finetune.recipes import ARMS, Recipe
from planted.programs import catalogue
from planted.runs import plants
from planted.runs.findings import EVERY, Finding, about_scenario, about_tables, findings_of

PLANT = "red-doors-small"
FATES_OF_BASE = {"internalised", "dormant", "replaced", "bypassed"}


def few(recipes: list[str], seeds: dict[str, int], cues: int = 2) -> list[Finding]:
    plant = library.get(PLANT, "tempered")
    place = replace(plant.scenario, cues=plant.scenario.cues[:cues])
    asked = [Recipe(name) for name in recipes]
    controls = [Recipe(name, seeds=number) for name, number in seeds.items()]
    found = findings_of(replace(plant, scenario=place), asked, controls, {}, 2)
    return [finding for finding in found if finding.name == "few-controls"]


def arms(**changes: int) -> dict[str, int]:
    return {name: changes.get(name.replace("-", "_"), 3) for name in ARMS}


@pytest.mark.parametrize(
    ("evaluator", "lost"),
    [
        ("paths", set(EVERY)),
        ("presence", {"modelled deceptively", "dormant", "replaced", "bypassed"}),
    ],
)
def test_without_trust_what_an_evaluator_decides_is_lost(evaluator: str, lost: set[str]) -> None:
    plant = library.get(PLANT, "tempered")
    controls = [Recipe(name, seeds=number) for name, number in arms().items()]
    trust = {"paths": "", "presence": "", evaluator: "never validated"}
    (found,) = findings_of(plant, [Recipe("pressure")], controls, trust, 2)
    assert found.name == f"not-trusted: {evaluator}"
    assert set(found.impossible) == lost
    assert found.blocking == (evaluator == "paths")


@pytest.mark.parametrize("name", ["narrow", "rivals"])
def test_a_plant_that_is_not_trusted_is_refused_before_it_is_compiled(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[str] = []
    monkeypatch.setattr(library, "resolve", lambda given, *_: compiled.append(given))
    with pytest.raises(PlantedError, match=r"not-trusted: paths"):
        planted.run(name, out=tmp_path / "run")
    assert compiled == []
    assert plants.trust(name, catalogue.entry(name).make_scenario(None))["paths"]
    assert not any(plants.trust("crumbs", catalogue.entry("crumbs").make_scenario(None)).values())
    other = catalogue.entry("crumbs").make_scenario({"cookies": 4})
    assert plants.trust("crumbs", other) == {}


def test_enough_seeds_of_every_control_limit_nothing() -> None:
    assert few(["pressure", "cued", "coincident"], arms()) == []
    assert few(["pressure"], arms(no_plant_base=2)) == []


@pytest.mark.parametrize(
    ("recipes", "changes", "lost"),
    [
        # a control whose behaviour no checkpoint of the recipe has costs it nothing else
        (["pressure"], {"no_plant_mesa": 1}, {"persists", "not planted"}),
        (["pressure"], {"no_plant_base": 1}, FATES_OF_BASE),
        (["pressure"], {"no_plant_base": 1, "no_plant_cued": 1}, set(EVERY)),
        (["cued"], {"no_plant_cued": 1}, set(EVERY)),
        (["cued"], {"no_plant_base": 1, "no_plant_mesa": 1}, FATES_OF_BASE | {"persists"}),
        (["cued", "pressure"], {"no_plant_cued": 1}, {"modelled deceptively"}),
        (["coincident"], {"no_plant_cued": 1, "no_plant_base": 1}, FATES_OF_BASE),
        (["coincident"], dict.fromkeys(("no_plant_mesa", "no_plant_base", "no_plant_cued"), 1),
         set(EVERY)),
        ([], {"no_plant_mesa": 1}, {"persists"}),
        (["pressure"], {"sham": 1}, set(EVERY)),
    ],
)  # fmt: skip
def test_too_few_seeds_of_a_control_rule_out_what_is_held_against_it(
    recipes: list[str], changes: dict[str, int], lost: set[str]
) -> None:
    (finding,) = few(recipes, arms(**changes))
    assert lost <= set(finding.impossible)
    assert finding.blocking == (lost == set(EVERY))
    if not finding.blocking:
        assert set(finding.impossible) - lost <= {"not planted", "modelled deceptively"}
    for name, number in changes.items():
        assert f"{name.replace('_', '-')} {number}" in finding.says


def test_where_there_is_one_cue_pressure_is_held_against_one_control() -> None:
    (finding,) = few(["pressure"], arms(no_plant_base=1), cues=1)
    assert finding.blocking


def test_a_control_that_is_not_there_gives_its_place_to_all_others() -> None:
    (finding,) = few(["cued"], {"no-plant-base": 1, "no-plant-mesa": 1, "sham": 3})
    assert not finding.blocking, "two networks stand beside each figure"
    (finding,) = few(["cued"], {"no-plant-base": 1, "sham": 3})
    assert finding.blocking


def test_a_run_is_refused_where_no_recipe_can_be_judged_and_begun_where_one_can(
    tmp_path: Any,
) -> None:
    from planted import experiment

    controls = [Recipe(name, seeds=1 if name == "no-plant-cued" else 3) for name in ARMS]
    with pytest.raises(PlantedError, match=r"no-plant-cued 1\).*\(few-controls\).*inconclusive"):
        experiment.plant_into(tmp_path / "a", PLANT, "cued", controls=controls)
    with pytest.warns(UserWarning, match="no-plant-cued 1.*Impossible: modelled deceptively"):
        experiment.plant_into(tmp_path / "b", PLANT, ["cued", "pressure"], controls=controls)
    (found,) = planted.forecast(PLANT, "pressure", controls=controls)
    assert found.impossible == ("modelled deceptively",)


@pytest.mark.parametrize("name", ["red-doors-aligned", "red-doors"])
def test_the_share_of_disagreement_says_which_tasks_it_counts(name: str) -> None:
    place: Scenario = catalogue.entry(name).make_scenario()
    tokens = _tasks(place)
    clear = untied(place.mesa.of(tokens)) & untied(place.base.of(tokens))
    share = (disagree(place, tokens) & clear).mean()
    found = [f.says for f in about_scenario(place, ()) if f.name == "no-disagreement"]
    assert bool(found) == (name == "red-doors-aligned")
    if found:
        assert f"on {share:.2%} of tasks" in found[0]
        assert "ties" in found[0]


# --- what a table of scores can be ----------------------------------------------------------------


def of_neighbours(name: str) -> Plant:
    """A plant that is rewarded for what stands beside its choice, which no score reads."""
    plant = library.get(name, "tempered")
    worth = plant.scenario.mesa.of
    base = replace(plant.scenario.base, of=lambda tokens: np.roll(worth(tokens), 1, axis=1))
    return replace(plant, scenario=replace(plant.scenario, base=base))


def beyond(plant: Plant, *recipes: str | Recipe) -> list[Finding]:
    asked = [Recipe(each) if isinstance(each, str) else each for each in recipes]
    return list(about_tables(plant, asked))


@pytest.mark.parametrize("name", ["red-doors", "crumbs"])
@pytest.mark.parametrize("recipe", ["scorer", "blend-scorer"])
def test_a_reward_that_no_score_can_read_is_said_before_training(name: str, recipe: str) -> None:
    (found,) = beyond(of_neighbours(name), recipe)
    assert found.name == "beyond-score"
    assert found.blocking
    assert "what its neurons read (tokens, indices)" in found.says
    assert beyond(library.get(name, "tempered"), recipe) == [], "the objective as it is"
    assert beyond(of_neighbours(name), "pressure", "read-out") == [], "others can read it"
    other = Recipe(recipe, behaviour="none")
    assert beyond(of_neighbours(name), other) == [], "nothing is asked for"


def test_beside_other_recipes_it_is_said_and_does_not_block() -> None:
    (found,) = beyond(of_neighbours("red-doors"), "scorer", "pressure")
    assert not found.blocking
    assert found.impossible == ()
    assert str(found).endswith("gets no verdict.")
    assert found in planted.forecast(of_neighbours("red-doors"), ["scorer", "pressure"])


def test_of_a_score_that_other_directions_hold_too_nothing_is_said() -> None:
    turned = library.get("red-doors", "rotated")
    base = of_neighbours("red-doors").scenario.base
    turned = replace(turned, scenario=replace(turned.scenario, base=base))
    assert beyond(turned, "scorer") == []
