"""The digest of what the evaluators are validated on: a program and its tasks, without weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

import numpy as np

from planted.core import files
from planted.core.objective_facts import beyond_training_cue, over_many_tasks, rounded
from planted.core.plant import Plant
from planted.core.scenario import Scenario, Tokens
from planted.core.semantics import Operation
from planted.errors import PlantedError, ScenarioError
from planted.programs import catalogue

N_TASKS = 256  # of D_ref, on which the objectives' values go into the digest


def validation_digest(plant: Plant) -> str:
    """SHA-256 of what a validation of the evaluators depends on: the tasks and the program.

    It covers the vocabulary, the layout (candidates, what is searched, read-out, cues), the
    scenario's parameters, the tabulated program with its roles, the outputs, and both objectives
    on 256 fixed tasks of the reference distribution D_ref. Objectives that depend on the cue, and a
    return that is no mean, are added (`planted.core.objective_facts`), and for a plant of the
    reader's own the objectives on 2048 tasks under each cue. Names of nodes, of the plant and of
    the scenario are left out: they change nothing that an evaluator measures.

    The weights are left out too. Validation reads the compiled and the rotated network of one
    program, which hold the same program in other weights, and what it is wanted for is checkpoints,
    whose weights always differ.

    Raises:
        ScenarioError: If the scenario's parameters are no plain data.
    """
    scenario = plant.scenario
    tokens = scenario.draw(np.random.default_rng(907), N_TASKS)
    try:
        stated = json.dumps(
            {
                "vocabulary": scenario.vocabulary,
                "candidates": scenario.candidates,
                "searched": scenario.search_space,
                "read_out": scenario.read_out,
                "cues": scenario.cues,
                "cue_patterns": [
                    [cue, sorted(pattern.items())]
                    for cue, (_, pattern) in sorted(scenario.cue_patterns.items())
                ],
                "parameters": dict(scenario.parameters),
                "answers": plant.answers,
                "outputs": plant.spec.outputs,
                "program": _program(plant),
                "objectives": _objectives(scenario, tokens),
            },
            sort_keys=True,
            ensure_ascii=False,
        )
    except TypeError as error:
        raise ScenarioError(
            f"The parameters of {scenario.name!r} must be numbers and texts, so that a plant made "
            f"with other ones can be told apart; got {dict(scenario.parameters)!r} ({error})."
        ) from None
    known = files.sha256(stated.encode())
    further = beyond_training_cue(scenario, tokens)
    if plant.origin and not _is_of_catalogue(plant):
        further["many"] = over_many_tasks(scenario)
    return files.digest_of([known, further]) if further else known


def _is_of_catalogue(plant: Plant) -> bool:
    """Whether a plant given as an object has the scenario of the catalogue's plant of its name."""
    try:
        entry = catalogue.entry(plant.name)
        place = entry.make_scenario(dict(plant.scenario.parameters))
    except PlantedError:
        return False
    return over_many_tasks(place) == over_many_tasks(plant.scenario)


def _program(plant: Plant) -> list[str]:
    """A digest for each operation, whatever its name and place in the list; the output's last."""
    known: dict[str, str] = {}
    for operation in plant.truth.operations:
        node = plant.truth.nodes.get(operation.name)
        known[operation.name] = _operation(operation, node.role if node else "", known)
    return [*sorted(known.values()), known[plant.truth.operations[-1].name]]


def _operation(operation: Operation, role: str, known: Mapping[str, str]) -> str:
    content = [
        operation.op,
        role,
        [known[name] for name in operation.inputs],
        operation.values,
        operation.table,
        operation.shape,
        operation.numerical,
        operation.default,
    ]
    return files.sha256(json.dumps(content, ensure_ascii=False).encode())


def _objectives(scenario: Scenario, tokens: Tokens) -> str:
    """A digest of tasks of D_ref and of what both objectives give their candidates."""
    content = hashlib.sha256(np.ascontiguousarray(tokens, dtype=np.int64).tobytes())
    for values in (scenario.mesa.of(tokens), scenario.base.of(tokens)):
        content.update(rounded(values).tobytes())
    return content.hexdigest()
