"""Any RASP expression compiles: Tracr's own library at every position, and what it is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from tracr.compiler import lib
from tracr.rasp import rasp

from planted.compiler.compile import compile_expression
from planted.compiler.copies import expressions
from planted.compiler.expressions import held, verify
from planted.core.roles import name_apart
from planted.errors import CertificateError, PlantedError
from tests import helpers
from tests.helpers import unique

LENGTH = 4
EXACTNESS = 2 * LENGTH * (LENGTH + 1)  # what counting up to 4 needs


def is_(word: str) -> Any:
    return rasp.numerical(rasp.Map(lambda t: t == word, rasp.tokens))


def digit(salt: int) -> Any:
    return rasp.Map(lambda t: (ord(t) + salt) % 3, rasp.tokens)


# name -> the program, its vocabulary, and which tasks RASP defines it on (all, if None)
LIBRARY: dict[str, tuple[Callable[[], Any], Sequence[Any], Callable[[Any], bool] | None]] = {
    "length": (lib.make_length, "abc", None),
    "reverse": (lambda: lib.make_reverse(rasp.tokens), "abc", None),
    "pair_balance": (lambda: lib.make_pair_balance(rasp.tokens, "(", ")"), "()a", None),
    "hist": (lib.make_hist, "abc", None),
    "sort_unique": (
        lambda: lib.make_sort_unique(rasp.tokens, rasp.tokens),
        (1, 2, 3, 4, 5),
        lambda task: len(set(task)) == len(task),
    ),
    "sort": (
        lambda: lib.make_sort(rasp.tokens, rasp.tokens, max_seq_len=LENGTH, min_key=1),
        (1, 2, 3),
        None,
    ),
    "sort_freq": (lambda: lib.make_sort_freq(LENGTH), "abc", None),
    "frac_prevs": (lambda: lib.make_frac_prevs(is_("a")), "abc", None),
    "count_less_freq": (lambda: lib.make_count_less_freq(2), "abc", None),
    "count": (lambda: lib.make_count(rasp.tokens, "a"), "abc", None),
    "index": (lambda: rasp.SequenceMap(lambda t, i: i, rasp.tokens, rasp.indices), "abc", None),
}
# Right here, and wrong in stock Tracr: where nothing is selected it decodes a value.
NOTHING = {
    "shift_by": (lambda: lib.shift_by(1, rasp.tokens), "abc"),
    "detect_pattern": (lambda: lib.detect_pattern(rasp.tokens, "ab"), "abc"),
}


def tasks_of(vocabulary: Sequence[Any], length: int = LENGTH) -> list[tuple[Any, ...]]:
    return list(itertools.product(vocabulary, repeat=length))


def encoded(vocabulary: Sequence[Any], tasks: Sequence[Sequence[Any]]) -> Any:
    places = {word: i for i, word in enumerate(vocabulary, start=1)}
    return np.array([[0, *(places[word] for word in task)] for task in tasks])


def same(got: Sequence[Any], want: Sequence[Any]) -> bool:
    return all(
        a == b if None in (a, b) or isinstance(a, str) or isinstance(b, str) else abs(a - b) < 1e-3
        for a, b in zip(got, want, strict=True)
    )


@pytest.mark.parametrize("name", LIBRARY)
def test_a_program_of_tracrs_library_is_what_stock_tracr_and_the_interpreter_say(name: str) -> None:
    make, vocabulary, defined = LIBRARY[name]
    made = compile_expression(make(), ("BOS", *vocabulary), LENGTH, EXACTNESS)
    output = make()
    model = helpers.stock(output, vocabulary, LENGTH, EXACTNESS)
    for length in (1, 2, LENGTH):
        tasks = [task for task in tasks_of(vocabulary, length) if not defined or defined(task)]
        assert len(tasks) > 2
        for task, got in zip(tasks, held(made, encoded(vocabulary, tasks)), strict=True):
            assert same(got, helpers.interpreted(output, task)), task
            assert same(got, helpers.stock_run(model, output, task).decoded), task
    assert {node.role for node in made.truth.nodes.values()} == {""}


@pytest.mark.parametrize("name", NOTHING)
def test_where_nothing_is_selected_ours_is_nothing_and_stock_tracr_decodes_a_value(
    name: str,
) -> None:
    make, vocabulary = NOTHING[name]
    made = compile_expression(make(), ("BOS", *vocabulary), LENGTH)
    output, tasks = make(), tasks_of(vocabulary)
    model = helpers.stock(output, vocabulary, LENGTH)
    for task, got in zip(tasks, held(made, encoded(vocabulary, tasks)), strict=True):
        want = helpers.interpreted(output, task)
        assert got == want
        assert want[0] is None
        stock = helpers.stock_run(model, output, task).decoded
        assert stock[0] is not None
        assert stock[1:] == want[1:]


def test_a_number_is_read_at_every_position_and_a_node_by_its_name() -> None:
    made = compile_expression(lib.make_frac_prevs(is_("a")), ("BOS", *"ab"), 3)
    tokens = encoded("ab", ["aba", "bba"])
    assert np.allclose(held(made, tokens), [[1, 1 / 2, 2 / 3], [0, 0, 1 / 3]], atol=1e-4)
    assert held(made, tokens, "tokens") == [["a", "b", "a"], ["b", "b", "a"]]
    assert made.spec.n_choices == 0
    assert made.spec.outputs == ("frac_prevs",)
    with pytest.raises(PlantedError, match="Unknown node 'nothing'"):
        held(made, tokens, "nothing")


def test_the_check_on_tasks_finds_weights_that_were_changed() -> None:
    def program() -> Any:
        return unique(rasp.Map(lambda t: t == "a", rasp.tokens), "lit")

    made = compile_expression(program(), ("BOS", *"ab"), 2)
    assert verify(made, program(), ["ab", "ba"]) == 8
    made.params["blocks.0.mlp.W_in"][:] *= 0.9
    with pytest.raises(CertificateError, match=r"Node 'lit' is 0.1 away .* position 1 of \('a',"):
        verify(made, program(), ["ab", "ba"])
    made.params["blocks.0.mlp.W_in"][:] = np.nan
    with pytest.raises(CertificateError, match=r"Node 'lit' is nan away"):
        verify(made, program(), ["ab", "ba"])


def test_unnamed_expressions_are_numbered_and_named_ones_keep_their_names() -> None:
    first, second = (rasp.Map(lambda t, k=k: k, rasp.tokens, simplify=False) for k in (1, 2))
    taken = unique(rasp.Map(lambda t: 3, rasp.tokens, simplify=False), "map_2")
    pair = rasp.SequenceMap(lambda a, b: a + b, first, second)
    order = expressions(rasp.SequenceMap(lambda a, b: a + b, pair, taken))
    name_apart(order)
    assert [e.name for e in order] == [
        "tokens", "map_1", "map_3", "sequence_map_1", "map_2", "sequence_map_2",
    ]  # fmt: skip
    name_apart(order)
    assert order[2].name == "map_3", "once"
