"""Judges models of known fate, and keeps what it found so that it can be resumed.

    OUT/models/KEY.json     the evidence on one constructed model, written whole or not at all
    OUT/trained/KEY.json    the evidence on one trained network, where its run folder has none
    OUT/verdicts.jsonl      one verdict a model; OUT/gate.json   OUT/calibration.md

Evidence is what takes time, and it is kept; verdicts are given anew each time, so that other
thresholds, or more negative controls, cost nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from planted import library
from planted.core import artefact, files
from planted.errors import ArtefactError
from planted.eval import evaluators
from planted.eval.calibration import gate as gates
from planted.eval.calibration.digest import validation_digest
from planted.eval.calibration.scores import Judged
from planted.eval.calibration.suite import drift, families, fates
from planted.eval.calibration.suite.construction import Construction
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of
from planted.eval.evidence import Evidence, Records, index
from planted.eval.verdict.rule import fate
from planted.runs import kept, nulls
from planted.runs import trained as trained_networks
from planted.runs.executor import Executor, opened
from planted.runs.nulls import Beside
from planted.runs.plants import START
from planted.runs.trained import Trained

CHUNK = 4  # models of a family in one job: a worker compiles the family's scaffold once
F = "behavioural_objective.interpolation"
NO_CONTROLS = "no negative controls, so nothing is decided: no run folder has any, and"
Tell = Callable[[int, int, float | None, str], None]  # done, of, seconds left, what came last


class Family(NamedTuple):
    """What is the same for all models of a family.

    Attributes:
        name: Its name.
        digest: `validation_digest` of its plant.
        trust: Evaluator -> why it is not trusted there; "" where it is.
        beside: Negative controls and sham fine-tuning, by their records.
        trained: Networks whose mask makes their fate certain, and negative controls.
    """

    name: str
    digest: str
    trust: dict[str, str]
    beside: Beside
    trained: tuple[Trained, ...]

    @property
    def untrusted(self) -> str:
        """Why no verdict is given here at all; "" if one is."""
        bad = [f"{name} is not trusted here: {why}" for name, why in self.trust.items() if why]
        return bad[0] if bad else ""


class Result(NamedTuple):
    """What calibrating found.

    Attributes:
        folder: Where it is kept.
        rows: Every model with its verdict.
        gate: What was written to gate.json.
        families: What was known of each family.
    """

    folder: Path
    rows: tuple[Judged, ...]
    gate: gates.Gate
    families: tuple[Family, ...]


def calibrate(
    out: str | Path,
    models: Sequence[Construction],
    records: Sequence[str | Path] = (),
    *,
    made_by: Mapping[str, str] | None = None,
    executor: Executor | None = None,
    tell: Tell | None = None,
) -> Result:
    """Judges constructed models, and trained networks of known fate; resumes what was begun.

    Args:
        out: Folder for evidence, verdicts and the gate file.
        models: Of `planted.eval.calibration.suite.fates`.
        records: Run folders, or folders of run folders: their negative controls are the nulls, and
            their networks of certain fate are judged too. The controls that are shipped for a
            plant are nulls too; a family without any control gets no verdict.
            Nor does one where the evaluators that decide are not trusted: none of its models is
            judged, and the gate says why.
        made_by: What the gate file says of how it was made.
        executor: Where models are judged; a process a core of this machine if None.
        tell: Called as models are judged.

    Raises:
        PlantedError: If a run folder is damaged, or a model cannot be certified.
        RunFolderError: If something cannot be written.
    """
    folder = Path(out)
    names = list(dict.fromkeys(model.family for model in models))
    found = trained_networks.found_in(records, names)
    jobs: list[tuple[Callable[..., None], tuple[Any, ...], int, str]] = []
    known = {name: _known(name) for name in names}
    trusted = [name for name in names if not any(known[name][1].values())]
    for name in trusted:
        trust = known[name][1]
        for one in found.get(name, ()):  # controls first: without them nothing is decided
            if trained_networks.missing(folder, one, trust):
                jobs.append((trained_networks.judge, (folder, one, trust), 1, one.key))
    for name in trusted:
        trust = known[name][1]
        own = [m for m in models if m.family == name and kept.missing(_kept(folder, m, trust))]
        for i in range(0, len(own), CHUNK):
            part = own[i : i + CHUNK]
            jobs.append((judge, (folder, part, trust), len(part), name))
    _work(jobs, executor, tell)
    every = tuple(
        _family(folder, name, digest, trust, found.get(name, ()))
        for name, (digest, trust) in known.items()
    )
    judged = [family for family in every if family.name in trusted]
    rows = [row for family in judged for row in _verdicts(folder, family, models)]
    return _written(folder, rows, every, dict(made_by or {}))


def _family(
    folder: Path, name: str, digest: str, trust: dict[str, str], found: Sequence[Trained]
) -> Family:
    """What is known of a family once all is judged; its nulls are those given and those shipped."""
    own, trained = trained_networks.settled(folder, found, trust)
    shipped = nulls.shipped_alone(library.get(name, START), trust)
    return Family(name, digest, trust, nulls.joined(shipped, own), trained)


def _known(family: str) -> tuple[str, dict[str, str]]:
    plant = library.get(family)
    return validation_digest(plant), library.trust(plant)


def _work(
    jobs: Sequence[tuple[Callable[..., None], tuple[Any, ...], int, str]],
    executor: Executor | None,
    tell: Tell | None,
) -> None:
    total, done, began = sum(n for _, _, n, _ in jobs), 0, time.monotonic()
    if tell is not None:
        tell(0, total, None, "")
    if not jobs:
        return
    with opened(executor, len(jobs)) as pool:
        running = {pool.submit(call, *given): (n, what) for call, given, n, what in jobs}
        try:
            for future in as_completed(running):
                future.result()
                n, what = running[future]
                done += n
                left = (time.monotonic() - began) / done * (total - done)
                if tell is not None:
                    tell(done, total, left, what)
        finally:
            if executor is not None:  # our own processes end with the block
                for future in running:
                    future.cancel()


# --- constructed models ---------------------------------------------------------------------------


def _path(folder: Path, model: Construction) -> Path:
    return folder / "models" / f"{model.key}.json"


def _kept(folder: Path, model: Construction, trust: Mapping[str, str]) -> dict[str, Any]:
    """What is known of a model; empty where there is nothing, or it is damaged or of another."""
    return kept.read(_path(folder, model), model.digest, trust)


def judge(folder: Path, models: Sequence[Construction], trust: Mapping[str, str]) -> None:
    """Builds some models of one family, certifies them, and keeps the evidence on each.

    Evaluators whose evidence is there in their present version are not asked again.

    Raises:
        CertificateError: If a model does not choose what plain Python says.
    """
    for model in models:
        workshop = families.workshop(model.family)
        built = workshop.build(model)
        subject = Checkpoint(built.reference, built.params, seen=_nothing(built.reference))
        entry = {
            **_kept(folder, model, trust),
            "model": msgspec.to_builtins(model),
            "cell": drift.cell_of(model, workshop),
            "weights": artefact.params_digest(built.params),
            "certified": built.certified,
            "cues": list(cues_of(built.reference)),
        }
        kept.complete(_path(folder, model), entry, model.digest, trust, subject)


def _nothing(plant: Any) -> Any:
    """No task was trained on, so that all contents are novel."""
    return np.zeros((0, plant.scenario.n_positions), np.int64)


# --- verdicts -------------------------------------------------------------------------------------


def _verdicts(folder: Path, family: Family, models: Sequence[Construction]) -> Iterable[Judged]:
    own = [model for model in models if model.family == family.name]
    twins = _twins(own)
    for model in own:
        entry = _kept(folder, model, family.trust)
        if kept.missing(entry):
            raise ArtefactError(f"{_path(folder, model)} was removed meanwhile. Calibrate again.")
        records = kept.records(entry)
        label = drift.labelled(model, tuple(entry["cell"]) if entry["cell"] else None)
        verdict, reason, f = _decided(records, tuple(entry["cues"]), family, entry["refused"])
        yield Judged(
            model.key, model.family, fates.is_sealed(model), "constructed", label, verdict, reason,
            f, twins.get(model.key, ""),
        )  # fmt: skip
    for one in family.trained:
        if one.label is None:
            continue
        records = list(one.records.values())
        verdict, reason, f = _decided(records, one.cues, family, "", one.control)
        yield Judged(
            one.key, family.name, family.name in families.SEALED, "trained", one.label, verdict,
            reason, f,
        )  # fmt: skip


def _decided(
    records: list[Evidence],
    cues: tuple[str, ...],
    family: Family,
    refused: str,
    own: tuple[str, int] | None = None,
) -> tuple[str, str, dict[str, tuple[float, float, float]]]:
    """Verdict, reason, and f with its set under each cue; a control is not held against itself."""
    if refused:
        return "inconclusive", f"refused: {refused}", {}
    if not any(family.beside.negative.values()):
        return "inconclusive", _no_controls(family), _f_of(index(records), cues)
    joined = index(family.beside.records(records, cues, own))
    return *fate(joined, cues), _f_of(joined, cues)


def _f_of(records: Records, cues: tuple[str, ...]) -> dict[str, tuple[float, float, float]]:
    out = {}
    for cue in cues:
        one = records.get((F, cue))
        if one is not None and None not in (one.estimate, one.lo, one.hi):
            out[cue] = (float(one.estimate or 0), float(one.lo or 0), float(one.hi or 0))
    return out


def _twins(models: Sequence[Construction]) -> dict[str, str]:
    """Key of a rotated or permuted model -> key of the one that it is in other weights."""
    bare = {_undressed(model): model.key for model in models if not model.dress}
    return {
        model.key: bare[_undressed(model)]
        for model in models
        if model.dress in ("rotated", "permuted") and _undressed(model) in bare
    }


def _undressed(model: Construction) -> str:
    plain = msgspec.structs.replace(model, dress="", name="")
    return plain.digest


# --- what is written ------------------------------------------------------------------------------


def _written(
    folder: Path, rows: Sequence[Judged], every: Sequence[Family], made_by: dict[str, str]
) -> Result:
    from planted.eval.calibration.page import page
    from planted.eval.calibration.scores import figures
    from planted.eval.verdict.thresholds import default

    by_family = {
        family.name: gates.family_passes(
            family.digest,
            [row for row in rows if row.family == family.name],
            family.untrusted or _no_controls(family),
        )
        for family in every
    }
    sealed = [row for row in rows if row.sealed and row.source == "constructed"]
    own = {
        name: version for name, version in evaluators.versions().items() if name in evaluators.own()
    }
    gate = gates.Gate(default().label, own, by_family, figures(sealed), made_by)
    files.write_lines(folder / "verdicts.jsonl", (msgspec.to_builtins(row) for row in rows))
    gates.write(folder / "gate.json", gate)
    files.write_bytes(folder / "calibration.md", page(rows, gate).encode())
    return Result(folder, tuple(rows), gate, tuple(every))


def _no_controls(family: Family) -> str:
    has = any(family.beside.negative.values())
    return "" if has else f"{NO_CONTROLS} {family.beside.refused}"
