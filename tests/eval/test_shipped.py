"""Shipped controls: what a table holds, and when it may not stand for networks of a plant."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from planted import library
from planted.core import artefact
from planted.core.plant import Plant
from planted.errors import ArtefactError
from planted.eval import evaluators
from planted.eval.calibration import shipped
from planted.eval.calibration.shipped import Network, Table, find, mismatch, read, write
from planted.finetune.behaviour import Outcome
from planted.finetune.recipes import ARMS

PLANT = "red-doors-small"
TRUSTED = {"paths": "", "presence": ""}
REACHED = Outcome("reached", 300, None, 1.0, 200, 225)


@pytest.fixture(scope="module")
def plant() -> Plant:
    return library.get(PLANT, "tempered")


@pytest.fixture(scope="module")
def table(plant: Plant) -> Table:
    networks = [
        Network(arm, seed, REACHED, (0.1 + seed / 100, None, 1.0))
        for arm in ARMS
        for seed in (0, 1)
    ]
    networks.append(Network("sham", 2, Outcome("not learned", 600, None, 0.4)))
    return Table(
        plant.name,
        plant.tier,
        artefact.plant_digest(plant),
        {arm: shipped.settings_digest(settings) for arm, settings in ARMS.items()},
        evaluators.versions(),
        (),
        (("paths.scorer_share", "T"), ("paths.scorer_share", "D"), ("agreement.base", "T")),
        {"jax": "1"},
        tuple(networks),
    )


def placed(table: Table, folder: Path) -> Path:
    path = folder / f"{PLANT}.jsonl"
    write(path, table)
    return path


def test_a_table_is_found_by_the_plants_name_and_read_as_it_was_written(
    table: Table, plant: Plant, tmp_path: Path
) -> None:
    path = placed(table, tmp_path)
    before = path.read_bytes()
    assert read(path) == table
    assert find(plant, tmp_path) == (table, "")
    write(path, read(path))
    assert path.read_bytes() == before
    assert len(before.splitlines()) == 1 + len(table.networks), "a line a network"
    other = replace(plant, name="../red-doors-small@1")
    assert find(other, tmp_path) == (None, "none is shipped for ../red-doors-small@1")


def test_a_network_has_a_record_for_each_figure_that_was_measured(table: Table) -> None:
    first, _, unlearned = table.of("sham")
    records = table.records(first)
    assert {key: record.estimate for key, record in records.items()} == {
        ("paths.scorer_share", "T"): 0.1,
        ("agreement.base", "T"): 1.0,
    }
    assert table.records(unlearned) == {}


@pytest.mark.parametrize("arm", ARMS)
def test_records_of_the_same_plant_settings_and_versions_may_be_used(
    table: Table, plant: Plant, arm: str
) -> None:
    assert mismatch(table, plant, arm, ARMS[arm], TRUSTED) == ""


@pytest.mark.parametrize(
    ("differs", "why"),
    [
        ({"plant_sha256": "0" * 64}, "another red-doors-small@1: its weights"),
        ({"plant": "crumbs@1"}, r"is of crumbs@1 \(tempered\)"),
        ({"tier": "exact"}, r"is of red-doors-small@1 \(exact\)"),
        ({"settings": {"sham": "0" * 64}}, "sham is trained with other settings"),
        ({"settings": {}}, "sham is trained with other settings"),
        ({"networks": ()}, "no network of sham is shipped"),
        ({"untrusted": ("paths",)}, r"other evaluators are trusted here \(.*: paths\)"),
    ],
)
def test_what_does_not_match_is_named(
    table: Table, plant: Plant, differs: dict[str, Any], why: str
) -> None:
    other = msgspec.structs.replace(table, **differs)
    assert re.search(why, mismatch(other, plant, "sham", ARMS["sham"], TRUSTED))


HELD = [
    ("sham", "agreement"),
    ("sham", "regret"),
    ("sham", "behavioural-objective"),
    ("sham", "paths"),
    ("no-plant-base", "agreement"),  # says whether it learned
    ("no-plant-base", "paths"),
    ("no-plant-base", "presence"),
]


@pytest.mark.parametrize(("arm", "name"), HELD)
@pytest.mark.parametrize("version", ["0", None])
def test_every_version_of_what_is_held_against_an_arm_must_match(
    table: Table, plant: Plant, arm: str, name: str, version: str | None
) -> None:
    other = of_version(table, name, version)
    why = mismatch(other, plant, arm, ARMS[arm], TRUSTED)
    assert why.startswith(f"what is shipped was measured with {name} {version or 'none'}, here it")


@pytest.mark.parametrize("arm", ["sham", "no-plant-base"])
def test_versions_of_what_is_held_against_another_arm_or_none_need_not_match(
    table: Table, plant: Plant, arm: str
) -> None:
    for name in set(evaluators.own()) - {held for of, held in HELD if of == arm}:
        assert mismatch(of_version(table, name, "0"), plant, arm, ARMS[arm], TRUSTED) == ""


def of_version(table: Table, name: str, version: str | None) -> Table:
    versions = {key: value for key, value in table.evaluators.items() if key != name}
    if version is not None:
        versions[name] = version
    return msgspec.structs.replace(table, evaluators=versions)


def test_other_settings_and_other_trust_here_do_not_match(table: Table, plant: Plant) -> None:
    other = msgspec.structs.replace(ARMS["sham"], learning_rate=0.5)
    assert "other settings" in mismatch(table, plant, "sham", other, TRUSTED)
    distrust = {**TRUSTED, "paths": "never validated"}
    assert "other evaluators are trusted" in mismatch(table, plant, "sham", ARMS["sham"], distrust)
    moved = replace(plant, params={k: v * 2 for k, v in plant.params.items()})
    assert "weights, truth or tasks differ" in mismatch(table, moved, "sham", ARMS["sham"], TRUSTED)


def test_the_digest_of_an_arm_is_of_all_that_it_depends_on(table: Table) -> None:
    def digest(**differs: Any) -> str:
        return msgspec.structs.replace(table, **differs).digest("sham")

    others = [
        digest(plant_sha256="0"),
        digest(settings={}),
        digest(evaluators={}),
        digest(figures=()),
        digest(networks=table.networks[:-1]),
    ]
    assert len({table.digest("sham"), *others}) == 6
    elsewhere = tuple(n for n in table.networks if n.arm != "no-plant-mesa")
    assert digest(networks=elsewhere) == table.digest("sham")


@pytest.mark.parametrize("line", [0, 1])
def test_a_table_that_was_altered_is_refused(table: Table, tmp_path: Path, line: int) -> None:
    path = placed(table, tmp_path)
    rows = [json.loads(each) for each in path.read_text().splitlines()]
    rows[line]["seed" if line else "tier"] = 7 if line else "exact"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ArtefactError, match="altered"):
        read(path)
    path.write_text("")
    with pytest.raises(ArtefactError, match="no table of controls"):
        read(path)


TABLES = sorted((Path(shipped.__file__).parent / "controls").glob("*.jsonl"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_release_has_eight_networks_of_each_control(path: Path) -> None:
    held = read(path)
    assert held.plant.partition("@")[0] == path.stem
    for arm, settings in ARMS.items():
        networks = held.of(arm)
        assert len({network.seed for network in networks}) == len(networks) >= 8
        assert held.settings[arm] == shipped.settings_digest(settings)
        for network in networks:
            known = len(network.estimates) == len(held.figures)
            assert known if network.outcome.judged else not network.estimates
    # compact: ten bytes a figure, and most figures are there once a cue
    n_cues = len(library.get(path.stem, "exact").scenario.cues)
    assert path.stat().st_size < 750 * n_cues * len(held.networks)


@pytest.mark.proof
@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_release_may_be_used_for_its_plants(path: Path) -> None:
    made = library.get(path.stem, "tempered")
    trust, held = library.trust(made), read(path)
    assert {arm: mismatch(held, made, arm, ARMS[arm], trust) for arm in ARMS} == dict.fromkeys(
        ARMS, ""
    )
