# Every target makes what it needs. `make help` lists them.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# NOTECAST_PORT may name an address before the port.
port = $(lastword $(subst :, ,$(or $(1),$(2))))
ADDRESS := localhost:$(call port,$(NOTECAST_PORT),8080)
TUTORIAL_ADDRESS := localhost:$(call port,$(NOTECAST_TUTORIAL_PORT),11912)
# No header and no annotations: they would name a package host, or a path of this machine.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --upgrade \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml
# What starts a cluster where KUBECONFIG names none; tests/e2e/kubernetes/settings.py says how it is called.
CLUSTER_TOOL ?= $(wildcard ../shared/k8s/ensure-cluster)
# Most tests wait for something, so that three processes on two cores are done sooner than two.
TEST_PROCESSES ?= 3
DOCKERFILES := services/chat-gateway/Dockerfile services/history/Dockerfile

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# A stamp for each profile: `local` runs the system, `development` also tests and checks it.
.venv/.%: requirements/%.txt pyproject.toml tools/make_environment.py
	@$(PYTHON) tools/make_environment.py $*

run: .venv/.local ## the whole system as local processes, until Ctrl-C
	@$(BIN)/python -m notecast_local

up: ## the whole system in containers
	@NOTECAST_REVISION=$${NOTECAST_REVISION:-$$(git rev-parse HEAD 2>/dev/null || echo unknown)} \
		docker compose up --build --detach --wait || { \
		echo "Not all of it started; the reason is above. Where a port is taken, choose others with NOTECAST_PORT=..." >&2; \
		echo "and NOTECAST_TUTORIAL_PORT=..., and run make up again. make down stops what did start." >&2; exit 1; }
	@echo
	@echo "Notecast runs on $(ADDRESS); the tutorial's client finds it on $(TUTORIAL_ADDRESS)."
	@echo "  list      grpcurl -plaintext $(ADDRESS) list"
	@echo "  read      grpcurl -plaintext -d '{\"subscriptions\":[{\"room\":\"lobby\",\"from_start\":true}]}' $(ADDRESS) notecast.v1.ChatService/Subscribe"
	@echo "  send      grpcurl -plaintext -d '{\"room\":\"lobby\",\"author\":\"ada\",\"text\":\"hello\"}' $(ADDRESS) notecast.v1.ChatService/SendNote"
	@echo "  replicas  docker compose up --detach --scale chat-gateway=4"
	@echo "  stop      make down (the notes stay)"

down: ## stop the containers; the notes stay in their volume
	@docker compose down

test: .venv/.development ## the tests, in a few minutes
	@$(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder

test-slow: .venv/.development ## the tests that take minutes each
	@$(BIN)/python -m pytest -m slow

cases: .venv/.development ## inputs that once failed (CASES_FOLDER=), on the system behind Envoy and on a gateway
	@$(BIN)/python -m pytest tests/cases

coverage: .venv/.development ## the packages without I/O: nothing in them that no test of theirs runs
	@CI=true $(BIN)/coverage run -m pytest --quiet tests/wire/http2 tests/wire/rpc tests/unit/gateway
	@$(BIN)/coverage report

lint: .venv/.development ## every static check
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python tools/generate_stubs.py --check
	$(BIN)/python tools/generate_variables.py --check
	$(BIN)/python -m tools.generate_tables --check
	$(BIN)/python tools/generate_partition_tags.py --check
	$(BIN)/python -m tools.check_prose
	$(BIN)/hadolint $(DOCKERFILES)
	$(BIN)/python tools/check_envoy.py
	$(BIN)/python tools/check_compose.py

proto: .venv/.development ## write the stubs of the contracts into proto/gen
	@$(BIN)/python tools/generate_stubs.py

docs: .venv/.development ## write what is made from the code: the documents' tables and picture, the names of variables
	@$(BIN)/python tools/generate_variables.py
	@$(BIN)/python -m tools.generate_tables

bench: .venv/.development ## servers compared under load, in 10 minutes (QUICK=1: in 90 s; CASES= BENCH_PEERS=)
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) --cases '$(CASES)' --peers '$(BENCH_PEERS)'

chaos: .venv/.development ## faults at random, and a proof that nothing is lost (CHAOS_SECONDS= CHAOS_SEED=)
	@$(BIN)/python -m tests.chaos

fuzz: .venv/.development ## bytes that nobody should send, at the gRPC server (FUZZ_SECONDS=)
	@$(BIN)/python -m tests.wire.fuzz

k8s-check: .venv/.development ## the Kubernetes manifests: rendered, against the schemas, and against the code
	@$(BIN)/python -m deploy.checks

k8s-e2e: .venv/.development ## the manifests on a real cluster (KUBECONFIG= or CLUSTER_TOOL=), disturbed while clients chat
	@CLUSTER_TOOL=$(CLUSTER_TOOL) $(BIN)/python -m tests.e2e.kubernetes

lock: .venv/.development ## write the locks in requirements anew, with the newest versions
	@$(LOCK) --output-file requirements/services.txt
	@$(LOCK) --extra client --extra embedded --extra build --output-file requirements/local.txt
	@$(LOCK) --all-extras --output-file requirements/development.txt

clean: ## remove the environment and all caches; the notes in .run stay
	@rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help run up down test test-slow coverage cases lint proto docs bench chaos fuzz k8s-check k8s-e2e lock clean
