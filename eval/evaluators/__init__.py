"""Evaluators: what can be measured on a checkpoint, and the contract of one of your own.

An evaluator of another package is named by an entry point and run like planted's own:

    [project.entry-points."planted.evaluators"]
    cue-blind = "my_package.cue_blind:evaluator"
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from planted.core import plugins
from planted.core.scenario import Scenario, Tokens
from planted.core.spec import Params
from planted.errors import PlantedError
from planted.eval.checkpoint import Checkpoint
from planted.eval.evidence import Evidence
from planted.eval.examples import Examples, Made, Sampler
from planted.eval.measures import Measure

# (name of a negative control, how many are wanted) -> weights of networks that were trained so
References = Callable[[str, int], Sequence[Params]]


def no_references(name: str, n: int) -> Sequence[Params]:
    """No networks: what an evaluator gets from a caller that has none to lend."""
    return ()


@dataclass(frozen=True)
class Context:
    """What an evaluator measures on: a checkpoint, under one cue.

    Attributes:
        checkpoint: The weights under test, their plant, and the interventions on them.
        cue: Token id of the cue; None for an evaluator whose measures are per checkpoint.
        drawn: The tasks that were drawn so far; pass the same one to share them.
        references: Weights of networks without the plant, for evaluators that compare with them;
            `planted.measure` takes those of the run, or trains them.
    """

    checkpoint: Checkpoint
    cue: int | None = None
    drawn: Examples = field(default_factory=Examples, repr=False)
    references: References = field(default=no_references, repr=False)

    @property
    def scenario(self) -> Scenario:
        """The tasks and the two objectives."""
        return self.checkpoint.scenario

    @property
    def cue_name(self) -> str:
        """What records name the cue: its token, or "all" where there is none."""
        return "all" if self.cue is None else self.scenario.cue_name(self.cue)

    def examples(self, purpose: str | Sampler) -> Tokens:
        """Tasks [task, pos] of a purpose, under the cue; the same for every evaluator.

        Args:
            purpose: A name in `planted.eval.examples.SAMPLERS`, as "disputed tasks", or a sampler
                of your own.

        Raises:
            UnknownNameError: If no sampler has the name.
            PlantedError: If the scenario has too few such tasks.
        """
        return self.drawn.tokens(self.scenario, purpose, self.cue)

    def once(self, name: Hashable, make: Callable[[], Made]) -> Made:
        """What `make` gives, made once a cue for all evaluators: of the tasks, not of the weights.

        Args:
            name: What it is called; anything that can be a key.
            make: Makes it. Nobody may change what it gives.
        """
        return self.drawn.once(self.scenario, name, self.cue, make)

    def rng(self, seed: int) -> np.random.Generator:
        """A generator for this seed and cue."""
        return np.random.default_rng(seed if self.cue is None else [seed, self.cue])

    def rng_after(self, purpose: str | Sampler) -> np.random.Generator:
        """A generator that goes on where the drawing of a purpose's tasks stopped."""
        return self.drawn.rng_after(self.scenario, purpose, self.cue)


class Evaluator(Protocol):
    """Something that can be measured on a checkpoint.

    Any object with these attributes is one; no class need be inherited from.

    Attributes:
        name: How it is asked for: lower case, words joined by hyphens; the entry point's name.
        version: Raised whenever the same checkpoint may give other records: records of another
            version are measured anew.
        measures: Every figure that it gives. All are per cue, or all are per checkpoint.
        needs_validation: Whether its records count only on plants on which it was seen to read
            networks of known answer right (`planted.eval.calibration`).
        needs_disagreement: Whether it says nothing where the two objectives never disagree; its
            records there are "not measured" and it is not run. May be left out: False.
    """

    name: str
    version: int
    measures: tuple[Measure, ...]
    needs_validation: bool
    needs_disagreement: bool = False

    def measure(self, context: Context) -> list[Evidence]:
        """Measures one checkpoint, under `context.cue`, or as a whole where that is None.

        Returns:
            At most one record a measure, each with `cue=context.cue_name`. A figure that cannot be
            had on this checkpoint is a record "not measured" with the reason
            (`planted.eval.evidence.not_measured`), never a guess. A bound is one that holds for new
            tasks: `planted.eval.evidence.share` and `resampled` make them.
        """
        ...


