"""An expression without an objective becomes a model: `planted.compile`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import numpy as np

from planted.compiler import guards
from planted.compiler.compile import compile_expression
from planted.compiler.expressions import verify
from planted.core.arguments import plain_name, whole
from planted.core.expression_tasks import ORIGIN, tasks_of
from planted.core.plant import Plant
from planted.core.semantics import Value
from planted.errors import CompileError, need
from planted.network.model import Model

LONGEST = 10**5  # positions; memory ends before
VERIFIED = 64  # tasks, at the longest length and at shorter ones, held to the RASP interpreter


def compile(
    expression: Any,
    vocabulary: Iterable[Value],
    length: int,
    *,
    causal: bool = False,
    exactness: float | None = None,
    tasks: Sequence[Sequence[Value]] | None = None,
    runtime: str = "numpy",
    name: str | None = None,
) -> Model:
    """Compiles a RASP expression into a model whose value at every node and position is known.

    It has no scenario and no objective: it cannot be trained or judged by planted, and serves tests
    that need a transformer with known answers. Every node is compared with Tracr's RASP interpreter
    on 64 tasks before it is returned.

    Args:
        expression: The expression; it is not changed.
        vocabulary: Tokens, without BOS; one text is a list of letters.
        length: The longest task, without BOS.
        causal: Whether a position attends to itself and earlier ones alone.
        exactness: Tracr's `mlp_exactness`; what the program needs if None.
        tasks: Tokens of each task, without BOS, all of one length, where the program is not meant
            for every task: what depends on tasks is looked for, and checked, on these alone.
        runtime: "numpy" or "torch".
        name: What it is called; the expression's own name if None.

    Returns:
        A model with `truth`, `expected`, `intervene`, `inputs`, `module` (torch) and `save`. Its
        logits are [task, pos, output], one output for each of `model.spec.outputs`, or one that is
        the number itself; tasks may be shorter than `length`.

    Raises:
        PlantedError: If the length or the name is not what it must be.
        CompileError: If the vocabulary is empty, or the expression cannot be compiled right.
        CertificateError: If a node differs from the RASP interpreter on a task.

    Example:
        >>> from tracr.compiler import lib
        >>> import planted
        >>> model = planted.compile(lib.make_hist(), "abc", 4, exactness=60)
        >>> tokens = model.scenario.encode(["abca", "bbbb"])
        >>> model.expected(model.output, tokens)[:, 1:]
        array([[2., 1., 1., 2.],
               [4., 4., 4., 4.]])
        >>> model.network(tokens).argmax(-1)[:, 1:]  # outputs are "0", "1", "2", "3", "4"
        array([[2, 1, 1, 2],
               [4, 4, 4, 4]])
    """
    need("tracr", "compile expressions")
    length = whole("length", length, 1, LONGEST)
    words = tuple(vocabulary)
    if not words:
        raise CompileError("The vocabulary is empty: it holds the tokens of a task, as 'abc'.")
    guards.require_expression(expression)
    named = plain_name("name", name or _name_of(expression), "histogram")
    more: dict[str, Any] = {"causal": True} if causal else {}
    if exactness is not None:
        more["exactness"] = exactness
    looked_at = _tasks(words, length)
    if tasks is not None:
        looked_at = [[tuple(task) for task in tasks]]
        more["tasks"] = tasks_of(words, length, named).encode(tasks)
    made = compile_expression(expression, ("BOS", *words), length, **more)
    compared = sum(verify(made, expression, each) for each in looked_at)
    chosen = {key: dict(getattr(made, key, {})) for key in ("exactness", "margins")}
    plant = Plant(
        name=named,
        tier="exact",
        kind="expression",
        mechanism="no search",
        answers="own",
        scenario=tasks_of(words, length, named),
        params=made.params,
        spec=msgspec.structs.replace(made.spec, everywhere=True),
        truth=made.truth,
        settings={
            "exactness": exactness,
            "causal": causal,
            **{k: v for k, v in chosen.items() if v},
        },
        certificate={"interpreter_values": compared},
        origin=ORIGIN,
    )
    return Model(plant, runtime)


def _name_of(expression: Any) -> str:
    """The expression's name, as far as it can be part of a file's name."""
    kept = "".join(c if c.isalnum() or c in "_.-" else "_" for c in str(expression.name))
    return kept.lstrip(".-") or "expression"


def _tasks(words: tuple[Value, ...], length: int) -> list[list[tuple[Value, ...]]]:
    """Tasks to verify on, of the longest length and of two shorter ones."""
    rng = np.random.default_rng(0)
    found = []
    for n, many in (
        (length, VERIFIED // 2),
        ((length + 1) // 2, VERIFIED // 4),
        (1, VERIFIED // 4),
    ):
        drawn = rng.integers(0, len(words), size=(many, n))
        found.append([tuple(words[i] for i in row) for row in drawn])
    return found
