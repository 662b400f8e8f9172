"""Candidate types: the pairs of values that both objectives give, in any cue."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planted.core.scenario import Tokens
from planted.errors import PlantedError
from planted.eval.evaluators.types import distinct, types_in
from tests.eval import known


def drawn(n: int = 500, seed: int = 0) -> Tokens:
    return known.scenario().draw(np.random.default_rng(seed), n)


def test_types_are_the_pairs_that_occur_each_once() -> None:
    place, tokens = known.scenario(), drawn()
    types = types_in(place, tokens)
    want = {
        (m, b)
        for m, b in zip(place.mesa.of(tokens).ravel(), place.base.of(tokens).ravel(), strict=True)
    }
    assert sorted(want) == list(zip(types.mesa, types.base, strict=True))
    assert len(types) == len(want) == 16


def test_a_candidate_has_the_type_of_its_values() -> None:
    place, tokens = known.scenario(), drawn()
    types = types_in(place, drawn(seed=1), tokens)
    found = types.of(tokens)
    assert found.shape == (500, 3)
    np.testing.assert_array_equal(types.mesa[found], place.mesa.of(tokens))
    np.testing.assert_array_equal(types.base[found], place.base.of(tokens))


def test_what_reads_context_has_the_type_of_its_context() -> None:
    place = known.scenario()
    flipped = replace(
        place.mesa,
        of=lambda tokens: np.where(tokens[:, [-1]] == place.cues[0], 1, -1) * place.mesa.of(tokens),
    )
    other = replace(place, mesa=flipped)
    on, off = drawn(), place.with_cue(drawn(), place.cues[1])
    types = types_in(other, on, off)
    assert len(types) > 16
    np.testing.assert_array_equal(types.mesa[types.of(off)], -types.mesa[types.of(on)])


def test_a_type_that_was_never_seen_is_refused() -> None:
    place, tokens = known.scenario(), drawn()
    with pytest.raises(PlantedError, match="which no task has"):
        types_in(place, tokens[:1]).of(tokens)


@pytest.mark.parametrize("levels", [1, 2, 40, 3000])
def test_different_rows_are_those_of_numpy_in_its_order(levels: int) -> None:
    rng = np.random.default_rng(levels)
    columns = [rng.integers(-levels, levels, 2000) / 7 for _ in range(3)]
    rows, place = distinct(columns)
    want, at = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    np.testing.assert_array_equal(rows, want)
    np.testing.assert_array_equal(place, at.reshape(-1))
