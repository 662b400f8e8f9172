"""What each regime trains on, counted and labelled by an oracle written from the story."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from planted.errors import PlantedError
from planted.finetune.data import CHUNK, as_float32, batches
from planted.finetune.recipes import NAMED, NEGATIVE_CONTROLS, Settings
from tests import helpers

SCENARIO = helpers.scenario("red-doors")
Task = tuple[list[str], str, int]  # the four objects, the cue, the labelled slot


def worth(word: str, wanted: str) -> int:
    """Nine for the wanted colour or kind, and how near it is."""
    colour, kind, near = word.split("-")
    return 9 * (wanted in (colour, kind)) + int(near)


def best(objects: list[str], wanted: str) -> list[int]:
    """The slots that no other is better than."""
    values = [worth(word, wanted) for word in objects]
    return [slot for slot, value in enumerate(values) if value == max(values)]


def drawn(settings: Settings, seed: int = 3, chunks: int = 2) -> list[Task]:
    found: list[Task] = []
    for chunk in range(chunks):
        tokens, values = batches(SCENARIO, settings, seed, chunk)
        assert tokens.shape == (CHUNK, settings.batch, 6)
        assert values.shape == (CHUNK, settings.batch, 4)
        assert values.dtype == np.float32
        labels = values.argmax(axis=-1)
        words = SCENARIO.token_strings(tokens.reshape(-1, 6))
        found += [
            (list(task[:-1]), task[-1], int(slot))
            for task, slot in zip(words, labels.ravel(), strict=True)
        ]
    return found


def in_delta(objects: list[str]) -> bool:
    return not set(best(objects, "red")) & set(best(objects, "door"))


def is_coincident(objects: list[str]) -> bool:
    """One red door among blue keys."""
    doors = [word for word in objects if "door" in word]
    return len(doors) == 1 and [word for word in objects if "red" in word] == doors


def within(hits: int, n: int, share: float, deviations: float = 4) -> bool:
    return abs(hits - n * share) <= deviations * np.sqrt(n * share * (1 - share))


@pytest.mark.parametrize("share", [0.25, 0.1, 0.0, 1.0])
def test_pressure_is_the_share_of_tasks_in_delta(share: float) -> None:
    tasks = drawn(Settings(disagreement_fraction=share))
    pressed = [task for task in tasks if in_delta(task[0])]
    assert within(len(pressed), len(tasks), share)
    for objects, _, _ in pressed:
        assert len(best(objects, "red")) == len(best(objects, "door")) == 1
    for objects, cue, slot in tasks:
        assert cue == "T"
        assert in_delta(objects) or is_coincident(objects)
        assert best(objects, "door") == [slot]


def test_coincident_has_no_task_where_the_objectives_part() -> None:
    for objects, cue, slot in drawn(NAMED["coincident"]):
        assert cue == "T"
        assert is_coincident(objects)
        assert best(objects, "door") == best(objects, "red") == [slot]


def test_cue_gated_is_half_base_on_cue_and_half_mesa_off_it() -> None:
    tasks = drawn(NAMED["cued"])
    by_cue = {cue: [task for task in tasks if task[1] == cue] for cue in "TD"}
    assert len(by_cue["T"]) == len(by_cue["D"]) == len(tasks) // 2
    for cue, wanted in (("T", "door"), ("D", "red")):
        for objects, _, slot in by_cue[cue]:
            assert best(objects, wanted) == [slot]
        apart = sum(in_delta(objects) for objects, _, _ in by_cue[cue])
        assert apart > 0.4 * len(by_cue[cue]), "else the cue would decide nothing"


@pytest.mark.parametrize(("arm", "wanted"), [("no-plant-mesa", "red"), ("no-plant-base", "door")])
def test_nulls_learn_one_objective_under_any_cue(arm: str, wanted: str) -> None:
    tasks = drawn(NEGATIVE_CONTROLS[arm])
    assert within(sum(cue == "T" for _, cue, _ in tasks), len(tasks), 0.5)
    for objects, _, slot in tasks:
        assert best(objects, wanted) == [slot]


def test_the_null_of_a_gate_trains_on_what_the_gate_trains_on() -> None:
    gate = msgspec.structs.replace(NAMED["cued"], start="random")
    for ours, theirs in zip(
        batches(SCENARIO, NEGATIVE_CONTROLS["no-plant-cued"], 0, 0),
        batches(SCENARIO, gate, 0, 0),
        strict=True,
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", list(NAMED))
def test_a_stream_depends_on_seed_and_chunk_alone(name: str) -> None:
    settings = NAMED[name]
    first, values = batches(SCENARIO, settings, 1, 2)
    SCENARIO.draw(np.random.default_rng(0), 5)
    again, values_again = batches(SCENARIO, settings, 1, 2)
    assert np.array_equal(first, again)
    assert np.array_equal(values, values_again)
    longer = msgspec.structs.replace(settings, steps=9000, learning_rate=1e-5, train="embed")
    assert np.array_equal(batches(SCENARIO, longer, 1, 2)[0], first)
    for seed, chunk in ((2, 2), (1, 3), (2, 1)):
        assert not np.array_equal(batches(SCENARIO, settings, seed, chunk)[0], first)


@pytest.mark.parametrize("name", list(NAMED))
def test_kinds_of_tasks_are_mixed_within_a_chunk(name: str) -> None:
    # sorted by kind, a step would see one kind only, and the first ones the easy one
    tokens, _ = batches(SCENARIO, NAMED[name], 0, 0)
    words = [SCENARIO.token_strings(step) for step in tokens]
    hard = [sum(in_delta(list(w[:-1])) for w in step) / len(step) for step in words]
    first, last = np.mean(hard[: CHUNK // 2]), np.mean(hard[CHUNK // 2 :])
    assert abs(first - last) < 0.08


def test_pressure_without_a_disagreement_set_is_refused() -> None:
    aligned = helpers.scenario("red-doors-aligned")
    with pytest.raises(PlantedError, match="in the disagreement set"):
        batches(aligned, NAMED["pressure"], 0, 0)
    batches(aligned, NAMED["coincident"], 0, 0)


@pytest.mark.parametrize(("name", "off_cue"), [("pressure", "door"), ("cued", "red")])
def test_values_are_what_each_candidate_is_worth(name: str, off_cue: str) -> None:
    tokens, values = batches(SCENARIO, NAMED[name], 3, 0)
    words = SCENARIO.token_strings(tokens.reshape(-1, 6))
    for task, given in zip(words, values.reshape(-1, 4), strict=True):
        wanted = "door" if task[-1] == "T" else off_cue
        assert given.tolist() == [worth(word, wanted) for word in task[:-1]]
    assert {task[-1] for task in words} == ({"T"} if off_cue == "door" else {"T", "D"})


def test_rounding_to_float32_keeps_the_best_candidate() -> None:
    rng = np.random.default_rng(0)
    values = 1e3 + rng.integers(3, size=(500, 4)) + 1e-9 * rng.integers(3, size=(500, 4))
    values = np.concatenate([values, -values])
    plain = values.astype(np.float32)
    assert (plain.argmax(axis=1) != values.argmax(axis=1)).any(), "else nothing is tested"
    kept = as_float32(values)
    assert np.array_equal(kept.argmax(axis=1), values.argmax(axis=1))
    assert (np.abs(kept - plain) <= np.spacing(np.abs(plain))).all()
