# Everything that one does with Likeness, by one word each. The first target that runs sets up what it needs.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

PYTHON ?= $(firstword $(shell command -v python3.11) $(shell command -v python3))
BIN := .venv/bin
# Hands arguments on: make demo ARGS='--requests 50 --json'
ARGS ?=
# Anything here has deepface measured beside: make bench PEER=1
PEER ?=

help: ## Say what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 16

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "expected Python 3.11, got $$($(PYTHON) --version): make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
	@echo "setting up .venv (once; some gigabytes are fetched)" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --progress-bar off --require-hashes -r requirements.lock >&2
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable . >&2
	@touch $@

setup: .venv/ready ## Make the virtual environment with everything in it

demo: .venv/ready ## Watch the whole road run on real parts, and read the report
	@$(BIN)/likeness demo $(ARGS)

test: .venv/ready ## Run every test: unit, contract, integration, acceptance, faults
ifeq ($(ARGS),)
	@$(BIN)/python -m pytest -n 3 --dist loadfile streams generators tests/unit tests/contract tests/integration
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/acceptance
	@$(BIN)/python -m pytest tests/faults
else
	@$(BIN)/python -m pytest $(ARGS)
endif

unit: .venv/ready ## Run the unit and contract tests: of servers, PostgreSQL alone
	@$(BIN)/python -m pytest streams generators tests/unit tests/contract $(ARGS)

families: .venv/ready ## Sample every trained family over Triton, and judge the samples (minutes)
	@$(BIN)/likeness families served $(ARGS)

faults: .venv/ready ## Break the whole road in every way once, and hold it to its promise (minutes)
	@$(BIN)/python -m tests.faults $(ARGS)

faults-long: .venv/ready ## The same hundreds of times (most of an hour), and write docs/RELIABILITY.md
	@$(BIN)/python -m tests.faults --long --publish docs $(ARGS)

bench: .venv/ready $(if $(PEER),.venv-bench/ready) ## Measure everything in one run (PEER=1: deepface beside it)
	@$(BIN)/python -m tests.bench $(ARGS)

drift: .venv/ready ## Hold the charts to their promises on drift of a known size, and write it into docs/DRIFT.md
	@$(BIN)/python -m tests.bench.drift --publish docs/DRIFT.md $(ARGS)

.venv-bench/ready: tests/bench/deepface.txt
	@echo "setting up .venv-bench with deepface (once; six gigabytes)" >&2
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --progress-bar off --no-deps --require-hashes -r $< >&2
	@touch $@

check: .venv/ready ## Lint, format, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: .venv/ready ## Format and sort imports
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

lock: ## Write requirements.lock anew from pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.lock pyproject.toml
	@sed -i '/^# WARNING: pip install will require/,/^    # via likeness-qc/d' requirements.lock # the package itself

lock-bench: ## Write tests/bench/deepface.txt anew from deepface.in
	@$(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --no-header --no-emit-index-url \
	  --no-emit-find-links --no-emit-trusted-host --unsafe-package tensorflow --unsafe-package triton \
	  --output-file tests/bench/deepface.txt tests/bench/deepface.in

clean: ## Delete the virtual environments and every cache in the checkout
	@rm -rf .venv .venv-bench .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist

.PHONY: help setup demo test unit families faults faults-long bench drift lock-bench check format lock clean
