# `make demo` and `make test` are all a newcomer needs: each builds its own .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
# Python compiles the modules it imports when it first does; to compile all 12,000 takes longer than their installation.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint requirements.lock
SAMPLE := build/sample

# Some environments tell Python to write no bytecode beside sources. Here it is kept below .venv: a run starts
# many processes, and without it each of them compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(abspath $(VENV))/bytecode

.PHONY: demo test shuffle lint docs dev clean

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("corpusmill needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable '.[train]'
	touch $(STAMP)

$(DEV_STAMP): $(STAMP)
	$(INSTALL) --editable '.[train,dev,datatrove]'
	touch $(DEV_STAMP)

demo: $(STAMP)
	$(BIN)/corpusmill sample-corpus $(SAMPLE)
	$(BIN)/corpusmill run configs/tiny.yaml

test: $(DEV_STAMP)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

shuffle: $(DEV_STAMP)
	$(BIN)/python tests/shuffle.py --rounds 10

lint: $(DEV_STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy benchmarks
	$(BIN)/lint-imports

# Links are checked, and the site is built into build/site: open build/site/index.html.
docs: $(DEV_STAMP)
	$(BIN)/python -m pytest tests/test_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

dev: $(STAMP)
	$(BIN)/corpusmill run configs/dev.yaml

clean:
	rm -rf build $(VENV)
