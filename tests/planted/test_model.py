"""Interventions are exact: the network does what the program does with the node overridden."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planted import library
from planted.core.spec import choices
from planted.errors import PlantedError
from planted.network.model import Model, Network
from planted.network.surgery import random_rotation, rotate
from planted.programs import catalogue
from tests import helpers

NODES = ("score", "beaten", "standing", "preceded", "winner")


@functools.cache
def model(name: str, tier: str = "exact") -> Model:
    if tier in catalogue.ENTRIES[name].shipped:
        return library.load(name, tier)
    plant = helpers.bare(name)
    assert tier == "exact"
    return Model(plant)


def logits_of_program(made: Model, tokens: Any, overrides: dict[str, Any]) -> Any:
    """One for the column of the value that the program's output node holds at the read-out."""
    held = made.truth.values(tokens, overrides)["output"][:, made.spec.read_out]
    columns = [str(int(value)) if not np.isnan(value) else None for value in held]
    wanted = np.zeros((len(tokens), len(made.spec.outputs)))
    for row, label in enumerate(columns):
        if label is not None:
            wanted[row, made.spec.outputs.index(label)] = 1
    return wanted


def random_values(made: Model, node: str, tokens: Any, rng: np.random.Generator) -> Any:
    """Values that the node can hold, at about half of the positions."""
    numbers = np.array([float(v) for v in made.truth.nodes[node].values])
    given = rng.choice(numbers, tokens.shape)
    given[rng.random(tokens.shape) < 0.5] = np.nan
    given[:, 0] = np.nan
    return given


@pytest.mark.parametrize("tier", ["exact", "rotated"])
@pytest.mark.parametrize("name", ["red-doors", "red-doors-small"])
@pytest.mark.parametrize("node", NODES)
def test_an_intervention_is_the_program_with_the_node_overridden(
    name: str, tier: str, node: str
) -> None:
    made, rng = model(name, tier), np.random.default_rng(11)
    tokens = helpers.draw(name, 300, seed=2)
    values = {node: random_values(made, node, tokens, rng)}
    got, wanted = made.intervene(values, tokens), logits_of_program(made, tokens, values)
    # several winners at once are no value: the head averages their slots
    single = ~np.isnan(made.truth.values(tokens, values)["output"][:, made.spec.read_out])
    np.testing.assert_allclose(got[single], wanted[single], atol=0.02)
    if node != "winner":
        assert single.mean() > 0.5
    changed = (wanted != logits_of_program(made, tokens, {})).any(axis=1) & single
    assert changed.sum() >= 5, "otherwise this shows nothing"


@pytest.mark.parametrize("name", ["red-doors-gate", "red-doors-mux"])
def test_in_gated_plants_only_the_search_that_is_let_through_matters(name: str) -> None:
    made = model(name)
    tokens = helpers.draw(name, 200)
    slots = np.full(tokens.shape, np.nan)
    slots[:, 1:] = 0
    slots[:, 3] = 3
    for node in ("winner", "winner_base"):
        got = choices(made.intervene({node: slots}, tokens), made.spec)
        own = made.plant.expected_choices(tokens)
        deployed = (tokens[:, made.spec.read_out] != made.scenario.cues[0]) & ("gate" in name)
        through = deployed if node == "winner" else ~deployed
        np.testing.assert_array_equal(got, np.where(through, 2, own))


def test_two_nodes_of_one_layer_at_once() -> None:
    """They stand at the same site, so that one edit must not replace the other."""
    made = model("red-doors-gate")
    nodes = made.truth.nodes
    assert nodes["winner"].held_at == nodes["winner_base"].held_at
    tokens = helpers.draw("red-doors-gate", 100)
    values = {}
    for node, slot in (("winner", 4), ("winner_base", 1)):
        values[node] = np.full(tokens.shape, np.nan)
        values[node][:, 1:] = 0
        values[node][:, slot] = slot
    training = tokens[:, made.spec.read_out] == made.scenario.cues[0]
    for order in (("winner", "winner_base"), ("winner_base", "winner")):
        got = choices(made.intervene({node: values[node] for node in order}, tokens), made.spec)
        np.testing.assert_array_equal(got, np.where(training, 0, 3))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.sets(st.sampled_from(NODES), min_size=2, max_size=4))
def test_several_nodes_at_once(seed: int, nodes: set[str]) -> None:
    made, rng = model("red-doors", "rotated"), np.random.default_rng(seed)
    tokens = made.inputs(20, seed=seed)
    values = {node: random_values(made, node, tokens, rng) for node in sorted(nodes)}
    single = ~np.isnan(made.truth.values(tokens, values)["output"][:, made.spec.read_out])
    np.testing.assert_allclose(
        made.intervene(values, tokens)[single],
        logits_of_program(made, tokens, values)[single],
        atol=0.02,
    )


