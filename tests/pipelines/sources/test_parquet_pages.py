"""Parquet: what is counted must come, and small files may not become large memory."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.parquet_footer import MAX_NESTING, data_end
from corpusmill.pipelines.sources.framing.parquet_pages import PageError, check_pages
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import LABEL, read_all

TEXTS = [f"Note {n} of the keeper of the light, written at {n % 24} o'clock." for n in range(15)]
WAYS: list[dict[str, Any]] = [
    {"compression": "zstd"},
    {"compression": "none", "use_dictionary": False},
    {"compression": "snappy", "data_page_version": "2.0", "data_page_size": 64, "write_batch_size": 2},
    {"compression": "gzip", "use_dictionary": ["lang"], "data_page_size": 64, "write_batch_size": 1},
]


def _file(**options: Any) -> bytes:
    draw = random.Random(5)
    table = pa.table(
        {
            "text": TEXTS,
            "lang": [draw.choice(["en", None]) for _ in TEXTS],
            "tags": [[text[5:6]] * (n % 3) for n, text in enumerate(TEXTS)],
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=5, write_page_checksum=True, **options)
    return out.getvalue()


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_pages_of_sound_files_pass(tmp_path: Path, options: dict[str, Any]) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(_file(**options))
    found = read_all(Parquet(files=["x"]), path)
    assert found.texts == TEXTS
    assert not found.quarantined


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_every_row_is_read_as_it_was_or_quarantined(tmp_path: Path, options: dict[str, Any]) -> None:
    """One bit of every byte before the footer: page headers and pages."""
    data = _file(**options)
    end = data_end(io.BytesIO(data))
    draw = random.Random(9)
    path = tmp_path / "a.parquet"
    whys: Counter[str] = Counter()
    for at in draw.sample(range(4, end), min(150, end - 4)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :])
        found = read_all(Parquet(files=["x"]), path)
        assert not found.faults
        assert len(found.rows) + len(found.quarantined) == 15, at
        assert set(found.texts) <= set(TEXTS), at
        assert all(
            ", row group " in lost.position and ", row " in lost.position for lost in found.quarantined
        )
        whys.update(found.whys)
    assert set(whys) == {"bad_parquet"}


def test_little_is_lost_before_a_damaged_page(tmp_path: Path) -> None:
    """A row group is mapped thousands of rows at a time, and read again in small steps where that fails."""
    texts = [f"Note {n} of the keeper of the light." for n in range(3000)]
    path = tmp_path / "a.parquet"
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table({"text": texts}), path, data_page_size=4096, write_batch_size=50, **options)
    data = bytearray(path.read_bytes())
    data[data.index(b"Note 2500 of")] ^= 1
    path.write_bytes(data)
    found = read_all(Parquet(files=["x"]), path)
    assert found.texts == texts[: len(found.texts)]
    assert 2500 - 64 - 4096 // 36 - 50 <= len(found.texts) <= 2500
    rows = range(len(found.texts), 3000)
    assert [lost.position.rpartition(" ")[2] for lost in found.quarantined] == [str(row) for row in rows]
    assert set(found.whys) == {"bad_parquet"}


def test_a_page_that_a_library_would_skip_is_found_by_its_header(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(_file(compression="none", use_dictionary=False))
    group = pq.read_metadata(path).row_group(1)
    at = group.column(0).data_page_offset
    data = bytearray(path.read_bytes())
    assert data[at] == 0x15  # field 1, an i32: the type of the page
    data[at + 1] = 2 * 9  # a type that does not exist
    path.write_bytes(bytes(data))
    assert pq.read_table(path, columns=["text"]).num_rows == 10  # Arrow says nothing
    found = read_all(Parquet(files=["x"]), path)
    assert [lost.position for lost in found.quarantined] == [
        f"a.parquet, row group 1, row {row}" for row in range(5)
    ]
    assert f"byte {at}: a page of the unknown type 9" in found.quarantined[0].detail
    with pytest.raises(DataError, match="unknown type 9"):
        read_all(Parquet(files=["x"], on_corrupt="fail"), path)
    with path.open("rb") as file, pytest.raises(PageError, match="unknown type 9"):
        check_pages(file, group, data_end(file), 2**20)


def test_a_row_group_is_the_smallest_range_and_its_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(_file())
    reader = Parquet(files=["x"])
    (split,) = reader.index(path)
    parts = reader.divide(split)
    assert [(part.start, part.end) for part in parts] == [(0, 1), (1, 2), (2, 3)]
    lost = [one for some in reader.lose(path, "a.parquet", parts[1], "crash: it died") for one in some]
    assert [one.position for one in lost] == [f"a.parquet, row group 1, row {row}" for row in range(5)]
    assert {(one.why, one.detail) for one in lost} == {("bad_parquet", "crash: it died")}
    texts = [
        t for part in parts for b in reader.read(path, "a", part, LABEL) for t in b.documents.text.to_pylist()
    ]
    assert texts == TEXTS


def test_columns_nested_beyond_the_limit_are_refused(tmp_path: Path) -> None:
    for levels, sound in ((MAX_NESTING - 1, True), (MAX_NESTING, False)):
        kind = pa.int8()
        for _ in range(levels):
            kind = pa.struct([("s", kind)])
        pq.write_table(pa.table({"text": ["t"], "deep": pa.nulls(1, kind)}), tmp_path / "a.parquet")
        found = read_all(Parquet(files=["x"]), tmp_path / "a.parquet")
        assert (found.texts == ["t"]) is sound
        assert bool(found.faults) is not sound


def _bomb(kind: str, path: Path) -> None:
    if kind == "copies":  # one long value, and row numbers
        words = pa.array(["x" * 2**20], pa.large_string())
        rows = pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), words)
        pq.write_table(pa.table({"text": rows}), path, compression="zstd", dictionary_pagesize_limit=2**30)
    elif kind == "plain copies":
        table = pa.table({"text": pa.array(["x" * 2**20] * 600, pa.large_string())})
        pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**30, store_schema=False)
    elif kind == "page":
        table = pa.table({"text": pa.array(["x" * 2**27], pa.large_string())})
        pq.write_table(table, path, compression="zstd", use_dictionary=False, data_page_size=2**30)
    elif kind in ("list of copies", "struct of copies", "map of copies"):
        table = _nested_copies(kind.split()[0])
        pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=2**30)
    elif kind == "list of zeros":
        zeros = pa.ListArray.from_arrays([0, 20_000_000], pa.array(np.zeros(20_000_000, np.int8)))
        pq.write_table(pa.table({"text": ["t"], "numbers": zeros}), path, compression="zstd")
    else:
        table = pa.table({"text": pa.nulls(20_000_000, pa.string())})
        pq.write_table(table, path, compression="zstd", row_group_size=20_000_000)


def _nested_copies(kind: str) -> pa.Table:
    """60 rows that hold one text of 1 MiB ten times each."""
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 600, pa.int32()), pa.array(["x" * 2**20]))
    ends = pa.array(range(0, 601, 10), pa.int32())
    if kind == "list":
        column: pa.Array = pa.ListArray.from_arrays(ends, words)
    elif kind == "map":
        column = pa.MapArray.from_arrays(ends, pa.array(["k"] * 600), words)
    else:
        column = pa.StructArray.from_arrays([words[:60]] * 10, [f"w{n}" for n in range(10)])
    return pa.table({"text": [f"text {n}" for n in range(60)], "more": column})


_READ = """
import json, sys
from pathlib import Path
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.sources.reader import Label
reader, path = Parquet(files=["x"]), Path(sys.argv[1])
documents = quarantined = 0
details = []
for split in reader.index(path):
    if split.fault:
        details.append(split.fault)
        continue
    for batch in reader.read(path, "a", split, Label("s", "web")):
        documents += len(batch.documents)
        quarantined += len(batch.quarantined)
        details += [lost.detail for lost in batch.quarantined[:1]]
