"""Runs the tests of each adapter beside the library it is for: `python -m tools.clients [NAME]`.

With `--write` the table of hook points in docs/clients.md is made anew from what they measured.

Libraries that cannot be installed together get an environment each, under build/clients. planted,
torch and what both need are linked there from the environment that runs this file: torch is too
large to unpack five times. A test that is skipped there is a failure.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.adapters.sites import Row, kept
from tests.wheel.check import closure, link

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "clients"
CLIENTS = {
    "transformer_lens": ("transformer-lens==4.3.0",),
    "transformer_lens_3": ("transformer-lens==3.9.0",),
    "nnsight": ("nnsight==0.8.1",),
    "pyvene": ("pyvene==0.1.8",),
    "auto_circuit": ("auto-circuit==1.0.1", "attrs==25.4.0", "transformer-lens==3.9.0"),
}
COLUMNS = ("forward hooks", "TransformerLens 4", "TransformerLens 3", "nnsight", "pyvene")
MEASURED = PLACE / "sites.jsonl"
PAGE, MARK, END = ROOT / "docs" / "clients.md", "<!-- sites -->", "<!-- end -->"
LINKED = (*sorted(closure("planted") - {"planted"}), "torch", "pytest", "pytest-xdist")
# The libraries' own warnings are theirs; without a network nothing may be looked for in it.
SETTINGS = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "WANDB_MODE": "disabled"}


def environment(name: str) -> Path:
    """The client's Python, in an environment that is made where there is none of its versions."""
    place, wanted = PLACE / name, "\n".join(CLIENTS[name])
    python, stamp = place / "bin" / "python", place / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    venv.create(place, clear=True)
    packages = next((place / "lib").glob("python*/site-packages"))
    for each in LINKED:
        link(each, packages)
    for path in Path(sysconfig.get_path("purelib")).glob("*planted*"):  # installed by links itself
        (packages / path.name).symlink_to(path)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
    subprocess.run([*pip, "-c", ROOT / "constraints.txt", *CLIENTS[name]], check=True)
    stamp.write_text(wanted)
    return python


def tested(name: str) -> bool:
    """Whether the client's tests passed, none of them skipped."""
    began = time.perf_counter()
    done = subprocess.run(
        [
            environment(name),
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "-W",
            "default",
            f"tests/adapters/{name}",
        ],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "PLANTED_CLIENT": name},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    skipped = re.search(r"\d+ (skipped|deselected|xfailed)", done.stdout)
    print(
        f"{name}: {'failed' if done.returncode or skipped else 'passed'}; "
        f"{time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return done.returncode == 0 and not skipped


def table(rows: list[Row]) -> str:
    """Hook points by clients: largest deviation read and edited, over blocks, plants and tiers."""
    measured = {row.client for row in rows}
    names = [client for client in COLUMNS if client in measured]
    kinds = dict.fromkeys(kind(row.site) for row in rows)
    lines = [f"| hook point | {' | '.join(names)} | edits that act |"]
    lines.append("| --- " * (len(names) + 2) + "|")
    for each in kinds:
        cells = []
        for name in names:
            here = [row for row in rows if row.client == name and kind(row.site) == each]
            edited = "" if each == "logits" else f" / {max(row.edited for row in here):.0e}"
            cells.append(f"{max(row.read for row in here):.0e}{edited}".replace("0e+00", "0"))
        plain = [row for row in rows if row.client == names[0] and kind(row.site) == each]
        acting = f"{sum(row.moved > 0.1 for row in plain)} of {len(plain)}"
        acting = "" if each == "logits" else acting
        label = each if each == "logits" else f"`{each}`"
        lines.append(f"| {label} | {' | '.join(cells)} | {acting} |")
    return "\n".join(lines)


def kind(site: str) -> str:
    """A hook point's name without its block's number."""
    return re.sub(r"^blocks\.\d+\.", "", site)


def write(rows: list[Row]) -> None:
    """Puts the table into the page."""
    page = PAGE.read_text()
    head, _, rest = page.partition(f"{MARK}\n")
    PAGE.write_text(f"{head}{MARK}\n{table(rows)}\n{END}{rest.partition(END)[2]}")


def main(names: list[str], writing: bool) -> None:
    """Fails if any client's tests did, or were skipped."""
    unknown = sorted(set(names) - set(CLIENTS))
    if unknown:
        sys.exit(f"no client {unknown[0]!r}; there are {', '.join(CLIENTS)}")
    PLACE.mkdir(parents=True, exist_ok=True)
    if writing:
        MEASURED.unlink(missing_ok=True)
        os.environ["PLANTED_SITES"] = str(MEASURED)
        plain = [sys.executable, "-m", "pytest", "-q", "-n", "0", "tests/adapters/test_sites.py"]
        subprocess.run(plain, cwd=ROOT, check=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(environment, names or CLIENTS))  # mostly waiting for downloads
        passed = dict(zip(names or CLIENTS, pool.map(tested, names or CLIENTS), strict=True))
    failed = [name for name, whole in passed.items() if not whole]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")
    if writing:
        write(list(kept(MEASURED)))


if __name__ == "__main__":
    main([each for each in sys.argv[1:] if each != "--write"], "--write" in sys.argv)
