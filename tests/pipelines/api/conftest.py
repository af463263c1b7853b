"""The made run, once a session."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import polars as pl
import pytest

from corpusmill.pipelines.api.library import Run, open_run

pl.DataFrame()  # polars sets a variable of its allocator once


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds recipe, inputs and run of the made run."""
    path = Path(__file__).parents[1] / "inspection" / "made_run.py"
    spec = importlib.util.spec_from_file_location("corpusmill_tests_made_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.getbasetemp() / "made_run"
    module.make_run(folder)
    return folder


@pytest.fixture
def run(made_folder: Path) -> Run:
    return open_run(made_folder / "run")
