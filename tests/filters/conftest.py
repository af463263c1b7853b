"""Finds the real data."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

TESTS = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("CORPUSMILL_DATA", TESTS.parent.parent / "shared" / "data"))

Rows = Callable[[str, int], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def rows() -> Rows:
    """Reads the first rows of a `.jsonl.zst` file of the real data; skips the test without it."""

    def read(name: str, most: int) -> list[dict[str, Any]]:
        path = DATA / f"{name}.jsonl.zst"
        if not path.is_file():
            pytest.skip(f"real data not found: {path} (set CORPUSMILL_DATA)")
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as plain:
            lines = io.TextIOWrapper(plain, "utf-8")
            return [json.loads(line) for _, line in zip(range(most), lines, strict=False)]

    return read
