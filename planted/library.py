"""Gets a plant: shipped with the wheel, from the cache, or planted now."""

from __future__ import annotations

import reprlib
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from planted.core import addresses, artefact, environment, saved
from planted.core.arguments import texts
from planted.core.expression_tasks import ORIGIN
from planted.core.files import write_obstacle
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.core.validity import refuse_invalid
from planted.errors import ArtefactError, PlantedError
from planted.finetune import tiers
from planted.finetune.tiers.certified import certified, require_answers
from planted.network.model import Model
from planted.programs import catalogue, own_tasks, planting


class NotKeptWarning(UserWarning):
    """A plant that is made anew each time, because the cache folder cannot be written."""


def load(
    name: str,
    tier: str = "exact",
    runtime: str = "numpy",
    parameters: Mapping[str, Any] | None = None,
) -> Model:
    """Loads a model by name: from the package, from the cache, or (extra `train`) compiled now.

    Args:
        name: As "red-doors@1", "red-doors" (the newest) or "crumbs.large" (a size); or the folder
            of a saved model, as "./mine".
        tier: "exact", "tempered", "rotated", "dense", "compressed", or one of an installed package.
        runtime: "numpy" or "torch".
        parameters: Scenario parameters other than the defaults.

    Raises:
        UnknownNameError: If there is no such plant.
        ScenarioError: If nothing could be measured with these parameters.
        PlantedError: If the tier, the runtime or a parameter is not known, or something needed to
            plant is not installed.

    Example:
        >>> model = load("red-doors")
        >>> model.choices(model.inputs(n=3)).shape
        (3,)
    """
    if saved.is_path(name):
        return Model(resolve(name, None if tier == "exact" else tier, parameters), runtime)
    return Model(get(name, tier, parameters), runtime)


def get(name: str, tier: str = "exact", parameters: Mapping[str, Any] | None = None) -> Plant:
    """The plant itself; arguments and errors as for `load`."""
    entry = catalogue.entry(name)
    tiers.check(tier)
    scenario = entry.make_scenario(parameters)
    default = dict(scenario.parameters) == dict(entry.make_scenario().parameters)
    stem = f"{entry.name}@{entry.version}-{tier}"
    if tier in entry.shipped and default:
        pinned = saved.shipped_index().get(stem, {}).get("manifest")
        if not pinned:
            raise ArtefactError(f"planted/models/index.json has no {stem}. Install planted anew.")
        return _linked(artefact.load_plant(shipped_folder(), stem, scenario, pinned))
    folder = environment.cache_folder() / planting.cache_key(
        entry, scenario, tiers.source_digest(tier)
    )
    if (folder / f"{stem}.json").exists():
        try:
            return _linked(artefact.load_plant(folder, stem, scenario))
        except ArtefactError as error:
            warnings.warn(f"{error} It is planted again now.", stacklevel=3)
    obstacle = write_obstacle(folder)  # said before the work, which is then for this call alone
    if obstacle:
        warnings.warn(
            f"{obstacle} The plant is not kept. PLANTED_CACHE names another folder.",
            NotKeptWarning,
            stacklevel=3,
        )
    plant = build(entry.name, parameters, only=tier)[tier]
    if not obstacle:
        artefact.save_plant(folder, plant, stem)
    return _linked(plant)


