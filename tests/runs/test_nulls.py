"""Where nulls come from: shipped controls that may be used or may not, and one's own."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import msgspec
import pytest

from planted import experiment, library
from planted.core import artefact, files
from planted.core.plant import Plant
from planted.errors import PlantedError, UnknownNameError
from planted.eval import evaluators
from planted.eval.calibration import shipped
from planted.eval.calibration.shipped import Table
from planted.eval.evidence import Evidence, index
from planted.finetune.behaviour import Outcome
from planted.finetune.recipes import ARMS, NEGATIVE_CONTROLS, Recipe
from planted.runs import nulls
from planted.runs.asked import CONTROL_SEEDS, Asked, Shipped, controls_of, grown
from planted.runs.request import CONTROLS, read_request, write_request

PLANT = "red-doors-small"
SHARE = ("paths.scorer_share", "T")
CUES = ("T", "D")
RIGHT = tuple((f"agreement.{side}", cue) for side in ("mesa", "base") for cue in CUES)
REACHED = Outcome("reached", 300, None, 1.0, 200, 225)
LOST = Outcome("not learned", 6000, None, 0.4)


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get(PLANT, "tempered")


@pytest.fixture(scope="module")
def table(plant: Plant) -> Table:
    """Eight networks of each control, whose figures lie from .10 to .17."""
    networks = [
        shipped.Network(arm, seed, REACHED, (0.1 + seed / 100, 1.0, 1.0, 1.0, 1.0))
        for arm in ARMS
        for seed in range(8)
    ]
    return Table(
        plant.name,
        plant.tier,
        artefact.plant_digest(plant),
        {arm: shipped.settings_digest(settings) for arm, settings in ARMS.items()},
        evaluators.versions(),
        shipped.untrusted(library.trust(plant)),
        (SHARE, *RIGHT),
        {},
        tuple(networks),
    )


@pytest.fixture
def release(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A release that holds the table."""
    folder, find = tmp_path / "release", shipped.find
    shipped.write(folder / f"{PLANT}.jsonl", table)
    monkeypatch.setattr(shipped, "find", lambda plant: find(plant, folder))
    return folder


def trained(
    monkeypatch: pytest.MonkeyPatch, values: tuple[float, ...], lost: str = ""
) -> list[tuple[str, int]]:
    """Judged networks of each control, seeds from 8; those of one may not have learned."""
    found: nulls.Measured = {}
    for arm in ARMS:
        for seed, value in enumerate(values, 8):
            done = (Evidence(*key, 1.0) for key in RIGHT)
            records = index([Evidence(*SHARE, value), *done])
            ended = (LOST, {}) if arm == lost else (REACHED, records)
            found.setdefault(arm, {})[seed] = ended
    monkeypatch.setattr(nulls, "_measured", lambda *_: found)
    return [(arm, seed) for arm, seeds in found.items() for seed in seeds]


# --- what is asked for ---


