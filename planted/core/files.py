"""Files: written atomically, read with suspicion. Tensors are safetensors, the rest is JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import socket
import tempfile
import zlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from planted.errors import ArtefactError, RunFolderError

ANEW = "Remove it to have it made anew."
MOST_BYTES = 1 << 28  # that a packed file may hold: more is no plant but an attack on the memory
_PARTIAL = ".partial"  # ending of a file that is being written
_DIGEST = "sha256"  # key of a note that holds the digest of tensors and note
_HOST = socket.gethostname().replace(".", "-")  # whose process ids can be asked about


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all.

    Raises:
        RunFolderError: If the folder cannot be written or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{path.name}.{_HOST}.{os.getpid()}."
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=prefix, suffix=_PARTIAL)
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
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        raise RunFolderError(f"Cannot write {path}: {_why(error)}") from None


def _why(error: OSError | ValueError) -> str:
    """What went wrong, and what to do about it."""
    number = error.errno if isinstance(error, OSError) else None
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"{reason}. Free some space, or choose another folder; finished files are kept."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{reason}. Choose a folder that you may write to."
    return f"{reason}. Choose another folder."


def write_obstacle(folder: Path) -> str:
    """Why nothing can be written into a folder, or none be made there; "" if it can.

    A few bytes are written and removed again, so that a full disk is noticed as well; a folder that
    was not there is removed too.
    """
    probe = folder / f"probe-{os.getpid()}"
    new = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        write_bytes(probe, bytes(4096))
    except RunFolderError as error:
        return str(error).replace(str(probe), str(folder))
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
            for place in new:  # the innermost first; one that another process fills stays
                place.rmdir()
    return ""


def remove_partial(folder: Path) -> None:
    """Removes what processes that are no longer there left half-written below a folder."""
    for path in folder.rglob(f".*{_PARTIAL}"):
        host, _, pid = path.name.removesuffix(_PARTIAL).rpartition(".")[0].rpartition(".")
        if host.endswith(f".{_HOST}") and pid.isdecimal() and not _alive(int(pid)):
            path.unlink(missing_ok=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def set_aside(path: Path) -> Path:
    """Renames a damaged file to `NAME.damaged`, over an earlier one, and returns that path.

    Raises:
        RunFolderError: If it cannot be renamed.
    """
    aside = path.with_name(path.name + ".damaged")
    try:
        os.replace(path, aside)
    except OSError as error:
        raise RunFolderError(f"Cannot rename {path}: {_why(error)}") from None
    return aside


def write_json(path: Path, value: Any) -> None:
    """Writes JSON, keys sorted, two spaces; equal values give equal bytes."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_bytes(path, utf8(path, text + "\n"))


def utf8(path: Path, text: str) -> bytes:
    """The bytes of a text that goes into a file.

    Args:
        path: The file, for the error.
        text: What it will hold.

    Raises:
        RunFolderError: If it holds half of a surrogate pair, which no file in UTF-8 can hold.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        around = text[max(0, error.start - 20) : error.end + 20]
        raise RunFolderError(
            f"Cannot write {path}: {text[error.start]!a} in {around!a} is half of a "
            "surrogate pair and no character. Use another name."
        ) from None


def read_json(path: Path) -> Any:
    """Reads JSON.

    Raises:
        ArtefactError: If the file is missing or not JSON, or a text in it is none.
    """
    try:
        content = path.read_bytes()
        # strictly: json.loads of bytes lets halves of surrogate pairs pass
        return _loaded(content.decode(json.detect_encoding(content)))
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: nested too deep
        raise ArtefactError(
            f"{path} is not readable JSON ({error}). Remove it to have it made anew."
        ) from None


def _loaded(text: str) -> Any:
    """What JSON says.

    Raises:
        ValueError: If it is none, or writes half of a surrogate pair, which is no character:
            nothing that holds one can be written or shown.
    """
    found = json.loads(text)
    if "\\u" in text:
        json.dumps(found, ensure_ascii=False).encode()
    return found


def digest_of(value: Any) -> str:
    """SHA-256 of plain data, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return sha256(text.encode("utf-8", "surrogatepass"))


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes JSON lines, keys sorted."""
    lines = [json.dumps(row, sort_keys=True, ensure_ascii=False, allow_nan=False) for row in rows]
    write_bytes(path, utf8(path, "".join(line + "\n" for line in lines)))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Reads JSON lines.

    Raises:
        ArtefactError: If the file is missing or a line is no JSON object, or a text in it is none.
    """
    try:
        lines = path.read_bytes().decode().split("\n")  # splitlines ends a line at U+2028 too
        found = [_loaded(line) for line in lines if line.strip()]
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: nested too deep
        raise ArtefactError(
            f"{path} holds a line that is not JSON ({error}). Remove it to have it made anew."
        ) from None
    for row in found:
        if not isinstance(row, dict):
            raise ArtefactError(
                f"{path} holds the line {json.dumps(row)[:80]}, which is no JSON object. Remove it "
                "to have it made anew."
            )
    return found


