"""Whether two scenarios are the same: by their data, and by what their functions give on tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from planted.core.objectives import best, leftmost
from planted.core.scenario import Scenario, Tokens

_DRAWN = 1024  # tasks of D_ref
_FEW = 64  # of these: under each cue, and for functions that take one task at a time


def same(one: Scenario, other: Scenario) -> bool:
    """Whether all data are equal, and all functions give the same on the same tasks.

    A function made anew is never equal to the one that was made before, so functions are known by
    what they return, as they are for a plant: on a thousand tasks drawn under all cues.

    Args:
        one: A scenario.
        other: Another.

    Example:
        >>> from planted.programs import red_doors
        >>> same(red_doors.scenario(), red_doors.scenario())
        True
        >>> same(red_doors.scenario(), red_doors.scenario(levels=4))
        False
    """
    if type(one) is not type(other) or _data(one) != _data(other):
        return False
    # in step, so that tasks drawn are equal before anything is asked about them
    return all(_equal(*both) for both in zip(_returned(one), _returned(other), strict=True))


def _data(value: Any) -> Any:
    """A value with "function" in the place of every function."""
    if callable(value):
        return "function"
    if is_dataclass(value):
        return [_data(getattr(value, each.name)) for each in fields(value)]
    if isinstance(value, Mapping):
        return {key: _data(each) for key, each in value.items()}
    return value


def _returned(scenario: Scenario) -> Iterator[Any]:
    """What the functions of a scenario give, one after another: first the tasks they are drawn."""
    drawn = scenario.draw(np.random.default_rng(0), _DRAWN)
    yield drawn
    samplers = [scenario.draw_training]
    if scenario.declared is not None:
        samplers.append(scenario.declared.draw)
    others = [_given(each, np.random.default_rng(1), _DRAWN) for each in samplers]
    others.append(_given(scenario.with_any_cue, drawn, np.random.default_rng(2)))
    others += [_given(scenario.with_cue, drawn[:_FEW], cue) for cue in scenario.cues]
    yield from others
    if scenario.enumerate is not None:
        yield _given(scenario.enumerate)
    if scenario.redraw is not None:
        yield _given(scenario.redraw, np.random.default_rng(3), drawn)
    for tasks in (drawn, *(each for each in others if isinstance(each, np.ndarray))):
        yield from _on(scenario, tasks)


def _on(scenario: Scenario, tasks: Tokens) -> Iterator[Any]:
    """What the functions of a scenario say of tasks [task, pos]."""
    episode, rule = scenario.episode, scenario.ties
    utilities = [scenario.mesa, scenario.base]
    utilities += [episode.mesa, episode.base] if episode is not None else []
    values = [_given(each.of, tasks) for each in utilities]
    yield from values
    asked = (scenario.answer, scenario.stands_for, *scenario.features.values())
    yield from (_given(each, tasks) for each in asked if each is not None)
    yield _given(scenario.is_cued, tasks)
    for worth in (each for each in values if isinstance(each, np.ndarray) and each.size):
        chosen = leftmost(worth)
        yield _given(scenario.base_return, tasks, chosen)
        if callable(rule):
            yield _given(rule, tasks, best(worth))
        if episode is not None:
            yield _given(episode.step, tasks, chosen)
    if episode is not None:
        yield _given(episode.goes_on, tasks)
    for words in scenario.token_strings(tasks[:_FEW]):
        yield _given(scenario.choose, words)
        yield _given(scenario.describe, words)


def _given(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or what it raises: on tasks that it does not take, as on others."""
    try:
        return function(*arguments)
    except Exception as error:
        return type(error), str(error)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        floats = one.dtype.kind == other.dtype.kind == "f"
        return np.array_equal(one, other, equal_nan=floats)
    return type(one) is type(other) and bool(np.all(one == other))
