"""Runs the tests of each adapter beside the library it is for: `python -m tools.clients [NAME]`.

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
from pathlib import Path

from tests.wheel.check import closure, link

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build" / "clients"
CLIENTS = {
    "transformer_lens": ("transformer-lens==4.3.0",),
    "transformer_lens_3": ("transformer-lens==3.9.0",),
    "nnsight": ("nnsight==0.8.1",),
    "pyvene": ("pyvene==0.1.8",),
}
LINKED = (*sorted(closure("planted") - {"planted"}), "torch", "pytest", "pytest-xdist")
# The libraries' own warnings are theirs; without a network nothing may be looked for in it.
SETTINGS = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "WANDB_MODE": "disabled"}


def environment(name: str) -> Path:
    """The client's Python, in an environment that is made where there is none of its versions."""
    place, wanted = PLACE / name, "\n".join(CLIENTS[name])
    python, stamp = place / "bin" / "python", place / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    venv.create(place, with_pip=True, clear=True)
    packages = next((place / "lib").glob("python*/site-packages"))
    for each in LINKED:
        link(each, packages)
    for path in Path(sysconfig.get_path("purelib")).glob("*planted*"):  # installed by links itself
        (packages / path.name).symlink_to(path)
    pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, *CLIENTS[name]], check=True)
    stamp.write_text(wanted)
    return python


def tested(name: str) -> bool:
    """Whether the client's tests passed, none of them skipped."""
    began = time.perf_counter()
    python = environment(name)
    made = time.perf_counter()
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-n", "0", "-W", "default", f"tests/adapters/{name}"],
        cwd=ROOT,
        env={**os.environ, **SETTINGS, "PLANTED_CLIENT": name},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, flush=True)
    skipped = re.search(r"\d+ (skipped|deselected|xfailed)", done.stdout)
    print(
        f"{name}: {'failed' if done.returncode or skipped else 'passed'}; environment "
        f"{made - began:.0f} s, tests {time.perf_counter() - made:.0f} s",
        flush=True,
    )
    return done.returncode == 0 and not skipped


def main(names: list[str]) -> None:
    """Fails if any client's tests did, or were skipped."""
    unknown = sorted(set(names) - set(CLIENTS))
    if unknown:
        sys.exit(f"no client {unknown[0]!r}; there are {', '.join(CLIENTS)}")
    failed = [name for name in names or CLIENTS if not tested(name)]
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
