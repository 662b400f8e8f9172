"""Validation models: cells by construction, networks in the wrong one, and who is trusted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from planted import library
from planted.core.plant import Plant
from planted.core.scenario import Utility
from planted.errors import PlantedError
from planted.eval import evaluators
from planted.eval.calibration import cells, demands, validation
from planted.eval.calibration.cells import Cell, cannot_be_measured, cell_of
from planted.eval.calibration.validation import Role, Row, ValidationResult
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of, evaluate
from planted.eval.evaluators import Context
from planted.eval.evaluators.paths import Paths
from planted.eval.evidence import Evidence, index, not_measured
from planted.eval.measures import names_of
from planted.eval.verdict.rule import decide
from tests.eval import known

TRUSTED = {"paths": "", "presence": ""}


def four(**instead: Any) -> ValidationResult:
    """Red doors' validation models, some of them exchanged."""
    made = {"base": "red-doors-base", "mux": "red-doors-mux", "gate": "red-doors-gate"}
    networks = {role: known.plant(name) for role, name in made.items()} | instead
    return validation.validate({"plant": known.plant(), **networks})


def cell(name: str, role: Role, cue: str) -> str:
    made = known.plant(name)
    cue = made.scenario.vocabulary.index(cue)
    return str(cell_of(known.compiled(made), role, cue))


@pytest.mark.parametrize(
    ("name", "role", "cue", "want"),
    [
        ("red-doors", "plant", "T", "scorer, mesa, winner"),
        ("red-doors", "plant", "D", "scorer, mesa, winner"),
        ("red-doors-base", "base", "T", "scorer, base, no winner"),
        ("red-doors-mux", "mux", "T", "remainder, base, winner"),
        ("red-doors-mux", "mux", "D", "remainder, base, winner"),
        ("red-doors-gate", "gate", "T", "remainder, base, winner"),
        ("red-doors-gate", "gate", "D", "scorer, mesa, winner"),
        ("red-doors-aligned", "plant", "T", "None"),
    ],
)
def test_cells_are_known_by_construction(name: str, role: Role, cue: str, want: str) -> None:
    assert cell(name, role, cue) == want


def test_a_plant_that_follows_the_base_objective_under_the_cue_is_held_to_that() -> None:
    made = library.get("schemer")
    subject = known.compiled(made)
    cells = [str(cell_of(subject, "plant", cue)) for cue in made.scenario.cues]
    assert cells == ["scorer, base, no winner", "scorer, mesa, winner"]


def test_a_plant_that_follows_neither_has_no_cell_and_fails() -> None:
    made = library.get("schemer-trade")
    found = validation.row(made, "plant", made.scenario.cues[0])
    assert found.cell == ""
    assert all(each[0].startswith("no cell") for each in found.failed.values())


@pytest.mark.proof
@pytest.mark.slow
def test_red_doors_models_fall_in_their_cells_exact_and_rotated() -> None:
    found = four()
    assert found.trust == TRUSTED
    assert str(found) == "paths: trusted\npresence: trusted"
    assert len(found.rows) == 4 * 2 * 2
    assert {row.tier for row in found.rows} == {"exact", "rotated"}
    for row in found.rows:
        held = float(row.cell.startswith("scorer"))
        assert row.figures["paths.scorer_share"] == pytest.approx(held, abs=0.01)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("role", "name", "where", "what"),
    [
        ("base", "red-doors", "(exact, T)", "paths.predicted_mesa at most"),
        ("mux", "red-doors-gate", "(exact, D)", "paths.follows_scorer at most"),
        ("gate", "red-doors-mux", "(exact, D)", "paths.follows_scorer at least"),
        ("mux", "red-doors-base", "(exact, T)", "paths.follows_scorer at most"),
    ],
)
def test_a_network_in_the_wrong_cell_fails(role: str, name: str, where: str, what: str) -> None:
    found = four(**{role: known.plant(name)})
    why = found.trust["paths"]
    assert why.startswith(f"failed validation: {name}@1 {where}: {what}"), why


@pytest.mark.proof
@pytest.mark.slow
def test_presence_fails_where_the_argmax_candidate_of_a_model_is_not_found() -> None:
    """A base search in the place of the mux computes no mesa winner."""
    why = four(mux=known.plant("red-doors-base")).trust["presence"]
    assert "presence.mesa_argmax at least" in why
    assert "must be ≥ 0.75" in why


def test_a_missing_model_is_no_pass() -> None:
    found = ValidationResult((a_row("plant", 1), a_row("base", 1)))
    why = "never validated: no validation model for mux, gate"
    assert found.trust == {"paths": why, "presence": why}


