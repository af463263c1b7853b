"""Makes `tests/oracles` importable, and holds what several tests here share."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, or a skip that says where it was looked for."""
    root = Path(__file__).parents[2]
    folder = Path(os.environ.get("CORPUSMILL_DATA", root.parent / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").is_file():
        pytest.skip(f"no real data: CORPUSMILL_DATA ({folder}) has no MANIFEST.tsv")
    return folder
