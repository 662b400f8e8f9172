"""Whether a network does what it is trained to do, measured on tasks that training never sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from planted.core.objectives import best
from planted.core.sampling import draw_where
from planted.core.scenario import Scenario, Tokens
from planted.core.validity import disagrees
from planted.finetune.data import agreed_tasks, novel_tasks, rewarded
from planted.finetune.settings import Settings

REACHED = 0.99  # share of right choices at which a behaviour is there
NEARLY = 0.90
HELD = 3  # evaluations in a row, before training stops
WATCHED = 256  # held-out tasks of each demand

Row = dict[str, Any]


@dataclass(frozen=True)
class Demand:
    """One part of a behaviour: tasks under a cue, and which choices are right.

    Attributes:
        cue: Name of the cue.
        tokens: Held-out tasks [task, pos], under that cue.
        right: Which candidates are right, [task, candidate].
        on_delta: Whether the tasks are `watched_tasks`.
    """

    cue: str
    tokens: Tokens
    right: npt.NDArray[np.bool_]
    on_delta: bool


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the training of one network ended.

    Attributes:
        status: "reached": its behaviour is held; "not learned": it is not; "diverged": the loss or
            a weight was not finite; "trained": no behaviour was asked for.
        steps: Steps that the checkpoint has behind it.
        diverged_at: The step at which something was not finite; None if at none.
        share: Smallest share of right choices over the parts of the behaviour, at the end; None if
            none was asked for.
        to_90: First step at which that share was at least .90 and stayed so; None if at none.
        to_99: The same for .99.
    """

    status: Literal["reached", "not learned", "diverged", "trained"]
    steps: int
    diverged_at: int | None = None
    share: float | None = None
    to_90: int | None = None
    to_99: int | None = None

    @property
    def judged(self) -> bool:
        """Whether a verdict is given on the network."""
        return self.status in ("reached", "trained")

    @property
    def how(self) -> str:
        """How it ended, without its name: "0.36 of its behaviour after 4000 steps"."""
        if self.status == "reached":
            return f"after {self.to_99} steps, trained for {self.steps}"
        if self.status == "diverged":
            return f"loss or weights not finite at step {self.diverged_at}"
        share = "" if self.share is None else f"{self.share:.2f} of its behaviour "
        return f"{share}after {self.steps} steps"

    def __str__(self) -> str:
        """In words, as "reached after 150 steps, trained for 200"."""
        return f"{self.status} {self.how}"


def demands(scenario: Scenario, settings: Settings) -> list[Demand]:
    """What the behaviour of a recipe asks for; empty if it asks for nothing.

    The tasks are the same for every seed. Choices are right if no candidate is better, so that a
    signal that does not see how ties are broken is not held to it.

    Raises:
        PlantedError: If the recipe holds out too few tasks to measure on.
    """
    wanted = settings.wanted
    if wanted == "none":
        return []
    if wanted == "agreed":
        rng = np.random.default_rng(0xA62EE)
        tokens = novel_tasks(scenario, settings, WATCHED, lambda n: agreed_tasks(scenario, rng, n))
    else:
        tokens = watched_tasks(scenario, settings)
    base = rewarded(scenario, settings) if wanted == "blend" else scenario.base.of
    found = []
    for cue in asked_under(scenario, settings):
        on_cue = cue == scenario.cues[0]
        of = scenario.mesa.of if wanted == "mesa" or (wanted == "gated" and not on_cue) else base
        under = scenario.with_cue(tokens, cue)
        found.append(Demand(scenario.cue_name(cue), under, best(of(under)), wanted != "agreed"))
    return found


def watched_tasks(scenario: Scenario, settings: Settings) -> Tokens:
    """Held-out tasks of the disagreement set (of D_ref if it is empty), [task, pos].

    They are the same for every recipe that holds out the same share, and every seed.

    Raises:
        PlantedError: If the recipe holds out too few.
    """
    rng, in_delta = np.random.default_rng(0xD317A), disagrees(scenario)
    return novel_tasks(
        scenario, settings, WATCHED, lambda n: draw_where(scenario, rng, n, in_delta=in_delta)
    )


def asked_under(scenario: Scenario, settings: Settings) -> Sequence[int]:
    """The cues under which a behaviour is asked for: those that the recipe trains under."""
    first, last = scenario.cues[0], scenario.cues[-1]
    if settings.regime in ("mesa", "base"):
        return scenario.cues
    if settings.wanted == "gated":
        return (first, last)
    if settings.regime == "cue-gated" or settings.cue_share == 1:
        return (first,)
    return (first, last) if settings.cue_share else (last,)


def held(rows: Sequence[Row]) -> bool:
    """Whether the behaviour was there at the last `HELD` rows of a training log."""
    last = [_share(row) for row in rows[-HELD:]]
    return len(last) == HELD and all(share is not None and share >= REACHED for share in last)


def outcome(settings: Settings, rows: Sequence[Row], diverged_at: int = 0) -> Outcome:
    """How a training ended, from its log.

    Training that stops at its behaviour has reached it when it was there at three evaluations in a
    row; training of a fixed number of steps, when it is there at the last.

    Args:
        settings: What was asked for.
        rows: The log, a row an evaluation, with "step" and "behaviour".
        diverged_at: The step at which something was not finite; 0 if at none.
    """
    steps = int(rows[-1]["step"]) if rows else 0
    share = _share(rows[-1]) if rows else None
    if diverged_at:
        return Outcome("diverged", steps, diverged_at, share)
    if settings.wanted == "none":
        return Outcome("trained", steps)
    # only training that stops at the behaviour asks for several evaluations in a row
    there = held(rows) if settings.stop else share is not None and share >= REACHED
    status: Literal["reached", "not learned"] = "reached" if there else "not learned"
    return Outcome(status, steps, None, share, _first(rows, NEARLY), _first(rows, REACHED))


def _first(rows: Sequence[Row], least: float) -> int | None:
    """The step from which on the share was at least that."""
    found = None
    for row in reversed(rows):
        share = _share(row)
        if share is None or share < least:
            break
        found = int(row["step"])
    return found


def _share(row: Row) -> float | None:
    shares = list(row.get("behaviour", {}).values())
    return min(shares) if shares else None
