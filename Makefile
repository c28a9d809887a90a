# Each target sets up what it needs on a machine that has make, Python >= 3.11 with venv, and a package index.
#   make demo       train, evaluate, sample and correct a sentence, in about a quarter of an hour on two cores
#   make test       the default test suite, six minutes on two cores, eleven on slow ones
#   make test-slow  everything, the long tests included
#   make fuzz       bytes of all kinds for every reader, guided by what they reach, 30 seconds each
#   make bench      speed of training, sampling and start, as tables; make bench-accelerator: all on one accelerator
#   make lint       linter, formatting and types (make format mends what can be mended)
#   make docs       the site of the documentation in build/site, warnings and broken links as errors; make docs-executed: with what the
#                   notebooks give, half an hour more at first; make docs-external: asks for every address elsewhere
#   make wheel      the package as a file in dist/, with the console command `catgen`
#   make setup      only .venv; make clean removes it

# The newest Python that works; give another by PYTHON=...
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	if $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
VENV ?= .venv
BIN := $(VENV)/bin
WORKDIR ?= runs/demo

.PHONY: setup demo test test-slow fuzz lint format bench bench-accelerator wheel docs docs-executed docs-external clean

setup: $(VENV)/installed

$(VENV)/installed: setup.py constraints.txt
	@test -n "$(PYTHON)" || { echo "catgen needs Python >= 3.11 with venv and ensurepip; install it (Debian: apt install python3 python3-venv) or give PYTHON=/path/to/python"; exit 1; }
	@echo "setting up $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[test]' \
		|| { echo "installing failed; check that a package index can be reached (pip config list) and run make again"; exit 1; }
	@touch $@

demo: setup
	@$(BIN)/python -m launch.demo --workdir=$(WORKDIR)

# The two workers use both cores: more threads of BLAS would wait for one another.
test test-slow: export OPENBLAS_NUM_THREADS = 1

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: setup
	CATGEN_TEST_OPTIMIZED=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz,tokenizers]'
	$(BIN)/python -m tests.rough.fuzz

bench: setup
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.sampling
	$(BIN)/python -m benchmarks.startup

# Of the JAX that is installed for the device; flags by FLAGS="--output=results --text=text8_head.xz".
bench-accelerator:
	@benchmarks/accelerator.sh $(FLAGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs docs-executed docs-external: setup
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@$(BIN)/python -m docs.making $(if $(filter docs-executed,$@),--execute) $(if $(filter docs-external,$@),--external)

wheel: setup
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
