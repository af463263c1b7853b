"""The made run, opened by the library."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpusmill.pipelines.api.library import Run, open_run
from tests.pipelines.made_runs import made_folder

__all__ = ["made_folder", "run"]


@pytest.fixture
def run(made_folder: Path) -> Run:
    return open_run(made_folder / "run")