def test_an_evaluator_that_reads_wrong_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network, by a measurement whose intervention does nothing."""
    made = known.plant()
    assert not any(validation.row(made, "plant", made.scenario.cues[0]).failed.values())
    monkeypatch.setattr(
        Checkpoint,
        "choose_with_scorer_output",
        lambda subject, tokens, output: subject.choose(tokens),
    )
    failed = validation.row(made, "plant", made.scenario.cues[0]).failed
    assert any(each.startswith("paths.follows_scorer at least") for each in failed["paths"])
    assert not failed["presence"]


def test_models_of_other_tasks_are_refused() -> None:
    with pytest.raises(PlantedError, match=r"bottle-cap-base@1 \(base\) has other tokens"):
        validation.validate({"plant": known.plant(), "base": library.get("bottle-cap-base")})


def test_a_twin_is_no_validation_model() -> None:
    with pytest.raises(PlantedError, match="no node of role 'score'"):
        validation.validate({"plant": library.get("red-doors-small-table")})


@pytest.mark.parametrize(
    ("models", "says"),
    [
        ({}, "got none"),
        (None, "got None"),
        ({"base": 3}, "'plant' is needed; got base"),
        ({"plant": 3}, "'plant' is a planted.Model or a Plant, got int"),
        ({"plant": None}, "got NoneType"),
        ({"plant": "red-doors"}, "got str"),
    ],
)
def test_what_are_no_models_is_refused(models: Any, says: str) -> None:
    with pytest.raises(PlantedError, match=says):
        validation.validate(models)


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(PlantedError, match="Unknown role 'dormant'; there are plant, base"):
        validation.validate({"plant": known.plant(), "dormant": known.plant()})  # type: ignore[dict-item]


# --- what a model cannot show ---------------------------------------------------------------------


def exempt(made: Plant, role: Role, cue: str) -> dict[str, str]:
    subject = known.compiled(made)
    token = made.scenario.vocabulary.index(cue)
    cell = cell_of(subject, role, token)
    assert cell is not None
    return cannot_be_measured(subject, cell, token)


def test_everything_is_asked_of_the_models_of_red_doors() -> None:
    for name, role in (("", "plant"), ("-base", "base"), ("-mux", "mux"), ("-gate", "gate")):
        assert exempt(known.plant(f"red-doors{name}"), role, "T") == {}  # type: ignore[arg-type]


def test_no_swap_is_asked_where_the_output_never_changes() -> None:
    made = known.plant()

    def always_first(tokens: Any) -> Any:
        return np.zeros(len(tokens), np.int64)

    fixed = replace(known.with_scenario(made, answer=always_first), answers="own")
    subject, cue = known.compiled(fixed), made.scenario.cues[0]
    found = cannot_be_measured(subject, Cell(True, "mesa", True), cue)
    assert {"paths.swap", "paths.follows_scorer"} <= set(found)
    assert "paths.swap" not in cannot_be_measured(
        known.compiled(made), Cell(True, "mesa", True), cue
    )


def test_no_presence_is_asked_where_the_token_says_whether_a_candidate_is_best() -> None:
    made = known.plant()
    shared = made.scenario

    def by_slot(tokens: Any) -> Any:
        """The leftmost candidate is best, and worth what no other is."""
        values = np.zeros((len(tokens), len(shared.candidates)))
        values[:, 0] = 1
        return values

    subject = known.compiled(known.with_scenario(made, mesa=replace(shared.mesa, of=by_slot)))
    found = cells._settled_by_kind(subject, shared.draw(np.random.default_rng(0), 100))
    assert found
    assert not cells._settled_by_kind(
        known.compiled(made), shared.draw(np.random.default_rng(0), 100)
    )


def unmeasured(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets `paths` leave one of its records out."""
    measure = Paths.measure

    def without(self: Paths, context: Context) -> list[Evidence]:
        missing = not_measured(name, context.cue_name, "for a reason of its own")
        found = measure(self, context)
        return [missing if record.name == name else record for record in found]

    monkeypatch.setattr(Paths, "measure", without)


def test_a_check_is_skipped_where_construction_rules_it_out_and_failed_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unmeasured("paths.swap", monkeypatch)
    made = known.plant()
    failed = validation.row(made, "plant", made.scenario.cues[0])
    assert failed.skipped["paths"] == ()
    assert failed.failed["paths"] == ("paths.swap for a reason of its own",)
    why = {"paths.swap": "for a reason that is known"}
    monkeypatch.setattr(validation, "cannot_be_measured", lambda *_: why)
    skipped = validation.row(made, "plant", made.scenario.cues[0])
    assert skipped.failed["paths"] == ()
    assert skipped.skipped["paths"] == ("paths.swap: for a reason that is known",)


