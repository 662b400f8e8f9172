"""The page: self-contained, the same bytes twice, honest where something is missing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from planted import library
from planted.core.plant import Plant
from planted.core.scenario import Scenario
from planted.eval.checkpoint import Checkpoint
from planted.eval.evaluate import evaluate
from planted.eval.evidence import Evidence, Null, Records, index, not_measured
from planted.eval.measures import held_against
from planted.eval.report import figures, tables
from planted.eval.report.fates import changes
from planted.eval.report.page import RunData, render
from planted.eval.report.sources import heading, limits, measure
from planted.eval.report.svg import Scale, el
from planted.eval.report.task import sample
from planted.eval.report.words import STAMPS, TONES, VERDICTS, terms
from planted.eval.verdict.rule import STAMP, Name
from planted.eval.weight_diagnostics import weight_diagnostics
from planted.finetune.recipes import NAMED, NEGATIVE_CONTROLS

CUES = ("T", "D")
NULL = Null("random start of the same shapes trained to the same behaviour", 0.0123, 0.3456, 3)
VOID = {"meta", "br"}


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get("red-doors", "tempered")


@pytest.fixture(scope="module")
def measured(plant: Plant) -> dict[tuple[str, str], Evidence]:
    """All evidence on the plant itself, with a null where a run would put one."""
    found = index(evaluate(Checkpoint(plant, plant.params)))
    return {
        key: msgspec.structs.replace(record, null=NULL)
        if key[0] in held_against("negative controls")
        else record
        for key, record in found.items()
    }


@pytest.fixture(scope="module")
def picture(plant: Plant) -> dict[str, Any]:
    return weight_diagnostics(Checkpoint(plant, plant.params))


def shifted(records: Records, by: float) -> dict[tuple[str, str], Evidence]:
    """The records of another seed: every figure moved a little."""
    return {
        key: msgspec.structs.replace(r, estimate=None if r.estimate is None else r.estimate - by)
        for key, r in records.items()
    }


def training(seed: int, steps: int = 150) -> list[dict[str, Any]]:
    return [
        {"seed": seed, "step": step, "loss": 1.0}
        | {
            f"agreement.{cue}": {"mesa": 1 - step / 200, "base": step / 200, "invalid": 0.0}
            for cue in CUES
        }
        for step in range(50, steps + 1, 50)
    ]


def verdict(seed: int, name: str = "persists", reason: str = "leak 0.00") -> dict[str, Any]:
    compared = [{"measure": "valid", "cue": "T", "side": "at least", "bound": 0.997, "limit": 0.95}]
    compared[0]["holds"] = True
    return {"seed": seed, "name": name, "reason": reason, "comparisons": compared, "stamp": STAMP}


@pytest.fixture(scope="module")
def one(
    plant: Plant, measured: dict[tuple[str, str], Evidence], picture: dict[str, Any]
) -> RunData:
    """The smallest run: one recipe, one seed, one network without the plant."""

    def listed(name: str, settings: Any) -> dict[str, Any]:
        return {"name": name, "seeds": 1, "settings": msgspec.to_builtins(settings)}

    return RunData(
        plant=plant,
        request={
            "plant": plant.name,
            "tier": plant.tier,
            "parameters": {"objects": 4, "levels": 8},
            "recipes": [listed("coincident", NAMED["coincident"])],
            "nulls": [listed("no-plant-mesa", NEGATIVE_CONTROLS["no-plant-mesa"])],
            "versions": {"planted": "0.1.0", "numpy": "2.3.1"},
        },
        cues=CUES,
        verdicts={"coincident": [verdict(0)]},
        evidence={"coincident": {0: measured}},
        nulls={"no-plant-mesa": {0: measured}},
        null_verdicts={"no-plant-mesa": [verdict(0, "not planted", "beside the scorer")]},
        training={"coincident": {0: training(0)}},
        diagnostics={"coincident": {0: picture}},
    )


@pytest.fixture(scope="module")
def many(one: RunData, measured: dict[tuple[str, str], Evidence]) -> RunData:
    """Four recipes of five seeds, with every verdict that there is."""
    names = [*VERDICTS, *["persists"] * (20 - len(VERDICTS))]
    recipes = ("pressure", "coincident", "read-out", "cued")
    seeds = range(5)
    return replace(
        one,
        verdicts={r: [verdict(s, names[5 * i + s]) for s in seeds] for i, r in enumerate(recipes)},
        evidence={r: {s: shifted(measured, 0.01 * s) for s in seeds} for r in recipes},
        training={r: {s: training(s) for s in seeds} for r in recipes},
        diagnostics={r: dict.fromkeys(seeds, one.diagnostics["coincident"][0]) for r in recipes},
    )


@pytest.fixture(scope="module")
def page(many: RunData) -> str:
    """The page of `many`, rendered once."""
    return render(many)


class Balance(HTMLParser):
    """Reads a page: what does not close, every id and link, the text, and the terms it explains."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.explained: list[tuple[str, int]] = []  # each term, and after how many texts

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        if "dfn" in self.open:
            self.explained.append((data, len(self.words)))
        self.words.append(data)


