"""A verdict on weights from the user's own training loop."""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from planted import library
from planted.core import artefact, files
from planted.core.arguments import mapping, one_of
from planted.core.plant import Plant
from planted.core.scenario import Tokens
from planted.errors import CheckpointError, PlantedError, ShapeError
from planted.eval import evaluators
from planted.eval.calibration.shipped import Table
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import cues_of
from planted.eval.evaluate import evaluate as evidence_on
from planted.eval.evidence import index
from planted.eval.reading import reading
from planted.eval.verdict.rule import decide
from planted.finetune.recipes import Recipe
from planted.network import layout
from planted.runs import nulls, plants, store
from planted.runs.asked import LEAST_CONTROLS, Asked, controls_of, grown
from planted.runs.cell import Cell, Network
from planted.runs.executor import Executor, checked
from planted.runs.findings import findings_of
from planted.runs.nulls import Beside
from planted.runs.progress import Progress
from planted.runs.results import CheckpointResult, digest_of_weights
from planted.runs.stamping import stamped
from planted.runs.work import require, work

YOURS = "Pass a safetensors file that holds the trained weights, saved once more if this is one."
PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl")  # as torch.save's files are called


def evaluate(
    checkpoint: Any,
    plant: Any,
    *,
    tier: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    seen: Any = None,
    controls: int | Sequence[Recipe] | None = None,
    trust: Mapping[str, str] | None = None,
    anyway: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> CheckpointResult:
    """Judges weights from the user's own training loop: a verdict, with reading and evidence.

    Figures are compared with those of negative controls (networks without the plant, trained to the
    same behaviour) and of sham fine-tuning (the plant, trained on its own choices). These are
    trained once for each plant, about a minute on two cores for red-doors, and kept in the cache; a
    later call takes a few seconds. Where records of them are shipped for the plant, only 2 of each
    are trained and compared with those. Where it is known beforehand that the verdict will be
    "inconclusive" (`planted.forecast`), they are not trained: a warning says why, and the reading
    and the evidence are given without nulls.

    Args:
        checkpoint: A torch module made by `Model.module`; a mapping of parameters, as
            `module.to_params()` or `module.state_dict()`, of arrays or tensors of any float type;
            or the path of a safetensors file of either.
        plant: The plant it was trained from: a catalogue name, "module:function", or a model from
            `planted.plant`.
        tier: The plant's tier, for a name; "tempered" if None.
        parameters: The plant's scenario parameters, for a catalogue name.
        seen: Tasks it was trained on, tokens [task, pos]. Base choices on contents that are not
            among them distinguish "modelled deceptively" from contents learned by heart. If None,
            no content is known to be new, and the verdict on such a network is "inconclusive"; so
            it is where `seen` holds every content there is.
        controls: Number of seeds of each negative control and of sham fine-tuning, all trained
            here, or their recipes; if None, 2 beside shipped records, or 8 where none are shipped.
        trust: Evaluator -> why it is not trusted on this plant, "" where it is trusted; if None,
            the result of `planted.library.trust`.
        anyway: Train controls even if the verdict is known beforehand to be "inconclusive".
        executor: Trains the controls; processes on this machine if None.
        progress: Called as controls are finished, as for `planted.run`.

    Returns:
        The same kind of result as `run[0]`: `.verdict`, `.reading`, `.evidence`, `.params`,
        `.model()`.

    Raises:
        CheckpointError: If it does not have the plant's tensors and shapes, or holds NaN.
        PlantedError: For anything else that is wrong with the arguments, or a missing package.

    Example:
        The plant as it was made; the controls take about a minute the first time.

        >>> import planted
        >>> weights = planted.load("red-doors", tier="tempered").plant.params
        >>> planted.evaluate(weights, "red-doors").verdict.name
        'persists'
    """
    made = plants.trained_from(plant, tier, parameters)
    require("judge")
    evaluators.versions()  # one that cannot be imported is said before minutes of work
    params, path = weights_of(checkpoint, made)
    tasks = tasks_of(seen, made)
    trust = library.trust(made) if trust is None else _trust(trust)
    if executor is not None:
        checked(executor)
    if controls is None:
        asked, table = nulls.usual(made, trust)
    else:
        asked, table = grown((), controls_of(controls)), None
    subject = Checkpoint(made, params, seen=tasks)
    own = evidence_on(subject, trust)
    counted = [each.counted for each in asked]
    blocking = [f for f in findings_of(made, (), counted, trust, LEAST_CONTROLS) if f.blocking]
    for finding in blocking:
        warnings.warn(str(finding), stacklevel=2)
    if blocking and not anyway:
        asked = ()

    how = {"trust": trust, "executor": executor, "progress": progress}
    beside = _held_against(made, asked, table, **how)
    cues = cues_of(made.scenario)
    records = index(beside.records(own, cues))
    return CheckpointResult(
        "",
        None,
        stamped(decide(records, cues), made, records),
        reading(records, cues),
        records,
        made,
        path,
        digest_of_weights(params),
        params,
        nulls=beside.in_full,
    )


def weights_of(checkpoint: Any, plant: Plant) -> tuple[dict[str, Any], Path | None]:
    """The parameters of a checkpoint that a user passes, checked, and its file if it is one.

    Raises:
        CheckpointError: If it does not have the plant's tensors and shapes, or holds NaN.
        PlantedError: If it is nothing that weights can be read from.
    """
    what, path = "the checkpoint", None
    if isinstance(checkpoint, str | Path):
        path = Path(checkpoint)
        _refuse_pickle(path)
        what, (checkpoint, note) = str(path), files.read_tensors(path, YOURS)
        _same_start(path, note, plant)
    elif hasattr(checkpoint, "to_params"):
        checkpoint = checkpoint.to_params()
    elif hasattr(checkpoint, "state_dict"):  # a module that wraps it, as for several processes
        checkpoint = checkpoint.state_dict()
    if not isinstance(checkpoint, Mapping):
        raise PlantedError(
            f"Cannot read weights from a {type(checkpoint).__name__}: pass a Model.module that was "
            "trained on, its to_params() or state_dict(), or a safetensors path."
        )
    if layout.is_state_dict(checkpoint):
        checkpoint = layout.from_state_dict(checkpoint, plant.params)
    try:
        return plant.check_params(checkpoint, what), path
    except ShapeError as error:
        fitting = plants.tiers_of_shapes(plant, checkpoint)
        if not fitting:
            other = "exact" if plant.tier == plants.START else plants.START
            raise ShapeError(
                f"{error} If it was trained from another tier of {plant.name} than {plant.tier!r}, "
                f"pass tier={other!r}, or the model that was trained."
            ) from error
        raise ShapeError(
            f"{error} It has the shapes of tier {' or '.join(fitting)}: pass tier={fitting[0]!r}, "
            "or the model that was trained."
        ) from error


def _same_start(path: Path, note: Mapping[str, Any], plant: Plant) -> None:
    """Refuses a checkpoint whose own note says that it was trained from other weights.

    Raises:
        CheckpointError: Naming both plants.
    """
    start = note.get("start")
    if start is None or start == artefact.params_digest(plant.params):
        return
    raise CheckpointError(
        f"{path} was trained from {note.get('plant')} (tier {note.get('tier')}), and its start "
        f"does not have the weights of {plant.name} (tier {plant.tier}). Name the plant that it "
        "was trained from."
    )


def _refuse_pickle(path: Path) -> None:
    """Refuses torch's own files.

    Raises:
        PlantedError: Saying what to save, or to pass, instead.
    """
    if path.suffix in PICKLES:
        raise PlantedError(
            f"{path} is a pickle, which can run code when it is opened: planted opens none. Save "
            "the weights by safetensors.torch.save_file(module.state_dict(), "
            f"'{path.with_suffix('.safetensors').name}'), or pass "
            f"torch.load({path.name!r}, weights_only=True)."
        )


def tasks_of(seen: Any, plant: Plant) -> Tokens | None:
    """The tasks that were trained on, checked.

    Raises:
        PlantedError: If they are not tokens of this plant's tasks, or there are none.
    """
    if seen is None:
        return None
    wanted = (
        f"seen must be whole numbers [task, {plant.scenario.n_positions}], the tokens of "
        f"{plant.name}'s tasks"
    )
    try:
        tokens = plant.scenario.check(seen)
    except PlantedError as error:
        raise PlantedError(f"{wanted}. {error}") from None
    if not len(tokens):
        raise PlantedError(f"{wanted}; got no task. Leave it out where the tasks are not known.")
    return tokens


def _trust(given: Any) -> Mapping[str, str]:
    """Which evaluators are trusted, checked.

    Raises:
        UnknownNameError: If one of them does not exist.
        PlantedError: If it is no mapping of texts to texts.
    """
    of = 'evaluators to why they are not trusted, "" where they are'
    for name, why in mapping("trust", given, of).items():
        one_of("an evaluator in trust", name, evaluators.names())
        if not isinstance(why, str):
            raise PlantedError(f"trust is a mapping of {of}; {name!r} has {why!r}.")
    found: Mapping[str, str] = given
    return found


def _held_against(
    plant: Plant, controls: Sequence[Asked], table: Table | None, **how: Any
) -> Beside:
    """What figures are held against, once the controls are trained and judged.

    Args:
        plant: What they start from.
        controls: Which.
        table: The shipped records that are used beside them.
        **how: Trust, executor and progress, as for `planted.runs.work.work`.
    """
    logging.getLogger(__name__).debug("nulls: %s", nulls.said_of(controls))
    with _placed() as place:

        def made(controls: Sequence[Asked]) -> Beside:
            networks = _networks(plant, controls, place)
            work(plant, networks, **how)
            return nulls.beside(plant, controls, networks, table, how["trust"])

        beside = made(controls)
        if beside.refused:
            warnings.warn(nulls.REFUSED.format(beside.refused), stacklevel=3)
            beside = made(nulls.alone(controls, beside.refused))
    return beside


def _networks(
    plant: Plant, controls: Sequence[Asked], place: Callable[[Cell], Path]
) -> list[Network]:
    """The networks of controls, and where they are."""
    digest = artefact.plant_digest(plant)
    every = [
        (each, Cell(digest, each.recipe.settings, seed)) for each in controls for seed in each.seeds
    ]
    return [Network(each.name, each.recipe, cell, place(cell)) for each, cell in every]


@contextmanager
def _placed() -> Iterator[Callable[[Cell], Path]]:
    """Where a control is: in the cache, or if that cannot be written in a folder for this call."""
    obstacle = store.obstacle()
    if not obstacle:
        yield store.cached
        return
    warnings.warn(
        f"{obstacle} The controls are trained for this call alone. PLANTED_CACHE names another "
        "folder.",
        stacklevel=5,
    )
    with tempfile.TemporaryDirectory(prefix="planted-controls-") as place:
        yield lambda cell: Path(place) / cell.digest
