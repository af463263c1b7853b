"""Files read by readers of datatrove: what they give, and what they would lose without a word."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.sources.datatrove import Datatrove
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import read_all

pytest.importorskip("datatrove", reason="datatrove is not installed")

READERS = "datatrove.pipeline.readers"
# As datatrove's JsonlReader, with the standard library's parser in place of orjson.
LINES = """
import json

from datatrove.pipeline.readers.base import BaseDiskReader
from datatrove.utils.logging import logger


class Lines(BaseDiskReader):
    def read_file(self, filepath):
        with self.data_folder.open(filepath, "r", compression="infer") as file:
            try:
                for number, line in enumerate(file):
                    try:
                        document = self.get_document_from_dict(json.loads(line), filepath, number)
                    except json.JSONDecodeError as error:
                        logger.warning(f"Error when reading `{filepath}`: {error}")
                        continue
                    if document:
                        yield document
            except UnicodeDecodeError as error:
                logger.warning(f"File `{filepath}` may be corrupted: raised UnicodeDecodeError ({error})")
"""


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Datatrove]:
    (tmp_path / "own.py").write_text(LINES)
    plugins.use_plugins([tmp_path / "own.py"])
    yield Datatrove(block="own.Lines", files=["x"])
    plugins.clear_plugins()


def write(path: Path, *records: Any) -> Path:
    path.write_text("".join(f"{r if isinstance(r, str) else json.dumps(r)}\n" for r in records), "utf-8")
    return path


def test_records_are_those_of_our_reader(lines: Datatrove, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a [1].jsonl",
        {"id": "x", "text": "one", "url": "http://a.example", "n": 1, "metadata": {"k": [None]}},
        {"text": "two", "lang": "Python"},
    )
    ours, theirs = read_all(Jsonl(files=["x"]), path), read_all(lines, path)
    assert theirs.rows == ours.rows
    assert theirs.whys == ours.whys == {}


def test_what_datatrove_passes_over_is_counted(lines: Datatrove, tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        {"text": "one"},
        {"text": ""},
        "{broken",
        {"body": "x"},
        {"text": "N\0"},
        {"text": "two"},
    )
    found = read_all(lines, path)
    assert found.texts == ["one", "two"]
    assert found.whys == {"no_text": 2, "block_warning": 1, "binary": 1}
    assert [lost.position for lost in found.quarantined if lost.why == "no_text"] == [
        "a.jsonl, record 1",
        "a.jsonl, record 3",
    ]


def test_a_file_given_up_in_the_middle_is_counted(lines: Datatrove, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "one"}\n' * 2000 + b'{"text": "\xff"}\n')
    (lost,) = read_all(lines, path).quarantined
    assert lost.why == "block_warning"
    assert "may be corrupted" in lost.detail


def test_a_compressed_file_that_is_cut_is_damage(lines: Datatrove, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n' * 100)[:-9])
    assert len(read_all(lines, path).faults) == 1


def test_parquet_is_read_as_by_ours(tmp_path: Path) -> None:
    table = pa.table({"text": ["one", "two"], "id": ["1", "2"], "n": [1, 2]})
    pq.write_table(table, tmp_path / "a.parquet")
    reader = Datatrove(block=f"{READERS}.ParquetReader", files=["x"])
    assert (
        read_all(reader, tmp_path / "a.parquet").rows
        == read_all(Parquet(files=["x"]), tmp_path / "a.parquet").rows
    )


def test_csv_with_another_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('body,url\n"a\nb",http://a.example\n')
    reader = Datatrove(block=f"{READERS}.CSVReader", files=["x"], options={"text_key": "body"})
    (row,) = read_all(reader, tmp_path / "a.csv").rows
    assert (row["text"], row["url"], row["meta"]) == ("a\nb", "http://a.example", "{}")


@pytest.mark.parametrize(
    "block, options, words",
    [
        ("datatrove.pipeline.filters.RegexFilter", {}, "is no reader of files"),
        (f"{READERS}.HuggingFaceDatasetReader", {}, "is no reader of files"),
        (f"{READERS}.CSVReader", {"data_folder": "/x"}, "leave out `data_folder`: `files` decides"),
        (f"{READERS}.CSVReader", {"limit": 3}, "leave out `limit`"),
        (f"{READERS}.CSVReader", {"text": "body"}, "has no option `text`; did you mean `text_key`"),
    ],
)
def test_what_cannot_be_read_with_is_told(block: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Datatrove(block=block, files=["x"], options=options)


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from datatrove.utils import _import_utils

    monkeypatch.setattr(_import_utils, "_is_package_available", lambda name: name != "pyarrow")
    with pytest.raises(ValueError, match="Please install `pyarrow` to use ParquetReader"):
        Datatrove(block=f"{READERS}.ParquetReader", files=["x"])


def test_no_network_for_readers(tmp_path: Path) -> None:
    (tmp_path / "far.py").write_text(
        "import socket\nfrom datatrove.pipeline.readers.base import BaseDiskReader\n"
        "class Far(BaseDiskReader):\n"
        "    def read_file(self, filepath):\n"
        "        socket.getaddrinfo('models.example', 443)\n"
        "        yield from ()\n"
    )
    plugins.use_plugins([tmp_path / "far.py"])
    try:
        with pytest.raises(UserError, match=r"asks for models\.example over the network"):
            read_all(Datatrove(block="far.Far", files=["x"]), write(tmp_path / "a.jsonl", {}))
    finally:
        plugins.clear_plugins()


def test_what_is_counted_is_not_shown_besides(tmp_path: Path) -> None:
    """A process of its own, in which loguru has the handler that it begins with."""
    (tmp_path / "own.py").write_text(LINES)
    path = write(tmp_path / "a.jsonl", "{bad", {"text": "kept"}, "{worse")
    code = f"""
from pathlib import Path

from loguru import logger

from corpusmill.pipelines.contract import plugins
from corpusmill.pipelines.sources.datatrove import Datatrove
from corpusmill.pipelines.sources.reader import Label

plugins.use_plugins([Path({str(tmp_path / "own.py")!r})])
reader = Datatrove(block="own.Lines", files=["x"])
path = Path({str(path)!r})
for _ in range(2):
    batches = list(reader.read(path, path.name, reader.index(path)[0], Label("a", "b")))
    print(sum(len(batch.quarantined) for batch in batches))
logger.warning("of somebody else")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2", "2"]
    shown = done.stderr.splitlines()
    assert len(shown) == 1
    assert "of somebody else" in shown[0]
