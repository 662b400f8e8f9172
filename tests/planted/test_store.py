"""Files are whole or not there, read with suspicion, and the same bytes every time."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import planted
from planted import library
from planted.core import artefact, environment, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, CheckpointError, RunFolderError
from tests import helpers

STEM = "red-doors@1-exact"


def plant() -> Plant:
    return library.get("red-doors")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artefact.save_plant(tmp_path, plant(), STEM)
    return tmp_path


def load(folder: Path) -> Plant:
    return artefact.load_plant(folder, STEM, helpers.scenario("red-doors"))


# --- whole or not at all ---


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_a_write_cut_off_leaves_the_old_file_and_no_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    path = tmp_path / "file.json"
    files.write_bytes(path, b"old")

    def cut(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(os, step, cut)
    expected = RunFolderError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        files.write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.json"]
    monkeypatch.undo()
    files.write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_process_killed_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    files.write_bytes(path, b"old")
    script = (
        "import os, sys, pathlib\n"
        "from planted.core import artefact, environment, files\n"
        "os.replace = lambda *a: os._exit(9)\n"
        "files.write_bytes(pathlib.Path(sys.argv[1]), b'new' * 1000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == 9
    assert path.read_bytes() == b"old"
    files.write_bytes(path, b"newer")
    assert path.read_bytes() == b"newer"


def test_a_full_disk_is_said_with_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "runs" / "a.json"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunFolderError, match=r"Cannot write .*runs/a\.json: No space left on dev"):
        files.write_json(path, {})
    assert not list(path.parent.iterdir())


def test_a_folder_that_cannot_be_written_is_said_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        RunFolderError, match=r"Cannot write .*file/run/a\.json: (Not a dir|File ex)"
    ):
        files.write_json(tmp_path / "file" / "run" / "a.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunFolderError, match=r"Cannot write .*folder: .*Choose another folder"):
        files.write_bytes(tmp_path / "folder", b"")


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as root can write anywhere, so the refusal is simulated."""

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(RunFolderError, match=r"Cannot write .*a\.json: Permission denied"):
        files.write_json(tmp_path / "a.json", {})


