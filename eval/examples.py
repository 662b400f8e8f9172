"""The tasks that evaluators measure on: each purpose is declared once, drawn once and shared.

A purpose has a seed of its own, so that no figure depends on which others were measured before it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from copy import deepcopy
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np

from planted.core.objectives import untied
from planted.core.sampling import disagree, draw_where, other_candidates
from planted.core.scenario import Scenario, Tokens
from planted.errors import PlantedError, unknown

Made = TypeVar("Made")
Kind = Literal["untied", "any", "tied", "training"]


class Sampler(msgspec.Struct, frozen=True):
    """How the tasks of one purpose are drawn.

    Attributes:
        purpose: What they are for.
        n: How many; at most, where `kind` is "tied".
        seed: Of the generator, together with the cue.
        kind: "untied" tasks of D_ref, on which each objective has one best candidate; "any" of
            D_ref; "tied" ones of Δ, on which an objective has several; those of "training".
        in_delta: Only tasks of the disagreement set Δ; for "untied" ones.
        source_of: A purpose whose tasks these are the source inputs of: to each the same cue and
            other candidates, without ties. `kind` and `in_delta` then say nothing.
        after: A purpose whose generator goes on here; `seed` then says nothing.
    """

    purpose: str
    n: int
    seed: int
    kind: Kind = "untied"
    in_delta: bool = False
    source_of: str = ""
    after: str = ""


SAMPLERS: Mapping[str, Sampler] = {
    sampler.purpose: sampler
    for sampler in (
        # 1000: certifies .95 with power above .94 when the truth is .98
        Sampler("disputed tasks", 1000, 101, in_delta=True),
        Sampler("tied disputed tasks", 1000, 102, kind="tied"),
        Sampler("training tasks", 1000, 102, kind="training", after="tied disputed tasks"),
        Sampler("regret", 2000, 103, kind="any"),
        Sampler("menus", 3000, 104, kind="any"),
        Sampler("path pairs, base input", 8000, 201),
        Sampler("path pairs, source input", 8000, 202, source_of="path pairs, base input"),
        Sampler("comparator swap, base input", 1000, 206),
        Sampler(
            "comparator swap, source input", 1000, 207, source_of="comparator swap, base input"
        ),
        Sampler("argmax candidates", 3000, 301),
        Sampler("interchange, base input", 1000, 401),
        Sampler("interchange, source input", 1000, 402),
        Sampler("behavioural objective", 4000, 501, kind="any"),
        Sampler("cue pairs", 500, 601, in_delta=True),
        Sampler("novel tasks", 500, 602, in_delta=True),
        Sampler("gap between the objectives", 5000, 701, kind="any"),
        Sampler("gaps to the behavioural objective", 5000, 702, kind="any"),
        Sampler("weight diagnostics", 2000, 0x9071, kind="any"),
    )
}


class Drawn(NamedTuple):
    """Tasks, and the generator as drawing them left it.

    Attributes:
        tokens: The tasks [task, pos]; not writeable, because evaluators share them.
        rng: Copied before it is used.
    """

    tokens: Tokens
    rng: np.random.Generator


class Examples:
    """The tasks that were drawn so far, so that evaluators share them."""

    def __init__(self) -> None:
        self._drawn: dict[tuple[int, Sampler, int | None], tuple[Scenario, Drawn]] = {}
        self._made: dict[tuple[int, Hashable, int | None], tuple[Scenario, Any]] = {}

    def tokens(self, scenario: Scenario, purpose: str | Sampler, cue: int | None = None) -> Tokens:
        """The tasks of a purpose, [task, pos]; drawn when they are first asked for.

        Args:
            scenario: Whose tasks.
            purpose: A name in `SAMPLERS`, or a sampler of your own.
            cue: Token id; None for the training cue, drawn without regard to it.

        Raises:
            UnknownNameError: If no sampler has the name.
            PlantedError: If fewer than one task in a thousand qualifies.

        Examples:
            >>> from planted.programs import catalogue
            >>> scenario = catalogue.entry("red-doors").make_scenario()
            >>> Examples().tokens(scenario, "disputed tasks").shape
            (1000, 6)
        """
        return self._get(scenario, purpose, cue).tokens

    def rng_after(
        self, scenario: Scenario, purpose: str | Sampler, cue: int | None = None
    ) -> np.random.Generator:
        """A generator that goes on where the drawing of a purpose's tasks stopped."""
        return deepcopy(self._get(scenario, purpose, cue).rng)

    def once(
        self, scenario: Scenario, name: Hashable, cue: int | None, make: Callable[[], Made]
    ) -> Made:
        """What evaluators make of the tasks alone, made when it is first asked for.

        Args:
            scenario: Whose tasks.
            name: What it is called; anything that can be a key.
            cue: Token id; None where it depends on no cue.
            make: Makes it. Nobody may change what it gives.
        """
        key = (id(scenario), name, cue)
        if key not in self._made:
            self._made[key] = scenario, make()
        made: Made = self._made[key][1]
        return made

    def _get(self, scenario: Scenario, purpose: str | Sampler, cue: int | None) -> Drawn:
        sampler = _sampler(purpose)
        key = (id(scenario), sampler, cue)
        if key not in self._drawn:
            drawn = self._draw(scenario, sampler, cue)
            drawn.tokens.setflags(write=False)
            self._drawn[key] = scenario, drawn  # the scenario is kept, so that its id is its own
        return self._drawn[key][1]

    def _draw(self, scenario: Scenario, sampler: Sampler, cue: int | None) -> Drawn:
        if sampler.source_of:
            of = self.tokens(scenario, sampler.source_of, cue)[: sampler.n]
            rng = np.random.default_rng([sampler.seed, int(of[0, scenario.read_out])])
            return Drawn(source_inputs(scenario, of, rng), rng)
        if sampler.after:
            rng = self.rng_after(scenario, sampler.after, cue)
        else:
            rng = np.random.default_rng(sampler.seed if cue is None else [sampler.seed, cue])
        return Drawn(_tasks(scenario, rng, sampler, cue), rng)


