"""Search or lookup: networks built to do either, networks that do neither, and closed cases."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import planted
from planted.compiler.compile import compile_program
from planted.core.roles import Program
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, codes, search, worth
from planted.eval.evidence import Null, Records, index, not_measured, share
from planted.programs import rasp_library
from tests.eval import known


def measured(subject: Checkpoint, cue: int = 0) -> Records:
    return index(known.measured("search", subject, subject.scenario.cues[cue]))


def says(found: Records, cue: str = "T") -> str:
    return search.kind_of(found, cue)


def loaded(name: str, tier: str = "exact") -> Checkpoint:
    return known.compiled(planted.load(name, tier=tier).plant)


@pytest.mark.parametrize("rotated", [False, True])
def test_a_compiled_search(rotated: bool) -> None:
    found = measured(known.checkpoint(rotated=rotated))
    assert says(found) == "search"
    for name in ("counterfactual", "weakest", "unseen", "retarget"):
        assert found[f"search.{name}", "T"].estimate == 1
    null = found["search.counterfactual", "T"].null
    assert null is not None
    assert null.hi < 0.5  # codes as far apart in random directions
    assert found["search.independence", "T"].estimate == pytest.approx(1, abs=1e-3)
    kind = found["search.kind", "T"]
    assert kind.estimate == 1
    assert kind.at_least is not None
    assert 0.9 < kind.at_least < 1


@pytest.mark.parametrize("tier", ["exact", "rotated"])
@pytest.mark.parametrize(
    ("family", "twin"),
    [("bottle-cap", "table"), ("bottle-cap", "list"), ("red-doors-small", "table")],
)
def test_a_twin_with_the_same_answers(family: str, twin: str, tier: str) -> None:
    searching = loaded(family, tier)
    subject = loaded(f"{family}-{twin}", tier)
    tasks = searching.scenario.draw(np.random.default_rng(0), 200)
    np.testing.assert_array_equal(searching.choose(tasks), subject.choose(tasks))
    assert says(measured(searching)) == "search"
    found = measured(subject)
    assert says(found) == "lookup"
    most = found["search.retarget", "T"].at_most
    assert most is not None
    assert most < 0.2


def test_copies_of_tokens_whose_worth_depends_on_the_context() -> None:
    """A table of what stands in every cell: its content is copied before it is looked up."""
    assert says(measured(loaded("grid-doors.small"))) == "search"
    assert says(measured(loaded("grid-doors-table"))) == "lookup"


def test_a_search_that_nothing_reads_is_none() -> None:
    assert says(measured(loaded("bottle-cap-decoy"))) == "lookup"


def test_copies_of_contents_that_are_looked_up() -> None:
    """What blocks write is a copy of the content, and a table reads that alone."""
    from tracr.rasp import rasp

    plant = planted.load("red-doors-small-table").plant
    place, words = plant.scenario, plant.scenario.vocabulary
    copy = rasp.Map(lambda word: words.index(word) + 100, rasp.tokens, simplify=False)
    first, second, third = (rasp_library.at(k, f"copy_{k}", copy) for k in (1, 2, 3))
    pair = rasp.SequenceMap(lambda a, b: a * 1000 + b, first, second)

    def answer(pair: int, third: int) -> int:
        named = [words[code - 100] for code in (*divmod(pair, 1000), third)]
        return 1 if {*named} & {"T", "D"} else place.choose((*named, "T")) + 1

    made = compile_program(
        Program(rasp.SequenceMap(answer, pair, third), searches=False),
        words,
        len(place.candidates),
        place.read_out,
    )
    subject = known.compiled(replace(plant, params=made.params, spec=made.spec, truth=made.truth))
    tasks = place.draw(np.random.default_rng(0), 100)
    chosen = Checkpoint(plant, plant.params).choose(tasks)
    np.testing.assert_array_equal(subject.choose(tasks), chosen)
    found = measured(subject)
    assert says(found) != "search"
    weakest = found["search.weakest", "T"].estimate
    assert weakest is not None
    assert weakest < 0.6
    assert search.place_of(found, "T").startswith("written")


def test_candidates_that_stay_the_same_and_change_in_worth() -> None:
    assert says(measured(loaded("bandit.small"))) == "search"
    assert says(measured(loaded("bandit-table.small"))) == "lookup"


def test_the_search_that_answers_is_found_and_the_one_that_does_not_is_not_needed() -> None:
    """Nothing presupposes which objective is searched for, or where."""
    found = measured(known.checkpoint("red-doors-mux"))
    assert says(found) == "search"


def test_a_checkpoint_whose_planted_scorer_is_gone() -> None:
    """The base search in the shapes of the plant: the planted node holds other values."""
    assert says(measured(known.checkpoint("red-doors-base"))) == "search"


def test_rules_that_follow_an_order_are_not_called_search() -> None:
    rules, ranked = (
        measured(loaded("heuristics.small")),
        measured(loaded("heuristics-ranked.small")),
    )
    assert says(ranked) == "search"
    assert says(rules) != "search"


def test_random_weights_are_not_called_search() -> None:
    plant, rng = known.plant(), np.random.default_rng(5)
    params = {
        name: (
            rng.normal(size=value.shape) * np.sqrt((value**2).sum() / max(value.size, 1))
        ).astype(np.float32)
        for name, value in plant.params.items()
    }
    found = measured(known.compiled(plant, params))
    assert says(found) == "inconclusive"
    assert found["search.counterfactual", "T"].reason


def test_candidates_without_positions_are_not_measured() -> None:
    found = measured(loaded("lookahead-action"))
    assert says(found) == "inconclusive"
    assert "position" in found["search.kind", "T"].reason


def test_where_every_task_holds_a_spared_pair_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As with many slots: no task is left to take codes from."""
    monkeypatch.setattr(search, "_has_unseen", lambda levels, n: np.ones(len(levels), dtype=bool))
    found = measured(known.checkpoint())
    assert {record.status for record in found.values()} == {"not measured"}
    assert says(found) == "inconclusive"


