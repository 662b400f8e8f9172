"""One task as a picture, with what either objective picks."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from planted.core.objectives import leftmost
from planted.core.sampling import draw_where
from planted.core.scenario import Scenario, Tokens
from planted.eval.report.svg import dot, el, figure, line, path, rect, text

_OBJECT = re.compile(r"(red|blue)-(door|key)-(\d+)")
STEP = 96  # width of a slot


@dataclass(frozen=True)
class Task:
    """One task to show.

    Attributes:
        line: The scenario's own description.
        words: Word of each candidate.
        mesa: u_m of each candidate.
        base: U of each candidate.
        mesa_pick: Slot that the mesa-objective picks, 0-based.
        base_pick: Slot that the base objective picks, 0-based.
        differ: Whether the task is in the disagreement set.
        picture: Drawn, where the scenario's words are objects that can be drawn.
    """

    line: str
    words: tuple[str, ...]
    mesa: tuple[float, ...]
    base: tuple[float, ...]
    mesa_pick: int
    base_pick: int
    differ: bool
    picture: Markup | None


def sample(scenario: Scenario) -> Task:
    """A task of the disagreement set (if there is one) that shows many kinds of candidate."""
    differ = scenario.mesa.formula != scenario.base.formula
    drawn = draw_where(scenario, np.random.default_rng(7), 200, in_delta=differ)
    at = max(range(len(drawn)), key=lambda i: (_kinds(scenario, drawn[i : i + 1]), -i))
    tokens = drawn[at : at + 1]
    words = scenario.token_strings(tokens)[0]
    shown = tuple(words[place - 1] for place in scenario.candidates)
    mesa, base = scenario.mesa.of(tokens), scenario.base.of(tokens)
    picks = int(leftmost(mesa)[0]), int(leftmost(base)[0])
    return Task(
        line=scenario.describe(words), words=shown, mesa=tuple(mesa[0].tolist()),
        base=tuple(base[0].tolist()), mesa_pick=picks[0], base_pick=picks[1], differ=differ,
        picture=_picture(shown, mesa[0].tolist(), base[0].tolist(), picks, _nearest(scenario)),
    )  # fmt: skip


def _kinds(scenario: Scenario, tokens: Tokens) -> tuple[int, int]:
    """How many kinds of candidate a task has, and how many different ones."""
    words = scenario.token_strings(tokens)[0]
    shown = [words[place - 1] for place in scenario.candidates]
    return len({word.rpartition("-")[0] for word in shown}), len(set(shown))


def _nearest(scenario: Scenario) -> int:
    """The highest nearness that an object can have."""
    found = [_OBJECT.fullmatch(word) for word in scenario.vocabulary]
    return max([1, *(int(match[3]) for match in found if match)])


def _picture(
    words: tuple[str, ...],
    mesa: list[float],
    base: list[float],
    picks: tuple[int, int],
    nearest: int,
) -> Markup | None:
    """Doors and keys, the near ones large and low; None where the words are other things."""
    found = [_OBJECT.fullmatch(word) for word in words]
    if not all(found):
        return None
    objects = [(m[1], m[2], int(m[3])) for m in found if m]
    sky = 24 if picks[0] != picks[1] else 44  # room for the flags
    width, floor = STEP * len(objects) + 8, sky + 150
    parts: list[Markup] = [
        rect(0, sky, width, floor - sky, "ground", rx=6),
        *(line(6, sky + (floor - sky) * k**1.6, width - 6, sky + (floor - sky) * k**1.6, "grid")
          for k in (0.25, 0.5, 0.75)),
    ]  # fmt: skip
    for i, (colour, kind, near) in enumerate(objects):
        x = 4 + STEP * (i + 0.5)
        share = near / nearest
        foot, size = sky + 46 + 78 * share, 0.72 + 0.5 * share
        for side, pick in zip(("mesa", "base"), picks, strict=True):
            if pick == i:
                grown = 34 * size + (6 if picks[0] == picks[1] and side == "base" else 0)
                parts.append(
                    el("ellipse", cx=x, cy=foot, rx=grown, ry=grown * 0.3, class_=f"pick {side}")
                )
                parts += _flag(x, sky - 10 if side == "mesa" or sky < 44 else sky - 30, side)
        draw = _door if kind == "door" else _key
        drawn = draw(f"object {colour}")
        parts.append(
            el("g", *drawn, transform=f"translate({x:.1f} {foot:.1f}) scale({size:.2f})")
        )  # fmt: skip
        parts.append(text(x, floor + 16, words[i], "scene-word", "middle"))
        parts.append(
            text(x, floor + 33, f"u_m {mesa[i]:g} · U {base[i]:g}", "scene-value", "middle")
        )  # fmt: skip
    said = ", ".join(words)
    label = (
        f"One task: {said}. The mesa-objective picks {words[picks[0]]}, the base objective "
        f"{words[picks[1]]}."
    )
    return figure(width, floor + 40, label, parts)


def _flag(x: float, y: float, side: str) -> list[Markup]:
    name = f"{side} picks"
    return [
        rect(x - 38, y - 12, 76, 16, f"flag {side}", rx=3),
        text(x, y, name, "flag-name", "middle"),
    ]


def _door(class_: str) -> list[Markup]:
    frame = [(-15.0, 0.0), (-15.0, -46.0), (15.0, -46.0), (15.0, 0.0)]
    return [
        path(frame, class_, closed=True),
        rect(-10, -41, 20, 15, "panel"),
        rect(-10, -22, 20, 17, "panel"),
        dot(10.5, -22, 1.8, "knob"),
    ]


def _key(class_: str) -> list[Markup]:
    return [
        el("circle", cx=-13, cy=-12, r=8, class_=f"{class_} ring"),
        rect(-5, -14.5, 30, 5, class_),
        rect(13, -10, 4, 8, class_),
        rect(20, -10, 4, 6, class_),
    ]
