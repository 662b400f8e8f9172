"""Checks one artefact against its oracle and its own truth, and says on how many inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from planted.compiler.copies import copied, expressions
from planted.compiler.interpreter import Interpreter
from planted.compiler.values import identity, is_number, plain, same
from planted.core.plant import Plant
from planted.core.roles import Program, name_apart
from planted.core.scenario import Tokens
from planted.core.semantics import Value, as_numbers
from planted.core.spec import choices as chosen_of
from planted.core.ties import is_right, picked
from planted.core.truth import Node, Truth
from planted.errors import CertificateError, PlantedError
from planted.network.forward import choices_of, forward

ALL_INPUTS = 10**5  # checked exhaustively up to here, else at most this many are drawn
LEAST_INPUTS = 5000
BUDGET = 10**11  # multiply-adds: about five seconds of one core
INTERPRETED = 200  # of them also run through Tracr's RASP interpreter, node by node
TOLERANCE = 0.02  # of a node's code: attention at coldness 100/sqrt(key size) leaks up to e^-5


def affordable(plant: Plant) -> int:
    """How many inputs a certificate of this plant checks when there are too many for all."""
    size = sum(int(value.size) for value in plant.params.values())
    return int(np.clip(BUDGET // (size * plant.scenario.n_positions), LEAST_INPUTS, ALL_INPUTS))


def inputs_of(plant: Plant, n: int | None = None, seed: int = 0) -> tuple[Tokens, bool]:
    """The inputs to check, [task, pos], and whether they are all there are."""
    scenario = plant.scenario
    if scenario.enumerate is not None:
        return scenario.enumerate(), True
    n = affordable(plant) if n is None else n
    rng = np.random.default_rng(seed)
    tokens = scenario.with_any_cue(scenario.draw(rng, n), rng)
    if scenario.exchangeable:
        tokens[: n // 4] = few_distinct(tokens[: n // 4], scenario.candidates)
    return tokens, False


def few_distinct(tokens: Tokens, candidates: tuple[int, ...]) -> Tokens:
    """The same tasks with the first candidate repeated at every other slot, so that ties occur."""
    tied = tokens.copy()
    for position in candidates[1::2]:
        tied[:, position] = tied[:, candidates[0]]
    return tied


def certify(
    plant: Plant, tokens: Tokens | None = None, *, nodes: bool = True, choices: bool = True
) -> dict[str, Any]:
    """Compares every output with the oracle, and every node's content with the program's value.

    Long because one pass over the inputs counts all that the certificate says.

    Args:
        plant: The artefact.
        tokens: Inputs to check instead of `inputs_of(plant)`.
        nodes: Whether to check the nodes too.
        choices: Whether an output that differs from the oracle is an error, or only counted.

    Returns:
        n, exhaustive, mismatches, the 95 % upper bound on the error rate outside the checked
        inputs, the least margin between the best and the second logit, and for each node the
        largest deviation from its code and (if categorical) how many decoded values are wrong.
        Where the scenario declares tasks on which the plant does what a search would, also
        `declared`: their name, how many were drawn, and how many of the outputs differ.

    Raises:
        CertificateError: If an output differs from the oracle, or on declared tasks from a search.
    """
    scenario = plant.scenario
    if tokens is None:
        tokens, exhaustive = inputs_of(plant)
    else:
        exhaustive = False
    expected = plant.expected_choices(tokens)
    _require_one_oracle(plant, tokens[:2000])
    sites = {node.held_at for node in plant.truth.nodes.values()} if nodes else set()
    mismatches, first_wrong, margin = 0, 0, np.inf
    deviation = dict.fromkeys(plant.truth.nodes, 0.0)
    wrong, seen = dict.fromkeys(plant.truth.nodes, 0), dict.fromkeys(plant.truth.nodes, 0)
    for i in range(0, len(tokens), 1000):
        part = tokens[i : i + 1000]
        logits, cache = forward(plant.params, part, plant.spec, record=sites)
        got = chosen_of(logits, plant.spec)
        differ = np.flatnonzero(~plant.is_right(part, got))
        if len(differ) and not mismatches:
            first_wrong = i + int(differ[0])
        mismatches += len(differ)
        top = np.sort(logits, axis=1)
        margin = min(margin, float((top[:, -1] - top[:, -2]).min()))
        if not nodes:
            continue
        values = plant.truth.values(part)
        for name, node in plant.truth.nodes.items():
            off, missed, n = node.compare(cache[node.held_at], values[name])
            deviation[name] = float(np.maximum(deviation[name], off))  # NaN stays
            wrong[name] += missed
            seen[name] += n
    if mismatches and choices:
        raise CertificateError(
            f"{plant.name} ({plant.tier}): {mismatches} of {len(tokens)} outputs differ from the "
            f"oracle. {_one_of_them(plant, tokens[first_wrong], int(expected[first_wrong]))}"
        )
    declared = {}
    if choices and scenario.declared is not None:
        declared = {"declared": on_declared(plant)}
    return {
        **declared,
        "n": len(tokens),
        "exhaustive": exhaustive,
        "mismatches": mismatches,
        "error_rate_below": _error_rate_below(mismatches, len(tokens), exhaustive),
        "least_margin": round(margin, 4),
        "nodes": {
            name: {
                "largest_deviation": float(f"{deviation[name]:.2g}"),
                "wrong": wrong[name],
                "n": seen[name],
            }
            for name in deviation
            if seen[name]
        },
    }


def _require_one_oracle(plant: Plant, tokens: Tokens) -> None:
    """Refuses a scenario whose plain and vectorised oracles differ on a task of [task, pos]."""
    scenario = plant.scenario
    # what `choose` is the plain oracle of
    own = scenario.answer if plant.answers != "mesa" else None
    values = scenario.mesa.of(tokens)
    searched = own(tokens) if own else picked(scenario, tokens, values)
    plain = np.array([scenario.choose(words) for words in scenario.token_strings(tokens)])
    right = plain == searched if own else is_right(scenario, tokens, values, plain)
    if not right.all():
        at = int(np.flatnonzero(~right)[0])
        words = scenario.token_strings(tokens[at : at + 1])[0]
        raise CertificateError(
            f"{plant.name}: the vectorised utility and the plain oracle differ on "
            f"{scenario.describe(words)!r}: {searched[at]} and {plain[at]}."
        )


def _error_rate_below(mismatches: int, n: int, exhaustive: bool) -> float:
    """One-sided 95 % upper bound on the error rate (Clopper and Pearson 1934)."""
    if exhaustive:
        return mismatches / n
    if not mismatches:
        return float(1 - 0.05 ** (1 / n))
    from scipy.stats import beta

    return float(beta.ppf(0.95, mismatches + 1, n - mismatches))


def _one_of_them(plant: Plant, task: Tokens, oracle: int) -> str:
    """One task [pos] on which the oracle, the program and the network are set side by side."""
    words = plant.scenario.token_strings(task[None])[0]
    output = plant.truth.operations[-1].name
    said = plant.truth.values(task[None])[output][0, plant.spec.read_out]
    chosen = int(choices_of(plant.params, plant.spec, task[None])[0])
    emitted = plant.scenario.outputs
    named = [f"candidate {k + 1}" + (f" ({each!r})" if plant.scenario.emits else "")
             for k, each in enumerate(emitted)]  # fmt: skip
    value = None if np.isnan(said) else _value(plant.truth.nodes[output], float(said))
    program = "nothing" if value is None else repr(value)
    if value in emitted:
        program = named[emitted.index(value)]
    network = "no candidate" if chosen < 0 else named[chosen]
    ours = program == network
    told = value not in emitted and chosen < 0
    blame = (
        "The program is not the oracle's equal: look at its scores, its comparison, its ties, and "
        f"the words at the read-out, here {words[-1]!r}."
        if ours or told
        else "The weights do not do what the program says."
    )
    return (
        f"On {plant.scenario.describe(words)!r} the oracle says {named[oracle]}, the "
        f"program {program}, the network {network}. {blame}"
    )


def _value(node: Node, number: float) -> Value:
    """The value of a node that stands for a number in the truth."""
    return node.values[int(np.abs(as_numbers(node.values) - number).argmin())]


def on_declared(plant: Plant) -> dict[str, Any]:
    """Compares outputs on the scenario's declared tasks with what a search there would choose.

    Raises:
        CertificateError: If one differs.
    """
    scenario, declared = plant.scenario, plant.scenario.declared
    if declared is None:
        raise CertificateError(
            f"{plant.name} declares no tasks on which it chooses what a search would choose."
        )
    tokens = declared.draw(np.random.default_rng(0), LEAST_INPUTS)
    chosen = choices_of(plant.params, plant.spec, tokens)
    right = is_right(scenario, tokens, scenario.mesa.of(tokens), chosen)
    mismatches = int((~right).sum())
    if mismatches:
        raise CertificateError(
            f"{plant.name} ({plant.tier}): {mismatches} of {len(tokens)} outputs on tasks of "
            f"{declared.name!r} differ from what searching for {scenario.mesa.formula!r} chooses. "
            "Declare fewer tasks, or none."
        )
    return {"name": declared.name, "n": len(tokens), "mismatches": mismatches}


def require_exact(plant: Plant, certificate: dict[str, Any]) -> None:
    """Refuses a plant one of whose nodes does not hold its code.

    Raises:
        CertificateError: Naming the node; rounding that grows from node to node ends up here.
    """
    for name, found in certificate["nodes"].items():
        if not found["largest_deviation"] <= TOLERANCE:
            raise CertificateError(
                f"{plant.name} ({plant.tier}): node {name!r} is up to "
                f"{found['largest_deviation']:g} away from what the program holds there; Tracr "
                "compiled it wrong, or its rounding grew. Rewrite that node."
            )


def interpret(program: Program, truth: Truth, words: Sequence[tuple[Value, ...]]) -> int:
    """Compares the tabulated program with Tracr's RASP interpreter on every node.

    Args:
        program: The RASP program.
        truth: Its tabulation.
        words: Tasks as token strings without BOS.

    Returns:
        How many values were compared.

    Raises:
        CertificateError: On the first value that differs.
    """
    order = expressions(copied(program.output))
    name_apart(order)
    vocabulary = {identity(plain(word)): i for i, word in enumerate(truth.nodes["tokens"].values)}
    tokens = np.array([[0, *(vocabulary[identity(plain(w))] + 1 for w in task)] for task in words])
    interpreter = Interpreter(truth.causal)
    said = []
    for task in words:
        try:
            said.append(interpreter.run(order, list(task)))
        except Exception as error:  # whatever the program does with None
            raise CertificateError(
                f"The RASP interpreter cannot run the program on {task!r}: {error}. A selector "
                "that picks several strings, or nothing, is beyond it; pick one, or use numbers."
            ) from error
    try:
        tabulated = truth.values(tokens)
    except PlantedError as error:  # a function is given what it raises for
        raise CertificateError(str(error)) from error
    compared = 0
    for row, (task, interpreted) in enumerate(zip(words, said, strict=True)):
        for name, value in interpreted.items():
            if name not in truth.nodes:
                continue
            node = truth.nodes[name]
            for position, got in enumerate(value):
                want = tabulated[name][row, position + 1]
                compared += 1
                if not _is(node, float(want), got):
                    raise CertificateError(
                        f"Node {name!r} at position {position + 1} of {task!r}: the RASP "
                        f"interpreter says {got!r}, the table "
                        f"{_said(node, float(want))!r}."
                    )
    return compared


def _is(node: Node, want: float, got: Any) -> bool:
    """Whether what the interpreter says is what a node's table does."""
    if got is None or np.isnan(want):
        return got is None and bool(np.isnan(want))
    if node.numerical:
        return is_number(got) and abs(float(got) - want) < 1e-9 * max(1.0, abs(want))
    return same(_said(node, want), got)


def _said(node: Node, want: float) -> Value:
    if np.isnan(want) or node.numerical:
        return None if np.isnan(want) else want
    known = as_numbers(node.values)
    return node.values[int(np.abs(known - want).argmin())]
