# Every target makes what it needs. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The environment of developers: everything in the lock, and this tree in editable form.
$(BIN)/.development: requirements/development.txt pyproject.toml tools/make_environment.py
	@$(PYTHON) tools/make_environment.py development

proto: $(BIN)/.development ## write the stubs of the contracts into proto/gen
	@$(BIN)/python tools/generate_stubs.py

lint: $(BIN)/.development ## every static check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python tools/generate_stubs.py --check

.PHONY: help proto lint
