"""What a program does on a sample of tasks, where its functions alone do not say it.

Whether a head selects several values, and whether a function is given what it raises for, depends
on the tasks. The tables are run on a few hundred: what is seen there is compiled for, or refused
with the task.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from planted.compiler.items import Item
from planted.compiler.values import Raw, is_number, text
from planted.core.scenario import Tokens
from planted.core.semantics import Operation, as_numbers, evaluate
from planted.errors import CompileError

ALL = 256  # tasks of a length that are all looked at, else at most this many are drawn


def sample(n_words: int, length: int, seed: int = 0) -> list[Tokens]:
    """Codes of tasks [task, pos] without BOS, by length: all there are, or some, with repeats."""
    rng = np.random.default_rng(seed)
    found = []
    for n in sorted({1, 2, 3, length // 2, length - 1, length} & set(range(1, length + 1))):
        if n_words**n <= ALL:
            found.append(
                np.array(list(itertools.product(range(n_words), repeat=n)), dtype=np.int64)
            )
            continue
        most = max(8, ALL * 12 // max(12, length))
        tasks = rng.integers(0, n_words, size=(most, n))
        few = rng.integers(0, n_words, size=(most, 2))
        tasks[::3] = np.take_along_axis(few, rng.integers(0, 2, size=(most, n)), axis=1)[::3]
        found.append(tasks.astype(np.int64))
    return found


def averaging(items: Sequence[Item], tasks: Sequence[Tokens], causal: bool) -> set[str]:
    """Categorical aggregates of numbers that select several different ones in some task."""
    doubtful = [item for item in items if _may_average(item)]
    if not doubtful:
        return set()
    operations = tuple(item.operation() for item in items)
    counts = tuple(
        Operation(
            name=f"{item.name} *",  # no node is called so
            op="width",
            inputs=(item.reads[0].name,),
            values=tuple(range(max(tokens.shape[1] for tokens in tasks) + 1)),
        )
        for item in doubtful
    )
    found: set[str] = set()
    for tokens in tasks:
        values = evaluate(operations + counts, tokens, None, causal, undefined=True)
        for item in doubtful:
            several = values[f"{item.name} *"] > 1
            if (several & np.isnan(values[item.name])).any():
                found.add(item.of or item.name)
    return found


def _may_average(item: Item) -> bool:
    if item.op != "aggregate" or item.numerical:
        return False
    selector, moved = item.reads
    if not all(map(is_number, moved.values)):
        return False
    return selector.reads[0].op != "indices" or bool(((selector.table == 1).sum(axis=0) > 1).any())


def refuse_raising(
    items: Sequence[Item], words: Sequence[Raw], tasks: Sequence[Tokens], causal: bool
) -> None:
    """Refuses a program one of whose functions raises on a task.

    Raises:
        CompileError: Naming the node, the input and the task.
    """
    raising = [item for item in items if item.raised]
    if not raising:
        return
    operations = tuple(item.operation() for item in items)
    for tokens in tasks:
        values = evaluate(operations, tokens, None, causal, undefined=True)
        for item in raising:
            for codes, error in item.raised.items():
                point = tuple(
                    read.values[code] for read, code in zip(item.reads, codes, strict=True)
                )
                at = _where(item, codes, values, causal)
                if at is not None:
                    task = text(tuple(words[code] for code in tokens[at[0]]))
                    raise CompileError(
                        f"Node {item.name!r} {error.what} for "
                        f"{text(point[0]) if len(point) == 1 else text(point)}, which it is given "
                        f"at position {at[1] + 1} of {task}. {error.after}"
                    )


def _where(
    item: Item, codes: tuple[int, ...], values: dict[str, np.ndarray], causal: bool
) -> tuple[int, int] | None:
    """The task and position at which an item is given these codes; of a selector, the query's."""
    given = []
    for read, code in zip(item.reads, codes, strict=True):
        held = values[read.name]
        known = as_numbers(read.operation().values)
        given.append(np.isclose(held, known[code], rtol=0, atol=1e-9))
    if item.op == "select":
        both = given[0][:, None, :] & given[1][:, :, None]  # [task, query, key]
        if causal:
            both &= np.tril(np.ones(both.shape[1:], dtype=bool))
        there = both.any(axis=2)
    else:
        there = np.logical_and.reduce(given)
    found = np.argwhere(there)
    return (int(found[0][0]), int(found[0][1])) if len(found) else None
