"""The run folder: verdicts given on its cells, and the folder opened and checked.

    RUN/run.json (the request, versions)   plant/{plant.json,plant.safetensors}   timings.json
        cells/SLUG-SEED-DIGEST/...         see planted.runs.cell
        controls.jsonl   training.jsonl   evidence.jsonl   verdicts.json   nulls.json   report.html

`settle` reads the cells and writes the records; `open_run` reads the records, and refuses them
where a checkpoint or its evidence is no longer what the verdict was given on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from planted.core import artefact, files
from planted.errors import ArtefactError, RunFolderError, VerdictError
from planted.eval import evaluators
from planted.eval.evaluate import cues_of
from planted.eval.evidence import Evidence, Records, index
from planted.eval.reading import reading, sentence
from planted.eval.verdict.rule import Verdict, decide, not_learned
from planted.eval.verdict.thresholds import default
from planted.finetune.recipes import NEGATIVE_CONTROLS, SHAM
from planted.runs import cell as cells
from planted.runs.cell import Network
from planted.runs.nulls import Beside, beside, records_of, said_of, table_in
from planted.runs.request import CONTROLS, Request, read_raw, read_request
from planted.runs.results import CheckpointResult, Run
from planted.runs.stamping import stamped


def settle(folder: Path, plant: Any = None) -> Run:
    """Gives the verdicts on a run whose networks are judged, and writes the records.

    Args:
        folder: The run folder.
        plant: The plant, where it was given as a Python object, as for `open_run`.

    Raises:
        ArtefactError: If a file is missing or damaged.
    """
    request = read_request(folder, plant)
    networks, plant = request.networks(folder), request.plant
    cues, controls = cues_of(plant.scenario), nulls_of(folder, request)
    versions = evaluators.versions()
    rows, verdicts, training = [], [], []
    for network in networks:
        where = {"recipe": network.label, "seed": network.cell.seed}
        _, log = cells.read_weights(network, plant)
        training += [{**row, **where} for row in log]
        if network.recipe.base in SHAM:
            continue
        is_control = network.recipe.base in NEGATIVE_CONTROLS
        own = (network.label, network.cell.seed) if is_control else None
        outcome, label = cells.ended(network)
        records = []
        if outcome.judged:
            records = controls.records(records_of(network, plant), cues, own)
        verdict = decide(index(records), cues) if outcome.judged else not_learned(outcome.how)
        verdict = stamped(verdict, plant, index(records))
        judged = versions if outcome.judged else {}
        found = [{**where, **msgspec.to_builtins(record)} for record in records]
        rows += found
        row = {
            **where,
            **msgspec.to_builtins(verdict),
            "null": is_control,
            "outcome": msgspec.to_builtins(outcome),
            "label": msgspec.to_builtins(label),
            "reading": reading(index(records), cues) if records else {},
            "sentence": sentence(index(records), cues) if records else "",
            "decided_on": cells.decided_on(network, judged),
            "evidence_sha256": files.digest_of(found),
        }
        verdicts.append({**row, "sha256": files.digest_of(row)})
    files.write_lines(folder / "training.jsonl", training)
    files.write_lines(folder / "evidence.jsonl", rows)
    files.write_json(folder / "verdicts.json", verdicts)
    files.write_signed(folder / "nulls.json", controls.note())
    return open_run(folder, plant)


def nulls_of(folder: Path, request: Request) -> Beside:
    """What the figures of a run whose networks are judged are held against.

    Raises:
        ArtefactError: If a file of a control is missing or damaged.
    """
    table = table_in(folder / CONTROLS)
    return beside(request.plant, request.controls, request.networks(folder), table)


def open_run(folder: str | Path, plant: Any = None) -> Run:
    """Opens a finished run from its folder.

    Args:
        folder: The run folder.
        plant: The plant, where it was given as a Python object: a model or a plant in any tier, or
            "module:function" that returns one.

    Raises:
        RunFolderError: If it holds no run, or one that is not finished.
        ArtefactError: If a file is missing or damaged, or a verdict was given on other files than
            are there; the file is named, with the command that restores it.
    """
    if not isinstance(folder, str | Path):
        raise RunFolderError(f"A run folder is a path, as 'runs/demo'; got {folder!r}.")
    folder = Path(folder)
    request = read_request(folder, plant)
    networks = {(n.label, n.cell.seed): n for n in request.networks(folder)}
    _refuse_unfinished(folder, list(networks.values()))
    nulls, in_full = _said(folder, request)
    try:
        results, controls = _read_records(folder, request, networks, in_full)
    except (KeyError, TypeError, AttributeError, VerdictError, msgspec.ValidationError) as error:
        raise ArtefactError(
            f"The records in {folder} are damaged ({error!r}). Run: planted evaluate {folder}"
        ) from None
    raw = read_raw(folder)
    return Run(folder, request.plant, tuple(results), tuple(controls), request.findings, raw, nulls)


def _read_records(
    folder: Path, request: Request, networks: Mapping[tuple[str, int], Network], nulls: str
) -> tuple[list[CheckpointResult], list[CheckpointResult]]:
    """Results and negative controls, each held to the digests that its verdict states."""
    rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in files.read_lines(folder / "evidence.jsonl"):
        rows.setdefault((row["recipe"], row["seed"]), []).append(row)
    found: dict[tuple[str, int], tuple[bool, CheckpointResult]] = {}
    for entry in files.read_json(folder / "verdicts.json"):
        key = (entry["recipe"], entry["seed"])
        stated = entry.pop("sha256")
        own = rows.get(key, [])
        if stated != files.digest_of(entry) or entry["evidence_sha256"] != files.digest_of(own):
            raise VerdictError(f"the records of {key[0]} {key[1]} were altered")
        if key not in networks:
            raise VerdictError(f"{key[0]} {key[1]} is not part of the run")
        cells.still_decided_on(networks[key], entry["decided_on"])
        records = index(
            msgspec.convert({k: v for k, v in row.items() if k not in ("recipe", "seed")}, Evidence)
            for row in own
        )
        verdict = msgspec.convert({k: entry[k] for k in Verdict.__struct_fields__}, Verdict)
        _refuse_other_name(networks[key], verdict, records, cues_of(request.plant))
        result = CheckpointResult(
            *key, verdict, entry["reading"], records, request.plant, networks[key].checkpoint,
            entry["decided_on"], None, *cells.ended(networks[key]), nulls,
        )  # fmt: skip
        found[key] = (entry["null"], result)
    lacking = [n.name for key, n in networks.items() if key not in found and _is_judged(n)]
    if lacking:
        raise VerdictError(f"{lacking[0]} has no verdict")
    results = [result for control, result in found.values() if not control]
    return results, [result for control, result in found.values() if control]


def _said(folder: Path, request: Request) -> tuple[str, str]:
    """Where the nulls come from, shortly and in full; older runs hold no note of it."""
    path = folder / "nulls.json"
    if not path.exists():
        return (said_of(request.controls),) * 2
    with _mended_by_evaluating(folder):
        note = files.read_signed(path)
    return str(note["says"]), str(note["in_full"])


def _refuse_other_name(
    network: Network, verdict: Verdict, records: Records, cues: tuple[str, ...]
) -> None:
    """Refuses a verdict that its own evidence does not come to, however it was signed.

    A verdict by other thresholds is not decided again.

    Raises:
        VerdictError: Naming both.
    """
    if not cells.ended(network)[0].judged:
        decided = "not learned"
    elif verdict.thresholds == default().label:
        decided = decide(records, cues).name
    else:
        return
    if decided != verdict.name:
        raise VerdictError(
            f"{network.name} has the verdict {verdict.name!r}, and its evidence comes to "
            f"{decided!r}"
        )


def _is_judged(network: Network) -> bool:
    """Whether a network gets a verdict: sham fine-tuning is only held against."""
    return network.recipe.base not in SHAM


def _refuse_unfinished(folder: Path, networks: list[Network]) -> None:
    versions = evaluators.versions()
    for name in ("evidence.jsonl", "verdicts.json"):
        if not (folder / name).exists():
            done = sum(
                all(cells.evidence_path(n.folder, e, v).exists() for e, v in versions.items())
                or (cells.is_trained(n) and not cells.ended(n)[0].judged)
                for n in networks
            )
            raise RunFolderError(
                f"{folder / name} is missing: {done} of {len(networks)} networks are judged so "
                "far, and verdicts come when all are. Let the run end, or repeat the command that "
                f"began it; if all are trained: planted evaluate {folder}"
            )


def logs_of(run: Run) -> tuple[dict[str, Any], dict[str, Any]]:
    """The training rows and the weight diagnostics of a run's own recipes, by recipe and seed.

    Raises:
        ArtefactError: If one of them is missing or damaged.
    """
    training: dict[str, dict[int, list[dict[str, Any]]]] = {}
    diagnostics: dict[str, dict[int, Any]] = {}
    names = {result.recipe for result in run.results}
    written, stated = run.folder / "training.jsonl", []
    for network in read_request(run.folder, run.plant).networks(run.folder):
        params, log = cells.read_weights(network, run.plant)
        where = {"recipe": network.label, "seed": network.cell.seed}
        rows = [{**row, **where} for row in log]
        stated += rows
        if network.recipe.base not in NEGATIVE_CONTROLS:
            training.setdefault(network.label, {})[network.cell.seed] = rows
        if network.label in names and cells.ended(network)[0].judged:
            weights = artefact.params_digest(params)
            with _mended_by_evaluating(run.folder):
                found = cells.read_diagnostics(network.folder, weights)
            diagnostics.setdefault(network.label, {})[network.cell.seed] = found
    with _mended_by_evaluating(run.folder):
        if files.read_lines(written) != stated:
            raise ArtefactError(f"{written} was altered: the checkpoints have other training logs.")
    return training, diagnostics


@contextmanager
def _mended_by_evaluating(folder: Path) -> Iterator[None]:
    """Adds to the error about a damaged file what restores it."""
    try:
        yield
    except ArtefactError as error:
        raise ArtefactError(f"{error} Run: planted evaluate {folder}") from None
