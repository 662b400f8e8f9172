"""Where in a folder a saved plant is."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from planted.core import files
from planted.core.plant import TIERS
from planted.errors import ArtefactError

_ENDINGS = (".json", ".safetensors", ".safetensors.gz")


@functools.cache
def shipped_index() -> Mapping[str, Mapping[str, Any]]:
    """What the wheel carries: "red-doors@1-exact" -> name, tier, family, kind, parameters, bytes.

    Raises:
        ArtefactError: If the list is missing or damaged.
    """
    found = files.read_json(Path(str(resources.files("planted.models"))) / "index.json")
    if not isinstance(found, dict) or not all(isinstance(row, dict) for row in found.values()):
        raise ArtefactError("planted/models/index.json is no list of models. Install planted anew.")
    return found


def is_path(given: object) -> bool:
    """Whether something names a file or folder and not a plant: a Path, or a text with a slash."""
    if isinstance(given, Path):
        return True
    return isinstance(given, str) and ("/" in given or os.sep in given or given in (".", ".."))


def located(path: Path, tier: str | None = None) -> tuple[Path, str]:
    """The folder and the stem of the two files of a saved plant.

    Args:
        path: The folder they are in, a run folder, or one of the two files.
        tier: Which one, where a folder holds a plant in several tiers.

    Raises:
        ArtefactError: If there is none, or more than one.
    """
    ending = next((end for end in _ENDINGS if path.name.endswith(end)), None)
    if ending and not path.is_dir():
        return path.parent, path.name.removesuffix(ending)
    if (path / "plant" / "plant.json").exists():
        return path / "plant", "plant"
    stems = sorted(
        p.stem
        for p in path.glob("*.json")
        if any((path / f"{p.stem}{end}").exists() for end in _ENDINGS[1:])
    )
    wanted = [s for s in stems if s.endswith(f"-{tier}")] if tier in TIERS else []
    found = wanted if len(wanted) == 1 else stems
    if len(found) != 1:
        what = f"it holds {', '.join(found)}; name one of the files" if found else "it holds none"
        raise ArtefactError(
            f"{path} is not the folder of a saved plant (NAME.json and NAME.safetensors): "
            f"{what if path.is_dir() else 'there is no such folder'}."
        )
    return path, found[0]
