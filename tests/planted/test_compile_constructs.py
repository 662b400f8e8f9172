"""Each construct of RASP: its programs are the interpreter's at every position, at all lengths."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted.compiler.compile import compile_expression
from planted.compiler.expressions import held, verify
from tests import helpers
from tests.planted.construct_programs import KINDS, LIBRARY, Case, shared

EVERY = {f"{kind}: {name}": case for kind, cases in KINDS.items() for name, case in cases.items()}
EVERY |= LIBRARY


def tasks_of(case: Case, most: int) -> Iterator[list[tuple[Any, ...]]]:
    """Tasks by length: all there are, or so many, with repeats."""
    rng = np.random.default_rng(1)
    words = case.vocabulary
    for n in sorted({1, 2, (case.length + 1) // 2, case.length - 1, case.length} - {0}):
        if len(words) ** n <= most:
            yield list(itertools.product(words, repeat=n))
            continue
        few = rng.integers(0, len(words), (most, 3))
        drawn = np.take_along_axis(few, rng.integers(0, 3, (most, n)), axis=1)
        drawn[::2] = rng.integers(0, len(words), (len(drawn[::2]), n))
        yield [tuple(words[i] for i in row) for row in drawn]


def checked(case: Case, most: int) -> int:
    """How many values of the longest tasks were compared with Tracr's RASP interpreter."""
    made = compile_expression(
        case.build(), ("BOS", *case.vocabulary), case.length, causal=case.causal
    )
    assert min(made.margins.values(), default=1) > 0.97
    output, compared = case.build(), 0
    for tasks in tasks_of(case, most):
        compared = verify(made, output, tasks)
    return compared


def test_every_kind_has_five_programs() -> None:
    assert min(map(len, KINDS.values())) >= 5


@pytest.mark.parametrize("name", EVERY)
def test_a_program_is_the_interpreters_at_every_position(name: str) -> None:
    """A dozen tasks of each length; `make proofs` takes two hundred."""
    assert checked(EVERY[name], 12) > 0


@pytest.mark.proof
@pytest.mark.parametrize("name", EVERY)
def test_a_program_is_the_interpreters_on_two_hundred_tasks(name: str) -> None:
    assert checked(EVERY[name], 200) > 0


def test_what_is_held_is_what_the_interpreter_of_a_user_says() -> None:
    """Not by the tables: the values that come out, as Python's own."""
    for kind in ("None", "other values", "joined selectors"):
        for name, case in KINDS[kind].items():
            made = compile_expression(case.build(), ("BOS", *case.vocabulary), case.length)
            rng = np.random.default_rng(2)
            tokens = rng.integers(1, len(case.vocabulary) + 1, (3, case.length + 1))
            tokens[:, 0] = 0
            output = case.build()
            for row, got in zip(tokens, held(made, tokens), strict=True):
                task = [case.vocabulary[i - 1] for i in row[1:]]
                assert got == helpers.interpreted(output, task), name


def test_compile_time_does_not_double_with_each_shared_part() -> None:
    seconds = {}
    for levels in (4, 8, 16):
        output = shared(levels)
        start = time.process_time()
        compile_expression(output, ("BOS", *"abc"), 4)
        seconds[levels] = time.process_time() - start
    assert seconds[16] < 20 * seconds[4] + 1


@pytest.mark.parametrize("name", EVERY)
def test_a_program_is_saved_and_loaded(name: str, tmp_path: Path) -> None:
    case = EVERY[name]
    made = planted.compile(case.build(), case.vocabulary, case.length, causal=case.causal)
    read = planted.load(made.save(tmp_path))
    assert read == made
    assert read.truth == made.truth
    tokens = made.inputs(8)
    np.testing.assert_array_equal(read.network(tokens), made.network(tokens))
    node = made.output
    short = tokens[:, : max(2, tokens.shape[1] // 2)]
    for each in (tokens, short):
        np.testing.assert_array_equal(read.expected(node, each), made.expected(node, each))
        for how in ("zero", "mean", "resample"):
            assert np.isfinite(read.effect(node, how, each)).all()