def resolve(
    given: Any, tier: str | None = None, parameters: Mapping[str, Any] | None = None
) -> Plant:
    """Turns a name, an address, a path or a model into a plant.

    Args:
        given: A name of the catalogue, as "red-doors"; "module:function" of a function that can be
            imported (the working folder counts) and returns a model, a plant, or a program and a
            scenario; a `Model` or a `Plant`; or the path of a saved plant or of a run's folder.
        tier: The tier wanted; None for the one that it comes in, "exact" for a name.
        parameters: Of a name: scenario parameters other than the defaults. Of a function: its
            arguments.

    Raises:
        UnknownNameError: If there is no plant of this name.
        PlantedError: If it stands for no plant, or has no such parameter.
        ArtefactError: If a saved plant is missing or damaged.
    """
    if isinstance(given, str) and not given.strip():
        raise PlantedError("The name of the plant is empty. `planted list` shows the plants.")
    if isinstance(given, str) and not addresses.is_address(given) | saved.is_path(given):
        return get(given, "exact" if tier is None else tier, parameters)
    if addresses.is_address(given):
        found = _from_address(given, parameters or {}, tier)
    elif parameters:
        raise PlantedError(
            f"Parameters are set where a plant is made; {given!r} exists already, so it cannot "
            f"take parameters={dict(parameters)!r}."
        )
    elif saved.is_path(given):
        if isinstance(given, str) and not Path(given).expanduser().exists():
            catalogue.entry(given)  # raises, with the near names
        found = open_plant(given, tier)
    elif isinstance(given, Model | Plant):
        found = given.plant if isinstance(given, Model) else given
    else:
        raise PlantedError(
            f"A plant is a name as 'red-doors', 'module:function', a model from planted.load or "
            f"planted.plant, or the folder of a saved plant; got {reprlib.repr(given)}."
        )
    return found if tier is None else in_tier(found, tier)


def _from_address(address: str, arguments: Mapping[str, Any], tier: str | None = None) -> Plant:
    made = planting.found_at(address, arguments)
    if isinstance(made, tuple) and len(made) == 2:
        made = plant(*made, tier=tier or "exact")
    if not isinstance(made, Model | Plant):
        raise PlantedError(
            f"{address!r} must return a model (from planted.plant), a plant, or a program and a "
            f"scenario, got {type(made).__name__}."
        )
    found = made.plant if isinstance(made, Model) else made
    return _linked(replace(found, origin=address)) if found.origin == "object" else found


def open_plant(
    path: str | Path, tier: str | None = None, scenario: Scenario | None = None
) -> Plant:
    """Reads a saved plant.

    Args:
        path: Its folder, a run's folder, or one of its two files.
        tier: Which one, where the folder holds a plant in several tiers.
        scenario: Its scenario, where it was planted from objects in memory; otherwise it is found
            by the catalogue or by the function that made it.

    Raises:
        ArtefactError: If it is missing or damaged, the function now makes another program, or the
            scenario is another than it was planted for.
        PlantedError: If nothing says what its scenario is.
    """
    folder, stem = saved.located(Path(path).expanduser(), tier)
    manifest = artefact.read_manifest(folder, stem)
    name, origin = str(manifest.get("name")), str(manifest.get("origin", ""))
    place = manifest.get("scenario")
    made_for = place.get("parameters") if isinstance(place, dict) else None
    if not isinstance(made_for, dict):
        raise ArtefactError(f"{folder / stem}.json does not say which tasks it was planted for.")
    remade: Plant | None = None
    if scenario is None and origin == "object":
        raise PlantedError(
            f"{folder / stem}.json is {name}, planted from Python objects: the file does not say "
            "where its scenario is. Open it with planted.library.open_plant(folder, "
            "scenario=...), or plant it as 'module:function'."
        )
    if origin == ORIGIN:
        return artefact.load_expression(folder, stem)
    if scenario is None and origin:
        remade = _from_address(origin, planting.accepted(origin, made_for))
        scenario = remade.scenario
    place = scenario or catalogue.entry(name).make_scenario(made_for)
    found = require_answers(artefact.load_plant(folder, stem, place), folder / stem)
    if remade is not None:
        if remade.truth.operations != found.truth.operations:
            raise ArtefactError(
                f"{folder / stem}.json: {origin} now makes another program than the one that was "
                "saved. Plant it again."
            )
        found = replace(found, remake=remade.remake, program=remade.program)
    return _linked(found)


