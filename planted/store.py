"""Files: written atomically, read with suspicion. Tensors are safetensors, the rest is JSON."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import platformdirs

from planted import sites
from planted.errors import ArtefactError, RunFolderError
from planted.forward import Params, Spec, n_layers
from planted.plant import Plant
from planted.scenarios import Scenario
from planted.semantics import Operation
from planted.truth import Node, Truth

SCHEMA = 1
LICENCE = "Apache-2.0"


def cache_folder() -> Path:
    """Where plants that are not shipped are kept; PLANTED_CACHE wins over the platform's folder."""
    return Path(os.environ.get("PLANTED_CACHE") or platformdirs.user_cache_dir("planted"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        RunFolderError: If the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunFolderError(
            f"Cannot write {path}: {error.strerror or error}. Free some space, or choose another "
            "folder; what was finished before is kept."
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, keys sorted, two spaces; equal values give equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        ArtefactError: If the file is missing or not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} is not readable JSON ({error}). Remove it to have it made anew."
        ) from None


def digest_of(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    return sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON lines, keys sorted."""
    lines = [json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows]
    write_bytes(path, "".join(line + "\n" for line in lines).encode())


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads JSON lines.

    Raises:
        ArtefactError: If the file is missing or a line is not JSON.
    """
    try:
        return [json.loads(line) for line in path.read_text().splitlines()]
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} holds a line that is not JSON ({error}). Remove it to have it made anew."
        ) from None


def tensors_to_bytes(tensors: Mapping[str, Any], note: Mapping[str, Any]) -> bytes:
    """Safetensors bytes; the one metadata key holds JSON, because two keys make the bytes vary."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(value, order="C") for name, value in sorted(tensors.items())}
    content: bytes = save(arrays, metadata={"planted": json.dumps(note, sort_keys=True)})
    return content


def write_tensors(path: Path, tensors: Mapping[str, Any], note: Mapping[str, Any]) -> None:
    """Writes tensors with a note, atomically."""
    write_bytes(path, tensors_to_bytes(tensors, note))


def read_tensors(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and note of a safetensors file.

    Raises:
        ArtefactError: If the file is missing, truncated, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            note = json.loads((file.metadata() or {}).get("planted", "{}"))
            if not isinstance(note, dict):
                raise ValueError("its note is no mapping")
            return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtefactError(
            f"{path} is truncated or not a safetensors file ({error}). Remove it "
            "to have it made anew."
        ) from None


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


def versions() -> dict[str, str]:
    """Versions that the bytes of a run depend on."""
    found = {}
    for name in ("planted", "numpy", "jax", "jaxlib", "optax", "scipy"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@functools.cache
def source_digest() -> str:
    """SHA-256 over the package's own source: cached results of other code are not used."""
    digest = hashlib.sha256()
    for package in ("planted", "planted.programs", "planted.finetune", "planted.eval"):
        folder = Path(str(resources.files(package)))
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def params_digest(params: Params) -> str:
    """SHA-256 over names, shapes and bytes of the parameters."""
    digest = hashlib.sha256()
    for name in sorted(params):
        value = np.ascontiguousarray(params[name], dtype=np.float32)
        digest.update(f"{name}{value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def save_plant(folder: Path, plant: Plant, stem: str) -> None:
    """Writes `stem.safetensors` (weights and subspaces), then `stem.json` (all the rest)."""
    tensors = dict(plant.params)
    tensors |= {f"truth.{name}": node.basis for name, node in plant.truth.nodes.items()}
    content = tensors_to_bytes(tensors, {"name": plant.name, "tier": plant.tier})
    manifest = {
        "schema": SCHEMA,
        "name": plant.name,
        "tier": plant.tier,
        "kind": plant.kind,
        "mechanism": plant.mechanism,
        "answers": plant.answers,
        "scenario": {"name": plant.scenario.name, "parameters": dict(plant.scenario.parameters)},
        "spec": msgspec.to_builtins(plant.spec),
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "layer": node.layer,
                "heads": node.heads,
                "neurons": node.neurons,
                "values": node.values,
                "numerical": node.numerical,
                "reads": node.reads,
                "sites": node.sites,
            }
            for node in plant.truth.nodes.values()
        ],
        "program": msgspec.to_builtins(plant.truth.operations),
        "settings": dict(plant.settings),
        "certificate": dict(plant.certificate),
        "sha256": sha256(content),
        "licence": LICENCE,
    }
    write_bytes(folder / f"{stem}.safetensors", content)
    write_bytes(folder / f"{stem}.json", signed(manifest))


