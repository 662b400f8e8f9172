"""Scoring a method: the table beside its nulls, the twin, what a user's function may be."""

from __future__ import annotations

import functools
import importlib.util
import io
import json

import numpy as np
import pytest

import planted
from planted import library, scoring
from planted.errors import MethodError, PlantedError, UnknownNameError, VerdictError
from planted.eval.methods import board, builtin, locate, measure
from planted.library import get
from planted.network.model import Network

SMALL, TWIN = "red-doors-small@1", "red-doors-small-table@1"
LITTLE = {"runtime": "numpy", "n_pairs": 8, "n_redraws": 3, "n_reinits": 20}
needs_torch = [
    pytest.mark.torch,
    pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed"),
]


def truth(module, tokens, counterfactual):
    """The compile map of the development plants, or nothing: knows them by heart."""
    plant = next(get(n) for n in scoring.DEV if get(n).scenario.n_positions == tokens.shape[1])
    return locate.compile_map(plant)


def constant(module, tokens, counterfactual):
    return dict.fromkeys(module.components, 1e9)


def activity(module, tokens, counterfactual):
    """How far each MLP's output moves from a task to its counterfactual."""
    names = [component for component in module.components if component.endswith("mlp_out")]
    clean, other = (module.run_with_cache(side, names)[1] for side in (tokens, counterfactual))
    return {
        f"{name}@{position}": abs(clean[name] - other[name])[:, position].mean().item()
        for name in names
        for position in range(tokens.shape[1])
    }


@functools.cache
def scored(method=activity, **more):
    return planted.score(method, **{**LITTLE, **more})


def rows_of(table, metric="auroc", tier="mean"):
    return {r["model"]: r for r in table.rows if (r["metric"], r["tier"]) == (metric, tier)}


class TestFigures:
    @pytest.mark.parametrize("metric", ["auroc", "precision"])
    def test_the_compile_map_scores_one_everywhere(self, metric):
        for tier in ("mean", "exact", "tempered", "rotated"):
            for row in rows_of(scored(truth), metric, tier).values():
                assert (row["yours"], row["yours_lo"], row["yours_hi"]) == (1, 1, 1)
                assert row["exact"] == 1
        assert all(f.kind == "twin" for f in scored(truth).failures())

    def test_a_constant_scores_a_half(self):
        for name, row in rows_of(scored(constant)).items():
            assert row["yours"] == row["re_init"] == 0.5
            share = locate.positives(get(name)).mean()
            assert rows_of(scored(constant), "precision")[name]["yours"] == pytest.approx(share)

    def test_exchanging_units_ruins_the_score(self):
        def exchanged(module, tokens, counterfactual):
            found = truth(module, tokens, counterfactual)
            wrong = [
                component for component in module.components if component != "blocks.0.hook_mlp_out"
            ]
            return {f"{wrong[0]}@{key.rpartition('@')[2]}": value for key, value in found.items()}

        assert rows_of(scored(exchanged))[SMALL]["yours"] < 0.5

    def test_an_absent_unit_is_worth_nothing(self):
        assert rows_of(scored(lambda *_: {}, models=SMALL))[SMALL]["yours"] == 0.5

    def test_the_mean_is_over_tiers_and_the_interval_over_redraws(self):
        table = scored()
        for name, row in rows_of(table).items():
            cells = [cell for cell in table.cells if cell.plant.name == name]
            assert [cell.plant.tier for cell in cells] == ["exact", "tempered", "rotated"]
            by_redraw = np.mean([[m.auroc for m in cell.yours] for cell in cells], axis=0)
            assert row["yours"] == pytest.approx(by_redraw.mean())
            assert row["yours_lo"] == pytest.approx(np.quantile(by_redraw, 0.025))
            assert row["yours_hi"] == pytest.approx(np.quantile(by_redraw, 0.975))

    def test_the_same_request_gives_the_same_bytes_and_another_seed_others(self):
        one = scored("exact-patching", models=SMALL)
        same = planted.score("exact-patching", models=SMALL, **LITTLE)
        other = planted.score("exact-patching", models=SMALL, seed=3, **LITTLE)
        assert one.to_json() == same.to_json() != other.to_json()
        assert json.loads(one.to_json())["rows"] == one.rows

    def test_calls_are_counted(self):
        # 3 redraws x 3 tiers on the plant, with few pairs on it and on its twin; 3 networks for
        # the null and 20 for the threshold, in the two sets of shapes of the three tiers
        assert scored(models=SMALL).subject.calls == {SMALL: 3 * 3 * 3 + 2 * (3 + 20)}


