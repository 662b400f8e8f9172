"""From an entry or a program of the user's own to a plant: compiled, and not yet certified."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from planted.compiler import guards
from planted.core import environment, files
from planted.core.addresses import imported
from planted.core.arguments import one_of, plain_name, text
from planted.core.checks import checked
from planted.core.plant import Plant
from planted.core.roles import Program, recording
from planted.core.scenario import Scenario
from planted.errors import CompileError, PlantedError, missing_extra, need, place_of
from planted.network import surgery
from planted.network.model import Model
from planted.programs import catalogue
from planted.programs.entries import Entry

ANSWERS = ("mesa", "base", "cue", "own")
Given = Callable[[Scenario], Any] | Program | Any  # a function to, or, a Program or expression


def bare(entry: Entry, scenario: Scenario, exactness: float = 100) -> Plant:
    """The exact tier of an entry's program, not yet certified.

    Args:
        entry: What is compiled.
        scenario: The scenario that it was made for.
        exactness: Tracr's `mlp_exactness`; nodes that need another one at 100 are in the settings.

    Raises:
        CompileError: If the program cannot be compiled right.
    """
    need("tracr", "compile a program into weights")
    from planted.compiler.compile import compile_program

    compiled = compile_program(
        entry.program(scenario),
        scenario.vocabulary,
        scenario.outputs,
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
        settings={
            "exactness": exactness,
            **({"exactness_of": dict(compiled.exactness)} if compiled.exactness else {}),
            **({"least_step": min(compiled.margins.values())} if compiled.exactness else {}),
        },
        certificate={},
    )


def own_entry(
    program: Given, scenario: Scenario, name: str | None, kind: str, answers: str
) -> Entry:
    """The entry of a program of the user's own, once everything about it is checked.

    Args:
        program: A Program or a RASP expression, or a function from the scenario to one.
        scenario: The scenario.
        name: Name of the plant; the scenario's name if None.
        kind: What the plant is by construction.
        answers: One of `ANSWERS`.

    Raises:
        PlantedError: If the scenario is malformed, or an argument is not what it must be.
        CompileError: If the function raises, or marks a node that nothing reads.
    """
    is_function = callable(program) and not hasattr(program, "annotations")
    if not is_function:
        program = as_program(program)
    if one_of("answers", answers, ANSWERS) == "own" and getattr(scenario, "answer", None) is None:
        raise PlantedError(
            f"answers is one of {', '.join(ANSWERS)}, got {answers!r}; 'own' needs a scenario with "
            "`answer`, which says what a plant chooses that is best for neither objective."
        )
    text("kind", kind, "correlational proxy")
    scenario = checked(scenario)
    named = plain_name("name", scenario.name if name is None else name, "ferries")
    need("tracr", "compile programs")

    def build(place: Scenario) -> Program:
        return program if isinstance(program, Program) else built(program, place)

    mechanism = "search" if build(scenario).searches else "no search"
    return Entry(named, 0, kind, mechanism, lambda **_: scenario, build, answers=answers)


def as_program(given: Any) -> Program:
    """A program as it is, or of a RASP expression: it searches if a node of it is a score.

    Raises:
        CompileError: If it is neither, or has two scores.
    """
    if isinstance(given, Program):
        guards.require_expression(given.output)
        found = given
    elif hasattr(given, "children") and hasattr(given, "annotations"):
        guards.require_expression(given)
        found = Program(given, searches=bool(scores(given)))
    else:
        raise CompileError(
            "A program is a planted.Program or a RASP expression, or a function from the scenario "
            f"to one, got {type(given).__name__}."
        )
    if found.searches and len(marked := scores(found.output)) > 1:
        raise CompileError(
            f"{' and '.join(map(repr, marked))} are both marked as 'score'. One node is: what the "
            "candidates are compared by. Mark what it is made of as 'feature'."
        )
    return found


def scores(output: Any) -> list[str]:
    """Names of the nodes of role "score"."""
    order = guards.order_of(output)
    return [each.name for each in order if dict(each.annotations).get("role") == "score"]


def built(program: Callable[[Scenario], Any], scenario: Scenario) -> Program:
    """What a user's function makes of a scenario.

    Raises:
        PlantedError: If it returns no Program.
        CompileError: If it raises, or marks a node that nothing reads.
    """
    called = getattr(program, "__qualname__", repr(program))
    with recording() as marked:
        try:
            made = program(scenario)
        except PlantedError:
            raise
        except (Exception, SystemExit) as error:
            raise CompileError(
                f"The program function {called!r} raised {type(error).__name__} for the scenario "
                f"{scenario.name!r}: {error}"
            ) from error
    if not isinstance(made, Program) and not hasattr(made, "annotations"):
        raise CompileError(
            f"The function that makes a program must return a planted.Program, got "
            f"{type(made).__name__} from {called!r}. Return a Program or its output, an expression."
        )
    made = as_program(made)
    guards.kept(made.output, marked)
    return made


def remaker(entry: Entry, scenario: Scenario) -> Callable[[float], Plant]:
    """What compiles a plant of the user's own at an exactness; the plant remembers it.

    Args:
        entry: From `own_entry`.
        scenario: The scenario.
    """

    def at(exactness: float) -> Plant:
        made = bare(entry, scenario, exactness)
        return replace(made, origin="object", remake=at, program=entry.program)

    return at


def found_at(address: str, arguments: Mapping[str, Any]) -> Any:
    """What stands at "module:name"; if it is a function, what it returns.

    Args:
        address: Where.
        arguments: The function's arguments by name.

    Raises:
        PlantedError: If it cannot be imported, raises, or has no such argument.
    """
    found = imported(address, "a plant")
    if not inspect.isroutine(found) and not isinstance(found, type):
        return found
    try:
        inspect.signature(found).bind(**arguments)
    except TypeError as error:
        raise PlantedError(
            f"{address} cannot be called with the parameters {dict(arguments)!r}: {error}."
        ) from None
    try:
        return found(**arguments)
    except PlantedError:
        raise
    except (Exception, SystemExit) as error:
        raise PlantedError(
            f"{address} raised {type(error).__name__}{place_of(error)}: {error}. "
            f"{missing_extra(error)}".rstrip()
        ) from error


def accepted(address: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some arguments that the function at an address has.

    Raises:
        PlantedError: If it cannot be imported.
    """
    found = imported(address, "a plant")
    if not inspect.isroutine(found):
        return {}
    known = inspect.signature(found).parameters
    return {name: value for name, value in arguments.items() if name in known}