def test_without_shipped_records_all_are_trained_and_it_is_said_why(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = None, f"none is shipped for {PLANT}@1"
    monkeypatch.setattr(shipped, "find", lambda *_: missing)
    controls, table = nulls.usual(plant, library.trust(plant))
    assert table is None
    assert [asked.seeds for asked in controls] == [range(CONTROL_SEEDS)] * len(ARMS)
    said = f"{CONTROL_SEEDS} networks of each control, trained here (none is shipped for {PLANT}@1)"
    assert nulls.said_of(controls) == said


def test_beside_shipped_records_two_seeds_that_they_have_not_are_trained(
    plant: Plant, table: Table, release: Path
) -> None:
    controls, used = nulls.usual(plant, library.trust(plant))
    assert used == table
    assert [asked.name for asked in controls] == list(ARMS)
    assert {asked.seeds for asked in controls} == {range(8, 10)}
    assert [asked.counted.seeds for asked in controls] == [10] * len(ARMS)
    assert controls[0].shipped == Shipped(table.digest("no-plant-mesa"), 8)
    said = "8 shipped networks of each control and 2 trained here to compare with them"
    assert nulls.said_of(controls) == said


def test_a_control_that_does_not_match_is_trained_beside_others_that_do(
    plant: Plant, table: Table, release: Path
) -> None:
    other = msgspec.structs.replace(table, settings={**table.settings, "sham": "0" * 64})
    shipped.write(release / f"{PLANT}.jsonl", other)
    controls, _ = nulls.usual(plant, library.trust(plant))
    assert [asked.seeds for asked in controls] == [range(8, 10)] * 3 + [range(CONTROL_SEEDS)]
    assert nulls.said_of(controls).endswith(
        f"; {CONTROL_SEEDS} networks of sham, trained here (sham is trained with other settings "
        "here)"
    )


def test_asking_for_a_number_asks_for_ones_own(plant: Plant, release: Path) -> None:
    controls, _ = nulls.usual(plant, library.trust(plant))
    own = grown(controls, controls_of(5))
    assert [asked.shipped for asked in own] == [None] * len(ARMS)
    assert {asked.seeds for asked in own} == {range(8, 13)}, "what was trained is kept"
    assert grown(controls, controls_of(1))[0].seeds == range(8, 10)
    assert nulls.said_of(own) == "5 networks of each control, trained here"


# --- a request that uses shipped records ---


def test_a_run_folder_holds_the_shipped_records_that_it_uses(
    plant: Plant, table: Table, release: Path, tmp_path: Path
) -> None:
    made = experiment.plant_into(tmp_path / "run", PLANT, "read-out")
    assert [finding.name for finding in made.findings] == []
    assert shipped.read(tmp_path / "run" / CONTROLS) == table
    raw = json.loads((tmp_path / "run" / "run.json").read_text())
    about = raw["controls"][0]
    assert about["shipped"] == {"sha256": table.digest("no-plant-mesa"), "networks": 8}
    assert (about["first"], about["seeds"], about["why"]) == (8, 2, "")
    assert read_request(tmp_path / "run", plant).controls == made.controls
    names = [network.name for network in made.networks(tmp_path / "run")]
    assert names[-2:] == ["sham 8", "sham 9"]
    again = experiment.plant_into(tmp_path / "run", PLANT, "read-out")
    assert again.controls == made.controls
    experiment.check_asked(tmp_path / "run", "no-plant-base", 9)
    with pytest.raises(PlantedError, match="Its seeds are 8, 9"):
        experiment.check_asked(tmp_path / "run", "no-plant-base", 0)
    with pytest.raises(PlantedError, match="'sham' is sham fine-tuning, which gets no verdict"):
        experiment.check_asked(tmp_path / "run", "sham", 8)
    with pytest.raises(UnknownNameError, match="recipe of this run"):
        experiment.check_asked(tmp_path / "run", "shame", 8)
    own = experiment.plant_into(tmp_path / "run", PLANT, controls=4)
    assert {asked.seeds for asked in own.controls} == {range(8, 12)}


def test_a_run_that_asks_for_its_own_holds_none(release: Path, tmp_path: Path) -> None:
    made = experiment.plant_into(tmp_path / "run", PLANT, "read-out", controls=4)
    assert not (tmp_path / "run" / CONTROLS).exists()
    assert {asked.seeds for asked in made.controls} == {range(4)}


def test_no_more_controls_are_asked_for_where_shipped_ones_suffice(
    plant: Plant, release: Path
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        experiment._warn_of_few(nulls.usual(plant, library.trust(plant))[0])
    assert experiment.forecast(PLANT, "read-out") == []


def test_the_request_of_an_older_run_opens(plant: Plant, tmp_path: Path) -> None:
    made = experiment.plant_into(tmp_path, PLANT, "read-out", controls=3)
    path = tmp_path / "run.json"
    raw = files.read_signed(path)
    for control in raw["controls"]:
        for key in ("first", "shipped", "why"):
            del control[key]
    files.write_signed(path, raw)
    assert read_request(tmp_path, plant).controls == made.controls


# --- networks trained here beside the shipped ones ---


def test_networks_within_the_range_stand_beside_the_shipped_ones(
    plant: Plant, table: Table, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls, used = nulls.usual(plant, library.trust(plant))
    trained(monkeypatch, (0.12, 0.15))
    found = nulls.beside(plant, controls, [], used)
    assert found.refused == ""
    says = "8 shipped networks of each control and 2 trained here, which lie where they do"
    assert found.says == says
    assert found.in_full == f"{says} (within the range of the shipped ones)"
    assert {name: list(seeds) for name, seeds in found.negative.items()} == {
        name: list(range(10)) for name in NEGATIVE_CONTROLS
    }
    assert len(found.sham) == 10
    (own,) = (r for r in found.records([Evidence(*SHARE, 0.9)], CUES) if r.name == SHARE[0])
    assert own.null is not None
    assert (own.null.lo, own.null.hi, own.null.n) == (0.1, 0.17, 10)
    but = found.records([Evidence(*SHARE, 0.12)], CUES, ("no-plant-mesa", 8))
    assert but[0].null is not None
    assert but[0].null.n == 9, "no control is its own null"


def test_networks_that_lie_elsewhere_stand_alone(
    plant: Plant, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls, used = nulls.usual(plant, library.trust(plant))
    trained(monkeypatch, (0.71, 0.72))
    found = nulls.beside(plant, controls, [], used)
    assert found.check is not None
    assert found.refused.startswith("the networks trained here lie at most 7.9 widths of their")
    assert {name: list(seeds) for name, seeds in found.negative.items()} == {
        name: [8, 9] for name in NEGATIVE_CONTROLS
    }
    rest = nulls.alone(controls, found.refused)
    assert {asked.seeds for asked in rest} == {range(8, 16)}, "as many as were shipped"
    assert found.says == nulls.said_of(rest)
    assert found.says.startswith("8 networks of each control, trained here (the networks trained")


def test_networks_that_do_not_learn_where_the_shipped_ones_did_stand_alone(
    plant: Plant, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    controls, used = nulls.usual(plant, library.trust(plant))
    trained(monkeypatch, (0.12, 0.15), lost="no-plant-cued")
    found = nulls.beside(plant, controls, [], used)
    assert "(no-plant-cued, " in found.refused
    assert "no-plant-cued" not in found.negative, "none that learned is left"


@pytest.mark.parametrize("what", ["missing", "altered", "version", "trust"])
def test_records_that_no_longer_match_are_not_used(
    plant: Plant, table: Table, release: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    controls, used = nulls.usual(plant, library.trust(plant))
    trained(monkeypatch, (0.12, 0.15))
    trust: Any = None
    if what == "missing":
        used = None
    elif what == "altered":
        used = msgspec.structs.replace(table, networks=table.networks[:-1])
    elif what == "version":
        monkeypatch.setattr(evaluators.get("paths"), "version", 99, raising=False)
    else:
        trust = {"paths": "never validated", "presence": ""}
    found = nulls.beside(plant, controls, [], used, trust)
    whys = {
        "version": "what is shipped was measured with paths",
        "trust": "other evaluators are trusted here",
    }
    assert found.refused.startswith(whys.get(what, nulls.MISSING))
    assert found.check is None
    assert len(found.sham) == 2


def test_a_folders_records_that_were_altered_count_as_missing(table: Table, tmp_path: Path) -> None:
    path = tmp_path / CONTROLS
    assert nulls.table_in(path) is None
    shipped.write(path, table)
    assert nulls.table_in(path) == table
    path.write_bytes(path.read_bytes().replace(b"0.17", b"0.99"))
    assert nulls.table_in(path) is None


def test_controls_that_were_asked_for_are_never_compared(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(monkeypatch, (0.71, 0.72))
    asked = tuple(Asked(arm, Recipe(arm, seeds=2)) for arm in ARMS)
    found = nulls.beside(plant, asked, [])
    assert (found.check, found.refused) == (None, "")
    assert found.says == "2 networks of each control, trained here"
    assert nulls.beside(plant, (), []).says == "none"


def test_a_grown_request_is_written_with_its_shipped_records(
    plant: Plant, table: Table, release: Path, tmp_path: Path
) -> None:
    made = experiment.plant_into(tmp_path / "run", PLANT, "read-out")
    more = msgspec.structs.replace(made, controls=nulls.alone(made.controls, "because"))
    write_request(tmp_path / "run", more)
    assert read_request(tmp_path / "run", plant).controls == more.controls
    grew = experiment.plant_into(tmp_path / "run", PLANT, Recipe("read-out", seeds=7))
    assert grew.controls == more.controls, "what was refused once is not asked for again"
