"""Tables rewritten in weights are what compiling them gives; changes of basis change no choice."""

from __future__ import annotations

import numpy as np
import pytest

from planted.compiler import certify
from planted.core.plant import Plant
from planted.core.roles import Program, mark
from planted.errors import PlantedError
from planted.network import surgery
from planted.network.forward import choices_of, logits_of
from planted.programs import planting, red_doors
from tests import helpers

NAME = "red-doors-small"


@pytest.fixture(scope="module")
def plant() -> Plant:
    entry = helpers.catalogue.entry(NAME)
    return planting.bare(entry, helpers.scenario(NAME))


def tasks(plant: Plant) -> np.ndarray:
    return certify.inputs_of(plant)[0]


def codes(plant: Plant, worth: dict[str, int]) -> np.ndarray:
    """The table of the score as codes, from what each word is worth."""
    values = plant.truth.node("score").values
    return np.array([values.index(worth[w]) for w in plant.truth.node("tokens").values])


def test_another_score_written_into_the_weights_is_the_compiled_search_for_it(plant: Plant) -> None:
    place = plant.scenario
    doors = {w: red_doors.worth(w, "door", 2) for w in place.vocabulary[1:-2]} | {"T": -1, "D": -1}
    params, truth = surgery.rewrite_table(plant.params, plant.truth, "score", codes(plant, doors))
    compiled = helpers.compile_program(
        red_doors.search(place, "door"), place.vocabulary, 3, place.read_out
    )
    assert surgery.shapes(params) == surgery.shapes(compiled.params)
    for name, value in compiled.params.items():
        assert np.array_equal(params[name], value), name
    assert truth.operations == compiled.truth.operations
    # and the twin: what was not rewritten is another network
    assert not np.array_equal(plant.params["blocks.0.mlp.W_in"], params["blocks.0.mlp.W_in"])


def test_a_map_of_two_nodes_is_rewritten_entry_by_entry() -> None:
    from tracr.rasp import rasp

    def compiled(table: dict[tuple[int, str], int]) -> helpers.Compiled:
        pair = rasp.SequenceMap(lambda i, w: table[i, w], rasp.indices, rasp.tokens)
        return helpers.compile_program(
            Program(mark(pair, "pair", "emit"), searches=False), ("BOS", "a", "b"), 2, 3
        )

    rng = np.random.default_rng(5)
    one, other = (
        {
            (i, w): int(k)
            for (i, w), k in zip(
                [(i, w) for i in range(3) for w in "ab"],
                [1, 2, *rng.integers(1, 3, 4)],
                strict=True,
            )
        }
        for _ in range(2)
    )
    before, after = compiled(one), compiled(other)
    node = before.truth.node("pair")
    first, second = (before.truth.node(name).values for name in ("indices", "tokens"))
    table = np.array([[node.values.index(other[int(i), str(w)]) for w in second] for i in first])
    params, truth = surgery.rewrite_table(before.params, before.truth, "pair", table)
    assert one != other
    for name, value in after.params.items():
        assert np.array_equal(params[name], value), name
    assert truth.operations == after.truth.operations


def test_tables_that_do_not_fit_are_refused(plant: Plant) -> None:
    table = np.zeros(3, np.int64)
    with pytest.raises(PlantedError, match="table of 'score' is"):
        surgery.rewrite_table(plant.params, plant.truth, "score", table)
    with pytest.raises(PlantedError, match="no map of values"):
        surgery.rewrite_table(plant.params, plant.truth, "output", table)


def test_rescaling_permuting_and_unread_noise_change_no_choice(plant: Plant) -> None:
    tokens = tasks(plant)
    wide, _ = surgery.add_free_width(plant.params, plant.truth, 0, 2, 0)
    width = wide["embed.W_E"].shape[1]
    score = plant.truth.node("score")
    changed = {
        "rescaled": surgery.rescale(plant.params, score, 3.0),
        "permuted": surgery.permute_neurons(plant.params, 1),
        "noise": surgery.write_unread(wide, (width - 2, width - 1), 1),
    }
    own = logits_of(plant.params, plant.spec, tokens)
    for name, params in changed.items():
        got = logits_of(params, plant.spec, tokens)
        assert np.abs(got - own).max() < 1e-3, name
        assert not np.array_equal(
            params["blocks.0.mlp.W_out"], plant.params["blocks.0.mlp.W_out"]
        ), name
    # the twin: a rescaling that no reader makes good chooses otherwise
    broken = dict(plant.params)
    broken["blocks.0.mlp.W_out"] = broken["blocks.0.mlp.W_out"] * np.float32(0.01)
    chosen = choices_of(broken, plant.spec, tokens)
    assert (chosen != choices_of(plant.params, plant.spec, tokens)).any()
