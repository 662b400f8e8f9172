"""Tracr's own model, read and run: the numbers are those of Tracr's forward pass."""

from __future__ import annotations

import numpy as np
import pytest
from tracr.compiler import lib
from tracr.rasp import rasp

from planted.adapters.tracr import from_tracr
from planted.errors import PlantedError
from tests import helpers

PROGRAMS = {
    "length": lib.make_length,
    "hist": lib.make_hist,
    "sort": lambda: lib.make_sort_unique(rasp.tokens, rasp.tokens),
}
TASKS = (("a", "b", "c", "a"), ("c", "c", "b", "a"), ("b", "a", "a", "a"))


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_output_is_what_tracrs_weights_give(name: str) -> None:
    output = PROGRAMS[name]()
    stock = helpers.stock(output, ("a", "b", "c"), 4)
    network = from_tracr(stock, output.label)
    for task in TASKS:
        ids = np.array([stock.input_encoder.encode(["compiler_bos", *task])])
        wanted = helpers.stock_run(stock, output, task)
        _, cache = network.run_with_cache(ids)
        last = cache[f"blocks.{network.n_layers - 1}.hook_resid_post"][0]
        np.testing.assert_allclose(last, wanted.residual, atol=1e-4)
        np.testing.assert_allclose(network(ids)[0], wanted.output[-1], atol=1e-4)


def test_altered_weights_are_not_those_of_tracr() -> None:
    output = lib.make_hist()
    stock = helpers.stock(output, ("a", "b", "c"), 4)
    network = from_tracr(stock, output.label)
    network.params["blocks.0.mlp.W_out"][:] = 0
    ids = np.array([stock.input_encoder.encode(["compiler_bos", *TASKS[0]])])
    off = np.abs(network(ids)[0] - helpers.stock_run(stock, output, TASKS[0]).output[-1])
    assert off.max() > 0.5


def test_an_output_that_is_not_there_is_named() -> None:
    stock = helpers.stock(lib.make_hist(), ("a", "b", "c"), 4)
    with pytest.raises(PlantedError, match="No output 'lenght' in the residual stream; it holds"):
        from_tracr(stock, "lenght")
