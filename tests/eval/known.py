"""Models whose fate is known, judged in seconds, and networks without a plant."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from planted.compiler.compile import compile_program
from planted.core import files
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.scenario import Choices, Scenario, Tokens
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import beside_negative_controls, cues_of, evaluate
from planted.eval.evaluators import Context
from planted.eval.evidence import Evidence, Records, index
from planted.eval.verdict.rule import Verdict, decide
from planted.finetune.recipes import Recipe
from planted.finetune.tiers.rotated import rotate
from planted.network import surgery
from planted.programs import catalogue
from tests.helpers import checkpoint_of, train_seeds

SMALL = {"objects": 3, "levels": 4}
STEPS = 600  # enough for a random start of this size to learn any of the behaviours
ARMS = ("no-plant-mesa", "no-plant-base", "no-plant-cued")
# These networks are of no catalogue entry's digest; tests/eval/test_validation.py validates them.
TRUSTED = {"paths": "", "presence": ""}


@functools.cache
def scenario(name: str = "red-doors") -> Scenario:
    return catalogue.entry(name).make_scenario(SMALL)


def plant(name: str = "red-doors", rotated: bool = False) -> Plant:
    """The exact tier with free neurons, so that the planted scorer is not the whole layer."""
    return _plant(name, rotated)


@functools.cache
def _plant(name: str, rotated: bool) -> Plant:
    entry, place = catalogue.entry(name), scenario(name)
    made = compile_program(
        entry.program(place), place.vocabulary, len(place.candidates), place.read_out
    )
    found = Plant(
        name=f"{name}@{entry.version}",
        tier="exact",
        kind=entry.kind,
        mechanism=entry.mechanism,
        answers=entry.answers,
        scenario=place,
        params=surgery.add_free_neurons(made.params, seed=0),
        spec=made.spec,
        truth=made.truth,
        settings={},
        certificate={},
    )
    return rotate(found) if rotated else found


def checkpoint(name: str = "red-doors", rotated: bool = False) -> Checkpoint:
    return compiled(plant(name, rotated))


def compiled(made: Plant, params: Any = None) -> Checkpoint:
    """Weights that no training made: every task is novel to them."""
    seen = np.zeros((0, made.scenario.n_positions), np.int64)
    return Checkpoint(made, made.params if params is None else params, seen)


def all_evidence(subject: Checkpoint) -> list[Evidence]:
    """All evidence, by evaluators that are trusted here."""
    return evaluate(subject, TRUSTED)


def evidence(name: str = "red-doors", rotated: bool = False) -> tuple[Evidence, ...]:
    return _evidence(name, rotated)


@functools.cache
def _evidence(name: str, rotated: bool) -> tuple[Evidence, ...]:
    return tuple(all_evidence(checkpoint(name, rotated)))


def measured(evaluator: str, subject: Checkpoint, cue: int | None = None) -> list[Evidence]:
    """What one evaluator gives under a cue."""
    return evaluators.get(evaluator).measure(Context(subject, cue))


@functools.cache
def random_start(arm: str, seed: int = 0) -> dict[str, Any]:
    """Weights of the plant's shapes that never held the plant, trained to a behaviour."""
    recipe = Recipe(arm, seeds=2, steps=STEPS)
    with tempfile.TemporaryDirectory() as folder:
        train_seeds(plant(), recipe, [seed], Path(folder))
        return files.read_tensors(checkpoint_of(Path(folder), recipe, seed))[0]


@functools.cache
def null_evidence(arm: str, seed: int = 0) -> tuple[Evidence, ...]:
    return tuple(all_evidence(compiled(plant(), random_start(arm, seed))))


def negative_controls(without: str = "") -> dict[str, list[Records]]:
    """The evidence on two random starts of each arm but one."""
    return {
        arm: [index(null_evidence(arm, seed)) for seed in (0, 1)] for arm in ARMS if arm != without
    }


