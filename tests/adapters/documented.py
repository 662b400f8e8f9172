"""What docs/clients.md shows for one client runs in that client's environment."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def run_section(title: str) -> None:
    """Runs the Python of a section of the page; its assertions are the test."""
    page = (ROOT / "docs" / "clients.md").read_text()
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    assert "assert " in blocks[0]
    # nnsight reads the source of what it runs, so that it has to be a file's
    path = ROOT / "build" / f"{title.replace(' ', '_')}_example.py"
    path.write_text(blocks[0])
    runpy.run_path(str(path), run_name="__main__")


def run_example(name: str) -> Any:
    """What the main function of an example returns."""
    return runpy.run_path(str(ROOT / "examples" / f"{name}.py"))["main"]()
