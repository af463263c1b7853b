"""Records of hundreds of megabytes are counted and never held."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from corpusmill.pipelines.sources.csv import Csv
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.sources.text import Text
from tests.oracles.sources_archives import read_all

SIZE, LIMIT, MOST = 2**28, 2**20, 2**25
FRAMES = {
    "jsonl": (Jsonl, b'{"text": "a"}\n{"text": "', b'"}\n{"text": "b"}\n'),
    "csv": (Csv, b'text\na\n"', b'"\nb\n'),
    "text": (Text, b"", b""),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", FRAMES)
def test_one_long_record_takes_little_memory(tmp_path: Path, name: str, packed: bool) -> None:
    kind, before, behind = FRAMES[name]
    path = tmp_path / "long"
    if packed:
        block = gzip.compress(bytes(2**24), mtime=0)  # members one after the other
        parts = [gzip.compress(before, mtime=0), *[block] * (SIZE // 2**24), gzip.compress(behind, mtime=0)]
        path.write_bytes(b"".join(parts))
    else:
        with path.open("wb") as file:
            file.write(before)
            file.seek(SIZE, 1)  # a hole, which takes no room
            file.write(behind or b"\0")
    reader: Reader = kind(files=["x"], max_record_bytes=LIMIT)
    reader.warm()
    read_all(reader, _first(tmp_path, before + behind))  # what is imported and compiled once is not counted
    tracemalloc.start()
    try:
        found = read_all(reader, path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST
    assert found.whys == {"too_large": 1}
    assert found.texts == ([] if name == "text" else ["a", "b"])
    (lost,) = found.removed + found.quarantined
    assert lost.size >= SIZE


def _first(folder: Path, data: bytes) -> Path:
    (folder / "first").write_bytes(data)
    return folder / "first"