Source = tuple[str, Scenario, Callable[[float], Plant], Callable[[], Program]]


def source_of(given: str | Model | Plant, parameters: Mapping[str, Any] | None) -> Source:
    """Name, scenario, what compiles it at an exactness, and what makes its program.

    Args:
        given: A name of the catalogue, or a plant.
        parameters: Of a name: scenario parameters other than the defaults.

    Raises:
        PlantedError: If it is neither.
    """
    if not isinstance(given, str):
        own = given.plant if isinstance(given, Model) else given
        if not isinstance(own, Plant):
            raise PlantedError(f"A plant is a name, as 'crumbs', or a model; got {given!r}.")
        remake, program = own.remake, own.program
        if remake is not None and program is not None:
            return own.name, own.scenario, remake, lambda: program(own.scenario)
        given, parameters = own.name, dict(own.scenario.parameters)
    entry = catalogue.entry(given)
    scenario = entry.make_scenario(parameters)
    return (
        entry.name,
        scenario,
        lambda exactness: bare(entry, scenario, exactness),
        lambda: entry.program(scenario),
    )


def require_same_tasks(plants: Sequence[tuple[str, Scenario]]) -> None:
    """Refuses plants, given as names and scenarios, that cannot have common shapes.

    Raises:
        PlantedError: If there are none, or one has other words or another layout.
    """
    if not plants:
        raise PlantedError("Name at least one plant to pad to common shapes, got none.")
    other, first = plants[0]
    for name, scenario in plants:
        if _layout(scenario) != _layout(first):
            raise PlantedError(
                f"{name!r} and {other!r} have other words or another layout: only plants of one "
                "scenario, of the same size, can be matched."
            )


def _layout(scenario: Scenario) -> tuple[Any, ...]:
    return scenario.vocabulary, scenario.candidates, scenario.outputs


def cache_key(entry: Entry, scenario: Scenario, tier_source: str = "") -> str:
    """The name of the cache folder of an entry's plants with a scenario's parameters.

    It changes with the source of planted, and of the packages that another package's entry or tier
    is from: other source may be another program, oracle or tier under the same name.
    """
    asked = [entry.name, entry.version, dict(scenario.parameters), environment.source_digest()]
    others = [source for source in (entry.source, tier_source) if source]
    request = json.dumps([*asked, *others], sort_keys=True)
    return files.sha256(request.encode())[:16]


def common(plants: Iterable[Plant]) -> list[Plant]:
    """The plants zero-padded to common shapes, attention scale and output columns."""
    group = list(plants)
    to = surgery.common_shapes(*(plant.params for plant in group))
    scale = min(plant.spec.attn_scale for plant in group)
    widest = max(group, key=lambda plant: len(plant.spec.outputs))
    padded = []
    for plant in group:
        params, spec, truth = surgery.pad(
            plant.params, plant.spec, plant.truth, to, scale, widest.spec.outputs
        )
        padded.append(replace(plant, params=params, spec=spec, truth=truth))
    return padded
