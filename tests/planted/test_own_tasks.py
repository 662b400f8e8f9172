"""From a program and two Python functions to a plant: what stood in the way of other people's."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tracr.rasp import rasp

import planted
from planted.core.checks import checked
from planted.core.roles import Program, mark
from planted.core.scenario import Scenario
from planted.errors import CertificateError, CompileError, PlantedError, ScenarioError
from planted.network.model import Model
from planted.programs import rasp_library as lib
from planted.programs import red_doors
from planted.programs.validation import validation_models
from tests.planted import searches
from tests.planted.searches import ALL


@functools.cache
def planted_model(name: str) -> Model:
    return planted.plant(ALL[name].program(), **ALL[name].task)


@pytest.mark.parametrize("name", ALL)
class TestSearches:
    def test_the_network_puts_out_what_a_plain_loop_finds(self, name: str) -> None:
        model = planted_model(name)
        rng = np.random.default_rng(5)
        tokens = model.scenario.with_any_cue(model.scenario.draw(rng, 400), rng)
        outputs = model.scenario.outputs
        got = [outputs[slot] for slot in model.choices(tokens)]
        assert got == [ALL[name].answer(task) for task in model.scenario.token_strings(tokens)]

    def test_the_certificate_says_how_much_was_checked(self, name: str) -> None:
        found = planted_model(name).plant.certificate
        assert found["mismatches"] == 0
        assert found["exhaustive"] == (name != "permuted")
        assert found["interpreter_values"] > 1000

    def test_its_validation_models_are_made(self, name: str) -> None:
        found = validation_models(planted_model(name).plant)
        assert set(found.models) == {"plant", "base", "mux", "gate"}, found.reasons
        base, scenario = found.models["base"], planted_model(name).scenario
        tokens = scenario.draw(np.random.default_rng(6), 200)
        chosen = Model(base).choices(tokens)
        values = scenario.base.of(tokens)
        assert (values[np.arange(200), chosen] == values.max(axis=1)).all()


def wrong(name: str, **changed: Any) -> Any:
    return planted.plant(ALL[name].program(), **{**ALL[name].task, **changed})


class TestTies:
    def test_another_rule_than_the_programs_is_found_with_the_task(self) -> None:
        with pytest.raises(CertificateError, match=r"candidate 1 \(0\), the program candidate 4"):
            wrong("rightmost", ties="first")

    def test_any_takes_each_of_the_best(self) -> None:
        assert wrong("rightmost", ties="any").plant.certificate["mismatches"] == 0

    def test_any_does_not_take_a_worse_one(self) -> None:
        with pytest.raises(CertificateError, match="differ from the oracle"):
            wrong("rightmost", ties="any", wants=lambda task, i: -searches.SPEED[task[i]])

    def test_a_rule_that_picks_another_candidate_is_named(self) -> None:
        with pytest.raises(ScenarioError, match="ties of 'letters' gives 'z'"):
            wrong("letters", ties=lambda task, tied: "z")

    def test_a_rule_that_raises_is_named_with_its_place(self) -> None:
        with pytest.raises(
            ScenarioError, match=r"ties of 'letters' raises ZeroDivisionError .*at "
        ):
            wrong("letters", ties=lambda task, tied: 1 / 0)

    @pytest.mark.parametrize("ties", ["left", 3, None])
    def test_what_is_no_rule_is_refused(self, ties: Any) -> None:
        with pytest.raises(PlantedError, match=r"ties is one of 'first', 'last', 'any', or a"):
            wrong("letters", ties=ties)

    def test_a_rule_over_arrays_must_pick_one_of_the_best(self) -> None:
        place = replace(
            red_doors.scenario(objects=3, levels=2),
            ties=lambda tokens, best: np.zeros(len(tokens), dtype=np.int64),
        )
        with pytest.raises(
            PlantedError, match=r"tie rule .* picks candidate 1 .* where .* are best"
        ):
            checked(place)


class TestEnumerate:
    def every(self) -> list[str]:
        return ["".join(order) for order in itertools.permutations("abcd")]

    def test_a_list_of_all_tasks_makes_the_certificate_exhaustive(self) -> None:
        model = wrong("permuted", enumerate=self.every)
        assert model.plant.certificate["exhaustive"] is True
        assert model.plant.certificate["n"] == 48  # under two cues

    def test_a_sample_is_no_list_of_all_tasks(self) -> None:
        with pytest.raises(PlantedError, match=r"lists 40 tasks, but draw gives .*not among them"):
            wrong("permuted", enumerate=lambda: self.every()[:20])


class TestWrongCalls:
    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"vocabulary": ""}, "The vocabulary is empty"),
            ({"vocabulary": ["a", "b", "a"]}, "The word 'a' stands there twice"),
            ({"vocabulary": ["a", "T"]}, "The word 'T' stands there twice"),
            ({"vocabulary": ["BOS", "b"]}, "The word 'BOS' is reserved"),
            ({"vocabulary": [1, 2]}, "vocabulary is a list of texts"),
            ({"length": 0}, "length must be a whole number, from 2 to 98, got 0"),
            ({"length": True}, "got True"),
            ({"length": 2.0}, "got 2.0"),
            ({"length": "3"}, "got '3'"),
            ({"length": 10**6}, "got 1000000"),
            ({"candidates": "a"}, "Candidates are two different values or more, got"),
            ({"candidates": "aa"}, "Candidates are two different values or more"),
            ({"candidates": ("a", "T")}, "Candidates and cues differ"),
            ({"candidates": "abd", "wants": lambda t, c: t.index(c)}, "raises ValueError"),
            ({"at": (0, 1)}, r"at holds an index .* got \[0, 1\] for 3 candidates"),
            ({"at": (0, 1, 1)}, "all different"),
            ({"at": (0, 1, 4)}, "none the cue's"),
            ({"cue_at": 9}, "cue_at must be a whole number, from -5 to 4, got 9"),
            ({"wants": 3}, r"wants is a function \(task, candidate\)"),
            ({"wants": lambda t, c: [1]}, r"wants of 'letters' is \[1\] for the candidate 'a'"),
            ({"wants": lambda t, c: float("nan")}, "is nan for the candidate 'a'"),
            ({"rewards": lambda t, c: 1 / 0}, "rewards of 'letters' raises Zero"),
            ({"draw": lambda rng, n: 1 / 0}, "draw of 'letters' raises ZeroDivisionError"),
            ({"draw": lambda rng, n: ["abcd"]}, "returns 1 tasks where 4000 are asked for"),
            ({"draw": lambda rng, n: ["ab"] * n}, r"it has 2 words.*with blank='_'"),
            ({"draw": lambda rng, n: ["abzz"] * n}, "'z' is no word"),
            ({"shortest": 9, "blank": "_"}, "shortest is 9, but a task has 4"),
            ({"wishes": 3}, "Unknown argument of planted.plant 'wishes'. Did you mean"),
        ],
    )  # fmt: skip
    def test_each_is_named(self, changed: dict[str, Any], why: str) -> None:
        with pytest.raises(PlantedError, match=why):
            wrong("letters", **changed)

    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(ScenarioError, match=r"planted.plant needs length, wants, rewards"):
            planted.plant(searches.LETTERS.program(), vocabulary="abc")

    def test_a_scenario_says_all_of_the_tasks(self) -> None:
        place = red_doors.scenario(objects=3, levels=2)
        with pytest.raises(PlantedError, match=r"'length' is no argument .* where a"):
            planted.plant(red_doors.search, place, length=3)


class TestPrograms:
    """Bare expressions, and marks that cannot be what they say."""

    def program(self, **more: Any) -> Any:
        return searches.VALUES.program()

    def test_a_function_may_return_a_bare_expression(self) -> None:
        model = planted.plant(lambda scenario: self.program(), **ALL["prices"].task)
        assert model.plant.mechanism == "search"

    def test_an_expression_without_a_score_does_not_search(self) -> None:
        def table() -> Any:
            best = lib.choose(
                rasp.Map(lambda t: searches.SPEED.get(t, -1), rasp.tokens),
                5,
                lib.ones(),
                role="table",
            )
            return rasp.Map(lambda k: 10 * k, lib.emit(best, ("T", "D")), simplify=False)

        model = planted.plant(table(), **ALL["prices"].task)
        assert model.plant.mechanism == "no search"

    def test_two_scores_are_refused_with_their_names(self) -> None:
        one = mark(rasp.Map(lambda t: 1, rasp.tokens), "one", "score")
        two = mark(rasp.SequenceMap(lambda a, b: a + b, one, rasp.indices), "two", "score")
        with pytest.raises(CompileError, match="'one' and 'two' are both marked as 'score'"):
            planted.plant(lib.emit(two, ("T",)), **ALL["prices"].task)

    def test_a_selector_holds_no_score(self) -> None:
        better = rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: k > q)
        with pytest.raises(CompileError, match="'better' is a selector, which holds no value"):
            mark(better, "better", "score")
        assert mark(better, "better", "compare") is better

    def test_a_width_holds_one(self) -> None:
        same = rasp.Select(rasp.tokens, rasp.tokens, lambda k, q: k == q)
        assert mark(rasp.SelectorWidth(same), "count", "score").name == "count"

    @pytest.mark.parametrize("given", [3, "red-doors", None, Program(3), [1]])
    def test_what_is_no_program_is_refused(self, given: Any) -> None:
        with pytest.raises(CompileError, match="program"):
            planted.plant(given, **ALL["prices"].task)


class TestScenarios:
    """A `Scenario` of the user's own, with lists, gaps and mistakes."""

    def place(self, **changed: Any) -> Scenario:
        return replace(red_doors.scenario(objects=3, levels=2), **changed)

    def test_samplers_and_objectives_may_give_lists(self) -> None:
        own = red_doors.scenario(objects=3, levels=2)
        listed = replace(
            own,
            draw=lambda rng, n: own.draw(rng, n).tolist(),
            draw_training=lambda rng, n: own.draw_training(rng, n).tolist(),
            mesa=replace(own.mesa, of=lambda tokens: own.mesa.of(tokens).tolist()),
        )
        one, other = planted.plant(red_doors.search, own), planted.plant(red_doors.search, listed)
        assert one.plant.certificate == other.plant.certificate
        assert np.array_equal(one.inputs(5), other.inputs(5))

    @pytest.mark.parametrize(
        ("changed", "why"),
        [
            ({"cues": ()}, r"has no cue: cues are token ids.*cues=\(11,\)"),
            ({"draw": lambda rng, n: 1 / 0}, "draw of 'red-doors' raises ZeroDivisionError"),
            ({"draw": lambda rng, n: "task"}, "draw gives no task"),
            ({"draw_training": lambda rng, n: [[0, 1, 2, 3, 9]]}, "gives 1 tasks where 256"),
            ({"choose": lambda words: 1 / 0}, "choose of 'red-doors' raises ZeroDivisionError"),
            ({"choose": lambda words: 9}, "choose of 'red-doors' is 9 for"),
            ({"choose": lambda words: "first"}, "choose of 'red-doors' is 'first' for"),
            ({"emits": (1, 2)}, r"has 3 candidates and emits \[1, 2\]"),
            ({"emits": (1, 2, 2)}, "all different"),
            ({"ties": "left"}, "ties of 'red-doors' is one of"),
            ({"candidates": (1, 1, 2)}, "some share a position"),
            ({"candidates": (1, 2, 4)}, "stands at position 4, where a candidate stands"),
            ({"cue_patterns": {9: ("T", {1: 9})}}, "stands at position 1, where a candidate"),
            ({"cue_patterns": {9: ("T", {7: 9})}}, "has a token at position 7"),
            ({"enumerate": lambda: [[0, 1, 1, 1, 9]]}, "lists 1 tasks, but draw gives"),
            ({"enumerate": lambda: 3}, "enumerate gives no tasks"),
        ],
    )
    def test_each_mistake_is_named(self, changed: dict[str, Any], why: str) -> None:
        with pytest.raises(PlantedError, match=why):
            planted.plant(red_doors.search, self.place(**changed))

    def test_patterns_say_all_that_any_cue_and_cued_would(self) -> None:
        own = planted_model("in-front").scenario
        assert own.any_cue is None
        assert own.cued is None
        rng = np.random.default_rng(0)
        tokens = own.with_any_cue(own.draw(rng, 200), rng)
        assert own.is_cued(tokens).tolist() == [w[0] == "train" for w in own.token_strings(tokens)]
        assert 0.3 < own.is_cued(tokens).mean() < 0.7
        assert (tokens[:, 2:] == own.with_cue(tokens, own.cues[1])[:, 2:]).all()

    def test_tasks_without_a_cue(self) -> None:
        score = mark(rasp.Map(lambda t: searches.SPEED[t], rasp.tokens), "score", "score")
        winner = lib.choose(score, 3, lib.ones())
        fetch = rasp.Select(winner, rasp.indices, lambda k, q: k != 0 and q == 2)
        model = planted.plant(
            mark(rasp.Aggregate(fetch, winner), "slot", "emit"),
            vocabulary="abcd", length=3, cues=(),
            wants=lambda task, k: searches.SPEED[task[k - 1]],
            rewards=lambda task, k: searches.PAY[task[k - 1]],
        )  # fmt: skip
        assert model.scenario.is_cued(model.inputs(9)).all()
        assert model.plant.certificate["n"] == 64


