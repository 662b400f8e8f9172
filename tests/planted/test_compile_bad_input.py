"""Bad input to the compiler: a typed error that names the value, before anything large is built."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tracr.rasp import rasp

from planted.compiler.compile import compile_expression, compile_program
from planted.compiler.expressions import held, verify
from planted.core.roles import Program
from planted.errors import CompileError, PlantedError
from tests.helpers import unique


def letters() -> Any:
    return rasp.Map(lambda t: t + "!", rasp.tokens)


def compiled(output: Any = None, vocabulary: Any = ("BOS", "a", "b"), length: Any = 3) -> Any:
    return compile_expression(letters() if output is None else output, vocabulary, length)


@pytest.mark.parametrize("length", [0, -1, True, 2.0, "3", None, np.int64(0)])
def test_a_length_is_a_whole_number_from_1(length: Any) -> None:
    with pytest.raises(CompileError, match=r"a whole number from 1; got"):
        compiled(length=length)


def test_a_length_that_takes_tebibytes_is_refused_before_they_are_taken() -> None:
    start = time.process_time()
    with pytest.raises(CompileError, match=r"needs 3,725.3 GiB of weights .* 1000000 positions"):
        compiled(length=10**6)
    assert time.process_time() - start < 1


def test_a_program_of_a_million_codes_is_refused_before_they_are_made() -> None:
    pair = rasp.SequenceMap(lambda a, b: (a, b), rasp.tokens, rasp.indices)
    with pytest.raises(CompileError, match=r"needs [\d,.]+ GiB of weights .* 'sequence_map' with"):
        compile_expression(pair, ("BOS", *range(190)), 100)


@pytest.mark.parametrize(
    ("vocabulary", "why"),
    [
        ((), "begins with 'BOS', got 'nothing'"),
        (("BOS",), "holds 'BOS' alone"),
        (("a", "b"), "begins with 'BOS', got 'a'"),
        ({"BOS", "a"}, "is a sequence of tokens"),
        ("BOSab", "is a sequence of tokens"),
        (None, "is a sequence of tokens"),
        (("BOS", "a", "a"), "holds 'a' twice"),
        (("BOS", 1, True), "holds 1 and True, which are equal"),
        (("BOS", 1, 1.0), r"holds 1 and 1\.0, which are equal"),
        (("BOS", None), "holds None; tokens are strings"),
        (("BOS", ["a"]), r"holds \['a'\]; tokens are strings"),
        (("BOS", "compiler_pad"), "which is reserved"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(vocabulary: Any, why: str) -> None:
    with pytest.raises(CompileError, match=why):
        compiled(vocabulary=vocabulary)


@pytest.mark.parametrize("exactness", [0, -1, float("nan"), float("inf"), True, "100"])
def test_an_exactness_is_a_positive_number(exactness: Any) -> None:
    with pytest.raises(CompileError, match="exactness is a positive number"):
        compile_expression(letters(), ("BOS", "a"), 2, exactness)


@pytest.mark.parametrize("output", [None, 3, "tokens", rasp.Select(*[rasp.tokens] * 2, max)])
def test_an_output_is_an_expression_with_a_value_at_every_position(output: Any) -> None:
    with pytest.raises(CompileError, match="a RASP expression with a value at every position"):
        compile_expression(output, ("BOS", "a"), 2)


def test_a_function_with_a_memory_is_refused() -> None:
    count = itertools.count()
    with pytest.raises(CompileError, match=r"Node 'n' is first 0 and then 1 for the same input"):
        compiled(unique(rasp.Map(lambda t: next(count), rasp.tokens), "n"))
    said = itertools.cycle([True, False])
    selector = unique(rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: next(said)), "s")
    with pytest.raises(CompileError, match=r"Selector 's' is first True and then False for the"):
        compiled(rasp.SelectorWidth(selector))


@pytest.mark.parametrize("value", [[1], {"a": 1}, 1j, object(), b"x", ([],)])
def test_a_value_that_no_category_can_stand_for_is_refused(value: Any) -> None:
    with pytest.raises(CompileError, match=r"'v' .* of type \w+, .*Values are None, int, float"):
        compiled(unique(rasp.Map(lambda t: value, rasp.tokens), "v"))


def test_a_function_that_raises_names_the_task() -> None:
    third = unique(rasp.SequenceMap(lambda t, i: t / (i - 2), rasp.tokens, rasp.indices), "third")
    with pytest.raises(
        CompileError,
        match=r"'third' raises ZeroDivisionError.* for \(1, 2\), .* position 3 of \(1,",
    ):
        compile_expression(third, ("BOS", 1, 4), 3)
    assert compile_expression(third, ("BOS", 1, 4), 2), "no third position"


def test_a_value_set_that_explodes_says_where_how_many_and_how_to_shrink_it() -> None:
    node: Any = rasp.indices
    for i in range(4):
        name = f"level_{i}"
        some = unique(rasp.Select(rasp.tokens, node, lambda k, q: True), f"any_{i}")
        count = rasp.SelectorWidth(some)
        node = unique(rasp.SequenceMap(lambda a, b: (a, b), node, count), name)
    with pytest.raises(
        CompileError,
        match=r"'level_1' reads 28830 combinations .* 27000 can occur; the limit is 20000.*Fold",
    ):
        compile_expression(node, ("BOS", "a"), 30)


def test_means_that_explode_say_so() -> None:
    worth = unique(rasp.Map(lambda t: float(t) ** 0.5, rasp.tokens), "worth")
    every = rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: True)
    mean = unique(rasp.Aggregate(every, rasp.numerical(worth), default=0), "mean")
    with pytest.raises(CompileError, match=r"'mean' averages up to 12 of 8 values .* 20000"):
        compile_expression(rasp.numerical(mean), ("BOS", *range(2, 10)), 12)


def test_a_selector_of_too_many_pairs_is_refused_before_they_are_tried() -> None:
    wide = rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: k == q).named("wide")
    with pytest.raises(CompileError, match=r"'wide' compares 2500 keys with 2500 queries"):
        compile_expression(rasp.SelectorWidth(wide), ("BOS", *range(2500)), 2)


def test_a_program_that_ignores_the_task_chooses_nothing_and_an_expression_may() -> None:
    output = rasp.Map(lambda i: 1, rasp.indices)
    with pytest.raises(CompileError, match="chooses the same in every task"):
        compile_program(Program(output, searches=False), ("BOS", "a"), 1, 2)
    assert held(compile_expression(output, ("BOS", "a"), 2), np.array([[0, 1, 1]])) == [[1, 1]]


@pytest.mark.parametrize(
    "tokens",
    [
        [[0, 1, 1, 1, 1]],
        [[1, 1, 1]],
        [[0, -1, 1]],
        [[0, 3, 1]],
        [[0, 0, 1]],
        [[0.0, 1.0]],
        [0, 1, 1],
        [[0]],
        "ab",
    ],
)
def test_tokens_that_are_no_task_are_refused_by_held(tokens: Any) -> None:
    with pytest.raises(PlantedError, match=r"Tokens are whole numbers \[task, pos\]: BOS \(0\)"):
        held(compiled(), tokens)


@pytest.mark.parametrize(
    "tasks", [[], "", "ab", [()], ["aaaa"], ["a", "ab"], ["ax"], [["a", 1]], np.zeros((0, 3))]
)
def test_tasks_that_are_none_are_refused_by_verify(tasks: Any) -> None:
    with pytest.raises(
        PlantedError, match=r"Tasks are of one length, 1 to 3|needs a task at least"
    ):
        verify(compiled(), letters(), tasks)


def test_the_users_expressions_stay_as_they_are() -> None:
    def facts(output: Any) -> list[Any]:
        return [output.__dict__.copy(), dict(output.annotations)]

    first: Callable[[Any], Any] = lambda t: t  # noqa: E731
    output = rasp.Map(first, rasp.tokens).named("mine")
    before = facts(output)
    compiled(output)
    assert facts(output) == before
