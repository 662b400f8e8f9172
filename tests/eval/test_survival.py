"""Times that are cut off: lifelines' estimates beside ones computed by hand."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest

from planted.errors import PlantedError
from planted.eval import survival
from planted.eval.survival import Times


def by_hand(steps, reached, at):
    """Kaplan and Meier's product: the share that is not there yet after `at` steps."""
    left = 1.0
    for time in sorted({t for t, there in zip(steps, reached, strict=True) if there and t <= at}):
        events = sum(t == time and there for t, there in zip(steps, reached, strict=True))
        left *= 1 - events / sum(t >= time for t in steps)
    return left


def test_a_closed_case_with_one_cut_off_early():
    # survival 1, 4/5, 3/5, 3/5·1/2: an area of 1 + .8 + 2·.6 + 1·.3 up to 5
    times = Times((1, 2, 3, 4, 5), (True, True, False, True, False))
    assert by_hand(*times, 4) == pytest.approx(0.3)
    mean, _ = survival.restricted_mean(times, 5)
    assert mean == pytest.approx(1 + 0.8 + 2 * 0.6 + 0.3)
    assert survival.median(times) == 4


@pytest.mark.parametrize("seed", range(20))
def test_medians_and_means_beside_the_product_by_hand(seed):
    rng = np.random.default_rng(seed)
    steps = tuple(int(t) for t in rng.integers(1, 20, size=9))
    reached = tuple(bool(x) for x in rng.random(9) < 0.7)
    if not any(reached):
        reached = (True, *reached[1:])
    times = Times(steps, reached)
    curve = [by_hand(steps, reached, at) for at in range(20)]
    mean, _ = survival.restricted_mean(times, 20)
    assert mean == pytest.approx(sum(curve))
    below = [at for at, left in enumerate(curve) if left <= 0.5 + 1e-12]
    assert survival.median(times) == (below[0] if below else None)


def test_cut_off_at_the_horizon_the_mean_is_the_plain_one():
    times = Times((5, 20, 100, 100), (True, True, False, False))
    mean, variance = survival.restricted_mean(times, 100)
    assert mean == pytest.approx(np.mean(times.steps))
    assert variance == pytest.approx(np.var(times.steps))


def test_the_log_rank_test_by_hand():
    one, other = Times((1, 2), (True, True)), Times((3, 4), (True, False))
    # at 1: 1 of 4, two of the first arm at risk; at 2: 1 of 3, one; at 3: 1 of 2, none
    expected, variance = 2 / 4 + 1 / 3, 1 / 4 + 2 / 9
    z = (2 - expected) ** 2 / variance
    from scipy.stats import chi2

    assert survival.log_rank(one, other) == pytest.approx(chi2.sf(z, 1))
    never = Times((9, 9), (False, False))
    assert survival.log_rank(never, never) is None


def test_a_ratio_and_its_interval():
    slow = Times((80, 100, 120), (True, True, True))
    fast = Times((8, 10, 12), (True, True, True))
    found = survival.restricted_ratio(slow, fast, 300, 0)
    assert found.estimate == pytest.approx(10)
    assert found.lo < found.at_least < found.estimate < found.at_most < found.hi
    # both have a relative error of √(var / 2) / mean and so 4 degrees of freedom
    error = np.sqrt(2 * np.var(slow.steps) / 2 / 100**2)
    assert log(found.hi / found.estimate) == pytest.approx(2.7764 * error, rel=1e-4)
    assert found.lo * found.hi == pytest.approx(exp(2 * log(10)))


def test_intervals_of_ratios_cover():
    rng = np.random.default_rng(0)

    def drawn(mean):
        return Times(tuple(int(t) for t in rng.gamma(20, mean / 20, size=5)), (True,) * 5)

    found = [survival.restricted_ratio(drawn(100), drawn(20), 10_000, 1) for _ in range(150)]
    assert 0.9 < np.mean([each.lo <= 5 <= each.hi for each in found]) <= 1


def test_equal_times_have_an_interval_of_some_width():
    at_once, never = Times((5,) * 5, (True,) * 5), Times((300,) * 5, (False,) * 5)
    found = survival.restricted_ratio(never, at_once, 300, 5)
    assert found.estimate == pytest.approx(60)
    # looked at every 5 steps: a variance of 25/12 with 4 degrees of freedom, about a mean of 5
    assert log(found.hi / 60) == pytest.approx(2.7764 * (25 / 12 / 4) ** 0.5 / 5, rel=1e-4)
    assert found.lo * found.hi == pytest.approx(60**2)
    assert survival.restricted_ratio(never, never, 300, 5).lo == pytest.approx(1)


def test_what_has_no_ratio():
    none, some = Times((0, 0), (True, True)), Times((5, 10), (True, True))
    assert survival.restricted_ratio(some, none, 300, 5) is None
    assert survival.restricted_ratio(some, Times((5,), (True,)), 300, 5) is None
    with pytest.raises(PlantedError, match="without runs"):
        survival.median(Times((), ()))


def test_in_words():
    assert str(Times((5, 300), (True, False))) == "5, not in 300"


def test_without_lifelines_it_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "lifelines", None)
    with pytest.raises(PlantedError, match=r"pip install 'planted\[revival\]'"):
        survival.median(Times((5,), (True,)))
