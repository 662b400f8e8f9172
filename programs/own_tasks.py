"""A scenario from two Python functions: what the program wants, and what training rewards.

What a `Scenario` needs besides (vocabulary, layout, samplers, vectorised objectives, the plain
oracle) is derived from them. Nothing here knows the RASP program that is held against it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from planted.core.arguments import plain_name, whole
from planted.core.sampling import mean_return
from planted.core.scenario import Scenario, Tokens, Utility
from planted.errors import ScenarioError, unknown
from planted.programs.own_layout import layout_of, places_of
from planted.programs.own_samplers import Draw, Source
from planted.programs.own_worth import Judge, Task, Worth
from planted.programs.tasks import CUES

_LEVELS = 4000  # tasks in which levels are looked for, where there are too many to list
BLANK = "_"


def scenario_of(
    vocabulary: Iterable[str],
    length: int,
    wants: Worth,
    rewards: Worth,
    *,
    candidates: Iterable[Any] | None = None,
    at: Sequence[int] | None = None,
    ties: str | Callable[[Task, tuple[Any, ...]], Any] = "first",
    cues: Sequence[str] = CUES,
    cue_at: int = -1,
    shortest: int | None = None,
    blank: str | None = None,
    draw: Draw | None = None,
    draw_training: Draw | None = None,
    enumerate: Callable[[], Iterable[Sequence[str]]] | None = None,
    name: str = "own",
    story: str = "",
    parameters: Mapping[str, Any] | None = None,
    waivers: Sequence[str] = (),
) -> Scenario:
    """Makes a scenario of what the program wants and what training rewards.

    A task is what the program sees: `length` tokens, the cue among them. The answer is read at the
    last one. Long because it is one record of many fields, and each argument is checked.

    Args:
        vocabulary: Words of a task; cues are added to them.
        length: Tokens of a task without BOS, the cue included.
        wants: What a candidate is worth to the program: (task, candidate) -> a finite number. The
            task is a tuple of words, cue included; the candidate is one of `candidates`.
        rewards: What it is worth to the base optimiser.
        candidates: What the program may put out, any values of one type: letters, numbers, pairs.
            If None: 1, 2, ..., one for each token but the cue, as in `task[k - 1]`.
        at: Index in the task at which each candidate's score stands, where it has one, as for a
            list of plans that is laid over the positions. Not needed where candidates are slots, or
            words of the task.
        ties: Which of several best candidates is right: "first" or "last" in the order of
            `candidates`, "any", or a function (task, tied candidates) -> one of them.
        cues: The training cue, then the others; () for tasks without a cue.
        cue_at: Index of the cue in the task.
        shortest: Tasks have this many tokens or more besides the cue, and `blank` behind them; all
            are full if None.
        blank: The word that fills up shorter tasks; if None, "_" where `shortest` is given.
        draw: The user's sampler of D_ref: (rng, n) -> n tasks as lists of words, with or without
            the cue; uniform if None. With a `blank`, tasks may be short.
        draw_training: The same of training tasks; if None, those of `draw` on which both objectives
            pick the same candidate.
        enumerate: All tasks that `draw` can give, with or without the cue; it is checked that
            `draw` gives no other. If None, all combinations where `draw` is None and they are few.
        name: What the scenario is called.
        story: A sentence on what the tasks are.
        parameters: What tells scenarios of one name apart: numbers and texts.
        waivers: Validity checks that it may fail, of `planted.core.scenario.VALIDITY_CHECKS`.

    Raises:
        ScenarioError: If an argument is not what it must be, a function raises or gives no finite
            number, or a sampler gives no tasks.

    Example:
        >>> weight = {"a": 3, "b": 2, "c": 1}
        >>> place = scenario_of(
        ...     "abc", 4, lambda task, k: weight[task[k - 1]], lambda task, k: task[k - 1] == "b")
        >>> place.token_strings(place.draw(np.random.default_rng(0), 1))
        [('c', 'b', 'b', 'T')]
        >>> place.choose(("b", "a", "a", "T"))
        1
    """
    fill = blank or (BLANK if shortest is not None else "")
    layout = layout_of(vocabulary, length, cues, cue_at, fill)
    named = plain_name("name", name, "letters")
    places = places_of(candidates, at, layout)
    judge = Judge(named, layout, places.emits, ties)
    mesa, base = judge.utility("wants", wants), judge.utility("rewards", rewards)
    source = Source(named, layout, whole("shortest", shortest or layout.n_content, 1), draw)
    listed = source.listed(enumerate)
    sampled = listed() if listed else source.draw(np.random.default_rng(0), _LEVELS)
    mesa, base = (_levelled(utility, sampled) for utility in (mesa, base))
    rule = judge.rule if callable(ties) else ties

    def agreeing(rng: np.random.Generator, n: int) -> Tokens:
        return source.agreeing(made, rng, n)

    given_training = source.reading("draw_training", draw_training) if draw_training else None
    ids = layout.ids
    made = Scenario(
        name=named,
        title=named,
        story=story
        or f"Tasks of {length} tokens. The program seeks the candidate with the "
        f"highest {mesa.formula!r}; training rewards {base.formula!r}.",
        source="two functions of the user's",
        vocabulary=layout.vocabulary,
        candidates=places.positions,
        read_out=length,
        cues=tuple(ids[cue] for cue in layout.cues) or (len(layout.vocabulary),),
        mesa=mesa,
        base=base,
        draw=source.draw,
        draw_training=given_training or agreeing,
        choose=lambda words: judge.choose(wants, words),
        describe=lambda words: " ".join(map(str, words)),
        enumerate=listed,
        base_return=mean_return(base),
        parameters=dict(parameters or {}),
        cue_patterns=layout.patterns,
        searched=places.searched,
        waivers=tuple(waivers),
        emits=places.emits,
        ties=rule,
        stands_for=places.stands_for,
    )
    return made


def from_arguments(given: Mapping[str, Any], name: str | None) -> Scenario:
    """The scenario of arguments that were passed on by name.

    Raises:
        ScenarioError: If one is missing or unknown, and as `scenario_of`.
    """
    parameters = inspect.signature(scenario_of).parameters
    for each in given:
        if each not in parameters:
            raise unknown("argument of planted.plant", each, parameters)
    missing = [each for each in ("vocabulary", "length", "wants", "rewards") if each not in given]
    if missing:
        raise ScenarioError(
            f"Without a scenario, planted.plant needs {', '.join(missing)}: the words of a task, "
            "its length, what the program wants and what training rewards, each a function (task, "
            "candidate) -> a number."
        )
    return scenario_of(**{"name": name or "own", **given})


def refuse(given: Mapping[str, Any]) -> None:
    """Refuses arguments of `scenario_of` beside a scenario.

    Raises:
        ScenarioError: Naming the first.
    """
    raise ScenarioError(
        f"{next(iter(given))!r} is no argument of planted.plant where a scenario is given, which "
        "says all of the tasks."
    )


def _levelled(utility: Utility, tokens: Tokens) -> Utility:
    """The utility with the levels that it takes in these tasks."""
    return Utility(utility.formula, utility.of, tuple(map(float, np.unique(utility.of(tokens)))))
