"""Evidence on a model of known fate in one file, by evaluator, so that none is measured twice.

The file says what it is about; one that is damaged, or about something else, counts for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from planted.core import files
from planted.errors import ArtefactError, PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evidence_by_evaluator
from planted.eval.evidence import Evidence

SCHEMA = 2


def read(path: Path, asked: str, trust: Mapping[str, str]) -> dict[str, Any]:
    """What a file holds; empty if it is missing, damaged, or about something else.

    Args:
        path: The file.
        asked: Digest of what it must be about.
        trust: Evaluator -> why it is not trusted; it must have been the same.
    """
    try:
        entry = files.read_signed(path)
    except ArtefactError:
        return {}
    about = _about(asked, trust)
    return entry if {key: entry.get(key) for key in about} == about else {}


def _about(asked: str, trust: Mapping[str, str]) -> dict[str, Any]:
    return {"schema": SCHEMA, "asked": asked, "trust": dict(trust)}


def missing(entry: Mapping[str, Any]) -> list[str]:
    """The evaluators that have not been asked in their present version; none where refused."""
    if entry.get("refused"):
        return []
    found = entry.get("evidence", {})
    return [
        name
        for name, version in evaluators.versions().items()
        if found.get(name, {}).get("version") != version
    ]


def records(entry: Mapping[str, Any]) -> list[Evidence]:
    """All evidence in a file, by evaluator in their order."""
    found = entry.get("evidence", {})
    return [
        record
        for name in evaluators.versions()
        if name in found
        for record in msgspec.convert(found[name]["records"], list[Evidence])
    ]


def complete(
    path: Path, entry: dict[str, Any], asked: str, trust: Mapping[str, str], subject: Checkpoint
) -> None:
    """Asks the evaluators that are missing, and writes the file.

    Where nothing can be measured on the subject at all, the file says so: "refused".
    """
    evidence, refused, versions = dict(entry.get("evidence", {})), "", evaluators.versions()
    try:
        for name, found in evidence_by_evaluator(subject, trust, missing(entry)).items():
            measured = msgspec.to_builtins(found)
            evidence[name] = {"version": versions[name], "records": measured}
    except PlantedError as error:
        refused = str(error)
    about = _about(asked, trust)
    files.write_signed(path, {**entry, **about, "evidence": evidence, "refused": refused})
