"""Finds the real data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, or a skip that says where it was looked for."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("CORPUSMILL_DATA", root.parent / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real data: CORPUSMILL_DATA ({folder}) has no MANIFEST.tsv")
    return folder
