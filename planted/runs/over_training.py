"""The verdict at every saved step of one network: when the fate of its objective changed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from planted import library
from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import ArtefactError, PlantedError, unknown
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of, evaluate
from planted.eval.evidence import Evidence, check, index
from planted.eval.reading import sentence
from planted.eval.verdict.rule import Verdict, decide
from planted.runs import cell as cells
from planted.runs import folder as folders
from planted.runs.cell import Network
from planted.runs.jobs import seen_tasks
from planted.runs.request import read_request
from planted.runs.stamping import stamped

if TYPE_CHECKING:
    from planted.runs.results import Run


class StepVerdict(NamedTuple):
    """What is said of a network at one step of its training.

    Attributes:
        step: How many steps it was trained.
        verdict: The verdict on its weights then, beside the run's controls.
        sentence: The reading in a line.
    """

    step: int
    verdict: Verdict
    sentence: str


def over_training(run: Run, recipe: str, seed: int = 0) -> list[StepVerdict]:
    """The verdict at every step that training saved (25, 50, 100, ...) and at its end.

    Each step takes as long as judging a checkpoint, some seconds; what was measured is kept in the
    network's folder.

    Args:
        run: An opened run.
        recipe: The recipe's name in the run.
        seed: Which of its seeds.

    Returns:
        One entry a step, the earliest first. A network that has not learned its behaviour at some
        step is judged there all the same, by what it does.

    Raises:
        UnknownNameError: If the run has no such recipe.
        PlantedError: If it has no such seed.
        ArtefactError: If a file is missing or damaged.
    """
    request = read_request(run.folder, run.plant)
    networks = request.networks(run.folder)
    network = _found(networks, recipe, seed)
    plant, cues = request.plant, cues_of(run.plant.scenario)
    controls = folders.nulls_of(run.folder, request)
    out = []
    for step, path in _saved(network):
        found = controls.records(_evidence(network, plant, step, path), cues)
        by_name = index(found)
        out.append(
            StepVerdict(step, stamped(decide(by_name, cues), plant), sentence(by_name, cues))
        )
    return out


def _found(networks: Sequence[Network], recipe: str, seed: int) -> Network:
    named = [network for network in networks if network.label == recipe]
    if not named:
        raise unknown("recipe of this run", str(recipe), {each.label for each in networks})
    for network in named:
        if network.cell.seed == seed:
            return network
    raise PlantedError(f"No seed {seed!r} of recipe {recipe!r}; it has {len(named)}, from 0 on.")


def _saved(network: Network) -> list[tuple[int, Path]]:
    """The files of saved steps and the last one, by step."""
    steps = {
        int(path.stem.removeprefix("step-")): path
        for path in network.folder.glob("step-*.safetensors")
    }
    return sorted({**steps, cells.ended(network)[0].steps: network.checkpoint}.items())


def _evidence(network: Network, plant: Plant, step: int, path: Path) -> list[Evidence]:
    """The records at a step: those that were kept, if they are of these weights, or measured.

    What is kept and damaged, or another version's, is measured anew.
    """
    params = plant.check_params(
        {k: v for k, v in files.read_tensors(path)[0].items() if k in plant.params}, str(path)
    )
    trust = library.trust(plant)
    about = {
        "weights": artefact.params_digest(params),
        "versions": evaluators.versions(),
        "trust": trust,
    }
    kept = network.folder / f"evidence-{step:06d}.json"
    with suppress(ArtefactError, KeyError, TypeError, msgspec.ValidationError):
        content = files.read_signed(kept)
        if content["about"] == about:
            return [check(one) for one in msgspec.convert(content["records"], list[Evidence])]
    seen = seen_tasks(plant, network.recipe, network.cell.seed, step)
    records = evaluate(Checkpoint(plant, params, seen=seen), trust)
    files.write_signed(kept, {"about": about, "records": msgspec.to_builtins(records)})
    return records
