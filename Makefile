# `make demo` and `make test` set up everything they need on a fresh Debian machine with Python 3.11 and git.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: screenshots help demo demo-alerts demo-vllm test packages lint unit slow docs golden test-faults test-vllm bench bench-gate clean

VENV := .venv
BIN := $(VENV)/bin

help:  ## Show these lines.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/.guard-demo  ## Play real traffic through Guard; ONCE=1 ends after the scene.
	$(BIN)/guard demo $(if $(ONCE),--once)

demo-alerts: packages $(VENV)/.guard-demo  ## Pass 80 % of a limit: Guard, Prometheus, Alertmanager, webhook.
	$(BIN)/guard demo --alerts --once

demo-vllm: $(VENV)/.guard-demo  ## The same scene before a real vLLM; ONCE=1 ends after it.
	python=$$(tests/vllm/install.sh) && \
	$(BIN)/guard demo --vllm --vllm-venv "$$(dirname "$$(dirname "$$python")")" $(if $(ONCE),--once)

screenshots: $(VENV)/.guard-dev  ## Take the pictures of docs/console.md anew.
	$(BIN)/python tests/console/screenshots.py

test: packages lint docs unit slow  ## Lint, types, docs, unit tests, then the tests that start processes.

packages:  ## Install the Debian packages that the tests need.
	.ci/packages

lint: $(VENV)/.guard-dev  ## ruff and mypy.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/.guard-dev  ## Build the documentation into site/; a broken link is an error.
	NO_MKDOCS_2_WARNING=1 NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

unit: $(VENV)/.guard-dev  ## The fast tests.
	$(BIN)/pytest -q -m "not slow and not vllm"

slow: $(VENV)/.guard-dev  ## The tests that start processes or wait.
	$(BIN)/pytest -q -m "slow and not vllm and not faults"

golden: $(VENV)/.guard-dev  ## Write anew what the Helm chart is expected to render; the diff is to be looked at.
	$(BIN)/python deploy/helm/update.py
	GUARD_GOLDEN=write $(BIN)/pytest -q tests/deploy/test_deploy_helm.py -k "rendered_is_what or golden"

test-faults: packages $(VENV)/.guard-dev  ## Three gateways and Redis under kill -9 and outages: a few minutes.
	$(BIN)/pytest -q -s -m slow tests/faults

# A vLLM has 300 s to start, and a test may wait for two; the time after which one is taken to hang is longer.
test-vllm: $(VENV)/.guard-dev  ## Install vLLM (kept in ~/.cache/guard) and test against it.
	python=$$(tests/vllm/install.sh) && GUARD_VLLM_PYTHON="$$python" \
	$(BIN)/pytest -q -m vllm -o faulthandler_timeout=700 tests/vllm tests/contract

bench: $(VENV)/.guard-dev  ## What Guard costs beside others, in 10 minutes, and the table of goals.
	$(BIN)/python benchmarks/bench.py

bench-gate: $(VENV)/.guard-dev  ## Is the working tree slower than BASE (default: HEAD)? Ends with 1 if it is.
	$(BIN)/python benchmarks/gate.py $(or $(BASE),HEAD)

clean:  ## Remove the virtual environment and everything built.
	rm -rf $(VENV) build dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.guard-%: pyproject.toml constraints.txt .ci/venv hatch_build.py $(wildcard guard/*/*.[ch] guard/*/*/*.[ch])
	.ci/venv $(VENV) $*
