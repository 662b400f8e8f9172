"""Trust by digest: what changes it and what does not, the table that is shipped, the cache."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import planted
from planted import library
from planted.core import artefact, environment
from planted.core.plant import Plant
from planted.core.truth import Truth
from planted.errors import ArtefactError, PlantedError, ScenarioError
from planted.eval.calibration import trust, validation
from planted.eval.calibration.trust import is_known, remember, trust_of, validation_digest
from planted.eval.calibration.validation import Role, Row, ValidationResult
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.evidence import Evidence, index
from planted.eval.verdict.thresholds import default
from planted.finetune.tiers.rotated import rotate
from planted.programs.catalogue import ENTRIES
from tests.eval import known

TRUSTED = {"paths": "", "presence": ""}
FAILED = {"paths": "failed validation: x", "presence": ""}
CONTENT = json.loads((files("planted.eval.calibration") / "trust.json").read_text("utf-8"))
TABLE = CONTENT["trust"]
FILE = {told["plant"]: told for told in TABLE.values()}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path))
    return tmp_path


def result(plant: Plant, failed: str = "") -> ValidationResult:
    """A validation of four models that all pass, or of which `paths` failed one comparison."""
    names = validation.EVALUATORS
    return ValidationResult(
        tuple(
            Row(
                plant.name, role, "exact", "T", "scorer, mesa, winner", {},
                {"paths": (failed,) if failed else (), "presence": ()},
                dict.fromkeys(names, ()), dict.fromkeys(names, 1),
            )
            for role in validation.ROLES
        )
    )  # fmt: skip


# --- the digest -----------------------------------------------------------------------------------


def with_parameters(made: Plant, **more: Any) -> Plant:
    return known.with_scenario(made, parameters={**made.scenario.parameters, **more})


def with_utility(made: Plant, change: Callable[[Any], Any]) -> Plant:
    base = made.scenario.base
    other = replace(base, of=lambda tokens: change(base.of(tokens)))
    return known.with_scenario(made, base=other)


def with_table(made: Plant) -> Plant:
    """The same program but for one entry of one table."""
    score = known.compiled(made).score.name
    operations = list(made.truth.operations)
    (at,) = (i for i, operation in enumerate(operations) if operation.name == score)
    one = operations[at]
    table = (*one.table[:-1], (one.table[-1] + 1) % len(one.values))
    operations[at] = type(one)(**{**as_dict(one), "table": table})
    return replace(made, truth=Truth(made.truth.nodes, tuple(operations)))


def as_dict(operation: Any) -> dict[str, Any]:
    return {name: getattr(operation, name) for name in operation.__struct_fields__}


def renamed(made: Plant) -> Plant:
    """The same program, its nodes named otherwise."""
    names = {op.name: f"node-{i}" for i, op in enumerate(made.truth.operations)}
    operations = tuple(
        type(op)(
            **{
                **as_dict(op),
                "name": names[op.name],
                "inputs": tuple(names[each] for each in op.inputs),
            }
        )
        for op in made.truth.operations
    )
    nodes = {
        names[name]: replace(node, name=names[name]) for name, node in made.truth.nodes.items()
    }
    return replace(made, truth=Truth(nodes, operations))


def other_role(made: Plant) -> Plant:
    """The same tables; another node is called the score."""
    roles = {"score": "compare", "compare": "score"}
    nodes = {
        name: replace(node, role=roles.get(node.role, node.role))
        for name, node in made.truth.nodes.items()
    }
    return replace(made, truth=Truth(nodes, made.truth.operations))


@pytest.mark.parametrize(
    "change",
    [
        lambda made: with_parameters(made, levels=5),
        lambda made: with_parameters(made, taste="red"),
        lambda made: with_utility(made, lambda values: 2 * values),
        lambda made: with_utility(made, lambda values: values + 1e-6),
        with_table,
        other_role,
        lambda made: replace(made, answers="base"),
        lambda made: known.with_scenario(made, cues=made.scenario.cues[:1]),
        lambda made: known.with_scenario(
            made, vocabulary=(*made.scenario.vocabulary[:-1], "another")
        ),
        lambda made: known.with_scenario(
            made, draw=lambda rng, n: made.scenario.draw(np.random.default_rng(1), n)
        ),
    ],
    ids=[
        "a parameter", "a further parameter", "the scale of a utility", "a trace in a utility",
        "the program", "the roles", "what it answers", "the cues", "the words", "the tasks",
    ],
)  # fmt: skip
def test_what_an_evaluator_may_depend_on_changes_the_digest(
    change: Callable[[Plant], Plant],
) -> None:
    made = known.plant()
    assert validation_digest(change(made)) != validation_digest(made)


@pytest.mark.parametrize(
    "change",
    [
        lambda made: replace(made, name="cats@7"),
        lambda made: known.with_scenario(made, name="cats", title="Cats", story="Of cats."),
        lambda made: replace(made, params={name: value + 1 for name, value in made.params.items()}),
        rotate,
        renamed,
        lambda made: with_utility(made, lambda values: values + 1e-13),
    ],
    ids=["the name", "the story", "the weights", "the basis", "names of nodes", "rounding"],
)
def test_what_changes_no_measurement_does_not(change: Callable[[Plant], Plant]) -> None:
    made = known.plant()
    assert validation_digest(change(made)) == validation_digest(made)


def test_the_tiers_of_a_plant_have_one_digest() -> None:
    found = {
        validation_digest(library.get("red-doors", t)) for t in ("exact", "tempered", "rotated")
    }
    assert len(found) == 1


def test_parameters_that_are_no_plain_data_are_refused() -> None:
    with pytest.raises(ScenarioError, match="must be numbers and texts"):
        validation_digest(with_parameters(known.plant(), taste=object()))


# --- the table that is shipped --------------------------------------------------------------------


@pytest.mark.parametrize("name", ["red-doors", "red-doors-small"])
def test_shipped_plants_are_trusted_and_their_weights_are_those_that_were_read(name: str) -> None:
    made = library.get(name)
    assert trust_of(made) == TRUSTED
    assert FILE[made.name]["weights"] == artefact.params_digest(made.params)


@pytest.mark.parametrize("parameters", [{"objects": 5}, {"levels": 2}])
def test_other_parameters_inherit_no_trust(parameters: dict[str, int], cache: Path) -> None:
    entry = ENTRIES["red-doors"]
    made = library.get("red-doors")
    other = replace(made, scenario=entry.make_scenario(parameters))
    for why in trust_of(other).values():
        assert why.startswith("never validated with this program and these parameters: red-doors@1")
        assert next(f"{k}={v}" for k, v in parameters.items()) in why


def test_what_was_never_read_is_not_known(cache: Path) -> None:
    """Else a plant of the user's own would never be validated."""
    made = library.get("red-doors")
    small = ENTRIES["red-doors"].make_scenario({"objects": 8, "levels": 2})
    assert is_known(made)
    assert not is_known(replace(made, scenario=small))