def signed(manifest: Mapping[str, Any]) -> bytes:
    """A manifest's bytes, with the SHA-256 of all the rest in them."""
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    return _compact({**content, "manifest_sha256": sha256(_compact(content))})


def _compact(manifest: Mapping[str, Any]) -> bytes:
    """One line a top-level key: small, and a diff still says what changed."""
    rows = [
        f"{json.dumps(key)}: "
        + json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        for key, value in sorted(manifest.items())
    ]
    return ("{\n" + ",\n".join(rows) + "\n}\n").encode()


def read_manifest(folder: Path, stem: str) -> dict[str, Any]:
    """The manifest of a saved plant.

    Raises:
        ArtefactError: If it is missing, not JSON, of another schema, or altered.
    """
    manifest = read_json(folder / f"{stem}.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise ArtefactError(
            f"{folder / stem}.json has schema {found!r}, this version reads {SCHEMA}. "
            "Plant it again."
        )
    stated = manifest.pop("manifest_sha256", None)
    if stated != sha256(_compact(manifest)):
        raise ArtefactError(
            f"{folder / stem}.json was altered: its contents are not what its own SHA-256 says. "
            "Plant it again."
        )
    return manifest


def load_plant(folder: Path, stem: str, scenario: Scenario) -> Plant:
    """Reads what `save_plant` wrote, and checks it.

    Args:
        folder: Where the two files are.
        stem: Their name without ending.
        scenario: The scenario that the manifest names.

    Raises:
        ArtefactError: If a file is missing, truncated, altered, or does not fit the other.
    """
    manifest = read_manifest(folder, stem)
    path = folder / f"{stem}.safetensors"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"Cannot read {path}: {error.strerror}.") from None
    expected = str(manifest.get("sha256"))
    if sha256(content) != expected:
        raise ArtefactError(
            f"{path} is not the file that its manifest describes (SHA-256 {sha256(content)[:12]}, "
            f"expected {expected[:12]}): it was truncated or altered. Plant it again."
        )
    tensors, _ = read_tensors(path)
    try:
        nodes = {
            entry["name"]: Node(
                name=entry["name"],
                role=entry["role"],
                layer=entry["layer"],
                heads=tuple(entry["heads"]),
                neurons=tuple(entry["neurons"]),
                values=tuple(entry["values"]),
                numerical=entry["numerical"],
                reads=tuple(entry["reads"]),
                basis=tensors.pop(f"truth.{entry['name']}"),
            )
            for entry in manifest["nodes"]
        }
        operations = msgspec.convert(manifest["program"], tuple[Operation, ...])
        plant = Plant(
            name=manifest["name"],
            tier=manifest["tier"],
            kind=manifest["kind"],
            mechanism=manifest["mechanism"],
            answers=manifest["answers"],
            scenario=scenario,
            params=tensors,
            spec=msgspec.convert(manifest["spec"], Spec),
            truth=Truth(nodes, operations),
            settings=manifest["settings"],
            certificate=manifest["certificate"],
        )
        left = [name for name in plant.params if name.startswith("truth.")]
        if left:
            raise KeyError(left[0].removeprefix("truth."))
        made_for = dict(manifest["scenario"]["parameters"])
        depth = n_layers(plant.params)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(
            f"{folder / stem}.json does not describe a plant ({error!r}). Plant it again."
        ) from None
    asked = json.loads(json.dumps(dict(scenario.parameters)))
    if made_for != asked or plant.spec.read_out != scenario.read_out:
        raise ArtefactError(
            f"{folder / stem}.json was planted for {made_for!r}, not for {asked!r}. Plant it again."
        )
    known = sites.site_names(depth)
    for node in nodes.values():
        if node.held_at not in known:
            raise ArtefactError(f"{folder / stem}.json: node {node.name!r} has no site.")
    return plant
