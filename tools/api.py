"""Builds the API reference by pdoc into build/api, and fails where a link leads nowhere."""

import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path

import pdoc

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "api"
ROOMS = {"planted": "planted", "programs": "planted.programs", "finetune": "planted.finetune"}
ROOMS["eval"] = "planted.eval"


def specs() -> list[str]:
    """The public face, the modules and folders of planted/, and the three mapped packages.

    Each by name: `planted.__all__` hides its submodules from pdoc, and the mapping of folders to
    packages is not followed.
    """
    inside = {
        path.parent.name if path.name == "__init__.py" else path.stem
        for path in [*(ROOT / "planted").glob("*.py"), *(ROOT / "planted").glob("*/__init__.py")]
    } - {"planted", "__main__", "models"}
    return ["planted", *(f"planted.{name}" for name in sorted(inside)), *list(ROOMS.values())[1:]]


def without_page() -> list[str]:
    """Modules that have no page."""
    missing = []
    for folder, package in ROOMS.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            inner = path.relative_to(ROOT / folder).with_suffix("").parts
            parts = [*package.split("."), *(part for part in inner if part != "__init__")]
            page = OUT.joinpath(*parts).with_suffix(".html")
            if not {"__main__", "models"} & set(parts) and not page.exists():
                missing.append(".".join(parts))
    return missing


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if given.get("id"):
            self.anchors.add(str(given["id"]))
        if tag == "a" and given.get("href"):
            self.links.add(str(given["href"]))


def dead_links(folder: Path) -> list[str]:
    """Links to a page or an anchor that is not there, as "page: link"."""
    pages = {}
    for path in sorted(folder.rglob("*.html")):
        pages[path.resolve()] = Page()
        pages[path.resolve()].feed(path.read_text(encoding="utf-8"))
    dead = []
    for path, page in pages.items():
        for link in sorted(page.links):
            target, _, anchor = link.partition("#")
            if "://" in target or target.startswith("mailto:"):
                continue
            there = (path.parent / target).resolve() if target else path
            if there not in pages or (anchor and anchor not in pages[there].anchors):
                dead.append(f"{path.relative_to(folder.resolve())}: {link}")
    return dead


def main() -> None:
    pdoc.render.configure(docformat="google", show_source=False, math=False, search=True)
    shutil.rmtree(OUT, ignore_errors=True)
    pdoc.pdoc(*specs(), output_directory=OUT)
    dead, missing = dead_links(OUT), without_page()
    pages = len(list(OUT.rglob("*.html")))
    print(f"{pages} pages in {OUT}; {len(dead)} dead links, {len(missing)} modules without a page")
    if dead or missing:
        print("\n".join([*dead, *missing]), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
