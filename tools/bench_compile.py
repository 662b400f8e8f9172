"""Compile time and size of every plant beside stock Tracr: writes docs/benchmark-compile.md."""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from tracr.compiler import compiling

from planted.compiler.compile import Compiled, compile_program
from planted.core.spec import heads_per_layer, n_layers
from planted.network import surgery
from planted.network.forward import forward
from planted.programs import catalogue, mechanisms
from planted.programs.catalogue import Entry
from planted.programs.menu import Context, Menu, Objective, figure, words_of
from tools.provenance import commit

SHOWN = ("red-doors", "crumbs-amortised", "wiping", "delegation", "grid-doors")
BATCH = 512


@dataclass(frozen=True)
class Row:
    """One plant: seconds of both compilers, and what trimming leaves."""

    name: str
    own: float
    stock: float | None
    trimmed: int
    padded: int


def timed(work: Callable[[], Any], repeats: int = 1) -> float:
    """Shortest wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def compile_entry(entry: Entry) -> Compiled:
    """What planting compiles, expressions built anew."""
    place = entry.make_scenario()
    return compile_program(
        entry.program(place), place.vocabulary, len(place.candidates), place.read_out
    )


def by_stock(entry: Entry) -> float | None:
    """Seconds of Tracr's own compiler; None where it crashes."""
    place = entry.make_scenario()
    program = entry.program(place)
    start = time.perf_counter()
    try:
        compiling.compile_rasp_to_model(program.output, set(place.vocabulary[1:]), place.read_out)
    except ValueError:  # a value wider than any key: Tracr sizes heads by keys alone
        return None
    return time.perf_counter() - start


def padded_shapes(made: Compiled) -> dict[str, tuple[int, ...]]:
    """Tracr's shapes: every layer as wide as the widest."""
    heads = max(heads_per_layer(made.params))
    size = max(value.shape[2] for name, value in made.params.items() if name.endswith("W_Q"))
    neurons = max(value.shape[1] for name, value in made.params.items() if name.endswith("W_in"))
    width = made.params["embed.W_E"].shape[1]
    shapes = surgery.shapes(made.params)
    for layer in range(n_layers(made.params)):
        at = f"blocks.{layer}."
        shapes |= {f"{at}attn.W_{x}": (heads, width, size) for x in "QKV"}
        shapes |= {f"{at}attn.b_{x}": (heads, size) for x in "QKV"}
        shapes |= {at + "attn.W_O": (heads, size, width)}
        shapes |= {at + "mlp.W_in": (width, neurons), at + "mlp.b_in": (neurons,)}
        shapes |= {at + "mlp.W_out": (neurons, width)}
    return shapes


def measured(entry: Entry) -> Row:
    """Both compilers on one plant."""
    made = compile_entry(entry)
    own = timed(lambda: compile_entry(entry), 3)
    padded = sum(int(np.prod(shape)) for shape in padded_shapes(made).values())
    trimmed = sum(int(value.size) for value in made.params.values())
    return Row(entry.name, own, by_stock(entry), trimmed, padded)


def speed(name: str) -> str:
    """How much faster the trimmed network runs than the padded one, side by side."""
    entry = catalogue.entry(name)
    place, made = entry.make_scenario(), compile_entry(entry)
    wide, spec, _ = surgery.pad(
        made.params, made.spec, made.truth, padded_shapes(made), made.spec.attn_scale,
        made.spec.outputs,
    )  # fmt: skip
    tokens = place.draw(np.random.default_rng(0), BATCH)
    np.testing.assert_allclose(
        forward(wide, tokens, spec)[0], forward(made.params, tokens, made.spec)[0], atol=1e-4
    )
    ours = timed(lambda: forward(made.params, tokens, made.spec), 5)
    theirs = timed(lambda: forward(wide, tokens, spec), 5)
    return f"{name} {theirs / ours:.1f} × ({theirs * 1e3:.0f} against {ours * 1e3:.0f} ms)"


def grown(slots: int, levels: int, stateful: bool) -> str:
    """Compile time and size of a search over this many candidates and words."""
    contexts = (Context("want", ("first", "second")),) if stateful else ()

    def value(word: str, state: Any) -> float:
        return figure(word, 2 if stateful and state[0] == "second" else 1)

    menu = Menu(
        name="growth", title="Growth", story="", source="", words=words_of("thing", levels, 2),
        slots=slots, mesa=Objective("a", value), base=Objective("b", lambda w, _: figure(w, 2)),
        contexts=contexts,
    )  # fmt: skip
    place = menu.scenario()

    def work() -> Compiled:
        program = mechanisms.search(menu)
        return compile_program(program, place.vocabulary, slots, place.read_out)

    made = work()
    size = sum(int(value.size) for value in made.params.values())
    return (
        f"| {2 * levels} | {slots} | {'yes' if stateful else 'no'} | {timed(work, 3):.2f} | "
        f"{n_layers(made.params)} | {made.params['embed.W_E'].shape[1]} | {size} |"
    )


def main() -> None:
    """Measures, prints and writes the page."""
    cold = timed(lambda: compile_entry(catalogue.entry("red-doors")))
    rows = []
    for entry in catalogue.ENTRIES.values():
        rows.append(measured(entry))
        print(rows[-1], file=sys.stderr, flush=True)
    slowest = max(rows, key=lambda row: row.own)
    known = [row for row in rows if row.stock]
    ratios = sorted(row.stock / row.own for row in known if row.stock)
    page = [
        "# Benchmark: compiling",
        "",
        f"Made by `make bench` at commit {commit()}, one core of {platform.machine()}, Python "
        f"{platform.python_version()}. Own: shortest of three after one; stock: Tracr's "
        "`compile_rasp_to_model` once, after all that ours needs is imported and JAX is warm. Both "
        "build the program anew.",
        "",
        f"The slowest of {len(rows)} programs compiles in {slowest.own:.2f} s ({slowest.name}); "
        f"the first one in a process in {cold:.2f} s, imports included. Stock Tracr takes "
        f"{ratios[0]:.0f} to {ratios[-1]:.0f} times as long, in the median "
        f"{ratios[len(ratios) // 2]:.0f}, and crashes on {len(rows) - len(known)}.",
        "",
        f"Trimmed weights keep {sum(r.trimmed for r in rows) / sum(r.padded for r in rows):.0%} of "
        "the parameters that Tracr pads to. Forward pass by numpy, batch "
        f"{BATCH}, against the padded network: {'; '.join(speed(name) for name in SHOWN)}.",
        "",
        "## Growth",
        "A search whose scores are a table over the words (and, with context, over words and "
        "state); seconds to compile.",
        "",
        "| words | slots | context | s | layers | d_model | parameters |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(grown(4, levels, stateful) for stateful in (False, True) for levels in (4, 8, 16, 32)),
        *(grown(slots, 8, stateful) for stateful in (False, True) for slots in (8, 12, 16)),
        "",
        "## Every program",
        "| plant | own, s | stock, s | ratio | parameters | of padded |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {r.name} | {r.own:.3f} | "
            + (f"{r.stock:.1f} | {r.stock / r.own:.0f} × | " if r.stock else "crashes | – | ")
            + f"{r.trimmed} | {r.trimmed / r.padded:.0%} |"
            for r in rows
        ),
    ]
    Path("docs/benchmark-compile.md").write_text("\n".join(page) + "\n")
    print("\n".join(page))


if __name__ == "__main__":
    main()
