# make repro: every result from data to report.  make test: the tests.  make lab: JupyterLab on the notebooks.
# Needs git, make and Python 3.11 to 3.13; everything else is installed into .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.9
# More processes would need more memory than a laptop has.
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL := 3
unexport PYTHONDONTWRITEBYTECODE  # without bytecode each of many processes compiles TensorFlow again: 15 s

.PHONY: repro verify ablations bench test coverage test-browser test-kill fuzz mutants audit lint lab env gpu lock clean

repro: env
	@dvc repro
	@echo "The report: $(CURDIR)/results/report.html"

verify: env
	@segsrgan verify

ablations: env
	@dvc repro ablations/dvc.yaml
	@dvc repro

# How fast it all is, against the published design: about half an hour; let nothing else run meanwhile.
bench: env
	@python -m benchmarks

test: env
	@ruff check . && ruff format --check . && lint-imports
	@$(PYTEST)

# The same tests, and which statements of both packages they reach; half as long again.
coverage: env
	@$(PYTEST) --cov --cov-report=term-missing:skip-covered

test-browser: env
	@pytest tests/browser

# An hour or two each, and not part of `make test`: 56 kills over all stages; random damage to every file that is read,
# then ten minutes a reader led by the code that it reaches; changed code that a test must notice.
test-kill: env
	@KILLS=56 pytest tests/test_interrupted.py

fuzz: env
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[fuzz]'
	@FUZZ_EXAMPLES=2000 pytest tests/faults/test_fuzz.py
	@for reader in image labels manifest settings weights; do \
	  python -m tests.faults.fuzz_readers $$reader -max_total_time=600 || exit 1; done

mutants: env
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -e '.[mutants]'
	@mutmut run && mutmut results

audit: env
	@pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock

lab: env
	@jupyter lab --config=notebooks/jupyter_config.py notebooks/explore_subject.ipynb

env: $(VENV)/.installed

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "expected Python 3.11 to 3.13; received $$($(PYTHON) --version); name one: make PYTHON=python3.12"; exit 2; }
	@echo "Installing the environment into $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

gpu: env
	@$(BIN)/uv pip install --python $(BIN)/python -e '.[gpu]'

lock:
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra dev \
	  --python-version 3.11 pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .work
