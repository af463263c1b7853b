"""The made run, once a session, and copies of it that a test may damage."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from corpusmill.pipelines.storage.run_folder import RunFolder


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("corpusmill_tests_made_run", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made() -> ModuleType:
    """The module that makes the run."""
    return _load(Path(__file__).parents[1] / "inspection" / "made_run.py")


@pytest.fixture(scope="session")
def run(made: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A complete run without training; not to be changed."""
    folder: RunFolder = made.make_run(tmp_path_factory.getbasetemp() / "made_run")
    return folder


@pytest.fixture
def copy_of(run: RunFolder, tmp_path: Path) -> Callable[[], RunFolder]:
    """A copy of the run for one test."""

    def copied() -> RunFolder:
        return RunFolder(shutil.copytree(run.path, tmp_path / "run"))

    return copied
