# Everything runs in private environments under this folder; needed: make, git and Python 3.11 or newer.
# Which package registry serves them is for pip's own configuration on your machine to say.

PYTHON ?= python3
VENV   := .venv
DEMO   := .venv-demo
BIN    := $(VENV)/bin
# Processes that run tests, each with servers of its own; 0 runs them in one, as a debugger likes it.
TESTERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help venv demo test lint types imports unit fidelity fuzz format benchmark clean
# A recipe that fails half-way must not leave a stamp behind.
.DELETE_ON_ERROR:

help: ## Show this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 18

venv: $(VENV)/made ## Make the private environment for development

# $(call environment,FOLDER,REQUIREMENTS): built anew only where the requirements or the packaging changed.
define environment
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@echo "== $(1): installing $(2)"
	@$(PYTHON) -m venv $(1) || \
	  { echo "The module venv is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(1)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $(2)
	@$(1)/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
endef

$(VENV)/made: requirements/dev.txt pyproject.toml
	$(call environment,$(VENV),requirements/dev.txt)

$(DEMO)/made: requirements/demo.txt pyproject.toml
	$(call environment,$(DEMO),requirements/demo.txt)

demo: $(DEMO)/made ## Migrate a sample shop to an embedded PostgreSQL, break it, take it back, prove it
	@$(DEMO)/bin/sensei demo

test: venv ## Everything that a change has to pass: lint, types, imports, all tests
	@echo "== servers"
	@tests/install-servers.sh
	@$(MAKE) --no-print-directory lint types imports unit

lint: venv ## Style, and the formatter's opinion
	@echo "== lint"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: venv ## Types, strictly
	@echo "== types"
	@$(BIN)/mypy

imports: venv ## Who may import whom
	@echo "== imports"
	@$(BIN)/lint-imports

unit: venv ## All tests, each on private servers (make unit ARGS="tests/cli -k demo" for some)
	@echo "== tests"
	@$(BIN)/pytest -q -n $(TESTERS) --dist worksteal $(ARGS)

fidelity: venv ## Whole databases everywhere and back; writes docs/fidelity.md
	@TESTERS=$(TESTERS) $(BIN)/python tests/fidelity_document.py

fuzz: venv ## Random databases everywhere and back (make fuzz FUZZ_MINUTES=60), minutes of all directions together
	@FUZZ_MINUTES=$(or $(FUZZ_MINUTES),10) $(BIN)/pytest -q -n $(TESTERS) --dist worksteal tests/conformance/test_fuzz.py tests/conformance/test_fuzz_expressions.py

format: venv ## Put the code into the formatter's form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

benchmark: venv ## Sensei beside pgloader and pgcopydb (ARGS="--scale 1")
	@$(BIN)/python benchmarks/run.py $(ARGS)

clean: ## Remove the environments and everything generated
	rm -rf $(VENV) $(DEMO) .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache dist build
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
