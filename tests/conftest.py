"""What every test runs under: one thread a process, warnings as errors (pyproject.toml)."""

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
