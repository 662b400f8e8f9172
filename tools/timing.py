"""What the benchmarks share: the plant, a clock, and the network's matrix products run alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from planted import library
from planted.core.spec import n_layers

PLANT = library.get("red-doors", "tempered")

Row = tuple[str, str, str]  # what, as a ratio, the figures
Shape = tuple[int, int, int]  # rows, inner, columns of a matrix product


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """Median wall time of one call, after one that is not counted."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def products(batch: int) -> list[Shape]:
    """Shapes of the weight products of a forward pass."""
    everywhere = batch * PLANT.scenario.n_positions
    last = f"blocks.{n_layers(PLANT.params) - 1}."
    shapes: list[Shape] = []
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
    return shapes


def backward(shapes: Sequence[Shape]) -> list[Shape]:
    """Shapes of the products that a backward pass adds: by the inputs, and by the weights."""
    return [
        product
        for rows, inner, columns in shapes
        for product in ((rows, columns, inner), (inner, rows, columns))
    ]


def flop(shapes: Sequence[Shape]) -> float:
    """Floating-point operations of these products."""
    return sum(2.0 * a * b * c for a, b, c in shapes)


def product_rate(shapes: Sequence[Shape]) -> float:
    """FLOP/s of these products run alone: the faster of `by_jax` and `by_numpy`."""
    return max(by_jax(shapes), by_numpy(shapes))


def by_jax(shapes: Sequence[Shape]) -> float:
    """FLOP/s of one jitted program of all products, each with operands of its own."""
    pairs = [tuple(jnp.asarray(x) for x in operands(shape)) for shape in shapes]
    run = jax.jit(lambda pairs: [x @ w for x, w in pairs])
    return flop(shapes) / seconds(lambda: jax.block_until_ready(run(pairs)), 20)


def by_numpy(shapes: Sequence[Shape]) -> float:
    """FLOP/s of numpy's products into arrays that are there, each shape in the cache by then."""
    spent = 0.0
    for shape, times in Counter(shapes).items():
        x, w = operands(shape)
        out = x @ w
        spent += times * seconds(lambda x=x, w=w, out=out: np.matmul(x, w, out=out), 20)
    return flop(shapes) / spent


def operands(shape: Shape) -> tuple[Any, Any]:
    """Two random matrices of a product, float32."""
    rng = np.random.default_rng(0)
    rows, inner, columns = shape
    x, w = rng.normal(size=(rows, inner)), rng.normal(size=(inner, columns))
    return x.astype(np.float32), w.astype(np.float32)
