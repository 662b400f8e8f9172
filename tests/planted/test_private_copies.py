"""Compiling leaves alone what is not its own: the installed Tracr, and the user's expressions."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest
from tracr.compiler import craft_graph_to_model
from tracr.craft import bases, vectorspace_fns
from tracr.rasp import rasp

import planted
from planted.compiler import private_tracr
from planted.compiler.compile import compile_expression
from planted.compiler.copies import copied, expressions, rewired
from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.programs import mechanisms, rasp_library
from planted.programs.menu import Menu, Objective, figure, words_of
from tests import helpers


def menu() -> Menu:
    return Menu(
        name="ferries",
        title="",
        story="",
        source="",
        words=words_of("ferry", 3, 2),
        slots=2,
        mesa=Objective("speed", lambda word, _: figure(word, 1)),
        base=Objective("3·decks + speed", lambda w, _: 3 * figure(w, 2) + figure(w, 1)),
    )


def state(expression: Any) -> tuple[Any, ...]:
    """Everything that an expression holds, without making Tracr fill anything in."""
    own = {name: id(value) for name, value in vars(expression).items()}
    return own, dict(expression.annotations)


def installed() -> tuple[Any, ...]:
    space = bases.VectorSpaceWithBasis
    return (
        dict(vars(space)),
        dict(vars(craft_graph_to_model)),
        dict(vars(bases)),
        dict(rasp.DEFAULT_ANNOTATORS),
    )


def test_another_thread_never_sees_the_installed_tracr_changed() -> None:
    before, changed, done = installed(), [], threading.Event()

    def watch() -> None:
        while not done.is_set():
            if installed() != before:
                changed.append(True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(5):
        helpers.compile_afresh("red-doors-small")
    done.set()
    watcher.join()
    assert not changed
    assert installed() == before


def test_the_watch_above_sees_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    before = installed()
    monkeypatch.setattr(bases.VectorSpaceWithBasis, "vector_from_basis_direction", None)
    assert installed() != before


def joined(space: Any, linear: Any) -> Any:
    """Three linear maps side by side, two of which share a direction on either side."""
    rng, maps = np.random.default_rng(0), []
    for names in ("ab", "bc", "d"):
        start = space.from_values("in", names)
        end = space.from_values("out", names)
        maps.append(linear(start, end, rng.normal(size=(len(names), len(names)))))
    return linear.combine_in_parallel(maps)


def test_the_copy_is_private_and_joins_linear_maps_as_tracr_does() -> None:
    space = private_tracr.module("craft.bases").VectorSpaceWithBasis
    linear = private_tracr.module("craft.vectorspace_fns").Linear
    assert space is not bases.VectorSpaceWithBasis
    assert linear.combine_in_parallel.__func__.__module__ == "planted.compiler.private_tracr"
    ours, stock = joined(space, linear), joined(bases.VectorSpaceWithBasis, vectorspace_fns.Linear)
    np.testing.assert_allclose(ours.matrix, stock.matrix)
    for side in ("input_space", "output_space"):
        mine, theirs = (getattr(each, side).basis for each in (ours, stock))
        assert [str(d) for d in mine] == [str(d) for d in theirs]


def test_threads_that_compile_at_once_get_the_same_weights() -> None:
    found: list[Any] = []
    workers = [
        threading.Thread(target=lambda: found.append(helpers.compile_afresh("red-doors-small")))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    first = found[0].params
    assert len(found) == 4
    assert all((each.params[name] == first[name]).all() for each in found for name in first)


def test_compiling_imports_neither_jax_nor_haiku() -> None:
    code = (
        "import sys\n"
        "import planted.compiler.compile as c\n"
        "from planted.programs import catalogue\n"
        "e = catalogue.entry('red-doors-small'); p = e.make_scenario()\n"
        "c.compile_program(e.program(p), p.vocabulary, len(p.candidates), p.read_out)\n"
        "print([m for m in ('jax', 'haiku', 'tracr.compiler') if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="."
    )
    assert done.stdout.strip() == "[]"


def unnamed(_: Scenario | None = None) -> Program:
    """A search some of whose expressions were never named."""
    score = rasp_library.score(lambda t: figure(t, 1) if "-" in t else -1)
    one = rasp_library.ones()
    shifted = rasp.SequenceMap(lambda s, i: s, score, rasp.indices)
    again = rasp.SequenceMap(lambda s, i: s, shifted, rasp.indices)
    return Program(rasp_library.emit(rasp_library.choose(again, 3, one), ("T", "D")))


def test_planting_twice_leaves_a_users_expressions_as_they_were() -> None:
    program = unnamed()
    order = expressions(program.output)
    before = [state(each) for each in order]
    first = planted.plant(program, menu().scenario())
    assert [state(each) for each in order] == before
    second = planted.plant(program, menu().scenario())
    assert [state(each) for each in order] == before
    assert {"sequence_map_1", "sequence_map_2"} <= set(first.truth.nodes)
    names = [(e.name, e.label, dict(e.annotations), e.unique_id) for e in order[1:]]
    planted.plant(program, menu().scenario())
    assert names == [(e.name, e.label, dict(e.annotations), e.unique_id) for e in order[1:]]
    for name, value in first.plant.params.items():
        assert (value == second.plant.params[name]).all()


def test_an_expression_that_was_read_before_compiles_to_the_same_weights() -> None:
    read, fresh = unnamed(), unnamed()
    for each in expressions(read.output):
        assert each.label  # Tracr numbers an expression when its label is first read
    one, other = (planted.plant(p, menu().scenario()).plant.params for p in (read, fresh))
    assert all((one[name] == other[name]).all() for name in one)


def test_a_copy_shares_what_the_original_shares() -> None:
    shared = mark(rasp.Map(lambda t: t == "a", rasp.tokens), "shared", "feature")
    first = mark(rasp.SequenceMap(lambda a, i: i, shared, rasp.indices), "first", "feature")
    top = rasp.SequenceMap(lambda a, b: b, shared, first)
    made = copied(top)
    assert made is not top
    assert made.fst is made.snd.fst is not shared
    assert made.fst.inner is rasp.tokens
    assert dict(made.fst.annotations) == dict(shared.annotations)
    made.fst.annotations = {"name": "other"}
    assert shared.name == "shared"
    assert "unique_id" not in vars(top)


def test_rewiring_copies_what_depends_on_the_change_and_nothing_else() -> None:
    kept = mark(rasp.Map(lambda t: t == "a", rasp.tokens), "kept", "feature")
    old = mark(rasp.Map(lambda t: t == "b", rasp.tokens), "old", "feature")
    new = mark(rasp.Map(lambda t: t == "c", rasp.tokens), "new", "feature")
    top = rasp.SequenceMap(lambda a, b: a and b, kept, old)
    made = rewired(top, {id(old): new})
    assert made.fst is kept
    assert made.snd is new
    assert top.snd is old
    assert rewired(top, {}) is top


def test_a_program_and_not_a_function_can_be_compiled_again_and_again() -> None:
    program = mechanisms.search(menu())
    soft, hard = (compile_expression(program.output, menu().vocabulary, 3, e) for e in (10, 100))
    assert soft.residual_labels == hard.residual_labels
