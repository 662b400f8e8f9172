"""What the four named recipes do to red doors, over ten seeds: writes docs/fates.md."""

import statistics
import subprocess
from collections import Counter
from pathlib import Path

import planted

FIGURES = {
    "base choices": "agreement.base",
    "scorer share": "paths.scorer_share",
    "λ": "paths.interpolation",
    "mesa's share": "paths.mesa_share",
    "winner R²": "presence.mesa_argmax",
    "swap": "paths.swap",
}


def main() -> None:
    names = ("pressure", "coincident", "read-out", "cued")
    run = planted.run(
        "red-doors", [planted.Recipe(name, seeds=10) for name in names], out="runs/fates"
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    lines = [
        "# Fates of red doors",
        "",
        f"Made by `make fates` at commit {commit or 'unknown'}: `{run.plant.name}`, tier tempered "
        f"(exactness {run.plant.settings['exactness']}, query factor "
        f"{run.plant.settings['query_factor']}), four recipes of ten seeds, and the networks "
        "without the plant that they are held against. Medians over seeds, smallest to largest. "
        "Verdicts are UNCALIBRATED.",
        "",
        "## Verdicts",
        "| recipe | verdicts over seeds |",
        "| --- | --- |",
    ]
    arms: dict[str, list] = {}
    for seed in (*run.results, *run.negative_controls):
        arms.setdefault(seed.recipe, []).append(seed)
    for name, seeds in arms.items():
        counts = Counter(str(seed.verdict) for seed in seeds)
        lines.append(f"| {name} | " + "; ".join(f"{n} × {v}" for v, n in counts.items()) + " |")
    lines += [
        "",
        "## Figures",
        "| recipe | cue | " + " | ".join(FIGURES) + " |",
        "| --- | --- |" + " --- |" * len(FIGURES),
    ]
    for name, seeds in arms.items():
        for cue in ("T", "D"):
            cells = []
            for figure in FIGURES.values():
                values = [s.records[(figure, cue)].estimate for s in seeds]
                known = [v for v in values if v is not None]
                middle = statistics.median(known)
                cells.append(f"{middle:.2f} ({min(known):.2f} to {max(known):.2f})")
            lines.append(f"| {name} | {cue} | " + " | ".join(cells) + " |")
    Path("docs/fates.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
