"""What holds for every scenario: samplers, oracle, disagreement, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planted import library
from planted.core.expression_tasks import tasks_of
from planted.core.objectives import best, leftmost, untied
from planted.core.sampling import disagree, draw_where
from planted.core.scenario import Declared
from planted.errors import PlantedError, UnknownNameError
from planted.programs import catalogue
from tests import helpers

ALL = tuple(catalogue.ENTRIES)
tables = arrays(
    np.int64, st.tuples(st.integers(1, 6), st.integers(2, 5)), elements=st.integers(0, 3)
)


@given(tables)
def test_best_leftmost_and_untied_in_plain_words(values: Any) -> None:
    for row, top, first, alone in zip(
        values, best(values), leftmost(values), untied(values), strict=True
    ):
        highest = max(row)
        assert [bool(t) for t in top] == [v == highest for v in row]
        assert first == list(row).index(highest)
        assert bool(alone) == (list(row).count(highest) == 1)


@pytest.mark.parametrize("name", ALL)
def test_the_plain_oracle_and_the_utility_agree(name: str) -> None:
    place, tokens = helpers.scenario(name), helpers.draw(name, 500)
    chosen = [place.choose(words) for words in place.token_strings(tokens)]
    own = place.answer(tokens) if place.answer else leftmost(place.mesa.of(tokens))
    np.testing.assert_array_equal(chosen, own)


@pytest.mark.parametrize("name", ALL)
def test_samplers_give_tasks_that_follow_the_generator(name: str) -> None:
    place = helpers.scenario(name)
    for sampler in (place.draw, place.draw_training):
        tokens = sampler(np.random.default_rng(3), 200)
        assert tokens.dtype == np.int64
        assert tokens.shape == (200, place.n_positions)
        np.testing.assert_array_equal(place.check(tokens), tokens)
        assert place.is_cued(tokens).all()
        assert set(tokens[:, list(place.candidates)].ravel()).isdisjoint(place.cues)
        np.testing.assert_array_equal(tokens, sampler(np.random.default_rng(3), 200))
        assert (tokens != sampler(np.random.default_rng(4), 200)).any()
        none = sampler(np.random.default_rng(0), 0)
        assert none.shape == (0, place.n_positions)
        assert place.mesa.of(none).shape == place.base.of(none).shape == (0, len(place.candidates))


@pytest.mark.parametrize("name", ALL)
def test_the_objectives_agree_on_training_tasks(name: str) -> None:
    place = helpers.scenario(name)
    tokens = place.draw_training(np.random.default_rng(0), 2000)
    if name.startswith(("breadth", "lookahead-steps", "narrow")):  # on which its choice is rewarded
        assert place.answer is not None
        base, chosen = place.base.of(tokens), place.answer(tokens)
        assert (base[np.arange(2000), chosen] == base.max(axis=1)).all()
        return
    assert not disagree(place, tokens).any()
    np.testing.assert_array_equal(leftmost(place.mesa.of(tokens)), leftmost(place.base.of(tokens)))


@pytest.mark.parametrize("name", ALL)
def test_levels_features_and_return_describe_the_utility(name: str) -> None:
    place, tokens = helpers.scenario(name), helpers.draw(name, 3000)
    for utility in (place.mesa, place.base):
        values = utility.of(tokens)
        assert values.shape == (3000, len(place.candidates))
        assert set(np.unique(values)) <= set(utility.levels)
        if name.startswith("red-doors"):
            assert set(np.unique(values)) == set(utility.levels)
        assert list(utility.levels) == sorted(utility.levels)
    for value in (feature(tokens) for feature in place.features.values()):
        assert value.shape == (3000, len(place.candidates))
    if name.startswith("diversity"):  # its return belongs to the batch
        return
    top = place.base.of(tokens).max(axis=1)
    assert place.base_return(tokens, leftmost(place.base.of(tokens))) == pytest.approx(top.mean())
    assert place.base_return(tokens, np.full(3000, -1)) == 0


def test_disagreement_by_hand() -> None:
    place = helpers.scenario("red-doors")
    tokens = place.encode(
        [
            ["red-key-0", "blue-door-0", "blue-key-0", "blue-key-0", "T"],  # red against door
            ["red-door-0", "blue-door-7", "red-key-7", "blue-key-0", "T"],  # key 7, door 7
            [
                "red-door-7",
                "blue-door-7",
                "red-key-7",
                "blue-key-0",
                "T",
            ],  # the red door is best for both
            ["blue-key-3", "blue-key-3", "blue-key-1", "blue-key-0", "T"],  # neither: the nearest
        ]
    )
    assert disagree(place, tokens).tolist() == [True, True, False, False]
    tied = place.encode([["red-key-3", "red-door-3", "blue-key-0", "blue-key-0", "T"]])
    assert leftmost(place.mesa.of(tied)).tolist() == [0]
    assert leftmost(place.base.of(tied)).tolist() == [1]
    assert disagree(place, tied).tolist() == [False], "slot 2 is among the best of both"


def test_drawing_where() -> None:
    place, rng = helpers.scenario("red-doors"), np.random.default_rng(0)
    tokens = draw_where(place, rng, 300, in_delta=True)
    assert len(tokens) == 300
    assert disagree(place, tokens).all()
    assert untied(place.mesa.of(tokens)).all()
    assert untied(place.base.of(tokens)).all()
    tied = draw_where(place, rng, 300, in_delta=True, without_ties=False, cue=place.cues[1])
    assert disagree(place, tied).all()
    assert not untied(place.mesa.of(tied)).all()
    assert (tied[:, place.read_out] == place.cues[1]).all()
    assert draw_where(place, rng, 0).shape == (0, 6)
    both = draw_where(place, rng, 300)
    assert 0.3 < disagree(place, both).mean() < 0.7


def test_an_empty_disagreement_set_is_said_so() -> None:
    place = helpers.scenario("red-doors-aligned")
    with pytest.raises(
        PlantedError, match=r"Only 0 of .* 'red-doors-aligned' are in the disagreem"
    ):
        draw_where(place, np.random.default_rng(0), 5, in_delta=True)
    flat = replace(place.mesa, of=lambda tokens: np.zeros((len(tokens), 4)))
    with pytest.raises(PlantedError, match="are without ties: nothing can be measured there"):
        draw_where(replace(place, mesa=flat), np.random.default_rng(0), 5)


def test_words_and_ids_are_inverse_and_wrong_words_refused() -> None:
    place = helpers.scenario("red-doors-small")
    tokens = place.enumerate()
    np.testing.assert_array_equal(
        place.encode([list(w) for w in place.token_strings(tokens)]), tokens
    )
    assert place.encode([]).shape == (0, 5)
    task = ["red-key-0", "red-key-1", "blue-door-0", "T"]
    for wrong, reason in (
        (task[:-1], "has 4 tokens, got 3"),
        (["green-key-0", *task[1:]], "Token 'green-key-0' is not in the vocabulary.*blue-key-0"),
        (["BOS", *task[1:]], "Token 'BOS' is not in the vocabulary"),
    ):
        with pytest.raises(PlantedError, match=reason):
            place.encode([wrong])
    assert place.describe(tuple(task)) == "red-key-0 | red-key-1 | blue-door-0  (T)"
    changed = place.with_cue(tokens, place.cues[1])
    assert (changed[:, -1] == place.cues[1]).all()
    assert (tokens[:, -1] != place.cues[1]).any(), "a copy"
    for cue in ("D", 99, 0, True):
        with pytest.raises(PlantedError, match=f"is a token id from 1 to 10, got {cue!r}"):
            place.with_cue(tokens, cue)


# --- names and parameters ---


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("red-door", "'red-doors'"),
        ("reddoors-small", "'red-doors-small'"),
        ("red-doors-small-tabel", "'red-doors-small-table'"),
        ("red_doors@1", "'red-doors'"),
    ],
)
def test_unknown_plants_suggest_near_ones(wrong: str, near: str) -> None:
    with pytest.raises(
        UnknownNameError, match=rf"Unknown plant .*Did you mean .*({near}).*There are \d+"
    ):
        library.load(wrong)


def test_what_is_like_nothing_gets_the_list() -> None:
    with pytest.raises(
        UnknownNameError, match=r"Unknown plant 'zzz'\. There are \d+; `planted list` shows them\.$"
    ):
        library.load("zzz")


def test_versions_tiers_and_runtimes() -> None:
    assert library.load("red-doors").name == library.load("red-doors@1").name == "red-doors@1"
    with pytest.raises(PlantedError, match="'red-doors' has no version '2'; this release has red-"):
        library.load("red-doors@2")
    with pytest.raises(PlantedError, match=r"Unknown tier 'soft'.*exact; rotated; tempered"):
        library.load("red-doors", tier="soft")
    with pytest.raises(PlantedError, match=r"Unknown runtime 'tf'. Known: numpy; torch"):
        library.load("red-doors", runtime="tf")


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"objects": 1}, "objects must be a whole number from 2 to 8, got 1"),
        ({"objects": 9}, "from 2 to 8, got 9"),
        ({"levels": 1}, "levels must be a whole number from 2 to 16, got 1"),
        ({"levels": 17}, "got 17"),
        ({"objects": 2.5}, r"objects must be a whole number .* got 2\.5"),
        ({"objects": "4"}, "objects must be a whole number .* got '4'"),
        ({"objects": True}, "got True"),
        ({"levels": None}, "got None"),
        ({"object": 4}, r"has no parameter 'object'; it has objects \(default 4\), levels"),
    ],
)
def test_parameters_out_of_bounds_are_refused(parameters: Any, reason: str) -> None:
    with pytest.raises(PlantedError, match=reason):
        library.load("red-doors", parameters=parameters)


def test_other_parameters_make_another_scenario() -> None:
    place = catalogue.entry("red-doors").make_scenario({"objects": 2, "levels": 3})
    assert place.n_positions == 4
    assert place.parameters == {"objects": 2, "levels": 3}
    assert len(place.vocabulary) == 1 + 12 + 2
    assert place.enumerate is not None
    assert len(place.enumerate()) == 2 * 12**2
    assert catalogue.entry("red-doors").make_scenario().enumerate is None


# --- equality ---


@pytest.mark.parametrize("name", ["red-doors", "bottle-cap", "steering", "pointer", "lookahead"])
def test_a_scenario_made_twice_is_one(name: str) -> None:
    one, other = (catalogue.entry(name).make_scenario() for _ in range(2))
    assert one is not other
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other}) == 1


def test_scenarios_of_two_loads_are_equal_and_those_of_two_plants_are_not() -> None:
    one, other = library.load("red-doors"), library.load("red-doors", "rotated")
    assert one.scenario == other.scenario
    assert one.scenario != library.load("red-doors-small").scenario
    assert one.scenario != one.plant
    with_levels = [catalogue.entry("red-doors").make_scenario({"levels": n}) for n in (4, 8)]
    assert with_levels[0] != with_levels[1]
    expressions = [tasks_of(["a", "b"], 3, name) for name in ("x", "x", "y")]
    assert expressions[0] == expressions[1]
    assert expressions[0] != expressions[2]


def elsewhere(function: Any, change: Any) -> Any:
    """A function that gives something else."""
    return lambda *arguments: change(function(*arguments))


@pytest.mark.parametrize(
    ("name", "field", "change"),
    [
        ("red-doors", "draw", lambda drawn: drawn[::-1]),
        ("red-doors", "draw_training", lambda drawn: drawn[::-1]),
        ("red-doors", "choose", lambda slot: slot + 1),
        ("red-doors", "describe", lambda line: line + "."),
        ("red-doors", "base_return", lambda value: value + 1e-9),
        ("red-doors-small", "enumerate", lambda tasks: tasks[1:]),
        ("pointer", "redraw", lambda drawn: drawn[::-1]),
    ],
)
def test_one_function_that_gives_something_else_makes_another_scenario(
    name: str, field: str, change: Any
) -> None:
    place = catalogue.entry(name).make_scenario()
    as_it_was = replace(place, **{field: elsewhere(getattr(place, field), lambda given: given)})
    assert as_it_was == place
    assert replace(place, **{field: elsewhere(getattr(place, field), change)}) != place


@pytest.mark.parametrize("which", ["mesa", "base"])
def test_an_objective_that_differs_under_another_cue_alone_makes_another_scenario(
    which: str,
) -> None:
    place = catalogue.entry("red-doors").make_scenario()
    utility = getattr(place, which)

    def of(tokens: Any) -> Any:
        return utility.of(tokens) + (tokens[:, place.read_out] != place.cues[0])[:, None]

    assert replace(place, **{which: replace(utility, of=utility.of)}) == place
    assert replace(place, **{which: replace(utility, of=of)}) != place
    assert replace(place, **{which: replace(utility, formula="another")}) != place


def test_functions_that_a_scenario_may_lack_are_compared_too() -> None:
    place = catalogue.entry("red-doors").make_scenario()

    def first(tokens: Any) -> Any:
        return np.zeros(len(tokens), dtype=np.int64)

    def last(tokens: Any) -> Any:
        return np.full(len(tokens), len(place.candidates) - 1)

    def ties_of(pick: Any) -> Any:
        return lambda tokens, tied: pick(tokens)

    def cued(at: int) -> Any:
        return lambda tokens: tokens[:, 1] > at

    for field, one, other in (
        ("answer", first, last),
        ("ties", ties_of(first), ties_of(last)),
        ("stands_for", first, last),
        ("cued", cued(2), cued(3)),
        ("features", {"x": first}, {"x": last}),
        ("any_cue", lambda rng, tokens: tokens, lambda rng, tokens: tokens[::-1]),
        ("declared", Declared("x", place.draw), Declared("x", place.draw_training)),
    ):
        made: Any = {field: one}
        assert replace(place, **made) == replace(place, **made), field
        assert replace(place, **made) != replace(place, **{field: other}), field
        assert replace(place, **made) != place, field
