# Everything happens in .venv and build/; nothing outside the checkout is touched.
PYTHON ?= python3
BIN := .venv/bin
# Most tests wait more than they compute: four processes keep two cores busy.
SHARED := $(BIN)/pytest --numprocesses=4 --dist=worksteal
# What these tests reach hangs on what was drawn.
DRAWN := tests/canary/test_properties.py
export UV_CACHE_DIR := $(CURDIR)/.venv/.uv-cache
# Tests start hundreds of processes: each would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test conformance recordings soak bench mutants histories lock format lint types rules smoke unit clean help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

.venv/.installed: requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@VIRTUAL_ENV=.venv $(BIN)/uv pip sync --quiet --system-certs requirements.lock
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --offline --no-deps --no-build-isolation --editable .
	@touch $@

demo: .venv/.installed ## a canary rollout and a rollback on an embedded cluster
	@$(BIN)/canary demo

test: .venv/.installed ## everything CI checks
	@# Two of these compute and one waits: beside each other they keep two cores busy.
	$(MAKE) --no-print-directory --jobs=3 --output-sync=target smoke lint types rules
	$(MAKE) --no-print-directory unit

lint: .venv/.installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	@# The fields of models and of libraries' objects are data: vulture is only 60 % sure of them.
	! $(BIN)/vulture | grep -v -E "unused (variable|attribute) '.*\(60% confidence\)"
	$(BIN)/codespell

types: .venv/.installed
	$(BIN)/mypy

rules: .venv/.installed ## the tests of canary/, which miss no branch of it
	$(BIN)/pytest tests/canary --ignore=$(DRAWN) --cov=canary --cov-report=term-missing:skip-covered --cov-fail-under=100

smoke: .venv/.installed ## a choice of whole rollouts
	$(BIN)/pytest tests/conformance

unit: .venv/.installed
	$(SHARED) --ignore=tests/conformance --ignore=tests/canary tests $(DRAWN)

# A KUBECONFIG that merely stands in the environment names nobody's cluster for tests.
SAID := $(filter command,$(origin KUBECONFIG))
conformance: .venv/.installed ## the long stories, and the table of all that is proven
	@$(if $(SAID),,$(if $(KUBECONFIG),echo 'KUBECONFIG of the environment is left alone; say: make conformance KUBECONFIG=…'))
	$(if $(SAID),CONFORMANCE_KUBECONFIG='$(abspath $(KUBECONFIG))' )$(BIN)/pytest $(if $(SAID),,--numprocesses=2) -m "conformance or proves"

recordings: .venv/.installed ## play other recordings of Flagger: make recordings DIR=folder
	$(if $(DIR),,$(error say where they are: make recordings DIR=folder))
	RECORDINGS='$(abspath $(DIR))' $(BIN)/pytest -m conformance tests/conformance/recorded/test_others.py

soak: .venv/.installed ## do things to many canaries at random: make soak [FOR=s] [SEED=n] [PROPAGATION=s]
	$(BIN)/python -m tests.soak $(if $(FOR),--seconds $(FOR)) $(if $(SEED),--seed $(SEED)) \
	  $(if $(PROPAGATION),--propagation $(PROPAGATION))

histories: .venv/.installed ## record the histories that are replayed for ever
	RECORD_HISTORIES=tests/workflows/histories $(BIN)/pytest tests/workflows/test_rollout.py tests/workflows/test_canary.py tests/workflows/test_application.py tests/workflows/test_cluster_watch.py

bench: .venv/.installed ## print the figures and write build/bench.json
	$(BIN)/python -m bench

mutants: .venv/.installed ## break canary/ in thousands of ways, and count what no test notices
	nice $(BIN)/python -m bench.mutants $(ONLY)

format: .venv/.installed ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: .venv/.installed ## resolve requirements.lock anew, from packages at least a week old
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --exclude-newer "$$(date -u -d '7 days ago' +%F)" --extra sandbox --group dev pyproject.toml \
	  --output-file requirements.lock --custom-compile-command "make lock" --upgrade

clean: ## remove what the targets above made
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
