"""Speed as ratios against the alternatives, measured in one run: writes docs/benchmark.md."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    + os.environ.get("XLA_FLAGS", "")
)

import jax
import jax.numpy as jnp
import numpy as np
import torch
from tracr.compiler import compiling

from planted import library
from planted.compiler.compile import TRACR_BOS, compile_program
from planted.network.forward import forward
from planted.programs import red_doors
from tools.bench_evidence import evidence_rows
from tools.bench_training import training_rows
from tools.provenance import commit
from tools.timing import PLANT, Row, flop, product_rate, products, seconds

torch.set_num_threads(1)


def stock_compile() -> str:
    """Source that times Tracr's own compile, in a process of its own."""
    return (
        "import time\n"
        "from tracr.compiler import compiling\n"
        "from planted.programs import red_doors as r\n"
        "place = r.scenario()\n"
        "start = time.perf_counter()\n"
        "compiling.compile_rasp_to_model(r.search(place).output, set(place.vocabulary[1:]), "
        "place.read_out)\n"
        "print(time.perf_counter() - start)\n"
    )


def own_compile() -> str:
    """Source that times ours, likewise."""
    return (
        "import time\n"
        "import tracr.compiler.compiling\n"
        "from planted.compiler.compile import compile_program\n"
        "from planted.programs import red_doors as r\n"
        "place = r.scenario()\n"
        "start = time.perf_counter()\n"
        "compile_program(r.search(place), place.vocabulary, 4, place.read_out)\n"
        "print(time.perf_counter() - start)\n"
    )


def in_fresh_process(source: str, repeats: int = 3) -> float:
    """Median of what a program prints about itself, each time in a new process."""
    found = [
        float(
            subprocess.run(
                [sys.executable, "-P", "-c", source], capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(repeats)
    ]
    return float(np.median(found))


def imports() -> list[Row]:
    """What a test suite pays to have a known transformer, against what importing torch costs."""

    def timed(source: str, before: str = "") -> float:
        clock = f"{before}\nimport time\nstart = time.perf_counter()\n{source}\n"
        return in_fresh_process(f"{clock}print(time.perf_counter() - start)", 7)

    torch_alone = timed("import torch")
    rows: list[Row] = []
    for what, source, before in (
        ("import planted", "import planted", ""),
        ("load a model, the first of a process", "planted.load('red-doors@1')", "import planted"),
        (
            "its torch module, the first of a process, torch imported",
            "model.module",
            "import planted, torch\nmodel = planted.load('red-doors@1', runtime='torch')",
        ),
    ):
        took = timed(source, before)
        rows.append(
            (
                f"{what}, against import torch",
                f"{took / torch_alone:.1%}",
                f"{took * 1e3:.0f} against {torch_alone * 1e3:.0f} ms",
            )
        )
    return rows


def main() -> None:
    """Measures, prints, and writes the page."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    rows: list[Row] = []
    large = jnp.ones((1024, 1024))
    square = 2.0 * 1024**3 / seconds(lambda: jax.block_until_ready(large @ large), 10)
    params = {name: jnp.asarray(value) for name, value in PLANT.params.items()}
    run = jax.jit(lambda params, tokens: forward(params, tokens, PLANT.spec, xp=jnp)[0])
    for batch in (32, 128, 512, 2048):
        shapes = products(batch)
        work, rate = flop(shapes), product_rate(shapes)
        tokens = PLANT.scenario.draw(np.random.default_rng(0), batch)
        by_jax = seconds(lambda t=tokens: jax.block_until_ready(run(params, t)), 10)
        by_numpy = seconds(lambda t=tokens: forward(PLANT.params, t, PLANT.spec), 5)
        rows.append(
            (
                f"forward, batch {batch}, against its matrix products run alone",
                f"jax {work / by_jax / rate:.0%}, numpy {work / by_numpy / rate:.0%}",
                f"products {rate / 1e9:.1f}, jax {work / by_jax / 1e9:.1f}, numpy "
                f"{work / by_numpy / 1e9:.1f} GFLOP/s; square matrices {square / 1e9:.0f}",
            )
        )
    rows += training_rows()
    rows += evidence_rows()
    rows += against_tracr()
    rows += imports()
    page = [
        "# Benchmark",
        "",
        f"Made by `make bench` at commit {commit()}, one core of {platform.machine()}, Python "
        f"{platform.python_version()}, jax {jax.__version__}, torch {torch.__version__}. Medians; "
        "ratios are within one run, absolute figures are of this machine.",
        "",
        "| what | ratio | figures |",
        "| --- | --- | --- |",
        *(f"| {a} | {b} | {c} |" for a, b, c in rows),
        "",
        "The products run alone are those of the pass, by jax in one program or by numpy shape by",
        "shape, whichever is faster. In the network they share operands, so that a pass can still",
        "come out above 100 %. The rest goes to softmax, ReLU,",
        "residual sums and copies, for the tensors are 84 wide and each product is followed by",
        "passes over memory; training adds the backward pass of these, and Adam over every",
        "parameter. Those of training are the products of the forward and the backward pass.",
        "",
        "Training is timed in chunks of 25 steps that are already compiled, tasks drawn before.",
        "Seeds are trained one after another, in one program here and in a loop in torch, so that",
        "torch is timed with one. Memory is what XLA states of the compiled chunk.",
    ]
    Path("docs/benchmark.md").write_text("\n".join(page) + "\n")
    print("\n".join(page))


def against_tracr() -> list[Row]:
    """Compile, load and run against stock Tracr."""
    stock, own = in_fresh_process(stock_compile()), in_fresh_process(own_compile())
    load = seconds(lambda: library.load("red-doors@1"))
    place = red_doors.scenario()
    compiled = compile_program(red_doors.search(place), place.vocabulary, 4, place.read_out)
    model = compiling.compile_rasp_to_model(
        red_doors.search(place).output, set(place.vocabulary[1:]), place.read_out
    )
    padded = sum(int(np.size(x)) for part in model.params.values() for x in part.values())
    trimmed = sum(int(value.size) for value in compiled.params.values())
    task = list(place.token_strings(place.draw(np.random.default_rng(0), 1))[0])
    apply = seconds(lambda: model.apply([TRACR_BOS, *task]), 3)
    tokens = place.draw(np.random.default_rng(0), 512)
    ours = seconds(lambda: forward(compiled.params, tokens, compiled.spec)) / 512
    return [
        (
            "compile, first in a process, against stock Tracr",
            f"{stock / own:.0f} ×",
            f"{own:.2f} against {stock:.2f} s",
        ),
        (
            "load a shipped model, against stock Tracr's compile",
            f"{stock / load:.0f} ×",
            f"{load * 1e3:.1f} ms against {stock:.2f} s",
        ),
        (
            "one task, in a batch of 512 by numpy, against Tracr's apply",
            f"{apply / ours:.0f} ×",
            f"{ours * 1e6:.0f} µs against {apply * 1e3:.0f} ms",
        ),
        ("parameters that trimming leaves", f"{trimmed / padded:.0%}", f"{trimmed} of {padded}"),
    ]


if __name__ == "__main__":
    main()