def judge(records: tuple[Evidence, ...] | list[Evidence], without: str = "") -> Verdict:
    """The verdict beside the nulls, of which `without` is left out.

    The control is the plant itself, in two bases: training it on its own choices hardly moves it.
    """
    cues = cues_of(scenario())
    controls = [index(evidence(rotated=turned)) for turned in (False, True)]
    beside = beside_negative_controls(records, negative_controls(without), cues, controls)
    return decide(index(beside), cues)


def changed(params: Mapping[str, Any], **edits: Callable[[Any], Any]) -> dict[str, Any]:
    """Weights with some tensors put through functions; dots in names are written as __."""
    out = dict(params)
    for name, edit in edits.items():
        key = name.replace("__", ".")
        out[key] = np.asarray(edit(out[key]), np.float32)
    return out


@dataclass(frozen=True)
class Chooser(Checkpoint):
    """A system without weights: tables over types for both paths, and a lapse rate.

    Attributes:
        rest: Value of each token id in the base input, for the remainder.
        block: Value of each token id in what the scorer puts out, which is token ids.
        lapse: Share of tasks on which the choice is uniformly random (the same task, the same
            choice).
        rule: Choices from tokens instead, where tables do not matter.
    """

    rest: npt.NDArray[np.float64] | None = None
    block: npt.NDArray[np.float64] | None = None
    lapse: float = 0.0
    rule: Callable[[Tokens], Choices] | None = None

    def choose(self, tokens: Tokens) -> Choices:
        if self.rule is not None:
            return self._lapsed(tokens, self.rule(tokens))
        return self.choose_with_scorer_output(tokens, self.scorer_output(tokens))

    def before(self, layer: int, tokens: Tokens) -> Tokens:
        return tokens

    def scorer_output(self, tokens: Tokens) -> Any:
        return tokens[:, list(self.scenario.candidates)]

    def choose_with_scorer_output(self, tokens: Tokens, block: Any) -> Choices:
        assert self.rest is not None
        assert self.block is not None
        value = self.rest[tokens[:, list(self.scenario.candidates)]] + self.block[block]
        return self._lapsed(tokens, leftmost(value))

    def comparator_output(self, tokens: Tokens) -> Any:
        return self.scorer_output(tokens)

    def choose_with_comparator_output(self, tokens: Tokens, output: Any) -> Choices:
        return self.choose_with_scorer_output(tokens, output)

    def _lapsed(self, tokens: Tokens, chosen: Choices) -> Choices:
        if not self.lapse:
            return chosen
        rng = np.random.default_rng([7, int(tokens.sum())])
        n = len(self.scenario.candidates)
        wild = rng.random(len(tokens)) < self.lapse
        return np.where(wild, rng.integers(0, n, len(tokens)), chosen)


def tables(place: Scenario) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """u_m and u_b of every token id; 0 where it is no candidate."""
    ids = np.arange(len(place.vocabulary))
    tokens = np.repeat(ids[:, None], place.n_positions, axis=1)
    found = (place.mesa.of(tokens)[:, 0], place.base.of(tokens)[:, 0])
    return np.nan_to_num(found[0]), np.nan_to_num(found[1])


def type_values() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """u_m and u_b of every candidate type, [type]."""
    place = scenario()
    ids = [i for i in range(1, len(place.vocabulary)) if i not in place.cues]
    mesa, base = tables(place)
    return mesa[ids], base[ids]


def chooser(
    rest: tuple[float, float] = (0, 0), block: tuple[float, float] = (0, 0), **more: Any
) -> Chooser:
    """A chooser whose two tables are these multiples of u_m and u_b."""
    made = plant()
    mesa, base = tables(made.scenario)
    return Chooser(
        made,
        made.params,
        rest=rest[0] * mesa + rest[1] * base,
        block=block[0] * mesa + block[1] * base,
        **more,
    )


def with_scenario(made: Plant, **changes: Any) -> Plant:
    return replace(made, scenario=replace(made.scenario, **changes))
