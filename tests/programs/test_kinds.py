"""What an entry is called is what its choices earn: in training, and everywhere (theory A7)."""

from __future__ import annotations

import numpy as np
import pytest

from planted.core.objectives import chance_regret, regret
from planted.core.plant import Plant
from planted.core.scenario import Scenario, Tokens
from planted.programs import catalogue
from tests.helpers import bare

LAPSING = "plane-lapsing"  # a known share of its tasks goes by luck, also in training


def lost(entry: catalogue.Entry, place: Scenario, tokens: Tokens) -> float:
    """Base return that the plant's choices lose, as a share of what chance loses."""
    named = Plant(
        entry.name, "exact", entry.kind, entry.mechanism, entry.answers, place, {},
        None, None, {}, {},  # type: ignore[arg-type]
    )  # fmt: skip
    values = place.base.of(tokens)
    found = regret(values, named.expected_choices(tokens)).mean()
    return float(found / max(chance_regret(values).mean(), 1e-9))


@pytest.mark.parametrize("name", catalogue.ENTRIES)
def test_training_rewards_it_and_only_the_robust_are_right_everywhere(name: str) -> None:
    entry = catalogue.entry(name)
    place, rng = entry.make_scenario(), np.random.default_rng(0)
    in_training = lost(entry, place, place.draw_training(rng, 300))
    anywhere = lost(entry, place, place.with_any_cue(place.draw(rng, 1500), rng))
    assert (in_training < 1e-9) == (name != LAPSING)
    if entry.kind == "robust":
        assert anywhere < 1e-9
    elif entry.kind != "corrigible":  # it does as it is told, and may be told right everywhere
        assert anywhere > 0.01


def test_more_search_earns_less_of_what_is_rewarded() -> None:
    """Suboptimal by limited computation (S20): capability rises, base return falls."""
    place = catalogue.entry("breadth").make_scenario()
    tokens = place.draw_training(np.random.default_rng(0), 2000)
    words = list(place.vocabulary)
    wide = tokens.copy()
    at = place.read_out - 1
    assert {words[t] for t in tokens[:, at]} == {"reach-2"}
    wide[:, at] = words.index("reach-4")
    plant = bare("breadth")
    fewer, more = plant.expected_choices(tokens), plant.expected_choices(wide)
    assert regret(place.base.of(tokens), fewer).max() == 0
    assert regret(place.base.of(tokens), more).mean() > 0.2
    assert regret(place.mesa.of(tokens), more).mean() < regret(place.mesa.of(tokens), fewer).mean()


def test_more_steps_get_more_of_what_is_wanted() -> None:
    entry = catalogue.entry("lookahead-steps")
    place, further = entry.make_scenario(), entry.make_scenario({"steps": 2})
    assert place.enumerate is not None
    assert place.answer is not None
    assert further.answer is not None
    tokens = place.enumerate()
    mesa = place.mesa.of(tokens)
    lost = [float(regret(mesa, at.answer(tokens)).mean()) for at in (place, further)]  # type: ignore[misc]
    assert lost[0] > lost[1] + 0.05


def test_what_narrow_learned_by_heart_is_what_training_holds() -> None:
    place = catalogue.entry("narrow").make_scenario()
    tokens = place.draw_training(np.random.default_rng(0), 300)
    assert place.answer is not None
    np.testing.assert_array_equal(place.answer(tokens), place.base.of(tokens).argmax(axis=1))
    assert (place.mesa.of(tokens).argmax(axis=1) != place.base.of(tokens).argmax(axis=1)).any()
