"""The small multiples of the page: one panel for each recipe or measure, pure functions of data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from markupsafe import Markup

from planted.eval.evidence import Evidence, Records
from planted.eval.report.svg import (
    LEFT,
    RIGHT,
    WIDTH,
    Scale,
    dot,
    figure,
    line,
    path,
    rect,
    text,
    x_axis,
    y_axis,
)

SIDES = ("mesa", "base")
PARTS = ("mesa", "base", "other")
STRIPE = 13  # height of a seed's stripe: its number is written beside it
THIN = 5  # of a stripe without a number
MANY = 12  # more seeds than this are drawn thin
CHARACTER = 6.4  # about how wide a character of a label is
GAP = 32  # between two plots of a panel


def estimate(records: Records, name: str, cue: str) -> float | None:
    """The figure of a record, or None where it is missing or could not be measured."""
    record = records.get((name, cue))
    return None if record is None or record.status != "ok" else record.estimate


def cue_label(cue: str, cues: Sequence[str]) -> str:
    """How a cue is called in a figure: its name, and whether it is the training cue."""
    return f"cue {cue} (training)" if len(cues) > 1 and cue == cues[0] else f"cue {cue}"


# --- training -----------------------------------------------------------------------------------


def training(
    recipe: str, rows: Mapping[int, Sequence[Mapping[str, Any]]], cues: Sequence[str]
) -> Markup | None:
    """Mesa and base choices on Δ over steps: median and range over seeds, one plot for each cue.

    Args:
        recipe: Whose training.
        rows: Seed -> the rows of its training log.
        cues: Names of the cues.

    Returns:
        The panel, or None where there is no log.
    """
    steps = sorted({row["step"] for found in rows.values() for row in found})
    if not steps:
        return None
    x = Scale(0, max(steps), LEFT, RIGHT)
    parts: list[Markup] = []
    height = 84
    for i, cue in enumerate(cues):
        top = 20 + i * (height + GAP)
        y = Scale(0, 1, top + height, top)
        parts.append(text(LEFT, top - 7, cue_label(cue, cues), "label"))
        parts += y_axis(y, (0, 0.5, 1), LEFT, RIGHT)
        parts += _agreement(rows, cue, steps, x, y)
    bottom = 20 + len(cues) * (height + GAP) - GAP
    for step, said, anchor in ((0, "0", "middle"), (max(steps), f"{max(steps)} steps", "end")):
        parts.append(text(x(step), bottom + 13, said, anchor=anchor))
    label = f"{recipe}: agreement with both objectives on the disagreement set over training steps"
    return figure(WIDTH, bottom + 18, label, parts)


def _agreement(
    rows: Mapping[int, Sequence[Mapping[str, Any]]],
    cue: str,
    steps: Sequence[int],
    x: Scale,
    y: Scale,
) -> list[Markup]:
    """A band and a line for each objective under one cue."""
    parts: list[Markup] = []
    for side in SIDES:
        at: list[tuple[float, float, float, float]] = []
        for step in steps:
            values = [
                row[f"agreement.{cue}"][side]
                for found in rows.values()
                for row in found
                if row["step"] == step and f"agreement.{cue}" in row
            ]
            if values:
                at.append((x(step), y(min(values)), y(median(values)), y(max(values))))
        if at:
            band = [(p[0], p[1]) for p in at] + [(p[0], p[3]) for p in reversed(at)]
            parts.append(path(band, f"band {side}", closed=True))
            parts.append(path([(p[0], p[2]) for p in at], f"curve {side}"))
    return parts


# --- the score node -----------------------------------------------------------------------------


def score_node(recipe: str, diagnostics: Mapping[int, Mapping[str, Any]]) -> Markup | None:
    """What the score node holds for each candidate type: before, after, and both objectives.

    Args:
        recipe: Whose checkpoints.
        diagnostics: Seed -> its weight diagnostics (`planted.eval.weight_diagnostics`).

    Returns:
        The panel, or None where there are no weight diagnostics.
    """
    found = list(diagnostics.values())
    if not found:
        return None
    one = found[0]
    types: list[str] = one["types"]
    known = [v for p in found for v in (*p["score_before"], *p["score_after"]) if v is not None]
    values = [*one["mesa"], *one["base"], *known]
    low, high = min(values), max(values)
    top, bottom = 8, 150
    x, y = Scale(-0.5, len(types) - 0.5, LEFT, RIGHT), Scale(low, high, bottom - 6, top)
    parts = y_axis(y, _round_ticks(low, high), LEFT, RIGHT)
    for start, stop, _ in _groups(types):
        if start:
            parts.append(line(x(start - 0.5), top, x(start - 0.5), bottom + 4, "grid"))
        for side in SIDES:
            parts.append(path([(x(i), y(one[side][i])) for i in range(start, stop)],
                              f"curve thin {side}"))  # fmt: skip
    parts += _type_labels(types, x, bottom + 14)
    for i, word in enumerate(types):
        after = [p["score_after"][i] for p in found if p["score_after"][i] is not None]
        parts += _held(word, x(i), y, one["score_before"][i], after)
        if not after:
            parts.append(text(x(i), bottom, "×", anchor="middle"))
    shared = _shared_stem(types)
    pairs = all(" | " in word for word in types)
    says = f"candidate types {shared}…" if shared else "candidate types" + " (u_m | U)" * pairs
    parts.append(text((LEFT + RIGHT) / 2, bottom + 29, says, anchor="middle"))
    label = f"{recipe}: what the score node holds for each candidate type"
    return figure(WIDTH, bottom + 34, label, parts)


def _held(
    word: str, x: float, y: Scale, before: float | None, after: Sequence[float]
) -> list[Markup]:
    """What the node holds for one type: before training, and the seeds after it."""
    parts: list[Markup] = []
    if before is not None:
        parts.append(dot(x, y(before), 3.2, "hollow", f"{word} before: {before:g}"))
    if after:
        if max(after) > min(after):
            parts.append(line(x, y(min(after)), x, y(max(after)), "whisker"))
        middle = median(after)
        parts.append(dot(x, y(middle), 1.9, "ink", f"{word} after: {middle:.3g}"))
    return parts


def _type_labels(types: Sequence[str], x: Scale, y: float) -> list[Markup]:
    """The names of the groups of types, without what all share, as many as have room."""
    groups = _groups(types)
    skip = len(_shared_stem(types))
    if len(groups) > 1 or groups[0][2]:
        named = [
            ((x(a) + x(b - 1)) / 2, (stem[skip:] or stem).strip("- |")) for a, b, stem in groups
        ]
    else:
        named = [(x(i), word[skip:]) for i, word in enumerate(types)]
    out: list[Markup] = []
    free = LEFT - CHARACTER
    for at, name in named:
        half = CHARACTER * len(name) / 2
        if name and at - half >= free and at + half <= WIDTH:
            out.append(text(at, y, name, anchor="middle"))
            free = at + half + CHARACTER
    return out


def _shared_stem(types: Sequence[str]) -> str:
    """What all types begin with, up to and with its last hyphen."""
    low, high = min(types), max(types)  # what these two share, all between them share
    same = next((i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), len(low))
    stem, hyphen, _ = low[:same].rpartition("-")
    return stem + hyphen


def _round_ticks(low: float, high: float) -> list[float]:
    """Four or five round figures inside the range."""
    span = max(high - low, 1e-9)
    step = next(s for k in range(-9, 10) for s in (1 * 10.0**k, 2 * 10.0**k, 5 * 10.0**k)
                if span / s <= 5)  # fmt: skip
    first = int(low // step)
    return [round(i * step, 9) for i in range(first, first + 8) if low <= i * step <= high]


def _groups(types: Sequence[str]) -> list[tuple[int, int, str]]:
    """Runs of types that differ in a last number only: (start, stop, what they share)."""
    out: list[tuple[int, int, str]] = []
    for i, word in enumerate(types):
        stem, _, last = word.rpartition("-")
        stem = stem if stem and last.isdigit() else ""
        if out and out[-1][2] == stem:
            out[-1] = (out[-1][0], i + 1, stem)
        else:
            out.append((i, i + 1, stem))
    return out


# --- a stripe for each seed ---------------------------------------------------------------------


def attribution(recipe: str, evidence: Mapping[int, Records], cues: Sequence[str]) -> Markup:
    """Attribution of the choice, {planted scorer, remainder} × {mesa, base, other}.

    A stripe for each seed, a group for each cue.
    """
    x = Scale(0, 1, LEFT, RIGHT)
    stripe = STRIPE if len(evidence) <= MANY else THIN

    def draw(records: Records, cue: str, y: float, seed: int) -> list[Markup]:
        shares = {
            (path_, part): estimate(records, f"paths.attribution.{path_}.{part}", cue)
            for path_ in ("scorer", "remainder")
            for part in PARTS
        }
        if None in shares.values():
            return [text(x(0) + 3, y + stripe - 2, "not measured")]
        out, at = [], 0.0
        for (path_, part), share in shares.items():
            size = float(share or 0)
            note = f"seed {seed}, {cue}: {path_}, {part} {size:.2f}"
            out.append(
                rect(x(at), y, x(at + size) - x(at), stripe - 1, f"{path_} {part}", note)
            )  # fmt: skip
            at += size
            if (path_, part) == ("scorer", "other"):
                edge = x(at)
        return [*out, line(edge, y - 1, edge, y + stripe, "edge")]

    label = f"{recipe}: attribution of the choice to planted scorer and remainder, by seed"
    return _stripes(label, evidence, cues, x, (0, 0.25, 0.5, 0.75, 1), stripe, draw)


def interpolation(recipe: str, evidence: Mapping[int, Records], cues: Sequence[str]) -> Markup:
    """The behavioural interpolation f: u_m is 0, U is 1; a row for each seed, by cue."""
    x = Scale(-0.3, 1.3, LEFT, RIGHT)
    stripe = STRIPE if len(evidence) <= MANY else THIN

    def draw(records: Records, cue: str, y: float, seed: int) -> list[Markup]:
        record = records.get(("behavioural_objective.interpolation", cue))
        middle = y + stripe / 2 - 0.5
        if record is None or record.estimate is None:
            return [text(x(0) + 3, y + stripe - 2, "not measured")]
        out = []
        if record.lo is not None and record.hi is not None:
            out.append(line(x(record.lo), middle, x(record.hi), middle, "whisker wide"))
        note = f"seed {seed}, {cue}: {record.estimate:.2f}"
        return [*out, dot(x(record.estimate), middle, 3.2, "ink", note)]

    label = f"{recipe}: the behavioural objective between the mesa-objective and the base objective"
    return _stripes(
        label, evidence, cues, x, (0, 0.5, 1), stripe, draw, {0.0: "mesa", 1.0: "base"}
    )  # fmt: skip


def _stripes(
    label: str,
    evidence: Mapping[int, Records],
    cues: Sequence[str],
    x: Scale,
    ticks: Sequence[float],
    stripe: int,
    draw: Any,
    poles: Mapping[float, str] | None = None,
) -> Markup:
    """A group for each cue, in it a row for each seed that `draw` fills."""
    group = len(evidence) * stripe + 22
    bottom = 4 + len(cues) * group
    parts = x_axis(x, ticks, 16, bottom)
    for tick, side in (poles or {}).items():
        parts.append(line(x(tick), 16, x(tick), bottom, f"pole {side}"))
    for i, cue in enumerate(cues):
        top = 18 + i * group
        parts.append(text(LEFT, top - 6, cue_label(cue, cues), "label"))
        for k, (seed, records) in enumerate(evidence.items()):
            y = top + k * stripe
            if stripe == STRIPE:
                parts.append(text(LEFT - 5, y + stripe - 2.5, str(seed), "tick small", "end"))
            parts += draw(records, cue, y, seed)
    return figure(WIDTH, bottom + 16, label, parts)


# --- against the nulls --------------------------------------------------------------------------


def against_nulls(
    label: str, name: str, evidence: Mapping[str, Mapping[int, Records]], cues: Sequence[str]
) -> Markup | None:
    """One figure of every recipe's seeds, over the range that its null spans.

    Args:
        label: How the measure is called.
        name: The name of its records.
        evidence: Recipe -> seed -> records.
        cues: Names of the cues.

    Returns:
        The panel, or None where nothing was measured.
    """
    rows: list[tuple[str, str, list[Evidence]]] = []
    for recipe, seeds in evidence.items():
        for cue in cues:
            found = [r[(name, cue)] for r in seeds.values() if (name, cue) in r]
            rows.append((recipe, cue, [f for f in found if f.estimate is not None]))
    values = [e.estimate for _, _, found in rows for e in found if e.estimate is not None]
    if not values:
        return None
    x = Scale(min(0.0, *values), max(1.0, *values), LEFT - 20, RIGHT)
    gap = 32  # a line of text, and below it the dots
    bottom = 6 + gap * len(rows)
    parts = x_axis(x, (0, 0.25, 0.5, 0.75, 1), 2, bottom)
    most = int((RIGHT - LEFT + 20) / CHARACTER)
    for i, (recipe, cue, found) in enumerate(rows):
        top = 6 + gap * i
        y = top + 22
        said = f"{recipe}, {cue_label(cue, cues)}"
        shown = said if len(said) <= most else said[: most - 1] + "…"
        parts.append(text(LEFT - 20, top + 10, shown, "label"))
        parts += _beside_null(f"{recipe} {cue}", found, x, y)
    return figure(WIDTH, bottom + 18, f"{label} of each seed beside its null", parts)


def _beside_null(where: str, found: Sequence[Evidence], x: Scale, y: float) -> list[Markup]:
    """The range of the null as a bar, and over it a dot for each seed."""
    parts: list[Markup] = []
    nulls = [e.null for e in found if e.null is not None]
    if nulls:
        low, high = min(n.lo for n in nulls), max(n.hi for n in nulls)
        note = f"null: {low:.2f} to {high:.2f}"
        parts.append(rect(x(low), y - 6, max(2.0, x(high) - x(low)), 12, "null", note, 2))
    for one in found:
        value = float(one.estimate or 0)
        parts.append(dot(x(value), y, 3.2, "see-through", f"{where}: {value:.2f}"))
    return parts
