"""Where jobs run: processes of this machine, and anything else with `submit`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planted
from planted import library
from planted.core import artefact, files
from planted.errors import PlantedError
from planted.runs import executor, jobs, work
from planted.runs.executor import opened, worker_count
from planted.runs.progress import sentence
from tests.end_to_end.conftest import PATHS, PLANT, cell_of
from tests.end_to_end.short import Inline


def test_fewer_processes_than_cores_may_use_any_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor, "_cores", lambda: 64)
    with opened(None, 1) as pool:  # of two such runs, both would take the first core
        found = pool.submit(lambda: os.sched_getaffinity(0)).result()
    assert found == os.sched_getaffinity(0)


def test_a_process_takes_what_only_its_value_can_carry_and_has_one_core_and_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PLANTED_WORKERS", raising=False)
    factor = 3
    with opened(None, worker_count()) as pool:
        assert pool.submit(lambda x: factor * x, 4).result() == 12
        assert pool.submit(lambda: len(os.sched_getaffinity(0))).result() == 1
        said = pool.submit(lambda: dict(os.environ)).result()
        assert pool.submit(lambda: __import__("planted").__file__).result() == planted.__file__
    assert "intra_op_parallelism_threads=1" in said["XLA_FLAGS"]
    assert said["OPENBLAS_NUM_THREADS"] == "1"
    assert said["JAX_PLATFORMS"] == "cpu"


def test_a_plant_of_lambdas_is_trained_in_a_process(tmp_path: Path) -> None:
    plant = library.get(PLANT, "tempered")
    base = replace(plant.scenario.base, of=lambda tokens: 2 * plant.scenario.base.of(tokens))
    own = replace(plant, name="mine", origin="object", scenario=replace(plant.scenario, base=base))
    recipe = planted.Recipe("pressure", steps=10, seeds=1)
    with opened(None, 1) as pool:
        pool.submit(jobs.train_cells, own, recipe, [(0, tmp_path)]).result()
    assert (tmp_path / "cell.json").exists()
    assert artefact.plant_digest(own) != artefact.plant_digest(plant)


def test_a_folder_of_the_packages_name_does_not_shadow_it(tmp_path: Path) -> None:
    for name in ("planted", "loky", "numpy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong one')")
    code = (
        "from planted.runs.executor import opened\n"
        "from planted.runs.jobs import train_cells\n"
        "with opened(None, 1) as pool:\n"
        "    print(pool.submit(getattr, train_cells, '__module__').result())\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "planted.runs.jobs\n", done.stderr


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('once', flush=True)\n"
        "from planted.runs.executor import opened\n"
        "def double(x): return 2 * x\n"
        "with opened(None, 2) as pool:\n"
        "    print([f.result() for f in [pool.submit(double, k) for k in range(3)]])\n"
    )
    done = subprocess.run([sys.executable, "-P", str(script)], capture_output=True, text=True)
    assert done.stdout == "once\n[0, 2, 4]\n", done.stderr


def test_what_a_job_raises_reaches_the_caller() -> None:
    def trouble() -> None:
        raise PlantedError("Mend this.")

    with opened(None, 1) as pool, pytest.raises(PlantedError, match=r"Mend this\."):
        pool.submit(trouble).result()


def test_a_bug_in_a_job_is_shown_with_its_traceback() -> None:
    with opened(None, 1) as pool, pytest.raises(ZeroDivisionError) as caught:
        pool.submit(lambda: 1 / 0).result()
    assert "Traceback" in str(caught.value.__cause__)


def test_workers_end_with_the_process_that_started_them() -> None:
    code = (
        "import os, time\n"
        "from planted.runs.executor import opened\n"
        "with opened(None, 1) as pool:\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    pool.submit(time.sleep, 600).result()\n"
    )
    parent = subprocess.Popen([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    os.kill(worker, 0)
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 30
    while files._alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not files._alive(worker)


def _leave() -> None:
    with opened(None, 1) as pool:
        pool.submit(time.sleep, 600)
        raise LookupError


def test_leaving_in_trouble_does_not_wait_for_what_runs() -> None:
    began = time.monotonic()
    with pytest.raises(LookupError):
        _leave()
    assert time.monotonic() - began < 60


def test_a_killed_worker_is_the_users_to_mend(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any) -> None:
        raise BrokenExecutor("a worker was killed")

    (cell_of(copy, "pressure", 0).folder / "evidence" / PATHS).unlink()
    monkeypatch.setattr(jobs, "judge_cell", killed)
    networks = [cell_of(copy, "pressure", 0)]
    with pytest.raises(PlantedError, match=r"memory is short\. What was finished is kept"):
        work.work(library.get(PLANT, "tempered"), networks, executor=Inline())
    with opened(None, 1) as pool, pytest.raises(BrokenExecutor):
        pool.submit(lambda: os.kill(os.getpid(), signal.SIGKILL)).result()


def test_an_executor_of_the_users_own_does_the_jobs_and_is_left_running(copy: Path) -> None:
    path = cell_of(copy, "pressure", 0).folder / "evidence" / PATHS
    before = path.read_bytes()
    path.unlink()
    recipe = planted.Recipe("pressure", steps=250, behaviour="none", seeds=1)
    with ThreadPoolExecutor(1) as pool:
        with pytest.warns(UserWarning, match="few-controls"):
            planted.run(PLANT, recipe, out=copy, anyway=True, executor=pool)
        assert pool.submit(lambda: 1).result() == 1
    assert path.read_bytes() == before


def test_what_a_progress_callback_raises_reaches_the_caller(copy: Path) -> None:
    def progress(said: Any) -> None:
        raise LookupError("the user's own")

    networks = [cell_of(copy, "pressure", 0)]
    with pytest.raises(LookupError, match="the user's own"):
        work.work(library.get(PLANT, "tempered"), networks, progress=progress)


def test_workers_from_the_environment_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("PLANTED_WORKERS", wrong)
        with pytest.raises(PlantedError, match="PLANTED_WORKERS must be a whole number from 1"):
            worker_count()


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (40.2, "12 of 32 networks; next: cued; about 40 s left"),
        (600.0, "12 of 32 networks; next: cued; about 10 min left"),
        (8000.0, "12 of 32 networks; next: cued; about 2.2 h left"),
        (None, "12 of 32 networks; next: cued"),
    ],
)
def test_progress_is_a_line_for_a_person(left: float | None, said: str) -> None:
    assert sentence({"done": 12, "total": 32, "next": "cued", "left_s": left}) == said


def test_what_a_killed_process_left_half_written_is_removed_and_a_living_ones_is_not(
    tmp_path: Path,
) -> None:
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom planted.core import files\n"
        "os.replace = lambda *_: os._exit(9)\n"
        "files.write_bytes(Path(sys.argv[1]), b'half')\n"
    )
    path = tmp_path / "below" / "file.json"
    subprocess.run([sys.executable, "-P", "-c", code, str(path)], check=False)
    (left,) = path.parent.iterdir()
    mine = path.parent / left.name.replace(left.name.split(".")[-4], str(os.getpid()))
    mine.write_text("being written")
    files.remove_partial(tmp_path)
    assert list(path.parent.iterdir()) == [mine]
