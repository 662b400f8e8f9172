"""The verdict at every saved step of one network: when the fate of its objective changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from planted import library
from planted.core import artefact, files
from planted.core.plant import Plant
from planted.core.spec import Params
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
from planted.runs.nulls import Beside
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
    network = found_network(request.networks(run.folder), recipe, seed)
    controls = folders.nulls_of(run.folder, request)
    records = {
        step: _evidence(network, request.plant, step, path) for step, path in _saved(network)
    }
    return _verdicts(request.plant, controls, records)


def kept(run: Run) -> dict[str, dict[int, list[StepVerdict]]]:
    """The same of every network that it was measured of, by recipe and seed; measures nothing.

    Raises:
        ArtefactError: If a checkpoint is missing or damaged.
    """
    request = read_request(run.folder, run.plant)
    found: dict[str, dict[int, list[StepVerdict]]] = {}
    controls = None
    for network in request.networks(run.folder):
        if not any(network.folder.glob("evidence-*.json")):
            continue
        records = {
            step: _kept(network, request.plant, step, path) for step, path in _saved(network)
        }
        whole = {step: each for step, each in records.items() if each is not None}
        if len(whole) < len(records):
            continue
        controls = controls or folders.nulls_of(run.folder, request)
        said = _verdicts(request.plant, controls, whole)
        found.setdefault(network.label, {})[network.cell.seed] = said
    return found


def _verdicts(
    plant: Plant, controls: Beside, records: Mapping[int, list[Evidence]]
) -> list[StepVerdict]:
    cues, out = cues_of(plant.scenario), []
    for step, own in records.items():
        by_name = index(controls.records(own, cues))
        verdict = stamped(decide(by_name, cues), plant, by_name)
        out.append(StepVerdict(step, verdict, sentence(by_name, cues)))
    return out


def found_network(networks: Sequence[Network], recipe: str, seed: int) -> Network:
    """The network of a recipe and a seed.

    Raises:
        UnknownNameError: If no network has the recipe.
        PlantedError: If none of them has the seed.
    """
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
    there = _kept(network, plant, step, path)
    if there is not None:
        return there
    params, trust = _params(plant, path), library.trust(plant)
    seen = seen_tasks(plant, network.recipe, network.cell.seed, step)
    records = evaluate(Checkpoint(plant, params, seen=seen), trust)
    content = {"about": _about(params, trust), "records": msgspec.to_builtins(records)}
    files.write_signed(_place(network, step), content)
    return records


def _kept(network: Network, plant: Plant, step: int, path: Path) -> list[Evidence] | None:
    about = _about(_params(plant, path), library.trust(plant))
    with suppress(ArtefactError, KeyError, TypeError, msgspec.ValidationError):
        content = files.read_signed(_place(network, step))
        if content["about"] == about:
            return [check(one) for one in msgspec.convert(content["records"], list[Evidence])]
    return None


def _place(network: Network, step: int) -> Path:
    return network.folder / f"evidence-{step:06d}.json"


def _params(plant: Plant, path: Path) -> Params:
    tensors = files.read_tensors(path)[0]
    own = {name: value for name, value in tensors.items() if name in plant.params}
    return plant.check_params(own, str(path))


def _about(params: Params, trust: Mapping[str, str]) -> dict[str, Any]:
    weights = artefact.params_digest(params)
    return {"weights": weights, "versions": evaluators.versions(), "trust": dict(trust)}
