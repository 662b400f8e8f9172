"""The contract of an evaluator: one of another package, and what breaks it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from planted.errors import PlantedError, UnknownNameError, VerdictError
from planted.eval import evaluators, measures
from planted.eval.evaluate import beside_negative_controls, evaluate, evidence_by_evaluator
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence, index, share
from planted.eval.measures import Measure
from planted.eval.reading import reading, sentence
from planted.eval.report import tables
from tests.eval import known

TRUST = {"paths": "", "presence": ""}
THREE = ("T", "D", "E")  # cues

# What a reader writes: a package of 30 lines.
OWN = '''
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence, share
from planted.eval.measures import Measure


class FirstSlot:
    """How often the leftmost candidate is chosen on disputed tasks."""

    name = "first-slot"
    version = 1
    needs_validation = False
    measures = (
        Measure(
            name="first-slot.share",
            label="leftmost choices on Δ",
            unit="share",
            direction="1: the leftmost candidate is always chosen; 0: never",
            family="first-slot",
            null="negative controls",
            shown="sentence",
            explanation="Share of tasks of Δ on which the leftmost candidate is chosen.",
        ),
    )

    def measure(self, context: Context) -> list[Evidence]:
        tokens = context.examples("disputed tasks")
        first = context.checkpoint.choose(tokens) == 0
        return [share("first-slot.share", context.cue_name, int(first.sum()), len(tokens))]


evaluator = FirstSlot()
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Puts a package with one evaluator on the path, as pip would."""

    def put(source: str, point: str, name: str = "first-slot", module: str = "my_eval") -> None:
        folder = tmp_path / f"{module}-1.0.dist-info"
        folder.mkdir()
        (tmp_path / f"{module}.py").write_text(source, "utf-8")
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[planted.evaluators]\n{name} = {point}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    yield put
    import sys

    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


def test_an_evaluator_of_your_own_is_run_labelled_and_held_against_its_null(install: Any) -> None:
    assert len(OWN.strip().splitlines()) <= 40
    before = evidence_by_evaluator(known.checkpoint(), TRUST, ["agreement", "objectives"])
    install(OWN, "my_eval:evaluator")
    assert evaluators.names()[-1] == "first-slot"
    assert "first-slot" not in evaluators.own()
    found = evidence_by_evaluator(
        known.checkpoint(), TRUST, ["objectives", "agreement", "first-slot"]
    )
    assert [record.cue for record in found["first-slot"]] == ["T", "D"]
    assert list(found) == ["objectives", "agreement", "first-slot"]
    for name, records in before.items():
        assert found[name] == records
    records = index(record for listed in found.values() for record in listed)
    assert measures.get("first-slot.share").label == "leftmost choices on Δ"
    (group,) = [
        group for group in tables.seed_table(records, ("T", "D")) if group["title"] == "first-slot"
    ]
    assert [row["name"] for row in group["rows"]] == ["leftmost choices on Δ"] * 2
    assert reading(records, ("T",))["T"]["leftmost choices on Δ"][0] == pytest.approx(
        1 / 3, abs=0.1
    )
    assert "leftmost choices on Δ 0." in sentence(records, ("T",))
    beside = index(
        beside_negative_controls(records.values(), {"mine": [records, records]}, ("T", "D"))
    )
    null = beside[("first-slot.share", "T")].null
    assert null is not None
    assert null.n == 2


def test_without_the_package_nobody_has_the_name() -> None:
    with pytest.raises(UnknownNameError, match="'first-slot'"):
        evaluators.get("first-slot")
    with pytest.raises(UnknownNameError, match=r"'path'.*'paths'"):
        evaluate(known.checkpoint(), TRUST, ["path"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'name = "first-slot"',
            'name = "other"',
            "name = 'first-slot', as its entry point",
        ),
        ("version = 1", "version = '1'", "version, a whole number; got '1'"),
        ("measures = (", "measured = (", "measures, a tuple of planted.eval.measures.Measure"),
        ("needs_validation = False", "", "needs_validation, True or False; got None"),
        ("def measure(self", "def measured(self", "a method measure"),
        ("evaluator = FirstSlot()", "evaluator = FirstSlot", "names the class FirstSlot"),
        ("import Measure", "import Measures", "cannot be imported: ImportError"),
    ],
)
def test_what_an_evaluator_lacks_is_named(install: Any, old: str, new: str, message: str) -> None:
    assert old in OWN
    install(OWN.replace(old, new, 1), "my_eval:evaluator")
    with pytest.raises(PlantedError, match=message):
        evaluators.get("first-slot")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ('"first.share", context.cue_name, 0.5', PlantedError, "gave 'first.share' in cue 'T'; it"),
        ('"first-slot.share", "X", 0.5', PlantedError, "in cue 'X'; it declares, in cue 'T'"),
        (
            '"first-slot.share", context.cue_name, 1.5',
            VerdictError,
            "estimate = 1.5; expected a sh",
        ),
    ],
)
def test_what_an_evaluator_gives_is_held_to_what_it_declares(
    install: Any, given: str, error: type[Exception], message: str
) -> None:
    old = 'share("first-slot.share", context.cue_name, int(first.sum()), len(tokens))'
    assert old in OWN
    install(OWN.replace(old, f"Evidence({given})"), "my_eval:evaluator")
    with pytest.raises(error, match=message):
        evaluate(known.checkpoint(), TRUST, ["first-slot"])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "gave None; measure"),
        ("{'a': 1}", "gave {'a': 1}; measure"),
        ("[{'name': 'first-slot.share'}]", "gave a record that cannot be one. A record is a"),
        ("[Evidence('first-slot.share', context.cue_name, '0.5')]", "estimate = '0.5'"),
        ("[Evidence('first-slot.share', context.cue_name, 0.5, n=1.5)]", "n = 1.5"),
        ("1 / 0", r"raised ZeroDivisionError at my_eval.py:\d+: division by zero. Mend"),
        ("exit(0)", "raised SystemExit"),
        ("context.examples('no such tasks')", "raised UnknownNameError"),
    ],
)
def test_an_evaluator_that_fails_is_named_and_costs_no_other_one_its_records(
    install: Any, returned: str, message: str
) -> None:
    old = 'return [share("first-slot.share", context.cue_name, int(first.sum()), len(tokens))]'
    assert old in OWN
    install(OWN.replace(old, f"return {returned}"), "my_eval:evaluator")
    kept: list[str] = []
    with pytest.raises(VerdictError, match=f"evaluator 'first-slot'.*{message}"):
        evidence_by_evaluator(
            known.checkpoint(),
            TRUST,
            ["objectives", "first-slot"],
            lambda name, _: kept.append(name),
        )
    assert kept == ["objectives"]


