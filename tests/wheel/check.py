"""Installs a built wheel beside nothing heavy, and tests it from another folder: `make wheel`.

The environment is new and gets the wheel, the light dependencies it declares, and pytest. The tests
run there first without torch and then with it. Torch is linked from the environment that runs this
file (it is too large to unpack twice): it and what it needs, nothing else, so jax stays absent.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TESTS = ("tests/wheel/test_installed.py", "tests/planted/test_pytest_plugin.py")
SUITE = "tests/wheel/test_ten_lines.py"  # what another project would write; it needs torch
MOST_BYTES = 5_000_000  # of the wheel
SETTINGS = """[pytest]
addopts = --import-mode=importlib --strict-markers --strict-config -p pytester -p no:cacheprovider
filterwarnings = error
markers =
    slow: takes more than five seconds
    torch: needs torch
"""


def closure(name: str) -> set[str]:
    """A distribution and all that it requires, by name."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            wanted = map(Requirement, metadata.requires(name) or ())
            waiting += [r.name for r in wanted if not r.marker or r.marker.evaluate({"extra": ""})]
    return found


def link(name: str, target: Path) -> None:
    """Links everything that `name` and its requirements installed, except what is there already."""
    for each in closure(name):
        distribution = metadata.distribution(each)
        for top in {path.parts[0] for path in distribution.files or ()} - {"..", "__pycache__"}:
            if not (target / top).exists():
                (target / top).symlink_to(Path(str(distribution.locate_file(top))).resolve())


def main(wheel: Path) -> None:
    """Fails with the exit status of whatever failed."""
    size = wheel.stat().st_size
    print(f"{wheel.name}: {size} bytes", flush=True)
    if size > MOST_BYTES:
        sys.exit(f"the wheel has {size} bytes, more than {MOST_BYTES}")
    with tempfile.TemporaryDirectory(prefix="planted-wheel-") as name:
        folder = Path(name)
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / "bin" / "python"
        pip = [python, "-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt"]
        subprocess.run([*pip, wheel.resolve(), "pytest"], check=True)
        away = folder / "away"
        away.mkdir()
        (away / "pytest.ini").write_text(SETTINGS)
        for test in TESTS:
            shutil.copy(ROOT / test, away)
        for runtime in ("numpy", "torch"):
            if runtime == "torch":
                link("torch", next((folder / "venv" / "lib").glob("python*/site-packages")))
                shutil.copy(ROOT / SUITE, away)
            print(f"the wheel with {runtime}:", flush=True)
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            environment["PLANTED_WHEEL"] = runtime
            subprocess.run([python, "-m", "pytest", "-q"], cwd=away, env=environment, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not Path(sys.argv[1]).is_file():
        sys.exit(f"usage: {sys.argv[0]} WHEEL; got {sys.argv[1:]}")
    try:
        main(Path(sys.argv[1]))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
