# make repro: all results, from the data to the report.  make test: the tests.  make lab: JupyterLab with the notebooks.
# Requires git, make and Python 3.11 to 3.13; everything else is installed into .venv from requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.9
# Two worker processes: more would need more memory than a laptop has.
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder
export PATH := $(CURDIR)/$(BIN):$(PATH)
export TF_CPP_MIN_LOG_LEVEL := 3
unexport PYTHONDONTWRITEBYTECODE  # without bytecode every process compiles TensorFlow again, 15 s each

.PHONY: repro verify ablations bench test test-all coverage test-browser test-kill fuzz mutants audit lint lab env gpu lock clean

repro: env
	@dvc repro
	@echo "The report: $(CURDIR)/results/report.html"

verify: env
	@segsrgan verify

ablations: env
	@dvc repro ablations/dvc.yaml
	@dvc repro

# Speed and memory against the published design; half an hour, on a machine that does nothing else.
bench: env
	@python -m benchmarks

# Before each commit and in CI: linters and all tests that are not marked slow.
test: env
	@ruff check . && ruff format --check . && lint-imports
	@$(PYTEST)

# All tests: also the miniature study, kills, benchmarks, and the notebooks in a browser where Chromium is installed.
test-all: env
	@ruff check . && ruff format --check . && lint-imports
	@$(PYTEST) -m ""
	@if command -v chromium >/dev/null; then $(MAKE) test-browser; else echo "Chromium is not installed: no browser tests"; fi

# All tests, with the statements of both packages that no test reaches.
coverage: env
	@$(PYTEST) -m "" --cov --cov-report=term-missing:skip-covered

test-browser: env
	@pytest -m "" tests/browser

# 56 kills at random moments over all stages; about half an hour.
test-kill: env
	@KILLS=56 pytest -m "" tests/test_interrupted.py

# Random damage to every kind of file that is read.
fuzz: env
	@FUZZ_EXAMPLES=2000 pytest -m "" tests/faults/test_fuzz.py

# Mutation tests: one change of the code at a time, which a test must detect; about two hours.
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
	  || { echo "$$($(PYTHON) --version) is not supported; use 3.11 to 3.13, for example: make PYTHON=python3.12"; exit 2; }
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