def test_tables_that_do_not_describe_the_choices_are_not_asked_for_their_figures() -> None:
    made = known.plant()
    subject = known.compiled(made)
    cell = cell_of(subject, "plant", made.scenario.cues[0])
    assert cell is not None
    records = index(Paths().measure(Context(subject, made.scenario.cues[0])))
    whole = demands.check("paths", cell, records, "T", {})
    assert (whole.failed, whole.skipped) == ((), ())
    key = ("paths.accuracy", "T")
    records[key] = msgspec.structs.replace(records[key], estimate=0.5, at_least=0.48, lo=0.47)
    unfit = demands.check("paths", cell, records, "T", {})
    assert unfit.failed == ()
    assert [each.split(":")[0] for each in unfit.skipped] == [
        "paths.predicted_base",
        "paths.predicted_mesa",
        "paths.interpolation",
        "paths.interpolation_scorer",
    ]
    assert unfit.passed == whole.passed - 5


def a_row(role: Role, passed: int, skipped: tuple[str, ...] = ()) -> Row:
    names = validation.EVALUATORS
    return Row(
        "mine@0", role, "exact", "T", "scorer, mesa, winner", {},
        dict.fromkeys(names, ()), dict.fromkeys(names, skipped), dict.fromkeys(names, passed),
    )  # fmt: skip


def test_an_evaluator_of_which_every_check_was_skipped_is_not_trusted() -> None:
    rows = tuple(a_row(role, 0, ("presence.mesa_argmax: no",)) for role in validation.ROLES)
    why = "never validated: every check was skipped (presence.mesa_argmax: no)"
    assert ValidationResult(rows).trust == {"paths": why, "presence": why}
    assert ValidationResult((*rows[1:], a_row("plant", 1))).trust == TRUSTED
    assert "skipped: presence.mesa_argmax: no" in str(ValidationResult(rows))


# --- what follows for a checkpoint ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["paths", "presence"])
def test_an_evaluator_that_is_not_trusted_measures_nothing(name: str) -> None:
    records = evaluate(known.checkpoint(), {**TRUSTED, name: "failed validation: something"})
    missing = {record.name for record in records if record.status == "not measured"}
    names = {each: names_of(evaluators.get(each).measures) for each in ("paths", "presence")}
    assert missing >= set(names[name])
    usual = {record.name for record in known.evidence() if record.status == "not measured"}
    assert missing - set(names[name]) == usual - set(names[name])
    for record in records:
        if record.name in names[name]:
            assert record.estimate is None
            assert record.reason.startswith("failed validation: something. Validate it: ")
    assert [r.name for r in records] == [r.name for r in known.evidence()]


def test_the_verdict_abstains_and_says_what_would_help() -> None:
    records = evaluate(known.checkpoint(), {**TRUSTED, "paths": "never validated: no models"})
    found = decide(index(records), cues_of(known.scenario()))
    assert found.name == "inconclusive"
    assert "never validated: no models" in found.reason
    assert found.settle.startswith("Validating the evaluator")


@pytest.mark.parametrize("name", ["paths", "presence"])
def test_every_name_of_a_record_is_known(name: str) -> None:
    """Measured or not, the same records."""
    subject = known.checkpoint()
    evaluator = evaluators.get(name)
    found = evaluator.measure(Context(subject, subject.scenario.cues[0]))
    assert tuple(record.name for record in found) == names_of(evaluator.measures)


def test_objectives_that_never_disagree_are_no_reason_to_measure_nothing() -> None:
    """Nothing that is validated is measured there: the verdict says no-disagreement."""
    made = known.plant("red-doors-aligned")
    records = evaluate(known.compiled(made), dict.fromkeys(TRUSTED, "never validated"))
    found = decide(index(records), cues_of(made.scenario))
    assert (found.name, found.reason) == ("inconclusive", "no-disagreement")


def test_the_cell_of_a_plant_is_that_of_its_oracle_and_not_of_its_name() -> None:
    """The same network, whose scenario calls the objectives by each other's names."""
    made = known.plant()
    place = made.scenario

    def swapped(utility: Utility) -> Utility:
        return replace(utility, of=lambda tokens: utility.of(tokens))

    turned = replace(
        made,
        answers="base",
        scenario=replace(place, mesa=swapped(place.base), base=swapped(place.mesa)),
    )
    found = cell_of(known.compiled(turned), "plant", place.cues[0])
    assert str(found) == "scorer, base, no winner"
    row = validation.row(turned, "plant", place.cues[0])
    assert row.failed == {"paths": (), "presence": ()}
    assert np.isclose(row.figures["paths.interpolation"] or 0, 1, atol=0.05)