def names() -> list[str]:
    """The evaluators that judge a checkpoint, planted's own first, in the order of records.

    Those that only run where they are asked for are not among them (`on_request`).
    """
    return plugins.names("evaluators", own())


def versions() -> dict[str, str]:
    """Evaluator -> its version, in the order of records."""
    return {name: str(get(name).version) for name in names()}


def get(name: str) -> Evaluator:
    """The evaluator of a name, planted's own or from another package.

    Raises:
        UnknownNameError: If nobody has the name; the near ones are listed.
        PlantedError: If it is none, naming what it lacks, or cannot be imported.

    Examples:
        >>> get("paths").needs_validation
        True
    """
    known = {**own(), **on_request()}
    found = plugins.get("evaluators", name, known, "evaluator")
    return found if name in known else _checked(name, found)


@functools.cache
def own() -> Mapping[str, Evaluator]:
    """Planted's own evaluators by name, in the order of records."""
    from planted.eval.evaluators import (
        behaviour,
        consistency,
        cue,
        gaps,
        interchange,
        paths,
        presence,
        reach,
        revealed,
        training,
    )

    listed: tuple[Evaluator, ...] = (
        gaps.Objectives(),
        behaviour.Agreement(),
        behaviour.Regret(),
        revealed.BehaviouralObjective(),
        reach.Reach(),
        consistency.Consistency(),
        training.Training(),
        paths.Paths(),
        presence.Presence(),
        interchange.Interchange(),
        cue.CueDependence(),
    )
    return {evaluator.name: evaluator for evaluator in listed}


@functools.cache
def on_request() -> Mapping[str, Evaluator]:
    """Planted's own evaluators that run only where they are asked for by name.

    They take minutes, or answer another question than what became of the planted objective. No
    verdict is given on them. `planted.measure` runs them.
    """
    from planted.eval.evaluators import base_probe, cue_search, noise, restitution, revival, search

    listed: tuple[Evaluator, ...] = (
        revival.Revival(),
        search.Search(),
        cue_search.CueSearch(),
        base_probe.BaseProbe(),
        restitution.Restitution(),
        noise.Noise(),
    )
    return {evaluator.name: evaluator for evaluator in listed}


@functools.cache
def own_measures() -> Mapping[str, Measure]:
    """The measures of planted's own evaluators by name, those on request last."""
    every = (*own().values(), *on_request().values())
    return {measure.name: measure for one in every for measure in one.measures}


def per_cue(evaluator: Evaluator) -> bool:
    """Whether an evaluator measures under each cue, and not once a checkpoint."""
    return evaluator.measures[0].per_cue


def _checked(name: str, found: Any) -> Evaluator:
    """An evaluator of another package, if it keeps the contract."""
    if isinstance(found, type):
        raise PlantedError(
            f"The entry point of the evaluator {name!r} names the class {found.__name__}; it must "
            "name an object. Add a line such as 'evaluator = "
            f"{found.__name__}()' and name that."
        )

    def need(holds: bool, what: str) -> None:
        if not holds:
            raise PlantedError(f"The evaluator {name!r} ({type(found).__name__}) must have {what}.")

    need(
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) is not None,
        f"a name of letters, digits and hyphens, which becomes a file's; got {name!r}",
    )
    given = getattr(found, "name", None)
    need(given == name, f"name = {name!r}, as its entry point; got {given!r}")
    version = getattr(found, "version", None)
    need(
        isinstance(version, int) and not isinstance(version, bool),
        f"version, a whole number; got {version!r}",
    )
    measures = getattr(found, "measures", None)
    need(
        isinstance(measures, tuple)
        and bool(measures)
        and all(isinstance(one, Measure) for one in measures),
        f"measures, a tuple of planted.eval.measures.Measure; got {measures!r}",
    )
    scopes = {one.per_cue for one in measures or ()}
    need(len(scopes) == 1, "measures that are all per cue or all per checkpoint; got both")
    trusted = getattr(found, "needs_validation", None)
    need(isinstance(trusted, bool), f"needs_validation, True or False; got {trusted!r}")
    need(callable(getattr(found, "measure", None)), "a method measure(context)")
    evaluator: Evaluator = found
    return evaluator