class TestNulls:
    def test_they_are_where_they_belong(self):
        row = rows_of(scored("exact-patching", n_pairs=16))["red-doors@1"]
        assert row["re_init"] < min(row["matched_rank"], row["yours"])
        assert row["random_lo"] < 0.5

    def test_matched_rank_has_the_rank_of_the_score_node(self, monkeypatch):
        ranks = []
        inner = builtin.matched_rank

        def noted(scenario, rank, seed):
            ranks.append(rank)
            return inner(scenario, rank, seed)

        monkeypatch.setattr(builtin, "matched_rank", noted)
        planted.score(constant, tiers=["exact"], **LITTLE)
        assert ranks == [17, 5] * 3

    @pytest.mark.parametrize("null", measure.NEGATIVE_CONTROLS)
    def test_a_score_without_one_is_not_printed(self, null, monkeypatch):
        inner = measure.null_metrics

        def without(*args):
            return {name: found for name, found in inner(*args).items() if name != null}

        monkeypatch.setattr(measure, "null_metrics", without)
        with pytest.raises(VerdictError, match=f"without its nulls is not printed: {null} missing"):
            planted.score(constant, models=SMALL, tiers=["exact"], **LITTLE)

    @pytest.mark.parametrize("gone", ["twin_largest", "fresh_largest", "exact"])
    def test_nor_is_one_without_its_twin_or_its_ceiling(self, gone):
        table = planted.score(constant, models=SMALL, tiers=["exact"], **LITTLE)
        setattr(table.cells[0], gone, [])
        with pytest.raises(VerdictError, match="is not printed"):
            board.Scoreboard(
                table.task, "numpy", table.settings, table.n_redraws, table.subject, table.cells
            )

    def test_a_broken_metric_is_noticed(self, monkeypatch):
        monkeypatch.setattr(locate, "compile_map", lambda plant: {"blocks.1.hook_mlp_out@1": 1.0})
        with pytest.raises(VerdictError, match="the metric is broken"):
            planted.score(constant, models=SMALL, tiers=["exact"], **LITTLE)


def known(plant, small=0.0):
    """A method that returns 1 on this plant's own weights and `small` on any other network."""

    def method(module, tokens, counterfactual):
        same = all(
            np.array_equal(module.params[name], value) for name, value in plant.params.items()
        )
        return {"blocks.0.hook_mlp_out@1": 1.0 if same else small}

    return method


class TestTwin:
    def test_a_large_constant_is_no_detector(self):
        for row in scored(constant).twins:
            assert row["claim"] == "not a detector"
            assert (row["plant_above"], row["twin_above"]) == (0, 0)
        assert not [f for f in scored(constant).failures() if f.kind == "twin"]

    def test_what_knows_the_plant_tells_them_apart(self):
        table = scored(known(get(SMALL)), models=SMALL, tiers=("exact",))
        (row,) = table.twins
        assert row["claim"] == "tells them apart"
        assert (row["plant_above"], row["twin_above"], row["twin"]) == (1, 0, TWIN)
        assert (rows_of(table)[SMALL]["power"], rows_of(table)[SMALL]["twin"]) == (1, 0)

    def test_what_fires_on_the_twin_is_fooled_and_the_failure_says_by_what(self):
        def fooled(module, tokens, counterfactual):
            table = known(get(TWIN))(module, tokens, counterfactual)
            return {
                "blocks.0.hook_mlp_out@4": table.popitem()[1],
                **known(get(SMALL))(module, tokens, counterfactual),
            }

        table = scored(fooled, models=SMALL, tiers=("exact",))
        assert table.twins[0]["claim"] == "fooled by the twin"
        failure = table.failures()[0]
        assert (failure.kind, failure.model, failure.tier) == ("twin", TWIN, "exact")
        assert failure.components[0] == ("blocks.0.hook_mlp_out@4", 1.0, "pair (table)")
        assert "95th percentile on 20 random networks, in 3 of 3 redraws" in failure.reason
        assert "writes pair (table)" in str(table.failures())

    @pytest.mark.parametrize(
        ("n", "above", "fooled"), [(20, 3, False), (20, 4, True), (2, 1, False), (2, 2, True)]
    )
    def test_more_often_than_chance_is_fooled(self, n, above, fooled):
        cell = measure.Cell(get(SMALL), get(TWIN), fresh_largest=[0.0] * 100)
        cell.twin_largest = [1.0] * above + [0.0] * (n - above)
        assert board.is_fooled(cell) == fooled

    def test_too_few_random_networks_decide_nothing(self):
        cell = measure.Cell(get(SMALL), get(TWIN), fresh_largest=[0.0] * 19)
        cell.largest = cell.twin_largest = [1.0] * 20
        assert not board.is_fooled(cell)
        assert board.claim(cell).startswith("undecided")

    def test_the_random_networks_are_those_of_the_seeds_and_shared_by_the_tiers(self):
        exact, _, rotated = (cell for cell in scored().cells if cell.plant.name == SMALL)
        assert exact.fresh_largest == rotated.fresh_largest
        assert len(exact.fresh_largest) == 20

    def test_other_units_above_the_score_are_named(self):
        table = scored("exact-patching", n_pairs=16)
        found = [f for f in table.failures() if f.model == "red-doors@1"]
        assert [f.tier for f in found] == ["exact", "tempered", "rotated"]
        key, value, what = found[0].components[0]
        assert (key, what) == ("blocks.5.attn.hook_result.0@5", "output (emit)")
        assert value == pytest.approx(1, abs=1e-3)


