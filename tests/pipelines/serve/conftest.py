"""The made run, once a session."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from corpusmill.pipelines.storage.run_folder import RunFolder

pl.DataFrame()  # polars sets a variable of its allocator once


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run without training; not to be changed."""
    path = Path(__file__).parents[1] / "inspection" / "made_run.py"
    spec = importlib.util.spec_from_file_location("corpusmill_tests_made_run", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    folder: RunFolder = made.make_run(tmp_path_factory.getbasetemp() / "made_run")
    return folder