def test_the_name_alone_earns_no_trust(cache: Path) -> None:
    made = known.plant()
    for name in ("red-doors@1", "crumbs@1", "red-doors.large@1"):
        assert "never validated with this program" in trust_of(replace(made, name=name))["paths"]
    why = trust_of(replace(made, name="cats@0"))["paths"]
    assert why == (
        "never validated: no validation models (plant, base, mux, gate) of cats@0 were read"
    )


def test_the_same_program_by_another_name_is_trusted() -> None:
    made = library.get("red-doors")
    assert trust_of(replace(made, name="cats@0")) == TRUSTED


def test_the_table_tells_of_every_plant_that_scores_and_of_no_twin() -> None:
    assert len(FILE) == len(TABLE)
    assert set(FILE) <= {f"{name}@{entry.version}" for name, entry in ENTRIES.items()}
    absent = {name for name, entry in ENTRIES.items() if f"{name}@{entry.version}" not in FILE}
    twins = ("table", "decision list", "decoy search", "heuristics", "controller")
    assert {ENTRIES[name].mechanism for name in absent} == set(twins)
    for told in TABLE.values():
        assert set(told) == {"plant", "evaluators", "weights"}
        assert set(told["evaluators"]) == set(validation.EVALUATORS)


def test_the_table_was_measured_with_the_thresholds_that_are_shipped() -> None:
    assert CONTENT["thresholds"] == default().label


