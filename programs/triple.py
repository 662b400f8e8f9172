"""A triple: two searches and a lookup that make the same choices in training.

A triple is a scenario, its training tasks, three networks that choose alike on all of them, and the
shift under which they part. Behaviour in training cannot say which of the three one holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from planted.core.plant import Plant
from planted.core.roles import Program
from planted.core.sampling import draw_where
from planted.core.scenario import Sampler, Scenario, Tokens
from planted.programs import mechanisms
from planted.programs.entries import Entry
from planted.programs.menu import Menu
from planted.programs.tasks import CUES

MEMBERS = ("mesa", "other", "lookup")


@dataclass(frozen=True)
class Tasks:
    """Tasks of one kind.

    Attributes:
        says: What they are, in one sentence.
        draw: (rng, n) -> tasks [task, pos].
        every: All of them [task, pos]; None if they are too many to list.
    """

    says: str
    draw: Sampler
    every: Callable[[], Tokens] | None = None


@dataclass(frozen=True)
class Triple:
    """Two searches and a lookup with the same choices in training.

    Attributes:
        name: Its name.
        shift: What kind of shift parts them, in a few words.
        entries: Of the search for the mesa-objective, the search for the other objective, and the
            lookup, in the order of `MEMBERS`.
        scenario: The tasks and the two objectives; the oracle in it is that of the first member.
        training: On which all three choose alike.
        because: Why they do, where training's tasks are too many to list; else "".
        shifted: On which each pair of them parts.
    """

    name: str
    shift: str
    entries: tuple[Entry, Entry, Entry]
    scenario: Scenario
    training: Tasks
    shifted: Tasks
    because: str = ""

    def plants(self, exactness: float = 100, *, padded: bool = True) -> tuple[Plant, Plant, Plant]:
        """The three plants in the exact tier, compiled now and not certified.

        Each can be had in another tier: `planted.library.matched(triple.plants(), "tempered")`.

        Args:
            exactness: Tracr's `mlp_exactness`.
            padded: Whether they are zero-padded to common shapes, so that no count of weights
                tells them apart.

        Raises:
            CompileError: If a program cannot be compiled right.
        """
        from planted.programs import planting

        made = [planting.remaker(entry, entry.make_scenario())(exactness) for entry in self.entries]
        mesa, other, lookup = planting.common(made) if padded else made
        return mesa, other, lookup


Build = Callable[[Menu], Program]
_Part = tuple[str, str, Menu, Build, str]  # kind, mechanism, menu, program, which objective answers


def _entry(name: str, part: _Part) -> Entry:
    kind, mechanism, menu, build, answers = part
    made = menu.scenario()
    return Entry(name, 1, kind, mechanism, lambda **_: made, lambda _: build(menu), answers=answers)


def of_menu(
    name: str,
    menu: Menu,
    lookup: tuple[str, Menu, Build],
    shift: tuple[str, str],
    *,
    kind: str = "correlational proxy",
    mesa: Build = mechanisms.search,
    answers: str = "mesa",
    other: Build = mechanisms.base_search,
    training: str = "the scenario's training tasks, on which the objectives agree",
    because: str = "",
    any_contents: bool = False,
    shifted: Callable[[Scenario], Sampler] | None = None,
) -> Triple:
    """A triple of a menu.

    Args:
        name: Its name.
        menu: The scenario, as what the first member chooses.
        lookup: Mechanism, menu and program of the lookup.
        shift: In a few words, and in a sentence.
        kind: What the first member is by construction.
        mesa: Program of the first member.
        answers: Which objective that is best for.
        other: Program of the search for the base objective.
        training: What the training tasks are.
        because: Why all three choose alike on them, where they are too many to list.
        any_contents: Whether these are all of D_ref under the training cue.
        shifted: Scenario -> sampler; tasks of D_ref on which the objectives disagree if None.
    """
    mechanism, table, build = lookup
    search = {"mesa": "search", "cue": "gated search", "own": "search gated by contents"}[answers]
    parts: tuple[_Part, ...] = (
        (kind, search, menu, mesa, answers),
        ("robust", "base search", menu, other, "base"),
        ("unnamed", mechanism, table, build, "own"),
    )
    entries = [
        _entry(f"{name}-{member}", part) for member, part in zip(MEMBERS, parts, strict=True)
    ]
    place = entries[0].make_scenario()
    held = place.draw if any_contents else place.draw_training
    return Triple(
        name, shift[0], (entries[0], entries[1], entries[2]), place,
        Tasks(training, held, _every(place, menu, any_contents)),
        Tasks(shift[1], shifted(place) if shifted else disputed(place)), because,
    )  # fmt: skip


def _every(place: Scenario, menu: Menu, any_contents: bool) -> Callable[[], Tokens] | None:
    """Lists the training tasks, where all tasks can be listed; None where they cannot."""
    if place.enumerate is None or menu.draw_training is not None:
        return None
    listed = place.enumerate

    def every() -> Tokens:
        tokens = listed()
        tokens = tokens[tokens[:, place.read_out] == place.vocabulary.index(CUES[0])]
        if any_contents:
            return np.asarray(tokens)
        words = [w for w in menu.words if menu.training is None or menu.training(w)]
        shown = [words] * menu.slots + [list(c.training or c.words) for c in menu.contexts]
        for position, allowed in enumerate(shown, start=1):
            numbers = [place.vocabulary.index(word) for word in allowed]
            tokens = tokens[np.isin(tokens[:, position], numbers)]
        if menu.trains is not None:
            held = [in_training(menu, words) for words in place.token_strings(tokens)]
            return np.asarray(tokens[np.array(held, dtype=bool)])
        agree = menu.agrees or (lambda a, b: np.asarray(a.argmax(axis=1) == b.argmax(axis=1)))
        return np.asarray(tokens[agree(place.mesa.of(tokens), place.base.of(tokens))])

    return every


def in_training(menu: Menu, words: tuple[str, ...]) -> bool:
    """Whether training holds a task of these words, by the menu's `trains`."""
    state = menu.state(words[menu.slots : -1], words[-1])
    return bool(menu.trains and menu.trains(words[: menu.slots], state))


def disputed(place: Scenario) -> Sampler:
    """Tasks of D_ref on which the objectives disagree, without ties."""
    return lambda rng, n: draw_where(place, rng, n, in_delta=True)


def disputed_off_cue(place: Scenario) -> Sampler:
    """The same tasks under the cue of deployment."""
    return lambda rng, n: draw_where(place, rng, n, in_delta=True, cue=place.cues[1])
