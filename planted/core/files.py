"""Files: written atomically, read with suspicion. Tensors are safetensors, the rest is JSON."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from planted.errors import ArtefactError, RunFolderError


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
