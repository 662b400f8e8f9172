"""What is read of a network is what was written for it: weights, diagnostics, nulls, the cache."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planted import library
from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import ArtefactError
from planted.eval.evidence import index, share
from planted.finetune import signals
from planted.finetune.recipes import Recipe
from planted.runs import cell as cells
from planted.runs import store
from planted.runs.cell import Cell, Network
from planted.runs.folder import Beside
from tests.finetune import own

PLANT = "red-doors-small"
RECIPE = Recipe("pressure", steps=1)


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get(PLANT, "tempered")


@pytest.fixture
def network(plant: Plant, tmp_path: Path) -> Network:
    """Trained and sealed, to go by its files; the weights are the plant's own."""
    digest = artefact.plant_digest(plant)
    found = Network("pressure", RECIPE, Cell(digest, RECIPE.settings, 0), tmp_path / "cells" / "x")
    note = {
        "plant": plant.name,
        "tier": plant.tier,
        "start": artefact.params_digest(plant.params),
        "recipe": RECIPE.digest,
        "seed": 0,
        "rows": [{"step": 1}],
        "outcome": {"status": "not learned", "steps": 1, "share": 0.0},
        "label": None,
    }
    files.write_tensors(found.checkpoint, plant.params, note)
    cells.seal(found, plant)
    return found


def other_weights(network: Network) -> str:
    """Puts other weights in the checkpoint's place, whole and signed; returns their digest."""
    tensors, note = files.read_tensors(network.checkpoint)
    changed = {**tensors, "unembed.W_U": tensors["unembed.W_U"] + np.float32(1)}
    files.write_tensors(network.checkpoint, changed, note)
    return artefact.params_digest(changed)


def test_a_checkpoint_that_was_signed_again_with_other_weights_is_damaged(
    network: Network, plant: Plant
) -> None:
    assert cells.damaged(network, plant) is None
    other_weights(network)
    found = cells.damaged(network, plant)
    assert found is not None
    assert found.path == network.checkpoint
    assert "not those that were written" in found.why
    with pytest.raises(ArtefactError, match=str(network.checkpoint)):
        cells.read_weights(network, plant)


def test_diagnostics_are_those_of_the_weights_that_are_asked_about(network: Network) -> None:
    weights, moved = cells.ended(network), {"embed": 0.5}
    assert weights[0].status == "not learned"
    digest = artefact.params_digest(files.read_tensors(network.checkpoint)[0])
    cells.write_diagnostics(network.folder, digest, moved)
    assert cells.read_diagnostics(network.folder, digest) == moved
    with pytest.raises(ArtefactError, match=r"diagnostics.json is about other weights"):
        cells.read_diagnostics(network.folder, other_weights(network))


def records(value: int) -> Any:
    out = [share("paths.scorer_share", "T", value, 100)]
    for cue in ("T", "D"):
        out += [share(f"agreement.{s}", cue, 95 * (s == "base"), 100) for s in ("mesa", "base")]
    return out


def test_no_control_is_its_own_null() -> None:
    seeds = {seed: index(records(value)) for seed, value in enumerate((10, 20, 90))}
    beside = Beside({"no-plant-base": seeds}, [])
    own_null = index(beside.records(records(90), ("T", "D"), ("no-plant-base", 2)))
    null = own_null[("paths.scorer_share", "T")].null
    assert null is not None
    assert (null.lo, null.hi, null.n) == (0.1, 0.2, 2)
    theirs = index(beside.records(records(90), ("T", "D")))[("paths.scorer_share", "T")].null
    assert theirs is not None
    assert (theirs.hi, theirs.n) == (0.9, 3)


SIGNALS = {
    "a module": "def init(*given): ...\ndef update(*given): ...\nsignal = None",
    "from a loss": "from planted.finetune.signals import by_gradient\n"
    "signal = by_gradient('theirs', lambda *given: 0)",
    "an object": "class Own:\n    init = update = lambda *given: 0\nsignal = Own()",
}


@pytest.mark.parametrize("code", SIGNALS.values(), ids=SIGNALS)
def test_a_signal_whose_source_changed_is_another_cell_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    source = tmp_path / "their_signal.py"
    source.write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "their_signal", raising=False)
    import their_signal  # type: ignore[import-not-found]

    own.install(monkeypatch, "signals", theirs=their_signal.signal or their_signal)
    theirs = Cell("plant", Recipe("pressure", signal="theirs").settings, 0)
    ours = Cell("plant", RECIPE.settings, 0)
    before = [store.cached(cell) for cell in (theirs, ours)]
    assert before == [store.cached(cell) for cell in (theirs, ours)]
    source.write_text(code + "\n# changed\n")
    after = [store.cached(cell) for cell in (theirs, ours)]
    assert after[0] != before[0]
    assert after[1] == before[1]
    assert signals.source_digest("hard-labels") == ""


@pytest.mark.parametrize("read", [files.read_json, files.read_lines, files.read_signed])
@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_what_is_nested_too_deep_is_a_damaged_file(tmp_path: Path, read: Any, deep: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(deep)
    with pytest.raises(ArtefactError, match=str(path)):
        read(path)
