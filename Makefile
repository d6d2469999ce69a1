# `make demo` starts the app, `make test` runs every test. Each installs what it needs, once.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# For instance: make demo ARGS="--model googlenet --device cpu"
ARGS ?=
SPACE ?=
SECONDS ?= 60
# Two files of tests at a time, in the order of their folders: the long ones (browser, docs) are not the last.
IN_PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder
# Two workers with as many threads as cores would mostly wait for each other.
ONE_THREAD := $(if $(ARGS),,OMP_NUM_THREADS=1)
# As app.py and `python -m inception` settle it for themselves; benchmarks and tests load torch sooner.
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

# No browser, no Ray, no training, no server: less than three minutes.
test-fast: $(VENV)/.installed-dev
	$(ONE_THREAD) $(BIN)/python -m pytest $(IN_PARALLEL) -m "not (browser or ray or training or slow)" $(ARGS)

# The lines of each package that the tests reach, in the processes that they start too.
coverage: $(VENV)/.installed-dev
	rm -rf out/coverage
	mkdir -p out/coverage
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage json --quiet -o out/coverage/coverage.json
	$(BIN)/python scripts/coverage_table.py <out/coverage/coverage.json | tee out/coverage/table.txt

# The same tests with the lowest versions that requirements.txt allows.
test-oldest: $(VENV)/.installed-dev
	$(PYTHON) -m venv --clear $(VENV)-oldest
	sed 's/>=/==/; s/,<.*//' requirements.txt >$(VENV)-oldest/requirements.txt
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check \
		-r $(VENV)-oldest/requirements.txt -r requirements-dev.txt -r requirements-ray.txt -r requirements-mcp.txt
	$(ONE_THREAD) $(VENV)-oldest/bin/python -m pytest $(or $(ARGS),$(IN_PARALLEL))

# Every figure in units of what people use today; nothing else should run meanwhile. One file's rows: make bench ARGS=forward
bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks $(ARGS)

# The site of docs/ into out/site; a warning is an error.
docs: $(VENV)/.installed-dev
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet docs out/site
	@echo "out/site/index.html"

# A search for payloads that get no answer and no sentence, and for files that break the upload path; what it finds of
# those lies in out/fuzz/found. Each for a minute, or for longer: make fuzz SECONDS=600
fuzz: $(VENV)/.installed-dev
	PYTHONPATH=.:tests $(BIN)/python -m support.fuzz_api $(SECONDS)
	PYTHONPATH=.:tests $(BIN)/python -m support.fuzz_photo $(SECONDS) out/fuzz

# The table of bad and odd files in docs/robustness.md, measured.
corpus: $(VENV)/.installed-dev
	@PYTHONPATH=.:tests $(BIN)/python -m support.entry_points

# make space SPACE=owner/name
space: setup
	$(BIN)/python scripts/space.py $(SPACE)

space-dry-run: setup
	$(BIN)/python scripts/space.py --dry-run

# In a clean environment what Spaces would do: minutes, and gigabytes that go again afterwards.
space-check: $(VENV)/.installed-dev
	$(BIN)/python scripts/check_space.py $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache tests/javascript/node_modules

$(VENV)/.installed: requirements.txt
	$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('InceptionLens needs Python 3.11 or newer; name one with: make PYTHON=python3.12 ...')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt requirements-ray.txt requirements-mcp.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -r requirements-ray.txt -r requirements-mcp.txt
	sh scripts/install_chromium.sh $(BIN)/python
	touch $@
