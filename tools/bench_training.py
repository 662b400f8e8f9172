"""Training: its rate against torch and against its matrix products, memory, compilations.

`tools.bench` writes these rows to docs/benchmark.md. Alone, this prints them:
`python -m tools.bench_training --seeds 1 8 --batches 32 128`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
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

    def memory(self) -> int:
        """Bytes of the compiled chunk: its arguments, its results, and what is between them."""
        settings = self.job.settings
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *self.states)
        numbers = np.arange(len(self.starts), dtype=np.uint32)
        rate = loop.rates(settings, 0, CHUNK)
        scalars = {name: np.float32(getattr(settings, name)) for name in loop.TRACED}
        lowered = program(self.job).lower(
            self.starts, self.vectors, stacked, self.batches, numbers, np.uint32(0), self.job.mask,
            rate, scalars,
        )  # fmt: skip
        found = lowered.compile().memory_analysis()
        return int(
            found.argument_size_in_bytes + found.output_size_in_bytes + found.temp_size_in_bytes
        )


def program(job: loop.Job) -> Any:
    """The jitted chunk of a job."""
    signal: Any = job.signal
    return loop._program(job.layout, job.free, job.spec, loop._compiled_in(job.settings), signal)


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


def memory_row(n_seeds: Sequence[int], batch: int) -> Row:
    """Memory of a compiled chunk: what each more seed takes, beside the size of a network."""
    few, many = min(n_seeds), max(n_seeds)
    network = 4 * sum(int(value.size) for value in PLANT.params.values())
    least, most = (Group.of(n, batch).memory() for n in (few, many))
    each = (most - least) / (many - few)
    return (
        f"memory of each more seed in training, batch {batch}, against a network's weights",
        f"{each / network:.1f} ×",
        f"{each / 1e6:.2f} of {network / 1e6:.2f} MB; {_seeds(few)} {least / 1e6:.1f} MB, "
        f"{_seeds(many)} {most / 1e6:.1f} MB",
    )


def compilation_row() -> Row:
    """How often the chunk is compiled: in the first training, then in others of its shape.

    Long because it is one sequence of trainings, each counted. What XLA compiles beside the chunk,
    single operations outside it, is counted too. Another optimiser is another program: it shows
    that one more would be noticed.
    """
    heard: list[tuple[str, float]] = []  # function, seconds

    def hear(event: str, duration: float, **about: Any) -> None:
        if event == COMPILED:
            heard.append((about["fun_name"], duration))

    jax.clear_caches()
    loop._program.cache_clear()
    jax.monitoring.register_event_duration_secs_listener(hear)
    with tempfile.TemporaryDirectory() as folder:

        def train(*bases: str, steps: int = CHUNK, **changes: Any) -> tuple[int, int, float]:
            heard.clear()
            for base in bases:
                recipe = Recipe(base, steps=steps, stop=False, batch=8, **changes)
                trainer.finetune(PLANT, recipe, {0: Path(folder) / recipe.digest})
            chunks = sum(name == "jit(run)" for name, _ in heard)
            return chunks, len(heard) - chunks, sum(spent for _, spent in heard)

        first, operations, spent = train("pressure")
        saved = (trainer.SAVE_EVERY + 2) * CHUNK  # with snapshots and a state on the way
        later = {
            "more steps and checkpoints": train("pressure", steps=saved),
            "mask scorer": train("pressure", train="scorer"),
            "mask read-out": train("pressure", train="read-out"),
            "five recipes": train("coincident", "blend", "cued", "sham", "random-labels"),
            "settings": train("pressure", learning_rate=3e-3, clip=2.0, eps=1e-6, logit_scale=5.0),
            "warm-up": train("pressure", warm_up=9),
            "cosine": train("pressure", schedule="cosine"),
        }
        other, _, _ = train("pressure", optimizer="sgd")
    jax.monitoring.unregister_event_duration_listener(hear)
    beside = ", ".join(f"{name} {n}" for name, (_, n, _) in later.items() if n)
    return (
        "compilations of the chunk in later trainings of its shape, against the first",
        f"{sum(n for n, _, _ in later.values())} of {first}",
        f"{', '.join(f'{name} {n}' for name, (n, _, _) in later.items())}; another optimiser "
        f"{other}. Single operations beside it: first {operations}, {beside or 'later none'}. "
        f"Seconds: {spent:.2f}, later {sum(t for _, _, t in later.values()):.2f}",
    )


def training_rows(n_seeds: Sequence[int] = SEEDS, sizes: Sequence[int] = BATCHES) -> list[Row]:
    """All rows about training."""
    rows = [row for batch in sizes for row in rate_rows(n_seeds, batch)]
    if min(n_seeds) < max(n_seeds):
        rows += [memory_row(n_seeds, batch) for batch in sizes]
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
