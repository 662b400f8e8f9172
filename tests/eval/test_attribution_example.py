"""The example's EAP and EAP-IG: where the estimate is exact, and on a planted circuit."""

import importlib.util

import numpy as np
import pytest

import planted
from planted.eval.methods import edges
from planted.network.edges import EdgePatcher

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]


@pytest.fixture(scope="module")
def found():
    import torch

    from examples.edges import attribution

    model = planted.load("red-doors@1", "tempered", runtime="torch")
    pairs = edges.pairs_of(model.plant, 24, 0)
    base, source = map(torch.from_numpy, pairs)
    return model, pairs, attribution.eap(model.module, base, source), attribution


def test_an_edge_into_the_logits_is_estimated_exactly(found):
    """There the metric is linear in what the edge carries."""
    model, pairs, scores, _ = found
    one, other = (EdgePatcher(model.plant.params, model.spec, side) for side in pairs)
    answer, wrong = one.logits.argmax(axis=1), other.logits.argmax(axis=1)
    rows, checked = np.arange(24), 0
    for (writer, reader), score in scores.items():
        if reader == "logits":
            logits = one.patched((writer, reader), other.outputs[writer] - one.outputs[writer])
            change = logits - one.logits
            wanted = (change[rows, answer] - change[rows, wrong]).mean()
            assert score == pytest.approx(wanted, abs=1e-4)
            checked += abs(wanted) > 0.1
    assert checked


def test_on_soft_weights_it_finds_the_circuit_and_its_signs_are_negative(found):
    model, _, scores, attribution = found
    truth = edges.in_circuit(model.plant, "resample")
    got = edges.read_scores(scores, edges.links_in(model.plant), "eap")
    figures = edges.metrics(got, truth)
    assert figures.auroc_absolute > 0.9
    assert figures.auroc < 0.5
    assert set(map(type, scores.values())) == {float}
    assert attribution.eap_ig is not attribution.eap
