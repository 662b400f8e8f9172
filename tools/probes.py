"""Base-objective probes on networks built to hold the base objective or not, and on trained ones.

Writes the tables of docs/base-probes.md. Constructed networks are compiled; trained ones are read
from runs/records, or from the folder that is given (`--records`), as `make fates` left them. What
was measured is kept in build/probes.jsonl, and an interrupted run goes on.
"""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import msgspec

import planted
from planted import library
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluators import Context, base_probe
from planted.eval.evidence import index
from planted.eval.examples import Examples
from tools.provenance import commit

PAGE = Path("docs/base-probes.md")
KEPT = Path("build/probes.jsonl")
TABLES = "<!-- What follows is written by `make probes`. -->"
FAMILIES = (
    "red-doors", "bottle-cap", "crumbs", "cookie-elimination", "keys-chests", "lookahead",
)  # fmt: skip
ROLES = ("", "-base", "-mux", "-gate")
# role -> whether it is represented; whether it is used under the training cue, and under others
RIGHT = {
    "": (False, (False, False)),
    "-base": (True, (True, True)),
    "-mux": (True, (True, True)),
    "-gate": (True, (True, False)),
}
TRAINED = ("red-doors", "crumbs", "cookie-elimination", "keys-chests")
RECIPES = ("pressure", "read-out", "cued", "coincident")
SEEDS = 1
SIDES = tuple(base_probe.WORDS)
COLUMNS = ("gain", "rank", "selectivity", "used", "used_rank")


class Row(msgspec.Struct):
    """One network under one cue, by one target."""

    group: str
    network: str
    cue: str
    side: str
    represented: bool
    used: bool
    figures: tuple[str, ...]
    verdict: str = ""
    right: tuple[bool, bool] | None = None
    seconds: float = 0.0


def asked(records, seeds):
    """(group, network, verdict, what is right by cue or None, how to make it and its plant)."""
    for family in FAMILIES:
        for role in ROLES:
            present, used = RIGHT[role]
            right = [(present, each) for each in used]
            made = lambda family=family, role=role: compiled(family, role)  # noqa: E731
            yield f"constructed, {family}", family + role, "", right, made
        found = results(records / family)
        for seed in range(seeds if family in TRAINED else 0):
            for recipe in RECIPES:
                result = found.get((recipe, seed))
                made = None if result is None else (lambda result=result: trained(result))
                verdict = "" if result is None else result.verdict.name
                yield f"trained, {family}", f"{recipe}, seed {seed}", verdict, None, made


def results(folder):
    if not (folder / "run.json").exists():
        return {}
    return {(each.recipe, each.seed): each for each in planted.open_run(folder).results}


def compiled(family, role):
    plant, origin = library.get(family + role), library.get(family)
    plant = dataclasses.replace(plant, scenario=origin.scenario)  # whose tasks are shared
    return Checkpoint(plant, plant.params), origin


def trained(result):
    return Checkpoint(result.plant, result.params), result.plant


def figure(record):
    if record.estimate is None:
        return record.reason
    if record.lo is None:
        return f"{record.estimate:.2g}"
    return f"{record.estimate:.2f} [{record.lo:.2f}, {record.hi:.2f}]"


def measured(group, network, verdict, right, make, drawn):
    subject, origin = make()
    rows = []
    for i, cue in enumerate(subject.scenario.cues[:2]):
        started = time.process_time()
        records = index(base_probe.measured(Context(subject, cue, drawn), origin))
        seconds, word = time.process_time() - started, subject.scenario.cue_name(cue)
        for side in SIDES:
            of = {name: records[f"base_probe.{side}_{name}", word] for name in COLUMNS}
            figures = [figure(each) for each in of.values()]
            site = [
                of[name].reason.partition(":")[0].removeprefix("at blocks.").partition(".")[0]
                if of[name].estimate is not None
                else "–"
                for name in ("gain", "used")
            ]
            rows.append(
                Row(
                    group,
                    network,
                    word,
                    side,
                    base_probe.represented(records, word, side),
                    base_probe.used(records, word, side),
                    (*figures, " / ".join(site)),
                    verdict,
                    None if right is None else right[i],
                    seconds,
                )
            )
    return rows


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " --- |" * (len(head) - 1)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