class TestBudget:
    def test_a_spent_budget_leaves_two_redraws_and_says_so(self):
        table = planted.score(constant, budget_s=0, **LITTLE)
        assert table.n_redraws == 2
        assert "STOPPED EARLY: 2 of 3 redraws, the budget of 0 s is spent." in str(table)
        assert json.loads(table.to_json())["redraws"] == 2
        assert {len(cell.yours) for cell in table.cells} == {2}
        assert "on 14 re-initialised networks" in str(table)

    def test_an_ample_one_changes_nothing(self):
        table = planted.score(constant, budget_s=600, **LITTLE)
        assert table.rows == scored(constant).rows
        assert "STOPPED" not in str(table)

    def test_progress_is_told(self):
        told = []
        planted.score(constant, tiers=["exact"], progress=lambda *now: told.append(now), **LITTLE)
        assert told == [(1, 3), (2, 3), (3, 3)]


class TestPrinting:
    def test_the_text_has_every_column(self):
        text = str(scored("exact-patching", n_pairs=16))
        columns = "model yours random matched-rank re-init twin exact cost"
        assert text.splitlines()[1].split() == columns.split()
        row = rows_of(scored("exact-patching", n_pairs=16))[SMALL]
        assert f"{row['yours']:.2f} [{row['yours_lo']:.2f}, {row['yours_hi']:.2f}]" in text
        assert "precision at 4" in text
        assert "precision at 3" in text
        assert "3 redraws of 16 pairs" in text
        assert "From 4 pairs a redraw." in text
        assert repr(scored()) == str(scored())

    def test_a_terminal_gets_the_same_figures(self):
        from rich.console import Console

        console = Console(width=160, record=True, file=io.StringIO())
        console.print(scored())
        shown = " ".join(console.export_text().split())
        row = rows_of(scored())[SMALL]
        assert f"[{row['yours_lo']:.2f}, {row['yours_hi']:.2f}]" in shown
        assert "precision at 4" in shown

    def test_no_failures_print_as_a_sentence(self):
        assert str(scored(truth, models="red-doors@1").failures()) == "No failures."


