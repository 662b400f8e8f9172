"""`planted.compile`: an expression without an objective becomes a model with known answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracr.compiler import lib
from tracr.rasp import rasp

import planted
from planted.compiler.expressions import held, verify
from planted.errors import ArtefactError, CertificateError, CompileError, PlantedError
from planted.network.model import Model

TASKS = ("abca", "bbbb", "cabc")


def histogram(runtime: str = "numpy") -> Model:
    return planted.compile(lib.make_hist(), "abc", 4, exactness=60, runtime=runtime)


def counted(task: str) -> list[int]:
    return [task.count(letter) for letter in task]


@pytest.fixture(scope="module")
def model() -> Model:
    return histogram()


class TestAnswers:
    def test_every_position_is_what_python_counts(self, model: Model) -> None:
        tokens = model.scenario.encode(TASKS)
        wanted = [counted(task) for task in TASKS]
        assert model.network(tokens).argmax(-1)[:, 1:].tolist() == wanted
        assert model.expected(model.output, tokens)[:, 1:].tolist() == wanted
        assert held(model.plant, tokens) == wanted

    @pytest.mark.parametrize("length", [1, 2, 3])
    def test_shorter_tasks_too(self, model: Model, length: int) -> None:
        tokens = model.scenario.encode([task[:length] for task in TASKS])
        assert held(model.plant, tokens) == [counted(task[:length]) for task in TASKS]

    def test_the_torch_module_gives_the_same_logits_everywhere(self) -> None:
        torch = pytest.importorskip("torch")
        model = histogram("torch")
        for tokens in (model.inputs(20), model.inputs(20)[:, :3]):
            logits = model.module(tokens)
            assert logits.shape == (20, tokens.shape[1], len(model.spec.outputs))
            np.testing.assert_allclose(
                logits.detach().numpy(), model.network(tokens.numpy()), atol=1e-5
            )
            seen, cache = model.run_with_cache(tokens)
            assert torch.equal(seen, logits)
            assert "blocks.0.hook_resid_post" in cache

    def test_an_intervention_moves_one_position_alone(self, model: Model) -> None:
        tokens = model.scenario.encode(TASKS)
        counts = np.full(tokens.shape, np.nan)
        counts[:, 2] = 4
        moved = model.intervene({model.output: counts}, tokens).argmax(-1)
        own = model.network(tokens).argmax(-1)
        assert (moved[:, 2] == 4).all()
        assert (np.delete(moved, 2, 1) == np.delete(own, 2, 1)).all()

    def test_a_number_is_one_output(self) -> None:
        program = lib.make_frac_prevs(rasp.tokens == "a")
        model = planted.compile(program, "ab", 4)
        tokens = model.scenario.encode(["abba"])
        wanted = ["abba"[: i + 1].count("a") / (i + 1) for i in range(4)]
        assert model.spec.outputs == (model.output,)
        np.testing.assert_allclose(model.network(tokens)[0, 1:, 0], wanted, atol=1e-3)

    def test_vocabularies_of_numbers(self) -> None:
        model = planted.compile(rasp.Map(lambda x: x % 2, rasp.tokens), (3, 4, 8), 3)
        tokens = model.scenario.encode([[3, 8, 4]])
        assert held(model.plant, tokens) == [[1, 0, 0]]

    def test_the_expression_is_not_changed(self) -> None:
        program = lib.make_hist()
        before = (program.name, dict(program.annotations))
        planted.compile(program, "abc", 3, exactness=60)
        assert (program.name, dict(program.annotations)) == before
        assert verify(planted.compile(program, "abc", 3, exactness=60).plant, program, ["abc"])


class TestSaved:
    def test_it_comes_back_with_weights_truth_and_tasks(self, model: Model, tmp_path: Path) -> None:
        found = planted.load(model.save(tmp_path / "hist"))
        tokens = model.scenario.encode(TASKS)
        assert np.array_equal(found.network(tokens), model.network(tokens))
        assert found.truth.operations == model.truth.operations
        assert found.scenario.encode(TASKS).tolist() == tokens.tolist()
        assert found.spec == model.spec

    def test_a_catalogue_model_comes_back_too(self, tmp_path: Path) -> None:
        own = planted.load("red-doors-small", "rotated")
        found = planted.load(own.save(tmp_path))
        assert (found.name, found.tier) == (own.name, "rotated")

    def test_a_manifest_that_was_altered_is_refused(self, model: Model, tmp_path: Path) -> None:
        (path,) = model.save(tmp_path).glob("*.json")
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "name": "other"}))
        with pytest.raises(ArtefactError, match="was altered"):
            planted.load(tmp_path)

    def test_where_nothing_can_be_written(self, model: Model, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(ArtefactError):
            model.save(tmp_path / "file")


class TestRefused:
    @pytest.mark.parametrize("length", [0, -1, True, 2.0, "3", 10**6, None])
    def test_lengths(self, length: Any) -> None:
        with pytest.raises(PlantedError, match="length must be a whole number, from 1"):
            planted.compile(lib.make_hist(), "abc", length)

    @pytest.mark.parametrize(
        ("expression", "vocabulary", "why"),
        [
            (lib.make_hist, "", "The vocabulary is empty"),
            (lambda: 3, "abc", "got int"),
            (lib.make_hist, "aba", "holds 'a' twice"),
        ],
    )
    def test_expressions_and_vocabularies(self, expression: Any, vocabulary: str, why: str) -> None:
        with pytest.raises(CompileError, match=why):
            planted.compile(expression(), vocabulary, 3)

    @pytest.mark.parametrize(
        ("tokens", "why"),
        [
            ([[0, 1, 2, 3, 1, 1]], r"got int64 \[1, 6\]"),
            ([[1, 2, 3]], "begins with 1|BOS"),
            ([[0, 1, 0]], "got 0|BOS"),
            ([[0, -1]], "-1"),
            ([[0, 7]], "7"),
            ([[0]], r"int64 \[1, 1\]"),
            ([[0.0, 1.0]], "got float64"),
            ([], "got float64"),
            ("abc", "integers|whole numbers"),
        ],
    )
    def test_tasks_of_held(self, model: Model, tokens: Any, why: str) -> None:
        with pytest.raises(PlantedError, match=why):
            held(model.plant, tokens)
        with pytest.raises(PlantedError, match=why):
            model.expected(model.output, tokens)

    @pytest.mark.parametrize(
        ("tasks", "why"),
        [
            ([], "verify needs a task at least"),
            (["abcab"], "it has 5 tokens"),
            (["ab", "abc"], "it has 3 tokens"),
            (["xy"], "'x' is no token"),
            ([""], "it has 0 tokens"),
        ],
    )
    def test_tasks_of_verify(self, model: Model, tasks: Any, why: str) -> None:
        with pytest.raises(PlantedError, match=why):
            verify(model.plant, lib.make_hist(), tasks)

    @pytest.mark.parametrize("tasks", [[], ["abcab"], ["a", "ab"]])
    def test_tasks_of_encode(self, model: Model, tasks: Any) -> None:
        with pytest.raises(PlantedError, match="all of one length, 1 to 4"):
            model.scenario.encode(tasks)

    def test_what_needs_an_objective(self, model: Model, tmp_path: Path) -> None:
        for ask in (
            lambda: planted.run(model, out=tmp_path / "run"),
            lambda: planted.forecast(model),
            lambda: model.in_tier("tempered"),
        ):
            with pytest.raises(PlantedError, match=r"without an objective|available only in tier"):
                ask()


class TestRefusals:
    def test_it_chooses_nothing(self, model: Model) -> None:
        with pytest.raises(PlantedError, match=r"expression without candidates"):
            model.choices(model.inputs(2))
        with pytest.raises(PlantedError, match=r"is an expression.*model\.effect"):
            model.effects(n=4)

    def test_a_task_alone_is_no_list_of_tasks(self, model: Model) -> None:
        with pytest.raises(PlantedError, match=r"as \['abca'\], got 'abca' alone"):
            model.scenario.encode("abca")

    def test_another_program_is_not_verified(self, model: Model) -> None:
        assert verify(model.plant, lib.make_hist(), ["abca"]) > 4
        for other in (lib.make_reverse(rasp.tokens), rasp.Map(lambda t: "z", rasp.tokens)):
            with pytest.raises(CertificateError, match=r"compiled from another program"):
                verify(model.plant, other, ["abca"])

    def test_interventions_take_tasks_of_one_length(self, model: Model) -> None:
        three, two = model.scenario.encode(["abc"]), model.scenario.encode(["ab"])
        with pytest.raises(PlantedError, match=r"one length|one source task"):
            model.effect("hist", "interchange", three, source=two)
        with pytest.raises(PlantedError, match=r"one length"):
            model.effect("hist", "mean", three, source=two)

    def test_a_long_task_has_no_bound_of_its_own(self) -> None:
        made = planted.compile(rasp.Map(lambda t: t == "a", rasp.tokens), "ab", 300)
        assert made.inputs(2).shape == (2, 301)

    def test_what_is_not_meant_for_every_task(self) -> None:
        table = {"a": 1}
        program = rasp.Map(lambda t: table[t], rasp.tokens)
        with pytest.raises(CompileError, match=r"KeyError"):
            planted.compile(program, "ab", 3)
        made = planted.compile(program, "ab", 3, tasks=["aaa"])
        assert held(made.plant, made.scenario.encode(["aaa"])) == [[1, 1, 1]]