def test_a_record_of_numpy_numbers_is_kept_as_plain_ones(install: Any) -> None:
    old = 'share("first-slot.share", context.cue_name, int(first.sum()), len(tokens))'
    made = "Evidence('first-slot.share', context.cue_name, first.mean(dtype='f4'), n=first.sum())"
    install(OWN.replace(old, made), "my_eval:evaluator")
    for record in evaluate(known.checkpoint(), TRUST, ["first-slot"]):
        assert (type(record.estimate), type(record.n)) == (float, int)


@pytest.mark.parametrize("name", ["../first", ".first", "first/slot", "a b"])
def test_a_name_that_can_be_no_file_is_refused(install: Any, name: str) -> None:
    install(OWN.replace('"first-slot"', repr(name), 1), "my_eval:evaluator", name=name)
    with pytest.raises(PlantedError, match="a name of letters, digits and hyphens"):
        evaluators.get(name)


def test_a_figure_that_two_evaluators_declare_is_refused(install: Any) -> None:
    install(OWN.replace("first-slot.share", "agreement.mesa"), "my_eval:evaluator")
    with pytest.raises(PlantedError, match="'agreement' and 'first-slot' both declare"):
        measures.all_measures()


def test_an_evaluator_that_needs_validation_is_not_trusted_until_it_is_said(install: Any) -> None:
    install(OWN.replace("needs_validation = False", "needs_validation = True"), "my_eval:evaluator")
    (one, _) = evaluate(known.checkpoint(), TRUST, ["first-slot"])
    assert (one.status, one.estimate) == ("not measured", None)
    assert one.reason.startswith("not validated on this plant")
    (one, _) = evaluate(known.checkpoint(), {**TRUST, "first-slot": ""}, ["first-slot"])
    assert one.status == "ok"
    (one, _) = evaluate(known.checkpoint(), {"first-slot": "read one wrong"}, ["first-slot"])
    assert one.reason.startswith("read one wrong")


# --- what is run where ----------------------------------------------------------------------------


def test_evidence_is_that_of_the_evaluators_together_and_each_alone() -> None:
    together = evidence_by_evaluator(known.checkpoint(), TRUST)
    assert list(together) == evaluators.names()
    joined = tuple(record for records in together.values() for record in records)
    assert joined == known.evidence()
    for name in ("regret", "cue", "interchange"):
        alone = evidence_by_evaluator(known.checkpoint(), TRUST, [name])
        assert alone == {name: together[name]}


def test_where_the_objectives_never_disagree_what_needs_it_is_not_run() -> None:
    found = evidence_by_evaluator(known.checkpoint("red-doors-aligned"))
    for name, records in found.items():
        needs = getattr(evaluators.get(name), "needs_disagreement", False)
        assert needs == (name not in ("objectives", "regret", "consistency"))
        assert {record.status for record in records} == {"not measured" if needs else "ok"}
        if needs:
            assert {record.reason for record in records} == {"no-disagreement"}


def test_the_context_says_where_it_measures() -> None:
    subject = known.checkpoint()
    whole, one = Context(subject), Context(subject, known.scenario().cues[1])
    assert (whole.cue, whole.cue_name) == (None, "all")
    assert one.cue_name == "D"
    assert (one.examples("disputed tasks")[:, -1] == one.cue).all()


@pytest.mark.parametrize(
    ("sides", "want"),
    [
        (("base", "mesa", "mesa"), 0.3),
        (("base", "mesa", "base"), None),  # no negative control does this: held against all
        (("mesa", "mesa", "mesa"), 0.1),
    ],
)
def test_negative_controls_are_chosen_by_the_behaviour_under_every_cue(
    sides: tuple[str, ...], want: float | None
) -> None:
    def records(sides: tuple[str, ...], scorer_share: float) -> list[Evidence]:
        out = [share("paths.scorer_share", "T", round(100 * scorer_share), 100)]
        for cue, side in zip(THREE, sides, strict=True):
            for name in ("mesa", "base"):
                out.append(share(f"agreement.{name}", cue, 95 if name == side else 5, 100))
        return out

    controls = {
        "no-plant-mesa": [index(records(("mesa", "mesa", "mesa"), 0.1))],
        "no-plant-cued": [index(records(("base", "mesa", "mesa"), 0.3))],
    }
    found = index(beside_negative_controls(records(sides, 0.9), controls, THREE))
    null = found[("paths.scorer_share", "T")].null
    assert null is not None
    assert (null.lo, null.hi) == ((want, want) if want is not None else (0.1, 0.3))


def test_a_measure_says_all_that_it_must() -> None:
    with pytest.raises(TypeError, match="explanation"):
        Measure(name="a", label="a", unit="share", direction="up", family="a")  # type: ignore[call-arg]
