"""Files cut, corrupted or followed by garbage are never read as merely short."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import tarfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.pipelines.contract.errors import DataError
from corpusmill.pipelines.sources.framing.damage import BrokenRecord
from corpusmill.pipelines.sources.jsonl import Jsonl
from corpusmill.pipelines.sources.parquet import Parquet
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.sources.tar import Tar
from corpusmill.pipelines.sources.text import Text
from corpusmill.pipelines.sources.warc import Warc
from tests.oracles.sources_archives import LABEL, Read, gzip_members, page_records, read_all

PAGES = page_records(60)
LINES = [
    json.dumps({"id": i, "text": random.Random(i).randbytes(200).hex()}).encode() + b"\n" for i in range(400)
]
ROWS = [json.loads(line) for line in LINES]


def _parquet() -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist([{**row, "id": str(row["id"])} for row in ROWS])
    pq.write_table(table, out, row_group_size=50, write_page_checksum=True, compression="zstd")
    return out.getvalue()


def _tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for row in ROWS[:40]:
            info = tarfile.TarInfo(f"repo/{row['id']}.py")
            info.size = len(row["text"])
            archive.addfile(info, io.BytesIO(row["text"].encode()))
    return out.getvalue()


def _zstd(*parts: bytes, checksum: bool = True) -> bytes:
    return b"".join(zstandard.ZstdCompressor(write_checksum=checksum).compress(part) for part in parts)


WHOLE = b"".join(LINES)
CASES: dict[str, tuple[Callable[[], Reader], Callable[[], bytes]]] = {
    "a.jsonl.gz": (lambda: Jsonl(files=["x"]), lambda: gzip.compress(WHOLE, mtime=0)),
    "a.jsonl.zst": (lambda: Jsonl(files=["x"]), lambda: _zstd(WHOLE)),
    "b.jsonl.zst": (lambda: Jsonl(files=["x"]), lambda: _zstd(WHOLE, checksum=False)),
    "a.txt.zst": (lambda: Text(files=["x"]), lambda: _zstd(WHOLE)),
    "a.txt.gz": (lambda: Text(files=["x"]), lambda: gzip.compress(WHOLE, mtime=0)),
    "a.warc.gz": (lambda: Warc(files=["x"]), lambda: gzip_members(PAGES)),
    "a.warc": (lambda: Warc(files=["x"]), lambda: b"".join(PAGES)),
    "a.tar.gz": (lambda: Tar(files=["x"]), lambda: gzip.compress(_tar(), mtime=0)),
    "a.tar.zst": (lambda: Tar(files=["x"]), lambda: _zstd(_tar())),
    "a.parquet": (lambda: Parquet(files=["x"]), _parquet),
}


def _rows(found: Read) -> list[tuple[str, object]]:
    return [(row["id"], row["text"] or row.get("raw")) for row in found.rows]


def _boundaries(name: str) -> set[int]:
    """Where a cut leaves a file that is whole by its format."""
    if name == "a.warc.gz":
        return {len(gzip_members(PAGES[:i])) for i in range(len(PAGES) + 1)}
    if name == "a.warc":
        return {sum(map(len, PAGES[:i])) for i in range(len(PAGES) + 1)}
    return set()


@pytest.mark.parametrize("name", CASES)
def test_every_cut_is_detected_and_what_lies_before_it_is_read(tmp_path: Path, name: str) -> None:
    reader, content = CASES[name][0](), CASES[name][1]()
    path = tmp_path / name
    path.write_bytes(content)
    whole = read_all(reader, path)
    assert not whole.faults
    assert whole.rows
    size = len(content)
    offsets = {0, 1, 2, 3, 4, 5, 9, 10, 11, *range(size - 12, size)}
    offsets |= set(random.Random(7).sample(range(12, size - 12), 40))
    edges = _boundaries(name)
    offsets |= {edge + step for edge in sorted(edges)[1:-1:7] for step in (-4, -2, -1, 1, 5)}
    offsets -= edges
    assert len(offsets) >= 30
    for offset in sorted(offsets):
        path.write_bytes(content[:offset])
        found = read_all(reader, path)
        assert found.faults, f"cut at {offset} of {size}"
        assert len(found.faults) == 1
        assert found.faults[0].startswith("byte ")
        assert not found.quarantined, f"cut at {offset}: {found.quarantined[:2]}"
        assert _rows(found) == _rows(whole)[: len(found.rows)]
        if name.startswith("a.warc"):
            assert len(found.rows) == sum(edge <= offset for edge in edges) - 1


@pytest.mark.parametrize("how", ["gz", "zst"])
def test_of_one_long_frame_all_but_the_last_stretch_before_the_cut_is_read(tmp_path: Path, how: str) -> None:
    lines = [
        json.dumps({"text": random.Random(i).randbytes(20_000).hex()}).encode() + b"\n" for i in range(100)
    ]
    whole = b"".join(lines)
    content = gzip.compress(whole, 1, mtime=0) if how == "gz" else _zstd(whole)
    path = tmp_path / f"a.jsonl.{how}"
    path.write_bytes(content[: len(content) * 2 // 3])
    found = read_all(Jsonl(files=["x"], split_bytes=2**18), path)
    assert len(found.faults) == 1
    assert not found.quarantined
    assert found.texts == [json.loads(line)["text"] for line in lines[: len(found.rows)]]
    assert 40 <= len(found.rows) < 60


def test_a_changed_bit_near_the_end_never_passes_for_a_mere_cut(tmp_path: Path) -> None:
    rows = [{"text": "".join(random.Random(i).choices("abcdefgh ", k=400))} for i in range(100)]
    content = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0)
    path = tmp_path / "a.jsonl.gz"
    chance = random.Random(3)
    sound = {row["text"] for row in rows}
    for _ in range(300):
        changed = bytearray(content)
        changed[chance.randrange(len(content) - 600, len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        found = read_all(Jsonl(files=["x"]), path)
        assert len(found.faults) == 1
        assert set(found.texts) <= sound


def test_an_empty_plain_file_holds_nothing(tmp_path: Path) -> None:
    for name, reader in (("a.jsonl", Jsonl(files=["x"])), ("a.warc", Warc(files=["x"]))):
        (tmp_path / name).write_bytes(b"")
        assert read_all(reader, tmp_path / name).splits == []
    (tmp_path / "a.tar").write_bytes(b"")
    assert "end mark" in read_all(Tar(files=["x"]), tmp_path / "a.tar").faults[0]


@pytest.mark.parametrize(
    "name", ["a.jsonl.gz", "a.jsonl.zst", "a.warc.gz", "a.tar.gz", "a.tar.zst", "a.parquet"]
)
@pytest.mark.parametrize(
    "tail", [b"garbage after the end", b"\0" * 700, b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]
)
def test_bytes_after_the_end_are_a_fault(tmp_path: Path, name: str, tail: bytes) -> None:
    reader, content = CASES[name][0](), CASES[name][1]()
    path = tmp_path / name
    path.write_bytes(content)
    whole = read_all(reader, path)
    path.write_bytes(content + tail)
    found = read_all(reader, path)
    assert len(found.faults) == 1
    if name != "a.parquet":
        assert _rows(found) == _rows(whole)


@pytest.mark.parametrize(
    "name", ["a.jsonl.gz", "a.jsonl.zst", "a.warc.gz", "a.tar.gz", "a.tar.zst", "a.parquet"]
)
def test_a_changed_byte_is_detected(tmp_path: Path, name: str) -> None:
    reader, content = CASES[name][0](), CASES[name][1]()
    path = tmp_path / name
    path.write_bytes(content)
    whole = read_all(reader, path)
    chance = random.Random(11)
    for offset in chance.sample(range(20, len(content)), 60):
        changed = bytearray(content)
        changed[offset] ^= 1 << chance.randrange(8)
        path.write_bytes(changed)
        found = read_all(reader, path)
        if found.faults or found.quarantined:
            survivors = set(_rows(found))
            assert survivors <= set(_rows(whole))
            if name == "a.warc.gz":
                assert len(survivors) >= len(whole.rows) - 2
            continue
        # Some bits mean nothing (a gzip header's time and system): then nothing may have changed.
        if name == "a.parquet":
            assert [text for _, text in _rows(found)] == [text for _, text in _rows(whole)]
        else:
            assert _rows(found) == _rows(whole)


def test_a_parquet_row_group_that_fails_is_quarantined_row_by_row(tmp_path: Path) -> None:
    content = bytearray(_parquet())
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    column = pq.read_metadata(path).row_group(3).column(1)
    start = min(column.data_page_offset, column.dictionary_page_offset or column.data_page_offset)
    content[start + column.total_compressed_size // 2] ^= 0x10
    path.write_bytes(content)
    found = read_all(Parquet(files=["x"], split_bytes=2**16), path)
    assert found.whys == {"bad_parquet": 50}
    assert found.quarantined[0].position == "a.parquet, row group 3, row 0"
    assert found.texts == [row["text"] for i, row in enumerate(ROWS) if not 150 <= i < 200]
    with pytest.raises(DataError, match="row group 3"):
        read_all(Parquet(files=["x"], on_corrupt="fail"), path)


def test_a_corrupt_frame_takes_no_other_frame_with_it(tmp_path: Path) -> None:
    frames = [_zstd(b"".join(LINES[i : i + 40])) for i in range(0, 400, 40)]
    damaged = bytearray(frames[4])
    damaged[len(damaged) // 2] ^= 0xFF
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(b"".join([*frames[:4], bytes(damaged), *frames[5:]]))
    found = read_all(Jsonl(files=["x"]), path)
    assert len(found.rows) == 160
    assert f"frame that begins at byte {sum(map(len, frames[:4]))}" in found.faults[0]


def test_a_line_that_spans_into_a_corrupt_frame_is_not_half_read(tmp_path: Path) -> None:
    middle = len(WHOLE) // 2 + 7
    good, bad = _zstd(WHOLE[:middle]), bytearray(_zstd(WHOLE[middle:]))
    bad[-1] ^= 1  # the content checksum
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(good + bytes(bad))
    found = read_all(Jsonl(files=["x"], split_bytes=2**16), path)
    assert len(found.faults) == 1
    assert not found.quarantined
    assert found.texts == [row["text"] for row in ROWS[: WHOLE[:middle].count(b"\n")]]


@pytest.mark.parametrize("stored", ["plain", "gzip", "one member"])
def test_reading_goes_on_behind_a_broken_record(tmp_path: Path, stored: str) -> None:
    pages = list(PAGES)
    pages[20] = pages[20].replace(b"Content-Length: ", b"Content-Length: 9", 1)
    pages[40] = pages[40].replace(b"WARC/1.0", b"WARC/?.0", 1)
    parts = {
        "plain": b"".join(pages),
        "gzip": gzip_members(pages),
        "one member": gzip.compress(b"".join(pages)),
    }
    path = tmp_path / ("a.warc" if stored == "plain" else "a.warc.gz")
    path.write_bytes(parts[stored])
    found = read_all(Warc(files=["x"], split_bytes=2**16), path)
    urls = [row["url"].rsplit("/", 1)[1] for row in found.rows]
    assert urls == [str(i) for i in range(60) if i not in (20, 40)]
    assert len(found.faults) == 2


def test_a_corrupt_member_in_the_middle_of_a_crawl_costs_one_page(tmp_path: Path) -> None:
    members = [gzip_members([page]) for page in PAGES]
    members[30] = members[30][: len(members[30]) // 2]
    path = tmp_path / "a.warc.gz"
    path.write_bytes(b"".join(members))
    found = read_all(Warc(files=["x"]), path)
    assert len(found.faults) == 1
    assert len(found.rows) == 59


def test_a_bomb_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    body = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n"
    body += gzip.compress(bytes(300_000_000), 1)
    head = "WARC/1.0\r\nWARC-Type: response\r\nContent-Type: application/http\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    inner = tmp_path / "a.warc.gz"
    inner.write_bytes(gzip.compress(head.encode() + body + b"\r\n\r\n"))
    outer = tmp_path / "b.txt.gz"
    outer.write_bytes(gzip.compress(bytes(300_000_000), 1))
    tracemalloc.start()
    try:
        pages = read_all(Warc(files=["x"], max_record_bytes=2**21), inner)
        text = read_all(Text(files=["x"], max_record_bytes=2**21), outer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert pages.whys == {"too_large": 1}
    assert text.whys == {"too_large": 1}
    assert peak < 40e6


def test_a_suffix_that_lies_is_a_fault_and_a_missing_one_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(WHOLE)
    assert "no gzip data" in read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl.gz").faults[0]
    (tmp_path / "a.jsonl").write_bytes(gzip.compress(WHOLE))
    assert len(read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl").rows) == 400
    (tmp_path / "a.jsonl.lz4").write_bytes(b"\x04\x22\x4d\x18")
    assert "recompress" in read_all(Jsonl(files=["x"]), tmp_path / "a.jsonl.lz4").faults[0]


def test_damage_survives_the_way_between_processes() -> None:
    damage = pickle.loads(pickle.dumps(BrokenRecord(7, "cause")))
    assert type(damage) is BrokenRecord
    assert damage.fault == BrokenRecord(7, "cause").fault
    assert (damage.position, damage.sound) == (7, 7)


@settings(deadline=None, max_examples=120)
@given(
    kind=st.sampled_from(["jsonl.gz", "jsonl.zst", "warc.gz"]),
    cuts=st.lists(st.integers(0, 59), max_size=8),
    harm=st.sampled_from(["cut", "flip", "drop", "insert"]),
    place=st.floats(0, 1, exclude_max=True),
    split_bytes=st.sampled_from([2**16, 2**20]),
)
def test_no_harm_to_any_framing_loses_a_record_in_silence_or_makes_one_up(
    tmp_path_factory: pytest.TempPathFactory,
    kind: str,
    cuts: list[int],
    harm: str,
    place: float,
    split_bytes: int,
) -> None:
    records = PAGES if kind == "warc.gz" else LINES[:60]
    edges = sorted({0, len(records), *cuts})
    frames = [b"".join(records[a:b]) for a, b in pairwise(edges)]
    content = _zstd(*frames) if kind == "jsonl.zst" else gzip_members(frames)
    reader: Reader
    if kind == "warc.gz":
        reader = Warc(files=["x"], split_bytes=split_bytes)
    else:
        reader = Jsonl(files=["x"], split_bytes=split_bytes)
    path = tmp_path_factory.mktemp("h") / f"a.{kind}"
    path.write_bytes(content)
    whole = _rows(read_all(reader, path))
    assert len(whole) == 60
    at = int(place * len(content))
    ends = {
        len(gzip_members(frames[:i]) if kind != "jsonl.zst" else _zstd(*frames[:i]))
        for i in range(len(frames))
    }
    if harm == "cut" and at in ends - {0}:
        return  # whole by its format
    changed = {
        "cut": content[:at],
        "flip": content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :],
        "drop": content[:at] + content[at + 3 :],
        "insert": content[:at] + b"\x00\x1f\x8b" + content[at:],
    }[harm]
    path.write_bytes(changed)
    found = read_all(reader, path)
    rows = _rows(found)
    remaining = iter(whole)
    assert all(row in remaining for row in rows)  # a subsequence: nothing made up, doubled or reordered
    if len(rows) < len(whole):
        assert found.faults or found.quarantined


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_changes_behind_its_index_is_an_error_of_the_data(tmp_path: Path, name: str) -> None:
    reader, content = CASES[name][0](), CASES[name][1]()
    path = tmp_path / name
    path.write_bytes(content)
    (split,) = reader.index(path)
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError):
        list(reader.read(path, name, split, LABEL))