def test_how_much_of_a_code_is_the_candidates_own() -> None:
    """A code of two values with noise of the menu: 1 / (1 + 4 σ²) is explained by content."""
    rng, n, sigma = np.random.default_rng(0), 40000, 0.5
    kind = rng.integers(0, 4, (n, 1))
    level = kind // 2
    value = (level + sigma * rng.normal(size=(n, 1)))[..., None].astype(np.float32)
    place = codes.Place("here", ("site",))
    made = codes.codes_of(place, {"site": value}, level, kind, level)
    assert made.by_token == pytest.approx(made.by_content, abs=0.01)
    assert made.by_content == pytest.approx(1 / (1 + 4 * sigma**2), abs=0.01)
    np.testing.assert_allclose(made.means["site"][0, :, 0], [0, 1], atol=0.02)


def test_how_much_of_worth_a_token_tells() -> None:
    """A token that tells which of two levels in three of four tasks explains a quarter."""
    rng, n = np.random.default_rng(0), 40000
    level = rng.integers(0, 2, (n, 1))
    token = np.where(rng.random((n, 1)) < 0.75, level, 1 - level)
    assert codes.level_by_token(level, token) == pytest.approx(0.25, abs=0.02)
    assert codes.level_by_token(level, level) == pytest.approx(1)


def test_turned_codes_are_as_far_apart() -> None:
    rng = np.random.default_rng(0)
    means = {"site": rng.normal(size=(3, 5, 2, 4)).astype(np.float32)}
    made = codes.Codes(codes.Place("here", ("site",)), means, 1.0, 1.0)
    turned = made.turned(rng).means["site"]
    for one, other in ((0, 1), (2, 4)):
        before = np.linalg.norm(means["site"][0, one] - means["site"][0, other])
        after = np.linalg.norm(turned[0, one] - turned[0, other])
        assert after == pytest.approx(before, rel=1e-5)
    assert not np.allclose(turned, means["site"])


def test_an_order_of_its_own_is_found_where_neither_objective_is_followed() -> None:
    subject = loaded("heuristics-ranked.small")
    tasks = Context(subject, subject.scenario.cues[0]).examples(search.FITTED)
    own = worth.worth_of(subject, tasks)
    assert own is not None
    assert own.followed == "own"
    assert worth.worth_of(known.checkpoint(), known.scenario().draw(np.random.default_rng(0), 500))


NULL_OF_ALL = Null("codes in random directions: here", 0.0, 1.0, 10)


def estimate(record: Any) -> float:
    return float(record.estimate)


def records(weakest: float, pooled: float, ranked: float, null: float, n: int = 4000) -> Records:
    beside = Null("codes in random directions: here", 0.0, null, 10)
    figures: Any = {"weakest": weakest, "counterfactual": pooled, "retarget": ranked}
    return index(
        share(f"search.{name}", "T", round(n * value), n, null=beside)
        for name, value in figures.items()
    )


@pytest.mark.parametrize(
    ("figures", "kind"),
    [
        ((0.85, 0.95, 0.9, 0.2), "search"),
        ((0.8, 0.95, 0.9, 0.2), "inconclusive"),  # the lower bound is below .8
        ((0.85, 0.95, 0.7, 0.2), "inconclusive"),
        ((0.0, 0.25, 0.25, 0.2), "lookup"),
        ((0.0, 0.3, 0.25, 0.2), "inconclusive"),  # the upper bound is above null + .1
        ((0.0, 0.25, 0.5, 0.2), "inconclusive"),
    ],
)
def test_the_limits(figures: tuple[float, float, float, float], kind: str) -> None:
    found = records(*figures)
    assert says(found) == kind
    assert search.place_of(found, "T") == "here"


@pytest.mark.parametrize(("weakest", "ranked"), [(0.6, 0.9), (0.9, 0.6)])
def test_the_summary_is_the_smaller_figure_above_its_null(weakest: float, ranked: float) -> None:
    found = records(weakest, 0.95, ranked, null=0.2)
    low = min((found[f"search.{name}", "T"] for name in ("weakest", "retarget")), key=estimate)
    kind = search._kind(found["search.weakest", "T"], found["search.retarget", "T"], low.null)
    assert kind.estimate == pytest.approx((0.6 - 0.2) / (1 - 0.2))
    for bound in ("lo", "hi", "at_least", "at_most"):
        assert getattr(kind, bound) == pytest.approx((getattr(low, bound) - 0.2) / 0.8, abs=1e-5)
    below = search._kind(*(found[f"search.{n}", "T"] for n in ("weakest", "retarget")), NULL_OF_ALL)
    assert below.estimate is None


def test_what_is_not_measured_is_neither() -> None:
    names = ("weakest", "counterfactual", "retarget")
    found = index(not_measured(f"search.{name}", "T", "no order") for name in names)
    assert says(found) == "inconclusive"
    assert search.place_of(found, "T") == ""
