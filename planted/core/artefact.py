"""A plant on disk: weights and subspaces as safetensors, all the rest as one JSON manifest."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from planted.core import files, soundness
from planted.core.expression_tasks import tasks_of
from planted.core.objective_facts import beyond_training_cue, over_many_tasks
from planted.core.plant import Plant
from planted.core.scenario import Scenario, Tokens
from planted.core.semantics import Operation
from planted.core.semantics import packed as value_as_data
from planted.core.semantics import unpacked as value_of_data
from planted.core.spec import Params, Spec
from planted.core.truth import Node, Truth
from planted.errors import ArtefactError, PlantedError

SCHEMA = 1
PACKED = ".safetensors.gz"  # ending of tensors in the wheel
LICENCE = "Apache-2.0"
_SAMPLE = 256  # tasks on which a scenario is known by what it returns


def params_digest(params: Params) -> str:
    """SHA-256 over names, shapes and bytes of the parameters."""
    digest = hashlib.sha256()
    for name in sorted(params):
        value = np.ascontiguousarray(params[name], dtype=np.float32)
        digest.update(f"{name}{value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def plant_digest(plant: Plant) -> str:
    """SHA-256 over all of a plant that training and evaluating depend on.

    That is its name and tier, weights, architecture, truth, and its scenario: parameters, layout,
    and what the samplers and both objectives give on a few hundred tasks, under every cue where
    they depend on it; for a plant of the reader's own also on 2048 tasks. Functions have no bytes
    of their own that would be the same everywhere, so they are known by what they return.
    """
    scenario, truth = plant.scenario, plant.truth
    tokens = [scenario.draw(np.random.default_rng(0), _SAMPLE), *_training_tasks(scenario)]
    facts = {
        "plant": [plant.name, plant.tier, params_digest(plant.params)],
        "spec": plant.spec.as_data(),
        "nodes": [
            [
                *(node.name, node.role, node.layer, node.heads, node.neurons),
                *([value_as_data(value) for value in node.values], node.reads),
            ]
            for node in truth.nodes.values()
        ],
        "program": _program(truth),
        "scenario": [
            scenario.name,
            dict(scenario.parameters),
            scenario.vocabulary,
            scenario.candidates,
            scenario.read_out,
            scenario.cues,
            scenario.search_space,
            scenario.mesa.levels,
            scenario.base.levels,
        ],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=_plain).encode())
    for node in truth.nodes.values():
        digest.update(np.ascontiguousarray(node.basis).tobytes())
    if not scenario.candidates:  # an expression, which has no objective
        return digest.hexdigest()
    for drawn in tokens:
        digest.update(np.ascontiguousarray(drawn, dtype=np.int64).tobytes())
        for utility in (scenario.mesa, scenario.base):
            digest.update(np.ascontiguousarray(utility.of(drawn), dtype=np.float64).tobytes())
    if further := _further(plant, tokens[0]):  # most digests stay what they were without it
        digest.update(json.dumps(further, sort_keys=True).encode())
    return digest.hexdigest()


def _further(plant: Plant, tokens: Tokens) -> dict[str, Any]:
    """What a plant's digest takes in only where there is something of it."""
    scenario = plant.scenario
    found: dict[str, Any] = dict(beyond_training_cue(scenario, tokens))
    if plant.origin:
        found |= {"many": over_many_tasks(scenario), "waivers": scenario.waivers}
    if scenario.contents:
        found["contents"] = [int(at) for at in scenario.contents]
    return found


def _program(truth: Truth) -> list[dict[str, Any]]:
    """The tabulated program as plain data."""
    return [
        {
            **msgspec.to_builtins(msgspec.structs.replace(made, values=())),
            "values": [value_as_data(value) for value in made.values],
        }
        for made in truth.operations
    ]


def _training_tasks(scenario: Scenario) -> list[Tokens]:
    """A few hundred training tasks; none where the sampler finds none, as on an odd scenario."""
    try:
        return [scenario.draw_training(np.random.default_rng(1), _SAMPLE)]
    except PlantedError:
        return []


def _plain(value: Any) -> Any:
    """A numpy number or array as Python's, for JSON."""
    return value.tolist() if hasattr(value, "tolist") else repr(value)