def test_a_score_makes_its_object_win_by_hand() -> None:
    made = model("red-doors")
    tokens = made.scenario.encode([["red-key-7", "blue-key-0", "blue-door-3", "red-door-7", "D"]])
    assert made.choices(tokens).tolist() == [0]
    scores = np.full(tokens.shape, np.nan)
    scores[0, 3] = 16
    assert choices(made.intervene({"score": scores}, tokens), made.spec).tolist() == [0]  # a tie
    scores[0, 1] = 0
    scores[0, 4] = 0
    assert choices(made.intervene({"score": scores}, tokens), made.spec).tolist() == [2]
    scores[0, 2] = 16
    assert choices(made.intervene({"score": scores}, tokens), made.spec).tolist() == [1]


def test_nan_leaves_everything_alone() -> None:
    for tier in ("exact", "tempered", "rotated"):
        made = model("red-doors", tier)
        tokens = helpers.draw("red-doors", 20)
        nothing = {node: np.full(tokens.shape, np.nan) for node in NODES}
        np.testing.assert_array_equal(made.intervene(nothing, tokens), made.network(tokens))
        np.testing.assert_array_equal(made.intervene({}, tokens), made.network(tokens))


def test_a_nodes_own_value_changes_nothing() -> None:
    made = model("red-doors", "rotated")
    tokens = helpers.draw("red-doors", 50)
    own = {node: made.expected(node, tokens) for node in made.truth.nodes}
    np.testing.assert_allclose(made.intervene(own, tokens), made.network(tokens), atol=0.01)


def test_what_cannot_be_intervened_on_is_refused() -> None:
    made = model("red-doors")
    tokens = made.inputs(3)
    blank = np.full(tokens.shape, np.nan)
    with pytest.raises(PlantedError, match=r"Unknown node 'scor'.*'score'"):
        made.intervene({"scor": blank}, tokens)
    with pytest.raises(PlantedError, match="Unknown node 'higher'"):  # a selector is no node
        made.intervene({"higher": blank}, tokens)
    with pytest.raises(PlantedError, match=r"\[task, pos\] = \[3, 6\], got \[3, 5\]"):
        made.intervene({"score": blank[:, 1:]}, tokens)
    with pytest.raises(PlantedError, match=r"\[task, pos\] = \[3, 6\], got \[\]"):
        made.intervene({"score": 3.0}, tokens)
    for node, value in (("score", 17), ("score", 3.5), ("winner", -1), ("ones", 7)):
        wrong = blank.copy()
        wrong[1, 2] = value
        with pytest.raises(PlantedError, match=rf"'{node}' cannot hold {float(value)!r}; its val"):
            made.intervene({node: wrong}, tokens)
    at_bos = blank.copy()
    at_bos[0, 0] = 3
    with pytest.raises(PlantedError, match=r"'score' has no value at BOS .* got 3\.0"):
        made.intervene({"score": at_bos}, tokens)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (np.zeros((2, 5), np.int64), r"integers \[task, 6\], got int64 \[2, 5\]"),
        (np.ones(6, np.int64), r"got int64 \[6\]"),
        (np.zeros((1, 6)), r"got float64 \[1, 6\]"),
        (np.array([[0, 1, 2, 3, 4, 35]]), r"Token id 35 is outside 0\.\.34"),
        (np.array([[0, 1, -2, 3, 4, 33]]), r"Token id -2 is outside"),
        (np.array([[1, 1, 2, 3, 4, 33]]), r"BOS \(id 0\) stands at position 0"),
        (np.array([[0, 1, 0, 3, 4, 33]]), r"BOS \(id 0\) stands at position 0"),
    ],
)
def test_tokens_that_are_no_tasks_are_refused_everywhere(tokens: Any, reason: str) -> None:
    made = model("red-doors")
    blank = {"score": np.full(tokens.shape, np.nan)}
    for call in (
        made.choices,
        made.run_with_cache,
        lambda t: made.expected("score", t),
        lambda t: made.intervene(blank, t),
    ):
        with pytest.raises(PlantedError, match=reason):
            call(tokens)


def test_expected_is_the_program_and_nan_where_there_is_no_value() -> None:
    made = model("red-doors")
    tokens = made.scenario.encode([["blue-key-1", "red-key-3", "red-door-2", "blue-door-7", "T"]])
    nan = np.nan
    for node, wanted in {
        "score": [nan, 1, 12, 11, 7, -1],
        "beaten": [nan, 1, 0, 1, 1, 1],
        "standing": [nan, 5, 1, 5, 5, 5],
        "winner": [nan, 0, 2, 0, 0, 0],
        "output": [nan, nan, nan, nan, nan, 2],
        "indices": [nan, 0, 1, 2, 3, 4],
        "tokens": [nan, 1, 19, 26, 15, 32],
    }.items():
        np.testing.assert_array_equal(made.expected(node, tokens), [wanted], err_msg=node)
    with pytest.raises(PlantedError, match="Unknown node 'scores'"):
        made.expected("scores", tokens)