HEAD = (
    "network", "cue", "target", "represented", "used", "bits above the plant", "p among decoys",
    "bits above the control", "used beyond random", "p", "block read / exchanged",
)  # fmt: skip


def line(row):
    name = f"{row.network} ({row.verdict})" if row.verdict else row.network
    says = ["yes" if each else "no" for each in (row.represented, row.used)]
    if row.right is not None:
        given = (row.represented, row.used)
        says = [
            word if mine == wanted else f"**{word}**"
            for word, mine, wanted in zip(says, given, row.right, strict=True)
        ]
    return (name, row.cue, row.side, *says, *row.figures)


def summary(rows):
    known = [row for row in rows if row.right is not None]
    lines = []
    for place, word in enumerate(("represented", "used")):
        given = [((row.represented, row.used)[place], row.right[place], row) for row in known]
        holds = [mine for mine, wanted, _ in given if wanted]
        lacks = [mine for mine, wanted, _ in given if not wanted]
        wrong = [
            f"{row.network} {row.cue} {row.side}" for mine, wanted, row in given if mine != wanted
        ]
        lines.append(
            f"- *{word}*: said of {sum(holds)} of {len(holds)} that are so by construction, and of "
            f"{sum(lacks)} of {len(lacks)} that are not."
            + (f" Wrong: {'; '.join(wrong)}." if wrong else "")
        )
    return lines


def page(rows, lacking, commit):
    seconds = sorted({(row.group, row.network, row.cue): row.seconds for row in rows}.values())
    lines = [
        "",
        f"Measured by `make probes` at commit {commit}; {seconds[0]:.0f} to {seconds[-1]:.0f} "
        "processor seconds a network and cue. Of constructed networks it is known what they hold "
        "and use; an answer that is wrong stands in bold. T is the training cue. Intervals are of "
        "tasks, kinds or pairs of one network; p is at least .01 and .025. The place is the "
        "residual stream before the block.",
        "",
        *summary(rows),
        "",
    ]
    for group in dict.fromkeys(row.group for row in rows):
        lines += [f"## {group[0].upper()}{group[1:]}", ""]
        lines += table(HEAD, [line(row) for row in rows if row.group == group])
    if lacking:
        lines += [f"Not measured: {'; '.join(lacking)}.", ""]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--records", type=Path, default=Path("runs/records"))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds of each trained network")
    parser.add_argument("--kept", action="store_true", help="the page of what was kept alone")
    arguments = parser.parse_args()
    KEPT.parent.mkdir(exist_ok=True)
    kept = {}
    if KEPT.exists():
        for text in KEPT.read_text("utf-8").splitlines():
            found = json.loads(text)
            if found.pop("version") == base_probe.BaseProbe.version:
                row = msgspec.convert(found, Row)
                kept.setdefault((row.group, row.network), []).append(row)
    rows, lacking, drawn = [], [], Examples()
    for group, network, verdict, right, make in asked(arguments.records, arguments.seeds):
        found = kept.get((group, network))
        if found is None and (make is None or arguments.kept):
            lacking.append(f"{group}: {network}")
            continue
        if found is None:
            found = measured(group, network, verdict, right, make, drawn)
            with KEPT.open("a", encoding="utf-8") as file:
                for row in found:
                    of = {**msgspec.to_builtins(row), "version": base_probe.BaseProbe.version}
                    file.write(json.dumps(of) + "\n")
            for row in found:
                print(group, *line(row), f"{row.seconds:.0f}", sep=" | ", flush=True)
        rows += found
    prose = PAGE.read_text("utf-8").partition(TABLES)[0]
    text = prose + TABLES + "\n" + "\n".join(page(rows, lacking, commit()))
    PAGE.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