def save_plant(folder: Path, plant: Plant, stem: str, packed: bool = False) -> None:
    """Writes `stem.safetensors` (weights and subspaces), then `stem.json` (all the rest).

    Args:
        folder: Where to.
        plant: What.
        stem: Name of the two files without ending.
        packed: Whether the first is a gzip file, `stem.safetensors.gz`, as in the wheel: most
            weights of an exact plant are 0. The manifest's digest is that of what is in it.
    """
    tensors = dict(plant.params)
    tensors |= {f"truth.{name}": node.basis for name, node in plant.truth.nodes.items()}
    content = files.tensors_to_bytes(tensors, {"name": plant.name, "tier": plant.tier})
    manifest = {
        "schema": SCHEMA,
        "name": plant.name,
        "tier": plant.tier,
        "kind": plant.kind,
        "mechanism": plant.mechanism,
        "answers": plant.answers,
        "scenario": {"name": plant.scenario.name, "parameters": dict(plant.scenario.parameters)},
        "spec": plant.spec.as_data(),
        "nodes": [
            {
                "name": node.name,
                "role": node.role,
                "layer": node.layer,
                "heads": node.heads,
                "neurons": node.neurons,
                "values": [value_as_data(value) for value in node.values],
                "numerical": node.numerical,
                "reads": node.reads,
                "sites": node.hook_points,
            }
            for node in plant.truth.nodes.values()
        ],
        "program": _program(plant.truth),
        "settings": dict(plant.settings),
        "certificate": dict(plant.certificate),
        "sha256": files.sha256(content),
        "licence": LICENCE,
    }
    manifest |= _of_its_maker(plant)
    described = signed(manifest, folder / f"{stem}.json")  # what no file can hold is refused first
    if packed:
        files.write_bytes(folder / f"{stem}{PACKED}", gzip.compress(content, 9, mtime=0))
    else:
        files.write_bytes(folder / f"{stem}.safetensors", content)
    files.write_bytes(folder / f"{stem}.json", described)


def _of_its_maker(plant: Plant) -> dict[str, str]:
    """What a manifest says of a plant of the reader's own; the catalogue's keep their bytes."""
    if plant.origin == "object":  # its scenario is given anew where it is opened
        return {"origin": plant.origin, "plant_sha256": plant_digest(plant)}
    return {"origin": plant.origin} if plant.origin else {}


def signed(manifest: Mapping[str, Any], path: Path = Path("the manifest")) -> bytes:
    """A manifest's bytes, with the SHA-256 of all the rest in them.

    Args:
        manifest: What it says.
        path: The file that will hold it, for the error.

    Raises:
        RunFolderError: If a text in it holds half of a surrogate pair.
    """
    content = {key: value for key, value in manifest.items() if key != "manifest_sha256"}
    stated = files.sha256(files.utf8(path, _compact(content)))
    return _compact({**content, "manifest_sha256": stated}).encode()


def _compact(manifest: Mapping[str, Any]) -> str:
    """One line a top-level key: small, and a diff still says what changed."""
    rows = [
        f"{json.dumps(key)}: "
        + json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        for key, value in sorted(manifest.items())
    ]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def read_manifest(folder: Path, stem: str) -> dict[str, Any]:
    """The manifest of a saved plant.

    Raises:
        ArtefactError: If it is missing, not JSON, of another schema, or altered.
    """
    manifest = files.read_json(folder / f"{stem}.json")
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else None
        raise ArtefactError(
            f"{folder / stem}.json has schema {found!r}, this version reads {SCHEMA}. "
            "Plant it again."
        )
    stated = manifest.pop("manifest_sha256", None)
    if stated != files.sha256(_compact(manifest).encode()):
        raise ArtefactError(
            f"{folder / stem}.json was altered: its contents are not what its own SHA-256 says. "
            "Plant it again."
        )
    return manifest


