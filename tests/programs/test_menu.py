"""A menu of which no scenario can be made is refused by what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import planted
from planted.errors import CertificateError, PlantedError, ScenarioError
from planted.programs import mechanisms
from planted.programs.menu import Context, Menu, Objective, figure, words_of

GOOD = Menu(
    name="stalls",
    title="Stalls",
    story="",
    source="",
    words=words_of("stall", 3, 3),
    slots=3,
    mesa=Objective("a", lambda word, _: figure(word, 1)),
    base=Objective("b", lambda word, _: figure(word, 2)),
    contexts=(Context("sky", ("sun", "rain")),),
)


def raising(*_: Any) -> Any:
    raise IndexError("list index out of range")


def fails_on(word: str, _: Any) -> float:
    return 1 / (figure(word, 1) - 2)


def worth(value: Any) -> Objective:
    return Objective("a", lambda *_: value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"words": ()}, "it has no words that a candidate could be"),
        ({"about": ("wind",)}, r"about names 'wind'; its contexts are \['sky'\]"),
        ({"about": "sky"}, r"about is a tuple of names of contexts, here of \['sky'\], got 'sky'"),
        ({"about": 3}, "about is a tuple of names of contexts, .* got 3"),
        ({"about": (None, "sky")}, "about is a tuple of names of contexts, .* got"),
        (
            {"about": ("sky",), "cue": lambda words: words[0] == "sun"},
            "about and cue do not go together",
        ),
        ({"words": ("a", 3)}, "words are strings, got 3"),
        ({"words": ("a", "sun")}, "the word 'sun' stands in two places"),
        ({"words": ("a", "BOS")}, "the word 'BOS' stands in two places"),
        ({"slots": 1}, "2 to 16 slots, got 1"),
        ({"slots": 17}, "2 to 16 slots, got 17"),
        ({"slots": "3"}, "2 to 16 slots, got '3'"),
        ({"slots": 3.0}, r"2 to 16 slots, got 3\.0"),
        ({"mesa": fails_on}, r"mesa is an Objective\(formula, value\), got"),
        ({"base": None}, r"base is an Objective\(formula, value\), got None"),
        (
            {"mesa": Objective("a", fails_on)},
            r"'a' of menu .* raises ZeroDivisionError .* at test_menu\.py:\d+ for 'stall-2-0'",
        ),
        ({"mesa": worth(None)}, "objective 'a' of menu 'stalls' is None for 'stall-0-0'"),
        ({"mesa": worth("3")}, "'a' of menu 'stalls' is '3' for"),
        ({"mesa": worth(float("inf"))}, "'a' of menu 'stalls' is inf for"),
        ({"mesa": worth(10**400)}, "'a' of menu 'stalls' is 1000"),
        ({"mesa": worth(2j)}, "'a' of menu 'stalls' is 2j for"),
        ({"contexts": (Context("sky", ()),)}, "the context 'sky' has no words"),
        ({"contexts": (Context("sky", ("sun",), training=("fog",)),)}, "'fog' is no word of"),
        ({"contexts": (Context("sky", ("sun",), reference=("fog",)),)}, "'fog' is no word of"),
        ({"fixed": ("stall-0-0",)}, "3 slots have 1 fixed words"),
        ({"fixed": ("stall-0-0", "tent", "tent")}, r"the fixed word \['tent'\] is not among"),
        ({"training": lambda word: False}, "training admits no word at all"),
        (
            {"training": raising},
            r"training of .* IndexError \(list index out of range\) at .* for",
        ),
        ({"state": raising}, r"state of menu 'stalls' raises IndexError .* for \('sun',\), 'T'"),
        ({"state": lambda words, cue: [words]}, r"a state must be hashable, got \[\('sun',\)\]"),
        ({"cue": lambda words: False}, "the cue must hold in some contexts, not in all"),
        ({"cue": lambda words: True}, "the cue must hold in some contexts, not in all"),
    ],
)
def test_it_says_what_is_wrong(changes: dict[str, Any], says: str) -> None:
    GOOD.scenario()
    with pytest.raises(ScenarioError, match=f"(?=.*'stalls').*{says}"):
        replace(GOOD, **changes).scenario()


@pytest.mark.parametrize("slot", [-1, 3, None, 1.5, "1"])
def test_a_choice_is_a_slot(slot: Any) -> None:
    place = replace(GOOD, choose=lambda words, state: slot).scenario()
    assert place.answer is not None
    with pytest.raises(ScenarioError, match=f"choose of .* is {slot!r} for .*a slot from 0 to 2"):
        place.answer(place.draw(np.random.default_rng(0), 4))


def test_a_choice_of_its_own_does_not_pass_for_the_best() -> None:
    """By default the oracle is the mesa-objective, whatever `choose` says."""
    menu = replace(GOOD, choose=lambda words, state: 0)
    with pytest.raises(CertificateError, match="the vectorised utility and the plain oracle diff"):
        planted.plant(lambda _: mechanisms.search(GOOD), menu.scenario())


def test_a_scenario_is_no_menu() -> None:
    with pytest.raises(PlantedError, match=r"A Scenario is needed, got Menu\. Call its \.scenario"):
        planted.plant(lambda _: mechanisms.search(GOOD), GOOD)  # type: ignore[arg-type]


@pytest.mark.parametrize("answers", ["Base", "choice", "own"])
def test_answers_is_one_of_four(answers: str) -> None:
    with pytest.raises(PlantedError, match=rf"answers.*'{answers}'"):
        planted.plant(lambda _: mechanisms.search(GOOD), GOOD.scenario(), answers=answers)


@pytest.mark.parametrize("program", [None, 3, "search"])
def test_a_program_is_a_program(program: Any) -> None:
    with pytest.raises(PlantedError, match=r"A program is a planted.Program or a RASP expression"):
        planted.plant(program, GOOD.scenario())


@pytest.mark.parametrize("name", [None, 3, b"crumbs", [], True])
def test_a_plant_is_named_by_a_text(name: Any) -> None:
    with pytest.raises(PlantedError, match=r"A plant is named by a text, as 'crumbs.large', got"):
        planted.load(name)


@pytest.mark.parametrize("name", ["", "logits", "score*", 'q"q', "a\nb", None, 3, "tokens"])
def test_names_that_truth_or_a_drawing_could_not_hold_are_refused(name: Any) -> None:
    from tracr.rasp import rasp

    from planted.core.roles import mark

    with pytest.raises(PlantedError, match="A node cannot be called"):
        mark(rasp.Map(lambda x: x, rasp.tokens), name, "score")


def test_a_wrong_program_is_blamed_with_a_task() -> None:
    upside_down = replace(GOOD, mesa=Objective("-a", lambda word, _: -figure(word, 1)))
    with pytest.raises(
        CertificateError,
        match=r"On 'stall-.*the oracle says candidate \d, the program candidate \d, the network "
        r"candidate \d\. The program is not the oracle's equal: look at its scores",
    ):
        planted.plant(lambda _: mechanisms.search(upside_down), GOOD.scenario())