def tensors_to_bytes(tensors: Mapping[str, Any], note: Mapping[str, Any]) -> bytes:
    """Safetensors bytes; the one metadata key holds JSON, because two keys make the bytes vary."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(value, order="C") for name, value in sorted(tensors.items())}
    content: bytes = save(arrays, metadata={"planted": json.dumps(note, sort_keys=True)})
    return content


def write_tensors(path: Path, tensors: Mapping[str, Any], note: Mapping[str, Any]) -> None:
    """Writes tensors with a note and a digest of both, atomically."""
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    plain = json.loads(json.dumps(note))
    write_bytes(path, tensors_to_bytes(arrays, {**plain, _DIGEST: _tensor_digest(arrays, plain)}))


def read_tensors(path: Path, remedy: str = ANEW) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and note of a safetensors file; the digest in the note is checked where there is one.

    Tensors of bfloat16, which numpy does not have, are given as float32.

    Args:
        path: The file.
        remedy: What to do about a damaged one, for the error.

    Raises:
        ArtefactError: If the file is missing, truncated, altered, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            note = json.loads((file.metadata() or {}).get("planted", "{}"))
            if not isinstance(note, dict):
                raise ValueError("its note is no mapping")
            names = list(file.keys())
            halves = {name for name in names if file.get_slice(name).get_dtype() == "BF16"}
            tensors = {name: file.get_tensor(name) for name in names if name not in halves}
        if halves:
            tensors |= _bfloat16(path, halves)
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise ArtefactError(
            f"{path} is truncated or not a safetensors file ({error}). {remedy}"
        ) from None
    stated = note.pop(_DIGEST, None)
    if stated is not None and stated != _tensor_digest(tensors, note):
        raise ArtefactError(
            f"{path} is damaged: its content is not what its own SHA-256 says. {remedy}"
        )
    return tensors, note


def tensors_from_bytes(content: bytes, path: Path) -> dict[str, Any]:
    """The tensors in a safetensors file's bytes, as arrays that can be written to.

    Args:
        content: The bytes, which the caller holds to a digest.
        path: Where they are from, for the error.

    Raises:
        ArtefactError: If they are no safetensors file of numbers that numpy has.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return {name: np.array(value) for name, value in sorted(load(content).items())}
    except (SafetensorError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        raise ArtefactError(
            f"{path} is truncated or not a safetensors file ({error!r}). {ANEW}"
        ) from None


def unpacked(content: bytes, path: Path) -> bytes:
    """What a gzip file holds, at most `MOST_BYTES`.

    Raises:
        ArtefactError: If it is damaged, or holds more.
    """
    reader = zlib.decompressobj(wbits=31)  # 31: with the header of gzip
    try:
        found = reader.decompress(content, MOST_BYTES)
    except zlib.error as error:
        raise ArtefactError(f"{path} was truncated or altered ({error}). {ANEW}") from None
    if not reader.eof or reader.unused_data:
        raise ArtefactError(
            f"{path} was truncated or altered: it does not end where its content does, or it holds "
            f"more than {MOST_BYTES >> 20} MB. {ANEW}"
        )
    return found


def _bfloat16(path: Path, names: Collection[str]) -> dict[str, Any]:
    """Tensors of bfloat16 as float32: their 16 bits are the first of float32's 32."""
    from safetensors import deserialize

    found = {}
    for name, stored in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
        if name in names:
            bits = np.frombuffer(stored["data"], dtype="<u2").astype(np.uint32) << 16
            found[name] = bits.view(np.float32).reshape(stored["shape"])
    return found


def _tensor_digest(tensors: Mapping[str, Any], note: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of arrays, and over their note."""
    digest = hashlib.sha256(json.dumps(note, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {value.shape}".encode() + value.tobytes())
    return digest.hexdigest()


def read_signed(path: Path, remedy: str = ANEW) -> dict[str, Any]:
    """What `write_signed` wrote.

    Args:
        path: The file.
        remedy: What to do about an altered one, for the error.

    Raises:
        ArtefactError: If the file is missing, not a JSON object, or altered.
    """
    entry = read_json(path)
    stated = entry.pop("sha256", None) if isinstance(entry, dict) else None
    if stated is None or stated != digest_of(entry):
        raise ArtefactError(
            f"{path} was altered: its content is not what its own SHA-256 says. {remedy}".rstrip()
        )
    return dict(entry)


def write_signed(path: Path, entry: Mapping[str, Any]) -> None:
    """Writes a JSON object with the SHA-256 of all the rest in it."""
    write_json(path, {**entry, "sha256": digest_of(entry)})


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        ArtefactError: If it is missing or cannot be read.
    """
    try:
        return sha256(path.read_bytes())
    except FileNotFoundError:
        raise ArtefactError(f"{path} is missing.") from None
    except OSError as error:
        raise ArtefactError(f"Cannot read {path}: {error.strerror}.") from None


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()
