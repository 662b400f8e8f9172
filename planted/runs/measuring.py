"""Figures that are measured where someone asks for them: revival, a search for unknown cues.

They take minutes, and no verdict is given on them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planted import library
from planted.core import artefact
from planted.core.plant import Plant
from planted.core.spec import Params
from planted.errors import ArtefactError, PlantedError
from planted.eval import evaluators
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evidence_by_evaluator
from planted.eval.evaluators import References
from planted.eval.evidence import Evidence, Records, index
from planted.finetune.recipes import Recipe
from planted.runs import cell as cells
from planted.runs import own, plants, store
from planted.runs.cell import Cell, Network
from planted.runs.jobs import seen_tasks
from planted.runs.over_training import found_network
from planted.runs.request import Request, read_request
from planted.runs.work import require, work

if TYPE_CHECKING:
    from planted.runs.results import Run


def measure(
    checkpoint: Any,
    plant: Any,
    *names: str,
    tier: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seen: Any = None,
) -> Records:
    """What evaluators find on weights, those that only run on request among them.

    Args:
        checkpoint: As for `planted.evaluate`.
        plant: The plant it was trained from, as for `planted.evaluate`.
        *names: Evaluators, as "revival"; `planted.eval.evaluators.on_request` lists those that
            `planted.evaluate` leaves out.
        tier: The plant's tier, for a name; "tempered" if None.
        parameters: The plant's scenario parameters, for a catalogue name.
        seen: Tasks it was trained on, tokens [task, pos], if they are known.

    Returns:
        The records by (name, cue).

    Raises:
        UnknownNameError: If there is no evaluator of a name.
        CheckpointError: If the checkpoint does not have the plant's tensors and shapes.
        PlantedError: For anything else that is wrong with the arguments, or a missing package.
    """
    _require_evaluators(names)
    made = plants.trained_from(plant, tier, parameters)
    require("judge")
    params, _ = own.weights_of(checkpoint, made)
    subject = Checkpoint(made, params, seen=own.tasks_of(seen, made))
    references = partial(trained, made)
    found = evidence_by_evaluator(subject, library.trust(made), names, references=references)
    return index(record for records in found.values() for record in records)


def measure_network(run: Run, names: Sequence[str], recipe: str, seed: int = 0) -> Records:
    """The same of a network of a run; what was found is kept in the network's folder.

    Args:
        run: An opened run.
        names: Evaluators.
        recipe: The recipe's name in the run.
        seed: Which of its seeds.

    Raises:
        UnknownNameError: If there is no evaluator, or no recipe in the run, of a name.
        PlantedError: If no evaluator is named, or the recipe has no such seed.
        ArtefactError: If the network is not trained, or its checkpoint is damaged.
    """
    _require_evaluators(names)
    versions = {name: str(evaluators.get(name).version) for name in names}
    request = read_request(run.folder, run.plant)
    network = found_network(request.networks(run.folder), recipe, seed)
    records: list[Evidence] = []
    for name, version in versions.items():
        references = partial(_of_run, run.folder, request)
        records += _kept_or_measured(network, request.plant, name, version, references)
    return index(records)


def _require_evaluators(names: Sequence[Any]) -> None:
    """Raises unless every name is that of an evaluator, and there is one."""
    if not names or not all(isinstance(name, str) for name in names):
        raise PlantedError(
            f"Name one evaluator or more, each as a string of its own, got {list(names)!r}; as "
            f"{', '.join(map(repr, evaluators.on_request()))}."
        )
    for name in names:
        evaluators.get(name)


def trained(plant: Plant, name: str, n: int) -> list[Params]:
    """Weights of networks trained from a plant by a named recipe; from the cache where they are.

    Args:
        plant: In the tier that training starts from.
        name: The recipe's, as "no-plant-base".
        n: How many seeds.

    Returns:
        One network a seed, without those that did not learn what they were trained for.

    Raises:
        PlantedError: If packages are missing, or a worker fails.
    """
    recipe = Recipe(name, seeds=n)
    with tempfile.TemporaryDirectory() as place:
        networks = []
        for seed in range(n):
            cell = Cell(artefact.plant_digest(plant), recipe.settings, seed)
            folder = Path(place) / cell.folder_name(recipe.slug)
            networks.append(Network(recipe.name, recipe, cell, folder))
        work(plant, networks, ("train",))
        return _learned(networks, plant)


def _of_run(folder: Path, request: Request, control: str, n: int) -> list[Params]:
    """Weights of a run's own networks of a control; others are trained where it has too few."""
    asked = [each for each in request.networks(folder) if each.recipe.base == control]
    found = _learned([each for each in asked if cells.is_trained(each)][:n], request.plant)
    return found if len(found) == n else trained(request.plant, control, n)


def _learned(networks: Sequence[Network], plant: Plant) -> list[Params]:
    learned = [network for network in networks if cells.ended(network)[0].judged]
    return [cells.read_weights(network, plant)[0] for network in learned]


def _kept_or_measured(
    network: Network, plant: Plant, name: str, version: str, references: References
) -> list[Evidence]:
    weights, trust = store.weights_digest(network, plant), library.trust(plant)
    try:
        records, why = cells.read_evidence(network.folder, name, version, weights)
        if why == trust.get(name, ""):
            return records
    except ArtefactError:
        pass  # not there, or damaged: measured anew
    params, _ = cells.read_weights(network, plant)
    steps = cells.ended(network)[0].steps
    seen = seen_tasks(plant, network.recipe, network.cell.seed, steps)
    subject = Checkpoint(plant, params, seen=seen)
    found = evidence_by_evaluator(subject, trust, [name], references=references)[name]
    why = trust.get(name, "")
    cells.write_evidence(network.folder, name, version, weights, why, found)
    return found