def test_with_other_thresholds_the_table_earns_no_trust(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, now = library.get("red-doors"), default()
    assert trust_of(made) == trust.trust_by_name("red-doors@1") == TRUSTED
    monkeypatch.setattr(trust, "default", lambda: msgspec.structs.replace(now, mesa=0.3))
    for why in trust_of(made).values():
        assert why.startswith(f"never validated with these thresholds, but with {now.label}")
    assert trust.trust_by_name("red-doors@1") == {}


def test_a_plant_is_trusted_only_with_all_four_models_of_its_family() -> None:
    passed = {
        name.partition("@")[0] for name, told in FILE.items() if not told["evaluators"]["paths"]
    }
    fours = [{name, *(f"{name}-{end}" for end in ("base", "mux", "gate"))} for name in ENTRIES]
    whole = [four for four in fours if four <= passed]
    assert len(whole) > 10
    for name in passed:
        assert ENTRIES[name].family in {ENTRIES[min(four, key=len)].family for four in whole}
    assert not any(four & passed and not four <= passed for four in fours if four <= set(ENTRIES))


def test_an_altered_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = next(d for d, told in TABLE.items() if told["evaluators"]["paths"])
    changed = json.loads(json.dumps(CONTENT))
    changed["trust"][digest]["evaluators"]["paths"] = ""
    (tmp_path / "trust.json").write_text(json.dumps(changed), "utf-8")
    monkeypatch.setattr(trust, "resources", lambda _: tmp_path)
    trust._shipped.cache_clear()
    try:
        with pytest.raises(ArtefactError, match=r"trust\.json holds no table of trust"):
            trust_of(known.plant())
        trust.write_shipped(tmp_path / "trust.json", changed["trust"], default().label)
        assert trust_of(library.get("red-doors")) == TRUSTED
    finally:
        trust._shipped.cache_clear()


@pytest.mark.proof
@pytest.mark.parametrize("name", ["bottle-cap", "bottle-cap-base", "bottle-cap-gate", "crumbs"])
def test_the_table_holds_what_reading_the_models_comes_to(name: str) -> None:
    made = library.get(name)
    role: Role = "base" if name.endswith("base") else "gate" if name.endswith("gate") else "plant"
    found, told = validation.rows(made, role), FILE[made.name]
    assert TABLE[validation_digest(made)] == told
    assert told["weights"] == artefact.params_digest(made.params)
    for evaluator in TRUSTED:
        assert (validation.failure(found, evaluator) == "") == (told["evaluators"][evaluator] == "")


# --- what a user validates ------------------------------------------------------------------------


def test_a_validation_is_remembered_for_its_plant_and_no_other(cache: Path) -> None:
    made = known.plant()
    assert trust_of(made) != TRUSTED
    path = remember(made, result(made))
    assert path.parent == cache / "trust"
    assert trust_of(made) == TRUSTED
    assert trust_of(replace(made, name="cats@0")) == TRUSTED
    assert trust_of(with_parameters(made, levels=5)) != TRUSTED


def test_a_failed_validation_is_remembered_too(cache: Path) -> None:
    made = known.plant()
    remember(made, result(made, "paths.swap at least 0.1, must be ≥ 0.75"))
    found = trust_of(made)
    assert found["presence"] == ""
    assert found["paths"].startswith("failed validation: red-doors@1 (exact, T): paths.swap at")


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"passed"', '"past"'),
        lambda text: "[]",
        lambda text: "{}",
        lambda text: "",
        lambda text: text.replace("exact", "exakt"),
    ],
)
def test_a_damaged_file_earns_no_trust_and_is_named(
    cache: Path, damage: Callable[[str], str]
) -> None:
    made = known.plant()
    path = remember(made, result(made))
    path.write_text(damage(path.read_text("utf-8")), "utf-8")
    for why in trust_of(made).values():
        assert str(path) in why
        assert "remove it" in why
    path.unlink()
    remember(made, result(made))
    assert trust_of(made) == TRUSTED


def test_a_file_under_another_plants_digest_earns_no_trust(cache: Path) -> None:
    made, other = known.plant(), with_parameters(known.plant(), levels=5)
    path = remember(made, result(made))
    path.rename(path.with_name(f"{validation_digest(other)}.json"))
    assert "is damaged" in trust_of(other)["paths"]


def test_a_validation_by_other_code_is_none(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = known.plant()
    remember(made, result(made))
    monkeypatch.setattr(environment, "source_digest", lambda: "another")
    assert trust_of(made)["paths"].startswith("never validated with this version of planted")


def test_a_validation_with_other_thresholds_is_none(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, now = known.plant(), default()
    remember(made, result(made))
    assert trust_of(made) == TRUSTED
    monkeypatch.setattr(trust, "default", lambda: msgspec.structs.replace(now, mesa=0.3))
    assert trust_of(made)["paths"].startswith("never validated with this version of planted")
    monkeypatch.setattr(trust, "default", default)
    assert trust_of(made) == TRUSTED


def test_a_validation_of_other_networks_is_not_remembered(cache: Path) -> None:
    made = known.plant()
    with pytest.raises(PlantedError, match=r"measured crumbs@1, but not red-doors@1"):
        remember(made, result(replace(made, name="crumbs@1")))
    assert not (cache / "trust").exists()


def own(name: str, answers: str = "mesa") -> Any:
    """Red doors of another size as a user's own scenario, and a network of it."""
    place = replace(known.scenario(), name="cats")
    return planted.plant(ENTRIES[name].program, place, answers=answers)


def scorer_share(plant: Plant) -> Evidence:
    records = evaluate(Checkpoint(plant, plant.params), only=["paths"])
    return index(records)[("paths.scorer_share", "T")]


@pytest.mark.proof
def test_a_plant_of_your_own_is_trusted_once_it_was_validated(cache: Path) -> None:
    made = own("red-doors")
    reason = scorer_share(made.plant).reason
    assert reason.startswith("never validated: no validation models")
    assert "planted.eval.calibration.validation.validate" in reason
    found = validation.validate(
        {
            "plant": made,
            "base": own("red-doors-base", "base"),
            "mux": own("red-doors-mux", "base"),
            "gate": own("red-doors-gate", "cue"),
        }
    )
    assert found.trust == TRUSTED
    remember(made.plant, found)
    assert scorer_share(made.plant).estimate == pytest.approx(1, abs=0.01)
