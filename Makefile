# Every target sets up what it needs on a machine with Python >= 3.11 and make, and costs nothing
# the second time. `make test` is the whole check of a change; `.ci/run` calls it.

PYTHON ?= python3
ARGS ?=
NAME ?= bus
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
BIN := .venv/bin
MANIFESTS := pyproject.toml $(wildcard schemas/pyproject.toml chassis/pyproject.toml sdk/pyproject.toml services/*/pyproject.toml)
export UV_PYTHON_DOWNLOADS := never
export UV_PYTHON := $(PYTHON)
# Set in many containers; with it each of the hundreds of processes that the tests and the platform
# start compiles its libraries anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-long test-cluster lint types imports format bench catalog reference constraints setup clean

demo: .venv/.stamp-run            ## the whole lifecycle on real flights, then a summary
	$(BIN)/python examples/flights/demo.py $(ARGS)

test: .venv/.stamp-dev            ## every test but the long ones
	$(BIN)/python -m pytest -m "not long" $(ARGS)

test-long: .venv/.stamp-dev       ## chaos runs and many seeds
	$(BIN)/python -m pytest -m long --sim-seeds 500 --timeout 3600 $(ARGS)

lint: .venv/.stamp-dev types imports  ## style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/.stamp-dev
	$(BIN)/mypy

imports: .venv/.stamp-dev
	$(BIN)/lint-imports

format: .venv/.stamp-dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.stamp-dev           ## make bench NAME=bus|platform|demo|gateway|webhooks_out|webhooks_mlflow|scheduler-quality|scheduler-speed
	$(BIN)/python -m benchmarks.$(subst -,_,$(NAME)) $(ARGS)

catalog: .venv/.stamp-dev         ## regenerate schemas/catalog from the contracts
	$(BIN)/python -m penstock_schemas.catalog schemas/catalog

reference: .venv/.stamp-dev       ## regenerate docs/reference from the code
	$(BIN)/python docs/reference/generate.py

constraints: .venv/.stamp-dev     ## regenerate constraints.txt from the pinned graph
	$(UV) export --quiet --all-packages --all-extras --no-hashes --no-header --no-annotate --no-emit-workspace -o constraints.txt

setup: .venv/.stamp-dev

# What the platform and the demo need; what the tests need beside it.
.venv/.stamp-run: $(MANIFESTS) | $(UV)
	$(UV) sync --quiet --all-packages --all-extras --no-default-groups --group demo --inexact
	@touch $@

.venv/.stamp-dev: $(MANIFESTS) | $(UV)
	$(UV) sync --quiet --all-packages --all-extras
	@touch $@ .venv/.stamp-run

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/pip install --quiet uv

clean:                            ## remove what was installed and built; data directories stay
	rm -rf .venv .uv .mypy_cache .ruff_cache .pytest_cache dist
