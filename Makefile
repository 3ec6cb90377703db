# What a contributor or a machine runs. Everything happens in .venv of this folder, at the versions of
# constraints.txt; it is made on first use and renewed when pyproject.toml or constraints.txt change.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup backtest test lint format types notebooks docs benchmark clean

PYTHON ?= python3
JOBS ?= 2
OUT ?= report/
BENCHMARKS ?= known_posteriors logistic_reference inference minibatch_noise step_cost step_cost_networks speed frames vision stability sparse networks inputs studies situations convergence forecasting.tuning forecasting forecasting.calibrated forecasting.page
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.installed-runtime
DEV := $(VENV)/.installed-dev
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input -c constraints.txt
NEEDS_PYTHON := tsbnn needs Python 3.11 or newer, and "$(PYTHON)" is not; name another one: make PYTHON=python3.12

# Neither the caller's packages nor the caller's import path reach the environment.
export PYTHONNOUSERSITE := 1
unexport PYTHONPATH

help:  ## list the targets
	@echo "make <target>, with"
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

setup: $(DEV)  ## make .venv and install tsbnn with all development tools
	@echo "tsbnn is installed in $(VENV)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo '$(NEEDS_PYTHON)' >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tsbnn in $(VENV) at the versions of constraints.txt (some minutes the first time)"
	@$(PIP_INSTALL) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing tsbnn and its development tools in $(VENV) at the versions of constraints.txt (some minutes the first time)"
	@$(PIP_INSTALL) -e '.[dev,docs]'
	@touch $(RUNTIME) $@

backtest: $(RUNTIME)  ## train DeepAR on Seattle's weather by three methods; print scores, write report/
	@echo "Backtesting DeepAR on seattle_weather, trained by score, elbo and map (under 5 minutes on 2 cores)"
	@$(BIN)/tsbnn backtest --dataset seattle_weather --models deepar --inference score,elbo,map --out $(OUT)

test: $(DEV)  ## lint, types and every test, notebooks in their short mode
	@echo "Checking lint and format, types, then every test (under 10 minutes on 2 cores)"
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q -n $(JOBS) tests

lint: $(DEV)  ## style, docstrings and likely bugs (ruff)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(DEV)  ## put the code in its format and mend what ruff can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

types: $(DEV)  ## type checks (mypy; strict for inference and evaluation)
	@$(BIN)/mypy

notebooks: $(DEV)  ## execute every notebook in full and keep its output
	@echo "Executing the notebooks in full"
	@$(BIN)/jupytext --quiet --to ipynb --update notebooks/*.py
	@$(BIN)/python -m pytest -q --nbmake --overwrite --nbmake-timeout=3600 notebooks

docs: $(DEV)  ## build the documentation in site/, without a warning
	@$(BIN)/python -m mkdocs build --strict
	@echo "Open site/index.html; with search: $(BIN)/python -m http.server -d site"

benchmark: $(DEV)  ## run every script of benchmarks/, whose figures we publish (hours)
	@$(PIP_INSTALL) -e '.[dev,docs,benchmark]'
	@for name in $(BENCHMARKS); do echo "benchmarks.$$name"; $(BIN)/python -m benchmarks.$$name; done

clean:  ## remove .venv, caches, builds and the report
	rm -rf $(VENV) build dist report site .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find tsbnn tests -name __pycache__ -type d -prune -exec rm -rf {} +
