"""The examples in docstrings run."""

from __future__ import annotations

import doctest

import pytest

from planted.finetune import masks, recipes
from planted.finetune.signals import gradient


@pytest.mark.parametrize("module", [masks, recipes, gradient])
def test_examples_say_what_happens(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted
    assert not found.failed
