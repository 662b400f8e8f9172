"""What a user can get wrong about a plant of their own is said before anything is compiled."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tracr.rasp import rasp

import planted
from planted import library
from planted.compiler import compile as compiler
from planted.compiler.compile import compile_expression
from planted.compiler.expressions import held, verify
from planted.core.checks import LONGEST, checked
from planted.core.roles import Program, mark
from planted.core.scenario import Scenario, Utility
from planted.errors import CompileError, PlantedError
from planted.programs import mechanisms, rasp_library
from planted.programs.menu import Menu, Objective, figure, words_of
from tests.helpers import unique


def menu(mesa: Callable[[str], Any] = lambda word: figure(word, 1)) -> Menu:
    return Menu(
        name="ferries",
        title="",
        story="",
        source="",
        words=words_of("ferry", 3, 2),
        slots=2,
        mesa=Objective("speed", lambda word, _: mesa(word)),
        base=Objective("3·decks + speed", lambda w, _: 3 * figure(w, 2) + figure(w, 1)),
    )


def search(scenario: Scenario) -> Program:
    return mechanisms.search(menu())


@pytest.fixture
def nothing_is_compiled() -> Iterator[None]:
    """Tracr must not be reached."""
    with mock.patch.object(compiler, "craft", side_effect=AssertionError("compiled")):
        yield


def test_the_scenario_and_program_below_are_fine() -> None:
    place = menu().scenario()
    assert checked(place).vocabulary == place.vocabulary
    assert (
        planted.plant(search, place).choices(place.encode([["ferry-1-0", "ferry-2-0", "T"]])) == 1
    )


def of(value: float) -> Utility:
    return Utility("speed", lambda t: np.where(t[:, 1:3] == 2, value, 1.0), (1.0,))


def draws(**places: int) -> Any:
    def draw(rng: np.random.Generator, n: int) -> Any:
        tokens = menu().scenario().draw(rng, n)
        for place, word in places.items():
            tokens[:, int(place[1:])] = word
        return tokens

    return draw


@pytest.mark.usefixtures("nothing_is_compiled")
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            {"mesa": of(math.nan)},
            r"'speed' of 'ferries' is nan for candidate \d of 'ferry-.*finite",
        ),
        ({"base": of(math.inf)}, r"'speed' of 'ferries' is inf for candidate .*must not be chosen"),
        (
            {"mesa": Utility("speed", lambda t: t[:, 1:3], (0.0, -math.inf))},
            "lists the level -inf; levels are finite",
        ),
        ({"mesa": Utility("speed", lambda t: t[:, 1:4], (0.0,))}, r"\[256, 3\]; a utility is one"),
        (
            {"read_out": LONGEST + 1},
            "read-out of 'ferries' is position 99; the longest .* 98 tokens",
        ),
        ({"read_out": 0}, "is position 0; .* it stands at 1 to 98"),
        ({"candidates": (1, 4)}, r"stand at \[1, 4\]: 4 is outside 1..3"),
        ({"candidates": (0, 1)}, r"0 is outside 1..3"),
        ({"contents": (1, 1)}, r"contents of .ferries. is a tuple of positions.*got \(1, 1\)"),
        ({"contents": (1, True)}, "contents of .ferries. is a tuple of positions"),
        ({"contents": (1.5,)}, "contents of .ferries. is a tuple of positions"),
        ({"contents": "abc"}, "contents of .ferries. is a tuple of positions.*got 'abc'"),
        ({"contents": 3}, "contents of .ferries. is a tuple of positions.*got 3"),
        ({"contents": (1, 4)}, "contents of .ferries. take in position 4, where no token stands"),
        ({"contents": (1, 2, 3)}, "take in position 3, where a cue stands"),
        ({"candidates": (1,)}, "they are too few"),
        ({"cues": (50,)}, r"Cue 50 of 'ferries' is no token's id \(1..8\)"),
        ({"draw": draws(p1=9)}, r"'ferries': draw gives no task. Token id 9 is outside 0..8"),
        ({"draw_training": draws(p1=0)}, "draw_training gives no task. BOS"),
        ({"vocabulary": ("BOS", 1, 2, 3, 4, 5, 6, "T", "D")}, "vocabulary of 'ferries' is strings"),
        ({"vocabulary": menu().vocabulary[1:]}, "'BOS' first"),
    ],
)
def test_a_malformed_scenario_is_refused_before_it_compiles(
    change: dict[str, Any], why: str
) -> None:
    with pytest.raises(PlantedError, match=why):
        planted.plant(search, replace(menu().scenario(), **change))


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "fast"])
def test_a_menu_whose_objective_is_no_number_is_refused(value: Any) -> None:
    with pytest.raises(PlantedError, match=r"'speed' of menu 'ferries' is .* for 'ferry-0-0'\."):
        menu(lambda word: value).scenario()


def without_roles(_: Scenario) -> Program:
    number = unique(rasp.Map(len, rasp.tokens, simplify=False), "number")
    return Program(unique(rasp.Map(lambda x: x % 3, number, simplify=False), "output"))


def inlined(_: Scenario) -> Program:
    score = rasp_library.score(lambda t: figure(t, 1) if "-" in t else -1)
    again = mark(rasp.Map(lambda s: s, score), "again", "feature")
    return Program(
        rasp_library.emit(rasp_library.choose(again, 3, rasp_library.ones()), ("T", "D"))
    )


def unread(_: Scenario) -> Program:
    mark(rasp.Map(len, rasp.tokens), "length", "feature")
    return mechanisms.search(menu())


def unmarked_winner(_: Scenario) -> Program:
    score = rasp_library.score(lambda t: figure(t, 1) if "-" in t else -1)
    return Program(unique(rasp.Map(lambda s: s + 1, score, simplify=False), "output"))


@pytest.mark.usefixtures("nothing_is_compiled")
@pytest.mark.parametrize(
    ("program", "why"),
    [
        (without_roles, "needs nodes of the roles 'score' and 'winner'; it has none. Mark them"),
        (unmarked_winner, "'score' and 'winner'; it has score. Mark them"),
        (
            inlined,
            "Node 'score' is marked as 'score', but the output does not depend .*simplify=Fal",
        ),
        (unread, "Node 'length' is marked as 'feature', but the output does not depend on it"),
        (lambda place: 3, r"must return .*Program.*, got int"),
        (lambda _: Program(None), "output is a RASP expression .* got NoneType"),
        (Program("score"), "output is a RASP expression .* got str"),
        (
            lambda _: Program(rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: True)),
            "output is a RASP expression .* got Select",
        ),
    ],
)
def test_a_program_without_its_marks_is_refused_before_it_compiles(program: Any, why: str) -> None:
    with pytest.raises(PlantedError, match=why):
        planted.plant(program, menu().scenario())


def test_a_program_that_reads_only_what_it_marks_is_not_refused_for_a_copy() -> None:
    """`rasp.numerical` copies what was marked; the copy stands for it."""
    place = menu().scenario()
    assert planted.plant(search, place).truth.nodes["ones"].role == "compare"


def scored(values: dict[str, Any]) -> Any:
    """For each position, whether another has a higher score."""
    score = unique(rasp.Map(lambda t: values[t], rasp.tokens, simplify=False), "score")
    higher = unique(rasp.Select(score, score, lambda k, q: k > q), "higher")
    beaten = rasp_library.any_bit(higher, rasp_library.ones(), "beaten")
    return unique(rasp.SequenceMap(lambda lost, i: int(lost), beaten, rasp.indices), "lost")


ULP = math.ulp(1.0)


@pytest.mark.parametrize(
    "values",
    [
        {"a": 1.0, "b": 1.0 + ULP, "c": 1.0 - ULP / 2},  # neighbours in float64
        {"a": 1e-300, "b": 2e-300, "c": 0.0},  # all 0 in float32
        {"a": 0.3, "b": 0.1 + 0.2, "c": 0.1},  # .30000000000000004 is more than .3
        {"a": 2**53 - 1, "b": 2**53 - 2, "c": -(10**300)},
        {"a": 1e39, "b": -1e39, "c": 1e308},  # past float32
    ],
    ids=["an ulp apart", "zero in float32", "rounded", "whole", "past float32"],
)
def test_scores_that_stay_categories_are_told_apart_as_far_as_float64_goes(
    values: dict[str, Any],
) -> None:
    """They are directions, one a value: no number of theirs stands in the weights."""
    made = compile_expression(scored(values), ("BOS", *"abc"), 3)
    tasks = ["abc", "aab", "cba", "aca", "bbb"]
    tokens = np.array([[0, *(1 + "abc".index(t) for t in task)] for task in tasks])
    for task, got in zip(tasks, held(made, tokens), strict=True):
        assert got == [int(any(values[o] > values[t] for o in task)) for t in task]
    assert verify(made, scored(values), tasks) > 0


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_function_that_its_values_break_is_refused() -> None:
    with pytest.raises(CompileError, match=r"'higher' raises TypeError.* given at position"):
        compile_expression(scored({"a": 1, "b": (1, 2), "c": 0}), ("BOS", *"abc"), 3)


@pytest.mark.parametrize(
    "values",
    [
        {"a": 2**53, "b": 2**53 + 1, "c": 0},
        {"a": 1, "b": -math.inf, "c": 0},
        {"a": 1, "b": 10**400, "c": 0},
        {"a": 1, "b": np.float64(0.5), "c": 0},
    ],
)
def test_values_that_no_float32_holds_are_categories(values: dict[str, Any]) -> None:
    made = compile_expression(scored(values), ("BOS", *"abc"), 3)
    tasks = ["abc", "aab", "cba", "aca", "bbb"]
    assert verify(made, scored(values), tasks) > 0


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_program_too_large_is_refused() -> None:
    here = unique(rasp.Select(rasp.indices, rasp.indices, lambda k, q: k == q), "here")
    moved = unique(rasp.Aggregate(here, rasp.tokens), "moved")
    output = unique(rasp.SequenceMap(lambda t, i: i, moved, rasp.indices), "lost")
    why = r"'lost' reads 29400 combinations of values .* the limit is 20000"
    with pytest.raises(CompileError, match=why):
        compile_expression(output, ("BOS", *(f"w{i}" for i in range(300))), 98)


@pytest.mark.usefixtures("nothing_is_compiled")
def test_a_function_that_depends_on_something_else_is_refused() -> None:
    count = itertools.count()
    node = unique(rasp.Map(lambda t: next(count), rasp.tokens), "node")
    with pytest.raises(CompileError, match=r"'node' is first 0 and then 1 for .* 'a'. .* alone"):
        compile_expression(node, ("BOS", *"abc"), 3)


@pytest.mark.parametrize("exactness", [0, -1, math.nan, math.inf])
def test_an_exactness_that_is_no_positive_number_is_refused(exactness: float) -> None:
    with pytest.raises(
        CompileError, match=f"exactness is a positive number, as 100; got {exactness}"
    ):
        compile_expression(scored({"a": 1, "b": 2, "c": 3}), ("BOS", *"abc"), 3, exactness)


@pytest.mark.parametrize(
    ("tasks", "why"),
    [
        (["abc", "ab"], r"Task \('a', 'b'\): it has 2 tokens. Tasks are of one length, 1 to 3"),
        (["abca"], "it has 4 tokens"),
        (["abx"], "'x' is no token. .* of the tokens a, b, c"),
    ],
)
def test_tasks_that_are_none_are_refused(tasks: list[str], why: str) -> None:
    values = {"a": 1, "b": 2, "c": 3}
    made = compile_expression(scored(values), ("BOS", *"abc"), 3)
    with pytest.raises(PlantedError, match=why):
        verify(made, scored(values), tasks)


def test_what_is_no_plant_is_shown_in_short() -> None:
    """Weights in the place of the plant, as when arguments are swapped, do not fill the screen."""
    weights = dict(planted.load("red-doors-small").plant.params)
    with pytest.raises(PlantedError, match="A plant is a name as 'red-doors'") as caught:
        library.resolve(weights)
    assert len(str(caught.value)) < 600


# --- what is asked of a plant's scenario and truth ------------------------------------------------


@pytest.mark.parametrize("cue", ["T", None, 999, -1, 0, True, 1.0, [1]])
def test_what_is_no_cue_has_no_name(cue: Any) -> None:
    with pytest.raises(PlantedError, match="is a token id from 1 to"):
        small().scenario.cue_name(cue)


def test_a_cue_has_its_name() -> None:
    place = small().scenario
    assert [place.cue_name(cue) for cue in np.array(place.cues)] == ["T", "D"]


NO_TOKENS: list[Any] = [None, 3, "x", [], [[]], [[None]], [[0, 1], [0]], [[0.0, 1.0]], [[0, 999]]]


@pytest.mark.parametrize("tokens", [*NO_TOKENS, [[0, -1]], [[0, 0]]])
def test_what_are_no_tokens_is_said(tokens: Any) -> None:
    place, truth = small().scenario, small().truth
    width = place.n_positions
    if isinstance(tokens, list) and tokens and len(tokens[0]) == 2 and len(tokens) == 1:
        tokens = [[0, *([tokens[0][1]] * (width - 1))]]
    for read in (place.token_strings, truth.values):
        with pytest.raises(PlantedError, match=r"[Tt]oken|BOS"):
            read(tokens)


def test_tokens_are_read_from_a_list_as_from_an_array() -> None:
    place, truth = small().scenario, small().truth
    tokens = place.draw(np.random.default_rng(0), 3)
    assert place.token_strings(tokens.tolist()) == place.token_strings(tokens)
    for name, value in truth.values(tokens.tolist()).items():
        np.testing.assert_array_equal(value, truth.values(tokens)[name])


@pytest.mark.parametrize("overrides", [3, "x", [1], {3: 0}])
def test_what_are_no_overrides_is_said(overrides: Any) -> None:
    tokens = small().scenario.draw(np.random.default_rng(0), 3)
    with pytest.raises(PlantedError, match="overrides is a mapping of node names"):
        small().truth.values(tokens, overrides)


@pytest.mark.parametrize(
    "rotation", [None, 3, "x", [], [[1, 2], [3]], np.eye(3), np.ones(5), np.inf]
)
def test_what_is_no_rotation_is_said(rotation: Any) -> None:
    with pytest.raises(PlantedError, match=r"rotation is a matrix of finite numbers \[\d+, "):
        small().truth.in_basis(rotation)


def test_a_rotation_that_is_not_finite_is_said() -> None:
    width = next(iter(small().truth.nodes.values())).basis.shape[1]
    with pytest.raises(PlantedError, match="finite"):
        small().truth.in_basis(np.full((width, width), np.nan, np.float32))
    turned = small().truth.in_basis(np.eye(width, dtype=np.float32))
    for name, node in turned.nodes.items():
        np.testing.assert_array_equal(node.basis, small().truth.nodes[name].basis)


def small() -> Any:
    return library.get("red-doors-small", "exact")
