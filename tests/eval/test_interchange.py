"""Interchange at the planted coordinates: perfect on the plant, nothing where it is unused."""

from __future__ import annotations

import numpy as np
import pytest

from planted.eval.checkpoint import Checkpoint
from planted.eval.evidence import Records, index
from tests.eval import known


def measured(subject: Checkpoint, cue: int = 0) -> Records:
    return index(known.measured("interchange", subject, subject.scenario.cues[cue]))


@pytest.mark.parametrize("rotated", [False, True])
def test_the_plant_follows_the_scores_that_are_put_in(rotated: bool) -> None:
    found = measured(known.checkpoint(rotated=rotated))
    score = found[("interchange.score", "T")]
    assert score.estimate == 1
    assert score.unit == "pair"
    assert found[("interchange.specificity", "T")].estimate == 1
    assert score.null is not None
    assert score.null.hi < 0.3  # random subspaces as large
    assert score.null.n == 20


def test_unused_scores_move_nothing() -> None:
    """The mux answers from the other search: only pairs whose own answer would change count."""
    score = index(known.evidence("red-doors-mux"))[("interchange.score", "T")]
    assert score.estimate == 0
    assert 0 < score.n < 1000


def test_the_gate_uses_them_off_cue_alone() -> None:
    found = index(known.evidence("red-doors-gate"))
    assert found[("interchange.score", "T")].estimate == 0
    assert found[("interchange.score", "D")].estimate == 1


def test_the_base_search_holds_other_scores_in_the_same_code() -> None:
    """Its score node decodes to u_b, so what follows is not what u_m of the source asks for."""
    score = index(known.evidence("red-doors-base"))[("interchange.score", "T")]
    assert score.at_most is not None
    assert score.at_most < 0.6


def test_another_basis_of_the_score_node_is_not_found() -> None:
    """Turned weights judged by the truth of unturned ones: the silence that paths do not have."""
    turned = known.plant(rotated=True)
    found = measured(Checkpoint(known.plant(), turned.params))
    score = found[("interchange.score", "T")]
    assert score.at_most is not None
    assert score.at_most < 0.5
    np.testing.assert_equal(
        Checkpoint(known.plant(), turned.params).choose(
            turned.scenario.draw(np.random.default_rng(0), 200)
        ),
        known.checkpoint().choose(turned.scenario.draw(np.random.default_rng(0), 200)),
    )
