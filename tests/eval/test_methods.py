"""The task of locating an objective: pairs, components, metrics, built-in methods and nulls."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import planted
from planted.cli.app import main
from planted.core.objectives import leftmost
from planted.errors import MethodError, PlantedError
from planted.eval.methods import builtin, locate, measure
from planted.library import get
from planted.network.model import Network
from planted.network.surgery import start_anew

DOORS, SMALL, TWIN = "red-doors@1", "red-doors-small@1", "red-doors-small-table@1"
UNITS = ("blocks.0.attn.hook_result.0", "blocks.0.hook_mlp_out")


def network(plant):
    return Network(plant.params, plant.spec)


class TestPairs:
    @pytest.mark.parametrize("name", [DOORS, SMALL])
    def test_one_candidate_and_the_winner_differ(self, name):
        plant = get(name)
        tokens, other = locate.draw_pairs(plant.scenario, 200, 3)
        assert tokens.shape == other.shape == (200, plant.scenario.n_positions)
        changed = tokens != other
        assert (changed.sum(axis=1) == 1).all()
        assert set(np.nonzero(changed)[1]) == set(plant.scenario.candidates)
        before, after = (network(plant)(side).argmax(axis=1) for side in (tokens, other))
        np.testing.assert_array_equal(before, leftmost(plant.scenario.mesa.of(tokens)))
        assert (before != after).all()

    def test_both_ways_of_changing_the_winner_occur(self):
        scenario = get(DOORS).scenario
        tokens, other = locate.draw_pairs(scenario, 200, 0)
        slot = (tokens != other)[:, list(scenario.candidates)].argmax(axis=1)
        lost = slot == leftmost(scenario.mesa.of(tokens))
        won = slot == leftmost(scenario.mesa.of(other))
        assert (lost | won).all()
        assert 40 < lost.sum() < 160

    def test_the_seed_decides(self):
        scenario = get(DOORS).scenario
        one, same, other = (locate.draw_pairs(scenario, 20, seed) for seed in (5, 5, 6))
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_a_scenario_without_such_pairs_is_refused(self):
        scenario = get(SMALL).scenario
        # Not replace(): its sampler draws one and the same task.
        single = type(scenario)(
            **{**vars(scenario), "draw": lambda rng, n: np.tile([[0, 1, 1, 1, 9]], (n, 1))}
        )
        with pytest.raises(PlantedError, match="changed the winner in only 0 of"):
            locate.draw_pairs(single, 4, 0)


class TestTruth:
    def test_positive_is_the_score_at_every_candidate(self):
        plant = get(DOORS)
        found = locate.positives(plant)
        assert found.shape == (len(network(plant).components), 6)
        assert locate.compile_map(plant) == {
            f"blocks.0.hook_mlp_out@{position}": 1.0 for position in (1, 2, 3, 4)
        }
        assert found.sum() == 4

    def test_a_twin_has_no_positive_and_the_same_units(self):
        plant, twin = get(SMALL), get(TWIN)
        assert not locate.positives(twin).any()
        assert locate.components_of(plant) == locate.components_of(twin)
        measure.check_twin(plant, twin)

    def test_what_is_no_twin_is_refused(self):
        with pytest.raises(PlantedError, match="is no twin of"):
            measure.check_twin(get(SMALL), get(DOORS))
        with pytest.raises(PlantedError, match="is no twin of"):
            measure.check_twin(get(SMALL), get(SMALL))

    def test_what_a_unit_writes_is_named(self):
        assert "score (score)" in locate.written_by(get(DOORS), "blocks.0.hook_mlp_out@2")
        assert locate.written_by(get(DOORS), "blocks.0.hook_mlp_out@0") == "nothing"
        assert locate.written_by(get(TWIN), "blocks.2.hook_mlp_out@2") == "nothing"


class TestKeys:
    def read(self, returned):
        return locate.read_scores(returned, UNITS, 3, "mine")

    def test_a_site_counts_for_all_positions_and_a_position_wins(self):
        found = self.read({"blocks.0.hook_mlp_out@1": 5, "blocks.0.hook_mlp_out": 2.0})
        np.testing.assert_array_equal(found, [[0, 0, 0], [2, 5, 2]])

    def test_numbers_of_every_kind_are_read(self):
        values = [1, 2.5, True, np.float32(3), np.int64(4), np.array(5.0)]
        for value in values:
            assert self.read({UNITS[0] + "@0": value})[0, 0] == float(value)
        assert self.read({}).sum() == 0

    @pytest.mark.torch
    def test_a_tensor_of_one_number_is_read(self):
        torch = pytest.importorskip("torch")
        value = torch.tensor(1.5, requires_grad=True)
        assert self.read({UNITS[0] + "@2": value})[0, 2] == 1.5

    @pytest.mark.parametrize(
        "key",
        [
            "blocks.0.hook_mlp",
            "blocks.9.hook_mlp_out",
            "blocks.0.attn.hook_result",
            "blocks.0.attn.hook_result.1",
            "blocks.0.hook_resid_post",
            "blocks.0.hook_mlp_out@3",
            "blocks.0.hook_mlp_out@-1",
            "blocks.0.hook_mlp_out@",
            "blocks.0.hook_mlp_out@one",
            "blocks.0.hook_mlp_out@²",
            "",
            3,
            ("blocks.0.hook_mlp_out", 1),
        ],
    )
    def test_a_wrong_key_is_named_beside_a_right_one(self, key):
        with pytest.raises(MethodError) as caught:
            self.read({key: 1.0})
        assert repr(key) in str(caught.value)
        assert "'blocks.0.attn.hook_result.0@2'" in str(caught.value)

    @pytest.mark.parametrize(
        "value",
        [np.nan, np.inf, -np.inf, "1.0", None, 1j, [1.0], np.array([1.0]), np.array(np.nan)],
    )
    def test_a_wrong_value_is_named_with_its_key(self, value):
        with pytest.raises(MethodError, match=r"for 'blocks\.0\.hook_mlp_out@1': scores are fin"):
            self.read({"blocks.0.hook_mlp_out@1": value})

    @pytest.mark.parametrize("returned", [None, [("a", 1)], 3.0, "blocks.0.hook_mlp_out"])
    def test_anything_but_a_dict_is_refused(self, returned):
        with pytest.raises(MethodError, match=f"returned {type(returned).__name__}, not a dict"):
            self.read(returned)


scored = st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=40).filter(
    lambda pairs: len({truth for _, truth in pairs}) == 2
)


class TestMetrics:
    @settings(deadline=None)  # the first example imports scikit-learn
    @given(scored)
    def test_auroc_is_scikit_learns_with_ties(self, pairs):
        from sklearn.metrics import roc_auc_score

        scores, truth = zip(*pairs, strict=True)
        assert locate.auroc(scores, truth) == pytest.approx(roc_auc_score(truth, scores))

    @given(scored, st.randoms(use_true_random=False))
    def test_the_order_of_units_does_not_matter(self, pairs, random):
        shuffled = random.sample(pairs, len(pairs))
        one, other = (zip(*some, strict=True) for some in (pairs, shuffled))
        (a, b), (c, d) = one, other
        assert locate.auroc(a, b) == pytest.approx(locate.auroc(c, d))
        assert locate.precision_at_k(a, b) == pytest.approx(locate.precision_at_k(c, d))

    @given(scored)
    def test_negated_scores_turn_the_curve(self, pairs):
        scores, truth = map(np.array, zip(*pairs, strict=True))
        assert locate.auroc(-scores, truth) == pytest.approx(1 - locate.auroc(scores, truth))

    @given(scored)
    def test_precision_is_the_mean_over_orders_of_ties(self, pairs):
        scores, truth = map(np.array, zip(*pairs, strict=True))
        rng, k = np.random.default_rng(0), int(truth.sum())
        noisy = scores + rng.random((4000, len(scores))) / 2
        top = np.argpartition(-noisy, k - 1, axis=1)[:, :k]
        assert locate.precision_at_k(scores, truth) == pytest.approx(truth[top].mean(), abs=0.05)

    def test_by_hand(self):
        assert locate.metrics(np.array([[3.0, 2], [1, 0]]), np.eye(2, dtype=bool)) == (0.5, 0.5)
        assert locate.metrics(np.array([[3.0, 1], [1, 0]]), np.eye(2, dtype=bool)) == (0.5, 0.5)
        assert locate.metrics(np.eye(2), np.eye(2, dtype=bool)) == (1.0, 1.0)
        assert locate.metrics(np.zeros((2, 4)), np.eye(2, 4, dtype=bool)) == (0.5, 0.25)

    def test_a_random_ranking_is_worth_a_half(self):
        truth = locate.positives(get(DOORS))
        found = [
            locate.metrics(builtin.random_scores(truth.shape, [seed]), truth)
            for seed in range(2000)
        ]
        auroc, precision = np.mean(found, axis=0)
        assert auroc == pytest.approx(0.5, abs=0.01)
        assert precision == pytest.approx(truth.mean(), abs=0.01)


class TestPatching:
    @pytest.mark.parametrize("fresh", [False, True])
    def test_it_is_what_one_hook_at_a_time_gives(self, fresh):
        plant = get(SMALL, "rotated")
        params = start_anew(plant.params, 1) if fresh else plant.params
        net, scenario = Network(params, plant.spec), plant.scenario
        pairs = locate.draw_pairs(scenario, 6, 0)
        fast = locate.read_scores(
            builtin.exact_patching(scenario)(net, *pairs), net.components, 5, "fast"
        )
        slow = np.zeros_like(fast)
        whole = 0.0
        for clean, source in (pairs, pairs[::-1]):
            first, second = (leftmost(scenario.mesa.of(side)) for side in (clean, source))
            rows = np.arange(len(clean))
            logits = [net(clean), net(source)]
            gap, donor_gap = (x[rows, first] - x[rows, second] for x in logits)
            whole += np.abs(donor_gap - gap).sum()
            for i, component in enumerate(net.components):
                site, _, head = (
                    component.rpartition(".") if component[-1].isdigit() else (component, "", "")
                )
                _, cache = net.run_with_cache(source, [site])
                for position in range(5):
                    at = (slice(None), position, *([int(head)] if head else []))

                    def patch(value, at=at, given=cache[site]):
                        value = value.copy()
                        value[at] = given[at]
                        return value

                    moved = net.run_with_hooks(clean, {site: patch})
                    moved = moved[rows, first] - moved[rows, second] - gap
                    slow[i, position] += np.abs(moved).sum()
        np.testing.assert_allclose(fast, slow / whole, atol=2e-3)

    def test_a_unit_through_which_all_goes_scores_one_and_a_dead_one_nothing(self):
        plant = get(DOORS)
        pairs = locate.draw_pairs(plant.scenario, 32, 0)
        found = builtin.exact_patching(plant.scenario)(network(plant), *pairs)
        assert found["blocks.5.attn.hook_result.0@5"] == pytest.approx(1, abs=1e-3)
        assert found.get("blocks.0.hook_mlp_out@0", 0.0) == 0
        assert found.get("blocks.5.hook_mlp_out@5", 0.0) == 0
        # The score is the only way for a candidate's change to go on.
        score = sum(found[f"blocks.0.hook_mlp_out@{position}"] for position in (1, 2, 3, 4))
        assert score == pytest.approx(1, abs=1e-3)

    def test_a_network_that_ignores_its_input_scores_nothing(self):
        plant = get(DOORS)
        params = {name: np.zeros_like(value) for name, value in plant.params.items()}
        pairs = locate.draw_pairs(plant.scenario, 8, 0)
        assert builtin.exact_patching(plant.scenario)(Network(params, plant.spec), *pairs) == {}

    def test_a_subspace_of_full_rank_is_exact_patching_and_of_rank_one_carries_less(self):
        plant = get(DOORS)
        pairs = locate.draw_pairs(plant.scenario, 16, 0)
        exact, full, thin = (
            locate.read_scores(method(network(plant), *pairs), network(plant).components, 6, "")
            for method in (
                builtin.exact_patching(plant.scenario),
                builtin.matched_rank(plant.scenario, 84, [0]),
                builtin.matched_rank(plant.scenario, 1, [0]),
            )
        )
        np.testing.assert_allclose(exact, full, atol=1e-3)
        assert thin.sum() < 0.5 * exact.sum()


class TestProbe:
    @pytest.mark.parametrize("rank", [0, 3, 30])
    def test_it_is_scikit_learns_ridge(self, rank):
        from sklearn.linear_model import Ridge
        from sklearn.metrics import r2_score
        from sklearn.model_selection import PredefinedSplit, cross_val_predict

        rng = np.random.default_rng(rank)
        features = rng.normal(size=(60, max(rank, 1))) @ rng.normal(size=(max(rank, 1), 20))
        labels = features[:, 0] * (rank > 0) + rng.normal(size=60)
        fold = np.arange(60) % 5
        read = cross_val_predict(
            Ridge(alpha=1.0), features / features.std(axis=0), labels, cv=PredefinedSplit(fold)
        )
        wanted = max(0.0, r2_score(labels, read))
        assert builtin.read_off(features, labels, fold) == pytest.approx(wanted, abs=1e-9)

    def test_nothing_is_read_off_what_does_not_vary(self):
        fold = np.arange(10) % 5
        assert builtin.read_off(np.ones((10, 4)), np.arange(10.0), fold) == 0
        assert builtin.read_off(np.zeros((10, 0)), np.arange(10.0), fold) == 0
        assert builtin.read_off(np.eye(10), np.ones(10), fold) == 0

    def test_it_reads_the_score_and_fires_on_a_random_network_too(self):
        plant = get(SMALL)
        pairs = locate.draw_pairs(plant.scenario, 64, 0)
        probe = builtin.linear_probe(plant.scenario)
        assert probe(network(plant), *pairs)["blocks.0.hook_mlp_out@1"] > 0.99
        random = Network(start_anew(plant.params, 0), plant.spec)
        assert probe(random, *pairs)["blocks.0.hook_mlp_out@1"] > 0.9


@pytest.mark.torch
@pytest.mark.parametrize("name", builtin.BUILTIN)
@pytest.mark.parametrize("tier", ["exact", "rotated"])
def test_a_built_in_gives_the_same_by_torch(name, tier):
    torch = pytest.importorskip("torch")
    plant = get(SMALL, tier)
    pairs = locate.draw_pairs(plant.scenario, 8, 0)
    method = builtin.BUILTIN[name](plant.scenario)
    one = method(measure.module_of(plant.params, plant.spec, "numpy"), *pairs)
    tensors = [torch.from_numpy(side) for side in pairs]
    assert one == method(measure.module_of(plant.params, plant.spec, "torch"), *tensors)


def test_what_is_within_rounding_is_no_change_at_any_scale() -> None:
    logits = np.array([[3.0, -1.0], [0.5, 0.0]])
    change = np.array([[2e-5, 0.1], [-4e-5, 0.0]])
    for scale in (1.0, 1e-6, 1e6):
        kept = builtin.beyond_rounding(scale * change, scale * logits)
        np.testing.assert_array_equal(kept != 0, [[False, True], [True, False]])
        np.testing.assert_array_equal(kept[kept != 0], (scale * change)[kept != 0])


def test_where_the_score_is_depends_on_no_intervention() -> None:
    for intervention in ("mean", "zero", "data-flow"):
        with pytest.raises(PlantedError, match=f"intervention='{intervention}' is of task='edges'"):
            planted.score("exact-patching", intervention=intervention)


class TestSelfTestAndTheTwin:
    def test_a_twin_that_was_tested_is_passed_without_a_word(self):
        found = planted.selftest("linear-probe", model=SMALL, runtime="numpy")
        assert found.passed
        assert found.undecided == found.untested == ()
        assert str(found).splitlines()[-2:] == ["", "linear-probe: passed"]

    def test_what_ran_out_of_time_is_undecided(self):
        found = planted.selftest("linear-probe", model=SMALL, runtime="numpy", budget_s=0.01)
        assert not found
        assert found.failed == ()
        (reason,) = found.undecided
        assert "time for 8 re-initialised networks, and 20 are needed" in reason
        assert str(found).splitlines()[-2:] == ["linear-probe: undecided", f"- {reason}"]

    def test_what_failed_has_failed_whether_or_not_the_twin_is_undecided(self):
        def nothing(module, tokens, counterfactual):
            return {}

        found = planted.selftest(nothing, model=SMALL, runtime="numpy", budget_s=0.01)
        assert found.failed
        assert found.undecided
        assert "nothing: FAILED" in str(found).splitlines()

    def test_a_plant_without_a_twin_says_so(self):
        found = planted.selftest("linear-probe", model=DOORS, runtime="numpy")
        assert found.passed
        (reason,) = found.untested
        assert reason.startswith("red-doors@1 (exact) has no twin")
        assert str(found).splitlines()[-2:] == [reason, "linear-probe: passed"]

    def test_the_command_does_not_pass_what_is_undecided(self):
        result = CliRunner().invoke(main, ["selftest", "linear-probe", "--budget-s", "0.01"])
        assert result.exit_code == 1
        assert "linear-probe: undecided" in result.stdout
