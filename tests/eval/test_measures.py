"""Every figure is declared once, and everything that names one takes its words from there."""

from __future__ import annotations

import pytest

from planted.errors import UnknownNameError
from planted.eval import evaluators, measures
from planted.eval.evidence import index
from planted.eval.reading import FOLLOWS, VALID
from planted.eval.report import tables
from planted.eval.verdict.rule import BESIDE_NULL, Thresholds
from tests.eval import known

NULLS = {
    *("", "negative controls", "sham", "random subspace", "random weights", "chance", "coin"),
}


def test_every_figure_that_is_measured_is_declared_and_no_other() -> None:
    declared = {one.name for one in measures.all_measures()}
    given = {record.name for name in ("red-doors", "red-doors-gate") for record in
             known.evidence(name)}  # fmt: skip
    assert given == declared


def test_a_measure_is_in_words_and_belongs_to_the_evaluator_that_gives_it() -> None:
    for name in evaluators.names():
        for one in evaluators.get(name).measures:
            assert one.family == name
            assert one.null in NULLS, one.name
            for text in (one.label, one.unit, one.direction):
                assert text, one.name
                assert not text.endswith("."), one.name
            assert one.explanation.endswith("."), one.name
            assert one.explanation.count(". ") == 0, one.name


def test_labels_are_not_shared_but_by_the_same_distance_of_another_gap() -> None:
    labels = [one.label for one in measures.all_measures() if not one.name.startswith("gap.")]
    assert len(set(labels)) == len(labels)
    under = [(one.heading, one.label) for one in measures.all_measures()]
    assert len(set(under)) == len(under)


def test_a_record_is_per_cue_or_of_the_checkpoint_as_its_measure_says() -> None:
    for record in known.evidence():
        assert (record.cue == "all") != measures.get(record.name).per_cue


def test_an_unknown_figure_gets_near_names_or_keeps_its_own() -> None:
    with pytest.raises(UnknownNameError, match=r"'paths.scorer_shar'.*'paths.scorer_share'"):
        measures.get("paths.scorer_shar")
    assert measures.label("somebody's.figure") == "somebody's.figure"
    assert measures.heading("somebody's.figure") == "Other"


def test_the_figures_that_the_rule_wants_a_null_beside_declare_one() -> None:
    for name in BESIDE_NULL:
        assert measures.get(name).null, name


def test_the_reading_names_behaviour_at_the_thresholds_of_the_verdict() -> None:
    assert (Thresholds().valid, Thresholds().agreement) == (VALID, FOLLOWS)


def test_tables_list_every_figure_under_a_heading() -> None:
    table = tables.seed_table(index(known.evidence()), ("T", "D"))
    assert "Other" not in {group["title"] for group in table}
    assert sum(len(group["rows"]) for group in table) == len(known.evidence())
