"""Plants and proves the whole catalogue, and times it from the cache: writes docs/catalogue.md."""

import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from planted import library
from planted.compiler import certify
from planted.core import artefact, objectives
from planted.core.sampling import disagree
from planted.core.spec import n_layers
from planted.network import effects
from planted.programs import catalogue
from tools.provenance import commit

INTERPRETED = 2000
RESAMPLED = 50
SIZE_BUDGET = 10**9  # multiply-adds of the certificate of a size: 5 000 inputs, or all there are
COLUMNS = {
    "plant": "name",
    "kind": "kind",
    "mechanism": "mechanism",
    "twin of": "twin",
    "layers": "layers",
    "d_model": "width",
    "parameters": "parameters",
    "circuit": "circuit",
    "inputs": "inputs",
    "errors <": "bound",
    "margin": "margin",
    "Δ": "delta",
    "ρ": "rho",
    "floor": "floor",
    "weights": "digest",
}


def plant(name):
    """Compiles one plant, certifies it and keeps it: seconds."""
    start = time.perf_counter()
    library.get(name)
    return time.perf_counter() - start


def plant_size(name):
    """The same for a size, on fewer inputs: there are three hundred and more of them."""
    certify.BUDGET = SIZE_BUDGET
    return plant(name)


def described(name):
    """What the table says of one plant."""
    entry, made = catalogue.entry(name), library.get(name)
    scenario, certificate = made.scenario, made.certificate
    drawn = scenario.draw(np.random.default_rng(3), 20_000)
    mesa, base = scenario.mesa.of(drawn), scenario.base.of(drawn)
    floor = objectives.floor(mesa, base)
    return {
        "name": made.name,
        "family": entry.family or entry.name,
        "kind": made.kind,
        "mechanism": made.mechanism,
        "twin": entry.twin_of + (" (in training)" if entry.twin_on == "training" else ""),
        "layers": n_layers(made.params),
        "width": made.params["embed.W_E"].shape[1],
        "parameters": sum(int(value.size) for value in made.params.values()),
        "circuit": len(made.truth.circuit_components),
        "attention": any(".attn." in unit for unit in made.truth.circuit_components),
        "inputs": f"all {certificate['n']}" if certificate["exhaustive"] else certificate["n"],
        "checked": certificate["n"],
        "mismatches": certificate["mismatches"],
        "bound": 0 if certificate["exhaustive"] else f"{certificate['error_rate_below']:.1e}",
        "margin": f"{certificate['least_margin']:.4f}",
        "delta": f"{disagree(scenario, drawn).mean():.0%}",
        "rho": f"{objectives.correlation(mesa, base):.2f}",
        "floor": "–" if floor == 1 else f"{floor:.3f}",
        "digest": artefact.params_digest(made.params)[:12],
    }


def proved(name):
    """More than planting proves: node by node by the interpreter, edge by edge by intervention."""
    entry, made = catalogue.entry(name), library.get(name)
    tokens, _ = certify.inputs_of(made, INTERPRETED, seed=2)
    if len(tokens) > INTERPRETED:
        tokens = np.random.default_rng(2).choice(tokens, INTERPRETED, replace=False)
    words = made.scenario.token_strings(tokens)
    values = certify.interpret(entry.program(made.scenario), made.truth, words)
    _, edges = effects.effects(made, RESAMPLED)
    return {
        "tasks": len(tokens),
        "values": values,
        "edges": len(edges),
        "resampled": sum(edge.certified for edge in edges),
    }


def main():
    names = list(catalogue.ENTRIES)
    sized = [f"{name}.{size}" for name in names for size in catalogue.ENTRIES[name].sizes]
    with tempfile.TemporaryDirectory() as cache:
        os.environ["PLANTED_CACHE"] = cache
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            start = time.perf_counter()
            took = each(pool, plant, names)
            seconds = {"cold": time.perf_counter() - start}
            proofs = each(pool, proved, names)
            start = time.perf_counter()
            took += each(pool, plant_size, sized)
            seconds |= {"sizes": time.perf_counter() - start, "slowest": max(took)}
            rows = each(pool, described, [*names, *sized])
        start = time.perf_counter()
        for name in catalogue.ENTRIES:
            library.get(name)
        seconds["warm"] = time.perf_counter() - start
    page = written(rows, proofs, seconds)
    Path("docs/catalogue.md").write_text(page)
    print(page)


def each(pool, work, every):
    """The results in order, with a line of progress each."""
    found = []
    for name, done in [(name, pool.submit(work, name)) for name in every]:
        found.append(done.result())
        print(work.__name__, name, file=sys.stderr, flush=True)
    return found


def written(rows, proofs, seconds):
    """The page."""
    cells = {(row["family"], row["kind"], row["mechanism"]) for row in rows}
    families = dict.fromkeys(row["family"] for row in rows)
    total = {key: sum(proof[key] for proof in proofs) for key in proofs[0]}
    lines = [
        "# The catalogue",
        "",
        f"Made by `make certify` at commit {commit()}. {len(rows)} plants: "
        f"{len(proofs)}, and sizes of them; {len(cells)} distinct (family, kind, mechanism) "
        f"cells in {len(families)} families.",
        "",
        f"- **Outputs** of all: {sum(row['checked'] for row in rows)} inputs against plain-Python "
        f"oracles, {sum(row['mismatches'] for row in rows)} mismatches.",
        f"- **Nodes** of the {len(proofs)}: {total['values']} values on {total['tasks']} tasks "
        f"({INTERPRETED} a plant, or all) against Tracr's RASP interpreter: all equal.",
        f"- **Edges** of the {len(proofs)}: {total['edges']}, each found in the weights and "
        f"resampled on {RESAMPLED} tasks of {effects.DISTRIBUTION}; wherever the program has an "
        f"answer to that ({total['resampled']} tasks), the network gives it.",
        f"- **Attention** in the circuit of {sum(row['attention'] for row in rows)} of "
        f"{len(rows)}.",
        f"- **Time** on two cores: {len(proofs)} plants cold, with certificates, in "
        f"{seconds['cold']:.0f} s; their {len(rows) - len(proofs)} sizes in "
        f"{seconds['sizes']:.0f} s (the slowest plant {seconds['slowest']:.0f} s); the "
        f"{len(proofs)} from the cache in {seconds['warm']:.1f} s.",
        "",
        "circuit: heads and MLPs on which the logits depend; errors <: the 95 % bound on the error "
        "rate that the inputs prove; Δ, ρ and floor on 20 000 tasks of D_ref (floor: the largest "
        "share of the way from u_m to u_b, both normalised, that changes no choice); weights: how "
        "their SHA-256 begins.",
    ]
    names = list(COLUMNS)
    for family in families:
        lines += ["", f"## {family}", f"| {' | '.join(names)} |", "| --- " * len(names) + "|"]
        lines += [
            "| " + " | ".join(str(row[COLUMNS[name]]) for name in names) + " |"
            for row in rows
            if row["family"] == family
        ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
