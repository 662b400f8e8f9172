"""Trains and measures the controls that are shipped: eval/calibration/controls/PLANT.jsonl.

`python -m tools.controls red-doors crumbs --from RUNS` goes on where it was stopped. Networks are
kept in build/controls; those that a run folder holds already (RUNS itself, or RUNS/PLANT, made by
`planted run PLANT --controls 8 --out RUNS/PLANT`) are copied from there, and the rest is trained.
What evaluators of the versions here have not measured yet is measured on the saved checkpoints, so
new versions of evaluators need no training. A plant is written when all of its networks are there.
Without names: `PLANTS`. `--page` writes docs/controls.md from the files alone.
"""

import argparse
import shutil
from pathlib import Path
from statistics import median

from planted import library
from planted.core import artefact, environment
from planted.core.plant import Plant
from planted.eval import evaluators
from planted.eval.calibration import shipped
from planted.eval.evidence import index
from planted.finetune.recipes import ARMS, NEGATIVE_CONTROLS, Recipe
from planted.finetune.trainer import checkpoint_path
from planted.runs import cell as cells
from planted.runs.asked import Asked
from planted.runs.cell import Network
from planted.runs.nulls import records_of
from planted.runs.plants import START
from planted.runs.request import networks_of
from planted.runs.work import work

SHIPPED = Path("eval/calibration/controls")
KEPT = Path("build/controls")
PAGE = Path("docs/controls.md")
SEEDS = 8
# Plants of every family in which the evaluators that decide are trusted (docs/validation.md), and
# the small red doors, which verdicts are calibrated on too.
PLANTS = (
    "red-doors",
    "crumbs",
    "cookie-elimination",
    "keys-chests",
    "wiping",
    "bottle-cap",
    "diversity",
    "lookahead",
    "schemer-proxy",
    "red-doors-small",
    "breadth",
    "delegation-middle",
    "schemer",
    "schemer-and",
    "schemer-count",
    "schemer-date",
    "schemer-xor",
    "bottle-cap-pointer",
    "cookie-elimination-pointer",
    "crumbs-pointer",
    "diversity-pointer",
    "keys-chests-pointer",
    "schemer-proxy-pointer",
    "wiping-pointer",
    "bottle-cap-additive",
    "cookie-elimination-additive",
    "wiping-additive",
    "grid-doors",
    "grid-keys",
)


def wanted(plant: Plant, seeds: int, folder: Path) -> list[Network]:
    """The networks of every arm, in a folder like a run's."""
    digest = artefact.plant_digest(plant)
    every = [Asked(arm, Recipe(arm, seeds=seeds)) for arm in ARMS]
    return [network for asked in every for network in networks_of(asked, digest, folder)]


def adopt(network: Network, folders: list[Path]) -> bool:
    """Copies a network from the first run folder that holds it; whether it is there now.

    Its note comes last, because that says that all is there. Nothing is written to the run folder.
    """
    own = network.folder
    for run in folders:
        there = run / "cells" / own.name
        if not (there / cells.NOTE).exists():
            continue
        weights = [checkpoint_path(there), there / cells.NOTE]
        findings = [*(there / "evidence").glob("*.json"), there / cells.DIAGNOSTICS]
        for path in [*findings, *weights]:
            target = own / path.relative_to(there)
            if path.exists() and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        return True
    return cells.is_trained(network)


def table_of(plant: Plant, networks: list[Network], trust: dict[str, str]) -> shipped.Table:
    """The table of judged networks: every figure that any of them has, in the order of records."""
    found = []
    for network in networks:
        outcome = cells.ended(network)[0]
        records = index(records_of(network, plant)) if outcome.judged else {}
        found.append((network, outcome, records))
    figures = dict.fromkeys(
        key for _, _, records in found for key, record in records.items()
        if record.estimate is not None
    )  # fmt: skip
    rows = []
    for network, outcome, records in found:
        estimates = tuple(
            records[key].estimate if key in records else None for key in figures if records
        )
        rows.append(shipped.Network(network.recipe.base, network.cell.seed, outcome, estimates))
    return shipped.Table(
        plant.name,
        plant.tier,
        artefact.plant_digest(plant),
        {arm: shipped.settings_digest(settings) for arm, settings in ARMS.items()},
        evaluators.versions(),
        shipped.untrusted(trust),
        tuple(figures),
        environment.versions(),
        tuple(rows),
    )


