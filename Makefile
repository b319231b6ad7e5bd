# What is needed beforehand: make, and Python 3.11 or newer with venv and pip. Everything else is installed in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CODE := $(wildcard src tests tools benchmarks)

# The system's certificates: a machine behind a proxy of its own keeps that proxy's certificate there.
export UV_SYSTEM_CERTS := 1
UV_PIP := $(BIN)/uv pip
INSTALL := $(UV_PIP) install --python $(BIN)/python
COMPILE := $(UV_PIP) compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)

UV_STAMP := $(VENV)/.uv.stamp
DEMO_STAMP := $(VENV)/.demo.stamp
DEV_STAMP := $(VENV)/.dev.stamp

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

.PHONY: help
help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(DEV_STAMP) ## Make .venv with everything that development needs

.PHONY: spark
spark: $(DEV_STAMP) ## Put PySpark in .venv, 500 MB, for the tests that ask Spark; they need Java too
	$(INSTALL) -r benchmarks/rivals/pyspark/requirements.txt

.PHONY: demo
demo: $(DEMO_STAMP) ## Run the demonstration on the flights of 2013 (ARGS="..." are handed on)
	$(BIN)/headrace demo $(ARGS)

.PHONY: check
check: lint types layers test ## Everything that CI runs: lint, types, layers, tests

.PHONY: lint
lint: $(DEV_STAMP) ## Rules of style, and the format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: $(DEV_STAMP) ## Put the code in the format that `lint` wants
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: types
types: $(DEV_STAMP) ## Static types
	$(BIN)/mypy $(CODE)

.PHONY: layers
layers: $(DEV_STAMP) ## Who may import whom
	$(BIN)/lint-imports

.PHONY: test
test: $(DEV_STAMP) ## The tests (ARGS="..." are handed on to pytest)
	$(BIN)/pytest -n auto --dist worksteal $(ARGS)

.PHONY: coverage
coverage: $(DEV_STAMP) ## The tests, and which branches they leave out
	$(BIN)/pytest -n auto --dist worksteal --cov $(ARGS)

.PHONY: bench
bench: $(DEV_STAMP) ## The benchmarks (ARGS="..." are handed on)
	$(BIN)/python -m benchmarks $(ARGS)

.PHONY: docs
docs: $(DEV_STAMP) ## Write the generated pages of docs/ again
	$(BIN)/python -m tools.docs
	$(BIN)/python -m tools.dashboard

.PHONY: lock
lock: $(UV_STAMP) ## Write requirements/*.txt from pyproject.toml (UPGRADE=1 takes the newest versions)
	echo uv | $(COMPILE) - --output-file requirements/uv.txt
	$(COMPILE) pyproject.toml --group build --group dev --extra demo --extra serve --extra postgres --extra grpc --extra redis --extra tracing --extra notify --extra excel --extra cloud --extra databases --output-file requirements/dev.txt
	$(COMPILE) pyproject.toml --group build --extra demo --extra serve --constraints requirements/dev.txt \
		--no-annotate --output-file requirements/demo.txt
	$(COMPILE) pyproject.toml --group build --constraints requirements/dev.txt \
		--no-annotate --output-file requirements/base.txt

.PHONY: clean
clean: ## Remove .venv, the caches and what was built
	rm -rf $(VENV) dist .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find $(CODE) -name __pycache__ -prune -exec rm -rf {} +

# A stamp says that what it stands for is installed. It is made again when a lock or pyproject.toml is newer.
# The lock of development holds that of the demonstration, so that installing the former makes both stamps.

$(UV_STAMP): requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Headrace needs Python 3.11 or newer, and \
	$(PYTHON) is " + sys.version.split()[0] + ": give another one by make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/uv.txt
	touch $@

$(DEMO_STAMP): $(UV_STAMP) pyproject.toml requirements/demo.txt
	$(INSTALL) --require-hashes --requirement requirements/demo.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $@

$(DEV_STAMP): $(UV_STAMP) pyproject.toml requirements/dev.txt
	$(UV_PIP) sync --compile-bytecode --python $(BIN)/python --require-hashes requirements/dev.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	touch $(DEMO_STAMP) $@
