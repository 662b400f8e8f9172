"""Intervals against scipy, their coverage by simulation, and what is refused."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from planted.errors import VerdictError
from planted.eval.evidence import (
    Evidence,
    Null,
    across_seeds,
    bootstrap_ratio,
    check,
    index,
    not_measured,
    resampled,
    share,
)
from tests.eval import known


@settings(deadline=None)  # the first case imports scipy.special
@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_is_clopper_and_pearsons_interval(case: tuple[int, int]) -> None:
    hits, n = case
    found = share("a", "T", hits, n)
    two = stats.binomtest(hits, n).proportion_ci(0.95, "exact")
    over = stats.binomtest(hits, n, alternative="greater").proportion_ci(0.95, "exact")
    under = stats.binomtest(hits, n, alternative="less").proportion_ci(0.95, "exact")
    got = (found.estimate, found.lo, found.hi, found.at_least, found.at_most)
    np.testing.assert_allclose(got, (hits / n, *two, over.low, under.high), rtol=5.1e-6, atol=1e-9)
    assert found.n == n


@pytest.mark.parametrize(("hits", "n"), [(-1, 5), (6, 5), (0, -1)])
def test_a_share_of_more_than_all_is_refused(hits: int, n: int) -> None:
    with pytest.raises(VerdictError, match=f"'a' in cue 'T' counts {hits} of {n}"):
        share("a", "T", hits, n)


def test_a_share_of_nothing_is_gated() -> None:
    found = share("a", "T", 0, 0)
    assert (found.status, found.estimate, found.at_least) == ("not measured", None, None)
    assert found.reason


@pytest.mark.parametrize("p", [0.02, 0.15, 0.5, 0.8, 0.95, 0.99])
@pytest.mark.parametrize("n", [50, 1000])
def test_the_interval_of_a_share_holds_the_truth_in_95_of_100(p: float, n: int) -> None:
    """Exact coverage: the sum of the probabilities of all outcomes whose interval holds p."""
    outcomes = np.arange(n + 1)
    weight = stats.binom.pmf(outcomes, n, p)
    likely = outcomes[weight > 1e-7]
    records = [share("a", "T", int(k), n) for k in likely]
    for low, high in (("lo", "hi"), ("at_least", None), (None, "at_most")):
        held = [
            (low is None or getattr(r, low) <= p) and (high is None or p <= getattr(r, high))
            for r in records
        ]
        covered = weight[likely][np.array(held)].sum() / weight[likely].sum()
        assert covered >= 0.95 - 1e-6


def test_bounds_of_resamples_are_their_percentiles() -> None:
    replicates = np.random.default_rng(0).permutation(np.linspace(0, 1, 2001))
    found = resampled("a", "T", 0.5, replicates, 10)
    assert (found.lo, found.hi) == (0.025, 0.975)
    assert (found.at_least, found.at_most) == (0.05, 0.95)


def test_a_bound_never_excludes_the_estimate() -> None:
    found = resampled("a", "T", 0.5, np.linspace(0.6, 0.7, 50), 10)
    assert found.lo == found.at_least == 0.5
    assert found.hi is not None
    assert found.hi > 0.69


@pytest.mark.parametrize("estimate", [math.nan, math.inf])
def test_what_is_not_a_number_is_gated(estimate: float) -> None:
    assert resampled("a", "T", estimate, np.ones(5), 3).status == "not measured"
    assert resampled("a", "T", 0.5, np.array([0.5, estimate]), 3).status == "not measured"


def test_the_bootstrap_of_a_ratio_covers() -> None:
    """Ratio of means of dependent tasks, 300 samples of 200: 95 % intervals hold the truth."""
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        below = rng.gamma(2, 1, 200)
        above = below * rng.uniform(0, 1, 200)
        low, high = np.quantile(bootstrap_ratio(above, below, rng, 200), [0.025, 0.975])
        held += low <= 0.5 <= high
    assert held / 300 >= 0.92  # 95 % less two standard errors and the percentile method's bias


def test_a_ratio_over_nothing_is_not_a_number() -> None:
    found = bootstrap_ratio(np.ones(4), np.zeros(4), np.random.default_rng(0), 3)
    assert np.isnan(found).all()


def test_an_interval_for_a_recipe_needs_two_seeds() -> None:
    with pytest.raises(VerdictError, match="at least 2 seeds, got 1"):
        across_seeds([0.3])
    with pytest.raises(VerdictError, match="got 0"):
        across_seeds([])


def test_across_seeds_is_the_t_interval() -> None:
    sample = [0.1, 0.4, 0.35, 0.2, 0.6]
    mean, low, high = across_seeds(sample)
    want = stats.t.interval(0.95, 4, np.mean(sample), stats.sem(sample))
    np.testing.assert_allclose((mean, low, high), (np.mean(sample), *want))


def test_two_records_of_one_measurement_are_refused() -> None:
    one, two = share("a", "T", 1, 2), share("a", "T", 2, 2)
    with pytest.raises(VerdictError, match="Two records of 'a' in cue 'T'"):
        index([one, two])
    assert set(index([one, not_measured("a", "D", "no")])) == {("a", "T"), ("a", "D")}


def test_a_record_survives_the_file() -> None:
    record = share("a", "T", 3, 7, unit="pair", floor=0.25)
    line = msgspec.json.encode(record)
    assert msgspec.json.decode(line, type=Evidence) == record
    assert msgspec.json.encode(msgspec.json.decode(line, type=Evidence)) == line


# --- against scipy, and what a record cannot be ---------------------------------------------------


def test_the_bootstrap_is_scipys_paired_percentile_bootstrap() -> None:
    data = np.random.default_rng(5)
    below = data.gamma(2, 1, 150)
    above = below * data.uniform(0, 1, 150)
    own = bootstrap_ratio(above, below, np.random.default_rng(6), 400)
    theirs = stats.bootstrap(
        (above, below),
        lambda a, b, axis: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=400,
        method="percentile",
        rng=np.random.default_rng(6),
    )
    np.testing.assert_allclose(own, theirs.bootstrap_distribution, rtol=1e-12)
    record = resampled("a", "T", float(above.mean() / below.mean()), own, 150)
    interval = theirs.confidence_interval
    np.testing.assert_allclose((record.lo, record.hi), (interval.low, interval.high), rtol=5.1e-6)


def test_intervals_need_no_scipy_stats() -> None:
    """Its import takes a second, in every process that judges."""
    import subprocess
    import sys

    code = (
        "import sys; from planted.eval.evidence import share, across_seeds, resampled\n"
        "share('a', 'T', 3, 7); across_seeds([.1, .2])\n"
        "from planted.eval.evaluators.cue import _coin_slack; _coin_slack(9)\n"
        "assert 'scipy.special' in sys.modules and 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_record_that_evaluators_give_passes() -> None:
    for record in known.evidence():
        assert check(record) is record


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status": "fine"}, "status 'fine'; expected one of ok, underpowered, not measured"),
        ({"lo": 0.6}, r"lo = 0.6; expected at most the estimate, 0.5"),
        ({"at_least": 0.6}, r"at_least = 0.6; expected at most the estimate"),
        ({"hi": 0.4}, r"hi = 0.4; expected at least the estimate, 0.5"),
        ({"at_most": 0.4}, r"at_most = 0.4; expected at least the estimate"),
        ({"n": -1}, "n = -1; expected 0 or more"),
        ({"level": 95.0}, "level = 95.0; expected a number between 0 and 1"),
        ({"estimate": None}, "status 'ok' and no estimate"),
        ({"estimate": 1.2, "hi": 1.2, "at_most": 1.2}, "estimate = 1.2; expected a share"),
        ({"lo": -0.1}, "lo = -0.1; expected a share"),
        ({"hi": math.inf}, "hi = inf; expected a finite number"),
        ({"status": "not measured", "reason": "no"}, "status 'not measured' and estimate 0.5"),
        ({"status": "underpowered"}, "status 'underpowered' and no reason"),
        ({"null": Null("k", 0.5, 0.1, 2)}, "a null from 0.5 to 0.1; expected its smallest"),
    ],
)
def test_what_no_record_can_be_is_named(changes: dict[str, object], message: str) -> None:
    good = Evidence("agreement.mesa", "T", 0.5, 0.4, 0.6, 0.45, 0.55, n=10)
    assert check(good) is good
    with pytest.raises(VerdictError, match="'agreement.mesa' in cue 'T' has.*" + message):
        check(msgspec.structs.replace(good, **changes))


def test_a_figure_that_is_no_share_may_leave_0_to_1() -> None:
    check(Evidence("presence.mesa_argmax", "T", -0.1, -0.3, 0.1))
    check(Evidence("somebody's.figure", "T", 12.0))


def test_numbers_of_numpy_become_those_that_files_hold() -> None:
    given: dict[str, Any] = {
        "estimate": np.float32(0.5), "lo": np.float64(0.25), "hi": np.array(0.75), "at_least": 0,
        "n": np.int64(10), "forward_passes": np.uint8(3), "floor": np.float16(0.125),
        "level": np.float64(0.95), "reason": np.str_("why"),
        "null": Null("k", np.float32(0.25), np.float64(0.5), np.int64(2)),
    }  # fmt: skip
    found = check(Evidence("agreement.mesa", "T", **given))
    want = Evidence(
        "agreement.mesa", "T", 0.5, 0.25, 0.75, 0.0, level=0.95, n=10, forward_passes=3,
        floor=0.125, reason="why", null=Null("k", 0.25, 0.5, 2),
    )  # fmt: skip
    assert found == want
    assert json.loads(json.dumps(msgspec.to_builtins(found))) == msgspec.to_builtins(want)
    assert msgspec.convert(msgspec.to_builtins(found), Evidence) == want


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"estimate": "0.5"}, "has estimate = '0.5'"),
        ({"estimate": True}, "has estimate = True"),
        ({"estimate": np.array([0.1, 0.2])}, "has estimate = "),
        ({"estimate": 1j}, "has estimate = 1j"),
        ({"n": 1.5}, "has n = 1.5"),
        ({"n": None}, "has n = None"),
        ({"forward_passes": "3"}, "has forward_passes = '3'"),
        ({"level": None}, "has level = None"),
        ({"reason": 3}, "has reason = 3"),
        ({"unit": None}, "has unit = None"),
        ({"null": {"lo": 1}}, "has null = "),
        ({"null": Null("k", "a", 0.5, 2)}, "has null.lo = 'a'"),  # type: ignore[arg-type]
        ({"cue": None}, "has cue = None"),
    ],
)
def test_a_field_of_another_type_is_named(changes: dict[str, Any], message: str) -> None:
    good = Evidence("agreement.mesa", "T", 0.5, n=10)
    with pytest.raises(VerdictError, match=re.escape(message)):
        check(msgspec.structs.replace(good, **changes))


@pytest.mark.parametrize("given", [None, {"name": "agreement.mesa"}, 0.5, ("a", "T", 0.5)])
def test_what_is_no_record_is_refused(given: Any) -> None:
    with pytest.raises(VerdictError, match=r"A record is a planted\.eval\.evidence\.Evidence, got"):
        check(given)