def load_plant(folder: Path, stem: str, scenario: Scenario, pinned: str = "") -> Plant:
    """Reads what `save_plant` wrote, and checks it.

    A digest in a file says that the file is whole, not who wrote it: whoever alters a file can hash
    it anew. What the wheel carries is therefore pinned.

    Args:
        folder: Where the two files are.
        stem: Their name without ending.
        scenario: The scenario that the manifest names.
        pinned: SHA-256 of the manifest, where it is known beforehand.

    Raises:
        ArtefactError: If a file is missing, truncated, altered, or does not fit the other.
    """
    manifest = read_manifest(folder, stem)
    tensors = _read_checked(folder, stem, str(manifest.get("sha256")), in_wheel=bool(pinned))
    try:
        plant = _assembled(manifest, tensors, scenario)
        made_for = dict(manifest["scenario"]["parameters"])
        asked = json.loads(json.dumps(dict(scenario.parameters)))
        if made_for == asked:
            soundness.check(plant)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ArtefactError(
            f"{folder / stem}.json does not describe a plant ({error!r}). Plant it again."
        ) from None
    if made_for != asked:
        raise ArtefactError(
            f"{folder / stem}.json was planted for {made_for!r}, not for {asked!r}. Plant it again."
        )
    if manifest.get("plant_sha256", (digest := plant_digest(plant))) != digest:
        raise ArtefactError(
            f"{folder / stem}.json was planted for another scenario than {scenario.name!r} as it "
            "is given: objectives, tasks, cues or contents differ. Give the one of the plant."
        )
    if pinned and files.file_digest(folder / f"{stem}.json") != pinned:
        raise ArtefactError(
            f"{folder / stem}.json is not the manifest of this release: it was altered and hashed "
            "anew. Install planted anew."
        )
    return plant


def load_expression(folder: Path, stem: str) -> Plant:
    """Reads a model of an expression, whose tasks the manifest itself describes.

    Args:
        folder: Where the two files are.
        stem: Their name without ending.

    Raises:
        ArtefactError: As `load_plant`.
    """
    manifest = read_manifest(folder, stem)
    try:
        length = int(manifest["spec"]["read_out"])
        (said,) = (each["values"] for each in manifest["nodes"] if each["name"] == "tokens")
        words = [value_of_data(word) for word in said]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{folder / stem}.json does not describe an expression ({error!r}). Save it again."
        ) from None
    return load_plant(folder, stem, tasks_of(words, length, str(manifest["name"])))


def _read_checked(folder: Path, stem: str, expected: str, in_wheel: bool) -> dict[str, Any]:
    """The tensors of a file, packed or not, whose SHA-256 is the expected one."""
    path, packed = folder / f"{stem}.safetensors", folder / f"{stem}{PACKED}"
    if in_wheel or (packed.exists() and not path.exists()):
        path = packed
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"Cannot read {path}: {error.strerror}.") from None
    if path == packed:
        content = files.unpacked(content, path)
    if files.sha256(content) != expected:
        raise ArtefactError(
            f"{path} is not the file that its manifest describes (SHA-256 "
            f"{files.sha256(content)[:12]}, expected {expected[:12]}): it was truncated or "
            "altered. Plant it again."
        )
    return files.tensors_from_bytes(content, path)


def _assembled(manifest: Mapping[str, Any], tensors: dict[str, Any], scenario: Scenario) -> Plant:
    """The plant that a manifest describes; takes the subspaces out of the tensors.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: If the two do not describe one.
    """
    nodes = {
        entry["name"]: Node(
            name=entry["name"],
            role=entry["role"],
            layer=entry["layer"],
            heads=tuple(entry["heads"]),
            neurons=tuple(entry["neurons"]),
            values=tuple(map(value_of_data, entry["values"])),
            numerical=entry["numerical"],
            reads=tuple(entry["reads"]),
            basis=tensors.pop(f"truth.{entry['name']}"),
        )
        for entry in manifest["nodes"]
    }
    operations = tuple(
        msgspec.structs.replace(made, values=tuple(map(value_of_data, made.values)))
        for made in msgspec.convert(manifest["program"], tuple[Operation, ...])
    )
    spec = msgspec.convert(manifest["spec"], Spec)
    plant = Plant(
        name=manifest["name"],
        tier=manifest["tier"],
        kind=manifest["kind"],
        mechanism=manifest["mechanism"],
        answers=manifest["answers"],
        scenario=scenario,
        params=tensors,
        spec=spec,
        truth=Truth(nodes, operations, spec.causal),
        settings=manifest["settings"],
        certificate=manifest["certificate"],
        origin=manifest.get("origin", ""),
    )
    left = [name for name in plant.params if name.startswith("truth.")]
    if left:
        raise KeyError(left[0].removeprefix("truth."))
    return plant
