"""Breaks weights one by one: is every changed answer caught? Writes docs/mutants.md."""

import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from planted import library
from planted.compiler import certify
from planted.errors import CertificateError
from planted.network.forward import choices_of
from planted.programs import catalogue
from tools.provenance import commit

WHOLE = ("red-doors", "red-doors-small", "red-doors-small-table")  # every weight; others a sample
SAMPLE = 80
INPUTS = 1000
NODES = 200  # inputs on which nodes are compared where no answer changed


def mutate(name):
    """What becomes of one plant's weights: counts."""
    plant = library.get(name)
    tokens, _ = certify.inputs_of(plant, INPUTS)
    rng = np.random.default_rng(0)
    if len(tokens) > INPUTS:
        tokens = rng.choice(tokens, INPUTS, replace=False)
    own = choices_of(plant.params, plant.spec, tokens)
    where = [(key, at) for key, w in sorted(plant.params.items()) for at in np.argwhere(w)]
    n_weights = len(where)
    if name not in WHOLE and len(where) > SAMPLE:
        where = [where[i] for i in rng.choice(len(where), SAMPLE, replace=False)]
    counts = {"changed": 0, "caught": 0, "still": 0, "by node": 0}
    for key, at in where:
        for factor in (0, -1):
            weight = plant.params[key].copy()
            weight[tuple(at)] *= factor
            mutant = replace(plant, params={**plant.params, key: weight})
            changed = bool((choices_of(mutant.params, plant.spec, tokens) != own).any())
            counts["changed" if changed else "still"] += 1
            if changed:
                counts["caught"] += refused(mutant, tokens, nodes=False)
            else:
                counts["by node"] += refused(mutant, tokens[:NODES], nodes=True)
    return {"name": plant.name, "weights": n_weights, "tried": 2 * len(where), **counts}


def refused(mutant, tokens, *, nodes):
    """Whether the certificate refuses it."""
    try:
        found = certify.certify(mutant, tokens, nodes=nodes)
        if nodes:
            certify.require_exact(mutant, found)
    except CertificateError:
        return True
    return nodes and any(node["wrong"] for node in found["nodes"].values())


def main():
    canonical = {entry.family or name: name for name, entry in reversed(catalogue.ENTRIES.items())}
    names = list(dict.fromkeys([*WHOLE, *canonical.values()]))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        rows = []
        for done in [pool.submit(mutate, name) for name in names]:
            rows.append(done.result())
            print(rows[-1], file=sys.stderr, flush=True)
    total = {key: sum(row[key] for row in rows) for key in rows[0] if key != "name"}
    missed = total["changed"] - total["caught"]
    lines = [
        "# Mutants",
        "",
        f"Made by `make mutants` at commit {commit()}. A weight that is not zero is set "
        f"to zero, or its sign is flipped: every one of {', '.join(WHOLE)}, and {SAMPLE} drawn "
        f"weights of one plant of every other family. Of {total['tried']} mutants "
        f"{total['changed']} change an answer on {INPUTS} certified inputs; the certificate misses "
        f"{missed} of these. {total['still']} change none: of them it still refuses "
        f"{total['by node']}, because a node no longer holds its code ({NODES} inputs).",
        "",
        "| plant | weights | mutants | change an answer | caught | change none | of them refused |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(
            f"| {r['name']} | {r['weights']} | {r['tried']} | {r['changed']} | {r['caught']} | "
            f"{r['still']} | {r['by node']} |"
            for r in rows
        ),
    ]
    Path("docs/mutants.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
