"""Fixtures of the made run (`inspection/made_run.py`), once a process: conftests import those they need."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from corpusmill.pipelines.storage.run_folder import RunFolder
from tests.pipelines.inspection import made_run

pl.DataFrame()  # polars sets a variable of its allocator once


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds recipe, inputs and run of the made run; not to be changed."""
    folder = tmp_path_factory.getbasetemp() / "made_run"
    made_run.make_run(folder)
    return folder


@pytest.fixture(scope="session")
def run(made_folder: Path) -> RunFolder:
    """A complete run without training; not to be changed."""
    return RunFolder(made_folder / "run")


@pytest.fixture
def copy_of(run: RunFolder, tmp_path: Path) -> Callable[[], RunFolder]:
    """A copy of the run for one test."""

    def copied() -> RunFolder:
        return RunFolder(shutil.copytree(run.path, tmp_path / "run"))

    return copied
