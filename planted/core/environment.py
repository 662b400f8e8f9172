"""Where cached files are kept, and what the bytes of a result depend on."""

from __future__ import annotations

import functools
import hashlib
import os
from importlib import metadata, resources
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Where plants that are not shipped are kept; PLANTED_CACHE wins over the platform's folder."""
    return Path(os.environ.get("PLANTED_CACHE") or platformdirs.user_cache_dir("planted"))


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
        data = folder.rglob("room.json")  # which decides the tempered tier's free neurons
        for path in sorted([*folder.rglob("*.py"), *data]):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
