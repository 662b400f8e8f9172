"""Every direction, head and neuron has a name that says what it is, in every tier."""

from __future__ import annotations

import re

import numpy as np
import pytest

from planted import library
from planted.core.semantics import as_numbers
from planted.network import labels
from planted.network.forward import forward
from tests.helpers import bare

SPREAD = (
    "red-doors", "red-doors-gate", "red-doors-small-table", "crumbs-amortised", "wiping-mux",
    "bottle-cap-decoy", "delegation", "heuristics", "bandit", "rivals", "grid-keys",
)  # fmt: skip


@pytest.mark.parametrize("name", SPREAD)
def test_all_that_is_written_lies_in_named_directions(name: str) -> None:
    plant = bare(name)
    named = np.stack(list(labels.directions(plant).values()))
    np.testing.assert_allclose(named @ named.T, np.eye(len(named)), atol=1e-6)
    for key, weight in plant.params.items():
        if key.endswith(("W_O", "W_out", "W_E", "W_pos", "b_O", "b_out")) and weight.size:
            rows = weight.reshape(-1, weight.shape[-1])
            np.testing.assert_allclose(rows @ named.T @ named, rows, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("name", SPREAD)
def test_every_head_and_neuron_has_one_owner(name: str) -> None:
    plant = bare(name)
    neurons, heads = labels.neurons(plant), labels.heads(plant)
    assert "free" not in neurons.values()
    for layer in range(plant.truth.depth):
        n_heads = plant.params[f"blocks.{layer}.attn.W_Q"].shape[0]
        assert {head for at, head in heads if at == layer} == set(range(n_heads))
    owners = {name.partition(":")[0] for name in (*neurons.values(), *heads.values())}
    assert owners == {node.name for node in plant.truth.nodes.values() if node.layer >= 0}
    assert not any(re.search(r"\b(map|sequence_map|aggregate|select)_\d+", at) for at in owners)


def test_a_neuron_is_named_by_what_makes_it_fire() -> None:
    plant = bare("wiping")
    found = labels.neurons(plant)
    score = plant.truth.nodes["score"]
    names = {found[score.layer, number] for number in score.neurons}
    assert "score: bottle = spill-open & tokens = plan-wsw" in names
    assert len(names) == len(score.neurons)
    assert labels.heads(plant)[score.layer + 1, 0] == "beaten_share: k score, q score, v ones"


def test_rotating_keeps_the_names_and_turns_the_directions() -> None:
    exact, rotated = (library.get("red-doors", tier) for tier in ("exact", "rotated"))
    assert labels.neurons(exact) == labels.neurons(rotated)
    before, after = labels.directions(exact), labels.directions(rotated)
    assert before.keys() == after.keys()
    assert all(np.abs(before[name] - after[name]).max() > 0.01 for name in before)


def test_neurons_that_tempering_added_are_free() -> None:
    plant = library.get("red-doors", "tempered")
    found = list(labels.neurons(plant).values())
    planted = sum(len(node.neurons) for node in plant.truth.nodes.values())
    assert len(found) - found.count("free") == planted


@pytest.mark.parametrize(
    "name", ["red-doors", "wiping", "bandit", "delegation", "crumbs-amortised"]
)
def test_a_neuron_fires_where_its_name_says_and_nowhere_else(name: str) -> None:
    """Every name, read as a sentence about what the program's nodes hold, against activations."""
    plant = bare(name)
    rng = np.random.default_rng(0)
    tokens = plant.scenario.with_any_cue(plant.scenario.draw(rng, 60), rng)
    sites = [f"blocks.{layer}.mlp.hook_post" for layer in range(plant.truth.depth)]
    _, cache = forward(plant.params, tokens, plant.spec, record=sites)
    held = plant.truth.values(tokens)
    checked = 0
    for (layer, number), label in labels.neurons(plant).items():
        _, _, condition = label.partition(": ")
        fires = np.ones((len(tokens), tokens.shape[1] - 1), dtype=bool)
        for part in condition.split(" & "):
            found = re.fullmatch(r"(\S+) (=|in|>) (.*)", part)
            if found is None:  # "any x": a constant of a staircase
                break
            node, sign, right = found.groups()
            values = held[node][:, 1:]
            if sign == ">":
                fires &= values > float(right)
            else:
                known = [str(value) for value in plant.truth.nodes[node].values]
                numbers = as_numbers(plant.truth.nodes[node].values)
                wanted = [right] if sign == "=" else right.strip("{}").split(", ")
                fires &= np.isin(values, [numbers[known.index(word)] for word in wanted])
        else:
            post = cache[sites[layer]][:, 1:, number]
            strongest = max(float(post.max()), 1e-6)
            np.testing.assert_array_equal(post > 0.02 * max(strongest, 1), fires, err_msg=label)
            checked += 1
    assert checked > 20
