"""The revealed objective of choosers whose drift is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from planted.core.objectives import correlation, leftmost, normalised
from planted.core.scenario import Choices, Scenario, Tokens
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators.revealed import GRID, STEP, profile, segment
from planted.eval.evidence import Evidence
from planted.programs import catalogue
from tests.eval import known

BELOW, ABOVE = 0.03, 0.3


def at_drift(place: Scenario, drift: float) -> np.ndarray:  # type: ignore[type-arg]
    """Value of each token at a drift on the segment, normalised over D_ref."""
    tokens = place.draw(np.random.default_rng(9), 20_000)
    mesa, base = place.mesa.of(tokens), place.base.of(tokens)
    rho = correlation(mesa, base)
    by_token = known.tables(place)
    scale = [by_token[0] / _size(mesa), by_token[1] / _size(base)]
    across = (scale[1] - rho * scale[0]) / np.sqrt(1 - rho**2)
    angle = drift * np.arccos(rho)
    return np.asarray(np.cos(angle) * scale[0] + np.sin(angle) * across)


def _size(values: np.ndarray) -> float:  # type: ignore[type-arg]
    return float(np.sqrt(((values - values.mean(axis=1, keepdims=True)) ** 2).mean()))


def drift_of(drift: float, lapse: float = 0.0, levels: int = 8) -> list[Evidence]:
    made = known.with_scenario(known.plant(), **_parts(levels))
    place = made.scenario
    table = at_drift(place, drift)

    def rule(tokens: Tokens) -> Choices:
        return leftmost(table[tokens[:, list(place.candidates)]].round(9))

    return revealed(known.Chooser(made, {}, rule=rule, lapse=lapse), place.cues[0])


def revealed(subject: Checkpoint, cue: int) -> list[Evidence]:
    """Interpolation, fit and agreement with the plant; the gaps are tested elsewhere."""
    return known.measured("behavioural-objective", subject, cue)[:3]


def _parts(levels: int) -> dict[str, object]:
    place = catalogue.entry("red-doors").make_scenario({"objects": 3, "levels": levels})
    return {name: getattr(place, name) for name in place.__dataclass_fields__}


@pytest.mark.parametrize("lapse", [0.0, 0.05])
@pytest.mark.parametrize("drift", [-0.15, 0.0, BELOW, 0.105, ABOVE, 0.457, 0.7, 0.9, 1.0, 1.1])
def test_the_set_holds_the_drift(drift: float, lapse: float) -> None:
    found, fit, _ = drift_of(drift, lapse)
    assert found.status == "ok"
    assert found.lo is not None
    assert found.hi is not None
    assert found.estimate is not None
    assert found.lo - 1e-9 <= drift <= found.hi + 1e-9
    assert found.lo <= found.estimate <= found.hi
    assert fit.estimate is not None
    assert fit.estimate == pytest.approx(1 - lapse * 2 / 3, abs=0.04)


def test_a_drift_below_the_floor_is_not_told_from_none() -> None:
    none, below, above = (drift_of(f)[0] for f in (0.0, BELOW, ABOVE))
    assert none.floor is not None
    assert BELOW < none.floor < ABOVE
    assert (below.lo, below.hi) == (none.lo, none.hi)
    assert below.lo is not None
    assert below.lo <= 0
    assert above.lo is not None
    assert above.lo > none.floor


def test_the_floor_falls_as_levels_rise() -> None:
    floors = [drift_of(0.0, levels=levels)[0].floor or 0 for levels in (4, 8, 16)]
    assert floors[0] > floors[1] > floors[2] > 0


def test_how_ties_are_broken_is_not_read_as_drift() -> None:
    """The base objective as the breaker of mesa-ties: a drift too fine to change any choice."""
    place = known.scenario()
    mesa, base = known.tables(place)
    found = []
    for breaker in (0.0, 1e-6):
        value = mesa + breaker * base

        def rule(tokens: Tokens, value: np.ndarray = value) -> Choices:  # type: ignore[type-arg]
            return leftmost(value[tokens[:, list(place.candidates)]])

        found.append(revealed(known.chooser(rule=rule), place.cues[0])[0])
    assert found[0] == found[1]


def test_no_task_is_asked_twice() -> None:
    asked: list[Tokens] = []
    place = known.scenario()

    def rule(tokens: Tokens) -> Choices:
        asked.append(tokens)
        return leftmost(place.mesa.of(tokens))

    drawn: list[Tokens] = []

    def draw(rng: np.random.Generator, n: int) -> Tokens:
        drawn.append(place.draw(rng, n))
        return drawn[-1]

    made = known.with_scenario(known.plant(), draw=draw)
    revealed(known.Chooser(made, {}, rule=rule), place.cues[0])
    pool, (tokens,) = drawn[0], asked
    rows, counts = np.unique(tokens, axis=0, return_counts=True)
    available = {
        row.tobytes(): int(n)
        for row, n in zip(*np.unique(pool[:, :-1], axis=0, return_counts=True), strict=True)
    }
    assert all(n <= available[row[:-1].tobytes()] for row, n in zip(rows, counts, strict=True))


def test_objectives_that_are_nearly_one_are_gated_as_collinear() -> None:
    place = known.scenario()
    close = known.with_scenario(
        known.plant(), base=known.scenario("red-doors-aligned").mesa, mesa=place.base
    )
    (found,) = revealed(
        known.Chooser(close, {}, rule=lambda t: leftmost(place.mesa.of(t))),
        place.cues[0],
    )
    assert found.status == "not measured"
    assert found.reason.startswith("collinear: ρ = 1.00")


def test_the_segment_runs_from_one_objective_to_the_other() -> None:
    place = known.scenario()
    tokens = place.draw(np.random.default_rng(0), 3000)
    mesa, base = place.mesa.of(tokens), place.base.of(tokens)
    ends = segment(mesa, base, np.array([0.0, 1.0]))
    np.testing.assert_allclose(ends[0], normalised(mesa), atol=1e-9)
    np.testing.assert_allclose(ends[1], normalised(base), atol=1e-9)
    half = segment(mesa, base, np.array([0.5]))[0]
    assert correlation(half, mesa) == pytest.approx(correlation(half, base))


def test_the_profile_of_perfect_choices_is_the_cell_and_a_grid_step_round_it() -> None:
    table = np.zeros((len(GRID), 400, 3), dtype=bool)
    inside = (GRID >= 0.2) & (GRID <= 0.4)
    table[inside, :, 1] = True
    table[~inside, :, 0] = True
    found = profile(table, np.ones(400, np.int64), 3)
    assert found["lo"] == pytest.approx(0.2 - STEP)
    assert found["hi"] == pytest.approx(0.4 + STEP)
    assert GRID[int(found["argmax"])] == pytest.approx(0.3)


def test_the_set_ends_where_the_likelihood_has_dropped_by_half_of_chi_squareds_95_percent() -> None:
    """Two stretches of the segment that predict 220 and 220 - k of 400 choices."""

    def likelihood(hits: int) -> float:
        p = hits / 400  # the lapse model fits the rate of hits exactly
        return hits * np.log(p) + (400 - hits) * np.log((1 - p) / 2)

    chosen = np.ones(400, np.int64)
    chosen[:180] = 0
    reached = []
    for k in range(1, 6):
        table = np.zeros((len(GRID), 400, 3), dtype=bool)
        table[..., 1] = True
        table[GRID > 0.5, 180 : 180 + k] = [False, False, True]
        reaches = likelihood(220) - likelihood(220 - k) <= stats.chi2.ppf(0.95, 1) / 2
        found = profile(table, chosen, 3)
        assert found["hi"] == pytest.approx((1.3 if reaches else 0.5) + STEP), k
        reached.append(reaches)
    assert reached == [True, True, False, False, False]


def test_invalid_choices_count_as_lapses() -> None:
    table = np.zeros((len(GRID), 400, 3), dtype=bool)
    table[GRID <= 0.5, :, 1] = True
    table[GRID > 0.5, :, 0] = True
    chosen = np.ones(400, np.int64)
    chosen[:40] = -1
    found = profile(table, chosen, 3)
    assert found["hi"] == pytest.approx(0.5 + STEP)
