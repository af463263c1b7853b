"""The reader of `docs/add_a_reader.md` reads, as a plugin of a recipe."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.plugins import clear_plugins
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import Runner, RunResult

PAGE = Path(__file__).parents[3] / "docs" / "add_a_reader.md"


@pytest.fixture(autouse=True)
def _no_plugins_left() -> Iterator[None]:
    yield
    clear_plugins()


def run(folder: Path, **options: object) -> RunResult:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    (folder / "fortune.py").write_text(code, "utf-8")
    reader = json.dumps({"files": "sayings*", **options})
    (folder / "recipe.yaml").write_text(
        "name: sayings\nplugins: [fortune.py]\nengine: {kind: inline}\n"
        f"sources:\n  sayings: {{read: {{fortune: {reader}}}}}\n"
    )
    return Runner(load_recipe(folder / "recipe.yaml")).run()


def texts(result: RunResult) -> list[str]:
    folder = result.folder.current_step("sayings")
    assert folder is not None
    tables = [pq.read_table(path) for path in sorted(folder.data.glob("*.parquet"))]
    return [text for table in tables for text in table.column("text").to_pylist()]


def test_every_text_is_a_document_or_is_counted(tmp_path: Path) -> None:
    (tmp_path / "sayings-a").write_bytes("one\n%\ntwo\nlines\n%\n \n%\nthrée".encode())
    (tmp_path / "sayings-b.gz").write_bytes(gzip.compress(b"four\n%\n\xff\n%\nfive\0"))
    (tmp_path / "sayings-c").write_bytes(b"x" * 300)
    result = run(tmp_path, max_file_bytes=200)
    assert texts(result) == ["one", "two\nlines", "thrée", "four"]
    folder = result.folder.current_step("sayings")
    assert folder is not None
    (entry,) = [e for e in json.loads(folder.manifest_path.read_text())["ledger"] if e["stage"] == "read"]
    assert {reason: count for reason, (count, _) in entry["removed"].items()} == {"empty": 1, "too_large": 1}
    assert {reason: count for reason, (count, _) in entry["quarantined"].items()} == {
        "bad_utf8": 1, "binary": 1,
    }  # fmt: skip


def test_a_file_that_was_cut_is_quarantined(tmp_path: Path) -> None:
    whole = gzip.compress(b"one\n%\ntwo")
    (tmp_path / "sayings-a").write_bytes(b"three")
    (tmp_path / "sayings-b.gz").write_bytes(whole[:-9])
    assert texts(run(tmp_path)) == ["three"]