status = Path("/proc/self/status").read_text()  # ru_maxrss would begin with what the parent holds
peak = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps([documents, quarantined, details, peak]))
"""


@pytest.mark.parametrize(
    "kind, documents, cause",
    [
        ("copies", 600, None),
        ("plain copies", 600, None),
        ("page", 0, "claims to hold"),
        ("rows", 0, "20000000 rows in"),
        ("list of copies", 60, None),
        ("struct of copies", 60, None),
        ("map of copies", 60, None),
        ("list of zeros", 0, "20000000 values in 1 rows"),
    ],
)
def test_a_small_file_does_not_become_large_memory(
    tmp_path: Path, kind: str, documents: int, cause: str | None
) -> None:
    path = tmp_path / "a.parquet"
    _bomb(kind, path)
    assert path.stat().st_size < 100_000
    done = subprocess.run([sys.executable, "-c", _READ, path], capture_output=True, check=True, text=True)
    came, _, details, peak = json.loads(done.stdout)
    assert came == documents
    assert cause is None or cause in details[0]
    assert peak < 800 * 2**20


def test_limits_do_not_cut_what_honest_files_hold(tmp_path: Path) -> None:
    draw = random.Random(3)
    words = [draw.randbytes(600).hex() for _ in range(900)]
    table = pa.table({"text": words * 3, "url": [f"http://a.example/{n}" for n in range(2700)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    found = read_all(Parquet(files=["x"]), tmp_path / "a.parquet")
    assert found.texts == words * 3
    assert [split for split in found.splits if split.fault] == []
