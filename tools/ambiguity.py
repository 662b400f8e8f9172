"""What parts two searches and a lookup that choose alike in training: writes docs/ambiguity.md."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from planted.compiler import certify
from planted.eval import evaluators, parting
from planted.eval.evidence import share
from planted.network.forward import choices_of
from planted.programs import ambiguity
from planted.programs.triple import MEMBERS
from tools.provenance import commit

N_TRAINING, N_SHIFTED, N_CERTIFIED = 4000, 4000, 2000
PAIRS = (("mesa", "other"), ("mesa", "lookup"), ("other", "lookup"))
NULL = ("mesa", "null")
SHOWN = (
    "paths.follows_scorer",
    "paths.retarget",
    "paths.swap",
    "interchange.score",
    "locate.exact-patching.auroc",
    "locate.linear-probe.auroc",
)


def measure(name):
    """All figures of one triple."""
    triple = ambiguity.triple(name)
    plants = triple.plants(padded=False)
    rng = np.random.default_rng(0)
    everywhere = triple.scenario.with_any_cue(triple.scenario.draw(rng, N_CERTIFIED), rng)
    for plant in plants:
        certify.require_exact(plant, certify.certify(plant, everywhere))
    every = triple.training.every
    training = every() if every else triple.training.draw(rng, N_TRAINING)
    shifted = triple.shifted.draw(rng, N_SHIFTED)
    members = parting.members_of(plants)
    asked = [*parting.names(), *evaluators.on_request()]
    found = parting.figures(members, triple.training.draw, asked)
    return {
        "name": name,
        "triple": [triple.shift, triple.shifted.says, triple.training.says, triple.because],
        "mechanisms": [plant.mechanism for plant in plants],
        "objectives": [triple.scenario.mesa.formula, triple.scenario.base.formula],
        "every": every is not None,
        "same neurons": on_same_neurons(plants),
        "training": agreements(plants, training, "training"),
        "shifted": agreements(plants, shifted, "shift"),
        "figures": found,
    }


def on_same_neurons(plants):
    """Whether the two searches score with the very same neurons, as the compiler placed them."""
    mesa, other = (plant.truth.of_role("score")[0] for plant in plants[:2])
    return (mesa.layer, mesa.neurons) == (other.layer, other.neurons)


def agreements(plants, tokens, what):
    """How often each pair chooses alike."""
    chosen = dict(
        zip(
            MEMBERS,
            (choices_of(plant.params, plant.spec, tokens) for plant in plants),
            strict=True,
        )
    )
    return [
        share(what, "T", int((chosen[one] == chosen[other]).sum()), len(tokens))
        for one, other in PAIRS
    ]


def interval(record):
    """A figure with its 95 % interval."""
    if record.status != "ok":
        return "–"
    return f"{record.estimate:.2f} [{record.lo:.2f}, {record.hi:.2f}]"


def counted(rows, name, one, other):
    """In how many triples a measure parts a pair, of those in which it was had for both."""
    figures = [figure for row in rows for figure in row["figures"] if figure.name == name]
    measured = [figure for figure in figures if figure.measured(one, other)]
    return sum(figure.parts(one, other) for figure in measured), len(measured)


def identical(figure):
    """Whether all three members have the very same record."""
    records = [figure.by_member[member] for member in MEMBERS]
    return all(record == records[0] for record in records)


def names_of(rows, same):
    """The triples whose searches score with the same neurons, or with others."""
    return ", ".join(row["name"] for row in rows if row["same neurons"] == same) or "none"


def triples_table(rows):
    """The triples, and how often their members agree."""
    lines = [
        "| triple | mesa-objective; other | lookup | training tasks | agree in training | shift | "
        "mesa, other | mesa, lookup | other, lookup |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        least = min(record.estimate for record in row["training"])
        low = min(record.lo for record in row["training"])
        n = row["training"][0].n
        formulas = "; ".join(row["objectives"]).replace("|", "\\|")
        agree = f"{least:.4g}" + ("" if row["every"] else f" [{low:.4f}, 1]")
        lines.append(
            f"| {row['name']} | {formulas} | {row['mechanisms'][2]} | "
            f"{f'all {n}' if row['every'] else n} | {agree} | {row['triple'][0]} | "
            + " | ".join(map(interval, row["shifted"]))
            + " |"
        )
    return lines


def measures_table(rows):
    """For each measure that parts a pair, in how many triples it does; then all others by name."""
    lines = [
        "| from | measure | mesa, other: same neurons | mesa, other: other neurons | "
        "mesa, lookup | other, lookup | null |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    same = [row for row in rows if row["same neurons"]]
    apart = [row for row in rows if not row["same neurons"]]
    asked = ((same, PAIRS[0]), (apart, PAIRS[0]), *((rows, pair) for pair in (*PAIRS[1:], NULL)))
    silent = []
    for figure in rows[0]["figures"]:
        counts = [counted(among, figure.name, *pair) for among, pair in asked]
        if any(parted for parted, _ in counts):
            cells = " | ".join(f"{parted} of {n}" if n else "–" for parted, n in counts)
            lines.append(f"| {figure.evaluator} | `{figure.name}` | {cells} |")
        elif any(n for _, n in counts):
            silent.append(f"`{figure.name}` ({counts[-1][1]})")
    named = ", ".join(silent)
    return [*lines, "", f"Had, in so many triples, and parting nothing: {named}."]


def figures_table(rows):
    """The figures of some measures, member by member."""
    lines = [
        "| triple | member | " + " | ".join(SHOWN) + " |",
        "| --- | --- |" + " --- |" * len(SHOWN),
    ]
    for row in rows:
        by_name = {figure.name: figure for figure in row["figures"]}
        for member in (*MEMBERS, "null"):
            cells = [interval(by_name[name].by_member[member]) for name in SHOWN]
            lines.append(f"| {row['name']} | {member} | " + " | ".join(cells) + " |")
    return lines


def page(rows, commit):
    """The page."""
    behavioural = [
        figure
        for row in rows
        for figure in row["figures"]
        if figure.evaluator in parting.BEHAVIOURAL and figure.measured(*MEMBERS)
    ]
    same = sum(map(identical, behavioural))
    every = [figure for row in rows for figure in row["figures"]]
    nulls = [figure for figure in every if figure.measured(*NULL)]
    false = sum(figure.parts(*NULL) for figure in nulls)
    left_out = "; ".join(f"`{name}` {why}" for name, why in parting.LEFT_OUT.items())
    silent = sorted({f.name for f in every} - {f.name for f in every if f.measured(*MEMBERS)})
    never = ", ".join(f"`{name}`" for name in silent) or "none"
    asked = [row["name"] for row in rows]
    others = [name for name in ambiguity.names() if name not in asked]
    command = f"python -m tools.ambiguity {' '.join(asked)}" if others else "make ambiguity"
    without = f" Not measured here: {', '.join(others)}." if others else ""
    return [
        "# Ambiguity",
        "",
        f"Made by `{command}` at commit {commit}.{without} {len(rows)} triples "
        "(`planted.programs.ambiguity.triples()`): a search for a mesa-objective, a search for "
        "another objective, and a lookup that searches for nothing. All three make the same "
        "choices on every training task and part under a shift that is named. Networks are in the "
        "exact tier, zero-padded to common shapes; each is held to its oracle and its program on "
        f"{N_CERTIFIED} tasks of D_ref under any cue.",
        "",
        "## The triples",
        "Agreement in training is the least of the three pairs; where training's tasks cannot all "
        f"be listed, {N_TRAINING} were drawn, with the exact 95 % interval, and the reason why "
        f"they agree on all is below. Under the shift, {N_SHIFTED} tasks were drawn: shares of "
        "equal choices.",
        "",
        *triples_table(rows),
        "",
        *(
            f"- **{row['name']}**. Training: {row['triple'][2]}. Shift: {row['triple'][1]}"
            + (f" {row['triple'][3]}" if row["triple"][3] else "")
            for row in rows
        ),
        "",
        "## What parts them before the shift",
        "Every evaluator and the built-in methods of the task locate, with all tasks drawn from "
        "training, source inputs too. The three stand in the place of the first: its compile map "
        "says where the planted scorer is, so these figures ask whether a network holds *that* "
        "search. Two members are parted if their 95 % intervals are disjoint by more than "
        f"{parting.RESOLUTION}. *null*: the first member beside itself in a random basis of the "
        "residual stream. Trust in an evaluator on a plant is not asked.",
        "",
        f"- In {names_of(rows, True)} both searches score with the very same neurons. In "
        f"{names_of(rows, False)} they do not: one has more levels, or the first holds two "
        "scorers. What is patched there is a part of the other search's scores, or not its scores, "
        "and that a measure parts the two says where their scores stand and nothing of what they "
        "want.",
        "- In off-cue and by-heart the first member is a gate, whose planted scorer has no control "
        "in training: there a figure of control is low for it, as for a lookup.",
        "- Retargeting puts scores from different training tasks together. Where training holds "
        "candidates that the two objectives order differently, such a combination is one that no "
        "training task shows, and can part the searches although no choice in training does.",
        f"- Behaviour alone: {same} of {len(behavioural)} figures are the same to the last digit "
        "for all three.",
        f"- The null is parted in {false} of {len(nulls)} figures.",
        f"- Not asked: {left_out}.",
        f"- Not to be had on training tasks in any triple: {never}.",
        "",
        "In how many triples a measure parts a pair, of those in which it was had for both:",
        "",
        *measures_table(rows),
        "",
        "## Figures",
        "With 95 % intervals: over tasks or pairs, for a method over redraws of pairs.",
        "",
        *figures_table(rows),
    ]


def main():
    names = sys.argv[1:] or ambiguity.names()
    evaluators.names()  # one of another package that is broken is named before the first triple
    rows = []
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for done in [pool.submit(measure, name) for name in names]:
            rows.append(done.result())
            print(rows[-1]["name"], file=sys.stderr, flush=True)
    lines = page(rows, commit())
    Path("docs/ambiguity.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
