"""The main job at full size: four recipes, five seeds each, beside networks without the plant.

Bytes of training differ between processors, so what is asked for is what each recipe leads to in
most seeds, what it never leads to, and that no network without the plant gets a plant verdict.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import planted
from planted import experiment
from planted.eval.verdict.rule import PLANT_VERDICTS
from planted.finetune.recipes import NEGATIVE_CONTROLS
from planted.runs.results import Run

SEEDS = 5
LEADS_TO = {  # recipe -> its fate, in how many seeds at least, and what else it may come to
    "pressure": ("replaced", 4, {"bypassed", "inconclusive"}),
    "coincident": ("persists", 4, {"inconclusive"}),
    "read-out": ("dormant", 4, {"inconclusive"}),
    "cued": ("modelled deceptively", 1, {"inconclusive"}),
}

pytestmark = [pytest.mark.slow, pytest.mark.proof]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder: Path = tmp_path_factory.mktemp("fates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLANTED_CACHE", str(folder / "cache"))
        recipes = [planted.Recipe(name, seeds=SEEDS) for name in LEADS_TO]
        return experiment.run("red-doors", recipes, out=folder / "run")


def test_each_recipe_leads_to_its_fate_and_a_network_without_the_plant_to_none(run: Run) -> None:
    found: dict[str, Counter[str]] = {}
    for seed in run:
        found.setdefault(seed.recipe, Counter())[seed.verdict.name] += 1
    for recipe, (fate, least, besides) in LEADS_TO.items():
        assert found[recipe].total() == SEEDS
        assert found[recipe][fate] >= least, found
        assert set(found[recipe]) <= {fate, *besides}, found
    trained = Counter(null.recipe for null in run.negative_controls)
    assert trained == dict.fromkeys(NEGATIVE_CONTROLS, 2)  # beside those that are shipped
    for null in run.negative_controls:
        assert null.verdict.name not in PLANT_VERDICTS, null.verdict
    assert {null.verdict.name for null in run.negative_controls} >= {"not planted", "replaced"}
