# `make demo` starts the app, `make test` runs every test. Both first install what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For instance: make demo ARGS="--model googlenet --device cpu"
ARGS ?=
SPACE ?=
SECONDS ?= 60
# Two test files at a time, in the order of tests/conftest.py, which begins with those that take long.
IN_PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# Workers with as many threads as cores would slow each other down.
ONE_THREAD := $(if $(ARGS),,OMP_NUM_THREADS=1)
# Threading settings that app.py and `python -m inception` set for themselves, but too late for benchmarks and tests.
export GOMP_SPINCOUNT ?= 1000
export OMP_WAIT_POLICY ?= active
export KMP_BLOCKTIME ?= 1

.PHONY: demo setup test test-fast coverage test-oldest bench docs fuzz corpus space space-dry-run space-check clean

demo: setup
	$(BIN)/python app.py $(ARGS)

setup: $(VENV)/.installed

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(ONE_THREAD) $(BIN)/python -m pytest $(or $(ARGS),$(IN_PARALLEL))
	$(BIN)/python scripts/audit.py
	@cat out/coverage/table.txt 2>/dev/null || echo "The lines that the tests reach: make coverage"

# Tests without browser, Ray, training or servers: less than three minutes.
test-fast: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest $(IN_PARALLEL) -m "not (browser or ray or training or slow)" $(ARGS)

# Line coverage of each package, including subprocesses of the tests.
coverage: $(VENV)/.installed-dev
	rm -rf out/coverage
	mkdir -p out/coverage
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o out/coverage/coverage.json
	$(BIN)/python scripts/coverage_table.py <out/coverage/coverage.json | tee out/coverage/table.txt

# All tests with the lowest versions that requirements.txt allows.
test-oldest: $(VENV)/.installed-dev
	$(PYTHON) -m venv --clear $(VENV)-oldest
	sed 's/>=/==/; s/,<.*//' requirements.txt >$(VENV)-oldest/requirements.txt
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		-r $(VENV)-oldest/requirements.txt -r requirements-dev.txt -r requirements-ray.txt -r requirements-mcp.txt
	$(ONE_THREAD) $(VENV)-oldest/bin/python -m pytest $(or $(ARGS),$(IN_PARALLEL))

# Benchmarks, as ratios to peers, on an otherwise idle machine. For a single file: make bench ARGS=forward
bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(ARGS)

# Build the site of docs/ into out/site; warnings are errors.
docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs out/site
	@echo "out/site/index.html"

# Fuzz the API for payloads that get neither a response nor an error message, and uploads for files that crash them,
# which are stored in out/fuzz/found. Each runs for a minute; for longer: make fuzz SECONDS=600
fuzz: $(VENV)/.installed-dev
	PYTHONPATH=.:tests $(BIN)/python -m support.fuzz_api $(SECONDS)
	PYTHONPATH=.:tests $(BIN)/python -m support.fuzz_photo $(SECONDS) out/fuzz

# Measure and print the table of bad and unusual files in docs/robustness.md.
corpus: $(VENV)/.installed-dev
	@PYTHONPATH=.:tests $(BIN)/python -m support.entry_points

# Upload to Hugging Face Spaces: make space SPACE=owner/name
space: setup
	$(BIN)/python scripts/space.py $(SPACE)

space-dry-run: setup
	$(BIN)/python scripts/space.py --dry-run

# Install and run the app as Spaces does, in a temporary environment: takes minutes and gigabytes.
space-check: $(VENV)/.installed-dev
	$(BIN)/python scripts/check_space.py $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache tests/javascript/node_modules

$(VENV)/.installed: requirements.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('InceptionLens needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...')"
	test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@echo "Installing into $(VENV), which takes a few minutes ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-ray.txt requirements-mcp.txt
	@echo "Installing what the tests need into $(VENV) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-ray.txt -r requirements-mcp.txt
	sh scripts/install_chromium.sh $(BIN)/python
	touch $@
