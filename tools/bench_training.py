"""Training: its rate against torch and against its matrix products, memory, compilations.

`tools.bench` writes these rows to docs/benchmark.md. Alone, this prints them:
`python -m tools.bench_training --seeds 1 8 --batches 32 128`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = (
    "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
    + os.environ.get("XLA_FLAGS", "")
)

import jax
import numpy as np
import torch

from planted.finetune import loop, trainer, watch
from planted.finetune.data import CHUNK, batch_of, batches
from planted.finetune.recipes import Recipe
from planted.finetune.signals import Batch
from planted.network.torch_module import PlantedTransformer
from tools.timing import PLANT, Row, backward, flop, product_rate, products, seconds

SEEDS, BATCHES = (1, 8, 32), (32, 128, 512)
REPEATS = 3
COMPILED = "/jax/core/compile/backend_compile_duration"  # reported once for each compilation


@dataclass
class Group:
    """Seeds that are trained together, between two chunks.

    Attributes:
        job: What they have in common.
        starts: Parameters of the networks that training started from [seed, parameter].
        vectors: Trained tensors [seed, entry].
        states: The signal's state of each seed.
        batches: The tasks of one chunk, used again in each.
    """

    job: loop.Job
    starts: Any
    vectors: Any
    states: Sequence[Any]
    batches: Batch

    @classmethod
    def of(cls, n_seeds: int, batch: int) -> Group:
        """Seeds 0 to n_seeds - 1 before their first step."""
        settings = Recipe("pressure", batch=batch).settings
        job = loop.job_of(PLANT, settings)
        starts = np.stack([loop.flat(PLANT.params)] * n_seeds)
        drawn = [batches(PLANT.scenario, settings, seed, 0) for seed in range(n_seeds)]
        tokens, values = (np.stack(parts) for parts in zip(*drawn, strict=True))
        states = [loop.first_state(job, PLANT.params, seed) for seed in range(n_seeds)]
        tasks = batch_of(PLANT.scenario, settings, tokens, values)
        return cls(job, starts, starts, states, tasks)

    def advance(self) -> None:
        """One chunk of steps."""
        seeds = range(len(self.starts))
        after = loop.advance(
            self.job, self.starts, self.vectors, self.states, self.batches, seeds, 0
        )
        self.vectors, self.states = after.vectors, after.states

    def memory(self) -> tuple[int, int]:
        """Bytes of the compiled chunk: arguments and results, and what it needs in between."""
        job, settings = self.job, self.job.settings
        constants: Any = loop._compiled_in(settings)
        signal: Any = job.signal
        run: Any = loop._program(job.layout, job.free, job.spec, constants, signal)
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *self.states)
        numbers = np.arange(len(self.starts), dtype=np.uint32)
        rate = loop.rates(settings, 0, CHUNK)
        scalars = {name: np.float32(getattr(settings, name)) for name in loop.TRACED}
        lowered = run.lower(
            self.starts, self.vectors, stacked, self.batches, numbers, np.uint32(0), job.mask,
            rate, scalars,
        )  # fmt: skip
        found = lowered.compile().memory_analysis()
        outside = found.argument_size_in_bytes + found.output_size_in_bytes
        return outside, found.temp_size_in_bytes


def planted_rate(group: Group) -> float:
    """Seed-steps a second of `loop.advance`, compiled."""
    return len(group.starts) * CHUNK / seconds(group.advance, REPEATS)


def whole_rate(batch: int) -> float:
    """Steps a second of one seed with all that belongs to a chunk: its tasks and its log row."""
    settings = Recipe("pressure", batch=batch).settings
    job, eye = loop.job_of(PLANT, settings), watch.Watch(PLANT, settings)
    memory = loop.first_state(job, PLANT.params, 0)
    state = trainer._State(0, PLANT.params, dict(PLANT.params), memory, 0, [])
    return CHUNK / seconds(lambda: trainer._advance(eye, job, [state], state.chunk), REPEATS)


def torch_rate(batch: int, fused: bool) -> float:
    """Seed-steps a second of a plain torch loop on the same network, tasks and loss.

    It trains one seed after another, so that its rate is the same for any number of them.
    """
    settings = Recipe("pressure", batch=batch).settings
    tokens, values = (torch.from_numpy(x) for x in batches(PLANT.scenario, settings, 0, 0))
    labels = values.argmax(dim=-1)
    module = PlantedTransformer.from_params(PLANT.params, PLANT.spec).train()
    optimizer = torch.optim.Adam(module.parameters(), lr=settings.learning_rate, fused=fused)

    def steps() -> None:
        for task, wanted in zip(tokens, labels, strict=True):
            optimizer.zero_grad()
            logits = module(task) * settings.logit_scale
            torch.nn.functional.cross_entropy(logits, wanted).backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), settings.clip)
            optimizer.step()

    return CHUNK / seconds(steps, REPEATS)


def rate_rows(n_seeds: Sequence[int], batch: int) -> list[Row]:
    """Seed-steps a second for some numbers of seeds, against torch and the products alone."""
    plain, fused = torch_rate(batch, False), torch_rate(batch, True)
    forward = products(batch)
    shapes = [*forward, *backward(forward)]
    work, alone = flop(shapes), product_rate(shapes)
    rows = []
    for seeds in n_seeds:
        ours = planted_rate(Group.of(seeds, batch))
        rows += [
            (
                f"training, {_seeds(seeds)}, batch {batch}, against a plain torch loop",
                f"{ours / plain:.1f} × (fused Adam {ours / fused:.1f} ×)",
                f"{ours:.0f} against {plain:.0f} and {fused:.0f} seed-steps/s",
            ),
            (
                f"training, {_seeds(seeds)}, batch {batch}, against its matrix products run alone",
                f"{work * ours / alone:.0%}",
                f"{work * ours / 1e9:.1f} of {alone / 1e9:.1f} GFLOP/s, "
                f"{work / 1e6:.0f} MFLOP a step",
            ),
        ]
    whole, bare = whole_rate(batch), planted_rate(Group.of(1, batch))
    rows.append(
        (
            f"training, 1 seed, batch {batch}, with drawing tasks and the log, against without",
            f"{whole / bare:.0%}",
            f"{whole:.0f} of {bare:.0f} steps/s",
        )
    )
    return rows


def memory_rows(n_seeds: Sequence[int], batch: int) -> list[Row]:
    """Memory of a compiled chunk: by seed, and what all seeds share."""
    few, many = min(n_seeds), max(n_seeds)
    network = 4 * sum(int(value.size) for value in PLANT.params.values())
    (least, between), (most, at_most) = (Group.of(n, batch).memory() for n in (few, many))
    rows = [
        (
            f"memory that training shares between seeds, batch {batch}, against a network",
            f"{at_most / network:.0f} ×",
            f"{at_most / 1e6:.1f} MB with {_seeds(many)}, {between / 1e6:.1f} MB with "
            f"{_seeds(few)}; a network {network / 1e6:.2f} MB",
        )
    ]
    if few != many:
        each = (most - least) / (many - few)
        rows.append(
            (
                f"memory a seed in training, batch {batch}, against a network",
                f"{each / network:.0f} ×",
                f"{each / 1e6:.1f} MB: arguments and results of a chunk, its tasks among them",
            )
        )
    return rows


def compilation_row() -> Row:
    """How often XLA compiles: in the first training, and then in others of the same shape."""
    count = 0

    def heard(event: str, _: float, **__: Any) -> None:
        nonlocal count
        count += event == COMPILED

    def during(work: Callable[[], Any]) -> int:
        before = count
        work()
        return count - before

    jax.clear_caches()
    loop._program.cache_clear()
    jax.monitoring.register_event_duration_secs_listener(heard)
    with tempfile.TemporaryDirectory() as folder:

        def train(base: str = "pressure", steps: int = CHUNK, **changes: Any) -> None:
            recipe = Recipe(base, steps=steps, stop=False, batch=8, **changes)
            trainer.finetune(PLANT, recipe, {0: Path(folder) / recipe.digest})

        first = during(train)
        saved = (trainer.SAVE_EVERY + 2) * CHUNK  # with snapshots and a state on the way
        later = {
            "more steps and checkpoints": during(lambda: train(steps=saved)),
            "masks": during(
                lambda: [train(train=part) for part in ("read-out", "scorer", "all-but-scorer")]
            ),
            "recipes": during(lambda: [train(base) for base in ("coincident", "cued", "sham")]),
            "settings": during(
                lambda: train(learning_rate=3e-3, clip=2.0, eps=1e-6, logit_scale=5.0, warm_up=9)
            ),
        }
    jax.monitoring.unregister_event_duration_listener(heard)
    return (
        "compilations in later trainings of the same shape, against the first",
        f"{sum(later.values())} of {first}",
        ", ".join(f"{name} {n}" for name, n in later.items()),
    )


def training_rows(n_seeds: Sequence[int] = SEEDS, sizes: Sequence[int] = BATCHES) -> list[Row]:
    """All rows about training."""
    rows = [row for batch in sizes for row in rate_rows(n_seeds, batch)]
    rows += [row for batch in sizes for row in memory_rows(n_seeds, batch)]
    return [*rows, compilation_row()]


def _seeds(n: int) -> str:
    return f"{n} seed{'s' * (n > 1)}"


def main() -> None:
    """Prints the rows for some numbers of seeds and batch sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[0]})
    for row in training_rows(asked.seeds, asked.batches):
        print("| {} | {} | {} |".format(*row))


if __name__ == "__main__":
    main()
