# Everything runs from .venv, made by `make install` from the lock files.
SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CANDIDATES := python3.13 python3.12 python3.11 python3
# A name on PATH may be a shim that does not run, so each candidate is tried.
SUPPORTED := import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 15))

# Where it is set, each of the hundreds of processes of the tests would compile 450 modules anew.
unexport PYTHONDONTWRITEBYTECODE

UV_VERSION := 0.13.9
LOCK_VENV := .venv-lock
COMPILE = $(LOCK_VENV)/bin/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

.PHONY: help install demo test check lint format lock bench-events bench-train pictures clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## Make .venv with the endcap command, on the locked versions (PYTHON=... to choose)

$(STAMP): requirements-dev.lock pyproject.toml
	@set -eu; \
	python=; \
	for candidate in $(or $(PYTHON),$(CANDIDATES)); do \
		if "$$candidate" -c '$(SUPPORTED)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
		echo "endcap needs Python 3.11, 3.12, 3.13 or 3.14; tried: $(or $(PYTHON),$(CANDIDATES))." >&2; \
		echo "Install one (Debian: apt-get install python3 python3-venv; macOS: brew install python@3.13)" >&2; \
		echo "or name it: make $(or $(MAKECMDGOALS),install) PYTHON=/path/to/python3.12" >&2; \
		exit 1; \
	fi; \
	if [ -n "$(PYTHON)" ] || ! $(BIN)/python -m pip --version >/dev/null 2>&1; then \
		echo "Making $(VENV) with $$("$$python" --version)"; \
		"$$python" -m venv --clear $(VENV); \
	fi; \
	echo "Installing the locked packages into $(VENV) (one to three minutes the first time)"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes \
		-r requirements-dev.lock; \
	$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib endcap.py models service training || true; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	if ! $(BIN)/python -c 'import implicit' >/dev/null; then \
		echo "implicit, which trains the model, does not load (see above). If it misses OpenMP:" >&2; \
		echo "Debian: apt-get install libgomp1; Fedora: dnf install libgomp; macOS: brew install libomp" >&2; \
		exit 1; \
	fi; \
	touch $@

demo: install ## Run a simulated shop: data, training, server, live shoppers, console
	@$(BIN)/endcap demo

# Threads that wait for each other's sums spin by default, on cores that other processes need.
test: export OMP_WAIT_POLICY := passive
test: install ## Run the tests: several at once where no time is asserted, then the rest alone
	@$(BIN)/python -m pytest tests/unit \
		--numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest --ignore tests/unit -m untimed \
		--numprocesses auto --maxprocesses 3 --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest --ignore tests/unit -m 'not untimed'

bench-train: install ## Time and memory of a whole training run beside the raw implicit fit
	@$(BIN)/python -m tests.benchmarks.train

check: lint test ## Run everything CI runs: format, lint, types, import directions, tests

lint: install ## Check format, lint, types and import directions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## Format the code and apply the safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lock: ## Rewrite the lock files from pyproject.toml (UPGRADE=1 moves to the newest versions)
	@test -x $(LOCK_VENV)/bin/uv || python3 -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@$(COMPILE) --extra build --extra postgres --output-file requirements.lock
	@$(COMPILE) --extra dev --constraints requirements.lock --output-file requirements-dev.lock
	@if grep -nE '://|file:' requirements.lock requirements-dev.lock; then \
		echo "a lock file must not hold an address" >&2; exit 1; fi

bench-events: install ## Measure intake and reports (EXPOSURES=10000000 for the long log)
	@$(BIN)/python -m tests.benchmarks.events $(if $(EXPOSURES),--exposures $(EXPOSURES))

pictures: install ## Take the README's pictures again, from a demo in Chromium (three minutes)
	@$(BIN)/python -m tests.browser.take_pictures

clean: ## Remove what the targets above made, except .endcap
	@rm -rf $(VENV) $(LOCK_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
