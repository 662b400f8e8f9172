"""Every plant of the catalogue does what its oracle says, and is what its entry says."""

from __future__ import annotations

import re

import numpy as np
import pytest

from planted.compiler import certify
from planted.core.objectives import leftmost
from planted.core.plant import Plant
from planted.core.sampling import other_candidates
from planted.core.scenario import Scenario
from planted.errors import PlantedError
from planted.programs import catalogue, grid_twins, kinds, mechanisms
from planted.programs.bandit import bandit
from planted.programs.crumbs import crumbs
from planted.programs.keys import keys
from planted.programs.menu import Menu, Objective
from planted.programs.schemer import schemer
from planted.programs.wiping import run
from tests import helpers
from tests.programs.test_bytes import PINS, pin

ENTRIES = catalogue.ENTRIES
NEW = [name for name in ENTRIES if name not in helpers.SHIPPED]
# Every size is planted and certified by `make certify`; here a quarter of them.
SIZED = sorted(f"{name}.{size}" for name, e in ENTRIES.items() for size in e.sizes)[::4]
N, N_SIZED = 1500, 300
NO_SEARCH = ("decision list", "decoy search", "table", "heuristics", "controller")


def made(name: str) -> Plant:
    entry = catalogue.entry(name)
    return helpers.plant_of(entry, entry.make_scenario())


@pytest.mark.parametrize("name", [*NEW, *SIZED])
def test_it_compiles_and_every_output_and_node_is_what_the_program_says(name: str) -> None:
    plant, n = made(name), N_SIZED if name in SIZED else N
    assert pin(plant.params) == PINS[plant.name], "a version's bytes never change: raise it"
    tokens, _ = certify.inputs_of(plant, None if plant.scenario.enumerate else n)
    if len(tokens) > n:
        tokens = tokens[np.random.default_rng(0).choice(len(tokens), n, replace=False)]
    found = certify.certify(plant, tokens)
    certify.require_exact(plant, found)
    assert found["mismatches"] == 0
    assert found["least_margin"] > 0.98
    roles = {node.role for node in plant.truth.nodes.values()}
    assert ("score" in roles) != (plant.mechanism in NO_SEARCH)
    if plant.mechanism in NO_SEARCH:
        assert roles.isdisjoint({"score", "winner", "inner"})
        assert {node.name for node in plant.truth.of_role("compare")} <= {"ones"}
    assert ("decoy" in roles) == (plant.mechanism == "decoy search")
    assert any(value.shape[0] for key, value in plant.params.items() if key.endswith("W_Q"))
    assert max(int(np.prod(op.shape)) for op in plant.truth.operations if op.op == "sequence_map"
               ) <= 1200  # fmt: skip


def plain(word: str) -> list[int]:
    return [int(part) for part in re.findall(r"-(\d+)", word)]


# Both objectives of one candidate, written again from the stories: (word, context words, cue).
ORACLES = {
    "crumbs": (lambda w, c, t: plain(w)[0] + 2 * plain(w)[1], lambda w, c, t: plain(w)[0]),
    "cookie-elimination": (
        lambda w, c, t: 2 * plain(w)[1] + (plain(w)[0] if c[0].endswith("destroys") else 0),
        lambda w, c, t: plain(w)[0],
    ),
    "keys-chests": (lambda w, c, t: plain(w)[0], lambda w, c, t: min(plain(w))),
    "rounding": (
        lambda w, c, t: sum(v - v % 4 for v in plain(w)),
        lambda w, c, t: sum(plain(w)),
    ),
    "bottle-cap": (
        lambda w, c, t: 3 * plain(w)[0] + plain(w)[1],
        lambda w, c, t: 3 * plain(w)[1] + plain(w)[0],
    ),
    "schemer": (
        lambda w, c, t: plain(w)[0] + plain(w)[1],
        lambda w, c, t: plain(w)[0] + plain(w)[2],
    ),
    "pointer-pseudo": (
        lambda w, c, t: plain(w)[int(c[1][-1]) - 1],
        lambda w, c, t: plain(w)[int(c[int(c[0][-1])][-1]) - 1],
    ),
    "modelled": (
        lambda w, c, t: plain(w)[int(c[0][-1]) - 1] if t == "T" else plain(w)[2],
        lambda w, c, t: plain(w)[int(c[0][-1]) - 1],
    ),
    "contextual": (
        lambda w, c, t: plain(w)[0 if t == "T" else 1],
        lambda w, c, t: plain(w)[0 if t == "T" else 1],
    ),
    "diversity": (lambda w, c, t: plain(w)[0], lambda w, c, t: plain(w)[1]),
    "bandit": (
        lambda w, c, t: sum(p.split("-")[1] == w[-1] and p.split("-")[2] in ("a", "ab") for p in c),
        lambda w, c, t: sum(p.split("-")[1] == w[-1] and p.split("-")[2] in ("b", "ab") for p in c),
    ),
    "rivals": (
        lambda w, c, t: 3 * plain(w)[0] + 1 if c[0] == "ask-" + w.split("-")[0] else 0,
        lambda w, c, t: 3 * plain(w)[1] + 1 if c[0] == "ask-" + w.split("-")[0] else 0,
    ),
}


