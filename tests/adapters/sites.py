"""Reads and edits every hook point through a client, and holds it to planted's numpy runtime.

The runtime that is compared with is none of the client's: it shares no code with the torch module.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

import planted
from planted.core.hook_points import head_axis, hook_point_names

TOLERANCE = 1e-5  # times max(1, |value|)
CASES = [("red-doors", "exact"), ("red-doors", "tempered"), ("red-doors-small-table", "exact")]
N = 8


@dataclass(frozen=True)
class Client:
    """What a client does with a model; arrays in, arrays out.

    Attributes:
        name: The column of the table.
        read: tokens -> logits [task, output] and hook point -> value.
        edit: (tokens, hook point, value) -> logits [task, output] when the value stands there.
        in_place: The same, where the client's user writes into the value instead.
    """

    name: str
    read: Callable[[Any], tuple[Any, dict[str, Any]]]
    edit: Callable[[Any, str, Any], Any]
    in_place: Callable[[Any, str, Any], Any] | None = None


@dataclass(frozen=True)
class Row:
    """One hook point through one client.

    Attributes:
        client: Which.
        site: The hook point.
        read: Largest deviation of its value, in units of max(1, |value|).
        edited: Largest deviation of the logits after an edit, over returned and in-place edits.
        moved: Largest change of a logit that the edit makes.
    """

    client: str
    site: str
    read: float
    edited: float
    moved: float


def compared(name: str, tier: str, make: Callable[[Any], Client]) -> list[Row]:
    """A row for each hook point of a plant, and "logits", and keeps them where they are asked for.

    Args:
        name: The plant.
        tier: Its tier.
        make: Makes the client for the model.
    """
    model = planted.load(name, tier, runtime="torch")
    reference, client = planted.load(name, tier).network, make(model)
    tokens, other = (planted.load(name, tier).inputs(N, seed=seed) for seed in (1, 2))
    plain, wanted = reference.run_with_cache(tokens)
    _, source = reference.run_with_cache(other)
    logits, found = client.read(tokens)
    rows = [Row(client.name, "logits", deviation(logits, plain), 0.0, 0.0)]
    for site in hook_point_names(reference.n_layers):
        value = swapped(site, source[site])
        must = reference.run_with_hooks(tokens, {site: lambda _, value=value: value})
        edited = max(
            deviation(how(tokens, site, value), must)
            for how in (client.edit, client.in_place)
            if how is not None
        )
        moved = float(np.abs(must - plain).max(initial=0))
        rows.append(Row(client.name, site, deviation(found[site], wanted[site]), edited, moved))
    keep(rows)
    return rows


def swapped(site: str, value: Any) -> Any:
    """What is put at a hook point: another task's value, its positions in reverse."""
    return value if head_axis(site) == 1 else value[:, ::-1].copy()


def deviation(got: Any, want: Any) -> float:
    """Largest |got - want| / max(1, |want|); infinite where shapes differ."""
    got, want = (np.asarray(each, dtype=np.float64) for each in (got, want))
    if got.shape != want.shape:
        return float("inf")
    return float((np.abs(got - want) / np.maximum(1, np.abs(want))).max(initial=0))


def hold(rows: list[Row]) -> None:
    """Fails, naming the hook points, where a value or an edit is not planted's own."""
    wrong = [row for row in rows if not (row.read <= TOLERANCE and row.edited <= TOLERANCE)]
    assert not wrong, "\n".join(str(row) for row in wrong)
    acting = sum(row.moved > 0.1 for row in rows)
    assert acting > len(rows) / 3, "edits that change nothing would show nothing"


def keep(rows: list[Row]) -> None:
    """Adds rows to the file that `tools.clients` makes the table of."""
    if path := os.environ.get("PLANTED_SITES"):
        with Path(path).open("a") as file:
            file.writelines(json.dumps(asdict(row)) + "\n" for row in rows)


def kept(path: Path) -> Iterator[Row]:
    """The rows in such a file."""
    for line in path.read_text().splitlines():
        yield Row(**json.loads(line))