def test_files_can_be_read_by_others(tmp_path: Path) -> None:
    files.write_bytes(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_concurrent_writers_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.bin"
    contents = [bytes([i]) * 200_000 for i in range(8)]
    errors: list[BaseException] = []
    seen: set[bytes] = set()

    def write(content: bytes) -> None:
        try:
            for _ in range(10):
                files.write_bytes(path, content)
                seen.add(path.read_bytes())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert seen <= set(contents), "a reader never sees half a file"
    assert os.listdir(path.parent) == ["file.bin"]


# --- JSON and JSON lines ---


def test_equal_values_give_equal_bytes(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a", {"b": 1, "a": [1.5, "·"]})
    files.write_json(tmp_path / "b", {"a": [1.5, "·"], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").read_bytes().endswith(b"\n")
    assert files.read_json(tmp_path / "a") == {"a": [1.5, "·"], "b": 1}
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "c", {"a": float("nan")})
    assert not (tmp_path / "c").exists()


def test_lines(tmp_path: Path) -> None:
    rows = [{"b": 2, "a": "ü"}, {}, {"x": None}]
    files.write_lines(tmp_path / "a", rows)
    assert files.read_lines(tmp_path / "a") == rows
    assert (tmp_path / "a").read_text().splitlines()[0] == '{"a": "ü", "b": 2}'
    files.write_lines(tmp_path / "none", [])
    assert files.read_lines(tmp_path / "none") == []


@pytest.mark.parametrize("line", ["null", "3", '"a"', "[1]"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "a").write_text(f'{{"b": 2}}\n{line}\n')
    with pytest.raises(ArtefactError, match=r"holds the line .*, which is no JSON object"):
        files.read_lines(tmp_path / "a")


@pytest.mark.parametrize("read", [files.read_json, files.read_lines, files.read_tensors])
def test_missing_and_broken_files_are_named(tmp_path: Path, read: Callable[[Path], Any]) -> None:
    with pytest.raises(ArtefactError, match=r"nothing is missing"):
        read(tmp_path / "nothing")
    for content in (b'{"a": 1', b"\xff\xfe", b"{}}", b"not json"):
        (tmp_path / "broken").write_bytes(content)
        with pytest.raises(ArtefactError, match=r"broken .*Remove it to have it made anew"):
            read(tmp_path / "broken")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ArtefactError, match="folder"):
        read(tmp_path / "folder")


# --- tensors ---


def test_tensors_round_trip_with_their_note(tmp_path: Path) -> None:
    tensors = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "e": np.zeros((0, 4), np.float32),
    }
    files.write_tensors(tmp_path / "t", tensors, {"step": 3, "seed": 1})
    back, note = files.read_tensors(tmp_path / "t")
    assert note == {"step": 3, "seed": 1}
    assert set(back) == {"w", "e"}
    for name, value in tensors.items():
        np.testing.assert_array_equal(back[name], value)
    first = files.tensors_to_bytes(tensors, {"a": 1, "b": 2})
    assert first == files.tensors_to_bytes(dict(reversed(tensors.items())), {"b": 2, "a": 1})


def test_a_truncated_tensor_file_is_refused(saved: Path) -> None:
    path = saved / f"{STEM}.safetensors"
    content = path.read_bytes()
    for cut in (0, 5, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:cut])
        with pytest.raises(ArtefactError, match=r"safetensors is truncated or not a safetensors"):
            files.read_tensors(path)


def test_the_digest_sees_names_shapes_and_values() -> None:
    base = {"a": np.zeros((2, 3), np.float32), "b": np.ones(2, np.float32)}
    digest = artefact.params_digest(base)
    assert digest == artefact.params_digest(dict(reversed(base.items())))
    for other in (
        {**base, "b": np.array([1, 1 + 1e-6], np.float32)},
        {**base, "a": np.zeros((3, 2), np.float32)},
        {"c": base["a"], "b": base["b"]},
        {"a": base["a"]},
    ):
        assert artefact.params_digest(other) != digest


# --- plants ---


@pytest.mark.parametrize("name", helpers.SHIPPED)
def test_a_plant_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    made = library.get(name, "rotated")
    artefact.save_plant(tmp_path, made, "stem")
    back = artefact.load_plant(tmp_path, "stem", made.scenario)
    assert artefact.params_digest(back.params) == artefact.params_digest(made.params)
    assert back.spec == made.spec
    assert back.truth.operations == made.truth.operations
    assert list(back.truth.nodes) == list(made.truth.nodes)
    for one, other in zip(back.truth.nodes.values(), made.truth.nodes.values(), strict=True):
        np.testing.assert_array_equal(one.basis, other.basis)
        assert replace(one, basis=other.basis) == other
        assert [type(v) for v in one.values] == [type(v) for v in other.values]
    for field in ("name", "tier", "kind", "mechanism", "answers", "settings", "certificate"):
        assert getattr(back, field) == getattr(made, field), field


def test_the_files_say_what_they_are(saved: Path) -> None:
    manifest = json.loads((saved / f"{STEM}.json").read_text())
    assert manifest["schema"] == artefact.SCHEMA
    assert manifest["licence"] == "Apache-2.0"
    assert manifest["scenario"] == {"name": "red-doors", "parameters": {"levels": 8, "objects": 4}}
    score = next(node for node in manifest["nodes"] if node["name"] == "score")
    assert score["sites"] == ["blocks.0.hook_mlp_out"]
    assert manifest["sha256"] == files.sha256((saved / f"{STEM}.safetensors").read_bytes())
    _, note = files.read_tensors(saved / f"{STEM}.safetensors")
    assert note == {"name": "red-doors@1", "tier": "exact"}


def test_the_bytes_are_the_same_in_every_process(tmp_path: Path, saved: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from planted import library\nfrom planted.core import artefact, environment, files\n"
        f"artefact.save_plant(pathlib.Path(sys.argv[1]), library.get('red-doors'), {STEM!r})\n"
    )
    for seed in ("0", "7"):
        folder = tmp_path / seed
        subprocess.run(
            [sys.executable, "-c", script, str(folder)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        for ending in ("safetensors", "json"):
            name = f"{STEM}.{ending}"
            assert (folder / name).read_bytes() == (saved / name).read_bytes()
        manifest = f"{STEM}.json"
        shipped = (library.shipped_folder() / manifest).read_bytes()
        assert (folder / manifest).read_bytes() == shipped  # with the digest of the tensors in it


def test_an_altered_truncated_or_missing_file_is_named(saved: Path) -> None:
    path = saved / f"{STEM}.safetensors"
    content = path.read_bytes()
    altered = bytearray(content)
    altered[-1] ^= 1
    for wrong in (bytes(altered), content[:-4], b"", content + b"\0"):
        path.write_bytes(wrong)
        with pytest.raises(
            ArtefactError,
            match=r"red-doors@1-exact\.safetensors is not the file "
            r".*truncated or altered\. Plant it again",
        ):
            load(saved)
    path.unlink()
    with pytest.raises(ArtefactError, match=r"Cannot read .*exact\.safetensors: No such file"):
        load(saved)
    path.write_bytes(content)
    load(saved)
    (saved / f"{STEM}.json").unlink()
    with pytest.raises(ArtefactError, match=r"red-doors@1-exact\.json is missing"):
        load(saved)


def drop(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.pop(key)


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (drop("schema"), r"has schema None, this version reads 1"),
        (lambda m: m.update(schema=99), r"has schema 99, this version reads 1\. Plant it again"),
        (drop("sha256"), r"expected None"),
        (lambda m: m.update(sha256=7), r"expected 7"),
        *[
            (drop(key), r"json does not describe a plant")
            for key in (
                "name",
                "tier",
                "answers",
                "spec",
                "nodes",
                "program",
                "settings",
                "certificate",
                "scenario",
            )
        ],
        (lambda m: m["nodes"].pop(), r"does not describe a plant"),
        (lambda m: m.update(nodes=[]), r"does not describe a plant"),
        (lambda m: m.update(nodes=None), r"does not describe a plant"),
        (lambda m: m["nodes"][0].pop("layer"), r"does not describe a plant .*layer"),
        (lambda m: m["nodes"][1].update(name="scor"), r"does not describe a plant .*truth\.scor"),
        (lambda m: m["nodes"][1].update(layer=17), r"'score' is in block 17"),
        (lambda m: m["spec"].update(read_out="five"), r"does not describe a plant .*read_out"),
        (lambda m: m["spec"].update(read_out=3), r"its read-out is not the task's"),
        (lambda m: m["spec"].update(extra=3), r"does not describe a plant .*extra"),
        (lambda m: m["program"][0].update(op="guess"), r"does not describe a plant .*op"),
        (
            lambda m: m.update(scenario={"name": "red-doors", "parameters": {"objects": 3}}),
            r"planted for \{'objects': 3\}, not for \{.*'levels': 8",
        ),
    ],
)
def test_an_altered_manifest_is_refused(
    saved: Path, edit: Callable[[dict[str, Any]], None], reason: str
) -> None:
    path = saved / f"{STEM}.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_bytes(artefact.signed(manifest))
    with pytest.raises(ArtefactError, match=reason):
        load(saved)


@pytest.mark.parametrize("field", ["name", "mechanism", "origin", "licence", "nodes"])
@pytest.mark.parametrize("escaped", [True, False])
def test_half_of_a_surrogate_pair_in_a_manifest_is_damage(
    saved: Path, field: str, escaped: bool
) -> None:
    path = saved / f"{STEM}.json"
    manifest = json.loads(path.read_text())
    if field == "nodes":
        manifest["nodes"][0]["role"] = "\ud800"
    else:
        manifest[field] = "\ud800"
    text = json.dumps(manifest, ensure_ascii=escaped)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    for read in (load, library.open_plant, lambda folder: planted.load(str(folder))):
        with pytest.raises(ArtefactError, match=rf"{STEM}\.json is not readable JSON"):
            read(saved)


def test_half_of_a_surrogate_pair_is_neither_read_nor_saved(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"cue": "\\ud83d\\ude00"}\n')
    assert files.read_lines(path) == [files.read_json(path)] == [{"cue": "\U0001f600"}]
    path.write_text('{"cue": "\\ud800"}\n')
    for read in (files.read_json, files.read_lines, files.read_signed):
        with pytest.raises(ArtefactError, match="JSON"):
            read(path)
    with pytest.raises(RunFolderError, match=r"'\\ud800' in .* no character"):
        artefact.save_plant(tmp_path, replace(plant(), kind="\ud800"), STEM)
    assert os.listdir(tmp_path) == ["lines.jsonl"]


def test_a_list_instead_of_a_manifest_is_refused(saved: Path) -> None:
    (saved / f"{STEM}.json").write_text("[]")
    with pytest.raises(ArtefactError, match="has schema None"):
        load(saved)


# --- the cache ---


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


TINY = {"objects": 2, "levels": 2}


def test_what_is_not_shipped_is_planted_once_and_kept(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert environment.cache_folder() == cache
    made = library.get("red-doors", parameters=TINY)
    assert sorted(p.name for p in cache.rglob("*.*") if p.is_file()) == [
        f"{STEM}.json",
        f"{STEM}.safetensors",
    ]
    monkeypatch.setattr(library, "build", None)  # would fail if it planted again
    again = library.get("red-doors", parameters=TINY)
    assert artefact.params_digest(again.params) == artefact.params_digest(made.params)
    assert again.scenario.parameters == TINY
    library.get("red-doors")  # shipped
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize("place", ["a file", "/proc/planted"])
def test_a_cache_that_cannot_be_written_costs_no_plant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (tmp_path / "a file").write_text("mine")
    monkeypatch.setenv("PLANTED_CACHE", str(tmp_path / place))  # an absolute one stands alone
    with pytest.warns(UserWarning, match=r"Cannot write .*The plant is not kept") as said:
        made = library.get("red-doors", parameters=TINY)
    assert "Free some space" not in str(said[0].message)
    assert made.scenario.parameters == TINY


def test_other_parameters_are_kept_apart(cache: Path) -> None:
    library.get("red-doors", parameters=TINY)
    other = library.get("red-doors", parameters={**TINY, "levels": 3})
    assert other.scenario.parameters["levels"] == 3
    assert len(list(cache.iterdir())) == 2


def test_what_other_source_planted_is_not_taken(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.get("red-doors", parameters=TINY)
    monkeypatch.setattr(environment, "source_digest", lambda: "another program under the same name")
    library.get("red-doors", parameters=TINY)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("ending", ["json", "safetensors"])
def test_a_damaged_cache_is_named_and_rebuilt(cache: Path, ending: str) -> None:
    made = library.get("red-doors", parameters=TINY)
    path = next(cache.rglob(f"*.{ending}"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(UserWarning, match=rf"{ending}.* It is planted again now"):
        again = library.get("red-doors", parameters=TINY)
    assert artefact.params_digest(again.params) == artefact.params_digest(made.params)
    library.get("red-doors", parameters=TINY)  # and is whole again: no warning


def test_processes_that_plant_the_same_at_once_get_the_same(cache: Path) -> None:
    """Each finds nothing, plants, and writes over the others: whole files, one content."""
    source = (
        "import sys, warnings\n"
        "warnings.simplefilter('error')\n"
        "from planted import library\nfrom planted.core import artefact, environment, files\n"
        "import planted.compiler.compile, tracr.compiler.compiling\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        f"made = library.get('red-doors', parameters={TINY!r})\n"
        f"again = library.get('red-doors', parameters={TINY!r})\n"
        "print(artefact.params_digest(made.params), artefact.params_digest(again.params))\n"
    )
    workers = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", source],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    found = [worker.communicate("go\n")[0].split() for worker in workers]
    assert len({digest for pair in found for digest in pair}) == 1
    assert [len(pair) for pair in found] == [2, 2, 2]
    assert sorted(p.name for p in cache.rglob("*") if p.is_file()) == [
        f"{STEM}.json",
        f"{STEM}.safetensors",
    ]


def test_without_a_setting_the_platforms_folder_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLANTED_CACHE", raising=False)
    assert environment.cache_folder().name == "planted"
    monkeypatch.setenv("PLANTED_CACHE", "")
    assert environment.cache_folder().name == "planted"


# --- checkpoints ---


def test_a_checkpoint_of_the_right_shapes_is_taken_as_float32() -> None:
    own = plant()
    params = {name: value.astype(np.float64) + 0.5 for name, value in own.params.items()}
    got = own.check_params(params, "mine")
    assert all(value.dtype == np.float32 for value in got.values())
    np.testing.assert_array_equal(got["unembed.W_U"], own.params["unembed.W_U"] + np.float32(0.5))


def bad(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda params: params.update({name: value})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (
            lambda p: p.pop("blocks.0.mlp.W_in"),
            r"mine: tensor 'blocks\.0\.mlp\.W_in' of red-doors@1 is missing",
        ),
        (
            bad("blocks.0.mlp.W_in", np.zeros((84, 3))),
            r"mine: 'blocks\.0\.mlp\.W_in' has shape \[84, 3\], red-doors@1 \(exact\) has "
            r"\[84, 18\].*another plant or tier",
        ),
        (bad("unembed.W_U", np.full((84, 6), np.nan)), r"mine: 'unembed\.W_U' holds NaN or inf"),
        (bad("unembed.W_U", np.full((84, 6), np.inf)), r"mine: 'unembed\.W_U' holds NaN or inf"),
        (bad("unembed.W_U", np.full((84, 6), 1e300)), r"mine: 'unembed\.W_U' holds NaN or inf"),
        (bad("unembed.W_U", np.full((84, 6), "x")), r"mine: 'unembed\.W_U' holds <U1, not numb"),
        (
            bad("blocks.9.mlp.W_in", np.zeros(2)),
            r"mine: tensor 'blocks\.9\.mlp\.W_in' is not one of red-doors@1's",
        ),
    ],
    ids=["missing", "shape", "nan", "inf", "overflow", "text", "unknown"],
)
def test_a_checkpoint_that_cannot_be_this_plants_is_refused(
    edit: Callable[[dict[str, Any]], None], reason: str
) -> None:
    params = dict(plant().params)
    edit(params)
    with pytest.raises(CheckpointError, match=reason):
        plant().check_params(params, "mine")


def test_a_checkpoint_of_another_tier_is_refused() -> None:
    with pytest.raises(CheckpointError, match=r"red-doors@1 \(exact\) has .*another plant or tier"):
        plant().check_params(library.get("red-doors", "tempered").params, "step-400.safetensors")
