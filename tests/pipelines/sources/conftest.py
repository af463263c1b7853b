"""Finds the real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def data() -> Path:
    folder = Path(os.environ.get("CORPUSMILL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real data: CORPUSMILL_DATA ({folder}) has no MANIFEST.tsv")
    return folder
