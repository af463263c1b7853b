"""The Parquet reader: mapping, faults by row, and our own files read back."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.documents import SCHEMA, document_id
from corpusmill.pipelines.sources.assembly.batches import BATCH_BYTES
from corpusmill.pipelines.sources.framing import parquet_footer
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from tests.oracles.sources_archives import LABEL, read_all


def parquet(**options: object) -> Parquet:
    return Parquet(files=["x"], **options)  # type: ignore[arg-type]


def test_equals_the_jsonl_reader_on_the_same_records(tmp_path: Path) -> None:
    records = [
        {
            "id": str(i),
            "text": "é\n" * i,
            "url": None,
            "path": f"a/{i}.go",
            "n": i,
            "tags": ["a", None],
            "x": 0.5,
        }
        for i in range(30)
    ]
    records[3]["meta"] = {"repo": "r", "k": {"b": 1}}
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(r | {"meta": r.get("meta")}) + "\n" for r in records)
    )
    pq.write_table(
        pa.Table.from_pylist([r | {"meta": r.get("meta")} for r in records]), tmp_path / "a.parquet"
    )
    left = read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl").rows
    right = read_all(parquet(), tmp_path / "a.parquet").rows
    assert left == right
    assert len(left) == 30


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_every_string_type_and_column_types_json_lacks(tmp_path: Path, kind: pa.DataType) -> None:
    when = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    table = pa.table(
        {
            "text": pa.array(["a", "b", None], pa.string()).cast(kind),
            "when": [when] * 3,
            "price": [decimal.Decimal("1.50")] * 3,
            "blob": [b"\x00\xff", None, b""],
            "f": [float("inf"), 1.0, None],
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_all(parquet(), tmp_path / "a.parquet")
    assert found.texts == ["a", "b"]
    assert found.whys == {"no_text": 1}
    assert found.quarantined[0].position == "a.parquet, row group 0, row 2"
    assert json.loads(found.rows[0]["meta"]) == {
        "blob": "AP8=",
        "f": "Infinity",
        "price": "1.50",
        "when": "2024-05-06T07:08:09+00:00",
    }
    assert found.rows[0]["id"] == document_id("", b"a")


def test_faulty_rows_are_quarantined_one_by_one(tmp_path: Path) -> None:
    texts = [b"good", b"\xff", b"nul\x00", None, b"", b"x" * 200, "ü".encode(), b"\x00\xfe"]
    table = pa.table(
        {"text": pa.array(texts, pa.binary()), "url": pa.array([b"u\xff"] * 8, pa.binary()).view(pa.string())}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = read_all(parquet(max_record_bytes=100), tmp_path / "a.parquet")
    assert found.texts == ["good", "", "ü"]
    whys = ["bad_utf8", "binary", "no_text", "too_large", "bad_utf8"]
    assert [lost.why for lost in found.quarantined] == whys
    assert [lost.size for lost in found.quarantined] == [1, 4, 0, 200, 2]
    assert found.quarantined[2].detail == "column 'text' is null"
    assert found.rows[0]["url"] == "u\\xff"


def test_a_column_that_is_no_text_loses_every_row_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [1, 2], "body": ["a", "b"]}), tmp_path / "a.parquet")
    assert read_all(parquet(), tmp_path / "a.parquet").whys == {"no_text": 2}
    assert read_all(parquet(text_field="none"), tmp_path / "a.parquet").whys == {"no_text": 2}
    absent = read_all(parquet(text_field="none"), tmp_path / "a.parquet").quarantined
    assert [lost.detail for lost in absent] == ["column 'none' is not there, or no text"] * 2
    found = read_all(parquet(text_field="body"), tmp_path / "a.parquet")
    assert found.texts == ["a", "b"]
    assert found.rows[0]["meta"] == '{"text": 1}'


def test_our_own_files_keep_ids_and_meta(tmp_path: Path) -> None:
    row = dict.fromkeys(SCHEMA.names, "v") | {
        "id": "0123456789abcdef" * 2,
        "lang": "xx-odd lang",
        "meta": '{"b":1}',
    }
    pq.write_table(pa.Table.from_pylist([row], schema=SCHEMA), tmp_path / "a.parquet")
    (read,) = read_all(parquet(), tmp_path / "a.parquet").rows
    assert read == row | {"source": LABEL.source, "domain": LABEL.domain}
    pq.write_table(pa.Table.from_pylist([row | {"id": "7"}], schema=SCHEMA), tmp_path / "b.parquet")
    (read,) = read_all(parquet(), tmp_path / "b.parquet").rows
    assert read["id"] == document_id("7", b"v")


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 30_000), min_size=1, max_size=60),
    group=st.integers(1, 40),
    split_bytes=st.integers(2**16, 2**19),
)
def test_any_splitting_gives_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, split_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "a.parquet"
    table = pa.table({"text": [f"{i} " + "ab " * (size // 3) for i, size in enumerate(sizes)]})
    pq.write_table(table, path, row_group_size=group, compression="none", use_dictionary=False)
    found = read_all(parquet(split_bytes=split_bytes), path)
    assert found.texts == table["text"].to_pylist()
    assert [split.start for split in found.splits][1:] == [split.end for split in found.splits][:-1]
    assert all(split.size >= split_bytes for split in found.splits[:-1])


def test_batches_are_bounded(tmp_path: Path) -> None:
    texts = ["x" * 700_000] * 40 + [""] * 3000
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet", use_dictionary=False)
    found = read_all(parquet(), tmp_path / "a.parquet")
    assert found.texts == texts
    assert found.largest <= 2 * BATCH_BYTES


def test_a_file_of_no_rows(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "a.parquet")
    found = read_all(parquet(), tmp_path / "a.parquet")
    assert not found.rows
    assert not found.faults


def test_the_real_sample_equals_its_rows(data: Path) -> None:
    path = data / "code" / "code_sample.parquet"
    table = pq.read_table(path)
    found = read_all(parquet(split_bytes=2**16), path)
    assert len(found.splits) == 4
    assert found.texts == table["text"].to_pylist()
    for column in ("repo", "path", "license"):
        assert [row[column] for row in found.rows] == table[column].to_pylist()
    pairs = zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)
    assert [row["id"] for row in found.rows] == [document_id(own, text.encode()) for own, text in pairs]


@pytest.mark.parametrize("sizes", [(50, 50), (5000, 3), (3, 5000)])
def test_files_that_were_joined_are_told(tmp_path: Path, sizes: tuple[int, int]) -> None:
    """The last footer counts from the beginning of its own file."""
    parts = []
    for name, rows in zip("ab", sizes, strict=True):
        path = tmp_path / f"{name}.parquet"
        pq.write_table(pa.table({"text": [f"{name}{row}" for row in range(rows)]}), path)
        parts.append(path.read_bytes())
    path = tmp_path / "joined.parquet"
    path.write_bytes(b"".join(parts))
    found = read_all(parquet(), path)
    assert found.rows == []
    assert found.faults or found.whys["bad_parquet"] == sizes[1]
    if sizes[0] >= sizes[1]:
        assert f"byte {len(parts[0]) - 4}: another file begins here; cut the file" in found.faults[0]


def test_each_column_chunk_is_counted_once_for_what_is_fetched_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of many tiny row groups, counting all again for each would take their number squared."""

    class Place(int):
        def __rsub__(self, other: int) -> int:
            counted.append(int(self))
            return other - int(self)

    counted: list[int] = []
    chunks = parquet_footer.chunk_ranges

    def counting(group: pq.RowGroupMetaData) -> Iterator[tuple[int, int]]:
        return ((Place(start), end) for start, end in chunks(group))

    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": [f"text {row}" for row in range(40)]}), path, row_group_size=1)
    found = read_all(parquet(), path)  # whatever else counts column chunks is imported by now
    (split,) = found.splits
    monkeypatch.setattr(parquet_footer, "chunk_ranges", counting)
    batches = list(parquet().read(path, "a", split, LABEL))
    assert [batch.documents.column("text").to_pylist() for batch in batches] == [[t] for t in found.texts]
    assert len(counted) == 40
