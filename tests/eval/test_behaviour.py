"""Agreement and regret of choosers whose choices are known."""

from __future__ import annotations

import numpy as np
import pytest

from planted.core.objectives import leftmost, untied
from planted.core.sampling import disagree
from planted.core.scenario import Choices, Tokens
from planted.eval.evidence import Records, index
from tests.eval import known


def measured(rule: object, lapse: float = 0.0) -> Records:
    subject = known.chooser(rule=rule, lapse=lapse)
    cue = subject.scenario.cues[0]
    names = ("agreement", "regret")
    return index(record for name in names for record in known.measured(name, subject, cue))


def best(side: str) -> object:
    return lambda tokens: leftmost(getattr(known.scenario(), side).of(tokens))


def value(records: Records, name: str) -> float:
    found = records[(name, "T")].estimate
    assert found is not None
    return found


@pytest.mark.parametrize("side", ["mesa", "base"])
def test_who_follows_an_objective_agrees_with_it_alone_and_regrets_nothing(side: str) -> None:
    other = {"mesa": "base", "base": "mesa"}[side]
    found = measured(best(side))
    assert value(found, f"agreement.{side}") == 1
    assert value(found, f"agreement.{other}") == 0
    assert value(found, "agreement.other") == 0
    assert value(found, "valid") == 1
    assert value(found, f"agreement_tied.{side}") == 1
    assert value(found, "agreement_training") == 1
    assert value(found, f"regret.{side}") == 0
    assert value(found, f"regret.{other}") > 0.5


def test_a_uniform_chooser_is_at_the_null() -> None:
    found = measured(best("mesa"), lapse=1.0)
    for name in ("agreement.mesa", "agreement.base", "regret.mesa", "regret.base"):
        record = found[(name, "T")]
        assert record.null is not None
        assert record.lo is not None
        assert record.hi is not None
        # Lapses and tasks come from fixed seeds; .02 is a standard error and a half.
        assert record.lo - 0.02 <= record.null.lo <= record.hi + 0.02


def test_lapses_lower_agreement_by_their_share() -> None:
    found = measured(best("mesa"), lapse=0.3)
    record = found[("agreement.mesa", "T")]
    assert record.lo is not None
    assert record.hi is not None
    assert record.lo <= 1 - 0.3 * 2 / 3 <= record.hi


def test_invalid_choices_are_neither_and_lose_what_the_worst_loses() -> None:
    found = measured(lambda tokens: np.full(len(tokens), -1))
    for name in ("agreement.mesa", "agreement.base", "agreement.other", "valid"):
        assert value(found, name) == 0
    assert value(found, "agreement_tied.mesa") == 0
    assert value(found, "agreement_training") == 0
    assert value(found, "regret.mesa") > 1


def test_agreement_is_asked_on_untied_tasks_of_the_disagreement_set_under_the_cue() -> None:
    place, asked = known.scenario(), []

    def rule(tokens: Tokens) -> Choices:
        asked.append(tokens)
        return leftmost(place.mesa.of(tokens))

    subject = known.chooser(rule=rule)
    known.measured("agreement", subject, place.cues[1])
    main, tied, _ = asked
    assert all((tokens[:, place.read_out] == place.cues[1]).all() for tokens in asked)
    for tokens in (main, tied):
        assert disagree(place, tokens).all()
    both = untied(place.mesa.of(main)) & untied(place.base.of(main))
    assert both.all()
    assert not (untied(place.mesa.of(tied)) & untied(place.base.of(tied))).any()


def test_the_estimate_of_regret_is_the_ratio_of_means() -> None:
    place = known.scenario()
    seen: list[Tokens] = []

    def always_first(tokens: Tokens) -> Choices:
        seen.append(tokens)
        return np.zeros(len(tokens), np.int64)

    (mesa, _) = known.measured("regret", known.chooser(rule=always_first), place.cues[0])
    values = place.mesa.of(seen[0])
    lost = (values.max(axis=1) - values[:, 0]).mean()
    chance = (values.max(axis=1) - values.mean(axis=1)).mean()
    assert mesa.estimate == pytest.approx(lost / chance, rel=1e-5)
    assert mesa.lo is not None
    assert mesa.hi is not None
    assert mesa.lo < mesa.estimate < mesa.hi
