# Every target sets up what it needs on a machine with Python 3.11.4+, git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Progress where somebody watches, one line elsewhere.
UV := $(BIN)/uv pip install $$(test -t 1 || echo --quiet) --compile-bytecode --python $(BIN)/python

# Nothing phones home, and the tools of this checkout keep their state inside it.
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export DO_NOT_TRACK := true
export MLFLOW_DISABLE_TELEMETRY := true
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 120
export PREFECT_LOGGING_EXTRA_LOGGERS := reid
export PREFECT_HOME ?= $(CURDIR)/.prefect

.PHONY: help install demo ui test tests lint format types imports schemas lock clean

help: ## show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

install: $(VENV)/.pipeline ## make .venv with the pinned versions

demo: $(VENV)/.pipeline ## the whole chain on the embedded sample: under 3 minutes on 2 cores
	@$(BIN)/python -m flows.demo

ui: $(VENV)/.pipeline ## the MLflow and Prefect pages of the demo, on loopback
	@$(BIN)/python infra/ui.py

test: $(VENV)/.dev ## lint, types, import contracts and all tests
	@sh infra/test-system.sh
	$(MAKE) --no-print-directory lint imports
	$(MAKE) --no-print-directory -j2 types tests

tests: $(VENV)/.dev # as test, without lint, types and the system's packages
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not gpu and not benchmark" --durations=30 --durations-min=8 $(ARGS)

lint: $(VENV)/.dev ## style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## rewrite to style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## the directions between rooms
	$(BIN)/lint-imports

schemas: $(VENV)/.pipeline ## write docs/spec.md anew from the code
	$(BIN)/reid schema --docs docs/spec.md

lock: $(VENV)/.uv ## resolve constraints.txt anew
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --upgrade --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o constraints.txt

clean: ## remove results and caches of this checkout, not the data
	rm -rf results mlruns mlartifacts mlflow.db mlflow.db.lock .prefect .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11, 4) and \
	  "Python %s.%s.%s found, and 3.11.4 or newer is needed: make PYTHON=python3.12 ..." % sys.version_info[:3])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5,<1'
	@touch $@

$(VENV)/.pipeline: pyproject.toml constraints.txt | $(VENV)/.uv
	@echo "installing the pinned versions into $(VENV) (6 GB with PyTorch's CUDA libraries, up to 12.6 GB with"
	@echo "the installer's cache; under a minute from that cache, minutes over a network)"
	$(UV) --constraint constraints.txt --editable '.[pipeline]'
	@touch $@

$(VENV)/.dev: $(VENV)/.pipeline
	$(UV) --constraint constraints.txt --editable '.[pipeline,dev,index]'
	@touch $@
