"""The shipped plants: pinned bytes, refused damage, and truth that an oracle confirms.

`python tests/planted/test_shipped.py` prints the pins anew, for tests/planted/shipped.json.
"""

import gzip
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from planted import library
from planted.core import artefact, files, saved
from planted.core.plant import SHIPPED_TIERS
from planted.errors import ArtefactError
from planted.programs import catalogue
from planted.programs.shipped import SHIPPED as SHIPPED_IN

PINS = Path(__file__).with_name("shipped.json")
WEIGHTS_OF = json.loads(Path(__file__).parents[1].joinpath("programs/pins.json").read_text())
FOLDER = library.shipped_folder()
STEMS = [f"{name}-{tier}" for name, tiers in SHIPPED_IN.items() for tier in tiers]
DOORS = ["red-doors", "red-doors-aligned", "red-doors-small", "red-doors-small-table"]


def digests(stem: str) -> dict[str, str]:
    """SHA-256 of the tensors' file, and of what the manifest says is in it."""
    manifest = json.loads((FOLDER / f"{stem}.json").read_bytes())
    truth = json.dumps(
        [manifest["nodes"], manifest["program"]], sort_keys=True, separators=(",", ":")
    )
    path = FOLDER / f"{stem}.safetensors.gz"
    return {
        "truth": hashlib.sha256(truth.encode()).hexdigest(),
        "weights": hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest(),
    }


def test_the_files_are_those_of_the_catalogue():
    files = {path.name for path in FOLDER.iterdir() if path.suffix in (".gz", ".json")}
    named = {f"{stem}.{end}" for stem in STEMS for end in ("safetensors.gz", "json")}
    assert files == named | {"index.json"}
    assert sorted(json.loads(PINS.read_text())) == sorted(STEMS)


def test_every_family_and_kind_is_there_with_twins():
    entries = [catalogue.entry(name) for name in SHIPPED_IN]
    every = catalogue.ENTRIES.values()
    assert len(entries) >= 24
    assert {e.family for e in entries} == {e.family for e in every}
    assert {e.kind for e in entries} == {e.kind for e in every}
    of_families = {e.family for e in entries if e.twin_of}
    assert {e.family for e in entries} - of_families == set()
    for each in entries:  # a twin that is there has its plant beside it
        partner = each.twin_of and catalogue.entry(each.twin_of)
        assert not partner or f"{partner.name}@{partner.version}" in SHIPPED_IN


def test_the_index_says_what_is_in_the_files():
    index = saved.shipped_index()
    assert sorted(index) == sorted(STEMS)
    for stem, row in index.items():
        entry = catalogue.entry(row["name"])
        assert stem == f"{row['name']}-{row['tier']}"
        assert [row[k] for k in ("family", "kind", "mechanism", "twin_of")] == [
            entry.family, entry.kind, entry.mechanism, entry.twin_of,
        ]  # fmt: skip
        assert row["bytes"] == (FOLDER / f"{stem}.safetensors.gz").stat().st_size
        assert row["manifest"] == files.file_digest(FOLDER / f"{stem}.json")
    params = library.get("red-doors").params
    assert index["red-doors@1-exact"]["parameters"] == sum(v.size for v in params.values())


@pytest.mark.parametrize("stem", [stem for stem in STEMS if stem.endswith("-exact")])
def test_the_weights_are_those_that_compile_today(stem):
    name = stem.removesuffix("-exact")
    if name in WEIGHTS_OF:
        assert artefact.params_digest(library.get(name).params)[:16] == WEIGHTS_OF[name]
    else:
        assert name.partition("@")[0] in DOORS  # test_compile compiles these


def test_the_models_are_light():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 4_500_000


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


@pytest.mark.parametrize("stem", STEMS)
def test_every_model_chooses_what_its_scenario_says(stem):
    name, _, tier = stem.rpartition("-")
    model = library.load(name, tier)
    tokens = model.inputs(n=100, seed=7)
    np.testing.assert_array_equal(model.choices(tokens), model.plant.expected_choices(tokens))


@pytest.mark.parametrize("tier", SHIPPED_TIERS)
@pytest.mark.parametrize("name", DOORS)
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
WEIGHTS, MANIFEST = f"{STEM}.safetensors.gz", f"{STEM}.json"


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
        lambda content: gzip.compress(flipped(gzip.decompress(content), 5000), mtime=0),
        lambda content: gzip.compress(bytes(files.MOST_BYTES + 1), 1, mtime=0),
    ],
    ids=[
        "empty",
        "half",
        "one short",
        "one more",
        "in header",
        "in the middle",
        "last bit",
        "inside",
        "bomb",
    ],
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
    tensors = files.tensors_from_bytes(gzip.decompress((copied / WEIGHTS).read_bytes()), copied)
    del tensors["truth.score"]
    content = files.tensors_to_bytes(tensors, {})
    (copied / WEIGHTS).write_bytes(gzip.compress(content))
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


def test_what_was_hashed_anew_is_not_what_the_release_carries(copied):
    path = copied / MANIFEST
    path.write_bytes(rewritten(licence="mine")(path.read_bytes()))
    with pytest.raises(ArtefactError, match="altered and hashed anew") as caught:
        library.load("red-doors@1")
    assert str(path) in str(caught.value)


def test_a_saved_plant_whose_weights_are_anothers_is_refused(tmp_path):
    """Every digest is right, all shapes fit, and it would run."""
    for end in ("json", "safetensors.gz"):
        shutil.copy(FOLDER / f"{STEM}.{end}", tmp_path)
    assert library.open_plant(tmp_path).name == "red-doors@1"
    other = (FOLDER / "red-doors-aligned@1-exact.safetensors.gz").read_bytes()
    (tmp_path / WEIGHTS).write_bytes(other)
    sha = files.sha256(gzip.decompress(other))
    path = tmp_path / MANIFEST
    path.write_bytes(rewritten(sha256=sha)(path.read_bytes()))
    with pytest.raises(ArtefactError, match=r"choose otherwise on \d+ of 64 tasks"):
        library.open_plant(tmp_path)


@pytest.mark.slow
def test_damage_ends_in_an_error_that_says_so():
    """A short run of what docs/damage.md reports of ten thousand."""
    from tools import damage

    found = damage.run(150, seed=11)
    assert sum(found.values()) == 150
    assert {end for _, end, _ in found} == {"refused"}
    assert {end for *_, end in found} <= {"refused", "sound"}
    assert not [what for what, _, end in found if end == "sound" and "hashed anew" not in what]


# --- from the program to the same bytes ----------------------------------------------------------


@pytest.mark.slow
def test_planting_again_gives_the_same_bytes(tmp_path):
    stem = "red-doors-small@1-exact"
    artefact.save_plant(tmp_path, library.build("red-doors-small", only="exact")["exact"], stem)
    made = (tmp_path / f"{stem}.safetensors").read_bytes()
    assert made == gzip.decompress((FOLDER / f"{stem}.safetensors.gz").read_bytes())
    made, shipped = (
        json.loads((folder / f"{stem}.json").read_bytes()) for folder in (tmp_path, FOLDER)
    )
    for manifest in (made, shipped):
        del manifest["certificate"]  # its margins are measured, and processors round differently
    assert made == shipped


if __name__ == "__main__":
    print(json.dumps({stem: digests(stem) for stem in STEMS}, indent=1, sort_keys=True))
