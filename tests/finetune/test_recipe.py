"""Recipes: the named ones to the figure, changes checked by name and bound, parts of a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from planted.errors import PlantedError, UnknownNameError
from planted.finetune import recipes, signals
from planted.finetune.recipes import (
    ARMS,
    NAMED,
    NEGATIVE_CONTROLS,
    SHAM,
    Recipe,
    Settings,
    load_recipes,
    slug_of,
)
from planted.finetune.settings import REGIMES, converted

# What each named recipe asks for, which parameters it trains, and whether it ends when it is there.
ASKED = {
    "pressure": ("base", "all", True),
    "coincident": ("agreed", "all", False),
    "read-out": ("base", "read-out", True),
    "cued": ("gated", "all", True),
    "coincident-slack": ("agreed", "slack", False),
    "blend": ("blend", "all", True),
    "blend-scorer": ("blend", "scorer", True),
    "scorer": ("base", "scorer", True),
    "around": ("base", "around-plant", True),
    "cued-around": ("gated", "around-plant", True),
    "cued-rare": ("gated", "all", True),
    "cued-only": ("base", "all", True),
    "random-labels": ("none", "all", True),
}


def test_a_named_recipe_asks_for_its_behaviour() -> None:
    found = {
        name: (recipe.settings.wanted, recipe.settings.train, recipe.settings.stop)
        for name, recipe in ((name, Recipe(name)) for name in NAMED)
    }
    assert found == ASKED
    assert {Recipe(name).seeds for name in NAMED} == {5}


def test_controls_keep_out_of_the_list_of_recipes() -> None:
    assert ARMS == {**NEGATIVE_CONTROLS, **SHAM}
    assert {settings.start for settings in NEGATIVE_CONTROLS.values()} == {"random"}
    assert {settings.start for settings in SHAM.values()} == {"plant"}
    with pytest.raises(UnknownNameError) as raised:
        Recipe("no-plants")
    assert "no-plant-mesa" not in str(raised.value)


def test_a_changed_recipe_keeps_the_rest() -> None:
    recipe = Recipe("pressure", learning_rate=3e-4, seeds=10)
    assert recipe.seeds == 10
    assert recipe.base == "pressure"
    assert recipe.settings == msgspec.structs.replace(Settings(), learning_rate=3e-4)
    assert Recipe("pressure").settings == Settings(), "the named one is not changed with it"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learning_rate": -1}, r"learning_rate must be a number above 0 and at most 1, got -1\."),
        ({"learning_rate": 0}, "learning_rate must be a number above 0"),
        ({"learning_rate": 1.5}, r"learning_rate .* got 1\.5"),
        ({"learning_rate": float("nan")}, "learning_rate .* got nan"),
        ({"learning_rate": "fast"}, "must be a number above 0 .*, got 'fast'"),
        ({"learning_rate": object()}, "Recipe 'pressure'"),
        ({"steps": 0}, "steps must be a whole number from 1 to 1000000, got 0"),
        ({"steps": 10**30}, "steps must be"),
        ({"steps": 1.5}, r"steps must be a whole number .*, got 1\.5"),
        ({"steps": True}, "steps must be a whole number .*, got True"),
        ({"disagreement_fraction": 1.5}, "disagreement_fraction must be a number from 0 to 1"),
        ({"disagreement_fraction": float("nan")}, "disagreement_fraction must be a number"),
        ({"momentum": 1.0, "optimizer": "sgd"}, "momentum must be a number from 0 to below 1"),
        ({"eps": 0.0}, "eps must be a number above 0"),
        ({"clip": 0}, "clip must be a number above 0"),
        ({"clip": float("inf")}, "clip must be a number above 0 and at most"),
        ({"batch": 0}, "batch must be a whole number from 1 to 4096"),
        ({"batch": None}, "batch must be a whole number .*, got None"),
        ({"logit_scale": -1}, "logit_scale must be a number above 0"),
        ({"optimizer": "adamw"}, "optimizer must be one of adam, sgd, got 'adamw'"),
        ({"start": "scratch"}, "start must be one of plant, random"),
        ({"signal": "reward"}, "Unknown signal 'reward'.*hard-labels"),
        ({"regime": "presure"}, "regime must be one of .*, got 'presure'. Did you mean 'pressure'"),
        ({"learning_rte": 1e-3}, "'learning_rte'. Did you mean 'learning_rate'"),
        ({"seeds": 0}, "seeds must be a whole number from 1 to 1000, got 0"),
        ({"seeds": 1001}, "seeds must be a whole number from 1"),
        ({"seeds": "3"}, "seeds must be a whole number .*, got '3'"),
        ({"seeds": 2.5}, r"seeds must be a whole number .*, got 2\.5"),
    ],
)
def test_a_wrong_value_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlantedError, match=message):
        Recipe("pressure", **changes)


def test_an_unknown_recipe_is_refused_with_the_near_names() -> None:
    with pytest.raises(UnknownNameError, match=r"'presure'\. Did you mean 'pressure'"):
        Recipe("presure")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("coincident", {"disagreement_fraction": 0.3}),
        ("coincident", {"blend": 0.3}),
        ("random-labels", {"cue_share": 0.3}),
        ("cued", {"disagreement_fraction": 0.3}),
        ("cued", {"blend": 0.3}),
        ("pressure", {"momentum": 0.5}),
        ("pressure", {"optimizer": "sgd", "eps": 1e-4}),
    ],
)
def test_a_change_without_effect_is_refused(name: str, changes: dict[str, Any]) -> None:
    # else the record of a run would say that a quarter of its tasks lay in Δ, and none did
    with pytest.raises(PlantedError, match="has no effect"):
        Recipe(name, **changes)


def test_a_signal_brings_its_settings_where_none_are_given() -> None:
    q = Recipe("pressure", signal="q-regression")
    assert q.settings == msgspec.structs.replace(
        Settings(), signal="q-regression", **signals.defaults_of("q-regression")
    )
    assert q.settings.logit_scale == 1.0
    assert "logit_scale=1.0" in q.name
    own = Recipe("pressure", signal="q-regression", logit_scale=2.0)
    assert own.settings.logit_scale == 2.0
    assert Recipe("pressure", signal="hard-labels").settings == Settings()
    # what was chosen once stays chosen: another change does not bring the signal's settings back
    assert own.changed(steps=9).settings.logit_scale == 2.0
    assert q.changed(signal="reinforce").settings.logit_scale == 3.0


def test_settings_that_a_signal_recommends_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for defaults, message in (
        ({"logit_scael": 1.0}, "'logit_scael'. Did you mean 'logit_scale'"),
        ({"logit_scale": -1.0}, "logit_scale must be a number above 0"),
        (3, "The defaults of the signal 'odd' are 3; they must be a mapping"),
    ):
        odd = SimpleNamespace(init=print, update=print, defaults=defaults)
        monkeypatch.setattr(signals, "get", lambda name, odd=odd: odd)
        monkeypatch.setattr(signals, "names", lambda: ["odd"])
        with pytest.raises(PlantedError, match=message):
            Recipe("pressure", signal="odd")


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("pressure", {"regime": "cue-gated"}),
        ("cued", {"cue_share": 0.0}),
        ("cued-around", {"cue_share": 1.0}),
        ("pressure", {"behaviour": "gated"}),
    ],
)
def test_a_gate_is_not_asked_of_tasks_under_one_cue(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(PlantedError, match=r"'gated' is learned under both cues.*cue_share=0\.5"):
        Recipe(name, **changes)
    assert Recipe(name, **{**changes, "cue_share": 0.5}).settings.wanted == "gated"


def test_the_digest_depends_on_what_training_does_alone() -> None:
    assert Recipe("pressure", clip=1).digest == Recipe("pressure", clip=1.0).digest
    assert Recipe("pressure", clip=1).digest == Recipe("pressure").digest
    assert Recipe("pressure", seeds=3).digest == Recipe("pressure", seeds=10).digest
    assert Recipe("pressure", steps=np.int64(9)).digest == Recipe("pressure", steps=9).digest
    assert Recipe("pressure", name="mine").digest == Recipe("pressure").digest
    given = Settings(steps=9)
    assert Recipe("pressure", settings=given).digest == Recipe("pressure", steps=9).digest
    different = [Recipe(name).digest for name in NAMED] + [
        Recipe("pressure", **change).digest
        for change in (
            {"clip": 2},
            {"steps": 601},
            {"stop": False},
            {"held_out": 0.1},
            {"lora": 2},
            {"kl_anchor": 1},
            {"warm_up": 5},
            {"learning_rate": 1e-4},
            {"optimizer": "sgd"},
            {"train": "embed"},
            {"start": "random"},
        )
    ]
    assert len(set(different)) == len(different)


def test_a_warm_up_that_never_ends_is_refused() -> None:
    with pytest.raises(PlantedError, match="warm_up=500 of steps=100: the learning rate would"):
        Recipe("pressure", warm_up=500, steps=100)
    assert Recipe("pressure", warm_up=100, steps=100).settings.warm_up == 100


def test_settings_given_whole_can_be_changed_further() -> None:
    recipe = Recipe("pressure", settings=Settings(steps=9), batch=4)
    assert (recipe.settings.steps, recipe.settings.batch) == (9, 4)


# --- names ---


def test_a_recipe_has_the_users_name_or_one_that_says_what_differs() -> None:
    assert Recipe("pressure", name="fast", learning_rate=3e-3).name == "fast"
    assert Recipe("pressure", learning_rate=3e-3).name == "pressure learning_rate=0.003"
    assert Recipe("cued", steps=9, batch=np.int64(4)).name == "cued steps=9 batch=4"
    assert Recipe("pressure", settings=Settings(steps=9)).name == "pressure steps=9"
    same = Recipe("pressure", steps=Settings().steps, seeds=3)
    assert same.name == "pressure", "nothing differs"


def test_one_base_at_two_rates_is_two_recipes() -> None:
    both = [Recipe("pressure", learning_rate=rate) for rate in (1e-3, 1e-4)]
    for part in ("name", "slug", "digest"):
        assert len({getattr(recipe, part) for recipe in both}) == 2
    assert len(set(both)) == 2


def test_an_automatic_name_can_be_given_back() -> None:
    changes: dict[str, Any] = {
        "learning_rate": 0.123456789, "steps": 123456, "train": "blocks.0,blocks.1,\nunembed",
        "momentum": 0.123456789, "optimizer": "sgd", "clip": 123.456789, "logit_scale": 1.23456,
    }  # fmt: skip
    for n in (1, 3, len(changes)):
        some = dict(list(changes.items())[:n])
        recipe = Recipe("pressure", **{**some, "optimizer": "sgd"})
        again = Recipe(recipe.base, name=recipe.name, settings=recipe.settings)
        assert again == recipe


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name must be a text of 1 to 100 characters, got ''"),
        (3, "name must be a text .*, got 3"),
        ("x" * 101, "name must be a text of 1 to 100"),
        ("a\nb", "printable"),
        (" a", "without spaces around it"),
        ("coincident", "there is a recipe 'coincident' already"),
        ("no-plant-mesa", "there is a recipe 'no-plant-mesa' already"),
    ],
)
def test_a_name_that_would_mislead_is_refused(name: Any, message: str) -> None:
    with pytest.raises(PlantedError, match=message):
        Recipe("pressure", name=name)


def test_slugs_are_file_names_and_differ_where_names_do() -> None:
    names = [*NAMED, "my recipe", "My recipe", "my-recipe", "..", ".", "a/b", "a\\b", "λ", "con:",
             "=", "pressure steps=3", "x" * 60, "x" * 61, "x" * 62, "-", "--"]  # fmt: skip
    names += [slug_of(name) for name in names if slug_of(name) not in names]
    slugs = [slug_of(name) for name in names]
    assert len({slug.casefold() for slug in slugs}) == len(names)
    for name, slug in zip(names, slugs, strict=True):
        assert 1 <= len(slug) <= 70, name
        assert set(slug) <= set("abcdefghijklmnopqrstuvwxyz0123456789._=-")
        assert slug[0] not in ".-"
    assert [slug_of(name) for name in NAMED] == list(NAMED)


def test_recipes_are_values() -> None:
    assert Recipe("pressure", clip=2) == Recipe("pressure", clip=2.0)
    assert Recipe("pressure") != Recipe("pressure", name="mine")
    assert hash(Recipe("cued")) == hash(Recipe("cued"))


# --- files ---


FILE = """
[[recipe]]
base = "pressure"
name = "fast"
seeds = 10
settings = { learning_rate = 3e-3, steps = 300 }

