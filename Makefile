.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

GOAL ?= Read examples/data/penguins.csv, keep the rows where body_mass_g is above 4000, \
average body_mass_g by species, sort by the average descending, and save the table as \
out/heavy-penguins.md
YES ?=
LOCAL_MODEL ?=

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

.PHONY: dev
dev: $(STAMP) ## make .venv with everything, the package itself editable

# Bytecode is compiled at the end in one go, also where PYTHONDONTWRITEBYTECODE is set: without
# it the first import of the model library takes several seconds in every process.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --no-compile --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --no-compile -e .
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null || true
	@touch $@

LOCK := --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras \
  --resolver backtracking --no-header --no-annotate --no-emit-index-url \
  --no-emit-find-links --no-emit-trusted-host

.PHONY: lock
lock: ## write requirements.lock anew from pyproject.toml
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet 'pip-tools>=7.5'
	build/lock/bin/python -m piptools compile $(LOCK) --extra dev \
	  --output-file requirements.lock pyproject.toml
	echo 'xllamacpp>=2026.10' | build/lock/bin/python -m piptools compile $(LOCK) \
	  --output-file requirements-local.lock -
	rm -rf build/lock

# Without it every process that a test starts compiles the package anew where
# PYTHONDONTWRITEBYTECODE is set, and every process of the tests the tests themselves.
.PHONY: bytecode
bytecode: dev ## compile the package and the tests once, also where Python may not on its own
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 \
	  flowbuilder api bench evals executor
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m pytest --collect-only -q >/dev/null

# One more than there are processors, as tests also wait; more than four wait for each other.
PROCESSORS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
PROCESSES ?= $(shell $(PYTHON) -c 'import os; print(min(4, ($(PROCESSORS) or 1) + 1))')

.PHONY: test
test: dev ## run the tests (ARGS='-k name' passes options on)
	$(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)

.PHONY: faults
faults: export FLOWBUILDER_TEST_FAULTS := long
faults: dev ## long forms of the fault and model tests: SEED=n ARGS='-k f18'
	$(if $(SEED),FLOWBUILDER_TEST_SEED=$(SEED)) $(BIN)/python -m pytest tests/faults tests/model $(ARGS)

CALLS ?= 20000

.PHONY: conformance
conformance: dev ## calls made from the OpenAPI document: CALLS=20000 ARGS='--seed 7 --only /runs'
	$(BIN)/python -m tests.conformance --calls $(CALLS) $(ARGS)

.PHONY: surface
surface: dev ## write docs/openapi.json and docs/problems.md anew, as tests compare them
	$(BIN)/flowbuilder openapi > docs/openapi.json
	$(BIN)/python -m tests.support.problem_codes > docs/problems.md

.PHONY: bench
bench: dev ## measure the engine beside the floor that its queue sets (ARGS='W1 L2 --repeat 5')
	$(BIN)/flowbuilder bench $(ARGS)

.PHONY: test-postgres
test-postgres: export FLOWBUILDER_TEST_DSN := $(DSN)
test-postgres: dev ## run the tests on an existing server: DSN=postgresql://superuser@...
	@test -n "$$FLOWBUILDER_TEST_DSN" || { echo "DSN=postgresql://... is missing"; exit 2; }
	$(BIN)/python -m pytest -n $(PROCESSES) $(ARGS)

.PHONY: lint
lint: dev ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: dev ## ruff: mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: types
types: dev ## mypy, strict
	$(BIN)/python -m mypy

.PHONY: imports
imports: dev ## who may import whom
	$(BIN)/lint-imports

.PHONY: check
check: lint types imports test ## everything that .ci/run checks

# What the local model runs on is an extra: installed when it is asked for.
LOCAL_STAMP := $(VENV)/.installed-local
$(LOCAL_STAMP): $(STAMP)
	$(BIN)/python -m pip install -qq --no-deps --require-hashes -r requirements-local.lock
	@touch $@

# The goal reaches the shell as a variable, so that it may hold any quotes.
.PHONY: demo
demo: export FLOWBUILDER_DEMO_GOAL := $(value GOAL)
demo: dev $(if $(LOCAL_MODEL),$(LOCAL_STAMP)) ## plan and run a goal: GOAL='...' YES=1 LOCAL_MODEL=1
	@$(BIN)/flowbuilder --no-json run "$$FLOWBUILDER_DEMO_GOAL" $(if $(YES),--yes) $(if $(LOCAL_MODEL),--local-model)

.PHONY: clean
clean: ## remove the environment and the caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