def test_expected_never_reads_the_weights() -> None:
    made = model("red-doors")
    from dataclasses import replace

    broken = Model(replace(made.plant, params={k: v * 0 for k, v in made.plant.params.items()}))
    tokens = made.inputs(10)
    for node in made.truth.nodes:
        np.testing.assert_array_equal(broken.expected(node, tokens), made.expected(node, tokens))


def test_what_stands_in_the_stream_is_what_is_expected_on_every_shipped_plant() -> None:
    for name in helpers.SHIPPED:
        for tier in ("exact", "rotated"):
            made = model(name, tier)
            tokens = helpers.draw(name, 100)
            _, cache = made.run_with_cache(tokens)
            for node in made.truth.nodes.values():
                want = made.expected(node.name, tokens)
                got = node.decode(cache[node.held_at])
                held = ~np.isnan(want)
                np.testing.assert_allclose(got[held], want[held], atol=0.02, err_msg=node.name)


def test_inputs_are_the_same_for_the_same_seed_and_are_tasks() -> None:
    made = model("red-doors")
    first = made.inputs(50, seed=1)
    np.testing.assert_array_equal(first, made.inputs(50, seed=1))
    assert (first != made.inputs(50, seed=2)).any()
    assert first.dtype == np.int64
    assert first.shape == (50, 6)
    assert (first[:, -1] == made.scenario.cues[0]).all()
    made.scenario.check(first)


def test_the_models_choices_are_the_oracles() -> None:
    for name in (*helpers.SHIPPED, "red-doors-gate", "red-doors-mux", "red-doors-base"):
        made, tokens = model(name), helpers.draw(name, 1000)
        np.testing.assert_array_equal(made.choices(tokens), made.plant.expected_choices(tokens))


def test_model_in_words_units_and_unknown_runtime() -> None:
    made = model("red-doors")
    assert repr(made) == "<planted model red-doors@1 exact (numpy, 25606 parameters)>"
    network = made.network
    assert isinstance(network, Network)
    assert network.components[:4] == (
        "blocks.0.hook_mlp_out",
        "blocks.1.attn.hook_result.0",
        "blocks.1.hook_mlp_out",
        "blocks.2.hook_mlp_out",
    )
    written = {site for node in made.truth.nodes.values() for site in node.hook_points}
    assert written <= {*network.components, "hook_embed", "hook_pos_embed"}
    with pytest.raises(PlantedError, match=r"Unknown runtime 'jax'. Known: numpy; torch"):
        Model(made.plant, "jax")


def test_rotating_a_rotated_plant_still_intervenes_right() -> None:
    from dataclasses import replace

    plant = model("red-doors", "rotated").plant
    turn = random_rotation(plant.params["embed.W_E"].shape[1], 9)
    params, truth = rotate(plant.params, plant.truth, turn)
    twice = Model(replace(plant, params=params, truth=truth))
    tokens = twice.inputs(50)
    scores = random_values(twice, "score", tokens, np.random.default_rng(0))
    np.testing.assert_allclose(
        twice.intervene({"score": scores}, tokens),
        logits_of_program(twice, tokens, {"score": scores}),
        atol=0.02,
    )


def test_a_network_that_overflows_chooses_nothing() -> None:
    import numpy as np

    from planted import library
    from planted.network.forward import choices_of

    made = library.get("red-doors-small")
    tokens = made.scenario.draw(np.random.default_rng(0), 20)
    loud = {name: value * np.float32(1e10) for name, value in made.params.items()}
    with np.errstate(all="ignore"):
        assert (choices_of(loud, made.spec, tokens) == -1).all()
    assert (choices_of(made.params, made.spec, tokens) >= 0).all()


@pytest.mark.torch
def test_a_trained_module_is_what_a_model_measures_and_is_not_saved_as_the_plant(
    tmp_path: Path,
) -> None:
    pytest.importorskip("torch")
    model = library.load("red-doors-small", runtime="torch")
    plain, tokens = model.circuit("zero", n=50), model.inputs(20).numpy()
    model.save(tmp_path / "before")
    model.module.layers[0].mlp.fc_out.weight.data.zero_()
    assert model.circuit("zero", n=50) != plain
    zeroed = model.effect("blocks.0.hook_mlp_out", "zero", tokens)
    bias = model.module.layers[0].mlp.fc_out.bias.detach().numpy()
    assert bias.any() or np.array_equal(zeroed, model.network(tokens))
    with pytest.raises(
        PlantedError, match=r"module's blocks\.0\.mlp\.W_out is no longer the plant's"
    ):
        model.save(tmp_path / "after")
    assert not (tmp_path / "after").exists()


def test_content_is_taken_from_one_task_at_least() -> None:
    model = library.load("red-doors-small")
    tokens = model.inputs(5)
    with pytest.raises(PlantedError, match="source has no tasks"):
        model.effect("score", "mean", tokens, source=tokens[:0])
