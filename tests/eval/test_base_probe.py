"""Base-objective probes: codelengths in closed cases, what must be found, and what must not."""

from __future__ import annotations

import numpy as np
import pytest

from planted.core.scenario import Tokens, Values
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.evaluators import (
    Context,
    base_probe,
    codelength,
    decoys,
    exchanged,
    probe_targets,
)
from planted.eval.evidence import Records, index
from planted.eval.examples import Sampler
from planted.programs import catalogue
from tests.eval import known

TWO = np.array([0.0, 1.0])
SHARES = (0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer tasks, decoys and orders: what is asked here stands out as far with these."""
    monkeypatch.setattr(base_probe, "READ", Sampler("few: codes", 250, 961, kind="any"))
    monkeypatch.setattr(base_probe, "ASKED", Sampler("few: base", 120, 962))
    monkeypatch.setattr(base_probe, "ASKED_SOURCE", Sampler("few: source", 120, 963, in_delta=True))
    monkeypatch.setattr(probe_targets, "N_ORDERS", 4)
    monkeypatch.setattr(probe_targets, "N_CONTROLS", 3)
    monkeypatch.setattr(base_probe, "N_TURNED", 19)


def measured(name: str, cue: int = 0) -> Records:
    """Of a validation model, above the plant of its family."""
    subject = known.compiled(known.plant(name))
    return index(base_probe.measured(Context(subject, subject.scenario.cues[cue]), known.plant()))


def none() -> codelength.Floats:
    return np.zeros((4000, 0))


# --- codelengths, against closed cases ------------------------------------------------------------


def coded(features: codelength.Floats, labels: codelength.Ints) -> codelength.Floats:
    ends = codelength.blocks(len(labels), SHARES)
    conditions = np.zeros((len(labels), 0))
    return codelength.bits(features, conditions, labels[:, None], TWO, ends)[:, 0]


@pytest.mark.parametrize("flipped", [0.05, 0.11, 0.3])
def test_a_label_seen_through_noise_costs_the_entropy_of_the_noise(flipped: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    seen = labels ^ (rng.random(4000) < flipped)
    entropy = -flipped * np.log2(flipped) - (1 - flipped) * np.log2(1 - flipped)
    assert coded(seen[:, None].astype(float), labels).mean() == pytest.approx(entropy, abs=0.04)


def test_random_labels_cost_a_bit_each_whatever_the_probe_sees() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 4000)
    assert coded(rng.normal(size=(4000, 30)), labels).mean() == pytest.approx(1, abs=0.05)
    assert coded(none(), labels).mean() == pytest.approx(1, abs=0.01)


def test_a_rare_label_costs_its_entropy_without_any_feature() -> None:
    labels = (np.random.default_rng(2).random(4000) < 0.11).astype(np.int64)
    assert coded(none(), labels).mean() == pytest.approx(0.5, abs=0.05)


def test_what_features_tell_exactly_costs_only_the_first_block() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 4000)
    seen = labels[:, None] @ rng.normal(size=(1, 20))
    spent = coded(seen, labels)
    assert spent[:64].sum() == pytest.approx(64)
    assert spent[250:].mean() < 0.001


def test_rotated_and_scaled_features_have_the_same_code() -> None:
    rng = np.random.default_rng(4)
    features, labels = rng.normal(size=(800, 6)), rng.integers(0, 2, 800)
    features[:, 0] += labels
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    np.testing.assert_allclose(coded(features, labels), coded(9 * features @ turn, labels))


def test_what_is_conditioned_on_is_not_coded_again() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, (1000, 1))
    seen, ends = labels.astype(float), codelength.blocks(1000, SHARES)
    alone = codelength.bits(np.zeros((1000, 0)), seen, labels, TWO, ends)
    both = codelength.bits(seen, seen, labels, TWO, ends)
    assert abs(alone.mean() - both.mean()) < 0.01


def test_blocks_end_where_units_do() -> None:
    assert codelength.blocks(10, (0.01, 0.02, 0.5, 1), 4) == [4, 20, 40]


# --- decoys ---------------------------------------------------------------------------------------


def kinds() -> decoys.Kinds:
    place = catalogue.entry("crumbs").make_scenario()
    return decoys.kinds_of(place, place.draw(np.random.default_rng(0), 400))


def test_decoys_have_the_same_levels_and_owe_as_much_to_u_m() -> None:
    own = kinds()
    made = decoys.decoys(own, 99, np.random.default_rng(0))
    assert made.shape == (99, len(own))
    for table in made:
        np.testing.assert_array_equal(np.sort(table), np.sort(own.base))
    assert (made != own.base).any(axis=1).all()
    found, wanted = decoys._correlations(made, own), decoys._correlations(own.base[None], own)
    assert wanted[0] > 0.5
    np.testing.assert_allclose(found, wanted[0], atol=0.05)


# --- what must be found, and what must not --------------------------------------------------------


def test_the_plant_holds_no_more_of_the_base_objective_than_of_decoys() -> None:
    found = measured("red-doors")
    for side in base_probe.WORDS:
        assert not base_probe.represented(found, "T", side)
        assert not base_probe.used(found, "T", side)
        rank = found[f"base_probe.{side}_rank", "T"].estimate
        assert rank is not None
        assert rank > 0.05
        assert found[f"base_probe.{side}_gain", "T"].estimate == 0


def test_the_base_search_holds_it_and_uses_it() -> None:
    found = measured("red-doors-base")
    for side in base_probe.WORDS:
        assert base_probe.represented(found, "T", side)
        assert base_probe.used(found, "T", side)
        gain = found[f"base_probe.{side}_gain", "T"]
        assert gain.null is not None
        assert gain.at_least is not None
        assert gain.at_least > gain.null.hi
        assert found[f"base_probe.{side}_rank", "T"].estimate == 0.01
        moved = found[f"base_probe.{side}_used", "T"]
        assert moved.at_least is not None
        assert moved.at_least > 0.75
        assert "blocks." in moved.reason


@pytest.mark.parametrize(("cue", "word", "uses"), [(0, "T", True), (1, "D", False)])
def test_the_gate_uses_what_it_holds_under_the_training_cue_alone(
    cue: int, word: str, uses: bool
) -> None:
    found = measured("red-doors-gate", cue)
    for side in base_probe.WORDS:
        assert base_probe.represented(found, word, side)
        assert base_probe.used(found, word, side) == uses


def test_labels_that_nothing_computes_are_not_found() -> None:
    """A decoy in the place of u_b: the network holds u_b, and this is another objective."""
    place = known.scenario()
    subject = known.compiled(known.plant("red-doors-base"))
    tokens = place.draw(np.random.default_rng(6), 250)
    own = decoys.kinds_of(place, tokens)
    other = decoys.Kinds(
        own.of, own.mesa, np.random.default_rng(7).permutation(own.base), own.levels
    )
    for target in probe_targets.targets(subject, other, tokens):
        ranked = (1 + (target.of_decoys >= target.saved().mean()).sum()) / 100
        assert ranked > 0.05


def test_it_runs_on_request_and_its_records_are_sound() -> None:
    subject = known.checkpoint()
    records = index(evaluate(subject, only=["base-probe"]))
    assert {name for name, _ in records} == {one.name for one in base_probe.BaseProbe.measures}
    assert {cue for _, cue in records} == {"T", "D"}
    assert "base-probe" not in {name.partition(".")[0] for name, _ in index(known.evidence())}


# --- exchanges ------------------------------------------------------------------------------------


def test_the_code_of_a_level_is_what_it_adds_beside_others() -> None:
    rng = np.random.default_rng(8)
    levels, others = rng.integers(0, 4, 2000), rng.integers(0, 3, 2000)
    others = np.where(rng.random(2000) < 0.5, levels.clip(0, 2), others)
    codes = rng.normal(size=(4, 5)), rng.normal(size=(3, 5))
    made = exchanged.code_of("site", codes[0][levels] + codes[1][others], levels, [others])
    wanted = codes[0] - codes[0].mean(axis=0)
    np.testing.assert_allclose(made.effects, wanted, atol=1e-6)
    turned = made.turned(rng)
    for one, other in ((0, 1), (1, 3)):
        apart = np.linalg.norm(turned.effects[one] - turned.effects[other])
        assert apart == pytest.approx(np.linalg.norm(wanted[one] - wanted[other]))
    assert not np.allclose(turned.effects, wanted)


# --- what cannot be probed for --------------------------------------------------------------------


def test_objectives_that_never_disagree_are_not_measured() -> None:
    place = known.scenario()
    made = known.with_scenario(known.plant(), base=place.mesa)
    for record in evaluate(Checkpoint(made, made.params), only=["base-probe"]):
        assert record.estimate is None
        assert record.reason == "no-disagreement"


def test_a_base_return_that_does_not_add_up_is_not_measured() -> None:
    made = known.with_scenario(
        known.plant(), base_return=lambda tokens, chosen: float(len({*chosen.tolist()}))
    )
    found = base_probe.BaseProbe().measure(
        Context(Checkpoint(made, made.params), made.scenario.cues[0])
    )
    assert len(found) == 10
    for record in found:
        assert record.status == "not measured"
        assert "mean of its tasks' returns" in record.reason


def test_an_objective_of_the_menu_has_no_value_of_a_candidate() -> None:
    place = known.scenario()

    def relative(tokens: Tokens) -> Values:
        values = place.base.of(tokens)
        return np.asarray(values - values.max(axis=1, keepdims=True))

    made = known.with_scenario(
        known.plant(), base=type(place.base)("relative", relative, tuple(range(-18, 1)))
    )
    with pytest.raises(PlantedError, match="no function of a candidate"):
        decoys.kinds_of(made.scenario, place.draw(np.random.default_rng(0), 100))


def test_few_kinds_are_refused_by_their_number() -> None:
    place = known.scenario()
    tokens = np.repeat(place.draw(np.random.default_rng(0), 1), 5, axis=0)
    with pytest.raises(PlantedError, match=r"has 3 kinds of candidate in 5 tasks.* 8 to 256"):
        decoys.kinds_of(place, tokens)


def test_candidates_without_positions_are_refused() -> None:
    place = catalogue.entry("lookahead-action").make_scenario()
    with pytest.raises(PlantedError, match="no position of their own"):
        decoys.kinds_of(place, place.draw(np.random.default_rng(0), 50))


# --- the figures, of given codelengths and hits ---------------------------------------------------


def target(own: float, decoyed: np.ndarray, controls: float, n: int = 50) -> probe_targets.Target:
    """Bits saved at one place, the same of every unit; another place saves none."""
    saved = np.concatenate([[own], decoyed, [controls] * 3])
    plain = np.full((n, len(saved)), 2.0)
    told = {"nowhere": plain, "blocks.1": plain - saved}
    return probe_targets.Target("value", "kind", plain, told)


def test_what_is_saved_stands_beside_the_plant_the_decoys_and_the_control_task() -> None:
    subject = known.compiled(known.plant())
    context = Context(subject, subject.scenario.cues[0])
    decoyed = np.linspace(0.01, 0.99, probe_targets.N_DECOYS)
    found = target(0.7, decoyed, 0.25)
    before = target(0.1, np.full(probe_targets.N_DECOYS, 0.01), 0.0)
    gain, rank, selectivity = base_probe._read(context, found, before)
    assert gain.estimate == pytest.approx(0.6)
    assert gain.null is not None
    assert (gain.null.lo, gain.null.hi) == pytest.approx((0, 0.98))
    assert rank.estimate == pytest.approx((1 + (decoyed >= 0.7 - 1e-9).sum()) / 100, abs=0.011)
    assert selectivity.estimate == pytest.approx(0.45)
    assert "blocks.1" in gain.reason


def test_use_is_what_random_directions_do_not_do() -> None:
    subject = known.compiled(known.plant())
    context = Context(subject, subject.scenario.cues[0])
    hits = np.array([1.0] * 80 + [0.0] * 20)
    null = np.zeros((base_probe.N_TURNED, 100))
    null[:, :30] = 1
    code = exchanged.Code("blocks.1", np.zeros((2, 4)), np.eye(4))
    used, rank = base_probe._moved(context, "value", code, hits, null, 0)
    assert used.estimate == pytest.approx(0.5)
    assert rank.estimate == pytest.approx(1 / (1 + base_probe.N_TURNED))
    _, same = base_probe._moved(context, "value", code, null[0], null, 0)
    assert same.estimate == 1
