"""Circuits in the JSON of the MIB benchmark's circuit track and of the package EAP-IG, in and out.

Their file has the keys "cfg" (n_layers, n_heads, parallel_attn_mlp, d_model), "nodes" and "edges";
an edge is named "a0.h1->m2" or "m0->a1.h0<q>" and has a score and whether it is in the circuit
(`Graph.to_json` of github.com/hannamw/EAP-IG, read at commit 795f560). Two things differ from links
(`planted.core.circuit`): there is one input where a plant has two embeddings, and every block has
equally many heads.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from planted.core import files
from planted.core.circuit import EMBEDDINGS, LOGITS, Link, links
from planted.errors import PlantedError

INPUT = "input"


def name_of(component: str) -> str:
    """A writer's name there: "input", "a1.h0" or "m2"."""
    if component in EMBEDDINGS:
        return INPUT
    _, layer, place = component.split(".", 2)
    head = place.rpartition(".")[2]
    return f"a{layer}.h{head}" if place.startswith("attn.") else f"m{layer}"


def edge_of(link: Link) -> str:
    """A link's name there, as "m0->a1.h0<q>"."""
    writer, reader = link
    if reader == LOGITS:
        return f"{name_of(writer)}->{LOGITS}"
    _, layer, place = reader.split(".", 2)
    if place == "hook_mlp_in":
        return f"{name_of(writer)}->m{layer}"
    site, _, head = place.rpartition(".")
    return f"{name_of(writer)}->a{layer}.h{head}<{site[-1]}>"


def write(
    path: str | Path, module: Any, scores: Mapping[Link, float], circuit: Collection[Link] = ()
) -> None:
    """Writes scores of links, and which of them are in the circuit.

    The score of an edge from the input is the sum over both embeddings, as it is for methods that
    are linear in the change of the input. Heads that a block lacks beside the widest one have no
    edges in the file; a reader that makes them finds them outside the circuit. What `read` gave is
    written as it was.

    Args:
        path: Of the JSON file.
        module: The network (numpy or torch), for its shape.
        scores: (writer, reader) -> score; links without one have 0.
        circuit: The links in the circuit.

    Raises:
        PlantedError: If a link is none of the network's or its score no finite number, or if there
            are neither scores nor a circuit.
    """
    known = links(module.components)
    _check(known, scores, circuit)
    heads = [int(n.rpartition(".")[2]) + 1 for n in module.components if n[-1].isdigit()]
    edges: dict[str, dict[str, Any]] = {}
    for link in known:
        row = edges.setdefault(edge_of(link), {"score": 0.0, "in_graph": False})
        row["score"] += float(scores.get(link, 0.0))
        row["in_graph"] |= link in set(circuit)
    used = {end for name, row in edges.items() if row["in_graph"] for end in _ends(name)}
    nodes = dict.fromkeys([INPUT, *map(name_of, module.components), LOGITS])
    files.write_json(
        Path(path),
        {
            "cfg": {
                "n_layers": module.n_layers,
                "n_heads": max(heads, default=0),
                "parallel_attn_mlp": False,
                "d_model": int(_width(module)),
            },
            "nodes": {name: {"in_graph": name in used} for name in nodes},
            "edges": edges,
        },
    )


def _check(known: Sequence[Link], scores: Mapping[Link, float], circuit: Collection[Link]) -> None:
    """Refuses what makes no file: other networks' links, scores that are no numbers, nothing.

    Raises:
        PlantedError: Naming the link.
    """
    for link in (*scores, *circuit):
        if link not in known:
            raise PlantedError(f"{link!r} is no link of this network. One is {known[-1]!r}.")
    for link, score in scores.items():
        if not _is_finite(score):
            raise PlantedError(
                f"Edge {edge_of(link)!r}, of {link!r}, has the score {score!r}, no finite number."
            )
    if not scores and not circuit:
        raise PlantedError(
            "There is nothing to write: no link has a score and none is in the circuit. Scores "
            f"are given as {{{known[-1]!r}: 1.0}}, which is edge {edge_of(known[-1])!r} there."
        )


def _is_finite(score: object) -> bool:
    """Whether it is a number, of Python's or numpy's, that JSON can hold."""
    if isinstance(score, bool) or not isinstance(score, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(score))


def _width(module: Any) -> int:
    params = module.params if hasattr(module, "params") else module.to_params()
    return int(params["embed.W_E"].shape[1])


def _ends(name: str) -> Iterable[str]:
    writer, _, reader = name.partition("->")
    return writer, reader.partition("<")[0]


def read(path: str | Path, module: Any) -> tuple[dict[Link, float], set[Link]]:
    """The scores of links, and the links in the circuit, that such a file holds.

    Of an edge from the input, which stands for both embeddings, the tokens' has the score and the
    positions' 0, so that they add up to it again: what changes from a task to another is the
    tokens. In the circuit are both. Edges of heads that the network does not have are passed over,
    if they are outside the circuit.

    Args:
        path: Of the JSON file.
        module: The network (numpy or torch) that it is about.

    Raises:
        ArtefactError: If the file is missing or not JSON.
        PlantedError: If it is no such file, or has an edge that the network does not have, or one
            without a score.
    """
    content = files.read_json(Path(path))
    edges = content.get("edges") if isinstance(content, dict) else None
    if not isinstance(edges, dict):
        raise PlantedError(f"{path} has no 'edges': it is no circuit of MIB's or of EAP-IG.")
    place: dict[str, list[Link]] = {}
    for link in links(module.components):
        place.setdefault(edge_of(link), []).append(link)
    scores: dict[Link, float] = {}
    circuit: set[Link] = set()
    for name, row in edges.items():
        if not isinstance(row, dict):
            raise PlantedError(f"{path}: edge {name!r} is {row!r}, not its score and in_graph.")
        if "score" not in row:
            raise PlantedError(f"{path}: edge {name!r} has no score.")
        score = row["score"]
        if not _is_finite(score):
            raise PlantedError(f"{path}: edge {name!r} has the score {score!r}, no finite number.")
        if name not in place and (row.get("in_graph") or score):
            raise PlantedError(
                f"{path}: edge {name!r} is none of this network's, which has {len(place)}, as "
                f"{next(iter(place))!r}. Is it a circuit of another model?"
            )
        for i, link in enumerate(place.get(name, ())):
            scores[link] = 0.0 if i else float(score)  # of two embeddings the tokens' is first
            if row.get("in_graph"):
                circuit.add(link)
    return scores, circuit
