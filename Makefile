# make serve and make test are all a new machine needs: Python 3.11, make and the package registry.
PYTHON ?= python3.11
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help install serve test soak bench bench-quick lint format lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(READY) ## Build .venv from the hashed lock

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

serve: install ## Run limen on SQLite, data in ./limen-data
	$(BIN)/limen serve

test: install ## Run the whole suite
	-tests/browser/install
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile

KILLS ?= 1000
REPEAT ?= 10
REFRESHES ?= 1000000
TIMING ?= 200
soak: install ## Break everything for 15 to 25 minutes: KILLS=1000 REPEAT=10 TIMING=200
	$(BIN)/python -m tests.soak --kills $(KILLS) --repeat $(REPEAT) --refreshes $(REFRESHES) --timing $(TIMING)

bench: install ## Measure against the limits and the peers: some twenty minutes on a quiet machine
	$(BIN)/python -m benchmarks

bench-quick: install ## What has a target, less exactly, in some three minutes
	$(BIN)/python -m benchmarks --quick

lint: install ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Resolve the dependencies anew into requirements.lock
	test -x $(BIN)/uv || { $(PYTHON) -m venv .venv && $(BIN)/pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --all-extras --group dev --output-file requirements.lock pyproject.toml

clean: ## Remove what make made, never your data
	rm -rf .venv benchmarks/.peers benchmarks/.peers-js .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
