# `make demo` and `make test` are all a newcomer needs: each builds its own .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SAMPLE := build/sample

.PHONY: demo test shuffle lint docs dev bench clean

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("corpusmill needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[train,dev,datatrove]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/corpusmill sample $(SAMPLE)
	$(BIN)/corpusmill run configs/tiny.yaml

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

shuffle: $(STAMP)
	$(BIN)/python tests/shuffle.py --rounds 10

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/python -m pytest tests/test_docs.py

dev: $(STAMP)
	$(BIN)/corpusmill run configs/dev.yaml

clean:
	rm -rf build $(VENV)
