"""The shipped plants: pinned bytes, refused damage, and truth that an oracle confirms.

`python tests/planted/test_shipped.py` prints the pins anew, for tests/planted/shipped.json.
"""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from planted import library
from planted.core import artefact, files
from planted.core.plant import SHIPPED_TIERS
from planted.errors import ArtefactError
from planted.programs import catalogue

PINS = Path(__file__).with_name("shipped.json")
FOLDER = library.shipped_folder()
SHIPPED = [name for name, entry in catalogue.ENTRIES.items() if entry.shipped]
STEMS = [
    f"{name}@{catalogue.ENTRIES[name].version}-{tier}" for name in SHIPPED for tier in SHIPPED_TIERS
]


def digests(stem: str) -> dict[str, str]:
    """SHA-256 of the tensors' file, and of what the manifest says is in it."""
    manifest = json.loads((FOLDER / f"{stem}.json").read_bytes())
    truth = json.dumps(
        [manifest["nodes"], manifest["program"]], sort_keys=True, separators=(",", ":")
    )
    return {
        "truth": hashlib.sha256(truth.encode()).hexdigest(),
        "weights": hashlib.sha256((FOLDER / f"{stem}.safetensors").read_bytes()).hexdigest(),
    }


def test_the_files_are_those_of_the_catalogue():
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".safetensors", ".json")}
    assert files == {f"{stem}.{end}" for stem in STEMS for end in ("safetensors", "json")}
    assert sorted(json.loads(PINS.read_text())) == sorted(STEMS)


@pytest.mark.parametrize("stem", STEMS)
def test_no_byte_of_a_version_ever_changes(stem):
    pinned = json.loads(PINS.read_text())[stem]
    manifest = json.loads((FOLDER / f"{stem}.json").read_bytes())
    assert manifest["sha256"] == pinned["weights"]
    assert digests(stem) == pinned
    assert f"{manifest['name']}-{manifest['tier']}" == stem


# --- what the oracle says, written from the story and not from the program ----------------------


def worth(word: str, wanted: str, levels: int) -> float:
    parts = word.split("-")
    if len(parts) == 1:
        return -1.0  # a cue never wins
    return int(parts[2]) + (levels + 1 if wanted in parts[:2] else 0)


def winner(scores: list[float]) -> int:
    return max(range(len(scores)), key=lambda slot: (scores[slot], -slot))


@pytest.mark.parametrize("tier", SHIPPED_TIERS)
@pytest.mark.parametrize("name", SHIPPED)
def test_expected_values_are_an_independent_oracles(name, tier):
    model = library.load(name, tier)
    wanted = "door" if name == "red-doors-aligned" else "red"
    levels = 2 if "small" in name else 8
    tokens = model.inputs(n=200, seed=3)
    words = [[model.scenario.vocabulary[i] for i in task] for task in tokens.tolist()]
    scores = [[worth(word, wanted, levels) for word in task[1:]] for task in words]
    slots = [winner(task[:-1]) for task in scores]
    assert len(set(slots)) == len(model.scenario.candidates)
    if name.endswith("-table"):  # the twin knows the answer and nowhere a score
        assert model.truth.of_role("score") == ()
    else:
        expected = model.expected("score", tokens)
        assert np.isnan(expected[:, 0]).all()
        np.testing.assert_array_equal(expected[:, 1:], scores)
    output = model.expected("output", tokens)[:, model.scenario.read_out]
    np.testing.assert_array_equal(output, [slot + 1 for slot in slots])
    np.testing.assert_array_equal(model.choices(tokens), slots)


# --- damage ------------------------------------------------------------------------------------

STEM = "red-doors@1-exact"
WEIGHTS, MANIFEST = f"{STEM}.safetensors", f"{STEM}.json"


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of one plant's files, in the place of those that the wheel carries."""
    for name in (WEIGHTS, MANIFEST):
        shutil.copy(FOLDER / name, tmp_path / name)
    monkeypatch.setattr(library, "shipped_folder", lambda: tmp_path)
    assert library.load("red-doors@1").name == "red-doors@1"
    return tmp_path


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: flipped(content, 20),
        lambda content: flipped(content, len(content) // 2),
        lambda content: flipped(content, len(content) - 1),
    ],
    ids=["empty", "half", "one short", "one more", "in header", "in the middle", "last bit"],
)
def test_damaged_weights_are_refused_by_name(copied, damage):
    path = copied / WEIGHTS
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtefactError, match="truncated or altered") as caught:
        library.load("red-doors@1")
    assert str(path) in str(caught.value)


def rewritten(**changes):
    """The manifest with other values; None takes a key away."""

    def damage(content: bytes) -> bytes:
        manifest = {**json.loads(content), **changes}
        return artefact.signed({k: v for k, v in manifest.items() if v is not None})

    return damage


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-100], "not readable JSON"),
        (lambda content: b"[]", "schema None"),
        (lambda content: b"\xff\xfe", "not readable JSON"),
        (rewritten(schema=2), "schema 2, this version reads 1"),
        (rewritten(schema=None), "schema None, this version reads 1"),
        (rewritten(sha256="0" * 64), "truncated or altered"),
        (rewritten(nodes=None), "does not describe a plant"),
        (rewritten(program=[{"name": "x", "op": "multiply"}]), "does not describe a plant"),
        (rewritten(spec={}), "does not describe a plant"),
    ],
)
def test_another_manifest_is_refused_by_name(copied, damage, message):
    path = copied / MANIFEST
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ArtefactError, match=message) as caught:
        library.load("red-doors@1")
    assert STEM in str(caught.value)


@pytest.mark.parametrize("name", [WEIGHTS, MANIFEST])
def test_a_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ArtefactError) as caught:
        library.load("red-doors@1")
    assert str(copied / name) in str(caught.value)


def test_tensors_that_no_longer_fit_their_nodes_are_refused(copied):
    tensors, note = files.read_tensors(copied / WEIGHTS)
    del tensors["truth.score"]
    content = files.tensors_to_bytes(tensors, note)
    (copied / WEIGHTS).write_bytes(content)
    path = copied / MANIFEST
    path.write_bytes(rewritten(sha256=files.sha256(content))(path.read_bytes()))
    with pytest.raises(ArtefactError, match=r"does not describe a plant.*truth\.score"):
        library.load("red-doors@1")


def test_an_edit_that_still_makes_sense_is_refused(copied):
    path = copied / MANIFEST
    text = path.read_text()
    assert text.count('"role":"score"') == 1
    path.write_text(text.replace('"role":"score"', '"role":"belief"'))
    with pytest.raises(ArtefactError, match=r"was altered"):
        library.load("red-doors@1")


# --- from the program to the same bytes ----------------------------------------------------------


@pytest.mark.slow
def test_planting_again_gives_the_same_bytes(tmp_path):
    stem = "red-doors-small@1-exact"
    artefact.save_plant(tmp_path, library.build("red-doors-small", only="exact")["exact"], stem)
    made = (tmp_path / f"{stem}.safetensors").read_bytes()
    assert made == (FOLDER / f"{stem}.safetensors").read_bytes()
    made, shipped = (
        json.loads((folder / f"{stem}.json").read_bytes()) for folder in (tmp_path, FOLDER)
    )
    for manifest in (made, shipped):
        del manifest["certificate"]  # its margins are measured, and processors round differently
    assert made == shipped


if __name__ == "__main__":
    print(json.dumps({stem: digests(stem) for stem in STEMS}, indent=1, sort_keys=True))
