"""What each node of a program holds on any input: the RASP program as tables, run by numpy.

Compiling tabulates the program (every function over its finite value set). This module runs the
tables on whole batches, with overrides, and never sees a weight; `planted.compiler.certify` checks
it
against Tracr's own RASP interpreter, node by node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Scalar = int | float | bool | str
Value = Scalar | tuple[Any, ...] | frozenset[Any] | None

NOTHING = -1  # the code of "no value here": BOS, a head that selects nothing, RASP's None
DEAD = -2  # in a table: the program's function raises there, and the input must not occur


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node of the tabulated program.

    Attributes:
        name: Unique name.
        op: What it does to its inputs.
        inputs: Names of the nodes it reads; keys before queries for a select.
        values: Its value set, in the order of its codes (empty for a select).
        table: map: code -> code, and last of one entry more what becomes of nothing; sequence_map:
            codes -> code, row by row; select: 1 where the query (column) attends to the key (row).
        shape: Shape of `table`.
        numerical: Whether it is held as one number instead of one direction a value.
        default: What a numerical aggregate gives when nothing is selected.
    """

    name: str
    op: Literal["tokens", "indices", "map", "sequence_map", "select", "aggregate", "width"]
    inputs: tuple[str, ...] = ()
    values: tuple[Any, ...] = ()  # of Value, whose tuples and sets msgspec cannot tell apart
    table: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()
    numerical: bool = False
    default: float | None = None


def as_numbers(values: tuple[Value, ...]) -> Floats:
    """A value set as floats; the places in the set where they are no numbers, or not distinct."""
    if all(isinstance(v, int | float) and _finite(v) for v in values):
        numbers = np.array([float(v) for v in values if isinstance(v, int | float)])
        if len(set(numbers.tolist())) == len(values):
            return numbers.astype(np.float64)
    return np.arange(len(values), dtype=np.float64)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an int that no float holds
        return False