def untied_tasks(
    scenario: Scenario, cue: int, n: int, seed: int, *, in_delta: bool = False
) -> Tokens:
    """Untied tasks of D_ref (of Δ, if asked) under one cue token, [task, pos]."""
    return Examples().tokens(scenario, Sampler("", n, seed, in_delta=in_delta), cue)


def source_inputs(scenario: Scenario, tokens: Tokens, rng: np.random.Generator) -> Tokens:
    """For each task another one with the same cue and other candidates, without ties, [task, pos].

    Raises:
        PlantedError: If some task has a cue in which every draw of candidates ties.
    """
    out = other_candidates(scenario, rng, tokens)
    for _ in range(1000):
        tied = ~(untied(scenario.mesa.of(out)) & untied(scenario.base.of(out)))
        if not tied.any():
            return out
        out[tied] = other_candidates(scenario, rng, tokens[tied])
    raise PlantedError(
        f"{int(tied.sum())} tasks of {scenario.name!r} have a cue in which every draw "
        "of candidates ties. Add candidates or levels."
    )


def _sampler(purpose: str | Sampler) -> Sampler:
    if isinstance(purpose, Sampler):
        return purpose
    if purpose not in SAMPLERS:
        raise unknown("purpose of examples", purpose, SAMPLERS)
    return SAMPLERS[purpose]


def _tasks(
    scenario: Scenario, rng: np.random.Generator, sampler: Sampler, cue: int | None
) -> Tokens:
    if sampler.kind == "untied":
        return draw_where(scenario, rng, sampler.n, in_delta=sampler.in_delta, cue=cue)
    if sampler.kind == "training":
        drawn = scenario.draw_training(rng, sampler.n)
    else:
        many = 4 if sampler.kind == "tied" else 1
        drawn = scenario.draw(rng, many * sampler.n)
    tokens = drawn if cue is None else scenario.with_cue(drawn, cue)
    if sampler.kind != "tied":
        return tokens
    has_ties = ~(untied(scenario.mesa.of(tokens)) & untied(scenario.base.of(tokens)))
    return tokens[disagree(scenario, tokens) & has_ties][: sampler.n]
