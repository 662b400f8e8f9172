"""Damaged plants: what happens to files, and what someone does to them who hashes them anew.

`damaged(rng, ...)` takes a plant's two files as bytes and gives them back broken. Half of the time
the attacker computes every digest again, so that nothing but sense can tell.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import load, save

from planted.core import artefact, files

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "x" * 5000, "../../etc", [],
    {}, [[]], [None], {"a": {}}, [0] * 1000, "\u0000", -(2**63), 0.5,
)  # fmt: skip


class Files(NamedTuple):
    """A plant on disk.

    Attributes:
        manifest: The JSON file.
        tensors: The safetensors file, not packed.
    """

    manifest: bytes
    tensors: bytes


def flip(rng: np.random.Generator, content: bytes) -> bytes:
    """One bit."""
    changed = bytearray(content)
    changed[rng.integers(len(content))] ^= 1 << rng.integers(8)
    return bytes(changed)


def cut(rng: np.random.Generator, content: bytes) -> bytes:
    """The end is missing."""
    return content[: rng.integers(len(content))]


def junk(rng: np.random.Generator, content: bytes) -> bytes:
    """A stretch of random bytes, over what was there or after it."""
    at, n = rng.integers(len(content) + 1), rng.integers(1, 64)
    return content[:at] + rng.bytes(n) + content[at + rng.integers(2) * n :]


def exchanged(rng: np.random.Generator, content: bytes) -> bytes:
    """Two tensors of one file have each other's name, of the same shape where there are such."""
    tensors = load(content)
    one = rng.choice(sorted(tensors))
    like = [
        name
        for name, value in tensors.items()
        if value.shape == tensors[one].shape and not np.array_equal(value, tensors[one])
    ]
    other = rng.choice(sorted(like or [name for name in tensors if name != one]))
    tensors[one], tensors[other] = tensors[other], tensors[one]
    return save(tensors)


def of_other_numbers(rng: np.random.Generator, content: bytes) -> bytes:
    """A tensor of another type or shape, not finite, renamed, missing, one too many, or noise."""
    tensors = load(content)
    name = str(rng.choice(sorted(tensors)))
    value = tensors.pop(name)
    how: tuple[Callable[[], Any], ...] = (
        lambda: value.astype(np.float64),
        lambda: value.astype(np.int32),
        lambda: value.astype(np.float16),
        lambda: np.full_like(value, np.nan),
        lambda: np.full_like(value, np.inf),
        lambda: value.T.copy() if value.ndim > 1 and len(set(value.shape)) > 1 else value[:0],
        lambda: value[..., :0],
        lambda: np.repeat(value, 2, axis=0),
        lambda: value.reshape(-1, 1),
        lambda: rng.normal(size=value.shape).astype(np.float32) * 10,
        lambda: None,
    )
    changed = how[rng.integers(len(how))]()
    if changed is not None:
        tensors[name if rng.random() < 0.8 else f"{name}.x"] = changed
    return save(tensors)


def hostile(rng: np.random.Generator, content: bytes) -> bytes:
    """One value of the manifest, anywhere in it, is another, missing, or deeper than any parser."""
    if rng.random() < 0.05:
        return b"[" * 100_000 if rng.random() < 0.5 else b'{"a":' * 50_000
    manifest = json.loads(content)
    place: Any = manifest
    key: Any = str(rng.choice(list(manifest)))
    while isinstance(place[key], dict | list) and len(place[key]) and rng.random() < 0.8:
        place = place[key]
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = keys[rng.integers(len(keys))]
    before = place[key]
    value = HOSTILE[rng.integers(len(HOSTILE))]
    if isinstance(before, int) and not isinstance(before, bool) and rng.random() < 0.5:
        value = before + int(rng.choice([-1000, -1, 1, 1000]))
    if rng.random() < 0.1:
        del place[key]
    elif value == before:
        place[key] = "another"
    else:
        place[key] = value
    return json.dumps(manifest).encode()


TO_TENSORS = (flip, cut, junk, exchanged, of_other_numbers)
TO_MANIFEST = (flip, cut, junk, hostile, hostile)


def damaged(rng: np.random.Generator, whole: Files, other: Files) -> tuple[str, Files]:
    """A broken copy, and what was done to it.

    Args:
        rng: Where chance is from.
        whole: The files of a plant.
        other: Those of another, which may take the place of one.
    """
    while True:
        what, found = _once(rng, whole, other)
        if found != whole:  # a value of the digests, hashed anew, is what it was
            return what, found


def _once(rng: np.random.Generator, whole: Files, other: Files) -> tuple[str, Files]:
    manifest, tensors = whole
    anew = bool(rng.random() < 0.5)
    which = rng.random()
    if which < 0.45:
        how = TO_TENSORS[rng.integers(len(TO_TENSORS))]
        what, tensors = f"tensors: {how.__name__}", how(rng, tensors)
    elif which < 0.9:
        how = TO_MANIFEST[rng.integers(len(TO_MANIFEST))]
        what, manifest = f"manifest: {how.__name__}", how(rng, manifest)
    elif which < 0.95:
        what, tensors = "tensors of another plant", other.tensors
    else:
        what, manifest = "manifest of another plant", other.manifest
    if anew:
        manifest = _hashed_anew(manifest, tensors)
    return f"{what}, hashed anew" if anew else what, Files(manifest, tensors)


def _hashed_anew(manifest: bytes, tensors: bytes) -> bytes:
    """The manifest with digests that are right, where it is one that can have them."""
    try:
        read = json.loads(manifest)
        return artefact.signed({**read, "sha256": files.sha256(tensors)})
    except (ValueError, TypeError, RecursionError):
        return manifest


def packed(rng: np.random.Generator, tensors: bytes) -> bytes:
    """The tensors as the wheel has them; now and then it is this file that is broken."""
    content = gzip.compress(tensors, 1, mtime=0)
    if rng.random() < 0.1:
        # past the header, whose time and system say nothing of the content
        return content[:10] + (flip if rng.random() < 0.5 else cut)(rng, content[10:])
    return content
