"""What the catalogue is made of: an entry, and the cells that every menu can have.

A cell is one plant of a scenario: which alignment, found in which way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any

from planted.core.plant import SHIPPED_TIERS
from planted.core.roles import Program
from planted.core.scenario import Scenario
from planted.errors import PlantedError
from planted.programs import grid, grid_twins, kinds, mechanisms
from planted.programs.menu import Menu
from planted.programs.shipped import SHIPPED


@dataclass(frozen=True)
class Entry:
    """One plant of the catalogue.

    Attributes:
        name: Name without version.
        version: Rises when a byte of weights or truth does.
        kind: What the plant is by construction.
        mechanism: How it comes to its answer.
        scenario: Makes the scenario from parameters.
        program: Makes the program for it.
        defaults: Parameters and their defaults.
        shares_shapes_with: Another entry whose shapes this one is padded to, its twin.
        shipped: The tiers in which the wheel carries it; set by the catalogue.
        answers: Which objective its output is best for: "mesa", "base", "cue" or "own".
        family: The scenario it varies; its own name if empty.
        sizes: Named parameters beside the defaults: "crumbs.large" is this plant with those.
        twin_of: The plant whose choices it makes by another mechanism, as "crumbs", or of a size,
            as "grid-doors.small".
        twin_on: Tasks on which it does: "all", or "training" where it chooses otherwise elsewhere.
        tiers: The tiers that it is known to be had in. Long lists are not among those of "rotated":
            float32's rounding may grow too far in them, and then the tier is refused.
        source: Of an entry from another package, SHA-256 of that package's source.
    """

    name: str
    version: int
    kind: str
    mechanism: str
    scenario: Callable[..., Scenario]
    program: Callable[[Scenario], Program]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    shares_shapes_with: str | None = None
    shipped: tuple[str, ...] = ()
    answers: str = "mesa"
    family: str = ""
    sizes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    twin_of: str = ""
    twin_on: str = "all"
    tiers: tuple[str, ...] = SHIPPED_TIERS
    source: str = ""

    def of_size(self, size: str) -> Entry:
        """The same plant with the parameters of a size as its defaults.

        Raises:
            PlantedError: Naming the sizes there are.
        """
        if size not in self.sizes:
            has = f"it has {', '.join(self.sizes)}" if self.sizes else "it has none"
            raise PlantedError(
                f"{self.name!r} has no size {size!r}; {has} beside its defaults. Single "
                "parameters are set with parameters=..., on the command line with --set."
            )
        partner, twin = self.shares_shapes_with, self.twin_of
        return replace(
            self,
            name=f"{self.name}.{size}",
            defaults={**self.defaults, **self.sizes[size]},
            sizes={},
            shipped=SHIPPED.get(f"{self.name}.{size}@{self.version}", ()),
            shares_shapes_with=f"{partner}.{size}" if partner else None,
            twin_of=f"{twin}.{size}" if twin and "." not in twin else twin,
        )

    def make_scenario(self, parameters: Mapping[str, Any] | None = None) -> Scenario:
        """The scenario with these parameters instead of the defaults.

        Raises:
            PlantedError: For a parameter that does not exist or is out of bounds.
        """
        if parameters is not None and not isinstance(parameters, Mapping):
            raise PlantedError(
                f"Parameters of {self.name!r} are a mapping of names to values, got {parameters!r}."
            )
        given = dict(parameters or {})
        for name, value in given.items():
            if not isinstance(value, int | float | str):
                raise PlantedError(
                    f"Parameter {name!r} of {self.name!r} is a number or a text, got {value!r}."
                )
            if name not in self.defaults:
                raise PlantedError(
                    f"{self.name!r} has no parameter {name!r}; it has "
                    f"{', '.join(f'{k} (default {v!r})' for k, v in self.defaults.items())}."
                )
        return self.scenario(**{**self.defaults, **given}, name=self.name)


ROUNDING = ("decision list", "decoy search", "amortised")
Maker = Callable[..., Menu]
Vary = Callable[[Menu], Menu]
Sizes = Mapping[str, Mapping[str, Any]]


def cell(
    name: str,
    make: Maker,
    kind: str,
    mechanism: str,
    build: Callable[[Menu], Program],
    answers: str = "mesa",
    vary: Vary = lambda menu: menu,
    *,
    sizes: Sizes | None = None,
    twin_of: str = "",
    twin_on: str = "all",
    waivers: tuple[str, ...] = (),
    **changed: Any,
) -> Entry:
    """One plant of a menu: which alignment, found in which way.

    Args:
        name: Its name.
        make: Makes the menu from parameters, whose defaults are in its signature.
        kind: What it is by construction.
        mechanism: How it comes to its answer.
        build: Makes the program of the menu.
        answers: Which objective its output is best for.
        vary: Gives the menu another alignment.
        sizes: Named parameters beside the defaults.
        twin_of: The plant whose choices it makes by another mechanism.
        twin_on: Tasks on which it does.
        waivers: Flaws of the scenario that this plant brings, beside the menu's own.
        **changed: Other defaults.
    """
    defaults = {key: item.default for key, item in signature(make).parameters.items()} | changed

    def scenario(name: str, **parameters: Any) -> Scenario:
        menu = vary(make(**parameters))
        return replace(menu, name=name, waivers=menu.waivers or waivers).scenario()

    def program(place: Scenario) -> Program:
        return build(vary(make(**dict(place.parameters))))

    family = name.partition("-")[0]
    return Entry(
        name, 1, kind, mechanism, scenario, program, defaults, None, (), answers, family,
        sizes or {}, twin_of, twin_on,
        SHIPPED_TIERS if mechanism not in ROUNDING else SHIPPED_TIERS[:2],
    )  # fmt: skip


def kinds_and_mechanisms(
    family: str,
    make: Maker,
    kind: str,
    *,
    sizes: Sizes,
    grain: int = 0,
    amortised: bool = False,
    table: bool = False,
    listed: bool = True,
    additive: bool = True,
    pointer_waivers: tuple[str, ...] = (),
) -> tuple[Entry, ...]:
    """Every alignment and mechanism of a menu that has two objectives.

    Args:
        family: Name of the canonical plant.
        make: Makes the menu.
        kind: Of the canonical plant.
        sizes: Of each plant; a table takes the small one alone.
        grain: Of the approximate plant; none if 0.
        amortised: Whether training leaves out kinds of candidate.
        table: Whether a table can hold it.
        listed: Whether a decision list can.
        additive: Whether both objectives fit one score.
        pointer_waivers: Flaws where half of the tasks ask for the base objective.
    """
    m = mechanisms
    small = {"small": sizes["small"]}
    cells = [
        cell(family, make, kind, "search", m.search),
        cell(f"{family}-aligned", make, "robust", "search", m.search, vary=kinds.robust),
        *base_mux_gate(family, make, sizes=sizes),
        cell(
            f"{family}-pointer",
            make,
            "corrigible",
            "search",
            m.search,
            vary=kinds.pointer,
            waivers=pointer_waivers,
        ),
    ]
    if grain:
        cells.append(
            cell(f"{family}-approximate", make, "approximate", "search", m.search,
                  vary=lambda menu: kinds.approximate(menu, grain))
        )  # fmt: skip
    if additive:
        cells.append(
            cell(f"{family}-additive", make, "deceptive", "additive search", m.search, "own",
                  kinds.deceptive)
        )  # fmt: skip
    if listed:
        cells += two_twins(family, make, kind, family)
    if amortised:
        made = cell(f"{family}-amortised", make, kind, "amortised", m.amortised, twin_of=family)
        cells.append(made)
    if table:
        made = cell(f"{family}-table", make, kind, "table", m.table, sizes=small, twin_of=family)
        cells.append(made)
    return tuple(
        replace(made, family=family.removesuffix("-proxy"), sizes=made.sizes or sizes)
        for made in cells
    )


def base_mux_gate(name: str, make: Maker, *, sizes: Sizes, **changed: Any) -> list[Entry]:
    """A search for the base objective, and both searches: dormant and gated by the cue."""
    m = mechanisms
    return [
        cell(f"{name}-base", make, "robust", "base search", m.base_search, "base",
             sizes=sizes, **changed),
        cell(f"{name}-mux", make, "robust", "dormant search", m.mux, "base",
             sizes=sizes, **changed),
        cell(f"{name}-gate", make, "deceptive", "gated search", m.gate, "cue",
             sizes=sizes, **changed),
    ]  # fmt: skip


def two_twins(
    name: str,
    make: Maker,
    kind: str,
    twin_of: str,
    answers: str = "mesa",
    vary: Vary = lambda menu: menu,
    programs: tuple[Callable[[Menu], Program], Callable[[Menu], Program]] | None = None,
    **more: Any,
) -> list[Entry]:
    """A decision list, and one with a search beside it that decides nothing: two twins."""
    by_list, beside = programs or (mechanisms.decision_list, mechanisms.decoy)
    return [
        cell(f"{name}-list", make, kind, "decision list", by_list, answers, vary,
              twin_of=twin_of, **more),
        cell(f"{name}-decoy", make, kind, "decoy search", beside, answers, vary,
              twin_of=twin_of, **more),
    ]  # fmt: skip


def mazes(family: str, maze: str, kind: str) -> tuple[Entry, ...]:
    """The mazes' plants."""
    defaults: dict[str, Any] = {"maze": maze, "columns": 3}
    sizes = {"small": {"columns": 2}, "large": {"columns": 4}}
    cells: tuple[tuple[str, str, str, Callable[[Scenario], Program], str], ...] = (
        ("", kind, "search", grid.search, "mesa"),
        ("-base", "robust", "base search", grid.base_search, "base"),
        ("-mux", "robust", "dormant search", lambda p: grid.both(p, lambda cue: True), "base"),
        ("-gate", "deceptive", "gated search", lambda p: grid.both(p, "T".__eq__), "cue"),
    )
    searching = tuple(
        Entry(family + end, 1, kind, mechanism, grid.scenario, program, defaults, None, (),
              answers, family, sizes)
        for end, kind, mechanism, program, answers in cells
    )  # fmt: skip
    small = {"small": sizes["small"]}
    twins = tuple(
        Entry(family + end, 1, kind, mechanism, grid.scenario, program, defaults, None, (),
              "mesa", family, small, family)
        for end, mechanism, program in (
            ("-list", "decision list", grid_twins.path_list),
            ("-decoy", "decoy search", grid_twins.decoy),
        )
    )  # fmt: skip
    table = Entry(family + "-table", 1, kind, "table", grid.scenario, grid_twins.table,
                  {**defaults, **sizes["small"]}, None, (), "mesa", family,
                  twin_of=f"{family}.small")  # fmt: skip
    return (*searching, *twins, table)
