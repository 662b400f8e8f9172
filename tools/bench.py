"""Speed as ratios against the alternatives, measured in one run: writes docs/benchmark.md."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
from planted.core.spec import n_layers
from planted.finetune import loop, trainer
from planted.finetune.data import batches
from planted.finetune.recipes import Recipe
from planted.network.forward import forward
from planted.network.torch_module import PlantedTransformer
from planted.programs import red_doors

torch.set_num_threads(1)
PLANT = library.get("red-doors", "tempered")
STEPS = 50


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """Median wall time of one call, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def products(batch: int) -> tuple[list[tuple[int, int, int]], float]:
    """Shapes (rows, inner, columns) of the forward pass's weight products, and their FLOP."""
    everywhere = batch * PLANT.scenario.n_positions
    last = f"blocks.{n_layers(PLANT.params) - 1}."
    shapes: list[tuple[int, int, int]] = []
    for name, value in PLANT.params.items():
        part = name.rsplit(".", 1)[1]
        # The last block asks at the read-out alone; its keys and values are needed everywhere.
        rows = batch if name.startswith(last) and part not in ("W_K", "W_V") else everywhere
        if part in ("W_Q", "W_K", "W_V") and value.size:
            shapes.append((rows, value.shape[1], value.shape[0] * value.shape[2]))
        elif part == "W_O" and value.size:
            shapes.append((rows, value.shape[0] * value.shape[1], value.shape[2]))
        elif part in ("W_in", "W_out"):
            shapes.append((rows, *value.shape))
    return shapes, sum(2.0 * a * b * c for a, b, c in shapes)


def product_rate(shapes: list[tuple[int, int, int]]) -> float:
    """FLOP/s of these products run alone by jax, one after another, in one jitted program."""
    rng = np.random.default_rng(0)
    pairs = [
        (
            jnp.asarray(rng.normal(size=(a, b)), jnp.float32),
            jnp.asarray(rng.normal(size=(b, c)), jnp.float32),
        )
        for a, b, c in shapes
    ]
    run = jax.jit(lambda pairs: [x @ w for x, w in pairs])
    work = sum(2.0 * a * b * c for a, b, c in shapes)
    return work / seconds(lambda: jax.block_until_ready(run(pairs)), 20)


def training_rate(batch: int) -> float:
    """Training steps a second of one seed: a whole chunk, its tasks included."""
    settings = Recipe("pressure", batch=batch).settings
    job = loop.job_of(PLANT, settings)
    state = trainer._State(0, PLANT.params, loop.first_state(job, PLANT.params, 0), 0, [])
    return STEPS / seconds(lambda: trainer._advance(PLANT, job, [state], 0), 3)


def torch_rate(batch: int, fused: bool) -> float:
    """Steps a second of a plain torch loop on the same network, tasks and loss."""
    settings = Recipe("pressure", batch=batch).settings
    tokens, values = (torch.from_numpy(x) for x in batches(PLANT.scenario, settings, 0, 0))
    labels = values.argmax(dim=-1)
    module = PlantedTransformer.from_params(PLANT.params, PLANT.spec).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3, fused=fused)

    def loop() -> None:
        for task, wanted in zip(tokens, labels, strict=True):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(module(task) * settings.logit_scale, wanted)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
            optimizer.step()

    return STEPS / seconds(loop, 3)


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


def main() -> None:
    """Measures, prints, and writes the page."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    rows: list[tuple[str, str, str]] = []
    large = jnp.ones((1024, 1024))
    square = 2.0 * 1024**3 / seconds(lambda: jax.block_until_ready(large @ large), 10)
    params = {name: jnp.asarray(value) for name, value in PLANT.params.items()}
    run = jax.jit(lambda params, tokens: forward(params, tokens, PLANT.spec, xp=jnp)[0])
    for batch in (32, 128, 512, 2048):
        shapes, work = products(batch)
        rate = product_rate(shapes)
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
    for batch in (32, 128, 512):
        shapes, work = products(batch)
        rate = product_rate(shapes)
        ours = training_rate(batch)
        plain, fused = torch_rate(batch, False), torch_rate(batch, True)
        rows.append(
            (
                f"training, batch {batch}, against its matrix products run alone",
                f"{3 * work * ours / rate:.0%}",
                f"{3 * work * ours / 1e9:.1f} of {rate / 1e9:.1f} GFLOP/s (a step is three passes)",
            )
        )
        rows.append(
            (
                f"training, batch {batch}, against a plain torch loop",
                f"{ours / plain:.1f} × (fused Adam {ours / fused:.1f} ×)",
                f"{ours:.0f} against {plain:.0f} and {fused:.0f} steps/s, one core each",
            )
        )
    rows += against_tracr()
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
        "The products run alone each read operands of their own; in the network they share",
        "them, so that a forward pass can come out above 100 %. The rest goes to softmax, ReLU,",
        "residual sums and copies, for the tensors are 84 wide and each product is followed by",
        "passes over memory; training adds the backward pass of these, and Adam over every",
        "parameter.",
    ]
    Path("docs/benchmark.md").write_text("\n".join(page) + "\n")
    print("\n".join(page))


def against_tracr() -> list[tuple[str, str, str]]:
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


def commit() -> str:
    """Short hash of the commit."""
    return (
        subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
        ).stdout.strip()
        or "unknown"
    )


if __name__ == "__main__":
    main()
