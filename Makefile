# Each target does all its own set-up; only Python 3.10 or newer, git and make are needed.
PYTHON ?= python3
VENV   ?= .venv
SCALE  ?= default
BIN    := $(VENV)/bin
# Without cached bytecode, each process of a test run would compile the sources again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: bench test test-fast check pages docs picture clean

bench: $(VENV)/.installed
	$(BIN)/pytest --benchmark --scale $(SCALE)

test: $(VENV)/.installed
	$(BIN)/pytest -n 2 -m "not slow and not nightly" $(TEST_OPTIONS)

test-fast: $(VENV)/.installed
	$(BIN)/pytest -n 2 -m "not process and not network and not browser and not slow and not long" $(TEST_OPTIONS)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The report of every folder of committed records, into pages/.
pages: $(VENV)/.installed
	$(BIN)/zobench report --all results --out pages

# Everything in README and docs that is generated: results, pictures, the figure of the layers, commands.
docs: $(VENV)/.installed
	$(BIN)/python -m bench.report.readme
	$(BIN)/python -m bench.report.paper_results
	$(BIN)/python -m bench.report.pictures
	$(BIN)/python tests/helpers/layers.py
	$(BIN)/python tests/helpers/algorithm_tables.py
	$(BIN)/python tests/helpers/command_page.py

# The README's picture of a report; needs chromium and chromedriver.
picture: $(VENV)/.installed
	$(BIN)/python tests/helpers/report_picture.py

$(VENV)/.installed: pyproject.toml setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -e ".[bench]"
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/pip install -e ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info zo_core/kernels/*.so
