"""The house: what is a package, who may import what, and what importing costs."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = {"planted": "planted", "programs": "planted.programs", "finetune": "planted.finetune"}
ROOMS["eval"] = "planted.eval"
SOURCES = sorted(path for folder in ROOMS for path in (ROOT / folder).rglob("*.py"))
EVERYTHING = SOURCES + sorted(
    path for folder in ("tests", "examples", "tools") for path in (ROOT / folder).rglob("*.py")
)
HEAVY = ("haiku", "jax", "matplotlib", "optax", "scipy", "sklearn", "statsmodels", "torch", "tracr")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_listed_packages_are_the_tree():
    tree = set()
    for folder, package in ROOMS.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            inner = path.parent.relative_to(ROOT / folder).parts
            tree.add(".".join((package, *inner)))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == tree
    mapped = PROJECT["tool"]["setuptools"]["package-dir"]
    assert mapped == {package: folder for folder, package in ROOMS.items()}


def test_every_folder_with_modules_is_a_package():
    folders = {path.parent for path in SOURCES}
    assert [relative(f) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def imported(tree: ast.AST) -> set[str]:
    """The top-level names that a module imports anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", EVERYTHING, ids=relative)
def test_no_module_is_imported_a_second_time_by_its_folder(path):
    # in the root, `import programs` succeeds and is another module than planted.programs
    found = imported(ast.parse(path.read_text(encoding="utf-8")))
    assert found.isdisjoint({"programs", "finetune", "eval"})


def test_the_check_above_can_fail():
    assert imported(ast.parse("def f():\n    from programs.pieces import choose")) == {"programs"}
    assert imported(ast.parse("import eval.paths as p, json")) == {"eval", "json"}
    assert imported(ast.parse("from planted import programs")) == {"planted"}


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


MOST_LINES = {"function": 40, "module": 400}
EXCUSE = "Long because"


def too_long(source: str) -> list[str]:
    """The functions whose body without docstring is too long, and whose docstring says no why."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            said = ast.get_docstring(node)
            before = node.body[0].end_lineno if said is not None else node.body[0].lineno - 1
            lines = (node.end_lineno or 0) - (before or 0)
            if lines > MOST_LINES["function"] and EXCUSE not in (said or ""):
                found.append(f"{node.name}: {lines} lines")
    return found


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_long_function_says_why_it_is_long(path):
    assert too_long(path.read_text(encoding="utf-8")) == []


def test_the_check_of_functions_can_fail():
    def function(doc: str, lines: int) -> str:
        return f"class A:\n    def f(self):\n{doc}" + "        pass\n" * lines

    doc = '        """One line.\n\n        {}\n        """\n'
    assert too_long(function("", 40)) == too_long(function(doc.format("Why?"), 40)) == []
    assert too_long(function("", 41)) == ["f: 41 lines"]
    assert too_long(function(doc.format("Why?"), 41)) == ["f: 41 lines"]
    assert too_long(function(doc.format("Long because it is one table."), 41)) == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_no_module_is_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES["module"]


def loaded_by(code: str, folder: Path) -> set[str]:
    """The heavy packages in `sys.modules` after `code`, in a process of its own."""
    report = f"import sys\nprint('loaded:', *(set({HEAVY}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_the_check_below_can_fail(tmp_path):
    assert "scipy" in loaded_by("import scipy", tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        "import planted",
        "import planted.pytest_plugin",
        "import planted.cli",
        "import planted; planted.load('red-doors@1').choices([[0, 1, 2, 3, 4, 33]])",
    ],
)
def test_using_a_shipped_model_needs_nothing_heavy(code, tmp_path):
    assert loaded_by(code, tmp_path) == set()


def test_a_pytest_session_that_uses_the_fixture_loads_nothing_heavy(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it(planted_model): assert planted_model.name")
    code = "import pytest, sys\nassert pytest.main(['-q']) == 0\nassert 'planted' in sys.modules"
    assert loaded_by(code, tmp_path) == set()


def test_a_folder_of_its_name_where_python_is_started_does_not_hide_the_package(tmp_path):
    (tmp_path / "planted" / "planted").mkdir(parents=True)  # as the folder above a clone
    done = subprocess.run(
        [sys.executable, "-c", "import planted; print(planted.load.__name__)"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "load\n", done.stderr


def test_the_version_is_said_once():
    import planted

    assert planted.__version__ == PROJECT["project"]["version"]
    assert f"## {planted.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()


def test_every_public_name_is_there():
    import planted

    assert isinstance(planted.__version__, str)
    for name in set(planted.__all__) - {"__version__"}:
        assert callable(getattr(planted, name)), name
    assert planted.plant.__module__ == "planted.library"
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        _ = planted.lod  # type: ignore[attr-defined]