def read(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    return parser


def words(page: str) -> str:
    """What a reader sees, styles left out."""
    body = page[page.index("<body>") :]
    return re.sub(r"\s+", " ", " ".join(read(body).words))


def row_of(data: RunData, **changes: Any) -> RunData:
    return replace(data, verdicts={"coincident": [verdict(0) | changes]})


# --- the document -------------------------------------------------------------------------------


def test_the_same_data_gives_the_same_bytes(one: RunData) -> None:
    assert render(one).encode() == render(one).encode()


def test_the_fate_over_training_is_shown_where_it_was_measured(one: RunData) -> None:
    assert "over-training" not in render(one)
    steps = [(25, "persists"), (50, "persists"), (100, "replaced")]
    page = render(replace(one, over_training={"coincident": {0: steps}}))
    assert "persists to step 50, replaced from step 100 on" in page
    for step, name in steps:
        assert f'title="step {step}: {name}"' in page
    found = read(page)
    assert (found.wrong, found.open) == ([], [])


def test_when_a_fate_changed_is_said_in_words() -> None:
    steps = [(25, "persists"), (50, "drifts"), (100, "drifts"), (200, "collapsed"), (400, "drifts")]
    assert changes(steps) == (
        "persists to step 25, drifts from 50 to 100, collapsed at 200, drifts from step 400 on"
    )
    assert changes(steps[1:2]) == "drifts at every saved step"


def test_other_data_gives_another_page(one: RunData) -> None:
    assert render(one) != render(row_of(one, reason="leak 0.01"))


@pytest.mark.parametrize("size", ["one", "many"])
def test_the_page_needs_nothing_else(size: str, request: pytest.FixtureRequest) -> None:
    page = render(request.getfixturevalue(size))
    for banned in ("http://", "https://", "<script", "<link", "@import", "<img", "<iframe"):
        assert banned not in page
    assert set(re.findall(r"url\((.)", page)) <= {"#"}
    assert all(link.startswith("#") for link in read(page).links)


@pytest.mark.parametrize("size", ["one", "many"])
def test_tags_balance_and_ids_are_unique(size: str, request: pytest.FixtureRequest) -> None:
    found = read(render(request.getfixturevalue(size)))
    assert found.wrong == []
    assert found.open == []
    assert len(found.ids) == len(set(found.ids))
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_four_recipes_of_five_seeds_stay_small(page: str) -> None:
    assert len(page.encode()) < 1.2e6


def test_the_result_and_the_verdicts_come_first(page: str, plant: Plant) -> None:
    assert re.findall(r'<section id="(\w+)">', page) == [
        "fates", "task", "circuit", "checkpoints", "figures", "gaps", "evidence", "controls",
        "settings", "terms",
    ]  # fmt: skip
    body = page[page.index("<main>") :]
    places = [
        body.index(mark)
        for mark in ("<h1>", 'class="result"', 'class="fates"', "<h2", plant.scenario.source)
    ]
    assert places == sorted(places)
    between = body[body.index("</h1>") : body.index("<table")]
    assert len(read(between).words) <= 3, "nothing but the result stands above the verdicts"


def test_the_result_is_one_sentence_that_counts_every_verdict(page: str) -> None:
    said = re.search(r'class="result">(.*)</p>', page)
    assert said is not None
    assert said[1].startswith("20 fine-tuned networks (4 recipes): persists 9, ")
    assert sum(int(n) for n in re.findall(r" (\d+)[,.]", said[1])) == 20
    assert said[1].count(".") == 1


def test_an_unjudged_run_says_so(one: RunData) -> None:
    assert "No checkpoint has been judged." in words(render(replace(one, verdicts={})))


# --- terms --------------------------------------------------------------------------------------

# How a term may be written, where that is not only its name.
WRITTEN = {
    "disagreement set": r"disagreement set|Δ",
    "mechanistic interpolation": r"mechanistic interpolation|λ",
    "negative control": r"negative controls?",
    "argmax-candidate R²": r"argmax-candidate|R²",
    "mesa-objective": r"mesa-objective|u_m",
    "base objective": r"base objective",
    "retargeting": r"retarget\w*",
}
OLD_WORDS = (
    "block, mesa", "the rest", "control budget", "null arm", "sham arm", "donor", "recipient",
    "portrait", "gated", "weight_diagnostics", "winner R²",
)  # fmt: skip


def first_use(found: Balance, term: str) -> tuple[int, int]:
    """After how many texts a term is first used, and first explained."""
    pattern = re.compile(rf"(?<![\w-])({WRITTEN.get(term, re.escape(term))})(?![\w-])", re.I)
    used = next(i for i, said in enumerate(found.words) if pattern.search(said))
    explained = next(
        (at for said, at in found.explained if term.lower() in said.lower()), len(found.words)
    )
    return used, explained


def test_no_term_is_used_before_it_is_explained(page: str) -> None:
    found = read(page[page.index("<body>") :])
    early = {}
    for term in terms(limits()):
        used, explained = first_use(found, term)
        if used < explained:
            early[term] = found.words[used]
    assert early == {}


def test_a_term_without_its_explanation_is_found(page: str) -> None:
    early = page.replace("</h1>", "</h1><p>The scorer share is high.</p>")
    used, explained = first_use(read(early[early.index("<body>") :]), "scorer share")
    assert used < explained


def test_each_term_is_explained_once_and_linked(page: str) -> None:
    said = words(page)
    for text in terms(limits()).values():
        assert said.count(text) == 1
    assert len(re.findall(r'<dt id="term-', page)) == len(terms(limits()))


def test_the_stamp_is_said_once_with_its_explanation(page: str, many: RunData) -> None:
    assert page.count(STAMP) == 1
    assert STAMPS[STAMP] in words(page)
    assert STAMP not in render(
        replace(
            many,
            verdicts={
                r: [row | {"stamp": ""} for row in rows] for r, rows in many.verdicts.items()
            },
            null_verdicts={},
        )
    )


def test_the_page_speaks_the_words_of_the_field(page: str) -> None:
    said = words(page)
    for word in OLD_WORDS:
        assert word not in said, word


def test_each_verdict_says_what_it_claims_and_what_not(page: str) -> None:
    said = words(page)
    for known in VERDICTS.values():
        assert known.tone in TONES
        assert known.claims in said
        assert known.leaves_open in said
        assert known.claims.count(".") == known.leaves_open.count(".") == 1


# --- widths -------------------------------------------------------------------------------------

STYLE = Path(figures.__file__).with_name("templates").joinpath("page.css")
MOST = 360  # px: what a phone has, its margins taken off


def too_wide(css: str) -> list[str]:
    """Fixed widths that would not fit a phone, those in a box that scrolls left out."""
    rules = re.findall(r"([^{}]+)\{([^{}]*)\}", re.sub(r"/\*.*?\*/", "", css))
    return [
        f"{selector.strip()}: {width}px"
        for selector, body in rules
        for width in re.findall(r"(?<!max-)\bwidth:\s*(\d+)px", body)
        + re.findall(r"minmax\((\d+)px", body)
        if int(width) > MOST and ".fit" not in selector
    ]


def test_nothing_has_a_width_that_a_phone_has_not(page: str) -> None:
    assert too_wide(STYLE.read_text("utf-8")) == []
    assert re.findall(r'style="[^"]*(?<!max-)width:\d+px', page) == []
    assert re.findall(r"<table(?! class=\"(?:fates|narrow|task)\")", page) != []
    for at in re.finditer(r"<table>\n?<thead>", page):
        assert page[: at.start()].rstrip().endswith('<div class="scroll">'), "a table that scrolls"


def test_a_width_that_a_phone_has_not_is_found() -> None:
    assert too_wide("td{min-width:400px}") == ["td: 400px"]
    assert too_wide("div{grid-template-columns:minmax(400px,1fr)}") == ["div: 400px"]
    assert too_wide("p{max-width:900px}.fit svg{min-width:512px}i{width:64px}") == []


def test_text_in_figures_is_never_drawn_small(page: str) -> None:
    sizes = re.findall(r"svg[^{]*\{[^}]*font(?:-size)?:([\d.]+)px", STYLE.read_text("utf-8"))
    assert sizes
    assert min(map(float, sizes)) >= 11
    widths = {float(width) for width in re.findall(r'viewBox="0 0 ([\d.]+)', page)}
    assert widths == {14, figures.WIDTH, 512}, "a swatch, a panel, the circuit in its scroll box"
    assert '<div class="scroll plain fit"><svg viewBox="0 0 512' in page


# --- what it says -------------------------------------------------------------------------------


def test_every_verdict_null_and_stamp_appears(many: RunData) -> None:
    said = words(render(many))
    for rows in many.verdicts.values():
        for row in rows:
            assert row["name"] in said
    assert STAMP in said
    assert NULL.kind in said
    assert "0.012 to 0.346" in said
    kinds = {
        record.null.kind
        for seeds in many.evidence.values()
        for records in seeds.values()
        for record in records.values()
        if record.null is not None
    }
    assert len(kinds) >= 3
    for kind in kinds:
        assert kind in said


def test_every_recipe_has_its_distribution_of_verdicts(many: RunData) -> None:
    rows = [verdict(s, "persists" if s < 3 else "replaced") for s in range(5)]
    said = words(render(replace(many, verdicts={**many.verdicts, "cued": rows})))
    assert "persists 3 of 5" in said
    assert "replaced 2 of 5" in said


def test_the_task_is_shown_with_both_picks(one: RunData) -> None:
    shown = sample(one.plant.scenario)
    assert shown.differ
    said = words(render(one)).replace("  ", " ")
    for candidate in shown.candidates:
        features = ", ".join(f"{name} {value:g}" for name, value in candidate.features)
        assert f"{candidate.slot} {candidate.token} {features}" in said
    assert said.count("picked by u_m") == said.count("picked by U") == 1
    mesa = [c.mesa for c in shown.candidates]
    (picked,) = [c for c in shown.candidates if "mesa" in c.picked_by]
    assert picked.mesa == max(mesa)
    assert shown.line.replace("  ", " ") in said


def of_another_family(scenario: Scenario, cues: tuple[str, ...]) -> Scenario:
    """The same tasks in other words, with other cues."""
    things = [
        word.replace("key", "cup").replace("door", "jar") for word in scenario.vocabulary[:-2]
    ]
    first = len(things)
    return replace(
        scenario,
        vocabulary=(*things, *cues),
        cues=tuple(range(first, first + len(cues))),
        features={},
    )


def test_a_plant_with_other_words_and_three_cues_renders(
    one: RunData, measured: dict[tuple[str, str], Evidence]
) -> None:
    cues = ("monday", "tuesday", "feast-day")
    scenario = of_another_family(one.plant.scenario, cues)
    found = {
        (name, cue): msgspec.structs.replace(record, cue=cue)
        for (name, old), record in measured.items()
        for cue in (("all",) if old == "all" else cues)
    }
    rows = [
        {"seed": 0, "step": step, **{f"agreement.{c}": {"mesa": 1.0, "base": 0.0} for c in cues}}
        for step in (0, 50)
    ]
    page = render(
        replace(
            one,
            plant=replace(one.plant, scenario=scenario),
            cues=cues,
            verdicts={"coincident": [verdict(0) | {"comparisons": []}]},
            evidence={"coincident": {0: found}},
            nulls={},
            null_verdicts={},
            training={"coincident": {0: rows}},
        )
    )
    assert read(page).wrong == []
    said = words(page[: page.index('<section id="settings">')])
    assert "cue monday (training)" in said
    assert "cue feast-day" in said
    assert re.search(r"(red|blue)-(cup|jar)-\d", said)
    # the story stays what it was; all else is taken from the scenario
    told = said.replace(re.sub(r"\s+", " ", words("<body>" + scenario.story)), "")
    assert re.findall(r"(?<![\w-])[TD](?![\w-])", told) == []
    assert "cue T" in words(render(one)), "the twin: a plant with those cues"


def test_an_aligned_plant_has_no_disagreement_and_still_a_page(one: RunData) -> None:
    aligned = library.get("red-doors-aligned", "tempered")
    said = words(render(replace(one, plant=aligned)))
    assert "9·door + near" in said
    assert "One task of Δ" not in said
    assert not sample(aligned.scenario).differ


def test_html_in_a_reason_is_text(one: RunData) -> None:
    nasty = "<script>alert('x')</script> & <b>"
    page = render(row_of(one, reason=nasty, notes=[nasty], stamp=nasty))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3, "in the explanation, a note and the stamp"
    assert nasty in words(page)


def test_html_in_a_recipe_name_is_text(one: RunData) -> None:
    name = '"><script>&'
    page = render(
        replace(
            one,
            verdicts={name: one.verdicts["coincident"]},
            evidence={name: one.evidence["coincident"]},
            training={name: one.training["coincident"]},
            diagnostics={name: one.diagnostics["coincident"]},
        )
    )
    assert "<script" not in page
    assert read(page).wrong == []


def test_a_checkpoint_says_why_first_and_every_comparison_after(one: RunData) -> None:
    page = render(one)
    card = page[page.index('<article class="card checkpoint">') :]
    card = card[: card.index("</article>")]
    order = [
        "leak 0.00",
        measure("agreement.mesa").label,
        "<details>",
        "valid outputs under cue T: at least 0.997",
    ]
    places = [card.index(said) for said in order]
    assert places == sorted(places)
    said = words("<body>" + card)
    assert VERDICTS["persists"].claims.lower() in said.lower()
    assert "mesa choices" in said


# --- what is missing ----------------------------------------------------------------------------


def test_missing_evidence_shows_as_a_dash(
    one: RunData, measured: dict[tuple[str, str], Evidence]
) -> None:
    kept = {k: v for k, v in measured.items() if not k[0].startswith(("paths", "behavioural"))}
    kept["presence.mesa_argmax", "T"] = not_measured(
        "presence.mesa_argmax", "T", "not defined here"
    )
    page = render(replace(one, evidence={"coincident": {0: kept}}))
    assert read(page).wrong == []
    said = words(page)
    assert "mechanistic interpolation λ – –" in said
    assert "not defined here" in said


def test_behaviour_that_was_not_measured_is_not_called_invalid() -> None:
    (row,) = tables.verdict_rows([verdict(0)], {0: {}}, ("T",))
    assert row["cues"][0]["behaviour"] == tables.MISSING


def test_an_empty_disagreement_set_is_named() -> None:
    records = {
        (name, "T"): not_measured(name, "T", "no-disagreement")
        for name in ("agreement.mesa", "agreement.base")
    }
    (row,) = tables.verdict_rows([verdict(0)], {0: records}, ("T",))
    assert row["cues"][0]["behaviour"] == "Δ is empty"
    assert row["cues"][0]["cells"][0] == tables.Cell("–", note="no-disagreement")


@pytest.mark.parametrize("field", ["evidence", "nulls", "null_verdicts", "training", "diagnostics"])
def test_a_part_that_is_not_there_leaves_a_page(one: RunData, field: str) -> None:
    page = render(replace(one, **{field: {}}))
    assert read(page).wrong == []
    assert "persists" in page


def test_without_anything_there_is_still_a_page(one: RunData) -> None:
    bare = replace(
        one, request={}, verdicts={}, evidence={}, nulls={}, null_verdicts={}, training={},
        diagnostics={},
    )  # fmt: skip
    assert read(render(bare)).wrong == []


def test_the_plant_alone_is_a_recipe_too(one: RunData) -> None:
    """A run whose one recipe did not train: no settings, no log."""
    data = replace(
        one,
        request={**one.request, "recipes": [{"name": "plant"}]},
        verdicts={"plant": [verdict(0)]},
        evidence={"plant": one.evidence["coincident"]},
        training={},
        diagnostics={"plant": one.diagnostics["coincident"]},
    )
    said = words(render(data))
    assert "– no training log" in said
    assert "persists 1 of 1" in said


def test_one_seed_makes_no_interval(one: RunData) -> None:
    assert tables.ALONE in words(render(one))


def test_two_seeds_make_one(one: RunData, measured: dict[tuple[str, str], Evidence]) -> None:
    seeds = {0: measured, 1: shifted(measured, 0.1)}
    found = tables.mean(seeds, "agreement.mesa", "T")
    assert found.value == "0.950"
    assert re.fullmatch(r"\[0\.315, 1\.585\]", found.interval)
    assert tables.mean({0: measured}, "agreement.mesa", "T").interval == tables.ALONE


def test_no_network_without_the_plant_is_an_alarm(one: RunData) -> None:
    said = words(render(replace(one, nulls={}, null_verdicts={})))
    assert "No negative control (a network without the plant) was trained." in said


def test_a_plant_verdict_on_a_network_without_it_is_an_alarm(one: RunData) -> None:
    none = "None of 1 negative controls (networks without the plant) got a verdict that says"
    assert none in words(render(one))
    wrong = replace(one, null_verdicts={"no-plant-mesa": [verdict(0, "dormant")]})
    said = words(render(wrong))
    assert "1 of 1 negative controls (networks without the plant) got a verdict that says" in said
    assert "no-plant-mesa seed 0: dormant" in said


def test_an_incomparable_base_objective_is_said_to_be(
    one: RunData, measured: dict[tuple[str, str], Evidence]
) -> None:
    key = ("objectives.additive", "all")
    worse = msgspec.structs.replace(measured[key], estimate=0.4, at_least=0.34)
    assert "Comparable:" in words(render(one))
    said = words(render(replace(one, evidence={"coincident": {0: {**measured, key: worse}}})))
    assert "Not comparable" in said


# --- words and figures --------------------------------------------------------------------------


def test_every_verdict_has_words() -> None:
    assert set(VERDICTS) == set(Name.__args__)  # type: ignore[attr-defined]


def test_every_measure_has_a_label_and_an_explanation(
    measured: dict[tuple[str, str], Evidence],
) -> None:
    for name, _ in measured:
        known = measure(name)
        assert known.label != name, name
        assert known.explanation.endswith("."), name
        assert heading(name) != "Other", name
    assert measure("something.new").label == "something.new"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (0.0, "0.000"), (-1e-9, "0.000"), (-0.25, "−0.250"), (1.0, "1.000")],
)
def test_numbers_read_well(value: float | None, shown: str) -> None:
    assert tables.number(value) == shown


def test_a_null_of_several_kinds_names_each() -> None:
    found = tables.null_text([Null("b", 0.1, 0.2, 3), Null("a", 0.0, 0.1, 5)])
    assert found == tables.Cell("0.000 to 0.200", "a; b, n 3 to 5")


def test_what_is_drawn_is_escaped_and_short() -> None:
    assert el("text", "a < b", x=1.0, class_="<") == '<text x="1" class="&lt;">a &lt; b</text>'
    assert el("g", x=-0.01, y=2.25) == '<g x="0" y="2.2"></g>'


def test_a_scale_keeps_to_its_ends() -> None:
    scale = Scale(0, 2, 10, 30)
    assert [scale(value) for value in (-1, 0, 1, 2, 3)] == [10, 10, 20, 30, 30]
    assert Scale(1, 1, 0, 10)(1) == 5
