.DEFAULT_GOAL := help
# What the virtual environment was made with, once there is one: another would take it apart.
PYTHON ?= $(if $(wildcard .venv/bin/python),.venv/bin/python,python3)
BIN := .venv/bin
FOR ?=
WORKERS ?= 2
# Scenarios wait for processes and servers more than they work.
SCENARIO_WORKERS ?= 4
FLEET ?=
JSON ?=
# Tests start the hub by the hundred: compiled each time, each start would take half as long again.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "hub needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	PYTHONWARNINGS="ignore:Editable installation" $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/ready ## make the virtual environment and install what is locked

demo: .venv/ready ## simulated broker, hub, CRM and mail receivers, live; FOR=20s ends by itself, JSON=1 for one JSON line
	@$(BIN)/hub demo $(if $(FOR),--for $(FOR)) $(if $(JSON),--json)

test: .venv/ready ## run every test, in WORKERS processes at once; FLEET=2m: beside them a fleet under fire
	$(if $(FLEET),@$(MAKE) --no-print-directory chaos FOR=$(FLEET) & fleet=$$!; )$(BIN)/pytest -n $(WORKERS) --dist loadgroup tests/unit$(if $(FLEET),; units=$$?; wait $$fleet && exit $$units)
	$(BIN)/pytest -n $(SCENARIO_WORKERS) tests/conformance tests/scenarios
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --ignore=tests/unit --ignore=tests/conformance --ignore=tests/scenarios

chaos: .venv/ready ## kill and pause a fleet's processes, crash its servers, cut its network, for FOR=30m; 60 s if not said
	HUB_TESTS_CHAOS_SECONDS=$$($(BIN)/python -c 'from hub.durations import duration; print(duration("$(or $(FOR),60s)").total_seconds())') \
		$(BIN)/pytest -m fleet -s

check: .venv/ready lint types test ## everything that must be green before a commit

fmt: .venv/ready ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: .venv/ready ## formatting, lint, and which room imports which
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo >.import_linter.log || { cat .import_linter.log; exit 1; }

types: .venv/ready ## mypy, strict
	$(BIN)/mypy

bench: .venv/ready ## figures as ratios to a ceiling taken in the same run; a table and bench.json
	$(BIN)/hub bench

lock: .venv/ready ## write the lock files again, with hashes and without addresses
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra dev --output-file requirements-dev.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra demo --extra push --extra apprise --output-file requirements.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --extra scaled --extra push --extra apprise --output-file requirements-scaled.lock pyproject.toml
	$(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url --no-emit-trusted-host --no-emit-find-links --only-build-deps --build-deps-for wheel --output-file requirements-build.lock pyproject.toml

clean: ## remove what was built
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter.log .import_linter_cache

.PHONY: help setup demo test chaos check fmt lint types bench lock clean