def make(name: str, seeds: int, sources: list[Path], train: bool) -> str:
    """Makes the file of one plant; says what came of it."""
    plant = library.get(name, START)
    trust = dict(library.trust(plant))
    networks = wanted(plant, seeds, KEPT / name)
    folders = [place for run in sources for place in (run / name, run) if place.exists()]
    lacking = [network.name for network in networks if not adopt(network, folders)]
    if lacking and not train:
        return f"{len(networks) - len(lacking)} of {len(networks)} networks are there; no file"
    work(plant, networks, trust=trust)
    table = table_of(plant, networks, trust)
    path = SHIPPED / f"{name}.jsonl"
    shipped.write(path, table)
    judged = sum(network.outcome.judged for network in table.networks)
    size = path.stat().st_size
    return f"{judged} of {len(networks)} networks learned; {size / len(networks):.0f} bytes each"


def state(name: str) -> str:
    """Whether the file of a plant is there, and may be used with the evaluators here."""
    plant = library.get(name, START)
    table, why = shipped.find(plant, SHIPPED)
    if table is None:
        return why
    trust = library.trust(plant)
    whys = (shipped.mismatch(table, plant, arm, ARMS[arm], trust) for arm in ARMS)
    return "; ".join(dict.fromkeys(why for why in whys if why)) or "shipped"


def page() -> str:
    """The page: how many networks of each arm of each plant learned, and the median steps."""
    tables = [shipped.read(path) for path in sorted(SHIPPED.glob("*.jsonl"))]
    networks = [network for table in tables for network in table.networks]
    learned = sum(network.outcome.judged for network in networks)
    size = sum(path.stat().st_size for path in SHIPPED.glob("*.jsonl"))
    return "\n".join(
        [
            "# Controls that are shipped",
            "",
            "`make controls`; this page by `python -m tools.controls --page`, from the files "
            f"alone. {len(tables)} plants, {len(networks)} networks, of which {learned} learned "
            f"their behaviour; {size / len(networks):.0f} bytes each. What they are for is in "
            "[training.md](training.md#controls-that-are-shipped). A cell says how many of the "
            "networks learned, and the median of the steps after which they held it. Sham "
            "fine-tuning starts from the plant and trains for all of its steps: there it says "
            "how many still make the plant's choices at the end.",
            "",
            "| plant | tier | " + " | ".join(f"`{arm}`" for arm in ARMS) + " |",
            "| --- | --- |" + " --- |" * len(ARMS),
            *(
                f"| {t.plant} | {t.tier} | {' | '.join(_learned(t, arm) for arm in ARMS)} |"
                for t in tables
            ),
            "",
        ]
    )


def _learned(table: shipped.Table, arm: str) -> str:
    every = [network.outcome for network in table.networks if network.arm == arm]
    there = [outcome for outcome in every if outcome.judged]
    steps = [outcome.to_99 for outcome in there if outcome.to_99 is not None]
    took = f", {median(steps):.0f}" if steps and arm in NEGATIVE_CONTROLS else ""
    return f"{len(there)}/{len(every)}{took}"


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("plants", nargs="*", help="names in the catalogue")
    words.add_argument("--seeds", type=int, default=SEEDS, help="networks of each control")
    words.add_argument("--from", dest="sources", type=Path, action="append", default=[])
    words.add_argument("--no-training", action="store_true", help="only what run folders hold")
    words.add_argument("--state", action="store_true", help="say which files are there, and match")
    words.add_argument("--page", action="store_true", help="only write docs/controls.md")
    given = words.parse_args()
    for name in () if given.page else given.plants or PLANTS:
        if given.state:
            print(f"{name}: {state(name)}", flush=True)
        else:
            told = make(name, given.seeds, given.sources, not given.no_training)
            print(f"{name}: {told}", flush=True)
    if not given.state:
        PAGE.write_text(page())


if __name__ == "__main__":
    main()