class TestMethods:
    def test_each_call_gets_its_own_copy(self):
        def vandal(module, tokens, counterfactual):
            found = activity(module, tokens, counterfactual)
            for value in module.params.values():
                value[...] = 0
            tokens[...] = 0
            counterfactual[...] = 0
            return found

        table = planted.score(vandal, **LITTLE)
        assert table.rows == scored().rows

    def test_what_it_is_handed(self):
        seen = []

        def curious(module, tokens, counterfactual):
            seen.append((type(module), tokens.dtype, counterfactual.shape))
            return {}

        planted.score(curious, models="red-doors@1", tiers=["exact"], **LITTLE)
        assert set(seen) == {(Network, np.dtype(np.int64), (8, 6))}

    def test_an_exception_keeps_its_name_its_words_and_its_cause(self):
        def broken(module, tokens, counterfactual):
            raise KeyError("no such layer")

        where = r"broken raised KeyError on red-doors@1 \(exact\)"
        with pytest.raises(MethodError, match=where) as caught:
            planted.score(broken, **LITTLE)
        assert "no such layer" in str(caught.value)
        assert isinstance(caught.value.__cause__, KeyError)

    @pytest.mark.parametrize(
        ("returned", "message"),
        [
            (None, "returned NoneType, not a dict"),
            ({"blocks.0.mlp": 1}, "no head or MLP 'blocks.0.mlp'"),
            ({"blocks.0.hook_mlp_out@6": 1}, "positions are 0"),
            ({"blocks.0.hook_mlp_out": float("nan")}, "scores are finite numbers"),
        ],
    )
    def test_nonsense_is_refused_with_the_network_it_was_returned_for(self, returned, message):
        with pytest.raises(MethodError, match=message) as caught:
            planted.score(lambda *_: returned, **LITTLE)
        assert "on red-doors@1 (exact)" in str(caught.value)

    def test_a_function_is_imported_by_its_address_from_the_working_folder(
        self, tmp_path, monkeypatch
    ):
        (tmp_path / "my_methods.py").write_text(
            "class Best:\n    @staticmethod\n    def locate(module, tokens, counterfactual):\n"
            "        return {'blocks.0.hook_mlp_out': 1}\nword = 'x'\n"
        )
        (tmp_path / "my_broken.py").write_text("1 / 0")
        monkeypatch.chdir(tmp_path)
        name, make = scoring.method_of("my_methods:Best.locate")
        assert name == "my_methods:Best.locate"
        assert make(get(SMALL).scenario)(None, None, None) == {"blocks.0.hook_mlp_out": 1}
        with pytest.raises(MethodError, match=r"ZeroDivisionError at my_broken\.py:1: division"):
            scoring.method_of("my_broken:locate")
        with pytest.raises(MethodError, match=r"raised AttributeError: .*'locate'"):
            scoring.method_of("my_methods:locate")
        with pytest.raises(MethodError, match="raised ModuleNotFoundError"):
            scoring.method_of("my_mehtods:locate")
        with pytest.raises(MethodError, match="is str, not a function"):
            scoring.method_of("my_methods:word")

    @pytest.mark.parametrize(
        ("more", "error", "message"),
        [
            ({"locate": "exact-patchin"}, UnknownNameError, "Did you mean 'exact-patching'"),
            ({"locate": 3}, MethodError, "is int, not a function"),
            ({"task": "recover"}, PlantedError, "Unknown task 'recover'. Known: edges; locate"),
            ({"models": "red-door"}, UnknownNameError, "Did you mean"),
            ({"models": [TWIN]}, PlantedError, "has no node of role 'score'"),
            ({"models": []}, PlantedError, "at least one model"),
            ({"tiers": ["soft"]}, PlantedError, "Unknown tier 'soft'"),
            ({"runtime": "jax"}, PlantedError, "Unknown runtime 'jax'. Known: numpy; torch"),
            ({"n_pairs": 1}, PlantedError, "n_pairs must be a whole number, at least 2, got 1"),
            ({"n_redraws": 1.5}, PlantedError, "n_redraws must be"),
            ({"n_reinits": 0}, PlantedError, "n_reinits must be"),
            ({"twin_pairs": 9}, PlantedError, "twin_pairs must be a whole number, from 2 to 8"),
            ({"seed": -1}, PlantedError, "seed must be"),
        ],
    )
    def test_a_wrong_argument_is_refused(self, more, error, message):
        with pytest.raises(error, match=message):
            planted.score(**{"locate": constant, **LITTLE, **more})

    def test_the_default_runtime_is_torch_where_it_is_installed(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert scoring._runtime(None) == "numpy"
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        assert scoring._runtime(None) == "torch"

    def test_a_built_in_runs_by_numpy_unless_told(self):
        less = {**LITTLE, "runtime": None, "n_pairs": 2, "n_redraws": 2, "n_reinits": 1}
        table = planted.score("exact-patching", models=SMALL, tiers=["exact"], **less)
        assert table.runtime == "numpy"


class TestTorch:
    pytestmark = needs_torch

    @pytest.mark.parametrize("name", builtin.BUILTIN)
    def test_built_ins_give_the_same_table(self, name):
        less = {"models": SMALL, "tiers": ("exact", "rotated")}
        assert scored(name, **less).rows == scored(name, runtime="torch", **less).rows

    def test_hooks_on_submodules_work_and_do_not_stay(self):
        import torch

        calls = []

        def hooked(module, tokens, counterfactual):
            assert tokens.dtype == torch.int64
            assert not module.layers[0].mlp._forward_hooks
            kept = []
            for layer in module.layers:
                layer.mlp.register_forward_hook(lambda *a, kept=kept: kept.append(a[2].detach()))
            module(tokens)
            module(counterfactual)
            calls.append(len(kept))
            clean, other = kept[: module.n_layers], kept[module.n_layers :]
            return {
                f"blocks.{i}.hook_mlp_out@{position}": (a - b).abs()[:, position].mean()
                for i, (a, b) in enumerate(zip(clean, other, strict=True))
                for position in range(tokens.shape[1])
            }

        table = planted.score(hooked, **{**LITTLE, "runtime": "torch"}, models=SMALL)
        assert set(calls) == {12}
        numpy = rows_of(scored(models=SMALL))[SMALL]
        assert rows_of(table)[SMALL]["yours"] == pytest.approx(numpy["yours"], abs=0.02)

    def test_gradients_can_be_taken(self):
        def attribution(module, tokens, counterfactual):
            names = [component for component in module.components if component.endswith("mlp_out")]
            logits, clean = module.run_with_cache(tokens, names)
            _, other = module.run_with_cache(counterfactual, names)
            for name in names:
                clean[name].retain_grad()
            best = logits[range(len(tokens)), logits.argmax(dim=1)]
            best.sum().backward()
            moved = {n: ((other[n] - clean[n]) * clean[n].grad).sum(-1).abs() for n in names}
            return {
                f"{n}@{p}": value[:, p].mean().item()
                for n, value in moved.items()
                for p in range(tokens.shape[1])
            }

        table = planted.score(
            attribution, models="red-doors@1", tiers=["exact"], **{**LITTLE, "runtime": "torch"}
        )
        assert rows_of(table)["red-doors@1"]["yours"] != 0.5


class TestOwnPlants:
    """A model of the user's own is scored as a name is; its twin is never taken for a search."""

    ONE = {**LITTLE, "tiers": ["exact"]}  # noqa: RUF012

    @staticmethod
    def pair():
        from planted.programs import mechanisms
        from tests.planted.test_private_copies import menu

        made = planted.plant(lambda _: mechanisms.search(menu()), menu().scenario(), name="mine")
        listed = planted.plant(
            lambda _: mechanisms.decision_list(menu()), menu().scenario(), name="mine-list"
        )
        return made, listed

    def test_a_model_a_plant_and_a_list_of_them(self):
        made, _ = self.pair()
        for given in (made, made.plant, [made]):
            table = planted.score("exact-patching", models=given, **self.ONE)
            assert set(rows_of(table)) == {"mine@0"}
            assert table.cells[0].twin is None
        both = planted.score("exact-patching", models=[made, SMALL], **self.ONE)
        assert set(rows_of(both)) == {"mine@0", SMALL}
        assert [cell.twin is not None for cell in both.cells] == [False, True]

    def test_a_models_own_parameters_are_scored_with_its_twins(self):
        changed = planted.load("red-doors", parameters={"objects": 3, "levels": 2})
        table = planted.score(constant, models=changed, **self.ONE)
        assert dict(table.cells[0].plant.scenario.parameters) == {"objects": 3, "levels": 2}

    @pytest.mark.parametrize("as_list", [True, False])
    def test_a_twin_of_the_users_is_run_beside_its_plant(self, as_list):
        made, listed = self.pair()
        asked = {"models": [listed, made]} if as_list else {"models": made, "twin": listed}
        table = planted.score("exact-patching", **asked, **self.ONE)
        (cell,) = table.cells
        assert (cell.plant.name, cell.twin.name) == ("mine@0", "mine-list@0")
        assert (cell.plant.mechanism, cell.twin.mechanism) == ("search", "no search")
        measure.check_twin(cell.plant, cell.twin)
        assert cell.twin_largest
        assert set(rows_of(table)) == {"mine@0"}

    def test_a_rotated_twin_cannot_be_told_by_empty_columns(self):
        made, listed = self.pair()
        for model in library.matched([made, listed], "rotated"):
            assert (abs(model.plant.params["embed.W_E"]).max(axis=0) > 0).all()

    def test_what_is_no_twin_of_it_is_refused(self):
        made, listed = self.pair()
        for wrong, message in (
            ({"models": listed}, "mine-list@0 has no node of role 'score'"),
            ({"models": [made, made], "twin": listed}, "models has 2"),
            ({"models": "red-doors", "twin": listed}, "mine-list@0 cannot be the twin of red-do"),
            ({"models": made, "twin": "red-doors-small-table"}, "cannot be the twin of mine@0"),
            ({"models": SMALL, "twin": "red-doors"}, "red-doors@1, which has a node of role"),
            ({"models": made, "twin": made}, "mine@0, which has a node of role 'score'"),
            ({"models": made, "twin": 3}, "got 3"),
        ):
            with pytest.raises(PlantedError, match=message):
                planted.score("exact-patching", **wrong, **self.ONE)
