"""A program is the same weights whatever ran before and however strings are hashed.

`python -m tests.programs.test_bytes` prints the pins anew, for tests/programs/pins.json: only for
entries that are new, or whose version rose.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from planted.core import artefact
from planted.programs import catalogue
from tests import helpers

# One of each module of programs, and of each mechanism.
SPREAD = (
    "bandit", "bandit-decoy", "bottle-cap-table", "breadth-list", "crumbs-amortised",
    "cookie-elimination-additive", "delegation-decoy.small", "diversity", "grid-keys",
    "grid-doors-table", "heuristics", "keys-chests-list.small", "lookahead-steps.large",
    "lookahead-action", "narrow.small", "pointer", "plane-lapsing.small", "red-doors-decoy",
    "rivals.small", "rounding.small", "schemer-date-list.small", "contextual", "modelled",
    "lookahead-walk-table.small", "schemer-proxy-gate", "steering-controller", "wiping-mux.small",
)  # fmt: skip
PINS = json.loads(Path(__file__).with_name("pins.json").read_text())
SCRIPT = """
import json, sys
from tests.programs.test_bytes import digest
print(json.dumps({name: digest(name) for name in sys.argv[1:]}))
"""


def digest(name: str) -> str:
    made = helpers.compile_afresh(name)
    truth = {key: (node.role, node.layer, node.reads, node.values)
             for key, node in made.truth.nodes.items()}  # fmt: skip
    return artefact.params_digest(made.params) + repr((made.residual_labels, truth))


def pin(params: Any) -> str:
    """What pins a version's weights."""
    return artefact.params_digest(params)[:16]


def every_name() -> list[str]:
    """Every plant with its version, and its sizes'."""
    return [
        f"{name}@{entry.version}"
        for name, entry in catalogue.ENTRIES.items()
        if name not in helpers.SHIPPED
    ] + [
        f"{name}.{size}@{entry.version}"
        for name, entry in catalogue.ENTRIES.items()
        for size in entry.sizes
    ]


def test_every_version_has_its_pin() -> None:
    assert sorted(PINS) == sorted(every_name())


def test_the_page_of_the_catalogue_is_of_these_weights() -> None:
    """A row a plant and a size, each with how the digest of its weights begins."""
    page = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text()
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if "@" in line[:60]]
    found = {row[0]: row[-1] for row in rows if row[0].partition("@")[2].isdigit()}
    shipped = {f"{name}@1" for name in helpers.SHIPPED}  # pinned in tests/planted/shipped.json
    assert set(found) - shipped == set(PINS)
    assert {name: PINS[name][:12] for name in PINS} == {name: found[name] for name in PINS}


def test_the_spread_has_every_family() -> None:
    families = {entry.family for entry in catalogue.ENTRIES.values()}
    assert {catalogue.entry(name).family for name in SPREAD} == families


def test_same_weights_in_other_processes_and_after_other_programs() -> None:
    here = {name: digest(name) for name in SPREAD}
    for seed, order in (("1", SPREAD), ("2", SPREAD[::-1])):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, *order],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        assert json.loads(done.stdout) == here
    again = {name: digest(name) for name in SPREAD[:6]}
    assert again == {name: here[name] for name in SPREAD[:6]}


def test_other_programs_have_other_digests() -> None:
    assert len({digest(name) for name in SPREAD[:8]}) == 8


if __name__ == "__main__":
    made = {
        name: pin(helpers.compile_afresh(name.partition("@")[0]).params) for name in every_name()
    }
    print(json.dumps(made, indent=0, sort_keys=True))
