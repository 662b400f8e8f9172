"""Gets a plant: shipped with the wheel, from the cache, or planted now."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from planted.compiler import certify, guards
from planted.compiler.expressions import verify
from planted.core import artefact, environment
from planted.core.checks import checked
from planted.core.files import write_obstacle
from planted.core.plant import TIERS, Plant
from planted.core.roles import Program, recording
from planted.core.scenario import Scenario
from planted.core.validity import failed_checks
from planted.errors import ArtefactError, PlantedError, ScenarioError, need
from planted.finetune.tiers import tiers
from planted.network.model import Model
from planted.programs import catalogue
from planted.programs.entries import Entry

ANSWERS = ("mesa", "base", "cue", "own")


def load(
    name: str,
    tier: str = "exact",
    runtime: str = "numpy",
    parameters: Mapping[str, Any] | None = None,
) -> Model:
    """The model of this name: shipped, from the cache, or (with the train extra) planted now.

    Args:
        name: As "red-doors@1", or "red-doors" for the newest version; "crumbs.large" for a size.
        tier: "exact", "tempered" or "rotated".
        runtime: "numpy" or "torch".
        parameters: Scenario parameters other than the defaults.

    Raises:
        UnknownNameError: If there is no such plant.
        ScenarioError: If nothing could be measured with these parameters.
        PlantedError: If the tier, the runtime or a parameter is not known, or something needed to
            plant is not installed.
    """
    return Model(get(name, tier, parameters), runtime)


def get(name: str, tier: str = "exact", parameters: Mapping[str, Any] | None = None) -> Plant:
    """The plant itself; arguments and errors as for `load`."""
    entry = catalogue.entry(name)
    _check_tier(tier)
    scenario = entry.make_scenario(parameters)
    default = dict(scenario.parameters) == dict(entry.make_scenario().parameters)
    stem = f"{entry.name}@{entry.version}-{tier}"
    if entry.shipped and default:
        return artefact.load_plant(shipped_folder(), stem, scenario)
    folder = environment.cache_folder() / _key(entry, scenario)
    if (folder / f"{stem}.json").exists():
        try:
            return artefact.load_plant(folder, stem, scenario)
        except ArtefactError as error:
            warnings.warn(f"{error} It is planted again now.", stacklevel=3)
    obstacle = write_obstacle(folder)  # said before the work, which is then for this call alone
    if obstacle:
        warnings.warn(
            f"{obstacle} The plant is not kept. PLANTED_CACHE names another folder.", stacklevel=3
        )
    plant = build(entry.name, parameters, only=tier)[tier]
    if not obstacle:
        artefact.save_plant(folder, plant, stem)
    return plant


def _check_tier(tier: str) -> None:
    if tier not in TIERS:
        raise PlantedError(f"Unknown tier {tier!r}; there are {', '.join(TIERS)}.")


def shipped_folder() -> Path:
    """The folder of the models that the wheel carries."""
    return Path(str(files("planted.models")))


def _key(entry: Entry, scenario: Scenario) -> str:
    # Other source may be another program or another oracle under the same name.
    request = json.dumps(
        [entry.name, entry.version, dict(scenario.parameters), environment.source_digest()],
        sort_keys=True,
    )
    return hashlib.sha256(request.encode()).hexdigest()[:16]


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
        plant = _bare(entry, scenario, exactness)
        if partner is None:
            return plant
        try:
            other = _bare(partner, partner.make_scenario(parameters), exactness)
        except PlantedError as error:
            raise PlantedError(
                f"{entry.name!r} has the shapes of its twin {partner.name!r}, which cannot be made "
                f"with these parameters. {error}"
            ) from None
        return tiers.common([plant, other])[0]

    return _tiers(make, lambda: entry.program(scenario), only)


def matched(
    names: Iterable[str], tier: str = "exact", parameters: Mapping[str, Any] | None = None
) -> list[Model]:
    """Models of one scenario, zero-padded to common shapes: no count of weights tells them apart.

    Args:
        names: A plant and its twins, as ["crumbs", "crumbs-list"].
        tier: "exact", "tempered" or "rotated".
        parameters: Scenario parameters other than the defaults, of each.

    Raises:
        PlantedError: If the plants are not of one vocabulary and layout, or none are named.
        CertificateError: If a padded plant does not do what its program says.
    """
    _check_tier(tier)
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise PlantedError(
            f"Name the plants in a list, as ['crumbs', 'crumbs-list'], not {names!r}."
        )
    entries = [catalogue.entry(name) for name in names]
    scenarios = [entry.make_scenario(parameters) for entry in entries]
    if not entries:
        raise PlantedError("Name the plants that shall have common shapes.")
    for entry, scenario in zip(entries, scenarios, strict=True):
        refuse_invalid(scenario)
        first = scenarios[0]
        if (scenario.vocabulary, scenario.candidates) != (first.vocabulary, first.candidates):
            raise PlantedError(
                f"{entry.name!r} and {entries[0].name!r} have other words or another layout: only "
                "plants of one scenario, of the same size, can be matched."
            )

    def make(number: int) -> Callable[[float], Plant]:
        def at(exactness: float) -> Plant:
            made = [_bare(e, s, exactness) for e, s in zip(entries, scenarios, strict=True)]
            return tiers.common(made)[number]

        return at

    made = [
        _tiers(make(number), lambda e=entry, s=scenario: e.program(s), tier)[tier]  # type: ignore[misc]
        for number, (entry, scenario) in enumerate(zip(entries, scenarios, strict=True))
    ]
    return [Model(plant) for plant in made]


def refuse_invalid(scenario: Scenario) -> None:
    """Refuses a scenario on which nothing could be measured, unless it says that it is so.

    Raises:
        ScenarioError: With the value, the limit and the way out.
    """
    for check, says in failed_checks(scenario).items():
        if check not in scenario.waivers:
            raise ScenarioError(
                f"{scenario.name!r} with parameters {dict(scenario.parameters)}: {says}. Take "
                "other parameters or objectives; if this is what you want, as for an aligned "
                f"plant, say so with waivers=({check!r},) on the scenario."
            )


def plant(
    program: Callable[[Scenario], Program] | Program,
    scenario: Scenario,
    *,
    name: str | None = None,
    tier: str = "exact",
    kind: str = "unnamed",
    answers: str = "mesa",
    runtime: str = "numpy",
) -> Model:
    """Plants your own RASP program for a scenario.

    Args:
        program: A function from the scenario to a Program; a Program itself for tier "exact".
        scenario: The scenario whose oracle the program must agree with.
        name: Name of the plant; the scenario's name if None.
        tier: "exact", "tempered" or "rotated".
        kind: What the plant is by construction.
        answers: Which objective its output is best for: "mesa"; "base", or "cue" (base under the
            training cue, mesa under any other), for the controls of a plant of your own; or "own",
            where it is best for neither and the scenario says by `answer` what it must choose.
        runtime: "numpy" or "torch".

    Raises:
        ScenarioError: If nothing could be measured on the scenario, and it does not say so.
        PlantedError: If the scenario is malformed, a utility is no finite number, or a Program is
            given for a tier that compiles it more than once.
        CompileError: If the program cannot be compiled right.
        CertificateError: If the program is not the oracle's equal.
    """
    _check_tier(tier)
    if not isinstance(program, Program) and not callable(program):
        raise PlantedError(
            f"A program is a planted.Program, or a function from the scenario to one, got "
            f"{type(program).__name__}. Wrap an output: Program(output)."
        )
    if isinstance(program, Program) and tier == "tempered":
        raise PlantedError(
            "Tempering compiles a program several times, and each time needs fresh expressions: "
            "pass a function from the scenario to a Program."
        )
    if answers not in ANSWERS or (answers == "own" and scenario.answer is None):
        raise PlantedError(
            f"answers is one of {', '.join(ANSWERS)}, got {answers!r}; 'own' needs a scenario with "
            "`answer`, which says what a plant chooses that is best for neither objective."
        )
    checked(scenario)
    refuse_invalid(scenario)

    def build_program(place: Scenario) -> Program:
        if isinstance(program, Program):
            return program
        with recording() as marked:
            made = program(place)
        if not isinstance(made, Program):
            raise PlantedError(
                f"The function that makes a program must return a planted.Program, got "
                f"{type(made).__name__}. Wrap the output: Program(output)."
            )
        need("tracr", "compile programs")
        guards.kept(made.output, marked)
        return made

    entry = Entry(
        name or scenario.name,
        0,
        kind,
        "search",
        lambda **_: scenario,
        build_program,
        answers=answers,
    )
    made = _tiers(
        lambda exactness: _bare(entry, scenario, exactness),
        lambda: build_program(scenario),
        tier,
    )
    return Model(made[tier], runtime)


def _bare(entry: Entry, scenario: Scenario, exactness: float) -> Plant:
    """The exact tier, not yet certified."""
    need("tracr", "compile a program into weights")
    from planted.compiler.compile import compile_program

    compiled = compile_program(
        entry.program(scenario),
        scenario.vocabulary,
        len(scenario.candidates),
        scenario.read_out,
        exactness,
    )
    return Plant(
        name=f"{entry.name}@{entry.version}",
        tier="exact",
        kind=entry.kind,
        mechanism=entry.mechanism,
        answers=entry.answers,
        scenario=scenario,
        params=compiled.params,
        spec=compiled.spec,
        truth=compiled.truth,
        settings={"exactness": exactness},
        certificate={},
    )


def _tiers(
    make: Callable[[float], Plant], program: Callable[[], Program], only: str | None
) -> dict[str, Plant]:
    exact = make(100)
    checked = certify.certify(exact)
    certify.require_exact(exact, checked)
    words = exact.scenario.token_strings(certify.inputs_of(exact, certify.INTERPRETED, seed=1)[0])
    interpreted = verify(exact, program().output, words[: certify.INTERPRETED])
    exact = replace(exact, certificate={**checked, "interpreter_values": interpreted})
    made = {"exact": exact}
    if only in (None, "rotated"):
        turned = tiers.turn(make)
        checked = certify.certify(turned)
        certify.require_exact(turned, checked)
        made["rotated"] = replace(turned, certificate=checked)
    if only in (None, "tempered"):
        at = [node.name for role in ("score", "table") for node in exact.truth.of_role(role)]
        if not at:
            raise PlantedError(
                f"{exact.name} has no node of role 'score' or 'table' whose gradient could choose "
                "how far to temper it. Mark one, or take tier='exact'."
            )
        soft, grid = tiers.temper(make, at[0])
        made["tempered"] = replace(
            soft, certificate=certify.certify(soft), settings={**soft.settings, "grid": grid}
        )
    return made


def ship(folder: Path | None = None) -> list[Path]:
    """Plants every shipped entry in every tier and writes the files that the wheel carries."""
    written = []
    target = folder or shipped_folder()
    for entry in catalogue.ENTRIES.values():
        if entry.shipped:
            for tier, made in build(entry.name).items():
                stem = f"{entry.name}@{entry.version}-{tier}"
                artefact.save_plant(target, made, stem)
                written += [target / f"{stem}.safetensors", target / f"{stem}.json"]
    return written


def relative_error(got: Any, want: Any) -> float:
    """Largest |got - want| / max(1, |want|): how runtimes are compared."""
    got, want = np.asarray(got), np.asarray(want)
    return float((np.abs(got - want) / np.maximum(1, np.abs(want))).max(initial=0.0))