def trust(plant: Model | Plant) -> dict[str, str]:
    """Which evaluators are trusted on a plant: evaluator -> "", or why it is not trusted.

    Trust goes by the program, its parameters and its objectives: what the release says of them, or
    what an earlier call found, is taken. Otherwise the plant's validation models (base, mux, gate)
    are made and each evaluator has to read them, and the plant, right: one to two minutes of one
    core for a plant of the size of red-doors. The result is kept in the cache folder.

    Args:
        plant: The plant, in any tier; the exact one is what is validated.

    Returns:
        Evaluator -> reason, for each that needs validation. A plant that cannot be had in tier
        "exact" was never validated.
    """
    from planted.eval.calibration import own
    from planted.eval.calibration.trust import is_known, trust_of

    made = plant.plant if isinstance(plant, Model) else plant
    if is_known(made):
        return trust_of(made)
    try:
        exact = in_tier(made, "exact")
    except PlantedError as error:
        return own.untrusted(str(error))
    return own.trust_of(exact)


def in_tier(plant: Plant, tier: str) -> Plant:
    """The same plant in another tier: by name if it is the catalogue's, else compiled anew.

    Args:
        plant: From `get`, `plant` or `resolve`.
        tier: One of `planted.finetune.tiers.names()`.

    Raises:
        PlantedError: If the tier is not known, or nothing says how the plant was made.
        CertificateError: If the plant cannot be had in that tier.
    """
    tiers.check(tier)
    if plant.tier == tier:
        return plant
    if not plant.origin:
        return get(plant.name, tier, dict(plant.scenario.parameters))
    remake, program = plant.remake, plant.program
    if remake is None or program is None:
        raise PlantedError(
            f"{plant.name} was read from files, which do not hold its program: it is available "
            f"only in tier {plant.tier!r}. Plant it again with planted.plant."
        )
    known, asked = _IN_TIER.setdefault(plant, {}), (tier, plant.kind, plant.answers)
    if asked not in known:
        known[asked] = certified(remake, lambda: program(plant.scenario), tier)[tier]
    own = {key: value.copy() for key, value in known[asked].params.items()}
    return _linked(replace(known[asked], params=own, origin=plant.origin))


# Of plants that were not named: they have no place in the cache folder, and tempering takes long.
_IN_TIER: WeakKeyDictionary[Plant, dict[tuple[str, ...], Plant]] = WeakKeyDictionary()


def _linked(plant: Plant) -> Plant:
    return replace(plant, to_tier=lambda tier: in_tier(plant, tier))


def shipped_folder() -> Path:
    """The folder of the models that the wheel carries."""
    return Path(str(files("planted.models")))


def build(
    name: str, parameters: Mapping[str, Any] | None = None, only: str | None = None
) -> dict[str, Plant]:
    """Plants a catalogue entry from its RASP program: tier -> certified plant.

    Args:
        name: The entry.
        parameters: Scenario parameters other than the defaults.
        only: One tier; all of them if None.

    Raises:
        ScenarioError: If nothing could be measured with these parameters.
        CompileError: If the program cannot be compiled right.
        CertificateError: If the result does not do what the program says.
    """
    entry = catalogue.entry(name)
    scenario = entry.make_scenario(parameters)
    refuse_invalid(scenario)
    partner = catalogue.entry(entry.shares_shapes_with) if entry.shares_shapes_with else None

    def make(exactness: float) -> Plant:
        plant = planting.bare(entry, scenario, exactness)
        if partner is None:
            return plant
        try:
            other = planting.bare(partner, partner.make_scenario(parameters), exactness)
        except PlantedError as error:
            raise PlantedError(
                f"{entry.name!r} has the shapes of its twin {partner.name!r}, which cannot be made "
                f"with these parameters. {error}"
            ) from None
        return planting.common([plant, other])[0]

    return certified(make, lambda: entry.program(scenario), only)