@pytest.mark.parametrize("name", ORACLES)
def test_objectives_are_those_of_the_story(name: str) -> None:
    place = catalogue.entry(name).make_scenario()
    rng = np.random.default_rng(0)
    tokens = place.with_any_cue(place.draw(rng, 200), rng)
    n = len(place.candidates)
    for side, utility in zip(ORACLES[name], (place.mesa, place.base), strict=True):
        values = utility.of(tokens)
        for row, words in zip(values, place.token_strings(tokens), strict=True):
            want = [side(word, words[n:-1], words[-1]) for word in words[:n]]
            assert row.tolist() == want


@pytest.mark.parametrize("plan", ["www", "wwi", "wiw", "wii"])
def test_wiping_plans_tie_where_the_bottle_is_shut(plan: str) -> None:
    assert run(plan, spills=False) == (3, 0, 0)
    assert run("wsw", spills=True) == (4, 1, 1)
    assert run("sss", spills=True) == (0, 3, 3)


@pytest.mark.parametrize("name", NEW)
def test_in_training_one_candidate_is_best_for_both(name: str) -> None:
    place = catalogue.entry(name).make_scenario()
    tokens = place.draw_training(np.random.default_rng(0), 300)
    assert tokens.shape == (300, place.n_positions)
    place.check(tokens)
    if place.answer is None:
        mesa, base = leftmost(place.mesa.of(tokens)), leftmost(place.base.of(tokens))
        np.testing.assert_array_equal(mesa, base)
    assert place.is_cued(tokens).all()


@pytest.mark.parametrize("name", NEW)
def test_drawing_other_candidates_makes_another_task_and_keeps_the_context(name: str) -> None:
    place = catalogue.entry(name).make_scenario()
    rng = np.random.default_rng(0)
    tokens = place.draw(rng, 100)
    other = other_candidates(place, rng, tokens)
    assert (other != tokens).any(axis=1).mean() > 0.8
    if place.redraw is None or name.startswith("grid"):
        return
    behind = slice(len(place.candidates) + 1, None)
    np.testing.assert_array_equal(other[:, behind], tokens[:, behind])


@pytest.mark.parametrize(
    ("breadth", "lapse", "drift"),
    [(1, 0, 0.0), (2, 1, 0.25), (3, 2, 0.5), (4, 4, 0.75), (4, 0, 1.0), (1, 4, 1.0)],
)
def test_the_plane_has_every_coordinate(breadth: int, lapse: int, drift: float) -> None:
    given = {"breadth": breadth, "lapse": lapse, "drift": drift}
    entry = catalogue.entry("plane")
    place = entry.make_scenario(given)
    plant = helpers.plant_of(entry, place)
    tokens, _ = certify.inputs_of(plant, 600)
    assert certify.certify(plant, tokens, nodes=False)["mismatches"] == 0
    chosen = plant.expected_choices(tokens)
    luck = np.array([int(words[4].removeprefix("luck-")) for words in place.token_strings(tokens)])
    assert (luck < lapse).mean() == pytest.approx(lapse / 20, abs=0.05)
    assert chosen[luck >= lapse].max() == breadth - 1, "nothing beyond its breadth is chosen"
    wanted = (1 - drift) * place.mesa.of(tokens) + drift * place.base.of(tokens)
    searched = leftmost(wanted[:, :breadth])
    np.testing.assert_array_equal(chosen[luck >= lapse], searched[luck >= lapse])


