# The verbs of this project. `make run` and `make test` set up what they need and say what is
# missing; everything they install lives in .venv and web/node_modules, except packages from apt,
# which are installed only when you are root.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# What the interop tests run beside ours, and what does not go together with our own pins.
STRANGERS := .venv-interop
PIP := $(BIN)/pip --disable-pip-version-check
LOCK := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup run test lint format unit interop e2e browser bench fuzz tools clean

help:  ## This list
	@echo 'Penstock. ARGS="..." passes flags on: make run ARGS="--gateway.http.port 8081"'
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.run  ## Create .venv and install what running needs
run: setup  ## Start everything on this machine and print the page's address
	@$(BIN)/penstock up $(ARGS)

# -rs says what could not be tested here, and why.
test: $(VENV)/.dev $(STRANGERS)/.ok tools lint  ## Set up all, check, and run every test
	$(BIN)/pytest -q tests/unit
	$(BIN)/pytest -q -rs tests/interop tests/e2e
	$(BIN)/pytest -q tests/browser

interop: $(STRANGERS)/.ok
unit interop e2e browser: $(VENV)/.dev tools
	$(BIN)/pytest -q tests/$@

lint: $(VENV)/.dev web/node_modules/.ok  ## ruff, mypy --strict, tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd web && npx --no-install tsc --project .

format: $(VENV)/.dev  ## Let ruff rewrite
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev tools  ## Measure; ARGS="live runner" chooses
	@$(BIN)/python -m tests.bench $(ARGS)

fuzz: $(VENV)/.dev  ## Throw nonsense at trickle's HTTP; FUZZ_S=600 for longer, FUZZ_SEED=n for the same again
	@FUZZ_S=$(or $(FUZZ_S),60) $(BIN)/python -m tests.fuzz

tools:
	@scripts/tools.sh

unit:  ## Tests without a socket; likewise make interop, e2e, browser

clean:  ## Remove everything that was installed or built here
	rm -rf $(VENV) $(STRANGERS) web/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis bench-results

$(BIN)/pip:
	@scripts/python.sh "$(PYTHON)" $(VENV)

$(VENV)/.run: $(BIN)/pip $(LOCK)
	@echo "Installing what running needs (once, about a minute)"
	@$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.dev: $(BIN)/pip $(LOCK)
	@echo "Installing what testing needs (once)"
	@$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.run

$(STRANGERS)/.ok: constraints.txt | $(BIN)/pip
	@scripts/python.sh "$(PYTHON)" $(STRANGERS)
	@$(STRANGERS)/bin/pip --disable-pip-version-check install --quiet --constraint constraints.txt aiohttp
	@$(STRANGERS)/bin/pip --disable-pip-version-check install --quiet --no-deps pytrickle==0.1.6
	@touch $@

web/node_modules/.ok: web/package.json web/package-lock.json | tools
	@cd web && npm ci --silent --no-audit --no-fund
	@touch $@
