"""The page on the error rates of verdicts, from the verdicts on models of known fate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from planted.eval.calibration.gate import Gate
from planted.eval.calibration.scores import Figure, Judged, drift_size, figures, matrix
from planted.eval.evidence import share

Rows = Sequence[Judged]
INTRO = """# Error rates of the verdicts

Models whose fate is known are judged by the rule that is shipped, and the verdicts are counted.
Most are *constructed*: one network is compiled for a family, and its fate is written into its
weights by exact surgery, so that all models of a family have the same shapes; each is held to a
plain-Python oracle on 2 000 tasks before it is judged. Others are *trained*, with a mask that makes
their fate certain; they are counted apart, and do not decide whether a family passes.

*Sealed* models are those of families that no threshold was fitted on, and of seeds that none was
fitted on in the other families. A *clear* case lies at least .05 from every threshold and has at
most 5 % of lapses. Right, abstained on and wrong add up to all. Bounds are exact 95 % binomial
bounds (Clopper and Pearson 1934), over models.

Models near a threshold have several fates that are right, a small drift for example `persists`,
`drifts` and `inconclusive`: the tables by fate list models under the fate that was made, and count
each verdict that is right for a model as right.

A verdict loses the stamp UNCALIBRATED where the gate below passed for its family, with these
thresholds and these versions of the evaluators.
"""


def page(rows: Rows, gate: Gate) -> str:
    """The page, as Markdown."""
    made = [row for row in rows if row.source == "constructed"]
    halves = {
        "Sealed": [row for row in made if row.sealed],
        "Development": [row for row in made if not row.sealed],
        "Trained": [row for row in rows if row.source == "trained"],
    }
    parts = [INTRO, *_made_by(gate), *_gate(gate)]
    for name, half in halves.items():
        parts += [f"## {name} models ({len(half)})", ""]
        parts += [*_figures(figures(half)), *_drift(half), *_matrix(half), *_wrong(half)]
    parts += [*_given(halves["Sealed"]), *_left_out(halves["Sealed"])]
    return "\n".join(parts) + "\n"


def _made_by(gate: Gate) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in gate.evaluators.items())
    lines = [f"- {name}: {value}" for name, value in gate.made_by.items()]
    return [*lines, f"- thresholds: {gate.thresholds}", f"- evaluators: {versions}", ""]


def _gate(gate: Gate) -> list[str]:
    lines = [
        "## The gate, family by family",
        "",
        "| family | gate | why not |",
        "| --- | --- | --- |",
    ]
    for name, one in gate.families.items():
        lines.append(f"| {name} | {'passed' if one.passed else 'not passed'} | {one.why or '–'} |")
    return [*lines, ""]


def _figures(found: Sequence[Figure]) -> list[str]:
    lines = [
        "| share | of | found | 95 % bounds | asked | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for one in found:
        if one.lo is None or one.hi is None:
            lines.append(f"| {one.name} | 0 | – | – | {one.side} {one.limit:.0%} | not tested |")
            continue
        lines.append(
            f"| {one.name} | {one.n} | {one.hits} ({one.hits / one.n:.1%}) | "
            f"{one.lo:.1%} to {one.hi:.1%} | {one.side} {one.limit:.0%} | "
            f"{'met' if one.met else '**missed**'} |"
        )
    return [*lines, ""]


def _drift(rows: Rows) -> list[str]:
    found = drift_size(rows)
    if found is None:
        return []
    return [
        f"Behavioural interpolation f above the floor, {found.n} models: bias {found.bias:+.3f}, "
        f"mean width of the set {found.width:.3f}.",
        "",
    ]


def _matrix(rows: Rows) -> list[str]:
    counts = matrix(rows)
    if not counts:
        return []
    verdicts = sorted({verdict for found in counts.values() for verdict in found})
    lines = ["| fate | " + " | ".join(verdicts) + " |", "| --- |" + " --- |" * len(verdicts)]
    for fate, found in counts.items():
        cells = (str(found.get(verdict, "")) for verdict in verdicts)
        lines.append(f"| {fate} | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _wrong(rows: Rows) -> list[str]:
    wrong = [row for row in rows if row.outcome == "wrong"]
    if not wrong:
        return ["No verdict is wrong.", ""]
    lines = ["| wrong | right would be | verdict |", "| --- | --- | --- |"]
    for row in wrong:
        said = f"{row.verdict} ({row.reason})" if row.reason else row.verdict
        lines.append(f"| {row.key} | {', '.join(row.label.accepts)} | {said} |".replace("\n", " "))
    return [*lines, ""]


def _given(rows: Rows) -> list[str]:
    """Of each verdict: how often it was given and right then, and how often it was found."""
    if not rows:
        return []
    lines = [
        "## Each verdict (sealed)",
        "",
        "Left, how often a verdict was right where it was given, which depends on how many models "
        "of each fate there are. Right, how many of the clear models of the fate got it.",
        "",
        "| verdict | given | right | 95 % bounds | otherwise it was | clear models | found |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for verdict in sorted({row.verdict for row in rows} | {row.label.fate for row in rows}):
        given = [row for row in rows if row.verdict == verdict]
        right = sum(row.outcome == "right" for row in given)
        bounds = share(verdict, "all", right, len(given))
        within = "–" if bounds.lo is None else f"{bounds.lo:.1%} to {bounds.hi or 0:.1%}"
        wrong = Counter(row.label.fate for row in given if row.outcome == "wrong")
        others = ", ".join(f"{fate} {n}" for fate, n in wrong.most_common()) or "–"
        clear = [row for row in rows if row.label.fate == verdict and row.label.clear]
        found = sum(row.verdict == verdict for row in clear)
        cells = (verdict, len(given), right, within, others, len(clear), found)
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return [*lines, ""]


def _left_out(rows: Rows) -> list[str]:
    """Of each family: the clear cases, and those of all others."""
    families = list(dict.fromkeys(row.family for row in rows))
    if len(families) < 2:
        return []
    head = "| family | clear: right | abstained | wrong | without it: right | abstained | wrong |"
    lines = ["## Leaving one family out (sealed)", "", head, "| --- |" + " --- |" * 6]
    for family in families:
        own = _clear(rows, lambda row, family=family: row.family == family)
        other = _clear(rows, lambda row, family=family: row.family != family)
        lines.append(f"| {family} | " + " | ".join([*own, *other]) + " |")
    return [*lines, ""]


def _clear(rows: Rows, wanted: object) -> list[str]:
    assert callable(wanted)
    found = figures([row for row in rows if wanted(row)])[:3]
    return [f"{one.hits} of {one.n}" for one in found]
