# Two commands matter: `make demo` and `make test`. Both set up .venv the first time.

PYTHON ?= python3
BIN := .venv/bin
FARM := build/types

# One thread a process: the networks are small, and the tests and the trainer use processes.
export OPENBLAS_NUM_THREADS ?= 1
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help

.PHONY: help demo test lint types imports wheel unit proofs ship bench bench-runs fates revival noise cues probes study certify tiers room natural controls mutants fuzz validation calibrate known-fates damage ambiguity clients beside bench-compile api clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' Makefile

demo: .venv/.demo ## plant red-doors, train it by four recipes and five seeds, judge it, write the page
	$(BIN)/planted run red-doors --recipe pressure --recipe coincident --recipe read-out \
		--recipe cued --seeds 5 --out runs/demo

test: lint types imports wheel unit ## everything that must hold before a change is merged

lint: .venv/.dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.dev farm ## mypy --strict
	cd $(FARM) && MYPYPATH=. ../../$(BIN)/mypy --strict --cache-dir ../../.mypy_cache -p planted

imports: .venv/.dev farm ## import-linter: which room may import which
	cd $(FARM) && PLANTED_LINKS=1 ../../$(BIN)/lint-imports --cache-dir ../../.import_linter_cache

wheel: .venv/.dev ## builds the wheel and tests it without jax, from another folder
	rm -rf build/dist
	$(BIN)/pyproject-build --outdir build/dist .
	$(BIN)/python tests/wheel/check.py build/dist/*.whl

unit: .venv/.dev ## pytest, without the longest tests
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not proof"

proofs: .venv/.dev ## the longest tests: whole runs, their fates, trust earned on the spot
	$(BIN)/python -m pytest -n 2 --dist worksteal -m proof

ship: .venv/.demo ## plants every shipped model anew, into planted/models
	$(BIN)/python -m tools.ship

bench: .venv/.dev ## timings, as ratios within one run
	$(BIN)/python -m tools.bench
	$(BIN)/python -m tools.bench_compile
	$(BIN)/python -m tools.bench_expressions

bench-runs: .venv/.demo ## how long default runs take, on a quiet machine: docs/benchmark-runs.md; an hour
	$(BIN)/python -m tools.bench_runs

bench-compile: .venv/.dev ## compile times of RASP expressions beside stock Tracr
	$(BIN)/python -m tools.bench_expressions

fates: .venv/.demo ## a plant of each family by seven recipes, judged, into runs/records: docs/fates.md; an hour
	$(BIN)/python -m tools.fates

revival: .venv/.dev ## how fast the planted objective comes back, in five families: docs/revival.md; an hour
	$(BIN)/python -m tools.revival

noise: .venv/.dev ## what weight noise and pruning bring back, in four families: docs/noise-and-pruning.md
	$(BIN)/python -m tools.noise

cues: .venv/.dev ## searches for unknown cues, with the runs of make fates: docs/unknown-cues.md; 20 minutes
	$(BIN)/python -m tools.cues

probes: .venv/.dev ## base-objective probes, with the runs of make fates: docs/base-probes.md; 20 minutes
	$(BIN)/python -m tools.probes

study: .venv/.demo ## trains every recipe in eleven families and default recipes in the others: docs/training-study.md
	$(BIN)/python -m tools.study

certify: .venv/.demo ## plants and proves the whole catalogue, written to docs/catalogue.md
	$(BIN)/python -m tools.certify

tiers: .venv/.demo ## a plant of every family in every tier, written to docs/tiers.md; hours
	$(BIN)/python -m tools.tiers

room: .venv/.demo ## trains networks without the plant: finetune/tiers/room.json; an hour
	$(BIN)/python -m tools.room

natural: .venv/.demo ## networks from scratch, search or lookup: docs/search-in-natural-models.md; an hour
	$(BIN)/python -m tools.natural

controls: .venv/.demo ## trains the controls that are shipped: eval/calibration/controls; hours
	$(BIN)/python -m tools.controls

mutants: .venv/.demo ## breaks weights one by one, written to docs/mutants.md
	$(BIN)/python -m tools.mutants

fuzz: .venv/.dev ## ten thousand random programs, right or refused, written to docs/fuzz.md
	$(BIN)/python -m tools.fuzz

calibrate: .venv/.demo ## error rates of the verdicts, with the runs of make fates: docs/calibration.md, the gate; an hour
	-$(BIN)/planted calibrate --records runs/records --out runs/calibration
	cp runs/calibration/calibration.md docs/calibration.md
	cp runs/calibration/gate.json eval/calibration/gate.json

known-fates: .venv/.dev ## verdicts on 60 models of known fate; fails where they are not good enough
	$(BIN)/planted calibrate --quick --out build/known-fates

damage: .venv/.dev ## reads ten thousand damaged plants, written to docs/damage.md
	$(BIN)/python -m tools.damage

validation: .venv/.demo ## validates the evaluators: docs/validation.md, eval/calibration/trust.json
	$(BIN)/python -m tools.validation

ambiguity: .venv/.demo ## two searches and a lookup that agree in training: docs/ambiguity.md
	$(BIN)/python -m tools.ambiguity

clients: .venv/.dev ## adapters beside their libraries, each in its own environment: docs/clients.md
	$(BIN)/python -m tools.clients --write

beside: .venv/.dev ## the same, without the page
	$(BIN)/python -m tools.clients

api: .venv/.dev ## the API reference, into build/api; fails where a link is dead
	$(BIN)/python -m tools.api

clean: ## removes the environment and everything that was built
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The folders programs, finetune and eval are packages inside planted. An editable install maps
# them by an import hook, which mypy and import-linter do not follow: they get links instead.
.PHONY: farm
farm:
	@rm -rf $(FARM) && mkdir -p $(FARM)/planted
	@for path in planted/* programs finetune eval; do \
		ln -s "$(CURDIR)/$$path" $(FARM)/planted/; done
	@ln -s "$(CURDIR)/pyproject.toml" $(FARM)/

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"planted needs Python 3.11 or newer; name one with: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv

# An editable install is found last, after any folder called planted where Python is started, as
# the folder above a clone: this line of the environment has it found first, but where links stand
# in for it (`make imports`).
FIRST := import os, sys; os.environ.get("PLANTED_LINKS") or sys.meta_path.sort( \
	key=lambda f: "planted" not in getattr(f, "__module__", ""))
found-first = echo '$(FIRST)' > $$($(BIN)/python -c \
	'import sysconfig; print(sysconfig.get_path("purelib"))')/planted_first.pth

# Without torch: training runs by JAX.
.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,report]'
	$(found-first)
	touch $@

.venv/.dev: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	$(found-first)
	touch .venv/.demo $@
