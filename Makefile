# Two commands on a fresh machine: `make quickstart` and `make test`. Both set up their own virtual environment.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# Tests and runs start many processes: compiled modules are kept, whatever the environment says of them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup quickstart gate test check format lock clean help

help:  ## List the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling editables setuptools
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-build-isolation --editable '.[dev,oracles]'
	@touch $@

setup: $(STAMP)  ## Make the virtual environment from the pinned constraints

quickstart: setup  ## Compare eight methods on the embedded world and print where the report is
	$(BIN)/bench run results/quickstart

gate: setup  ## Run the quickstart and hold it against its gate and the committed baseline
	$(BIN)/bench run results/quickstart
	$(BIN)/bench check results/quickstart

test: setup  ## Run all tests, offline
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: setup  ## Lint, types, import contracts, sizes: under a minute
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.sizes

format: setup  ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: setup  ## Record reviewed changes to stages: make lock REASON="why"
	$(BIN)/python -m tests.stage_lock --reason "$(REASON)"

clean:  ## Remove the virtual environment and the store, but for answers that were paid for
	rm -rf $(VENV)
	[ ! -d results/.store ] || find results/.store -mindepth 1 -maxdepth 1 ! -name .answers ! -name .gitignore -exec rm -rf {} +