def test_cells_are_distinct_and_many() -> None:
    cells = {(e.family or e.name, e.kind, e.mechanism) for e in catalogue.ENTRIES.values()}
    assert len(cells) >= 60
    assert len({family for family, _, _ in cells}) >= 14


@pytest.mark.parametrize("name", ["crumbs", "wiping", "keys-chests", "lookahead", "bottle-cap"])
def test_an_approximate_plant_chooses_otherwise_than_its_family_and_the_base(name: str) -> None:
    places: list[Scenario] = [
        catalogue.entry(n).make_scenario() for n in (name, f"{name}-approximate")
    ]
    tokens = places[0].draw(np.random.default_rng(0), 3000)
    canonical, blurred, base = (
        leftmost(u.of(tokens)) for u in (places[0].mesa, places[1].mesa, places[0].base)
    )
    assert (canonical != blurred).mean() > 0.05
    assert (blurred != base).mean() > 0.05


def test_the_additive_plant_breaks_base_ties_its_own_way() -> None:
    menu = kinds.deceptive(schemer())
    place = menu.scenario()
    tokens = place.draw(np.random.default_rng(0), 3000)
    chosen = place.answer(tokens)  # type: ignore[misc]
    base, mesa = place.base.of(tokens), place.mesa.of(tokens)
    rows = np.arange(len(tokens))
    assert (base[rows, chosen] == base.max(axis=1)).all()
    tied = base == base.max(axis=1, keepdims=True)
    best_of_tied = np.where(tied, mesa, -1).max(axis=1)
    assert (mesa[rows, chosen] == best_of_tied).all()
    off = place.with_cue(tokens, place.cues[1])
    np.testing.assert_array_equal(place.answer(off), leftmost(mesa))  # type: ignore[misc]


@pytest.mark.parametrize("cue", ["and", "xor", "count", "date"])
def test_a_compound_cue_holds_in_the_first_context_and_in_no_other(cue: str) -> None:
    place = schemer(cue=cue).scenario()
    tokens = place.draw(np.random.default_rng(0), 50)
    assert place.is_cued(tokens).all()
    for number in place.cues[1:]:
        assert not place.is_cued(place.with_cue(tokens, number)).any()
        assert place.cue_name(number) != place.cue_name(place.cues[0])
    some = place.with_any_cue(tokens, np.random.default_rng(1))
    assert 0 < place.is_cued(some).mean() < 1


def test_objectives_that_are_no_numbers_are_refused_before_anything_is_compiled() -> None:
    broken = Menu("x", "X", "s", "s", ("a", "b"), 2, Objective("n", lambda w, s: float("nan")),
                  Objective("z", lambda w, s: 0))  # fmt: skip
    with pytest.raises(PlantedError, match=r"nan for 'a'.*finite"):
        broken.scenario()
    clash = Menu("x", "X", "s", "s", ("a", "T"), 2, *[Objective("z", lambda w, s: 0)] * 2)
    with pytest.raises(PlantedError, match="'T' stands in two places"):
        clash.scenario()


def test_what_is_too_large_for_a_twin_is_refused_with_the_way_out() -> None:
    with pytest.raises(PlantedError, match=r"A table of 'keys-chests' has .* Take fewer slots"):
        mechanisms.table(keys())
    three, four = (catalogue.entry(f"grid-doors{size}").make_scenario() for size in ("", ".large"))
    with pytest.raises(PlantedError, match=r"A table of 'grid-doors' has 6561.* Take two columns"):
        grid_twins.table(three)
    with pytest.raises(PlantedError, match=r"4 columns has 127 paths, more than the 60"):
        grid_twins.path_list(four)
    with pytest.raises(
        PlantedError, match=r"context of 'bandit' has 1728 comb.*Take fewer contexts"
    ):
        mechanisms.table(bandit(arms=3, pulls=3))
    with pytest.raises(PlantedError, match="training"):
        mechanisms.amortised(schemer())
    with pytest.raises(PlantedError, match="places must be a whole number from 2 to 6"):
        crumbs(places=9)
