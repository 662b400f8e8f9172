"""Transformers with known answers, as pytest fixtures.

`planted_model` is one of them, or one after another of those that a marker chooses; `planted_zoo`
is all that the wheel carries. The plugin is loaded in every pytest session of its environment, so
it imports neither jax nor torch, nor numpy before a test asks for a model. Switch it off with
`-p no:planted`.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from planted.core.plant import Plant
    from planted.network.model import Model

_DEFAULT = "red-doors@1"
_FILTERS = ("family", "kind", "max_params")


@dataclass(frozen=True)
class _Wanted:
    """What a test asks for."""

    name: str = _DEFAULT
    tier: str = "exact"
    runtime: str = "numpy"

    @property
    def id(self) -> str:
        """As "red-doors@1-rotated"; the runtime is named where it is not numpy."""
        suffix = "" if self.runtime == "numpy" else f"-{self.runtime}"
        return f"{self.name}-{self.tier}{suffix}"


class _Shelf:
    """Plants that this session has read, each read once."""

    def __init__(self) -> None:
        self._plants: dict[tuple[str, str], Plant] = {}

    def model(self, wanted: _Wanted) -> Model:
        """A model with arrays of its own: what one test does to it, no other sees."""
        from planted.library import NotKeptWarning, get
        from planted.network.model import Model

        key = (wanted.name, wanted.tier)
        if key not in self._plants:
            # where warnings are errors, a cache that cannot be written would fail a sound test
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotKeptWarning)
                self._plants[key] = get(*key)
        plant = self._plants[key]
        nodes = {
            name: replace(node, basis=node.basis.copy()) for name, node in plant.truth.nodes.items()
        }
        own = replace(
            plant,
            params={name: value.copy() for name, value in plant.params.items()},
            truth=replace(plant.truth, nodes=nodes),
            settings=copy.deepcopy(plant.settings),
            certificate=copy.deepcopy(plant.certificate),
        )
        return Model(own, wanted.runtime)


class _Zoo(Mapping[str, "Model"]):
    """Every shipped plant in every shipped tier, by id; each look-up gives a model of its own."""

    def __init__(self, shelf: _Shelf) -> None:
        from planted.core.saved import shipped_index

        rows = shipped_index().values()
        self._wanted = {w.id: w for w in (_Wanted(row["name"], row["tier"]) for row in rows)}
        self._shelf = shelf

    def __getitem__(self, key: str) -> Model:
        from planted.errors import unknown

        if key not in self._wanted:
            raise KeyError(str(unknown("shipped plant", key, self._wanted)))
        return self._shelf.model(self._wanted[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._wanted)

    def __len__(self) -> int:
        return len(self._wanted)


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option: the tier of the models."""
    parser.getgroup("planted").addoption(
        "--planted-tier",
        metavar="TIER",
        default=_Wanted.tier,
        help="Tier of planted_model where the test names none: exact (the default), tempered, "
        "rotated, or any other that can be had.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, so that `--strict-markers` passes."""
    config.addinivalue_line(
        "markers",
        "planted(*names, tier='exact', runtime='numpy', family=, kind=, max_params=): the plants "
        "that planted_model runs over: those named, or those in the wheel of a family, of a kind, "
        "with at most so many parameters. All but max_params may be lists.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each plant that the nearest `planted` markers choose."""
    if "planted_model" not in metafunc.fixturenames:
        return
    found = list(metafunc.definition.iter_markers_with_node("planted"))
    # a test's own markers replace those of its class or module
    marks = [mark for node, mark in found if node is found[0][0]]
    if not marks:
        return
    where, tier = metafunc.definition.nodeid, metafunc.config.getoption("--planted-tier")
    wanted = dict.fromkeys(w for mark in marks for w in _of_mark(mark, where, tier))
    metafunc.parametrize("planted_model", list(wanted), indirect=True, ids=[w.id for w in wanted])


def _of_mark(mark: pytest.Mark, where: str, tier: str) -> list[_Wanted]:
    from planted.errors import PlantedError

    asked = dict(mark.kwargs)
    try:
        odd = sorted(set(asked) - {"tier", "runtime", *_FILTERS})
        if odd:
            known = ", ".join(("tier", "runtime", *_FILTERS))
            raise PlantedError(f"The planted marker takes {known}, not {odd[0]!r}.")
        tiers = _several("tier", asked.pop("tier", tier))
        runtimes = _several("runtime", asked.pop("runtime", _Wanted.runtime))
        if not asked:
            names = mark.args or (_DEFAULT,)
            return [_checked(n, t, r) for n, t, r in product(names, tiers, runtimes)]
        named = [_checked(name, t, "numpy") for name in mark.args for t in tiers]
        found = _chosen({(w.name, w.tier) for w in named}, tiers, asked)
        return [_checked(n, t, r) for (n, t), r in product(found, runtimes)]
    except PlantedError as error:
        said = f"{where}: {error}"
    pytest.fail(said, pytrace=False)  # here, so that the error is not shown again as its context


def _several(what: str, value: Any) -> tuple[str, ...]:
    """What a marker's argument says: one text, or several.

    Raises:
        PlantedError: If it is something else, or no text at all: that would choose no test, or all.
    """
    from planted.errors import PlantedError

    if isinstance(value, str):
        return (value,)
    found = tuple(value) if isinstance(value, Iterable) else ()
    if not found or not all(isinstance(each, str) for each in found):
        raise PlantedError(
            f"{what} in the planted marker is a text or a list of texts, at least one, got "
            f"{value!r}. Leave it out to ask for nothing."
        )
    return found


def _chosen(
    named: set[tuple[str, str]], tiers: tuple[str, ...], asked: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """(name, tier) of the models in the wheel that pass the filters, of those named if any are.

    Raises:
        PlantedError: If a filter names nothing that there is, or no model passes all of them.
    """
    from planted.core.saved import shipped_index
    from planted.errors import PlantedError, unknown

    made = {row["tier"] for row in shipped_index().values()}
    for tier in tiers:
        if tier not in made:
            raise unknown("tier in the wheel", tier, made)
    rows = [row for row in shipped_index().values() if row["tier"] in tiers]
    for what in ("family", "kind"):
        wanted = _several(what, asked[what]) if what in asked else ()
        known = {row[what] for row in shipped_index().values()}
        for each in wanted:
            if each not in known:
                raise unknown(what, each, known)
        rows = [row for row in rows if not wanted or row[what] in wanted]
    most = asked.get("max_params")
    if "max_params" in asked and (type(most) is not int or most < 1):
        raise PlantedError(f"max_params is a whole number from 1 on, got {most!r}.")
    found = [row for row in rows if not named or (row["name"], row["tier"]) in named]
    small = [row for row in found if most is None or row["parameters"] <= most]
    if not small:
        passing = [row for row in rows if most is None or row["parameters"] <= most]
        names = sorted({name for name, _ in named})
        least = min((row["parameters"] for row in found), default=None)
        raise PlantedError(_none_passes(names, {**asked, "tier": list(tiers)}, least, passing))
    return [(row["name"], row["tier"]) for row in small]


def _none_passes(
    names: list[str], asked: Mapping[str, Any], least: int | None, passing: list[Mapping[str, Any]]
) -> str:
    """That no model passes the filters, and what is near.

    Args:
        names: The plants that are named, if any are.
        asked: The filters.
        least: Size of the smallest model that all but max_params let pass; None if there is none.
        passing: The models that would pass if none were named.
    """
    from planted.core.saved import shipped_index

    rows = list(shipped_index().values())
    which = f" named {' or '.join(names)}" if names else ""
    said = [
        f"No model in the wheel{which} has {', '.join(f'{k}={v!r}' for k, v in asked.items())}."
    ]
    if least is not None:
        said.append(f"The smallest of the others has {least} parameters.")
    for what, known in (("name", names), ("family", _several("family", asked.get("family", "")))):
        for each in filter(None, known if least is None else ()):
            own = [row for row in rows if row[what] == each]
            kinds, made = (sorted({row[key] for row in own}) for key in ("kind", "tier"))
            has = f"has kind {' or '.join(map(repr, kinds))} and comes in {', '.join(made)}"
            said.append(f"{each} {has}." if own else f"{each} is not in the wheel.")
    others = sorted({row["name"] for row in passing})
    if others:
        rest = f" and {len(others) - 5} more" if len(others) > 5 else ""
        said.append(f"These do: {', '.join(others[:5])}{rest}.")
    return " ".join((*said, "planted list --shipped"))


def _checked(name: Any, tier: Any, runtime: Any) -> _Wanted:
    """The request under its full name, "red-doors@1", if all three exist."""
    from planted.errors import PlantedError, unknown
    from planted.finetune import tiers
    from planted.network.model import RUNTIMES
    from planted.programs import catalogue

    if not isinstance(name, str):
        raise PlantedError(f"The planted marker takes names of plants, got {name!r}.")
    entry = catalogue.entry(name)
    tiers.check(tier)
    if runtime not in RUNTIMES:
        raise unknown("runtime", str(runtime), RUNTIMES)
    return _Wanted(f"{entry.name}@{entry.version}", tier, runtime)


@pytest.fixture(scope="session")
def _planted_shelf() -> _Shelf:
    return _Shelf()


@pytest.fixture
def planted_model(request: pytest.FixtureRequest, _planted_shelf: _Shelf) -> Model:
    """A transformer whose mesa-objective is known.

    Without a marker red-doors@1, exact, run by numpy; `@pytest.mark.planted("red-doors@1",
    tier="rotated", runtime="torch")` chooses, and several names or markers give several tests.
    `@pytest.mark.planted(kind="deceptive", max_params=50_000)` takes all in the wheel that are so.
    Every test gets weights of its own.
    """
    from planted.errors import PlantedError

    tier = request.config.getoption("--planted-tier")
    wanted = getattr(request, "param", _DEFAULT)
    try:
        if not isinstance(wanted, _Wanted):  # no marker, or parametrised by the test itself
            wanted = _checked(wanted, tier, _Wanted.runtime)
        return _planted_shelf.model(wanted)
    except PlantedError as error:
        said = str(error)
    pytest.fail(said, pytrace=False)


@pytest.fixture(scope="session")
def planted_zoo(_planted_shelf: _Shelf) -> Mapping[str, Model]:
    """Every shipped plant, read when it is looked up: "red-doors@1-exact" -> model."""
    return _Zoo(_planted_shelf)
