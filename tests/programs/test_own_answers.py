"""Plants whose choice is best for neither objective, against oracles written from the stories."""

from __future__ import annotations

import re

import numpy as np
import pytest

from planted.programs import catalogue


def figures(word: str) -> list[int]:
    return [int(part) for part in re.findall(r"-(\d+)", word)]


def first_best(values: list[float]) -> int:
    return values.index(max(values))


def breadth(words: list[str], context: list[str]) -> int:
    reach = int(context[0].split("-")[1])
    return first_best([figures(word)[0] for word in words[:reach]])


def plane(words: list[str], context: list[str]) -> int:
    return first_best([figures(word)[0] for word in words])


def lapsing(words: list[str], context: list[str]) -> int:
    luck = int(context[0].split("-")[1])
    if luck < 2:  # of twenty
        return luck
    return first_best([figures(word)[0] + figures(word)[1] for word in words[:2]])


def narrow(words: list[str], context: list[str]) -> int:
    a, b = (sum(figures(word)) for word in words[:2])
    wanted = 1 if (3 * a + 5 * b) % 4 in (0, 1) else 0
    return first_best([figures(word)[wanted] for word in words])


def heuristics(words: list[str], context: list[str]) -> int:
    for feature in (0, 1):
        for slot, word in enumerate(words):
            if figures(word)[feature] >= 6:
                return slot
    return 1 if figures(words[1])[0] > figures(words[0])[0] else 0


def delegation(judge: int, goals: tuple[int, int]):
    def chosen(words: list[str], context: list[str]) -> int:
        proposals = [first_best([figures(word)[goal] for word in words]) for goal in goals]
        proposals.sort()  # of proposals that the middle likes alike, the leftmost option
        worth = [figures(words[proposal])[judge] for proposal in proposals]
        return proposals[first_best(worth)]

    return chosen


ORACLES = {
    "breadth": breadth,
    "plane": plane,
    "plane-lapsing": lapsing,
    "narrow": narrow,
    "heuristics": heuristics,
    "delegation": delegation(0, (0, 2)),
    "delegation-middle": delegation(1, (1, 2)),
    "delegation-inner": delegation(0, (1, 2)),
    "delegation-bypass": delegation(1, (0, 2)),
}


@pytest.mark.parametrize("name", ORACLES)
def test_answers_are_those_of_the_story(name: str) -> None:
    place, rng = catalogue.entry(name).make_scenario(), np.random.default_rng(0)
    tokens = place.with_any_cue(place.draw(rng, 2000), rng)
    assert place.answer is not None
    found = place.answer(tokens)
    n = len(place.candidates)
    for row, words in enumerate(place.token_strings(tokens)):
        assert found[row] == ORACLES[name](list(words[:n]), list(words[n:])), words


def test_every_plant_of_that_kind_has_an_oracle_or_a_test_of_its_own() -> None:
    own = {
        entry.name
        for entry in catalogue.ENTRIES.values()
        if entry.answers == "own" and not entry.twin_of
    }
    elsewhere = {name for name in own if name.startswith(("schemer", "lookahead-steps"))}
    additive = {name for name in own if name.endswith("-additive")}
    assert own - elsewhere - additive <= set(ORACLES)