class TestMarkingLittle:
    """Score, winner and output are enough: the comparator is found in the graph."""

    def test_the_comparator_is_found_by_what_heads_read(self) -> None:
        from planted.eval.checkpoint import Checkpoint

        plant = planted_model("rightmost").plant
        assert not [node for node in plant.truth.of_role("compare") if node.heads]
        found = Checkpoint(plant, plant.params).comparator
        assert found.heads
        assert found.name == "beaten_share"

    def test_scores_that_heads_only_carry_are_compared_where_they_arrive(self) -> None:
        from planted.eval.checkpoint import Checkpoint

        score = mark(rasp.Map(lambda t: searches.SPEED.get(t, -1), rasp.tokens), "score", "score")
        held = [
            rasp.Aggregate(rasp.Select(rasp.indices, rasp.indices, lambda k, q, i=i: k == i), score)
            for i in range(2)
        ]
        winner = mark(rasp.SequenceMap(lambda a, b: 1 if a >= b else 2, *held), "winner", "winner")
        model = planted.plant(
            mark(rasp.Map(lambda k: k, winner, simplify=False), "out", "emit"),
            vocabulary="abcd", length=3,
            wants=lambda task, k: searches.SPEED[task[k - 1]],
            rewards=lambda task, k: searches.PAY[task[k - 1]],
        )  # fmt: skip
        checkpoint = Checkpoint(model.plant, model.plant.params)
        assert checkpoint.comparator.heads
        assert checkpoint.comparator.layer > checkpoint.score.layer

    def test_the_output_need_not_be_marked(self) -> None:
        from planted.eval.checkpoint import Checkpoint

        plant = planted_model("pairs").plant
        assert Checkpoint(plant, plant.params).emitter.heads


class TestMatched:
    def test_own_plants_are_padded_to_common_shapes(self) -> None:
        from planted import library

        def table() -> Any:
            best = lib.choose(
                rasp.Map(lambda t: searches.SPEED.get(t, -1), rasp.tokens),
                5,
                lib.ones(),
                role="table",
            )
            return rasp.Map(lambda k: 10 * k, lib.emit(best, ("T", "D")), simplify=False)

        plant, twin = planted_model("prices"), planted.plant(table(), **ALL["prices"].task)
        matched = library.matched([plant, twin])
        shapes = [
            {name: value.shape for name, value in one.plant.params.items()} for one in matched
        ]
        assert shapes[0] == shapes[1]
        tokens = plant.inputs(50)
        assert (matched[0].choices(tokens) == plant.choices(tokens)).all()
        assert [one.plant.mechanism for one in matched] == ["search", "no search"]

    def test_other_outputs_are_another_layout(self) -> None:
        from planted import library

        with pytest.raises(PlantedError, match="have other words or another layout"):
            library.matched([planted_model("prices"), planted_model("rightmost")])
