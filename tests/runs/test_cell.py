"""What is read of a network is what was written for it: weights, diagnostics, nulls, the cache."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from planted import library
from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, RunFolderError, VerdictError
from planted.eval.evidence import index, share
from planted.eval.verdict.thresholds import default
from planted.finetune import signals
from planted.finetune.recipes import Recipe
from planted.runs import cell as cells
from planted.runs import folder, store, work
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
    cells.begin(found.folder, store.environment_of("hard-labels"))
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


# --- weights on the way, and the note -------------------------------------------------------------


@pytest.fixture
def snapshot(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights on the way of the network, whole, and lent to a cache of its own."""
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    path = network.folder / "step-000001.safetensors"
    files.write_tensors(path, files.read_tensors(network.checkpoint)[0], {})
    store.lend(network)
    return path


def flip(path: Path) -> None:
    """Changes the last bit of a file."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_damaged_weights_on_the_way_are_restored_and_never_lent(
    network: Network, plant: Plant, snapshot: Path
) -> None:
    good, kept = snapshot.read_bytes(), store.cached(network.cell) / snapshot.name
    assert kept.read_bytes() == good
    flip(snapshot)
    store.lend(network)
    assert kept.read_bytes() == good
    with pytest.warns(UserWarning, match=f"{snapshot.name} is damaged.* restored from the cache"):
        assert work._trained(network, plant, True)
    assert snapshot.read_bytes() == good
    assert work._trained(network, plant, True), "a whole one is no news"


def test_a_network_whose_weights_on_the_way_are_damaged_everywhere_is_trained_again(
    network: Network, plant: Plant, snapshot: Path, tmp_path: Path
) -> None:
    flip(store.cached(network.cell) / snapshot.name)
    other = Network(network.label, RECIPE, network.cell, tmp_path / "other" / "x")
    assert not store.borrow(other, plant)
    flip(snapshot)
    with pytest.warns(UserWarning, match="The network is trained again"):
        assert not work._trained(network, plant, True)
    assert snapshot.with_name(f"{snapshot.name}.damaged").exists()


@pytest.mark.parametrize("resumed", [False, True])
def test_a_network_that_was_trained_elsewhere_is_not_kept_as_this_machines(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resumed: bool
) -> None:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    here = store.environment_of("hard-labels")
    checkpoint = network.checkpoint.read_bytes()
    network.checkpoint.unlink()
    (network.folder / cells.TRAINED_BY).unlink()
    cells.begin(network.folder, "elsewhere")
    assert cells.trained_by(network.folder) == ["elsewhere"]
    if resumed:  # in the middle
        (network.folder / cells.STATE).write_bytes(b"")
        cells.begin(network.folder, here)
        assert cells.trained_by(network.folder) == ["elsewhere", here]
    network.checkpoint.write_bytes(checkpoint)
    cells.begin(network.folder, here)  # as where only its note is written anew
    store.lend(network)
    assert not store.cached(network.cell).exists()

    network.checkpoint.unlink()
    (network.folder / cells.STATE).unlink(missing_ok=True)
    cells.begin(network.folder, here)
    network.checkpoint.write_bytes(checkpoint)
    store.lend(network)
    assert (store.cached(network.cell) / cells.NOTE).exists()


def test_an_environment_is_versions_source_machine_and_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = store.environment_of("hard-labels")
    for owner, name, value in (
        (environment, "versions", lambda: {}),
        (environment, "source_digest", lambda: "0"),
        (store, "_machine", lambda: []),
        (signals, "source_digest", lambda signal: "theirs"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, value)
            assert store.environment_of("hard-labels") != before


def test_a_note_that_is_missing_or_altered_names_what_restores_it(
    network: Network, plant: Plant
) -> None:
    note = network.folder / cells.NOTE
    text = note.read_text()
    note.write_text(text.replace("not learned", "learned"))
    remedy = f"planted finetune {network.folder.parent.parent}"
    for call in (lambda: cells.ended(network), lambda: cells.read_weights(network, plant)):
        with pytest.raises(ArtefactError, match=re.escape(remedy)):
            call()
    note.unlink()
    with pytest.raises(ArtefactError, match=rf"is missing: nothing says.*{re.escape(remedy)}"):
        cells.ended(network)
    assert work._trained(network, plant, False), "as `planted finetune` does"
    assert note.read_text() == text


# --- names in records -----------------------------------------------------------------------------


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=2), max_size=4))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lines_come_back_whatever_characters_they_hold(rows: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        files.write_lines(path, [{"cue": "a\u2028b\x85c\x0b"}, *rows])
        assert files.read_lines(path) == [{"cue": "a\u2028b\x85c\x0b"}, *rows]


def test_half_of_a_surrogate_pair_is_refused_by_name(tmp_path: Path) -> None:
    writers: list[Any] = [
        lambda: files.write_json(tmp_path / "x", {"cue": "\ud800"}),
        lambda: files.write_lines(tmp_path / "x", [{"cue": "\ud800"}]),
        lambda: files.write_signed(tmp_path / "x", {"cue": "\ud800"}),
    ]
    for write in writers:
        with pytest.raises(RunFolderError, match=r"'\\ud800' in .* no character"):
            write()


# --- verdicts that are signed again ---------------------------------------------------------------


def test_a_verdict_is_what_its_evidence_comes_to(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(name: str, thresholds: str) -> None:
        verdict: Any = SimpleNamespace(name=name, thresholds=thresholds)
        folder._refuse_other_name(network, verdict, {}, ("T", "D"))

    label = default().label
    check("not learned", label)
    with pytest.raises(VerdictError, match="'persists', and its evidence comes to 'not learned'"):
        check("persists", label)
    judged: Any = (SimpleNamespace(judged=True), None)
    monkeypatch.setattr(cells, "ended", lambda _: judged)
    check("inconclusive", label)
    check("persists", "mine-1 (0123456789ab)")
    with pytest.raises(VerdictError, match="'persists', and its evidence comes to 'inconclusive'"):
        check("persists", label)