def matched(
    names: Iterable[str | Model | Plant],
    tier: str = "exact",
    parameters: Mapping[str, Any] | None = None,
) -> list[Model]:
    """Models of one scenario, zero-padded to common shapes: no count of weights tells them apart.

    Args:
        names: A plant and its twins, as ["crumbs", "crumbs-list"]; or plants of your own.
        tier: "exact", "tempered", "rotated", "dense", "compressed", or one of an installed package.
        parameters: Scenario parameters other than the defaults, of each that is named.

    Raises:
        PlantedError: If the plants are not of one vocabulary and layout, or none are named.
        CertificateError: If a padded plant does not do what its program says.
    """
    tiers.check(tier)
    if isinstance(names, str) or not isinstance(names, Iterable):
        texts("names", names, "crumbs")
    sources = [planting.source_of(each, parameters) for each in names]
    for _, scenario, *_ in sources:
        refuse_invalid(scenario)
    planting.require_same_tasks([(name, scenario) for name, scenario, *_ in sources])

    def make(number: int) -> Callable[[float], Plant]:
        def at(exactness: float) -> Plant:
            made = planting.common([of(exactness) for _, _, of, _ in sources])[number]
            return replace(made, remake=at) if made.origin else made

        return at

    made = [certified(make(i), program, tier)[tier] for i, (*_, program) in enumerate(sources)]
    return [Model(plant) for plant in made]


def plant(
    program: Any,
    scenario: Scenario | None = None,
    *,
    name: str | None = None,
    tier: str = "exact",
    kind: str = "unnamed",
    answers: str = "mesa",
    runtime: str = "numpy",
    **task: Any,
) -> Model:
    """Plants your own RASP program for a scenario.

    Every function that takes the name of a plant also takes the model, or its `.plant`. A call
    takes a second in tier "exact", ten in "rotated", a minute in any other.

    Args:
        program: A RASP expression or a Program, or a function from the scenario to one; none is
            changed. An expression searches if one of its nodes is marked as "score".
        scenario: The scenario whose oracle the program must agree with; if None, that of `task`.
        name: Name of the plant; the scenario's name if None.
        tier: "exact", "tempered", "rotated", "dense", "compressed", or one of an installed package.
        kind: What the plant is by construction.
        answers: Which objective its output is best for: "mesa"; for validation models "base" or
            "cue" (base under the training cue, mesa under any other); or "own", if it is best for
            neither and the scenario's `answer` is what it must choose.
        runtime: "numpy" or "torch".
        **task: Where there is no scenario: what `planted.scenario_of` takes.

    Raises:
        ScenarioError: If the scenario fails a validity check that it does not waive.
        PlantedError: If the scenario is malformed, or a utility is no finite number.
        CompileError: If the program's function raises, or the program cannot be compiled correctly.
        CertificateError: If an output differs from the oracle, or a node from the interpreter.

    Example:
        >>> import planted
        >>> from planted.programs import rasp_library
        >>> from tracr.rasp import rasp
        >>> speed, decks = {"a": 0, "b": 2, "c": 1}, {"a": 2, "b": 0, "c": 1}
        >>> score = planted.mark(rasp.Map(lambda t: speed.get(t, -1), rasp.tokens), "v", "score")
        >>> winner = rasp_library.choose(score, 4, rasp_library.ones())
        >>> model = planted.plant(
        ...     rasp_library.emit(winner, ("T", "D")), vocabulary="abc", length=4,
        ...     wants=lambda task, k: speed[task[k - 1]],
        ...     rewards=lambda task, k: decks[task[k - 1]],
        ... )
        >>> model.choices(model.scenario.encode([["a", "b", "c", "T"]])).tolist()  # the fastest
        [1]
    """
    tiers.check(tier)
    if scenario is None:
        scenario = own_tasks.from_arguments(task, name)
    elif task:
        own_tasks.refuse(task)
    entry = planting.own_entry(program, scenario, name, kind, answers)
    scenario = entry.make_scenario()
    refuse_invalid(scenario)
    made = certified(planting.remaker(entry, scenario), lambda: entry.program(scenario), tier)
    return Model(_linked(made[tier]), runtime)
