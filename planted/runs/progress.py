"""How far a run is: counted in networks, with an estimate of the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planted.runs.cell import Network

Progress = Callable[[Mapping[str, Any]], None]
JUDGING = 400  # training steps that take about as long as judging a network does
TOLD_FROM = 0.05  # of the work: before that the start of workers hides how fast it goes


class Count:
    """Counts finished networks of a run and tells a callback.

    The callback gets {"done", "total": networks; "trained": those that need no more training;
    "phase": "train" or "judge"; "recipe", "seed":
    what was just finished; "next": name of the recipe that comes next, "" at the end; "left_s":
    seconds that are probably left, None until a twentieth of the work was finished}.
    """

    def __init__(self, networks: Sequence[Network], tell: Progress | None) -> None:
        """Starts the clock.

        Args:
            networks: Every network of the run.
            tell: The callback.
        """
        self._networks = list(networks)
        self._tell = tell
        self._started = time.monotonic()
        self._left: dict[tuple[str, str], float] = {}  # (phase, folder) -> training steps, at most
        self._worked = 0.0
        self._steps: dict[str, int] = {}  # recipe's label -> what its last network took
        self._asked, self._taken = 0.0, 0.0  # largest numbers of steps of the trained, and theirs

    def expect(self, phase: str, network: Network) -> None:
        """Says that a network is still to be trained or judged."""
        cost = network.recipe.settings.steps if phase == "train" else JUDGING
        self._left[phase, str(network.folder)] = cost

    def begin(self) -> None:
        """Tells how far the run is at its start."""
        self._say("", None)

    def finished(self, phase: str, network: Network, steps: int | None = None) -> None:
        """Tells that a network was trained or judged.

        Args:
            phase: "train" or "judge".
            network: Which.
            steps: Where it was trained, the steps that it took; the other networks of its recipe
                are then expected to take as many, and those of other recipes the same share of
                their largest number.
        """
        cost = self._left.pop((phase, str(network.folder)), 0.0)
        if steps is not None:
            self._asked += cost
            self._taken += steps
            cost = steps
            self._steps[network.label] = steps
        self._worked += cost
        self._say(phase, network)

    def _expected(self) -> float:
        """The training steps that are probably left."""
        label = {str(network.folder): network.label for network in self._networks}
        share = self._taken / self._asked if self._asked else 1.0
        return sum(
            cost if phase == "judge" else self._steps.get(label[folder], share * cost)
            for (phase, folder), cost in self._left.items()
        )

    def _say(self, phase: str, network: Network | None) -> None:
        if self._tell is None:
            return
        open_folders = {folder for _, folder in self._left}
        waiting = [n for n in self._networks if str(n.folder) in open_folders]
        spent = time.monotonic() - self._started
        left = self._expected()
        told = self._worked > 0 and self._worked >= TOLD_FROM * (self._worked + left)
        self._tell(
            {
                "done": len(self._networks) - len(waiting),
                "total": len(self._networks),
                "trained": len(self._networks) - len({f for p, f in self._left if p == "train"}),
                "phase": phase,
                "recipe": network.label if network else "",
                "seed": network.cell.seed if network else None,
                "next": waiting[0].label if waiting else "",
                "left_s": round(spent / self._worked * left, 1) if told else None,
            }
        )


def sentence(said: Mapping[str, Any]) -> str:
    """One line for a person: "12 of 32 networks; next: cued; about 40 s left"."""
    parts = [f"{said['done']} of {said['total']} networks"]
    if said.get("trained", 0) > said["done"]:
        parts[0] += f", {said['trained']} trained"
    if said["next"]:
        parts.append(f"next: {said['next']}")
    if said["next"] and said["left_s"] is not None:
        parts.append(f"about {_span(said['left_s'])} left")
    return "; ".join(parts)


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
