"""Finds the real data, and writes recipes by `corpusmill init`."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard
from typer.testing import CliRunner

from corpusmill.pipelines.cli.main import app
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.models import Recipe

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


@pytest.fixture
def init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Fill a folder, write its recipe and load it, its input looked at."""
    monkeypatch.chdir(tmp_path)

    def made(files: dict[str, str | bytes], name: str = "data") -> Recipe:
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = CliRunner().invoke(app, ["init", name, "--output", "r.yaml"], catch_exceptions=False)
        assert done.exit_code == 0
        return load_recipe(tmp_path / "r.yaml", inputs=True)

    return made