def packed(value: Value) -> Any:
    """A value as JSON has it: what JSON lacks becomes an object of one entry."""
    if isinstance(value, tuple):
        return {"tuple": [packed(each) for each in value]}
    if isinstance(value, frozenset):
        return {"set": sorted((packed(each) for each in value), key=repr)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    return value


def unpacked(given: Any) -> Value:
    """What `packed` made JSON of.

    Raises:
        ValueError: If it is no such object.
    """
    if not isinstance(given, dict):
        return given  # type: ignore[no-any-return]
    match given:
        case {"tuple": [*parts]}:
            return tuple(unpacked(each) for each in parts)
        case {"set": [*parts]}:
            return frozenset(unpacked(each) for each in parts)
        case {"float": str(text)}:
            return float(text)
    raise ValueError(f"{given!r} is no value of a node")


def codes_of(operation: Operation, numbers: Floats, undefined: bool = False) -> Codes:
    """Codes of the values nearest to `numbers`; NaN becomes NOTHING, and others where `undefined`.

    Raises:
        ValueError: If a number is not in the node's value set.
    """
    known = as_numbers(operation.values)
    distance = np.abs(np.asarray(numbers, dtype=np.float64)[..., None] - known)
    codes = distance.argmin(axis=-1)
    near = np.take_along_axis(distance, codes[..., None], axis=-1)[..., 0]
    missing = np.isnan(numbers)
    wrong = ~missing & (near > 1e-6)
    if undefined:
        missing |= wrong
    elif wrong.any():
        raise ValueError(
            f"Node {operation.name!r} cannot hold {float(np.asarray(numbers)[wrong][0])!r}; "
            f"its values are {', '.join(str(v) for v in operation.values)}."
        )
    return np.where(missing, NOTHING, codes).astype(np.int64)


def evaluate(
    operations: tuple[Operation, ...],
    token_codes: Codes,
    overrides: Mapping[str, Floats] | None = None,
    causal: bool = False,
    undefined: bool = False,
) -> dict[str, Floats]:
    """The value of every node on every input.

    Long because it is one dispatch over the kinds of operation.

    Args:
        operations: The tabulated program, in topological order.
        token_codes: Codes of the tokens without BOS, [task, pos - 1].
        overrides: Values [task, pos - 1] that replace a node's own; NaN keeps its own.
        causal: Whether a position attends to itself and earlier ones alone.
        undefined: Whether a node may be given what its function raises for: it is NaN then.

    Returns:
        Node name -> float [task, pos - 1]; NaN where the node has no value.

    Raises:
        ValueError: If a value is not in its node's value set, or a function of the program is
            given what it raises for.
    """
    n, length = token_codes.shape
    beside = undefined  # numbers that no node can have, as means of what has no mean
    undefined = undefined or bool(overrides)  # an intervention can ask for anything
    past = np.tril(np.ones((length, length), dtype=bool))
    out: dict[str, Floats] = {}
    codes: dict[str, Codes] = {}
    selected: dict[str, npt.NDArray[np.bool_]] = {}
    by_name = {operation.name: operation for operation in operations}

    def code(name: str) -> Codes:
        if name not in codes:  # a numerical input: look its value up
            codes[name] = codes_of(by_name[name], out[name], beside)
        return codes[name]

    for operation in operations:
        name = operation.name
        table = np.array(operation.table, dtype=np.int64)
        if operation.shape:
            table = table.reshape(operation.shape)
        result: Codes | None = None
        if operation.op == "tokens":
            result = token_codes
        elif operation.op == "indices":
            result = np.broadcast_to(np.arange(length), (n, length)).astype(np.int64)
        elif operation.op == "map":
            source = code(operation.inputs[0])
            of_nothing = len(table) > len(by_name[operation.inputs[0]].values)
            empty = int(table[-1]) if of_nothing else NOTHING
            result = np.where(source >= 0, table[np.maximum(source, 0)], empty)
        elif operation.op == "sequence_map":
            x, y = code(operation.inputs[0]), code(operation.inputs[1])
            result = np.where(
                (x >= 0) & (y >= 0), table[np.maximum(x, 0), np.maximum(y, 0)], NOTHING
            )
        elif operation.op == "select":
            keys, queries = code(operation.inputs[0]), code(operation.inputs[1])
            said = table[np.maximum(keys, 0)[:, None, :], np.maximum(queries, 0)[:, :, None]]
            there = (keys >= 0)[:, None, :] & (queries >= 0)[:, :, None]
            if causal:
                there &= past
            if not undefined and (there & (said == DEAD)).any():
                raise ValueError(_dead(operation))
            selected[name] = there & (said == 1)  # [task, query, key]
            continue
        elif operation.op == "width":
            width = selected[operation.inputs[0]].sum(axis=2).astype(np.float64)
            result = codes_of(operation, width)
        elif operation.numerical:
            mask = selected[operation.inputs[0]]
            value = np.nan_to_num(out[operation.inputs[1]])
            count = mask.sum(axis=2)
            total = (mask * value[:, None, :]).sum(axis=2)
            default = 0.0 if operation.default is None else operation.default
            out[name] = np.where(count > 0, total / np.maximum(count, 1), default)
        else:  # a categorical aggregate passes on the value it selects
            mask = selected[operation.inputs[0]]
            value_codes = np.broadcast_to(code(operation.inputs[1])[:, None, :], mask.shape)
            low = np.where(mask, value_codes, np.iinfo(np.int64).max).min(axis=2)
            high = np.where(mask, value_codes, NOTHING).max(axis=2)
            result = np.where(mask.any(axis=2) & (low == high), high, NOTHING)
        if result is not None:
            if not undefined and (result == DEAD).any():
                raise ValueError(_dead(operation))
            result = np.maximum(result, NOTHING)
            known = as_numbers(operation.values)
            out[name] = np.where(result >= 0, known[np.maximum(result, 0)], np.nan)
            codes[name] = result
        if overrides and name in overrides:
            out[name] = np.where(np.isnan(overrides[name]), out[name], overrides[name])
            codes.pop(name, None)
    return out


def _dead(operation: Operation) -> str:
    return (
        f"Node {operation.name!r} is given what its function raises for, or is not said to occur: "
        f"values of {' and '.join(map(repr, operation.inputs))} in one of these tasks."
    )