[[recipe]]
base = "cued"
[recipe.settings]
clip = 2
"""


def written(folder: Path, content: str) -> Path:
    path = folder / "recipes.toml"
    path.write_text(content)
    return path


def test_recipes_are_read_from_toml(tmp_path: Path) -> None:
    assert load_recipes(written(tmp_path, FILE)) == [
        Recipe("pressure", name="fast", seeds=10, learning_rate=3e-3, steps=300),
        Recipe("cued", clip=2.0),
    ]
    one = written(tmp_path, FILE[: FILE.rindex("[[recipe]]")])
    assert Recipe.from_toml(one) == Recipe.from_toml(str(one)) == load_recipes(one)[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps = 300", "steps = 0"), r"recipe\[0\]\.settings\.steps must be .* 1000000, got 0"),
        (("clip = 2", "clip = inf"), r"recipe\[1\]\.settings\.clip must be .*, got inf"),
        (("clip = 2", "clipp = 2"), r"recipe\[1\]\.settings: .*'clipp'. Did you mean 'clip'"),
        (("seeds = 10", "seeds = 10.5"), r"recipe\[0\]\.seeds must be a whole number"),
        (("seeds = 10", "seed = 10"), r"recipe\[0\]: .*'seed'. Did you mean 'seeds'"),
        (("seeds = 10", "learning_rate = 1"), r"recipe\[0\]: .*'learning_rate'"),
        (('name = "fast"', 'name = ""'), r"recipe\[0\]\.name must be a text"),
        (('base = "cued"', 'base = "qued"'), r"recipe\[1\]: Unknown recipe 'qued'. Did you mean"),
        (('base = "cued"', "base = 3"), r"recipe\[1\]\.base must be a text"),
        (("clip = 2", "momentum = 0.5"), r"recipe\[1\]: .*momentum has no effect"),
        (("[[recipe]]", "[[recipes]]"), "'recipes'. Did you mean 'recipe'"),
        (('base = "cued"', 'name = "fast"'), r"recipe\[1\]: a recipe named 'fast' stands above"),
        (("[[recipe]]", "[[recipe"), "not a TOML file"),
        ((FILE, ""), "holds no recipe"),
        ((FILE, "recipe = 3"), "recipe must be a list of tables, got 3"),
        ((FILE, "recipe = [3]"), r"recipe\[0\] must be a table, got 3"),
        ((FILE, "recipe = []"), "recipe must be a list of tables"),
    ],
)
def test_an_error_in_a_file_is_named_by_its_path(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    path = written(tmp_path, FILE.replace(*change))
    with pytest.raises(PlantedError, match=message) as raised:
        load_recipes(path)
    assert str(raised.value).startswith(str(path))


def test_a_file_that_is_not_there_or_holds_several_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlantedError, match=r"Cannot read .*nothing\.toml"):
        load_recipes(tmp_path / "nothing.toml")
    with pytest.raises(PlantedError, match="Cannot read"):
        load_recipes(tmp_path)
    with pytest.raises(PlantedError, match="holds 2 recipes"):
        Recipe.from_toml(written(tmp_path, FILE))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(PlantedError, match="not a TOML file"):
        load_recipes(tmp_path / "binary.toml")


def test_the_schema_has_every_setting_with_its_bounds() -> None:
    schema = msgspec.json.schema(Settings)["$defs"]["Settings"]
    assert set(schema["properties"]) == set(Settings.__struct_fields__)
    assert schema["properties"]["batch"] == {
        "type": "integer", "minimum": 1, "maximum": 4096, "default": 32,
    }  # fmt: skip
    assert set(schema["properties"]["regime"]["enum"]) == set(REGIMES)
    changes = msgspec.json.schema(recipes.RecipeFile)["$defs"]["Changes"]
    assert set(changes["properties"]) == set(Settings.__struct_fields__)
    assert changes["additionalProperties"] is False


@pytest.mark.parametrize("field", Settings.__struct_fields__)
def test_every_setting_is_checked_and_named(field: str) -> None:
    for value in (object(), None, [], {}, "", float("nan"), np.array([1, 2])):
        with pytest.raises(PlantedError, match=f"W: {field} must be "):
            converted({field: value}, Settings, "W")
