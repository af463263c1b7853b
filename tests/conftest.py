"""What every test shares: the real corpora, the kernels' cache, and Hypothesis without a clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

from corpusmill.pipelines.kernel_cache import use_kernel_cache

use_kernel_cache()
settings.register_profile("corpusmill", deadline=None)
settings.load_profile("corpusmill")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real corpora; skips where it is absent."""
    folder = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip(f"no corpora in {folder}; set CORPUSMILL_DATA")
    return folder
